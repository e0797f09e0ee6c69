//! How a state looks: its glyph, its sign on a terminal, its colours by day and by night. The console's, one table for all.

/// Line and wash of a state, as CSS writes colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inks {
    /// For lines, glyphs and text.
    pub(super) line: &'static str,
    /// For the ground under them.
    pub(super) wash: &'static str,
}

/// How a state looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// What stands inside an SVG of 16 x 16; empty: no glyph.
    pub(super) glyph: &'static str,
    /// The glyph on a terminal.
    pub(super) sign: char,
    /// On white paper.
    pub(super) day: Inks,
    /// On a dark screen.
    pub(super) night: Inks,
    /// A step that a person wants to find first.
    pub(super) is_loud: bool,
    /// The box has a broken outline: nothing happened there.
    pub(super) is_empty: bool,
}

const fn inks(line: &'static str, wash: &'static str) -> Inks {
    Inks { line, wash }
}

/// Day and night of each colour that means something.
#[rustfmt::skip]
mod ink {
    use super::{Inks, inks};

    pub(super) const OK:    (Inks, Inks) = (inks("#1b6a4a", "#e2f1e8"), inks("#76c99d", "#11302a"));
    pub(super) const RUN:   (Inks, Inks) = (inks("#0b5f92", "#dfeef8"), inks("#7dbcf0", "#112f45"));
    pub(super) const WAIT:  (Inks, Inks) = (inks("#4b5f6b", "#e7ecee"), inks("#a6b7be", "#1c2c33"));
    pub(super) const RETRY: (Inks, Inks) = (inks("#7a5a00", "#f6edd0"), inks("#dfbd62", "#312a13"));
    pub(super) const PAUSE: (Inks, Inks) = (inks("#b3400a", "#fceadf"), inks("#ff9a5c", "#3a2113"));
    pub(super) const ERROR: (Inks, Inks) = (inks("#a51d2d", "#fae6e6"), inks("#ff9690", "#3c1a1f"));
    pub(super) const UNKNOWN: (Inks, Inks) = (inks("#872366", "#f6e5f0"), inks("#ea97ca", "#371b30"));
    pub(super) const OFF:   (Inks, Inks) = (inks("#56666d", "#edf0ef"), inks("#94a6ac", "#18262c"));
    pub(super) const UNDO:  (Inks, Inks) = (inks("#0d6670", "#def0f1"), inks("#75cdd6", "#103238"));
}

const CROSS: &str = r#"<path d="m3.8 3.8 8.4 8.4m0-8.4-8.4 8.4"/>"#;
const CIRCLE_ARROW: &str = r#"<path d="M13 8a5 5 0 1 1-1.7-3.8M12.6 1.6v3h-3"/>"#;
const TRIANGLE: &str = r#"<path d="M4.5 3v10l8-5z" fill="currentColor"/>"#;
const TICK: &str = r#"<path d="m3 8.5 3.2 3.2L13 4.8"/>"#;
const RING: &str = r#"<circle cx="8" cy="8" r="5"/>"#;
const STRUCK_RING: &str = r#"<circle cx="8" cy="8" r="5.6"/><path d="m4.2 11.8 7.6-7.6"/>"#;
const HOURGLASS: &str = r#"<path d="M4 2.5h8L4 13.5h8z"/>"#;
const DASHED_HOURGLASS: &str = r#"<path d="M4 2.5h8L4 13.5h8z" stroke-dasharray="2 2.4"/>"#;
const TWO_BARS: &str = r#"<path d="M5.4 3v10M10.6 3v10" stroke-width="3"/>"#;
const ANCHOR: &str = r#"<circle cx="8" cy="3.2" r="1.5"/><path d="M8 4.8v9M5 7h6M2.6 9.4c.4 2.6 2.6 4.4 5.4 4.4s5-1.8 5.4-4.4"/>"#;
const CLOCK: &str = r#"<circle cx="8" cy="8" r="5.8"/><path d="M8 4.8V8l2.3 1.6"/>"#;
const QUESTION: &str = r#"<path d="M5 5.6a3 3 0 1 1 4.4 2.6C8.3 8.8 8 9.4 8 10.4m0 3v.1"/>"#;
const DOUBLE_ARROW: &str = r#"<path d="m3 4 4 4-4 4m5.5-8 4 4-4 4"/>"#;
const UNDO: &str = r#"<path d="M6 3 2.8 6.2 6 9.4M3 6.2h6.4a3.6 3.6 0 0 1 0 7.2H6"/>"#;
const UNDO_WITH_CROSS: &str = r#"<path d="M5.4 1.8 2.6 4.6l2.8 2.8M2.6 4.6h5.2a3.6 3.6 0 0 1 3.4 2.6M8.6 10l4.6 4.4m0-4.4-4.6 4.4"/>"#;
const WARNING: &str = r#"<path d="M8 2 14.3 13.4H1.7zM8 6.4v3.2m0 1.9v.1"/>"#;
const SQUARE: &str = r#"<path d="M4.5 4.5h7v7h-7z" fill="currentColor"/>"#;

