//! Replays the corpora of all fuzz targets, so that what a fuzzer once found stays fixed for those
//! who have none. One test for each target; the body is the very one that libFuzzer runs. And the
//! corpora of connections are counted: they take every message past the gate that can get there.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use ssh_fuzz::reach::{OUT_OF_REACH, reachable, reached};
use ssh_proto::Role;

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = ssh_fuzz::TARGETS
        .iter()
        .map(|&(name, target)| Trial::test(name, move || replay(name, target)))
        .collect();
    trials.push(Trial::test(
        "every_corpus_has_a_target",
        every_corpus_has_a_target,
    ));
    trials.push(Trial::test("corpora_stay_small", corpora_stay_small));
    for (name, role) in [("client", Role::Client), ("server", Role::Server)] {
        trials.push(Trial::test(
            format!("every_message_gets_past_the_gate_of_a_{name}"),
            move || every_message_gets_in(name, role),
        ));
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn corpus() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus"))
}

fn replay(name: &str, target: fn(&[u8])) -> Result<(), Failed> {
    let mut files = 0;
    for file in fs::read_dir(corpus().join(name))? {
        let path = file?.path();
        let bytes = fs::read(&path)?;
        files += 1;
        if catch_unwind(|| target(&bytes)).is_err() {
            return Err(format!("{} fails", path.display()).into());
        }
    }
    if files == 0 {
        return Err("an empty corpus replays nothing".into());
    }
    Ok(())
}

/// In every state every number that the gate accepts, and every name of a request, a channel and a
/// method.
fn every_message_gets_in(name: &str, role: Role) -> Result<(), Failed> {
    let mut missing = reachable(role);
    for target in ["valid", "bytes"].map(|how| format!("{name}_{how}")) {
        let found = ssh_fuzz::TARGETS.iter().find(|(name, _)| *name == target);
        let Some((_, run)) = found else {
            return Err(format!("no target {target}").into());
        };
        let mut files = Vec::new();
        for file in fs::read_dir(corpus().join(&target))? {
            files.push(fs::read(file?.path())?);
        }
        for cell in reached(*run, files) {
            missing.remove(&cell);
        }
    }
    missing.retain(|cell| !OUT_OF_REACH.contains(&(cell.0, cell.1, cell.2)));
    if missing.is_empty() {
        Ok(())
    } else {
        Err(format!("not reached: {missing:?}").into())
    }
}

fn every_corpus_has_a_target() -> Result<(), Failed> {
    for directory in fs::read_dir(corpus())? {
        let name = directory?.file_name();
        if !ssh_fuzz::TARGETS.iter().any(|(target, _)| name == *target) {
            return Err(format!("{name:?} is the corpus of no target").into());
        }
    }
    Ok(())
}

fn corpora_stay_small() -> Result<(), Failed> {
    let mut total = 0;
    for (name, _) in ssh_fuzz::TARGETS {
        for file in fs::read_dir(corpus().join(name))? {
            total += file?.metadata()?.len();
        }
    }
    if total > 4 << 20 {
        return Err(format!("{total} bytes: minimise them, see docs/fuzzing.md").into());
    }
    Ok(())
}
