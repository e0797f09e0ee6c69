//! A plan's graph as text that other programs draw: DOT and Mermaid.

use crate::explain::Task;
use std::fmt::Write;

/// Colours by state: the console's, on white paper.
fn colour(state: &str) -> &'static str {
    match state {
        "error" => "#b3261e",
        "retrying" => "#8a6100",
        "running" => "#1f5fa8",
        "success" => "#1f7a4d",
        "suspended" | "waiting" => "#54647a",
        _ => "#6b7280",
    }
}

/// The task's graph in the DOT language of Graphviz.
#[must_use]
pub fn dot(task: &Task) -> String {
    let mut dot = String::from(
        "digraph task {\n  rankdir=LR;\n  node [shape=box, style=rounded, fontname=\"monospace\"];\n",
    );
    for step in task.steps.iter().flatten() {
        let attempts = if step.attempts > 1 {
            format!(", {} attempts", step.attempts)
        } else {
            String::new()
        };
        let (name, state, colour) = (&step.name, &step.state, colour(&step.state));
        // Writing to a String cannot fail.
        let _ = writeln!(
            dot,
            "  {name} [label=\"{name}\\n{state}{attempts}\", color=\"{colour}\"];"
        );
    }
    for step in task.steps.iter().flatten() {
        for before in &step.depends_on {
            let _ = writeln!(dot, "  {before} -> {};", step.name);
        }
    }
    dot.push_str("}\n");
    dot
}

/// The task's graph as a Mermaid flow chart.
#[must_use]
pub fn mermaid(task: &Task) -> String {
    let mut chart = String::from("flowchart LR\n");
    for step in task.steps.iter().flatten() {
        let (name, state) = (&step.name, &step.state);
        let _ = writeln!(chart, "  {name}[\"{name}<br/>{state}\"]");
        let _ = writeln!(chart, "  style {name} stroke:{}", colour(state));
    }
    for step in task.steps.iter().flatten() {
        for before in &step.depends_on {
            let _ = writeln!(chart, "  {before} --> {}", step.name);
        }
    }
    chart
}