/// By the API's own word, so that a state which is new here or there is drawn, if plainly.
#[rustfmt::skip]
pub(super) fn look(state: &str) -> Look {
    let (glyph, sign, inks) = match state {
        "success"            => (TICK, '✓', ink::OK),
        "running"            => (TRIANGLE, '▶', ink::RUN),
        "compensating"       => (UNDO, '↶', ink::RUN),
        "waiting"            => (HOURGLASS, '⧗', ink::WAIT),
        "suspended"          => (DASHED_HOURGLASS, '⧖', ink::WAIT),
        "held"               => (ANCHOR, '⚓', ink::WAIT),
        "scheduled"          => (CLOCK, '◷', ink::WAIT),
        "retrying"           => (CIRCLE_ARROW, '↻', ink::RETRY),
        "warning"            => (WARNING, '⚠', ink::RETRY),
        "paused"             => (TWO_BARS, '‖', ink::PAUSE),
        "error"              => (CROSS, '✗', ink::ERROR),
        "compensation_error" => (UNDO_WITH_CROSS, '⤬', ink::ERROR),
        "interrupted"        => (QUESTION, '?', ink::UNKNOWN),
        "compensated"        => (UNDO, '↶', ink::UNDO),
        "pending"            => (RING, '○', ink::OFF),
        "skipped"            => (DOUBLE_ARROW, '»', ink::OFF),
        "cancelled"          => (STRUCK_RING, '⊘', ink::OFF),
        "stopped"            => (SQUARE, '■', ink::OFF),
        _                    => ("", '•', ink::OFF),
    };
    Look {
        glyph,
        sign,
        day: inks.0,
        night: inks.1,
        is_loud: matches!(state, "error" | "compensation_error" | "paused" | "running" | "compensating" | "interrupted" | "retrying"),
        is_empty: matches!(state, "pending" | "skipped" | "cancelled"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{PlanState, StepState};
    use std::collections::BTreeMap;
    use strum::IntoEnumIterator;

    #[test]
    fn every_state_of_a_step_and_of_a_plan_has_a_glyph() {
        let states = StepState::iter().map(|it| it.to_string());
        for state in states.chain(PlanState::iter().map(|it| it.to_string())) {
            assert_ne!(look(&state).glyph, "", "{state} has no glyph");
        }
    }

    #[test]
    fn states_are_told_apart_without_colour() {
        let mut seen = BTreeMap::new();
        for state in [
            "success",
            "running",
            "waiting",
            "suspended",
            "held",
            "scheduled",
            "retrying",
            "warning",
            "paused",
            "error",
            "compensation_error",
            "interrupted",
            "compensated",
            "pending",
            "skipped",
            "cancelled",
            "stopped",
        ] {
            let look = look(state);
            assert_eq!(seen.insert(look.glyph, state), None, "{state}");
        }
    }
}
