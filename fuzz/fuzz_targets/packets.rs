//! See [`kipfix_fuzz::packets`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::packets(data));
