//! Writing to people. A reader that goes away (`… | head`) is no error.

use std::fmt::Display;
use std::io::Write;

use comfy_table::{ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};

/// Writes a line, or several, to standard output.
pub(crate) fn print(text: impl Display) {
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe has read all that was wanted.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes to standard error, with our name in front.
pub(crate) fn complain(text: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "wharfinger: {text}");
}

/// A table without borders that fits the terminal: long cells are wrapped, or left alone when it is no terminal.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    if !header.is_empty() {
        table.set_header(header.iter().copied());
    }
    table
}

/// Prints a table, or says that there is nothing to show.
pub(crate) fn print_table(table: Table, nothing: &str) {
    if table.is_empty() {
        return print(nothing);
    }
    print(laid_out(table));
}

/// The lines of a table.
pub(super) fn laid_out(mut table: Table) -> String {
    const BETWEEN_COLUMNS: (u16, u16) = (0, 2);
    for column in table.column_iter_mut() {
        column.set_padding(BETWEEN_COLUMNS);
    }
    table.trim_fmt()
}

/// A bar on standard error that shows how many of these bytes are done; nothing where that is no terminal.
pub(crate) fn progress(doing: &'static str, bytes: u64) -> ProgressBar {
    const TEMPLATE: &str = "{msg} {wide_bar} {binary_bytes} of {binary_total_bytes}, {eta} left";
    let style = ProgressStyle::with_template(TEMPLATE).expect("a test reads the template");
    ProgressBar::new(bytes)
        .with_style(style)
        .with_message(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_counts_what_is_done() {
        let progress = progress("reading blobs", 100);

        progress.inc(40);

        assert_eq!((progress.position(), progress.length()), (40, Some(100)));
    }
}
