//! libFuzzer drives [`tidegate_fuzz::h2_meter`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::h2_meter::run(data));
