//! Results that a fuzzer need not compute again.
//!
//! A fuzz target draws its randomness from a fixed source, so the same few key exchanges come back
//! in every run, and their arithmetic is nearly all of its time. `remembered!` looks up what a pure
//! function has given for the same inputs, to the last bit, before it calls it: nothing is
//! stubbed, and a build with it does what a build without it does.
//!
//! It takes both the feature `internal-fuzzing` and `--cfg fuzzing`, which is no feature and so in
//! the hands of whoever builds the program, as cargo-fuzz does. In every other build
//! `remembered!` is its last argument, and nothing else in this file exists: a table of secrets
//! has no place in a program.

/// `remembered!("what", [input, ...]; expression)`: the value of an expression that depends on
/// nothing but `what` and the inputs, which are `&[u8]`.
#[cfg(not(all(feature = "internal-fuzzing", fuzzing)))]
macro_rules! remembered {
    ($what:literal, [$($input:expr),*]; $compute:expr) => {
        $compute
    };
}

#[cfg(all(feature = "internal-fuzzing", fuzzing))]
macro_rules! remembered {
    ($what:literal, [$($input:expr),*]; $compute:expr) => {
        $crate::crypto::memo::table::look_up($what, &[$($input),*], || $compute)
    };
}

pub(super) use remembered;

#[cfg(all(feature = "internal-fuzzing", fuzzing))]
pub(super) mod table {
    use alloc::boxed::Box;
    use alloc::vec::Vec;
    use core::any::Any;
    use core::cell::RefCell;
    use std::collections::HashMap;

    /// More of them than one campaign repeats; then all are forgotten.
    const MOST: usize = 8192;

    type Table = HashMap<(&'static str, Vec<u8>), Box<dyn Any>>;

    std::thread_local! {
        static TABLE: RefCell<Table> = RefCell::new(Table::new());
    }

    pub(in crate::crypto) fn look_up<T: Clone + 'static>(
        what: &'static str,
        inputs: &[&[u8]],
        compute: impl FnOnce() -> T,
    ) -> T {
        let mut key = Vec::new();
        for input in inputs {
            key.extend_from_slice(&input.len().to_be_bytes());
            key.extend_from_slice(input);
        }
        let key = (what, key);
        let known = TABLE.with_borrow(|table| table.get(&key)?.downcast_ref::<T>().cloned());
        known.unwrap_or_else(|| {
            let value = compute();
            TABLE.with_borrow_mut(|table| {
                if table.len() >= MOST {
                    table.clear();
                }
                table.insert(key, Box::new(value.clone()));
            });
            value
        })
    }
}
