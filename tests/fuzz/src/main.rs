//! Lets libFuzzer make up inputs for one of the targets of `wharfinger::fuzz`.

#![no_main]

mod memory;

use std::env;

use libfuzzer_sys::fuzz_target;
use wharfinger::fuzz::{Check, TARGETS};

/// Names the target.
const VARIABLE: &str = "FUZZ_TARGET";

thread_local! {
    /// Never dropped: libFuzzer ends the process in the middle of everything.
    static CHECK: &'static Check = Box::leak(Box::new(start()));
}

fuzz_target!(|input: &[u8]| CHECK.with(|check| memory::bounded(input.len(), || check(input))));

fn start() -> Check {
    let name = env::var(VARIABLE).unwrap_or_default();
    let target = TARGETS.iter().find(|target| target.name == name);
    let target = target.unwrap_or_else(|| panic!("{VARIABLE}={name:?} is none of {TARGETS:?}"));
    (target.start)()
}
