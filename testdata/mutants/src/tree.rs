//! A copy of the repository with all mutants in it, and how it is built.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::Failure;
use crate::list::Mutant;
use crate::plant::{Planted, plant};

/// The crate that the mutants are in, as a path and as the compiler knows it.
const CRATE: &str = "crates/ssh-proto";
const CRATE_NAME: &str = "ssh_proto";
/// Programs of tests, as arguments of `cargo test`.
const TESTS: &[&str] = &[
    "-p",
    "ssh-proto",
    "-p",
    "ssh-testkit",
    "--lib",
    "--test",
    "core",
];

/// The switch, compiled into the copy. A constant function can ask it too, and is told `false` while
/// it is evaluated by the compiler; that takes an unstable function of the compiler.
const SWITCH: &str = include_str!("switch.rs");

/// Mutants that the copy does not hold.
#[derive(Default)]
pub struct Left {
    /// They do not compile.
    pub unviable: BTreeSet<usize>,
    /// There is no place for them, or none that compiles.
    pub unplanted: BTreeSet<usize>,
}

/// A program of tests.
#[derive(Clone, Debug)]
pub struct Program {
    pub path: PathBuf,
    /// Where cargo would run it.
    pub directory: PathBuf,
}

pub struct Tree {
    root: PathBuf,
    target: PathBuf,
    wrapper: PathBuf,
}

impl Tree {
    /// Copies what git knows of `origin` to `place`.
    pub fn copy(origin: &Path, place: &Path) -> Result<Self, Failure> {
        let place = std::path::absolute(place)?;
        let root = place.join("tree");
        let output = Command::new("git")
            .args([
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ])
            .current_dir(origin)
            .output()?;
        let files = String::from_utf8(output.stdout)?;
        let files: BTreeSet<&str> = files.split_terminator('\0').collect();
        // What was there the last time and is not any more.
        for old in all_files(&root).unwrap_or_default() {
            let file = old.strip_prefix(&root)?.to_string_lossy();
            if !files.contains(&*file) || !origin.join(&*file).exists() {
                fs::remove_file(&old)?;
            }
        }
        for file in files {
            // What is planted is written later, once, so that its time is not always new.
            if let Ok(bytes) = fs::read(origin.join(file))
                && !(file.starts_with(CRATE) && file.ends_with(".rs"))
            {
                write(&root.join(file), &bytes)?;
            }
        }
        let wrapper = place.join("rustc.sh");
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *\" --crate-name {CRATE_NAME} \"*)\n\
             RUSTC_BOOTSTRAP=1 exec \"$@\" --cap-lints allow ;;\nesac\nexec \"$@\"\n"
        );
        write(&wrapper, script.as_bytes())?;
        #[cfg(unix)]
        fs::set_permissions(
            &wrapper,
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;
        Ok(Self {
            root,
            target: place.join("target"),
            wrapper,
        })
    }

    /// Plants as many mutants as compile, and builds the programs.
    pub fn build(
        &self,
        origin: &Path,
        mutants: &[Mutant],
    ) -> Result<(Vec<Program>, Left), Failure> {
        let mut left = Left::default();
        loop {
            let planted = self.plant(origin, mutants, &mut left)?;
            let (programs, errors) = self.compile()?;
            if errors.is_empty() {
                return Ok((programs, left));
            }
            let before = (left.unviable.len(), left.unplanted.len());
            for error in &errors {
                blame(error, &planted, &mut left);
            }
            eprintln!(
                "{} errors; {} mutants do not compile, {} are not planted",
                errors.len(),
                left.unviable.len(),
                left.unplanted.len()
            );
            if before == (left.unviable.len(), left.unplanted.len()) {
                for error in &errors {
                    eprintln!("{}", error.rendered.as_deref().unwrap_or(&error.message));
                }
                return Err("no mutant is to blame for these errors".into());
            }
        }
    }

