//! The targets on a stable toolchain: seeds, mutants that are the same every time, and every input
//! that once showed a mistake. cargo-fuzz finds more (`make fuzz`); what it found stays in
//! `kept/TARGET/`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::fs;
use std::panic::catch_unwind;
use std::path::Path;

use kipfix_fuzz::{Target, seeds, target};

/// Runs one input. If it fails, stores it.
fn run(Target { name, run, .. }: Target, input: &[u8], what: &str) {
    if catch_unwind(|| run(input)).is_err() {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-failed"));
        fs::write(&path, input).unwrap();
        panic!(
            "{name} fails on {what}, stored in {}: fix the bug and add the input to fuzz/kept/{name}/",
            path.display()
        );
    }
}

/// Runs a target on all inputs and on a number of mutants, for a few seconds.
fn holds(name: &str, mutants: u64) {
    let target = target(name);
    let kept = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("kept")
        .join(name);
    // Of most targets nothing had to be kept yet.
    for entry in fs::read_dir(kept).into_iter().flatten() {
        let path = entry.unwrap().path();
        let input = fs::read(&path).unwrap();
        run(target, &input, &path.display().to_string());
    }
    let seeds = (target.seeds)();
    for (at, seed) in seeds.iter().enumerate() {
        run(target, seed, &format!("seed {at}"));
    }
    for number in 0..mutants {
        let at = usize::try_from(number).unwrap();
        let (seed, other) = (&seeds[at % seeds.len()], &seeds[at * 7 % seeds.len()]);
        let mutant = seeds::mutant(seed, other, number);
        run(target, &mutant, &format!("mutant {number}"));
    }
}

#[test]
fn datagrams_are_accounted_for_and_survive_export() {
    holds("messages", 1000);
}

#[test]
fn a_connection_gives_the_same_messages_however_it_is_cut() {
    holds("stream", 2000);
}

#[test]
fn http_has_the_same_messages_however_a_connection_is_cut() {
    holds("http", 5000);
}

#[test]
fn the_dump_counts_what_the_decoder_counts() {
    holds("explain", 1000);
}

#[test]
fn frames_of_a_savefile_are_datagrams_or_counted() {
    holds("savefile", 2000);
}

#[test]
fn a_capture_is_read_the_same_whatever_the_reads() {
    holds("capture", 2000);
}

#[test]
fn packets_and_octets_are_in_records_or_counted() {
    holds("packets", 2000);
}

#[test]
fn each_version_carries_what_it_can() {
    holds("export", 500);
}

#[test]
fn a_forwarded_record_equals_the_exported_one() {
    holds("forward", 200);
}

#[test]
fn each_direction_of_a_record_gets_one_verdict() {
    holds("pipeline", 1000);
}

#[test]
fn the_kernels_messages_are_walked_to_their_end() {
    holds("netlink", 2000);
}

#[test]
fn an_inventory_file_is_an_inventory_or_one_sentence() {
    holds("inventory", 2000);
}

#[test]
fn a_file_of_external_names_is_a_table_or_one_error() {
    holds("external", 1000);
}

#[test]
fn a_query_of_the_api_has_a_bounded_answer_or_an_error_that_names_its_parameter() {
    holds("api", 3000);
}

#[test]
fn a_history_file_is_a_history_or_an_error() {
    holds("history", 3000);
}

#[test]
fn every_target_has_a_test() {
    let tests = include_str!("kept.rs");
    for target in kipfix_fuzz::TARGETS {
        let call = format!("holds(\"{}\", ", target.name);
        assert!(tests.contains(&call), "{}", target.name);
    }
}
