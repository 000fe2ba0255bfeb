//! Names that nothing has here: what to say about them.

use alloc::boxed::Box;
use core::fmt;

use super::Algorithm;
use crate::escape::Escaped;
use crate::wire::MAX_NAME_LEN;

/// A name that no algorithm of the family has here. What it displays is bounded, whatever the name
/// was, and lists the names that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownAlgorithm {
    /// What one of the family is called.
    pub family: &'static str,
    /// The name, cut to what a name may have: 64 bytes, or a few less where that would split a
    /// character.
    pub name: Box<str>,
    /// The cargo feature that would bring it, where there is one.
    pub feature: Option<&'static str>,
    /// The names that there are.
    pub known: &'static [&'static str],
}

impl UnknownAlgorithm {
    pub(super) fn new<A: Algorithm>(name: &str) -> Self {
        Self {
            family: A::FAMILY,
            name: cut(name),
            feature: feature_of::<A>(name),
            known: A::NAMES,
        }
    }
}

/// As much as a name may have.
pub(super) fn cut(name: &str) -> Box<str> {
    let end = name.floor_char_boundary(MAX_NAME_LEN);
    name.get(..end).unwrap_or_default().into()
}

impl fmt::Display for UnknownAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Escaped(self.name.as_bytes());
        if let Some(feature) = self.feature {
            return write!(f, "\"{name}\" needs the cargo feature `{feature}`");
        }
        write!(f, "\"{name}\" is no {} that is known here", self.family)?;
        for (n, known) in self.known.iter().enumerate() {
            f.write_str(if n == 0 { "; these are: " } else { ", " })?;
            f.write_str(known)?;
        }
        Ok(())
    }
}

impl core::error::Error for UnknownAlgorithm {}

/// The cargo feature that brings the algorithm of this name, whether it is on or off.
pub(crate) fn feature_of<A: Algorithm>(name: &str) -> Option<&'static str> {
    let mut rows = A::BEHIND_FEATURES.iter();
    rows.find(|(behind, _)| *behind == name)
        .map(|(_, feature)| *feature)
}
