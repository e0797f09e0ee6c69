//! How an answer is shown: as it came, or as a table whose columns are declared beside the resource.

use comfy_table::{ColumnConstraint, Table};
use serde_json::Value;

use super::answer::Answer;
use super::client::Output;
use super::{show, terminal};

/// A cell that is narrower breaks words into pieces nobody can read.
const NARROWEST: u16 = 10;

/// A field of a resource, as people read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    field: &'static str,
    read: fn(&Value) -> String,
    whole: bool,
    spare: bool,
}

/// A column with the text of a field; a point in its name leads into an object.
pub(crate) const fn text(title: &'static str, field: &'static str) -> Column {
    read(title, field, show::text)
}

/// A column with something to copy, which is never broken into lines.
pub(crate) const fn id(title: &'static str, field: &'static str) -> Column {
    Column {
        whole: true,
        ..text(title, field)
    }
}

/// A column with a date and a time in UTC.
pub(crate) const fn time(title: &'static str, field: &'static str) -> Column {
    read(title, field, show::time)
}

/// A column with how long ago something was.
pub(crate) const fn age(title: &'static str, field: &'static str) -> Column {
    Column {
        whole: true,
        ..read(title, field, show::age)
    }
}

/// A column with a number of bytes.
pub(crate) const fn size(title: &'static str, field: &'static str) -> Column {
    Column {
        whole: true,
        ..read(title, field, show::size)
    }
}

/// A column that a function of the resource reads.
pub(crate) const fn read(
    title: &'static str,
    field: &'static str,
    read: fn(&Value) -> String,
) -> Column {
    Column {
        title,
        field,
        read,
        whole: false,
        spare: false,
    }
}

impl Column {
    /// The same column, left out where the terminal is too narrow; of several the last one goes first.
    pub(crate) const fn spare(self) -> Self {
        Self {
            spare: true,
            ..self
        }
    }

    /// What stands over it.
    #[cfg(test)]
    pub(super) fn title(&self) -> &'static str {
        self.title
    }

    /// What of the object this column shows on every terminal, and never breaks.
    #[cfg(test)]
    pub(super) fn kept_whole(&self, object: &Value) -> Option<String> {
        (self.whole && !self.spare).then(|| self.of(object))
    }

    fn of(&self, object: &Value) -> String {
        let value = self
            .field
            .split('.')
            .filter(|name| !name.is_empty())
            .fold(object, |object, name| &object[name]);
        (self.read)(value)
    }
}

/// Shows answers in the form that was asked for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct View(Output);

impl View {
    pub(crate) fn of(output: Output) -> Self {
        Self(output)
    }

    /// True if people read it.
    pub(crate) fn is_for_people(self) -> bool {
        self.0 == Output::Table
    }

    /// Shows a page of a list; `none` is said when nothing is on it.
    pub(crate) fn list(self, body: &Answer, columns: &[Column], none: &str) {
        match self.0 {
            Output::Json => show::json(body),
            Output::Table => {
                match show::list(body, "results") {
                    [] => terminal::print(none),
                    objects => terminal::print(listed(objects, columns, terminal::width())),
                }
                show::more(body);
            }
        }
    }

    /// Shows one resource, a line for each field.
    pub(crate) fn object(self, body: &Answer, columns: &[Column]) {
        match self.0 {
            Output::Json => show::json(body),
            Output::Table => terminal::print_fields(fields(body, columns)),
        }
    }

    /// Says that it is done, where the server has answered without a body.
    pub(crate) fn done(self, said: impl std::fmt::Display) {
        if self.is_for_people() {
            terminal::print(said);
        }
    }
}

/// A table with a line for each object. A terminal that is too narrow for all columns gets those that matter most, and one
/// that is too narrow for these a line for each field.
pub(super) fn listed(objects: &[Value], columns: &[Column], width: Option<u16>) -> String {
    let mut shown = columns.to_vec();
    loop {
        let table = rows(objects, &shown);
        let Some(width) = width else {
            return terminal::laid_out(table);
        };
        if least_width(&table, &shown) <= width {
            return terminal::laid_out_in(table, width);
        }
        let Some(spare) = shown.iter().rposition(|column| column.spare) else {
            return blocks(objects, columns);
        };
        shown.remove(spare);
    }
}

pub(super) fn rows(objects: &[Value], columns: &[Column]) -> Table {
    let titles: Vec<&str> = columns.iter().map(|column| column.title).collect();
    let mut table = terminal::table(&titles);
    for object in objects {
        table.add_row(columns.iter().map(|column| column.of(object)));
    }
    for (at, _) in columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.whole)
    {
        if let Some(column) = table.column_mut(at) {
            column.set_constraint(ColumnConstraint::ContentWidth);
        }
    }
    table
}

/// How many columns of the terminal it takes at least to show these columns so that they can be read.
fn least_width(table: &Table, columns: &[Column]) -> u16 {
    let content = table.column_max_content_widths();
    let least = columns.iter().zip(content).map(|(column, content)| {
        let least = if column.whole {
            content
        } else {
            content.min(NARROWEST)
        };
        least.saturating_add(terminal::BETWEEN_COLUMNS)
    });
    least.fold(0, u16::saturating_add)
}

/// A line for each field of each object. The terminal breaks them itself, so that what is copied stays whole.
fn blocks(objects: &[Value], columns: &[Column]) -> String {
    let titles = columns.iter().map(|column| column.title.len()).max();
    let titles = titles.unwrap_or_default();
    let block = |object: &Value| {
        let lines = fields(object, columns).into_iter();
        let lines = lines.map(|(title, text)| format!("{title:<titles$}  {text}"));
        lines.collect::<Vec<_>>().join("\n")
    };
    objects.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

/// The fields that are there, each with its title.
fn fields(object: &Value, columns: &[Column]) -> Vec<(String, String)> {
    let fields = columns.iter().map(|column| {
        let title = column.title.to_lowercase();
        (title, column.of(object))
    });
    fields.filter(|(_, text)| text != "-").collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_point_leads_into_an_object() {
        let repository = json!({"last_push": {"user": "ana"}});

        assert_eq!(text("BY", "last_push.user").of(&repository), "ana");
        assert_eq!(text("BY", "last_pull.user").of(&repository), "-");
    }
}
