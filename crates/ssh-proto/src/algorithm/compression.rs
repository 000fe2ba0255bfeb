//! Compression methods: the table.
//!
//! What is compressed is interesting to whoever sees only lengths, and a decoder is a lot of code to
//! let strangers at (CVE-2026-23943, CVE-2013-4421). So nothing is offered without being named, and
//! what begins before authentication a server offers only where its application names it.

use super::{Standing, algorithms};

algorithms! {
    /// A compression method.
    CompressionAlgorithm ("compression method"): CompressionFacts {
        /// No compression.
        None = "none" {
            before_authentication: false, after_authentication: false,
            standing: Standing::Recommended,
        },
        /// Deflate (RFC 1950, RFC 1951) from the end of authentication on
        /// (draft-miller-secsh-compression-delayed).
        ZlibOpenSsh = "zlib@openssh.com" {
            before_authentication: false, after_authentication: true,
            standing: Standing::OnRequest,
        },
        /// The same from the first NEWKEYS on (RFC 4253 section 6.2), so that whoever connects may
        /// feed the decoder. No preset of a server has it, not even `legacy`.
        #[cfg(feature = "legacy")]
        Zlib = "zlib" {
            before_authentication: true, after_authentication: true,
            standing: Standing::DeprecatedToClients,
        },
    }
}

struct CompressionFacts {
    before_authentication: bool,
    after_authentication: bool,
    standing: Standing,
}

impl CompressionAlgorithm {
    /// Whether packets stay as they are.
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }

    /// Whether it begins before the peer has authenticated.
    pub const fn is_before_authentication(self) -> bool {
        self.facts().before_authentication
    }

    /// Whether it compresses packets, before or after the end of authentication.
    #[inline]
    pub(crate) const fn is_on(self, authenticated: bool) -> bool {
        // Asked for each packet, and this is the answer nearly always.
        if self.is_none() {
            false
        } else if authenticated {
            self.facts().after_authentication
        } else {
            self.facts().before_authentication
        }
    }
}
