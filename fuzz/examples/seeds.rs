//! Writes the seeds into `corpus/<target>/`, each under a name that says what it is.

use std::fs;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (target, name, bytes) in ssh_fuzz::seeds::all() {
        let directory = corpus.join(target);
        fs::create_dir_all(&directory)?;
        fs::write(directory.join(format!("seed_{name}")), bytes)?;
    }
    Ok(())
}
