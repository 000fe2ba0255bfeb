//! The local terminal: raw while a remote shell runs, and never left that way.

use std::io::{self, IsTerminal, Write};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use ssh_proto::message::TerminalSize;

/// Standard input in raw mode; as before when dropped.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// `None` if standard input is no terminal.
    pub(crate) fn enter() -> io::Result<Option<Self>> {
        if !io::stdin().is_terminal() {
            return Ok(None);
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Some(Self { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// The size of the local terminal, zero where it is unknown.
pub(crate) fn size() -> TerminalSize {
    tcgetwinsize(io::stdout()).map_or_else(
        |_| TerminalSize::default(),
        |size| TerminalSize {
            columns: size.ws_col.into(),
            rows: size.ws_row.into(),
            width_pixels: size.ws_xpixel.into(),
            height_pixels: size.ws_ypixel.into(),
        },
    )
}

/// Asks for a password without showing it. `None` without a terminal to ask on.
pub(crate) fn password(prompt: &str) -> Option<String> {
    if !io::stdin().is_terminal() {
        return None;
    }
    let before = tcgetattr(io::stdin()).ok()?;
    let mut quiet = before.clone();
    quiet.local_modes &= !LocalModes::ECHO;
    tcsetattr(io::stdin(), OptionalActions::Flush, &quiet).ok()?;
    let restore = Raw { before };
    eprint!("{prompt}: ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    let read = io::stdin().read_line(&mut line);
    drop(restore);
    eprintln!();
    read.ok().filter(|n| *n > 0)?;
    Some(line.trim_end_matches(['\r', '\n']).to_owned())
}
