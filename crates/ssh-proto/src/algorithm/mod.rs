//! Names on the wire and the enums that stand for them (RFC 4253 section 6, RFC 4250 section 4.11).
//!
//! Every family is one table in a file of its own: a row gives the variant, the name and the facts
//! that the rest of the crate needs, so that adding an algorithm is one row here and one file where
//! it is computed. Past the negotiation nobody compares names. The order of a table is the order of
//! preference of those that are offered; [`Standing`] says which are.
//!
//! What a connection offers begins with a [`Preset`], which is made from the tables, and is changed
//! by name with [`Algorithms::set`], or by value in the lists of [`Algorithms`].
//!
//! A key type and a signature algorithm are different things: one RSA key signs as `rsa-sha2-512`
//! or as `rsa-sha2-256` (RFC 8332), and a check of one is never a check of the other.

mod cipher;
mod compression;
mod kex;
mod list;
mod mac;
mod preset;
mod signature;
mod unknown;

use core::fmt;
use core::hash::Hash;
use core::str::FromStr;

pub use cipher::CipherAlgorithm;
pub(crate) use cipher::CipherMode;
pub use compression::CompressionAlgorithm;
pub use kex::KexAlgorithm;
pub use list::{AlgorithmList, Joined, ListError, ListProblem, change};
pub use mac::MacAlgorithm;
pub use preset::{Algorithms, Preset, UnknownPreset};
pub use signature::{KeyType, SignatureAlgorithm};
pub use unknown::UnknownAlgorithm;
use unknown::cut;
pub(crate) use unknown::feature_of;

/// What is thought of an algorithm here, and so where it is offered without being named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Standing {
    /// No weakness is known: in every preset.
    Recommended,
    /// Sound, and what many peers have at best: not in the preset `hardened`.
    Acceptable,
    /// As [`Acceptable`](Self::Acceptable) for a client. A server would do much work for strangers
    /// (CVE-2002-20001) and offers it only when it is named, or in the preset `legacy`.
    AcceptableToClients,
    /// Sound, and wanted by few: offered only when it is named, or in the preset `legacy`.
    OnRequest,
    /// Known to be weak: offered only when it is named, or in the preset `legacy`.
    Deprecated,
    /// As [`Deprecated`](Self::Deprecated) for a client. A server would let strangers reach code
    /// that they need not reach, and offers it only when it is named: not even in the preset
    /// `legacy`.
    DeprecatedToClients,
}

impl Standing {
    /// Whether a weakness is known.
    pub const fn is_deprecated(self) -> bool {
        matches!(self, Self::Deprecated | Self::DeprecatedToClients)
    }

    /// Whether every role offers it by default, so that a wildcard may stand for it.
    const fn is_offered_unasked(self) -> bool {
        matches!(self, Self::Recommended | Self::Acceptable)
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Recommended => "recommended",
            Self::Acceptable => "acceptable",
            Self::AcceptableToClients => "acceptable to clients",
            Self::OnRequest => "on request",
            Self::Deprecated => "deprecated",
            Self::DeprecatedToClients => "deprecated, to servers more so",
        })
    }
}

/// What the algorithms of all families have in common, for code that is the same for each. It is
/// sealed: the tables here are all that there are.
pub trait Algorithm:
    Copy
    + Eq
    + Ord
    + Hash
    + fmt::Debug
    + fmt::Display
    + FromStr<Err = UnknownAlgorithm>
    + sealed::Sealed
    + 'static
{
    /// What one of the family is called, in a sentence.
    const FAMILY: &'static str;
    /// All of them, in the order of the table.
    const ALL: &'static [Self];
    /// Their names, in the same order.
    const NAMES: &'static [&'static str];
    /// The names that are behind a cargo feature, and which, whether it is on or off.
    const BEHIND_FEATURES: &'static [(&'static str, &'static str)];

    /// The name on the wire.
    fn name(self) -> &'static str;

    /// The algorithm of that name.
    fn from_name(name: &str) -> Option<Self>;

    /// What is thought of it here, and so where it is offered.
    fn standing(self) -> Standing;

    /// The cargo feature that it is behind.
    fn feature(self) -> Option<&'static str> {
        feature_of::<Self>(self.name())
    }
}

mod sealed {
    #[expect(unnameable_types, reason = "this is what seals the trait")]
    pub trait Sealed {}
}

/// One table: the enum, its names and its facts. A row may be behind a feature.
macro_rules! algorithms {
    (
        $(#[doc = $meta:literal])*
        $name:ident ($family:literal): $facts:ident {
            $(
                $(#[doc = $row:literal])*
                $(#[cfg(feature = $feature:literal)])?
                $variant:ident = $text:literal { $($field:ident: $value:expr),* $(,)? },
            )+
        }
    ) => {
        $(#[doc = $meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[doc = $row])* $(#[cfg(feature = $feature)])? $variant, )+
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$( $(#[cfg(feature = $feature)])? Self::$variant, )+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $( $(#[cfg(feature = $feature)])? Self::$variant => $text, )+
                }
            }

            /// The algorithm of that name. Names are case-sensitive (RFC 4251 section 6).
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $(#[cfg(feature = $feature)])? $text => Some(Self::$variant), )+
                    _ => None,
                }
            }

            /// What is thought of it here, and so where it is offered.
            pub const fn standing(self) -> $crate::algorithm::Standing {
                self.facts().standing
            }

            const fn facts(self) -> $facts {
                match self {
                    $( $(#[cfg(feature = $feature)])? Self::$variant => $facts { $($field: $value),* }, )+
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::algorithm::UnknownAlgorithm;

            fn from_str(name: &str) -> Result<Self, Self::Err> {
                let unknown = || $crate::algorithm::UnknownAlgorithm::new::<Self>(name);
                Self::from_name(name).ok_or_else(unknown)
            }
        }

        impl $crate::algorithm::sealed::Sealed for $name {}

        impl $crate::algorithm::Algorithm for $name {
            const FAMILY: &'static str = $family;
            const ALL: &'static [Self] = Self::ALL;
            const NAMES: &'static [&'static str] =
                &[$( $(#[cfg(feature = $feature)])? $text, )+];
            const BEHIND_FEATURES: &'static [(&'static str, &'static str)] =
                &[$( $( ($text, $feature), )? )+];

            fn name(self) -> &'static str {
                self.name()
            }

            fn from_name(name: &str) -> Option<Self> {
                Self::from_name(name)
            }

            fn standing(self) -> $crate::algorithm::Standing {
                self.standing()
            }
        }
    };
}

use algorithms;

#[cfg(test)]
mod tests;
