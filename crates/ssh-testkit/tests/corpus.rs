//! Replays the corpora of all fuzz targets, so that what a fuzzer once found stays fixed for those
//! who have none. One test for each target; the body is the very one that libFuzzer runs.

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

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
    if total > 2 << 20 {
        return Err(format!("{total} bytes: minimise them, see docs/fuzzing.md").into());
    }
    Ok(())
}
