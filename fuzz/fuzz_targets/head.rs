//! libFuzzer drives [`tidegate_fuzz::head`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::head::run(data));
