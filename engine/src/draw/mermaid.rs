//! A picture as a flow chart of Mermaid.

use super::{Passed, Picture, glyph, harmless};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Words that Mermaid does not take as a name.
const RESERVED: [&str; 12] = [
    "call",
    "class",
    "click",
    "default",
    "direction",
    "end",
    "flowchart",
    "graph",
    "href",
    "style",
    "subgraph",
    "link",
];

/// For pages that draw it themselves.
#[must_use]
pub fn mermaid(picture: &Picture) -> String {
    let mut chart = String::from("flowchart LR\n");
    let names: Vec<String> = picture
        .vertices
        .iter()
        .enumerate()
        .map(|(place, vertex)| name(&vertex.name, place))
        .collect();
    let mut states: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, vertex) in names.iter().zip(&picture.vertices) {
        let label = if vertex.word.is_empty() {
            text(&vertex.name)
        } else {
            format!("{}<br/>{}", text(&vertex.name), text(&vertex.word))
        };
        // Writing to a String cannot fail.
        let _ = writeln!(chart, "  {name}[\"{label}\"]");
        states.entry(&vertex.state).or_default().push(name);
    }
    for edge in &picture.edges {
        let arrow = if edge.passed == Passed::ToDo {
            "-.->"
        } else {
            "-->"
        };
        let label = if edge.label.is_empty() {
            String::new()
        } else {
            format!("|\"{}\"|", text(&edge.label))
        };
        let (from, to) = (&names[edge.from], &names[edge.to]);
        let _ = writeln!(chart, "  {from} {arrow}{label} {to}");
    }
    // A line for each state, not for each step: a chart of many steps is long enough.
    for (state, names) in states.iter().filter(|(state, _)| !state.is_empty()) {
        let look = glyph::look(state);
        let class = format!("is_{}", name(state, 0));
        let dashed = if look.is_empty {
            ",stroke-dasharray:4 3"
        } else {
            ""
        };
        let _ = writeln!(
            chart,
            "  classDef {class} stroke:{},fill:{},color:#10242d{dashed}\n  class {} {class}",
            look.day.line,
            look.day.wash,
            names.join(",")
        );
    }
    chart
}

/// The step's own name where Mermaid reads it as one, else a number.
fn name(name: &str, place: usize) -> String {
    let is_plain = name.starts_with(|it: char| it.is_ascii_lowercase())
        && name
            .chars()
            .all(|it| it.is_ascii_lowercase() || it.is_ascii_digit() || it == '_');
    if is_plain && !RESERVED.contains(&name) {
        name.to_owned()
    } else {
        format!("N{place}")
    }
}

/// Text as Mermaid writes what it would read as its own signs, or as HTML.
fn text(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for it in harmless(text).chars() {
        match it {
            '"' | '<' | '>' | '&' | '#' | ';' | '`' | '\\' | '|' => {
                // Writing to a String cannot fail.
                let _ = write!(written, "#{};", u32::from(it));
            }
            it => written.push(it),
        }
    }
    written
}
