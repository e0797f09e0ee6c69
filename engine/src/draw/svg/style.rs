//! The style of a picture that stands alone: the console's colours. Written out for each state, because not every program that
//! shows SVG reads variables.

use super::class;
use crate::draw::{Picture, glyph};
use std::collections::BTreeSet;
use std::fmt::Write;

struct Paper {
    sheet: &'static str,
    ink: &'static str,
    quiet: &'static str,
    line: &'static str,
    done: &'static str,
    well: &'static str,
}

const DAY: Paper = Paper {
    sheet: "#fdfefc",
    ink: "#10242d",
    quiet: "#40545c",
    line: "#778a8e",
    done: "#1b6a4a",
    well: "#e9eeec",
};

const NIGHT: Paper = Paper {
    sheet: "#101e25",
    ink: "#dfe9ea",
    quiet: "#a9babf",
    line: "#5a7681",
    done: "#76c99d",
    well: "#0b171d",
};

const SHAPES: &str = "\
text { font: 600 12px ui-monospace, 'SF Mono', 'Cascadia Mono', 'Roboto Mono', 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace }
.heading, .note, .time, .event text { font-family: ui-sans-serif, system-ui, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', 'Liberation Sans', Arial, sans-serif }
.heading { font-size: 14px }
.note, .time, .event text { font-size: 11.5px }
.note, .event text { font-weight: 400 }
.event text { text-anchor: middle }
.box, .try { stroke: currentColor }
.box { stroke-width: 1 }
.keel, .time, .try { fill: currentColor }
.try { stroke-width: 1.6; stroke-linecap: round }
.glyph { fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round }
.edge { fill: none; stroke-width: 1.5 }
.edge.done { stroke-width: 1.75 }
.edge.todo { stroke-dasharray: 3 4 }
";

/// The rules for all that is in the picture.
pub(super) fn of(picture: &Picture) -> String {
    let states: BTreeSet<&str> = picture
        .vertices
        .iter()
        .map(|it| it.state.as_str())
        .collect();
    let mut style = SHAPES.to_owned();
    for state in &states {
        let look = glyph::look(state);
        // Writing to a String cannot fail.
        if look.is_empty {
            let _ = writeln!(
                style,
                ".is-{} .box {{ stroke-dasharray: 4 3 }}",
                class(state)
            );
        } else if look.is_loud {
            let _ = writeln!(style, ".is-{} .box {{ stroke-width: 2 }}", class(state));
        }
    }
    colours(&mut style, &states, &DAY, false);
    style.push_str("@media (prefers-color-scheme: dark) {\n");
    colours(&mut style, &states, &NIGHT, true);
    style.push_str("}\n");
    style
}

fn colours(style: &mut String, states: &BTreeSet<&str>, paper: &Paper, is_night: bool) {
    let Paper {
        sheet,
        ink,
        quiet,
        line,
        done,
        well,
    } = paper;
    let _ = write!(
        style,
        ".sheet {{ fill: {sheet} }}\n.node text, .heading {{ fill: {ink} }}\n.note, .event text {{ fill: {quiet} }}\n\
         .edge {{ stroke: {line} }} .tip {{ fill: {line} }}\n.edge.done {{ stroke: {done} }} .tip.done {{ fill: {done} }}\n\
         .event rect {{ fill: {well} }}\n.node .time {{ fill: currentColor }}\n"
    );
    for state in states {
        let look = glyph::look(state);
        let inks = if is_night { look.night } else { look.day };
        let wash = if look.is_empty { sheet } else { inks.wash };
        let class = class(state);
        let _ = writeln!(
            style,
            ".is-{class} {{ color: {} }} .is-{class} .box {{ fill: {wash} }}",
            inks.line
        );
    }
}
