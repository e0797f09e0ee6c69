//! Figures, as a table or as JSON.

use serde_json::{Map, Value, json};

use crate::cli::terminal;

/// What was measured, in the order in which it was.
#[derive(Default)]
pub(super) struct Report(Vec<Figure>);

struct Figure {
    name: &'static str,
    value: f64,
    unit: &'static str,
    /// Of each run, where there were several.
    runs: Vec<f64>,
    note: String,
}

impl Report {
    /// A figure of one run.
    pub(super) fn one(&mut self, name: &'static str, value: f64, unit: &'static str, note: String) {
        self.0.push(Figure {
            name,
            value,
            unit,
            runs: Vec::new(),
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
        self.0.push(Figure {
            name,
            value: median(&runs),
            unit,
            runs,
            note,
        });
    }

    /// To standard output.
    pub(super) fn print(&self, as_json: bool) {
        if as_json {
            let figures: Map<String, Value> = self.0.iter().map(Figure::json).collect();
            return terminal::print(Value::Object(figures));
        }
        let mut table = terminal::table(&["figure", "median", "unit", "runs", "note"]);
        for figure in &self.0 {
            let runs: Vec<String> = figure.runs.iter().map(|run| rounded(*run)).collect();
            table.add_row([
                figure.name.to_owned(),
                rounded(figure.value),
                figure.unit.to_owned(),
                runs.join(" "),
                figure.note.clone(),
            ]);
        }
        terminal::print_table(table, "nothing was measured");
    }
}

impl Figure {
    fn json(&self) -> (String, Value) {
        let value =
            json!({ "value": self.value, "unit": self.unit, "runs": self.runs, "note": self.note });
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_stands_in_the_middle() {
        assert!((median(&[5.0, 1.0, 9.0]) - 5.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }
}
