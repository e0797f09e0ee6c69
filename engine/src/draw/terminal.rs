//! A picture for a terminal: a line for each step, in the order of the graph, with lines between them as `git log --graph` has
//! them.

use super::{Picture, Vertex, glyph, harmless};
use std::fmt::Write;

/// With more lines side by side nobody can follow one.
const MAX_LANES: usize = 24;
/// So many of the steps that it waits for are named where no lines are drawn.
const MAX_NAMED: usize = 3;

/// For people at a terminal.
#[must_use]
pub fn terminal(picture: &Picture) -> String {
    let mut text = format!("{}\n", harmless(&picture.title));
    let has_labels = picture.edges.iter().any(|edge| !edge.label.is_empty());
    let drawn = if has_labels { None } else { lanes(picture) };
    let names = picture.vertices.iter().map(|it| it.name.chars().count());
    let widest = names.max().unwrap_or(0).min(40);
    // Writing to a String cannot fail.
    if let Some(lines) = drawn {
        let graph = lines.iter().map(|it| it.chars().count()).max().unwrap_or(0);
        for (line, vertex) in lines.iter().zip(&picture.vertices) {
            let _ = writeln!(text, "{line:graph$}  {}", named(vertex, widest));
        }
    } else {
        let ways = ways(picture, has_labels);
        for (vertex, ways) in picture.vertices.iter().zip(ways) {
            let sign = glyph::look(&vertex.state).sign;
            let line = format!("{sign} {}  {ways}", named(vertex, widest));
            let _ = writeln!(text, "{}", line.trim_end());
        }
    }
    text
}

fn named(vertex: &Vertex, widest: usize) -> String {
    let line = format!(
        "{:widest$}  {}",
        harmless(&vertex.name),
        harmless(&vertex.word)
    );
    line.trim_end().to_owned()
}

/// Where each state leads, or what each step waits for, in words.
fn ways(picture: &Picture, has_labels: bool) -> Vec<String> {
    let mut ways: Vec<Vec<String>> = vec![Vec::new(); picture.vertices.len()];
    for edge in &picture.edges {
        if has_labels {
            let to = &picture.vertices[edge.to].name;
            ways[edge.from].push(format!("{} -> {to}", edge.label));
        } else {
            ways[edge.to].push(harmless(&picture.vertices[edge.from].name));
        }
    }
    let said = |ways: Vec<String>| match ways.len() {
        0 => String::new(),
        _ if has_labels => ways.join("; "),
        n if n <= MAX_NAMED => format!("after {}", ways.join(", ")),
        n => format!(
            "after {} and {} more",
            ways[..MAX_NAMED].join(", "),
            n - MAX_NAMED
        ),
    };
    ways.into_iter().map(said).collect()
}

/// A line of the graph for each step; none if too many would stand side by side, or if a step stands before one it waits for.
fn lanes(picture: &Picture) -> Option<Vec<String>> {
    let count = picture.vertices.len();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut to_come = vec![0_usize; count];
    for edge in &picture.edges {
        if edge.from >= edge.to {
            return None;
        }
        before[edge.to].push(edge.from);
        to_come[edge.from] += 1;
    }
    // Whose line runs there, as long as a step that waits for it is still to come.
    let mut lanes: Vec<Option<usize>> = Vec::new();
    let mut graph = Vec::with_capacity(count);
    for (step, vertex) in picture.vertices.iter().enumerate() {
        for other in &before[step] {
            to_come[*other] -= 1;
        }
        let is_joined = |lane: &Option<usize>| lane.is_some_and(|it| before[step].contains(&it));
        let ends =
            |lane: &Option<usize>| is_joined(lane) && lane.is_some_and(|it| to_come[it] == 0);
        let own = lanes
            .iter()
            .position(ends)
            .or_else(|| lanes.iter().position(Option::is_none))
            .unwrap_or(lanes.len());
        if own == lanes.len() {
            lanes.push(None);
        }
        if lanes.len() > MAX_LANES {
            return None;
        }
        let joined = (0..lanes.len()).filter(|at| is_joined(&lanes[*at]));
        let left = joined.clone().min().unwrap_or(own).min(own);
        let right = joined.max().unwrap_or(own).max(own);
        let mut line = String::new();
        for (at, lane) in lanes.iter().enumerate() {
            let is_crossed = left < at && at < right;
            line.push(if at == own {
                glyph::look(&vertex.state).sign
            } else if is_joined(lane) {
                match (ends(lane), at < own, at == left || at == right) {
                    (true, true, true) => '└',
                    (true, false, true) => '┘',
                    (true, _, false) => '┴',
                    (false, true, true) => '├',
                    (false, false, true) => '┤',
                    (false, _, false) => '┼',
                }
            } else {
                match (lane.is_some(), is_crossed) {
                    (true, true) => '┼',
                    (true, false) => '│',
                    (false, true) => '─',
                    (false, false) => ' ',
                }
            });
            line.push(if left <= at && at < right { '─' } else { ' ' });
        }
        for lane in &mut lanes {
            if ends(lane) {
                *lane = None;
            }
        }
        lanes[own] = (to_come[step] > 0).then_some(step);
        while lanes.last().is_some_and(Option::is_none) {
            lanes.pop();
        }
        graph.push(line.trim_end().to_owned());
    }
    Some(graph)
}
