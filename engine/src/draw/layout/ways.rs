//! How lines run between layers: along a row, and in the gap before the next layer up or down to another row.
//!
//! In a gap each bundle has a track of its own, so that no two lines lie on each other.

use super::{Grid, Link, Place, Way};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

/// Between two layers, with up to two tracks.
const GAP: i32 = 30;
/// From the box to the first track.
const BEFORE_TRACKS: i32 = 12;
const BETWEEN_TRACKS: i32 = 8;
/// Lines in one track are at least so far apart.
const APART: i32 = 6;
const RADIUS: i32 = 8;
/// A line ends before its tip does.
const TIP: i32 = 5;

/// Where the lines of a bundle turn up or down in a gap.
#[derive(Clone, Debug, Default)]
struct Turn {
    top: i32,
    bottom: i32,
    leaves: Vec<i32>,
    reaches: Vec<i32>,
}

impl Turn {
    fn add(&mut self, leaves: i32, reaches: i32) {
        let (top, bottom) = (leaves.min(reaches), leaves.max(reaches));
        let is_first = self.leaves.is_empty();
        self.top = if is_first { top } else { self.top.min(top) };
        self.bottom = if is_first {
            bottom
        } else {
            self.bottom.max(bottom)
        };
        self.leaves.push(leaves);
        self.reaches.push(reaches);
    }
}

/// A track for each bundle that turns in a gap: its own at its heights. What leaves a box at a height turns before what reaches
/// a box at that height, else they would lie on each other between their tracks.
fn tracks(turns: BTreeMap<usize, Turn>) -> Vec<(usize, usize)> {
    let mut turns: Vec<_> = turns.into_iter().collect();
    turns.sort_by_key(|(bundle, turn)| (turn.top, *bundle));
    let mut leaving: HashMap<i32, Vec<usize>> = HashMap::new();
    for (at, (_, turn)) in turns.iter().enumerate() {
        for height in &turn.leaves {
            leaving.entry(*height).or_default().push(at);
        }
    }
    let mut before: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); turns.len()];
    let mut behind: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); turns.len()];
    for (at, (_, turn)) in turns.iter().enumerate() {
        for other in turn
            .reaches
            .iter()
            .filter_map(|it| leaving.get(it))
            .flatten()
        {
            if *other != at {
                before[at].insert(*other);
                behind[*other].insert(at);
            }
        }
    }
    let mut remaining: BTreeSet<usize> = (0..turns.len()).collect();
    let mut ready: BTreeSet<usize> = (0..turns.len())
        .filter(|it| before[*it].is_empty())
        .collect();
    let mut first = vec![0; turns.len()];
    let mut taken: Vec<Vec<(i32, i32)>> = Vec::new();
    let mut given = Vec::new();
    // Two that change their heights have no order: the upper one is given its track first.
    while let Some(at) = ready.pop_first().or_else(|| remaining.first().copied()) {
        if !remaining.remove(&at) {
            continue;
        }
        let (bundle, turn) = &turns[at];
        let is_apart = |it: &(i32, i32)| it.1 + APART <= turn.top || turn.bottom + APART <= it.0;
        let is_free = |track: &usize| taken.get(*track).is_none_or(|it| it.iter().all(is_apart));
        // One behind all that were given is free.
        let last = first[at].max(taken.len());
        let track = (first[at]..last).find(is_free).unwrap_or(last);
        taken.resize(taken.len().max(track + 1), Vec::new());
        taken[track].push((turn.top, turn.bottom));
        given.push((*bundle, track));
        for next in &behind[at] {
            first[*next] = first[*next].max(track + 1);
            before[*next].remove(&at);
            if before[*next].is_empty() {
                ready.insert(*next);
            }
        }
    }
    given
}

/// In which track of its gap a bundle goes up or down, and at which height each of its parts begins and ends.
pub(super) struct Route<'a> {
    grid: &'a Grid,
    middles: Vec<i32>,
    heights: Vec<i32>,
    occupied: HashSet<(usize, usize)>,
    /// Boxes that a line leaves and comes back to from the same neighbour.
    loops: HashSet<(usize, usize)>,
    /// By gap and bundle.
    tracks: HashMap<(usize, usize), usize>,
    tracks_in: Vec<usize>,
}

impl<'a> Route<'a> {
    pub(super) fn new(
        grid: &'a Grid,
        tops: &[(i32, i32)],
        places: &[Place],
        links: &[Link],
    ) -> Self {
        let middle = |row: usize| tops[row].0 + tops[row].1 / 2;
        let mut pairs = HashSet::new();
        let mut loops = HashSet::new();
        for link in links {
            if !pairs.insert((link.left, link.right)) {
                loops.insert((link.left, link.right));
            }
        }
        let mut route = Self {
            grid,
            middles: grid.cells.iter().map(|it| middle(it.row)).collect(),
            heights: places.iter().map(|it| it.height).collect(),
            occupied: grid.cells.iter().map(|it| (it.layer, it.row)).collect(),
            loops,
            tracks: HashMap::new(),
            tracks_in: vec![0; grid.layers.len()],
        };
        route.give_tracks(links);
        route
    }

    fn give_tracks(&mut self, links: &[Link]) {
        let mut turns: Vec<BTreeMap<usize, Turn>> = vec![BTreeMap::new(); self.tracks_in.len()];
        for (link, bundle) in links.iter().zip(&self.grid.bundle_of) {
            for (left, right) in self.hops(*bundle, link) {
                let (from, to) = self.ends(left, right, link.is_backward);
                if from != to {
                    let gap = &mut turns[self.grid.cells[left].layer];
                    gap.entry(*bundle).or_default().add(from, to);
                }
            }
        }
        for (gap, turns) in turns.into_iter().enumerate() {
            for (bundle, track) in tracks(turns) {
                self.tracks.insert((gap, bundle), track);
                self.tracks_in[gap] = self.tracks_in[gap].max(track + 1);
            }
        }
    }

