//! What a field is on the wire, as one zero-sized type per kind, and the macros that make a
//! message from a list of fields.
//!
//! `user_name: &'a [u8] = Text` reads: the Rust field `user_name` of type `&'a [u8]` is a `string`
//! that holds text. The kind decides how the field is read, written, shown by `Debug` and, for
//! fuzzing, made up. So two `string`s may differ: one is text (shown escaped), one is binary
//! (shown as its length), one is a secret (not shown).

use core::fmt;

use super::Body;
pub(super) use super::list::{Counted, ToEnd};
use crate::escape::Escaped;
use crate::wire::{Mpint, NameList, Reader, Sink, WireError};

/// How a value of type `V` stands on the wire.
pub(super) trait Kind<'a, V> {
    fn read(r: &mut Reader<'a>) -> Result<V, WireError>;
    fn write<S: Sink + ?Sized>(value: &V, out: &mut S);
    fn show(value: &V) -> impl fmt::Debug;
}

/// `boolean`.
pub(super) struct Boolean;
/// `uint32`.
pub(super) struct Uint32;
/// `string` holding one name: 1 to 64 printable US-ASCII characters without comma.
pub(super) struct Name;
/// `string` holding text that a person wrote or reads. It may be anything but UTF-8.
pub(super) struct Text;
/// `string` holding binary data.
pub(super) struct Blob;
/// `string` that must not be shown.
pub(super) struct Secret;
/// `mpint`.
pub(super) struct Integer;
/// `name-list`.
pub(super) struct Names;
/// Sixteen random bytes.
pub(super) struct Cookie;
/// Whatever is left of the packet.
pub(super) struct Rest;
/// A type that knows its own fields.
pub(super) struct Nested;

impl Kind<'_, bool> for Boolean {
    fn read(r: &mut Reader<'_>) -> Result<bool, WireError> {
        r.boolean()
    }
    fn write<S: Sink + ?Sized>(value: &bool, out: &mut S) {
        out.put_boolean(*value);
    }
    fn show(value: &bool) -> impl fmt::Debug {
        value
    }
}

impl Kind<'_, u32> for Uint32 {
    fn read(r: &mut Reader<'_>) -> Result<u32, WireError> {
        r.u32()
    }
    fn write<S: Sink + ?Sized>(value: &u32, out: &mut S) {
        out.put_u32(*value);
    }
    fn show(value: &u32) -> impl fmt::Debug {
        value
    }
}

impl<'a> Kind<'a, &'a str> for Name {
    //= rfc4251#section-6
    //# all algorithm and method identifiers MUST be printable US-ASCII, non-empty strings no
    //# longer than 64 characters
    fn read(r: &mut Reader<'a>) -> Result<&'a str, WireError> {
        // A list of exactly one name, without the comma that lists may end with.
        let name = r.name_list()?.as_str();
        if name.is_empty() || name.contains(',') {
            return Err(WireError::NameInvalid);
        }
        Ok(name)
    }
    fn write<S: Sink + ?Sized>(value: &&'a str, out: &mut S) {
        out.put_string(value.as_bytes());
    }
    fn show(value: &&'a str) -> impl fmt::Debug {
        Escaped(value.as_bytes())
    }
}

/// The kinds that are a `string` of bytes and differ in how they are shown.
macro_rules! string_kind {
    ($kind:ident, $value:ident => $show:expr) => {
        impl<'a> Kind<'a, &'a [u8]> for $kind {
            fn read(r: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
                r.string()
            }
            fn write<S: Sink + ?Sized>(value: &&'a [u8], out: &mut S) {
                out.put_string(value);
            }
            fn show($value: &&'a [u8]) -> impl fmt::Debug {
                $show
            }
        }
    };
}

string_kind!(Text, value => Escaped(value));
string_kind!(Blob, value => Bytes(value.len()));
string_kind!(Secret, _value => Redacted);

