#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| hostile::within_bounds(input, hostile::key::try_it));
