//! A picture as SVG: alone, or for a page of the console that has its style.
//!
//! Nothing in it is loaded or run. What a state is, is told by glyph and word before colour.

mod excerpt;
mod style;

use super::layout::{self, Layout, Link, Place, Size};
use super::{Attempt, Passed, Picture, Vertex, counted, glyph, harmless, shortened};
use excerpt::Excerpt;
use std::fmt::Write;

const BOX_HEIGHT: i32 = 54;
const PILL_HEIGHT: i32 = 22;
const NARROWEST: i32 = 100;
/// Above the boxes of a picture that stands alone.
const HEADING: i32 = 34;
/// Around a picture that stands alone.
const BORDER: i32 = 12;
/// Below the boxes, where it must be said that steps are missing.
const NOTE: i32 = 26;
/// A name is drawn up to here; its box still says the whole of it.
const LONGEST_NAME: usize = 40;
const LONGEST_WORD: usize = 48;
const LONGEST_TITLE: usize = 140;
/// So many boxes are told to who cannot see them.
const MAX_TOLD: usize = 60;

/// A picture that stands alone: with its own style by day and by night, its title, and all it says in words.
#[must_use]
pub fn svg(picture: &Picture) -> String {
    let excerpt = Excerpt::of(picture);
    let drawing = Drawing::of(&excerpt.picture);
    let note = excerpt.note.as_deref();
    let title = shortened(&picture.title, LONGEST_TITLE);
    let widest = [Some(title.as_str()), note].into_iter().flatten();
    let widest = widest.map(|it| width_of(it, 76)).max().unwrap_or(0);
    let width = drawing.layout.width.max(widest) + 2 * BORDER;
    let below = if note.is_some() { NOTE } else { 0 };
    let height = HEADING + drawing.layout.height + below + 2 * BORDER;
    let mut svg = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" aria-labelledby=\"title about\">\n<title id=\"title\">{}</title>\n<desc id=\"about\">{}</desc>\n\
         <style>\n{}</style>\n",
        escaped(&picture.title),
        escaped(&in_words(picture)),
        style::of(&excerpt.picture),
    );
    let _ = write!(
        svg,
        "<rect class=\"sheet\" width=\"{width}\" height=\"{height}\" rx=\"6\"/>\n\
         <text class=\"heading\" x=\"{}\" y=\"{}\">{}</text>\n<g transform=\"translate({BORDER} {})\">\n",
        BORDER + 4,
        BORDER + 16,
        escaped(&title),
        HEADING + BORDER,
    );
    drawing.draw(&mut svg, None);
    svg.push_str("</g>\n");
    if let Some(note) = note {
        let _ = writeln!(
            svg,
            "<text class=\"note\" x=\"{}\" y=\"{}\">{}</text>",
            BORDER + 4,
            height - BORDER - 4,
            escaped(note),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// What a page links from its boxes.
#[derive(Clone, Copy)]
struct Page<'a> {
    chosen: Option<&'a str>,
}

/// A picture inside a page of the console, whose style it takes: each box a link to its step, one of them chosen.
#[must_use]
pub fn for_page(picture: &Picture, chosen: Option<&str>) -> String {
    let excerpt = Excerpt::of(picture);
    let drawing = Drawing::of(&excerpt.picture);
    let about = match &excerpt.note {
        Some(note) => format!("{}. {note}", picture.title),
        None => picture.title.clone(),
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"group\" aria-label=\"{}\">\n",
        drawing.layout.width,
        drawing.layout.height,
        escaped(&about),
    );
    drawing.draw(&mut svg, Some(Page { chosen }));
    svg.push_str("</svg>\n");
    svg
}

/// The whole picture in a sentence or two, for who cannot see it.
fn in_words(picture: &Picture) -> String {
    let count = picture.vertices.len();
    let mut words = format!("{count} {} from left to right.", picture.of);
    let counts = counted(picture.vertices.iter());
    if !counts.is_empty() && picture.of == "steps" {
        let _ = write!(words, " {counts}.");
    }
    if count <= MAX_TOLD {
        for vertex in &picture.vertices {
            let _ = write!(words, " {}.", vertex.in_words());
        }
    }
    for edge in picture.edges.iter().filter(|edge| !edge.label.is_empty()) {
        let (from, to) = (&picture.vertices[edge.from], &picture.vertices[edge.to]);
        let _ = write!(words, " {}: {} to {}.", from.name, edge.label, to.name);
    }
    words
}

/// What stands where.
pub(super) struct Drawing<'a> {
    picture: &'a Picture,
    pub(super) layout: Layout,
    /// The label, edge and place of each pill.
    labels: Vec<&'a str>,
    /// Each line's own look.
    passed: Vec<Passed>,
}

