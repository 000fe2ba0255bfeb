//! Numbers with names: reason codes that a peer may also choose outside of what is registered.
//!
//! No enum: a number that nobody has registered is as legal as any other, is kept as it came, and
//! goes out again unchanged. Only what is shown to people differs.

/// A `uint32` on the wire whose known values have names.
macro_rules! u32_newtype {
    ($(#[$meta:meta])* $type:ident { $($value:literal $constant:ident $name:literal,)+ }) => {
        $(#[$meta])*
        ///
        /// Any number can come from a peer; only some have a name.
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $type(
            /// The number on the wire.
            pub u32,
        );

        impl $type {
            $(
                #[doc = concat!("`", $name, "`")]
                pub const $constant: Self = Self($value);
            )+

            /// The RFC's name, if the number is registered.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some($name),)+
                    _ => None,
                }
            }
        }

        impl core::fmt::Display for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{}", self.0),
                }
            }
        }

        impl core::fmt::Debug for $type {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, "{}({self})", stringify!($type))
            }
        }

        impl<'a> $crate::message::Body<'a> for $type {
            fn decode_body(
                r: &mut $crate::wire::Reader<'a>,
            ) -> Result<Self, $crate::wire::WireError> {
                r.u32().map(Self)
            }
            fn encode_body<S: $crate::wire::Sink + ?Sized>(&self, out: &mut S) {
                out.put_u32(self.0);
            }
        }

        #[cfg(any(test, feature = "arbitrary"))]
        impl<'a> arbitrary::Arbitrary<'a> for $type {
            fn arbitrary(u: &mut arbitrary::Unstructured<'a>) -> arbitrary::Result<Self> {
                const KNOWN: &[u32] = &[$($value),+];
                if u.arbitrary()? {
                    return u.choose(KNOWN).copied().map(Self);
                }
                u.arbitrary().map(Self)
            }
        }
    };
}

pub(super) use u32_newtype;
