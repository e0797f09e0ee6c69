//! The state machines, drawn from the very tables that refuse what is not in them.

use super::{Edge, Passed, Picture, Vertex};
use crate::state::{PLAN_TRANSITIONS, STEP_TRANSITIONS};
use std::fmt::Display;
use strum::IntoEnumIterator;

/// Every state of a step and what leads from one to the other.
#[must_use]
pub fn step_states() -> Picture {
    machine("The states of a step", STEP_TRANSITIONS)
}

/// Every state of a plan and what leads from one to the other.
#[must_use]
pub fn plan_states() -> Picture {
    machine("The states of a plan", PLAN_TRANSITIONS)
}

fn machine<S, E>(title: &str, table: &[(S, E, S)]) -> Picture
where
    S: Copy + Eq + Display + IntoEnumIterator,
    E: Copy + Display,
{
    let is_in_table = |state: &S| {
        table
            .iter()
            .any(|(from, _, to)| from == state || to == state)
    };
    let states: Vec<S> = S::iter().filter(is_in_table).collect();
    let place = |state: S| states.iter().position(|it| *it == state).unwrap_or(0);
    let mut edges: Vec<Edge> = Vec::new();
    for (from, on, to) in table {
        let (from, to) = (place(*from), place(*to));
        match edges.iter_mut().find(|it| (it.from, it.to) == (from, to)) {
            Some(known) => known.label = format!("{}, {on}", known.label),
            None => edges.push(Edge {
                from,
                to,
                label: on.to_string(),
                passed: Passed::Declared,
            }),
        }
    }
    let vertex = |(place, state): (usize, &S)| Vertex {
        name: state.to_string(),
        state: state.to_string(),
        word: if place == 0 {
            "begins here".to_owned()
        } else if edges.iter().all(|it| it.from != place) {
            "ends here".to_owned()
        } else {
            String::new()
        },
        ..Vertex::default()
    };
    Picture {
        title: title.to_owned(),
        of: "states",
        vertices: states.iter().enumerate().map(vertex).collect(),
        edges,
    }
}
