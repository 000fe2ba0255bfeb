//! `name-list`: names separated by commas (RFC 4251 sections 5 and 6).
//!
//! Every name is checked when a list is made, in time that grows with its length and no faster. The
//! bytes stay as they came, because the exchange hash covers them.

use super::{Sink, WireError};

/// The longest name that RFC 4251 section 6 allows, in bytes.
pub const MAX_NAME_LEN: usize = 64;

/// A list of names whose every name has been checked: 1 to 64 printable US-ASCII characters
/// without comma.
///
/// One trailing comma is tolerated, because deployed peers send it; empty names anywhere else
/// are not. The bytes are kept as they came, since the exchange hash covers them.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NameList<'a> {
    text: &'a str,
}

impl<'a> NameList<'a> {
    /// No names.
    pub const EMPTY: Self = Self { text: "" };

    /// From the contents of the wire's `string`. Linear in its length.
    //= rfc4251#section-5
    //# a name-list MUST consist of US-ASCII ... A name MUST have a non-zero length, and it
    //# MUST NOT contain a comma (",").
    pub fn from_wire(bytes: &'a [u8]) -> Result<Self, WireError> {
        let text = core::str::from_utf8(bytes).map_err(|_| WireError::NameInvalid)?;
        let names = text.strip_suffix(',').unwrap_or(text);
        if !text.is_empty() && !names.split(',').all(is_name) {
            return Err(WireError::NameInvalid);
        }
        Ok(Self { text })
    }

    /// From text such as `"aes128-ctr,aes256-ctr"`.
    pub fn new(text: &'a str) -> Result<Self, WireError> {
        Self::from_wire(text.as_bytes())
    }

    /// The names in order of preference.
    pub fn iter(&self) -> Names<'a> {
        Names { rest: self.text }
    }

    /// Whether `name` is one of them.
    pub fn contains(&self, name: &str) -> bool {
        self.iter().any(|n| n == name)
    }

    /// The first name, the preferred one.
    pub fn first(&self) -> Option<&'a str> {
        self.iter().next()
    }

    /// Whether there is no name at all.
    pub const fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The names as they stand on the wire.
    pub const fn as_str(&self) -> &'a str {
        self.text
    }

    /// Writes the `name-list`, byte for byte as it was read.
    pub fn encode<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self.text.as_bytes());
    }
}

/// Counts how many bytes of names are looked at, because a clock in a test proves nothing.
#[cfg(test)]
pub(crate) mod counting {
    use core::cell::Cell;

    std::thread_local! {
        static LOOKED_AT: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn look(name: &str) {
        LOOKED_AT.set(LOOKED_AT.get() + name.len() + 1);
    }

    /// How many bytes `work` looks at.
    pub(crate) fn bytes_looked_at<T>(work: impl FnOnce() -> T) -> (T, usize) {
        LOOKED_AT.set(0);
        let done = work();
        (done, LOOKED_AT.get())
    }
}

fn is_name(name: &str) -> bool {
    #[cfg(test)]
    counting::look(name);
    (1..=MAX_NAME_LEN).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_graphic())
}

impl core::fmt::Debug for NameList<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> IntoIterator for NameList<'a> {
    type Item = &'a str;
    type IntoIter = Names<'a>;

    fn into_iter(self) -> Names<'a> {
        self.iter()
    }
}

/// The names of a [`NameList`], in order.
#[derive(Clone, Debug)]
pub struct Names<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Names<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (name, rest) = self.rest.split_once(',').unwrap_or((self.rest, ""));
        self.rest = rest;
        #[cfg(test)]
        counting::look(name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec, vec::Vec};

    use super::*;

    #[test]
    fn names_come_in_order() {
        let list = NameList::new("a,bb,c@d").unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["a", "bb", "c@d"]);
        assert_eq!(list.first(), Some("a"));
        assert!(list.contains("bb") && !list.contains("b"));
        assert!(!list.is_empty());
        assert_eq!(alloc::format!("{list:?}"), r#"["a", "bb", "c@d"]"#);
        let none = NameList::new("").unwrap();
        assert!(none.is_empty() && none.iter().next().is_none() && none.first().is_none());
    }

    #[test]
    fn n1_one_trailing_comma_is_tolerated_and_kept() {
        let list = NameList::new("a,b,").unwrap();
        assert_eq!(list.iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(list.as_str(), "a,b,");
    }

    #[test]
    fn n1_malformed_names_are_refused() {
        let long: String = "x".repeat(65);
        for bad in [
            ",", "a,,b", ",a", "a,,", "a b", "a\u{7f}", "\u{e9}", "a\0", &long,
        ] {
            assert_eq!(NameList::new(bad), Err(WireError::NameInvalid), "{bad:?}");
        }
        assert!(NameList::new(&long[1..]).is_ok());
        let commas = vec![b','; 256 * 1024];
        assert_eq!(NameList::from_wire(&commas), Err(WireError::NameInvalid));
    }
}
