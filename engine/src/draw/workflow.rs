//! The picture of a workflow as it is declared: no plan yet, so no state.

use super::{Attempt, Edge, Passed, Picture, Vertex};
use crate::journal::{GraphStep, Rescue};

/// The steps of a workflow.
#[must_use]
pub fn workflow(name: &str, steps: &[GraphStep]) -> Picture {
    let mut edges = Vec::new();
    for (to, step) in steps.iter().enumerate() {
        edges.extend(step.after.iter().map(|from| Edge {
            from: *from,
            to,
            label: String::new(),
            passed: Passed::Declared,
        }));
    }
    Picture {
        title: format!("Workflow {name}: {} steps", steps.len()),
        of: "steps",
        vertices: steps.iter().map(vertex).collect(),
        edges,
    }
}

fn vertex(step: &GraphStep) -> Vertex {
    let attempts = match step.attempts {
        1 => "1 attempt".to_owned(),
        n => format!("{n} attempts"),
    };
    // By the word that the journal writes, so that a new rescue needs no line here.
    let rescue = serde_json::to_value(step.rescue).ok();
    let then = rescue.as_ref().and_then(|it| it.as_str());
    let then = then.map_or_else(String::new, |it| format!("then {it}"));
    // What most steps do is left to who points at one: a picture shall fit a page.
    let (word, about) = if step.rescue == Rescue::Pause {
        (attempts, then)
    } else {
        (format!("{attempts}, {then}"), String::new())
    };
    Vertex {
        name: step.name.clone(),
        word,
        about,
        ..Vertex::default()
    }
}

/// How a step of an example stands.
#[derive(Clone, Copy, Debug)]
pub struct Imagined<'a> {
    /// Its name.
    pub step: &'a str,
    /// Its state, as the API calls it.
    pub state: &'a str,
    /// What stands below its name.
    pub word: &'a str,
    /// How many of its attempts have failed.
    pub failed: usize,
}

impl Picture {
    /// A plan of this workflow as there might be one, for a page about it. Steps that are not told of have not begun.
    #[must_use]
    pub fn imagined(&self, title: &str, steps: &[Imagined]) -> Self {
        let mut picture = self.clone();
        let is_done = |name: &str| {
            let told = steps.iter().find(|it| it.step == name);
            told.is_some_and(|it| it.state == "success")
        };
        let done = self.vertices.iter().filter(|it| is_done(&it.name)).count();
        picture.title = format!("{title}, {done} of {} steps done", self.vertices.len());
        for vertex in &mut picture.vertices {
            let told = steps.iter().find(|it| it.step == vertex.name);
            let (state, word, failed) = told.map_or(("pending", "pending", 0), |it| {
                (it.state, it.word, it.failed)
            });
            state.clone_into(&mut vertex.state);
            word.clone_into(&mut vertex.word);
            vertex.about.clear();
            vertex.attempts = vec![Attempt::Failed; failed];
        }
        for edge in &mut picture.edges {
            edge.passed = if is_done(&self.vertices[edge.from].name) {
                Passed::Done
            } else {
                Passed::ToDo
            };
        }
        picture
    }
}
