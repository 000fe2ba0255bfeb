//! Compression methods: the table.

use super::{Standing, algorithms};

algorithms! {
    /// A compression method.
    CompressionAlgorithm ("compression method"): CompressionFacts {
        /// No compression.
        None = "none" { standing: Standing::Recommended },
    }
}

struct CompressionFacts {
    standing: Standing,
}

impl CompressionAlgorithm {
    /// Whether packets stay as they are.
    pub const fn is_none(self) -> bool {
        matches!(self, Self::None)
    }
}
