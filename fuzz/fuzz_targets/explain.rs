//! See [`kipfix_fuzz::explain`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::explain(data));