impl<'a> Kind<'a, Mpint<'a>> for Integer {
    fn read(r: &mut Reader<'a>) -> Result<Mpint<'a>, WireError> {
        r.mpint()
    }
    fn write<S: Sink + ?Sized>(value: &Mpint<'a>, out: &mut S) {
        out.put_mpint(*value);
    }
    fn show(value: &Mpint<'a>) -> impl fmt::Debug {
        value
    }
}

impl<'a> Kind<'a, NameList<'a>> for Names {
    fn read(r: &mut Reader<'a>) -> Result<NameList<'a>, WireError> {
        r.name_list()
    }
    fn write<S: Sink + ?Sized>(value: &NameList<'a>, out: &mut S) {
        value.encode(out);
    }
    fn show(value: &NameList<'a>) -> impl fmt::Debug {
        value
    }
}

impl<'a> Kind<'a, &'a [u8; 16]> for Cookie {
    fn read(r: &mut Reader<'a>) -> Result<&'a [u8; 16], WireError> {
        r.array()
    }
    fn write<S: Sink + ?Sized>(value: &&'a [u8; 16], out: &mut S) {
        out.put(*value);
    }
    fn show(_: &&'a [u8; 16]) -> impl fmt::Debug {
        Bytes(16)
    }
}

impl<'a> Kind<'a, &'a [u8]> for Rest {
    fn read(r: &mut Reader<'a>) -> Result<&'a [u8], WireError> {
        Ok(r.rest())
    }
    fn write<S: Sink + ?Sized>(value: &&'a [u8], out: &mut S) {
        out.put(value);
    }
    fn show(value: &&'a [u8]) -> impl fmt::Debug {
        Bytes(value.len())
    }
}

impl<'a, V: Body<'a> + fmt::Debug> Kind<'a, V> for Nested {
    fn read(r: &mut Reader<'a>) -> Result<V, WireError> {
        V::decode_body(r)
    }
    fn write<S: Sink + ?Sized>(value: &V, out: &mut S) {
        value.encode_body(out);
    }
    fn show(value: &V) -> impl fmt::Debug {
        value
    }
}

/// Shows binary data as its length.
pub(super) struct Bytes(pub(super) usize);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0)
    }
}

/// Stands for a secret; not even its length is shown.
pub(super) struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("..")
    }
}

