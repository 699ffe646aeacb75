//! libFuzzer drives [`tidegate_fuzz::xds_response`].

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| tidegate_fuzz::xds_response::run(data));
