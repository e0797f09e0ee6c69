//! What the engine promises, on the store in memory.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod it {
    mod awkward;
    mod backends;
    mod brake;
    mod clean_stops;
    mod drawn;
    mod edited;
    mod events;
    mod examples;
    mod family;
    mod forms;
    mod full;
    mod gates;
    mod goes_on;
    mod lives;
    mod memory;
    mod node;
    mod once_elsewhere;
    mod panics;
    mod places;
    mod pure;
    mod push;
    mod same_resource;
    mod schedules;
    mod simulation;
    mod tick;
    mod timing;
    mod together;
    mod unknown;
    mod unsure;
}
