//! See [`kipfix_fuzz::worker`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::worker(data));
