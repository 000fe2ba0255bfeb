//! What of an attack is not tested, and why. An attack that stands here and has tests is open in
//! part.

/// The id, and what is lacking.
#[rustfmt::skip]
pub(super) const OPEN: &[(&str, &str)] = &[
    ("H13", "there are no certificates"),
    ("H15", "there are no updates of host keys"),
    ("A10", "there are no security keys"),
    ("C4", "there is no keyboard-interactive"),
    ("A6", "there is no keyboard-interactive"),
    ("A4", "a pending keyboard-interactive, which does not exist here"),
    ("A7", "signatures bound to the host key (publickey-hostbound-v00), which do not exist here"),
    ("C1", "success after keyboard-interactive without prompts, which does not exist here"),
    ("C2", "success in the middle of keyboard-interactive, which does not exist here"),
    ("F5", "PuTTY's and PKCS#8 files, which are not read here"),
    ("X17", "signals where the command is forced: there are no forced commands yet"),
    ("J2", "names of files: there is no SFTP"),
    ("Q3", "numbers inside the arithmetic of curves and of ML-KEM, RSA keys (see security.md) and the stack"),
    ("P5", "behind a handshake a sample of the bits is flipped in each mode; every bit of a packet by itself"),
    ("H1", "a verifier that panics, in the drivers"),
    ("H2", "each step of the verification is failed by its input; key derivation and hashing cannot fail"),
    ("P9", "ten thousand unknown messages in the quick test, a hundred thousand UNIMPLEMENTED"),
    ("F1", "there is no agent"),
    ("F2", "there is no agent"),
    ("F3", "there is no agent"),
    ("F4", "there is no agent"),
    ("J4", "there is no SFTP and no SCP"),
    ("J5", "there is no SFTP and no SCP"),
    ("D2", "the work for name-lists is counted, that of a key exchange and of signatures is not"),
    ("D6", "the times of keystrokes are not hidden: nothing sends in intervals, nor chaff"),
    ("Q1", "times have not been measured; comparisons are constant-time by construction"),
    ("Q2", "times have not been measured; comparisons are constant-time by construction"),
];
