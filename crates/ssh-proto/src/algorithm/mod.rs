//! Names on the wire and the enums that stand for them (RFC 4253 section 6, RFC 4250 section 4.11).
//!
//! Every family is one table in a file of its own: a row gives the variant, the name and the facts
//! that the rest of the crate needs, so that adding an algorithm is one row here and one file where
//! it is computed. Past the negotiation nobody compares names. The order of a table is the order of
//! preference of those that are offered; [`Standing`] says which are.
//!
//! A key type and a signature algorithm are different things: one RSA key signs as `rsa-sha2-512`
//! or as `rsa-sha2-256` (RFC 8332), and a check of one is never a check of the other.

mod cipher;
mod compression;
mod kex;
mod mac;
mod preset;
mod signature;

pub use cipher::CipherAlgorithm;
pub use compression::CompressionAlgorithm;
pub use kex::KexAlgorithm;
pub use mac::MacAlgorithm;
pub use preset::{Algorithms, Preset};
pub use signature::{KeyType, SignatureAlgorithm};

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
}

/// One table: the enum, its names and its facts. A row may be behind a feature.
macro_rules! algorithms {
    (
        $(#[doc = $meta:literal])*
        $name:ident: $facts:ident {
            $(
                $(#[doc = $row:literal])*
                $(#[cfg($feature:meta)])?
                $variant:ident = $text:literal { $($field:ident: $value:expr),* $(,)? },
            )+
        }
    ) => {
        $(#[doc = $meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum $name {
            $( $(#[doc = $row])* $(#[cfg($feature)])? $variant, )+
        }

        impl $name {
            /// All of them, in the order of the table.
            pub const ALL: &[Self] = &[$( $(#[cfg($feature)])? Self::$variant, )+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self {
                    $( $(#[cfg($feature)])? Self::$variant => $text, )+
                }
            }

            /// The algorithm of that name. Names are case-sensitive (RFC 4251 section 6).
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $( $(#[cfg($feature)])? $text => Some(Self::$variant), )+
                    _ => None,
                }
            }

            /// What is thought of it here, and so where it is offered.
            pub const fn standing(self) -> $crate::algorithm::Standing {
                self.facts().standing
            }

            const fn facts(self) -> $facts {
                match self {
                    $( $(#[cfg($feature)])? Self::$variant => $facts { $($field: $value),* }, )+
                }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.name())
            }
        }
    };
}

use algorithms;

#[cfg(test)]
mod tests;
