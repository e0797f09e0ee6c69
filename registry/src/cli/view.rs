//! How an answer is shown: as it came, or as a table whose columns are declared beside the resource.

use comfy_table::{ColumnConstraint, Table};
use serde_json::Value;

use super::client::Output;
use super::{show, terminal};

/// A field of a resource, as people read it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    title: &'static str,
    field: &'static str,
    read: fn(&Value) -> String,
    whole: bool,
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
    }
}

impl Column {
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
    pub(crate) fn list(self, body: &Value, columns: &[Column], none: &str) {
        match self.0 {
            Output::Json => show::json(body),
            Output::Table => {
                terminal::print_table(rows(show::list(body, "results"), columns), none);
                show::more(body);
            }
        }
    }

    /// Shows one resource, a line for each field.
    pub(crate) fn object(self, body: &Value, columns: &[Column]) {
        match self.0 {
            Output::Json => show::json(body),
            Output::Table => terminal::print_table(lines(body, columns), "nothing"),
        }
    }

    /// Says that it is done, where the server has answered without a body.
    pub(crate) fn done(self, said: impl std::fmt::Display) {
        if self.is_for_people() {
            terminal::print(said);
        }
    }
}

/// A table with a line for each object.
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

/// A table with a line for each field that is there.
fn lines(object: &Value, columns: &[Column]) -> Table {
    let mut table = terminal::table(&[]);
    for column in columns {
        let text = column.of(object);
        if text != "-" {
            table.add_row([column.title.to_lowercase(), text]);
        }
    }
    table
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
