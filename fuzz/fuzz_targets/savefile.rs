//! See [`kipfix_fuzz::savefile`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::savefile(data));
