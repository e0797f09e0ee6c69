//! What the engine promises, on the store in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod it {
    mod awkward;
    mod full;
    mod memory;
    mod node;
    mod pure;
    mod push;
    mod unknown;
    mod unsure;
}