impl<'a> Drawing<'a> {
    pub(super) fn of(picture: &'a Picture) -> Self {
        let mut sizes: Vec<Size> = picture.vertices.iter().map(size).collect();
        let ends: Vec<_> = picture.edges.iter().map(|it| (it.from, it.to)).collect();
        let backward = layout::backward(sizes.len(), &ends);
        let (mut links, mut passed, mut labels) = (Vec::new(), Vec::new(), Vec::new());
        for (edge, is_backward) in picture.edges.iter().zip(backward) {
            let (left, right) = if is_backward {
                (edge.to, edge.from)
            } else {
                (edge.from, edge.to)
            };
            let link = |left, right, is_backward, has_tip| Link {
                left,
                right,
                is_backward,
                has_tip,
            };
            if edge.label.is_empty() {
                if left != right {
                    links.push(link(left, right, is_backward, true));
                    passed.push(edge.passed);
                }
                continue;
            }
            // What happens on the way is a box of its own: so it has a place where nothing else is.
            let pill = sizes.len();
            labels.push(edge.label.as_str());
            sizes.push(Size {
                width: width_of(&edge.label, 62) + 18,
                height: PILL_HEIGHT,
                stretches: false,
            });
            if left == right {
                links.push(link(left, pill, false, false));
                links.push(link(left, pill, true, true));
            } else {
                links.push(link(left, pill, is_backward, is_backward));
                links.push(link(pill, right, is_backward, !is_backward));
            }
            passed.extend([edge.passed; 2]);
        }
        Self {
            picture,
            layout: layout::lay_out(&sizes, &links),
            labels,
            passed,
        }
    }

    fn draw(&self, svg: &mut String, page: Option<Page>) {
        for (way, passed) in self.layout.ways.iter().zip(&self.passed) {
            let class = match passed {
                Passed::Declared => "",
                Passed::Done => " done",
                Passed::ToDo => " todo",
            };
            let _ = write!(svg, "<path class=\"edge{class}\" d=\"{}\"/>", way.line);
            if !way.tip.is_empty() {
                let _ = write!(svg, "<path class=\"tip{class}\" d=\"{}\"/>", way.tip);
            }
            svg.push('\n');
        }
        let (boxes, pills) = self.layout.places.split_at(self.picture.vertices.len());
        for (label, place) in self.labels.iter().zip(pills) {
            let _ = writeln!(
                svg,
                "<g class=\"event\"><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"11\"/>\
                 <text x=\"{}\" y=\"{}\">{}</text></g>",
                place.x,
                place.y,
                place.width,
                place.height,
                place.x + place.width / 2,
                place.y + 15,
                escaped(label),
            );
        }
        for (vertex, place) in self.picture.vertices.iter().zip(boxes) {
            draw_box(svg, vertex, *place, page);
        }
    }
}

