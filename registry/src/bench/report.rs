//! Figures, as a table or as JSON.

use serde_json::{Map, Value, json};

use crate::cli::terminal;

/// What was measured, in the order in which it was.
#[derive(Default)]
pub(super) struct Report {
    figures: Vec<Figure>,
    lists: Vec<Latency>,
}

/// How long a list takes to be answered.
pub(super) struct Latency {
    name: String,
    /// In milliseconds.
    took: Vec<f64>,
    /// On the page.
    rows: usize,
    /// On all pages, where the answer says it.
    total: Option<u64>,
}

impl Latency {
    /// Of this list, not measured yet.
    pub(super) fn of(name: String) -> Self {
        Self {
            name,
            took: Vec::new(),
            rows: 0,
            total: None,
        }
    }

    /// One answer took so long.
    pub(super) fn took(&mut self, milliseconds: f64) {
        self.took.push(milliseconds);
    }

    /// Every answer has so many rows.
    pub(super) fn found(&mut self, rows: usize, total: Option<u64>) {
        (self.rows, self.total) = (rows, total);
    }

    fn row(&self) -> [String; 6] {
        [
            self.name.clone(),
            rounded(median(&self.took)),
            rounded(percentile(&self.took, 95)),
            rounded(percentile(&self.took, 100)),
            self.rows.to_string(),
            self.total
                .map_or_else(|| "-".to_owned(), |total| total.to_string()),
        ]
    }

    fn json(&self) -> Value {
        json!({
            "list": self.name,
            "p50": median(&self.took),
            "p95": percentile(&self.took, 95),
            "max": percentile(&self.took, 100),
            "unit": "ms",
            "rows": self.rows,
            "total": self.total,
        })
    }
}

struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// Of each run, where there were several.
    runs: Vec<f64>,
    /// What it must be, where that was promised.
    must: Option<&'static str>,
    note: String,
}

impl Report {
    /// What the last figure must be.
    pub(super) fn must(&mut self, must: &'static str) {
        if let Some(last) = self.figures.last_mut() {
            last.must = Some(must);
        }
    }

    /// A figure of one run.
    pub(super) fn one(&mut self, name: &'static str, value: f64, unit: &'static str, note: String) {
        self.figures.push(Figure {
            name,
            value,
            unit,
            runs: Vec::new(),
            must: None,
            note,
        });
    }

    /// The median of several runs.
    pub(super) fn median(
        &mut self,
        name: &'static str,
        runs: Vec<f64>,
        unit: &'static str,
        note: String,
    ) {
        self.figures.push(Figure {
            name,
            value: median(&runs),
            unit,
            runs,
            must: None,
            note,
        });
    }

    /// How long a list takes.
    pub(super) fn list(&mut self, list: Latency) {
        self.lists.push(list);
    }

    /// To standard output.
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            let mut figures: Map<String, Value> = self.figures.iter().map(Figure::json).collect();
            if !self.lists.is_empty() {
                let lists = self.lists.iter().map(Latency::json).collect();
                figures.insert("lists".to_owned(), lists);
            }
            return terminal::print(Value::Object(figures));
        }
        // Not every benchmark was promised something.
        let promised = self.figures.iter().any(|figure| figure.must.is_some());
        let mut columns = vec!["figure", "median", "unit", "must", "runs", "note"];
        columns.retain(|name| promised || *name != "must");
        let mut table = terminal::table(&columns);
        for figure in &self.figures {
            let runs: Vec<String> = figure.runs.iter().map(|run| rounded(*run)).collect();
            let mut row = vec![
                figure.name.to_owned(),
                rounded(figure.value),
                figure.unit.to_owned(),
            ];
            if promised {
                row.push(figure.must.unwrap_or_default().to_owned());
            }
            row.extend([runs.join(" "), figure.note.clone()]);
            table.add_row(row);
        }
        terminal::print_table(table, "nothing was measured");
        if self.lists.is_empty() {
            return;
        }
        terminal::print("");
        let mut table = terminal::table(&["list", "p50 ms", "p95 ms", "max ms", "rows", "of"]);
        for list in &self.lists {
            table.add_row(list.row());
        }
        terminal::print_table(table, "no list was measured");
    }
}

impl Figure {
    fn json(&self) -> (String, Value) {
        let mut value =
            json!({ "value": self.value, "unit": self.unit, "runs": self.runs, "note": self.note });
        if let Some(must) = self.must {
            value["must"] = must.into();
        }
        (self.name.to_owned(), value)
    }
}

fn rounded(value: f64) -> String {
    if value >= 100.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// The value that half of them do not reach; 0 of none.
pub(super) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The value that so many of a hundred do not pass; 0 of none.
pub(super) fn percentile(values: &[f64], percent: usize) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = (sorted.len() * percent).div_ceil(100);
    sorted.get(place.saturating_sub(1)).copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert!((median(&[5.0, 1.0, 9.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }

    #[test]
    fn a_percentile_is_the_value_that_so_many_do_not_pass() {
        let values: Vec<f64> = (1..=60).map(f64::from).collect();

        for (percent, value) in [(50, 30.0), (95, 57.0), (100, 60.0)] {
            assert!((percentile(&values, percent) - value).abs() < f64::EPSILON);
        }
        assert!(percentile(&[], 95).abs() < f64::EPSILON);
    }
}
