//! Runs the mutants of cargo-mutants out of one build. README.md says what for, and how.

mod list;
mod plant;
mod run;
mod tree;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use list::Mutant;
use run::{Outcome, Verdict};
use tree::Tree;

type Failure = Box<dyn std::error::Error>;

const USAGE: &str = "[--jobs N] [--longest SECONDS] [--survivors] [PART OF A NAME]...";

struct Options {
    jobs: usize,
    /// Leaves out tests that take longer.
    longest: Duration,
    /// Only those that nobody has killed so far.
    survivors: bool,
    /// Only mutants whose name holds one of these.
    parts: Vec<String>,
}

fn options() -> Result<Options, Failure> {
    let mut options = Options {
        jobs: 1,
        longest: Duration::from_secs(600),
        survivors: false,
        parts: Vec::new(),
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--jobs" => options.jobs = arguments.next().ok_or(USAGE)?.parse()?,
            "--longest" => {
                let seconds = arguments.next().ok_or(USAGE)?.parse()?;
                options.longest = Duration::from_secs_f64(seconds);
            }
            "--survivors" => options.survivors = true,
            _ if argument.starts_with('-') => return Err(USAGE.into()),
            _ => options.parts.push(argument),
        }
    }
    Ok(options)
}

fn main() -> Result<(), Failure> {
    let options = options()?;
    let origin = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()?;
    let place = origin.join("target/mutants");
    let mutants = list::list(&origin)?;
    let tree = Tree::copy(&origin, &place)?;
    let (programs, left) = tree.build(&origin, &mutants)?;
    let tests = run::record(&programs, &place, options.jobs, options.longest)?;
    eprintln!("{} mutants, {} tests", mutants.len(), tests.len());

    let results = place.join("results.json");
    let before: BTreeMap<String, Verdict> = match fs::read(&results) {
        Ok(json) => serde_json::from_slice(&json)?,
        Err(_) => BTreeMap::new(),
    };
    let mut verdicts = BTreeMap::new();
    let (mut wanted, mut killers) = (Vec::new(), BTreeMap::new());
    for (number, mutant) in mutants.iter().enumerate() {
        let is_in = |set: &BTreeSet<usize>| set.contains(&number);
        let verdict = if is_in(&left.unviable) {
            Some(Outcome::Unviable.into())
        } else if is_in(&left.unplanted) {
            Some(Outcome::NotPlanted.into())
        } else {
            before.get(&mutant.name).cloned()
        };
        let ran = verdict.as_ref().is_some_and(|v| v.outcome.is_final());
        let is_meant =
            options.parts.is_empty() || options.parts.iter().any(|part| mutant.name.contains(part));
        let killer = verdict.as_ref().and_then(|verdict| verdict.by.clone());
        if is_meant && !ran && !(options.survivors && killer.is_some()) {
            let number = u32::try_from(number)?;
            wanted.push(number);
            killers.extend(killer.map(|killer| (number, killer)));
        } else if let Some(verdict) = verdict {
            verdicts.insert(mutant.name.clone(), verdict);
        }
    }
    let verdicts = Mutex::new(verdicts);
    run::judge(
        &wanted,
        &tests,
        &killers,
        options.jobs,
        |number, verdict| {
            let name = &mutants[number as usize].name;
            if verdict.by.is_none() {
                println!("{:?}: {name}", verdict.outcome);
            }
            let mut verdicts = verdicts.lock().expect("no thread has panicked");
            verdicts.insert(name.clone(), verdict);
            let json = serde_json::to_vec_pretty(&*verdicts).expect("strings and names");
            if let Err(error) = fs::write(&results, json) {
                eprintln!("{}: {error}", results.display());
            }
        },
    );
    report(&mutants, &verdicts.into_inner()?);
    Ok(())
}

/// Prints a table of what became of all mutants, by module.
fn report(mutants: &[Mutant], verdicts: &BTreeMap<String, Verdict>) {
    const COLUMNS: [Outcome; 5] = [
        Outcome::Unviable,
        Outcome::NotPlanted,
        Outcome::Killed,
        Outcome::Timeout,
        Outcome::Survived,
    ];
    let mut rows: BTreeMap<&str, [u32; 6]> = BTreeMap::new();
    for mutant in mutants {
        let outcome = verdicts.get(&mutant.name).map(|verdict| verdict.outcome);
        let column = COLUMNS.iter().position(|column| Some(*column) == outcome);
        let path = mutant
            .file
            .split_once("/src/")
            .map_or(&*mutant.file, |(_, path)| path);
        let module = path.split(['/', '.']).next().unwrap_or(path);
        for name in [module, "together"] {
            let row = rows.entry(name).or_default();
            row[0] += 1;
            if let Some(column) = column {
                row[column + 1] += 1;
            }
        }
    }
    println!("| module | mutants | unviable | not planted | killed | timeout | survived | |");
    println!("|---|---|---|---|---|---|---|---|");
    for (module, row) in rows {
        let [.., killed, timeout, survived] = row.map(f64::from);
        let caught = 100.0 * (killed + timeout) / (killed + timeout + survived);
        let cells = row.map(|cell| cell.to_string()).join(" | ");
        println!("| {module} | {cells} | {caught:.1} % |");
    }
}
