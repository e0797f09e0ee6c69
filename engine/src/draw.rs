//! Pictures of workflows, plans and state machines: as SVG, for Graphviz, for Mermaid, and for a terminal.
//!
//! All are made from one [`Picture`], whose text is not trusted: each language escapes what it is given. The same picture gives
//! the same bytes.

mod dot;
mod glyph;
mod layout;
mod mermaid;
mod states;
mod svg;
mod task;
mod terminal;
#[cfg(test)]
mod tests;
mod workflow;

pub use dot::dot;
pub use mermaid::mermaid;
pub use states::{plan_states, step_states};
pub use svg::{for_page, svg};
pub use task::task;
pub use terminal::terminal;
pub use workflow::{Imagined, workflow};

/// What is drawn: steps or states, and what leads from one to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    title: String,
    /// What its boxes are: `steps`, `states`.
    of: &'static str,
    vertices: Vec<Vertex>,
    edges: Vec<Edge>,
}

/// A step or a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Vertex {
    name: String,
    /// The API's word; empty for a step that is only declared.
    state: String,
    /// What stands below the name.
    word: String,
    /// Each attempt, where that tells more than one success.
    attempts: Vec<Attempt>,
    /// What a reader learns who points at it, besides the rest.
    about: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attempt {
    Failed,
    Fine,
}

/// What leads from one vertex to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Edge {
    from: usize,
    to: usize,
    /// What happens on the way; empty between steps.
    label: String,
    /// Whether what it waits for is done.
    passed: Passed,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Passed {
    /// Nothing runs here.
    #[default]
    Declared,
    Done,
    ToDo,
}

impl Vertex {
    /// `copy: error, 5 attempts`.
    fn in_words(&self) -> String {
        let mut words = self.name.clone();
        for (before, more) in [(": ", &self.word), ("; ", &self.about)] {
            if !more.is_empty() {
                words.push_str(before);
                words.push_str(more);
            }
        }
        words
    }
}

/// `3 error, 1 running, 40 pending`, the loud ones first.
fn counted<'a>(vertices: impl Iterator<Item = &'a Vertex>) -> String {
    let mut counts = std::collections::BTreeMap::new();
    for vertex in vertices.filter(|it| !it.state.is_empty()) {
        let is_quiet = !glyph::look(&vertex.state).is_loud;
        *counts.entry((is_quiet, vertex.state.as_str())).or_insert(0) += 1;
    }
    let each = counts.iter().map(|((_, state), n)| format!("{n} {state}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Text in one line, without anything that a reader's program acts on: control characters and what overrides the direction of
/// what follows.
fn harmless(text: &str) -> String {
    const LOST: char = '\u{fffd}';
    let harmless = |it: char| match it {
        '\n' | '\t' | '\r' => ' ',
        '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        | '\u{fffe}'
        | '\u{ffff}' => LOST,
        it if it.is_control() => LOST,
        it => it,
    };
    text.chars().map(harmless).collect()
}

/// The text, or its beginning.
fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    let beginning: String = text.chars().take(longest.saturating_sub(1)).collect();
    format!("{beginning}…")
}
