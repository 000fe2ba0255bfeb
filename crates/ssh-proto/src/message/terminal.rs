//! Encoded terminal modes (RFC 4254 section 8, RFC 8160).
//!
//! ```text
//!   opcode 1..159, uint32   a mode and its value, any number of times
//!   opcode 0                the end; may be missing
//!   opcode 160..255         not defined: parsing stops here
//! ```
//!
//! A mode whose value is cut off, and bytes behind the end, are refused when they are decoded, so
//! that iterating cannot fail.

use alloc::vec::Vec;
use core::{fmt, iter::FusedIterator};

use super::Body;
use crate::wire::{Reader, Sink, WireError};

/// `TTY_OP_END`
const END: u8 = 0;
/// The first opcode that has no meaning yet.
const FIRST_UNDEFINED: u8 = 160;

/// Terminal modes in their encoded form, borrowed from a packet or a [`TerminalModesBuf`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct TerminalModes<'a> {
    encoded: &'a [u8],
}

impl<'a> TerminalModes<'a> {
    /// No modes at all, not even an end.
    pub const EMPTY: Self = Self { encoded: &[] };

    /// Checks encoded modes.
    pub fn from_encoded(encoded: &'a [u8]) -> Result<Self, WireError> {
        let mut r = Reader::new(encoded);
        while !r.is_empty() {
            match r.u8()? {
                END => return r.finish().map(|()| Self { encoded }),
                FIRST_UNDEFINED.. => break,
                _ => r.u32()?,
            };
        }
        Ok(Self { encoded })
    }

    /// The modes in the order in which they were sent. A mode may occur more than once; the last
    /// one counts, as it would when they are applied one after the other.
    pub const fn iter(&self) -> TerminalModesIter<'a> {
        TerminalModesIter {
            r: Reader::new(self.encoded),
        }
    }

    /// The value of `mode`, if it was sent.
    pub fn value(&self, mode: TerminalMode) -> Option<u32> {
        self.iter()
            .filter(|&(m, _)| m == mode)
            .map(|(_, value)| value)
            .last()
    }

    /// The encoded form.
    pub const fn as_encoded(&self) -> &'a [u8] {
        self.encoded
    }
}

impl<'a> Body<'a> for TerminalModes<'a> {
    fn decode_body(r: &mut Reader<'a>) -> Result<Self, WireError> {
        Self::from_encoded(r.string()?)
    }

    fn encode_body<S: Sink + ?Sized>(&self, out: &mut S) {
        out.put_string(self.encoded);
    }
}

impl<'a> IntoIterator for TerminalModes<'a> {
    type Item = (TerminalMode, u32);
    type IntoIter = TerminalModesIter<'a>;

    fn into_iter(self) -> TerminalModesIter<'a> {
        self.iter()
    }
}

impl fmt::Debug for TerminalModes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// The modes of [`TerminalModes`], in order.
#[derive(Clone, Debug)]
pub struct TerminalModesIter<'a> {
    r: Reader<'a>,
}

impl Iterator for TerminalModesIter<'_> {
    type Item = (TerminalMode, u32);

    fn next(&mut self) -> Option<(TerminalMode, u32)> {
        match self.r.u8() {
            Ok(opcode) if opcode != END && opcode < FIRST_UNDEFINED => {
                Some((TerminalMode(opcode), self.r.u32().ok()?))
            }
            _ => {
                self.r.rest();
                None
            }
        }
    }
}

impl FusedIterator for TerminalModesIter<'_> {}

/// Builds encoded terminal modes.
///
/// ```
/// use ssh_proto::message::{TerminalMode, TerminalModesBuf};
///
/// let modes = TerminalModesBuf::from_iter([(TerminalMode::ECHO, 1), (TerminalMode::VINTR, 3)]);
/// assert_eq!(modes.as_modes().as_encoded(), [53, 0, 0, 0, 1, 1, 0, 0, 0, 3, 0]);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TerminalModesBuf {
    /// Ends with `END`.
    encoded: Vec<u8>,
}

impl TerminalModesBuf {
    /// No modes.
    pub fn new() -> Self {
        Self {
            encoded: Vec::from([END]),
        }
    }

