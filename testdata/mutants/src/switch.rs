//! Which mutant is active: `MUTANT=n`. With `MUTANTS_REACHED=file` none is, and the file is told of
//! each that is asked for. Compiled into the copy of the crate, not into this program.

extern crate std;

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::io::Write;
use std::sync::Mutex;

const UNKNOWN: u32 = u32::MAX;
const RECORDING: u32 = u32::MAX - 1;
const NONE: u32 = u32::MAX - 2;
const MOST: usize = 1 << 14;

static ACTIVE: AtomicU32 = AtomicU32::new(UNKNOWN);
static SEEN: [AtomicBool; MOST] = [const { AtomicBool::new(false) }; MOST];
static FILE: Mutex<Option<std::fs::File>> = Mutex::new(None);

#[inline(always)]
pub const fn active(number: u32) -> bool {
    core::intrinsics::const_eval_select((number,), never, asked)
}

const fn never(_: u32) -> bool {
    false
}

#[inline(always)]
fn asked(number: u32) -> bool {
    let active = ACTIVE.load(Relaxed);
    if active <= NONE {
        return active == number;
    }
    rarely(number)
}

#[cold]
#[inline(never)]
fn rarely(number: u32) -> bool {
    if ACTIVE.load(Relaxed) == UNKNOWN {
        let path = std::env::var_os("MUTANTS_REACHED");
        let chosen = std::env::var("MUTANT").ok().and_then(|n| n.parse().ok());
        let mut file = FILE.lock().unwrap();
        if let Some(path) = path {
            *file = Some(std::fs::File::create(path).unwrap());
            ACTIVE.store(RECORDING, Relaxed);
        } else {
            ACTIVE.store(chosen.unwrap_or(NONE), Relaxed);
        }
        drop(file);
        return asked(number);
    }
    if !SEEN[number as usize].swap(true, Relaxed)
        && let Some(file) = &mut *FILE.lock().unwrap()
    {
        file.write_all(&number.to_le_bytes()).unwrap();
    }
    false
}
