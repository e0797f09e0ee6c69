//! A picture in the DOT language of Graphviz.

use super::{Passed, Picture, glyph, harmless};
use std::fmt::Write;

/// For `dot -Tsvg`.
#[must_use]
pub fn dot(picture: &Picture) -> String {
    let mut dot = String::from("digraph wharfinger {\n");
    // Writing to a String cannot fail.
    let _ = writeln!(
        dot,
        "  label={};\n  rankdir=LR;\n  node [shape=box, style=\"rounded,filled\", fontname=\"monospace\"];",
        quoted(&picture.title)
    );
    for vertex in &picture.vertices {
        let look = glyph::look(&vertex.state);
        let outline = if look.is_empty { ",dashed" } else { "" };
        let label = if vertex.word.is_empty() {
            quoted(&vertex.name)
        } else {
            // The line break is DOT's own, so it comes after the quoting.
            let (name, word) = (quoted(&vertex.name), quoted(&vertex.word));
            format!("{}\\n{}", &name[..name.len() - 1], &word[1..])
        };
        let _ = writeln!(
            dot,
            "  {} [label={label}, style=\"rounded,filled{outline}\", color=\"{}\", fillcolor=\"{}\"];",
            quoted(&vertex.name),
            look.day.line,
            look.day.wash
        );
    }
    for edge in &picture.edges {
        let name = |place: usize| quoted(&picture.vertices[place].name);
        let mut attributes = Vec::new();
        if !edge.label.is_empty() {
            attributes.push(format!("label={}", quoted(&edge.label)));
        }
        if edge.passed == Passed::ToDo {
            attributes.push("style=dashed".to_owned());
        }
        let _ = write!(dot, "  {} -> {}", name(edge.from), name(edge.to));
        if !attributes.is_empty() {
            let _ = write!(dot, " [{}]", attributes.join(", "));
        }
        dot.push_str(";\n");
    }
    dot.push_str("}\n");
    dot
}

/// A string of DOT. A backslash is doubled: DOT reads `\N` and the like in labels.
fn quoted(text: &str) -> String {
    let text = harmless(text).replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{text}\"")
}