    /// From cell to cell, through the layers that the link passes.
    fn hops(&self, bundle: usize, link: &Link) -> Vec<(usize, usize)> {
        let passed = self.grid.cells[link.right].layer - self.grid.cells[link.left].layer - 1;
        let lanes = self.grid.bundles[bundle].lanes[..passed].iter().copied();
        let cells: Vec<usize> = [link.left]
            .into_iter()
            .chain(lanes)
            .chain([link.right])
            .collect();
        cells.windows(2).map(|it| (it[0], it[1])).collect()
    }

    /// At which height a line leaves the left cell and reaches the right one. What goes on in the same row does so in the
    /// middle; what comes from or goes to other rows has its own place above or below.
    fn ends(&self, left: usize, right: usize, is_backward: bool) -> (i32, i32) {
        let (from, to) = (&self.grid.cells[left], &self.grid.cells[right]);
        let twin = match (self.loops.contains(&(left, right)), is_backward) {
            (false, _) => 0,
            (true, false) => -5,
            (true, true) => 5,
        };
        if from.row == to.row {
            return (self.middles[left] + twin, self.middles[right] + twin);
        }
        let down = if to.row > from.row { 1 } else { -1 };
        let leaves = self.share(left, if is_backward { 20 } else { 8 });
        let is_alone = !self.occupied.contains(&(from.layer, to.row));
        let reaches = match (is_alone, is_backward) {
            (true, _) => 0,
            (false, true) => self.share(right, 18),
            (false, false) => self.share(right, 14),
        };
        (
            self.middles[left] + down * leaves,
            self.middles[right] + twin - down * reaches,
        )
    }

    /// That far from the middle of a box of a step, less in a smaller one, and not at all in a line.
    fn share(&self, cell: usize, distance: i32) -> i32 {
        self.heights
            .get(cell)
            .map_or(0, |height| height * distance / 54)
    }

    pub(super) fn gap_width(&self, gap: usize) -> i32 {
        let tracks = i32::try_from(self.tracks_in[gap]).unwrap_or(i32::MAX);
        GAP + BETWEEN_TRACKS * (tracks - 2).max(0)
    }

    /// How a link runs, when it is known where boxes and gaps begin.
    pub(super) fn way(&self, number: usize, link: &Link, places: &[Place], gaps: &[i32]) -> Way {
        let bundle = self.grid.bundle_of[number];
        let (left, right) = (places[link.left], places[link.right]);
        let hops = self.hops(bundle, link);
        let mut points = Vec::new();
        let mut end = 0;
        for (from, to) in hops {
            let gap = self.grid.cells[from].layer;
            let (leaves, reaches) = self.ends(from, to, link.is_backward);
            if points.is_empty() {
                points.push((left.x + left.width, leaves));
            }
            if leaves != reaches {
                let track = self.tracks.get(&(gap, bundle)).copied().unwrap_or(0);
                let track = i32::try_from(track).unwrap_or(i32::MAX);
                let x = gaps[gap] + BEFORE_TRACKS + BETWEEN_TRACKS * track;
                points.extend([(x, leaves), (x, reaches)]);
            }
            end = reaches;
        }
        points.push((right.x, end));
        let mut tip = String::new();
        if link.has_tip && link.is_backward {
            let (x, y) = points[0];
            tip = format!("M{} {}l-6 4 6 4z", x + TIP + 1, y - 4);
            points[0].0 += TIP;
        } else if link.has_tip {
            tip = format!("M{} {}l6 4-6 4z", right.x - TIP - 1, end - 4);
            if let Some(last) = points.last_mut() {
                last.0 -= TIP;
            }
        }
        Way {
            line: rounded(&points),
            tip,
        }
    }
}

/// A line along the points, with its corners rounded.
fn rounded(points: &[(i32, i32)]) -> String {
    let mut path = format!("M{} {}", points[0].0, points[0].1);
    let to = |path: &mut String, from: (i32, i32), to: (i32, i32)| {
        // Writing to a String cannot fail.
        let _ = match (from.0 == to.0, from.1 == to.1) {
            (true, true) => Ok(()),
            (false, true) => write!(path, "H{}", to.0),
            (true, false) => write!(path, "V{}", to.1),
            (false, false) => write!(path, "L{} {}", to.0, to.1),
        };
    };
    let mut at = points[0];
    for corner in points.windows(3) {
        let (before, here, behind) = (corner[0], corner[1], corner[2]);
        let length = |a: (i32, i32), b: (i32, i32)| (a.0 - b.0).abs() + (a.1 - b.1).abs();
        let radius = RADIUS
            .min(length(before, here) / 2)
            .min(length(here, behind) / 2);
        let towards = |other: (i32, i32)| {
            let (x, y) = ((other.0 - here.0).signum(), (other.1 - here.1).signum());
            (here.0 + x * radius, here.1 + y * radius)
        };
        let (begin, end) = (towards(before), towards(behind));
        to(&mut path, at, begin);
        let _ = write!(path, "Q{} {} {} {}", here.0, here.1, end.0, end.1);
        at = end;
    }
    if let Some(last) = points.last() {
        to(&mut path, at, *last);
    }
    path
}
