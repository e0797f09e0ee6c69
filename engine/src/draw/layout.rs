//! Where each box of a picture stands, and how the lines between them run.
//!
//! A box stands in the layer after the last one it waits for, so every line goes from left to right. A line that passes a layer
//! has a cell of its own there, shared by all lines of one box, so that it runs through no other box. Within its layer a cell
//! stands near the mean of those before it; the longest path has the first row to itself.

mod ways;

use std::collections::{HashMap, VecDeque};
use ways::Route;

/// Around everything.
const MARGIN: i32 = 4;
/// Between two rows of boxes.
const BETWEEN_ROWS: i32 = 22;
/// Between two rows of which one holds lines only.
const BETWEEN_LANES: i32 = 12;
/// A row that holds lines only.
const LANE_HEIGHT: i32 = 8;
/// Forth and back through the layers so often, to untangle lines; more rarely helps.
const SWEEPS: usize = 4;

/// How large a box is at least.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: i32,
    pub(super) height: i32,
    /// It is made as wide as its layer.
    pub(super) stretches: bool,
}

/// A line to draw, from a box to one in a later layer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    pub(super) left: usize,
    pub(super) right: usize,
    /// What it shows goes from right to left.
    pub(super) is_backward: bool,
    /// It ends with a tip.
    pub(super) has_tip: bool,
}

/// Where a box stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) x: i32,
    pub(super) y: i32,
    pub(super) width: i32,
    pub(super) height: i32,
}

/// How a line runs, as SVG writes paths, and its tip; empty: none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) line: String,
    pub(super) tip: String,
}

/// Where everything stands.
#[derive(Clone, Debug, Default)]
pub(super) struct Layout {
    pub(super) width: i32,
    pub(super) height: i32,
    pub(super) places: Vec<Place>,
    pub(super) ways: Vec<Way>,
}

/// A box, or the place where lines of one box pass a layer.
#[derive(Clone, Debug)]
struct Cell {
    layer: usize,
    row: usize,
    before: Vec<usize>,
    behind: Vec<usize>,
}

/// All lines that leave one box in one direction; they run together until they part.
#[derive(Clone, Debug)]
struct Bundle {
    left: usize,
    /// The cell in each layer that it passes.
    lanes: Vec<usize>,
}

/// Marks the edges that lead back to where the walk along the others came from.
pub(super) fn backward(count: usize, edges: &[(usize, usize)]) -> Vec<bool> {
    #[derive(Clone, Copy, PartialEq)]
    enum Seen {
        No,
        OnTheWay,
        Done,
    }
    let mut leaving: Vec<Vec<usize>> = vec![Vec::new(); count];
    for (edge, (from, _)) in edges.iter().enumerate() {
        leaving[*from].push(edge);
    }
    let mut backward = vec![false; edges.len()];
    let mut seen = vec![Seen::No; count];
    for start in 0..count {
        let mut walk = vec![(start, 0)];
        while let Some((vertex, next)) = walk.pop() {
            if next == 0 {
                if seen[vertex] != Seen::No {
                    continue;
                }
                seen[vertex] = Seen::OnTheWay;
            }
            let Some(edge) = leaving[vertex].get(next) else {
                seen[vertex] = Seen::Done;
                continue;
            };
            walk.push((vertex, next + 1));
            let to = edges[*edge].1;
            match seen[to] {
                Seen::No => walk.push((to, 0)),
                Seen::OnTheWay => backward[*edge] = true,
                Seen::Done => {}
            }
        }
    }
    backward
}

/// Places boxes and lines. The links must form no circle.
pub(super) fn lay_out(sizes: &[Size], links: &[Link]) -> Layout {
    if sizes.is_empty() {
        return Layout::default();
    }
    let layer_of = layers(sizes.len(), links);
    let mut grid = Grid::new(&layer_of, links);
    grid.untangle();
    grid.choose_rows();
    let tops = grid.row_tops(sizes);
    let mut places = vec![Place::default(); sizes.len()];
    for (place, (cell, size)) in places.iter_mut().zip(grid.cells.iter().zip(sizes)) {
        let (top, height) = tops[cell.row];
        place.y = top + (height - size.height) / 2;
        place.height = size.height;
    }
    let route = Route::new(&grid, &tops, &places, links);
    let mut left = MARGIN;
    let mut gaps = Vec::new();
    for layer in 0..grid.layers.len() {
        let boxes = || grid.layers[layer].iter().filter(|it| **it < sizes.len());
        let width = boxes().map(|it| sizes[*it].width).max().unwrap_or(0);
        for it in boxes() {
            let own = if sizes[*it].stretches {
                width
            } else {
                sizes[*it].width
            };
            places[*it].x = left + (width - own) / 2;
            places[*it].width = own;
        }
        left += width;
        gaps.push(left);
        left += route.gap_width(layer);
    }
    let (top, height) = tops.last().copied().unwrap_or_default();
    let right = gaps.last().copied().unwrap_or_default();
    let ways = links.iter().enumerate();
    let ways = ways.map(|(number, link)| route.way(number, link, &places, &gaps));
    Layout {
        width: right + MARGIN,
        height: top + height + MARGIN,
        ways: ways.collect(),
        places,
    }
}

