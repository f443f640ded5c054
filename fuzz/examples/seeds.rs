//! Writes the seeds of every target into `fuzz/corpus/TARGET/`, where cargo-fuzz begins, and prints
//! the names of the targets.
#![allow(clippy::print_stdout, reason = "for fuzz/run.sh")]

use std::fs;
use std::path::Path;

use kipfix_fuzz::TARGETS;

fn main() -> std::io::Result<()> {
    for target in TARGETS {
        println!("{}", target.name);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target.name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in (target.seeds)().iter().enumerate() {
            fs::write(folder.join(format!("seed-{at}")), seed)?;
        }
    }
    Ok(())
}