    /// Writes the crate with all mutants that are not left out.
    fn plant(
        &self,
        origin: &Path,
        mutants: &[Mutant],
        left: &mut Left,
    ) -> Result<BTreeMap<String, Planted>, Failure> {
        let mut by_file: BTreeMap<&str, Vec<(usize, &Mutant)>> = BTreeMap::new();
        for (number, mutant) in mutants.iter().enumerate() {
            let file = by_file.entry(&mutant.file).or_default();
            if !left.unviable.contains(&number) && !left.unplanted.contains(&number) {
                file.push((number, mutant));
            }
        }
        let mut planted = BTreeMap::new();
        for path in all_files(&origin.join(CRATE))? {
            if path.extension().is_none_or(|extension| extension != "rs") {
                continue;
            }
            let file = path.strip_prefix(origin)?.to_string_lossy().into_owned();
            let mut text = fs::read_to_string(&path)?;
            if let Some(mutants) = by_file.get(file.as_str()) {
                let with_mutants = plant(&text, mutants)?;
                left.unplanted.extend(&with_mutants.homeless);
                text.clone_from(&with_mutants.text);
                planted.insert(file.clone(), with_mutants);
            }
            if file == format!("{CRATE}/src/lib.rs") {
                text += "\n#[doc(hidden)]\npub mod mutants;\n";
                text.insert_str(
                    text.find("#![no_std]").unwrap_or(0),
                    "#![feature(core_intrinsics, const_eval_select)]\n",
                );
            }
            write(&self.root.join(&file), text.as_bytes())?;
        }
        let switch = self.root.join(CRATE).join("src/mutants.rs");
        write(&switch, SWITCH.as_bytes())?;
        Ok(planted)
    }

    fn compile(&self) -> Result<(Vec<Program>, Vec<Diagnostic>), Failure> {
        let mut child = Command::new("cargo")
            .args(["test", "--no-run", "--message-format=json", "--quiet"])
            .args(TESTS)
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target)
            .env("RUSTC_WORKSPACE_WRAPPER", &self.wrapper)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let (mut programs, mut errors) = (Vec::new(), Vec::new());
        let stdout = child.stdout.take().ok_or("no output of cargo")?;
        for line in BufReader::new(stdout).lines() {
            match serde_json::from_str(&line?)? {
                Message::Diagnostic { message } if message.level == "error" => {
                    errors.push(message);
                }
                Message::Artifact {
                    executable: Some(path),
                    manifest_path,
                } => programs.push(Program {
                    path,
                    directory: manifest_path
                        .parent()
                        .map(Path::to_owned)
                        .unwrap_or_default(),
                }),
                _ => {}
            }
        }
        if !child.wait()?.success() && errors.is_empty() {
            return Err("cargo failed without an error of the compiler".into());
        }
        // The last one counts the others.
        errors.retain(|error| !error.spans.is_empty());
        Ok((programs, errors))
    }
}

#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-message")]
    Diagnostic { message: Diagnostic },
    #[serde(rename = "compiler-artifact")]
    Artifact {
        executable: Option<PathBuf>,
        manifest_path: PathBuf,
    },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    message: String,
    code: Option<DiagnosticCode>,
    spans: Vec<DiagnosticSpan>,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct DiagnosticCode {
    code: String,
}

#[derive(Deserialize)]
struct DiagnosticSpan {
    file_name: String,
    byte_start: usize,
    byte_end: usize,
}

/// Leaves out the mutants that an error is about: those whose text it points at; where a `match` is
/// not exhaustive, the last of its arms that have a guard now; or else those of the closest original.
fn blame(error: &Diagnostic, planted: &BTreeMap<String, Planted>, left: &mut Left) {
    let spans = || {
        error.spans.iter().filter_map(|span| {
            let planted = planted.get(&span.file_name)?;
            Some((planted, span.byte_start..span.byte_end))
        })
    };
    let holds = |outer: &Range<usize>, inner: &Range<usize>| {
        outer.start <= inner.start && inner.end <= outer.end
    };
    let mut known = false;
    for (planted, span) in spans() {
        let those = planted
            .mutated
            .iter()
            .filter(|(range, _)| holds(range, &span));
        for (_, number) in those {
            left.unviable.insert(*number);
            known = true;
        }
    }
    if known {
        return;
    }
    for (planted, span) in spans() {
        let closest = |places: &'_ [(Range<usize>, Vec<usize>)]| {
            let around = places
                .iter()
                .filter(|(range, of)| !of.is_empty() && holds(range, &span));
            around
                .min_by_key(|(range, _)| range.len())
                .map(|(_, of)| of.clone())
        };
        if error.code.as_ref().is_some_and(|code| code.code == "E0004") {
            left.unviable
                .extend(closest(&planted.matches).and_then(|of| of.last().copied()));
        } else {
            left.unplanted
                .extend(closest(&planted.around).into_iter().flatten());
        }
    }
}

fn all_files(directory: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            files.append(&mut all_files(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// Writes a file unless it holds that already, so that cargo does not take it for new.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    Ok(fs::write(path, bytes)?)
}