    /// Adds a mode. An opcode that is not a mode (0, or 160 and above) changes nothing, since it
    /// would end the list.
    pub fn push(&mut self, mode: TerminalMode, value: u32) {
        if mode.0 == END || mode.0 >= FIRST_UNDEFINED {
            return;
        }
        self.encoded.pop();
        self.encoded.put_u8(mode.0);
        self.encoded.put_u32(value);
        self.encoded.put_u8(END);
    }

    /// The modes so far.
    pub fn as_modes(&self) -> TerminalModes<'_> {
        TerminalModes {
            encoded: &self.encoded,
        }
    }
}

impl Default for TerminalModesBuf {
    fn default() -> Self {
        Self::new()
    }
}

impl Extend<(TerminalMode, u32)> for TerminalModesBuf {
    fn extend<I: IntoIterator<Item = (TerminalMode, u32)>>(&mut self, modes: I) {
        modes
            .into_iter()
            .for_each(|(mode, value)| self.push(mode, value));
    }
}

impl FromIterator<(TerminalMode, u32)> for TerminalModesBuf {
    fn from_iter<I: IntoIterator<Item = (TerminalMode, u32)>>(modes: I) -> Self {
        let mut buf = Self::new();
        buf.extend(modes);
        buf
    }
}

impl fmt::Debug for TerminalModesBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_modes().fmt(f)
    }
}

/// The opcode of a terminal mode (RFC 4254 section 8).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TerminalMode(
    /// The opcode on the wire.
    pub u8,
);

macro_rules! terminal_modes {
    ($($opcode:literal $name:ident $doc:literal,)+) => {
        impl TerminalMode {
            $(
                #[doc = $doc]
                pub const $name: Self = Self($opcode);
            )+

            /// Every mode that has a name, in the order of the opcodes.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The RFC's name.
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($opcode => Some(stringify!($name)),)+
                    _ => None,
                }
            }
        }
    };
}

terminal_modes! {
    1 VINTR "Interrupt character; 255 if none, as for the other characters.",
    2 VQUIT "Quit character.",
    3 VERASE "Erases the character to the left.",
    4 VKILL "Erases the line.",
    5 VEOF "End-of-file character.",
    6 VEOL "End-of-line character besides CR and LF.",
    7 VEOL2 "Another end-of-line character.",
    8 VSTART "Continues output, usually control-Q.",
    9 VSTOP "Pauses output, usually control-S.",
    10 VSUSP "Suspends the program.",
    11 VDSUSP "Suspends the program, another character.",
    12 VREPRINT "Prints the line again.",
    13 VWERASE "Erases the word to the left.",
    14 VLNEXT "Takes the next character literally.",
    15 VFLUSH "Flushes output.",
    16 VSWTCH "Switches to another shell layer.",
    17 VSTATUS "Prints a status line.",
    18 VDISCARD "Toggles discarding of output.",
    30 IGNPAR "Ignores parity errors; a flag is 0 or 1, here and below.",
    31 PARMRK "Marks parity and framing errors.",
    32 INPCK "Checks parity.",
    33 ISTRIP "Strips the eighth bit.",
    34 INLCR "Maps NL to CR on input.",
    35 IGNCR "Ignores CR on input.",
    36 ICRNL "Maps CR to NL on input.",
    37 IUCLC "Maps upper case to lower case.",
    38 IXON "Flow control of output.",
    39 IXANY "Any character restarts output.",
    40 IXOFF "Flow control of input.",
    41 IMAXBEL "Rings the bell when the input queue is full.",
    42 IUTF8 "Input is UTF-8 (RFC 8160).",
    50 ISIG "Signals from INTR, QUIT and SUSP.",
    51 ICANON "Input line by line.",
    52 XCASE "Upper case by a backslash and lower case.",
    53 ECHO "Echo.",
    54 ECHOE "Erases visibly.",
    55 ECHOK "Kill discards the line visibly.",
    56 ECHONL "Echoes NL even without ECHO.",
    57 NOFLSH "No flush after an interrupt.",
    58 TOSTOP "Stops background jobs that write.",
    59 IEXTEN "Extensions.",
    60 ECHOCTL "Echoes control characters as ^x.",
    61 ECHOKE "Erases the killed line visibly.",
    62 PENDIN "Types pending input again.",
    70 OPOST "Output is processed.",
    71 OLCUC "Maps lower case to upper case.",
    72 ONLCR "Maps NL to CR NL on output.",
    73 OCRNL "Maps CR to NL on output.",
    74 ONOCR "Maps NL to CR NL on output.",
    75 ONLRET "NL returns the carriage on output.",
    90 CS7 "Seven bits.",
    91 CS8 "Eight bits.",
    92 PARENB "Parity.",
    93 PARODD "Odd parity; even otherwise.",
    128 TTY_OP_ISPEED "Input speed in bits per second.",
    129 TTY_OP_OSPEED "Output speed in bits per second.",
}

