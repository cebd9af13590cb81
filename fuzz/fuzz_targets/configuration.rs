#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::bodies::configuration::run(data));