/// For each box the length of the longest path that leads to it.
fn layers(count: usize, links: &[Link]) -> Vec<usize> {
    let mut behind: Vec<Vec<usize>> = vec![Vec::new(); count];
    let mut missing = vec![0_usize; count];
    for link in links {
        behind[link.left].push(link.right);
        missing[link.right] += 1;
    }
    let mut ready: VecDeque<usize> = (0..count).filter(|it| missing[*it] == 0).collect();
    let mut layer = vec![0; count];
    while let Some(it) = ready.pop_front() {
        for next in &behind[it] {
            layer[*next] = layer[*next].max(layer[it] + 1);
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push_back(*next);
            }
        }
    }
    layer
}

/// Which cells there are and what connects them. The boxes come first, each under its own number.
struct Grid {
    cells: Vec<Cell>,
    /// Each layer from top to bottom.
    layers: Vec<Vec<usize>>,
    bundles: Vec<Bundle>,
    /// The bundle of each link.
    bundle_of: Vec<usize>,
    is_main: Vec<bool>,
}

impl Grid {
    fn new(layer_of: &[usize], links: &[Link]) -> Self {
        let count = layer_of.iter().max().map_or(0, |it| it + 1);
        let cell = |layer: usize| Cell {
            layer,
            row: 0,
            before: Vec::new(),
            behind: Vec::new(),
        };
        let mut grid = Self {
            cells: layer_of.iter().map(|layer| cell(*layer)).collect(),
            layers: vec![Vec::new(); count],
            bundles: Vec::new(),
            bundle_of: Vec::new(),
            is_main: Vec::new(),
        };
        let mut known = HashMap::new();
        for link in links {
            let next = grid.bundles.len();
            let bundle = *known.entry((link.left, link.is_backward)).or_insert(next);
            if bundle == next {
                grid.bundles.push(Bundle {
                    left: link.left,
                    lanes: Vec::new(),
                });
            }
            grid.bundle_of.push(bundle);
            let passed = layer_of[link.right] - layer_of[link.left] - 1;
            for layer in grid.bundles[bundle].lanes.len()..passed {
                let before = grid.last_of(bundle, layer);
                let lane = grid.cells.len();
                grid.cells.push(cell(layer_of[link.left] + 1 + layer));
                grid.connect(before, lane);
                grid.bundles[bundle].lanes.push(lane);
            }
            let before = grid.last_of(bundle, passed);
            grid.connect(before, link.right);
        }
        for (it, cell) in grid.cells.iter().enumerate() {
            grid.layers[cell.layer].push(it);
        }
        grid.is_main = grid.main_path(layer_of, links);
        grid
    }

    /// The cell of the bundle behind which it has passed so many layers.
    fn last_of(&self, bundle: usize, passed: usize) -> usize {
        let bundle = &self.bundles[bundle];
        passed
            .checked_sub(1)
            .map_or(bundle.left, |it| bundle.lanes[it])
    }

    fn connect(&mut self, before: usize, behind: usize) {
        self.cells[before].behind.push(behind);
        self.cells[behind].before.push(before);
    }

    /// The longest path; of several the one that was declared first.
    fn main_path(&self, layer_of: &[usize], links: &[Link]) -> Vec<bool> {
        let mut before = vec![None; layer_of.len()];
        for link in links {
            let is_next = layer_of[link.left] + 1 == layer_of[link.right];
            let known = before[link.right].unwrap_or(usize::MAX);
            if is_next && link.left < known {
                before[link.right] = Some(link.left);
            }
        }
        let mut is_main = vec![false; self.cells.len()];
        let last = self.layers.len().saturating_sub(1);
        let mut at = layer_of.iter().position(|layer| *layer == last);
        while let Some(it) = at {
            is_main[it] = true;
            at = before[it];
        }
        is_main
    }

    /// Orders each layer so that few lines cross.
    fn untangle(&mut self) {
        let mut place = vec![0; self.cells.len()];
        let mut best: Option<(usize, Vec<Vec<usize>>)> = None;
        for sweep in 0..=SWEEPS {
            let is_forward = sweep % 2 == 0;
            for at in 0..self.layers.len() {
                let at = if is_forward {
                    at
                } else {
                    self.layers.len() - 1 - at
                };
                self.sort(at, is_forward, &place);
                for (position, it) in self.layers[at].iter().enumerate() {
                    place[*it] = position;
                }
            }
            let crossings = self.crossings(&place);
            if best.as_ref().is_none_or(|(fewest, _)| crossings < *fewest) {
                best = Some((crossings, self.layers.clone()));
            }
        }
        if let Some((_, layers)) = best {
            self.layers = layers;
        }
    }

