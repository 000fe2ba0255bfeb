//! What there is to be planted: the list that cargo-mutants makes.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::Failure;

/// One mutant, as far as it matters here.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Mutant {
    /// File, line, column and what is done: what cargo-mutants prints, and takes as a regex.
    pub name: String,
    pub file: String,
    pub genre: Genre,
    pub replacement: String,
    pub span: Span,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub enum Genre {
    FnValue,
    BinaryOperator,
    UnaryOperator,
    MatchArm,
    MatchArmGuard,
    StructField,
}

#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Span {
    pub start: Place,
    pub end: Place,
}

/// Both count from 1; columns are characters.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

/// The mutants that `.cargo/mutants.toml` has in mind.
pub fn list(root: &Path) -> Result<Vec<Mutant>, Failure> {
    let output = Command::new("cargo")
        .args(["mutants", "--list", "--json", "--package", "ssh-proto"])
        .current_dir(root)
        .stderr(Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err("`cargo mutants --list` failed: is cargo-mutants installed?".into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}