fn draw_box(svg: &mut String, vertex: &Vertex, at: Place, page: Option<Page>) {
    let look = glyph::look(&vertex.state);
    let state = class(&vertex.state);
    let about = escaped(&vertex.in_words());
    let end = if page.is_some() {
        let step = escaped(&in_query(&vertex.name));
        let _ = write!(
            svg,
            "<a class=\"node is-{state}\" href=\"?step={step}#step\" aria-label=\"{about}\">"
        );
        "</a>\n"
    } else {
        let _ = write!(svg, "<g class=\"node is-{state}\"><title>{about}</title>");
        "</g>\n"
    };
    let Place {
        x,
        y,
        width,
        height,
    } = at;
    if page.is_some_and(|page| page.chosen == Some(vertex.name.as_str())) {
        let _ = write!(
            svg,
            "<rect class=\"chosen\" x=\"{}.5\" y=\"{}.5\" width=\"{}\" height=\"{}\" rx=\"5\"/>",
            x - 4,
            y - 4,
            width + 7,
            height + 7
        );
    }
    let _ = write!(
        svg,
        "<rect class=\"box\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"3\"/>\
         <rect class=\"keel\" x=\"{x}\" y=\"{y}\" width=\"4\" height=\"{height}\" rx=\"1.5\"/>\
         <text x=\"{}\" y=\"{}\">{}</text>",
        x + 13,
        y + 22,
        escaped(&shortened(&vertex.name, LONGEST_NAME)),
    );
    let mut text_at = x + 13;
    if !look.glyph.is_empty() {
        let _ = write!(
            svg,
            "<svg class=\"glyph\" x=\"{text_at}\" y=\"{}\" width=\"12\" height=\"12\" viewBox=\"0 0 16 16\">{}</svg>",
            y + 31,
            look.glyph,
        );
        text_at += 17;
    }
    let word = shortened(&vertex.word, LONGEST_WORD);
    if !word.is_empty() {
        let _ = write!(
            svg,
            "<text class=\"time\" x=\"{text_at}\" y=\"{}\">{}</text>",
            y + 41,
            escaped(&word),
        );
    }
    let mut mark = text_at + width_of(&word, 71) + 4;
    for attempt in &vertex.attempts {
        let _ = match attempt {
            Attempt::Failed => write!(
                svg,
                "<path class=\"try\" d=\"m{mark} {}l5 5m0-5-5 5\"/>",
                y + 35
            ),
            Attempt::Fine => write!(
                svg,
                "<circle class=\"try\" cx=\"{}\" cy=\"{}\" r=\"2\"/>",
                mark + 3,
                y + 37
            ),
        };
        mark += MARK;
    }
    svg.push_str(end);
}

/// The width of the mark of an attempt.
const MARK: i32 = 10;

/// How large the box of a step or a state is.
fn size(vertex: &Vertex) -> Size {
    let name = width_of(&shortened(&vertex.name, LONGEST_NAME), 73) + 24;
    let word = width_of(&shortened(&vertex.word, LONGEST_WORD), 71) + 44;
    let attempts = i32::try_from(vertex.attempts.len()).unwrap_or(i32::MAX) * MARK;
    Size {
        width: name.max(word + attempts).max(NARROWEST),
        height: BOX_HEIGHT,
        stretches: true,
    }
}

/// About how wide a text is, at so many tenths of a pixel a character; what is not ASCII may be twice as wide.
fn width_of(text: &str, tenths: i32) -> i32 {
    let halves: i32 = text
        .chars()
        .map(|it| if it.is_ascii() { 1 } else { 2 })
        .sum();
    (halves * tenths + 9) / 10
}

/// The state as a class, whatever it is called.
fn class(state: &str) -> String {
    if state.is_empty() {
        return "none".to_owned();
    }
    let is_plain = |it: &char| it.is_ascii_alphanumeric() || *it == '_';
    state.chars().filter(is_plain).collect()
}

/// Text in an element or in an attribute.
fn escaped(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for it in harmless(text).chars() {
        match it {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            it => written.push(it),
        }
    }
    written
}

/// Text as a value of a query string.
fn in_query(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            written.push(char::from(byte));
        } else {
            let _ = write!(written, "%{byte:02X}");
        }
    }
    written
}
