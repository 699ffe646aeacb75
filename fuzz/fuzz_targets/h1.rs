//! libFuzzer drives [`tidegate_fuzz::h1`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::h1::run(data));
