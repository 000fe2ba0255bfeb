//! Patterns for host names and addresses: `*` and `?` wildcards, comma lists with `!` negation,
//! and address ranges in CIDR form, as `known_hosts` and the `from` option of `authorized_keys`
//! use them.
//!
//! Matching folds ASCII case and nothing else. It takes at most `pattern × text` steps and never
//! recurses, so that `*a*a*a*a*b` costs no more than what its length says. One negated pattern
//! that matches decides over the whole list, wherever it stands, and a list that cannot be read
//! to its end matches nothing.

use alloc::{format, string::ToString};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The longest single pattern, in bytes; a host name has at most 255.
pub const MAX_PATTERN_LEN: usize = 1024;

/// Whether `pattern` covers all of `text`: `*` stands for any run of bytes, `?` for one byte, and
/// everything else for itself, upper and lower case ASCII letters being equal.
///
/// ```
/// use ssh_keys::pattern::wildcard;
///
/// assert!(wildcard(b"*.example.org", b"Host.Example.ORG"));
/// assert!(!wildcard(b"*.example.org", b"example.org"));
/// ```
pub fn wildcard(pattern: &[u8], text: &[u8]) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // Where to go on when the literal after the last star did not fit: one byte further.
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        match (pattern, text) {
            ([b'*', after @ ..], _) => {
                retry = Some((after, text));
                pattern = after;
            }
            ([p, p_rest @ ..], [t, t_rest @ ..]) if *p == b'?' || p.eq_ignore_ascii_case(t) => {
                (pattern, text) = (p_rest, t_rest);
            }
            ([], []) => return true,
            _ => match retry {
                Some((after, [_, later @ ..])) => {
                    retry = Some((after, later));
                    (pattern, text) = (after, later);
                }
                _ => return false,
            },
        }
    }
}

/// What a comma list of patterns says about a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListMatch {
    /// A pattern matches and none of the negated ones does.
    Yes,
    /// No pattern matches.
    No,
    /// A negated pattern matches: this outweighs every other pattern of the list.
    Negated,
}

/// Matches `text` against a comma list of [`wildcard`] patterns, each of which `!` may negate.
pub fn list(patterns: &[u8], text: &[u8]) -> ListMatch {
    let mut result = ListMatch::No;
    for pattern in patterns.split(|&b| b == b',') {
        match pattern {
            [b'!', negated @ ..] if wildcard(negated, text) => return ListMatch::Negated,
            [b'!', ..] => {}
            _ if wildcard(pattern, text) => result = ListMatch::Yes,
            _ => {}
        }
    }
    result
}

/// Whether a list such as `10.0.0.0/8,*.example.org,!10.6.6.6` allows a client that comes from
/// `address`, whose name (if it was resolved, and the name resolves back) is `host`.
///
/// A list with an invalid range allows nobody: a typing error must not open what a negation
/// further on was meant to close.
///
/// ```
/// use ssh_keys::pattern::allows;
///
/// let list = "192.0.2.0/24,!192.0.2.66,*.example.org";
/// assert!(allows(list, None, "192.0.2.1".parse()?));
/// assert!(!allows(list, None, "192.0.2.66".parse()?));
/// assert!(!allows(list, Some("host.example.org"), "192.0.2.66".parse()?));
/// # Ok::<(), core::net::AddrParseError>(())
/// ```
pub fn allows(patterns: &str, host: Option<&str>, address: IpAddr) -> bool {
    // An IPv4 client of a dual-stack socket shows as ::ffff:a.b.c.d, which no IPv4 pattern matches.
    let address = address.to_canonical();
    let text = address.to_string();
    let mut allowed = false;
    for item in patterns.split(',') {
        let (pattern, negated) = match item.strip_prefix('!') {
            Some(pattern) => (pattern, true),
            None => (item, false),
        };
        let matched = if pattern.contains('/') {
            let Some(range) = Cidr::parse(pattern) else {
                return false;
            };
            range.contains(address)
        } else {
            let pattern = pattern.as_bytes();
            wildcard(pattern, text.as_bytes())
                || host.is_some_and(|host| wildcard(pattern, host.as_bytes()))
        };
        match (matched, negated) {
            (true, true) => return false,
            (true, false) => allowed = true,
            (false, _) => {}
        }
    }
    allowed
}

/// Whether every item of the list can be matched: none empty or longer than
/// [`MAX_PATTERN_LEN`], every range valid.
pub fn is_valid_address_list(patterns: &str) -> bool {
    patterns.split(',').all(|item| {
        let pattern = item.strip_prefix('!').unwrap_or(item);
        (1..=MAX_PATTERN_LEN).contains(&pattern.len())
            && (!pattern.contains('/') || Cidr::parse(pattern).is_some())
    })
}