    /// By the mean place of the neighbours on one side, in thousandths; who has none there keeps its place.
    fn sort(&mut self, layer: usize, is_forward: bool, place: &[usize]) {
        let (cells, is_main) = (&self.cells, &self.is_main);
        self.layers[layer].sort_by_cached_key(|it| {
            let cell = &cells[*it];
            let beside = if is_forward {
                &cell.before
            } else {
                &cell.behind
            };
            let sum: usize = beside.iter().map(|other| place[*other]).sum();
            let mean = (sum * 1_000).checked_div(beside.len());
            (!is_main[*it], mean.unwrap_or(place[*it] * 1_000))
        });
    }

    /// How many pairs of lines cross, counted with a tree of partial sums.
    fn crossings(&self, place: &[usize]) -> usize {
        let mut crossings = 0;
        for (left, right) in self.layers.iter().zip(self.layers.iter().skip(1)) {
            let mut seen = vec![0_usize; right.len() + 1];
            let mut total = 0;
            for it in left {
                let mut ends: Vec<usize> =
                    self.cells[*it].behind.iter().map(|it| place[*it]).collect();
                ends.sort_unstable();
                for end in &ends {
                    let mut above = 0;
                    let mut at = end + 1;
                    while at > 0 {
                        above += seen[at];
                        at &= at - 1;
                    }
                    crossings += total - above;
                }
                for end in ends {
                    total += 1;
                    let mut at = end + 1;
                    while at < seen.len() {
                        seen[at] += 1;
                        at += at & at.wrapping_neg();
                    }
                }
            }
        }
        crossings
    }

    /// The free row nearest to the mean of those before, in the order of the layer; the main path in the first. Then cells
    /// move towards those behind them and those before them, as far as their layer lets them: lines become straight.
    fn choose_rows(&mut self) {
        for layer in 0..self.layers.len() {
            let mut free = 0;
            for it in self.layers[layer].clone() {
                // The first row is the main path's in every layer.
                if !self.is_main[it] {
                    let wanted = self.mean_row(&self.cells[it].before);
                    self.cells[it].row = wanted.unwrap_or(0).max(free).max(1);
                }
                free = self.cells[it].row + 1;
            }
        }
        for layer in (0..self.layers.len()).rev() {
            let mut below = usize::MAX;
            for it in self.layers[layer].clone().into_iter().rev() {
                if !self.is_main[it] {
                    let row = self.cells[it].row;
                    let wanted = self.mean_row(&self.cells[it].behind).unwrap_or(row);
                    self.cells[it].row = wanted.min(below - 1).max(row);
                }
                below = self.cells[it].row;
            }
        }
        for layer in 0..self.layers.len() {
            let order = self.layers[layer].clone();
            let mut free = 1;
            for (at, it) in order.iter().enumerate() {
                if self.is_main[*it] {
                    continue;
                }
                let below = order
                    .get(at + 1)
                    .map_or(usize::MAX, |next| self.cells[*next].row);
                let row = self.cells[*it].row;
                let wanted = self.mean_row(&self.cells[*it].before).unwrap_or(row);
                self.cells[*it].row = wanted.min(below - 1).max(free);
                free = self.cells[*it].row + 1;
            }
        }
    }

    fn mean_row(&self, cells: &[usize]) -> Option<usize> {
        let sum: usize = cells.iter().map(|it| self.cells[*it].row).sum();
        (sum * 2 + cells.len()).checked_div(cells.len() * 2)
    }

    /// Where each row begins and how high it is.
    fn row_tops(&self, sizes: &[Size]) -> Vec<(i32, i32)> {
        let rows = self.cells.iter().map(|it| it.row + 1).max().unwrap_or(0);
        let mut heights = vec![LANE_HEIGHT; rows];
        for (cell, size) in self.cells.iter().zip(sizes) {
            heights[cell.row] = heights[cell.row].max(size.height);
        }
        let mut top = MARGIN;
        let mut tops = Vec::with_capacity(rows);
        for (row, height) in heights.iter().enumerate() {
            tops.push((top, *height));
            let next = heights.get(row + 1).copied().unwrap_or(LANE_HEIGHT);
            let is_beside_lanes = *height == LANE_HEIGHT || next == LANE_HEIGHT;
            top += height
                + if is_beside_lanes {
                    BETWEEN_LANES
                } else {
                    BETWEEN_ROWS
                };
        }
        tops
    }
}