impl fmt::Display for TerminalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl fmt::Debug for TerminalMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TerminalMode({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modes(encoded: &[u8]) -> Result<Vec<(u8, u32)>, WireError> {
        let modes = TerminalModes::from_encoded(encoded)?;
        Ok(modes.iter().map(|(mode, value)| (mode.0, value)).collect())
    }

    #[test]
    fn modes_are_read_up_to_the_end() {
        assert_eq!(modes(&[]), Ok([].into()));
        assert_eq!(modes(&[0]), Ok([].into()));
        assert_eq!(modes(&[53, 0, 0, 0, 1, 0]), Ok([(53, 1)].into()));
        assert_eq!(modes(&[53, 0, 0, 0, 1]), Ok([(53, 1)].into()));
        assert_eq!(
            modes(&[159, 1, 2, 3, 4, 19, 0, 0, 0, 0]),
            Ok([(159, 0x01020304), (19, 0)].into())
        );
    }

    //= rfc4254#section-8
    //# Opcodes 160 to 255 are not yet defined, and cause parsing to stop
    #[test]
    fn undefined_opcodes_stop_parsing() {
        for behind in [
            &[][..],
            &[1, 2],
            &[1, 2, 3, 4],
            &[1, 2, 3, 4, 53, 0, 0, 0, 1],
        ] {
            let encoded = [&[1, 0, 0, 0, 3, 160][..], behind].concat();
            assert_eq!(modes(&encoded), Ok([(1, 3)].into()), "{behind:?}");
        }
        assert_eq!(modes(&[255]), Ok([].into()));
    }

    #[test]
    fn p12_a_value_that_is_cut_off_is_refused() {
        for cut in 1..5 {
            assert_eq!(modes(&[53, 0, 0, 0, 1][..cut]), Err(WireError::Truncated));
        }
    }

    #[test]
    fn p11_bytes_behind_the_end_are_refused() {
        assert_eq!(modes(&[0, 0]), Err(WireError::TrailingBytes));
    }

    #[test]
    fn modes_are_collected_in_their_order() {
        let modes = [(TerminalMode::VINTR, 3), (TerminalMode::ECHO, 1)];
        let mut buf = TerminalModesBuf::from_iter(modes);
        assert!(buf.as_modes().iter().eq(modes));
        buf.extend([(TerminalMode::ECHO, 0)]);
        assert_eq!(buf.as_modes().iter().count(), 3);
        assert_eq!(
            buf.as_modes().value(TerminalMode::ECHO),
            Some(0),
            "the last one"
        );
    }

    #[test]
    fn what_is_built_is_read() {
        let mut buf = TerminalModesBuf::new();
        assert_eq!(buf.as_modes().as_encoded(), [0]);
        buf.push(TerminalMode::IUTF8, 1);
        buf.push(TerminalMode(0), 1);
        buf.push(TerminalMode(160), 1);
        buf.push(TerminalMode::TTY_OP_OSPEED, 38400);
        let encoded = [42, 0, 0, 0, 1, 129, 0, 0, 0x96, 0, 0];
        assert_eq!(buf.as_modes().as_encoded(), encoded);
        assert_eq!(TerminalModes::from_encoded(&encoded), Ok(buf.as_modes()));
        assert_eq!(
            buf.as_modes().value(TerminalMode::TTY_OP_OSPEED),
            Some(38400)
        );
        assert_eq!(buf.as_modes().value(TerminalMode::ECHO), None);
    }
}
