//! What an SSH server wants.
#![no_std]
#![forbid(unsafe_code)]
