//! Writing to people. A reader that goes away (`… | head`) is no error.

use std::fmt::Display;
use std::io::{IsTerminal as _, Write};

use comfy_table::{ColumnConstraint, ContentArrangement, Table};
use indicatif::{ProgressBar, ProgressStyle};

use super::printable;

/// Blanks behind each column of a table.
pub(super) const BETWEEN_COLUMNS: u16 = 2;

/// Writes a line, or several, to standard output; escapes stand for what a terminal would act on.
pub(crate) fn print(text: impl Display) {
    write(&printable::lines(&text.to_string()));
}

/// Writes JSON to standard output: byte for byte for scripts, with more escapes for a terminal.
pub(super) fn print_json(text: &str) {
    if std::io::stdout().is_terminal() {
        write(&printable::json(text));
    } else {
        write(text);
    }
}

fn write(text: &str) {
    let mut out = std::io::stdout().lock();
    // Whoever closed the pipe has read all that was wanted.
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Writes to standard error, with our name in front; escapes stand for what a terminal would act on.
pub(crate) fn complain(text: impl Display) {
    let text = text.to_string();
    let text = printable::lines(&text);
    let _ = writeln!(std::io::stderr().lock(), "wharfinger: {text}");
}

/// How many columns the terminal has; `None` where there is none, so that nothing need be broken.
pub(super) fn width() -> Option<u16> {
    Table::new().width()
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

/// Prints a line for each field, its name in front.
pub(super) fn print_fields(fields: Vec<(String, String)>) {
    let mut table = table(&[]);
    for (name, text) in fields {
        table.add_row([name, text]);
    }
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    print_table(table, "nothing");
}

/// The lines of a table.
pub(super) fn laid_out(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, BETWEEN_COLUMNS));
    }
    table.trim_fmt()
}

/// The lines of a table, as a terminal of this width shows it.
pub(super) fn laid_out_in(mut table: Table, width: u16) -> String {
    table.set_width(width);
    laid_out(table)
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