/// The name under which a host is looked up: the plain name on port 22, `[name]:port` elsewhere.
pub(crate) fn host_and_port(host: &str, port: u16) -> alloc::string::String {
    let host = host.to_ascii_lowercase();
    if port == 22 {
        host
    } else {
        format!("[{host}]:{port}")
    }
}

/// A network in CIDR form, whose bits behind the prefix are zero.
#[derive(Clone, Copy, Debug)]
struct Cidr {
    network: IpAddr,
    prefix: u32,
}

impl Cidr {
    fn parse(text: &str) -> Option<Self> {
        let (network, prefix) = text.split_once('/')?;
        if prefix.is_empty() || prefix.len() > 3 || !prefix.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let range = Self {
            network: network.parse().ok()?,
            prefix: prefix.parse().ok()?,
        };
        let host_bits = match range.network {
            IpAddr::V4(v4) if range.prefix <= 32 => u128::from(v4.to_bits() & !range.mask_v4()),
            IpAddr::V6(v6) if range.prefix <= 128 => v6.to_bits() & !range.mask_v6(),
            _ => return None,
        };
        (host_bits == 0).then_some(range)
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.network, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                Ipv4Addr::from_bits(address.to_bits() & self.mask_v4()) == network
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                Ipv6Addr::from_bits(address.to_bits() & self.mask_v6()) == network
            }
            _ => false,
        }
    }

    const fn mask_v4(self) -> u32 {
        match u32::MAX.checked_shl(32_u32.saturating_sub(self.prefix)) {
            Some(mask) => mask,
            None => 0,
        }
    }

    const fn mask_v6(self) -> u128 {
        match u128::MAX.checked_shl(128_u32.saturating_sub(self.prefix)) {
            Some(mask) => mask,
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn wildcards_match_like_a_shell() {
        for (pattern, text, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("**", "abc", true),
            ("?", "", false),
            ("a?c", "aBc", true),
            ("*.b.c", "a.b.c", true),
            ("*.b.c", "b.c", false),
            ("a*b*c", "axxbyybzzc", true),
            ("a*b*c", "axxbyybzz", false),
            ("[*]:22*", "[h]:2222", true),
        ] {
            let got = wildcard(pattern.as_bytes(), text.as_bytes());
            assert_eq!(got, expected, "{pattern} {text}");
        }
    }

    #[test]
    fn h14_many_stars_cost_no_more_than_their_length() {
        let pattern: Vec<u8> = b"*a".repeat(500);
        let text = [b'a'; 400];
        assert!(!wildcard(&pattern, &text));
    }

    #[test]
    fn a_negated_pattern_decides_wherever_it_stands() {
        assert_eq!(list(b"*.org,!a.org", b"a.org"), ListMatch::Negated);
        assert_eq!(list(b"!a.org,*.org", b"a.org"), ListMatch::Negated);
        assert_eq!(list(b"!a.org,*.org", b"b.org"), ListMatch::Yes);
        assert_eq!(list(b"!a.org", b"b.org"), ListMatch::No);
    }

    #[test]
    fn ranges_follow_the_prefix() {
        assert!(allows("10.0.0.0/8", None, ip("10.255.0.1")));
        assert!(!allows("10.0.0.0/8", None, ip("11.0.0.1")));
        assert!(allows("0.0.0.0/0", None, ip("203.0.113.9")));
        assert!(!allows("0.0.0.0/0", None, ip("2001:db8::1")));
        assert!(allows("2001:db8::/32,::/128", None, ip("2001:db8:ffff::1")));
        assert!(allows("192.0.2.7/32", None, ip("::ffff:192.0.2.7")));
        assert!(allows("::/0", None, ip("2001:db8::1")));
    }

    #[test]
    fn an_invalid_range_allows_nobody() {
        for bad in [
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::/129",
            "x/8",
            "10.0.0.0/8/8",
        ] {
            assert!(!is_valid_address_list(bad), "{bad}");
            assert!(!allows(&format!("{bad},*"), None, ip("10.0.0.1")), "{bad}");
        }
        assert!(!is_valid_address_list("a,,b") && !is_valid_address_list(""));
        assert!(is_valid_address_list("*.example.org,!192.0.2.0/24"));
    }

    /// The obvious recursive definition.
    fn reference(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', p @ ..], _) => (0..=text.len()).any(|n| reference(p, &text[n..])),
            ([b'?', p @ ..], [_, t @ ..]) => reference(p, t),
            ([a, p @ ..], [b, t @ ..]) => a.eq_ignore_ascii_case(b) && reference(p, t),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn wildcard_equals_its_recursive_definition(p in "[abA*?]{0,8}", t in "[abB]{0,10}") {
            let (p, t) = (p.as_bytes(), t.as_bytes());
            prop_assert_eq!(wildcard(p, t), reference(p, t));
        }
    }
}
