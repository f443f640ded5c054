//! Writes the seeds of every target into `fuzz/corpus/TARGET/`, where cargo-fuzz begins.

use std::fs;
use std::path::Path;

use kipfix_fuzz::{TARGETS, seeds};

fn main() -> std::io::Result<()> {
    for (name, _) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(name);
        fs::create_dir_all(&folder)?;
        for (at, seed) in seeds::of(name).iter().enumerate() {
            fs::write(folder.join(format!("seed-{at}")), seed)?;
        }
    }
    Ok(())
}
