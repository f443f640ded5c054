//! See [`kipfix_fuzz::outside`].
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| kipfix_fuzz::outside(data));
