//! What `/metrics` shows, read as Prometheus reads it.

use std::collections::{BTreeMap, BTreeSet};

/// Each line by its name with labels.
#[derive(Clone, Debug, Default)]
pub struct Metrics(BTreeMap<String, f64>);

impl Metrics {
    /// The values in a text of Prometheus's format; fails the test on a line that is not of it.
    pub fn of(text: &str) -> Self {
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let values = lines.map(|line| {
            let value = line.rsplit_once(' ').and_then(|(name, value)| {
                let value = value.parse().ok()?;
                Some((name.to_owned(), value))
            });
            value.unwrap_or_else(|| panic!("not a line of metrics: {line}"))
        });
        Self(values.collect())
    }

    /// The sum over all lines of this metric that hold these words.
    pub fn sum(&self, name: &str, words: &[&str]) -> f64 {
        let lines = self.0.iter().filter(|(line, _)| {
            let (metric, labels) = line.split_once('{').unwrap_or((line, ""));
            metric == name && words.iter().all(|word| labels.contains(word))
        });
        lines.map(|(_, value)| value).sum()
    }

    /// The names of all metrics; of a histogram its name alone.
    pub fn names(&self) -> BTreeSet<String> {
        let names = self.0.keys().map(|line| {
            let name = line.split('{').next().unwrap_or_default();
            let histogram = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| name.strip_suffix(end));
            histogram.unwrap_or(name).to_owned()
        });
        names.collect()
    }
}
