//! What a push promises, on a real SQLite file and the embedded content.

#![expect(
    clippy::unwrap_used,
    reason = "a helper of a test that meets an error has failed the test"
)]

mod after_a_push;
mod again_and_against;
mod by_digest;
mod cleanup;
mod collecting;
mod copies;
mod corpus;
mod deletes_together;
mod exact_copy;
mod fake_pulp;
mod goes_on;
mod house;
mod keeps;
mod laws;
mod laws_after_a_push;
mod laws_in_pulp;
mod naming;
mod push;
mod rehearsal;
mod removed_in_pulp;
mod retention;
mod reverted;
mod single_steps;
mod verify;
mod webhooks;