/// A struct whose fields follow each other on the wire: the struct, its [`Body`] and `Debug`.
macro_rules! wire_struct {
    // No fields.
    ($(#[$meta:meta])* $name:ident;) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl<'a> $crate::message::Body<'a> for $name {
            fn decode_body(
                _: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(Self)
            }
            fn encode_body<S: $crate::wire::Sink + ?Sized>(&self, _: &mut S) {}
        }

        #[cfg(any(test, feature = "arbitrary"))]
        impl<'a> arbitrary::Arbitrary<'a> for $name {
            fn arbitrary(_: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                Ok(Self)
            }
        }
    };
    (
        $(#[$meta:meta])*
        $name:ident $(<$lt:lifetime>)? {
            $( $(#[$field_meta:meta])* $field:ident: $ty:ty = $kind:ident, )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name $(<$lt>)? {
            $( $(#[$field_meta])* pub $field: $ty, )+
        }

        impl<'a> $crate::message::Body<'a> for $name $(<$lt>)? {
            fn decode_body(
                r: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::wire::WireError> {
                use $crate::message::field::Kind;
                Ok(Self {
                    $( $field: <$crate::message::field::$kind as Kind<'a, $ty>>::read(r)?, )+
                })
            }

            fn encode_body<S: $crate::wire::Sink + ?Sized>(&self, out: &mut S) {
                use $crate::message::field::Kind;
                $( <$crate::message::field::$kind as Kind<'a, $ty>>::write(&self.$field, out); )+
            }
        }

        impl<'a> core::fmt::Debug for $name $(<$lt>)? {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                use $crate::message::field::Kind;
                f.debug_struct(stringify!($name))
                    $( .field(
                        stringify!($field),
                        &<$crate::message::field::$kind as Kind<'_, $ty>>::show(&self.$field),
                    ) )+
                    .finish()
            }
        }

        #[cfg(any(test, feature = "arbitrary"))]
        impl<'a> arbitrary::Arbitrary<'a> for $name $(<$lt>)? {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                use $crate::message::generate::Generate;
                Ok(Self {
                    $( $field: <$crate::message::field::$kind as Generate<'a, $ty>>::make(u)?, )+
                })
            }
        }
    };
}

/// An enum that a name on the wire selects: one variant per name that is known here, each with
/// its fields in wire order, and `Unknown` for all other names.
macro_rules! named_enum {
    (
        $(#[$meta:meta])*
        $enum:ident<$lt:lifetime> {
            $(
                $(#[$variant_meta:meta])*
                $name:literal => $variant:ident
                $({ $( $(#[$field_meta:meta])* $field:ident: $ty:ty = $kind:ident, )+ })?,
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum $enum<$lt> {
            $(
                #[doc = concat!("`", $name, "`: ")]
                $(#[$variant_meta])*
                $variant $({ $( $(#[$field_meta])* $field: $ty, )+ })?,
            )+
            /// A name that is not known here. Not an error: the receiver answers that it does
            /// not support it.
            Unknown {
                /// The name; none of the known ones.
                name: &$lt str,
                /// What follows the fields that all have in common, to the end of the packet.
                data: &$lt [u8],
            },
        }

        impl<$lt> $enum<$lt> {
            /// The names that are known here.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The name on the wire.
            pub const fn name(&self) -> &$lt str {
                match self {
                    $( Self::$variant { .. } => $name, )+
                    Self::Unknown { name, .. } => name,
                }
            }

            /// Reads the fields that belong to `name`.
            pub(super) fn read(
                name: &$lt str,
                r: &mut $crate::wire::Reader<$lt>,
            ) -> Result<Self, $crate::wire::WireError> {
                Ok(match name {
                    $(
                        $name => Self::$variant $({ $(
                            $field: <$crate::message::field::$kind as
                                $crate::message::field::Kind<$lt, $ty>>::read(r)?,
                        )+ })?,
                    )+
                    name => Self::Unknown { name, data: r.rest() },
                })
            }

            /// Writes the fields that follow the name and what all have in common.
            pub(super) fn write<S: $crate::wire::Sink + ?Sized>(&self, out: &mut S) {
                match self {
                    $(
                        Self::$variant $({ $($field),+ })? => { $( $(
                            <$crate::message::field::$kind as
                                $crate::message::field::Kind<$lt, $ty>>::write($field, out);
                        )+ )? }
                    )+
                    Self::Unknown { data, .. } => out.put(data),
                }
            }
        }

        impl<$lt> core::fmt::Debug for $enum<$lt> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self {
                    $(
                        Self::$variant $({ $($field),+ })? => {
                            f.debug_struct(stringify!($variant))
                                $( $( .field(
                                    stringify!($field),
                                    &<$crate::message::field::$kind as
                                        $crate::message::field::Kind<'_, $ty>>::show($field),
                                ) )+ )?
                                .finish()
                        }
                    )+
                    Self::Unknown { name, data } => f
                        .debug_struct("Unknown")
                        .field("name", &$crate::escape::Escaped(name.as_bytes()))
                        .field("data", &$crate::message::field::Bytes(data.len()))
                        .finish(),
                }
            }
        }

        #[cfg(any(test, feature = "arbitrary"))]
        impl<$lt> arbitrary::Arbitrary<$lt> for $enum<$lt> {
            fn arbitrary(u: &mut arbitrary::Unstructured<$lt>) -> arbitrary::Result<Self> {
                // One choice more than there are known names.
                Ok(match Self::NAMES.get(u.int_in_range(0..=Self::NAMES.len())?).copied() {
                    $(
                        Some($name) => Self::$variant $({ $(
                            $field: <$crate::message::field::$kind as
                                $crate::message::generate::Generate<$lt, $ty>>::make(u)?,
                        )+ })?,
                    )+
                    _ => Self::Unknown {
                        name: $crate::message::generate::name_except(u, Self::NAMES)?,
                        data: $crate::message::generate::bytes(u)?,
                    },
                })
            }
        }
    };
}

pub(super) use {named_enum, wire_struct};
