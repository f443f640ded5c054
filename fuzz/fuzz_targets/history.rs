//! See [`kipfix_fuzz::history`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::history(data));
