//! What is drawn of a picture that is too large for anybody to look at: first what somebody would look for.

use crate::draw::{Edge, Picture, counted, glyph};
use std::borrow::Cow;

/// More boxes than this nobody follows with the eye, and a browser begins to stutter.
const MAX_VERTICES: usize = 300;
/// Nor more lines.
const MAX_EDGES: usize = 1_500;

/// The picture, or a part of it.
pub(super) struct Excerpt<'a> {
    pub(super) picture: Cow<'a, Picture>,
    /// What is missing, in words.
    pub(super) note: Option<String>,
}

impl<'a> Excerpt<'a> {
    pub(super) fn of(picture: &'a Picture) -> Self {
        if picture.vertices.len() <= MAX_VERTICES && picture.edges.len() <= MAX_EDGES {
            return Self {
                picture: Cow::Borrowed(picture),
                note: None,
            };
        }
        let is_shown = choose(picture);
        let mut new_place = vec![0; picture.vertices.len()];
        let mut vertices = Vec::new();
        for (place, vertex) in picture.vertices.iter().enumerate() {
            if is_shown[place] {
                new_place[place] = vertices.len();
                vertices.push(vertex.clone());
            }
        }
        let shown = picture
            .edges
            .iter()
            .filter(|it| is_shown[it.from] && is_shown[it.to]);
        let edges = shown.map(|edge| Edge {
            from: new_place[edge.from],
            to: new_place[edge.to],
            ..edge.clone()
        });
        let missing = (0..picture.vertices.len()).filter(|it| !is_shown[*it]);
        let missing = missing.map(|it| &picture.vertices[it]);
        let counts = counted(missing.clone());
        let counts = if counts.is_empty() {
            counts
        } else {
            format!(" ({counts})")
        };
        let note = format!(
            "{} of {} {} are not drawn{counts}, nor what leads to them.",
            missing.count(),
            picture.vertices.len(),
            picture.of
        );
        Self {
            note: Some(note),
            picture: Cow::Owned(Picture {
                vertices,
                edges: edges.collect(),
                title: picture.title.clone(),
                of: picture.of,
            }),
        }
    }
}

/// Up to half of them loud ones, wherever they are, then in the order of the graph.
fn choose(picture: &Picture) -> Vec<bool> {
    let count = picture.vertices.len();
    let mut beside: Vec<Vec<usize>> = vec![Vec::new(); count];
    for edge in &picture.edges {
        beside[edge.from].push(edge.to);
        beside[edge.to].push(edge.from);
    }
    let is_loud = |it: &usize| glyph::look(&picture.vertices[*it].state).is_loud;
    let loud = (0..count).filter(is_loud).take(MAX_VERTICES / 2);
    let mut is_shown = vec![false; count];
    let (mut vertices, mut edges) = (0, 0);
    for it in loud.chain(0..count) {
        if is_shown[it] {
            continue;
        }
        let more = beside[it].iter().filter(|other| is_shown[**other]).count();
        if vertices == MAX_VERTICES || edges + more > MAX_EDGES {
            break;
        }
        is_shown[it] = true;
        vertices += 1;
        edges += more;
    }
    is_shown
}
