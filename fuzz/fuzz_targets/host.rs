//! libFuzzer drives [`tidegate_fuzz::host`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::host::run(data));
