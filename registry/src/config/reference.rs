//! The reference of all settings, as `docs/configuration.md` has it.

use std::fmt::Write;

use super::keys::KEYS;

const BEGINNING: &str = "\
# Settings

<!-- Made from the table of settings: `wharfinger config --reference > docs/configuration.md` -->

Each setting has one name. `push_wait` is the flag `--push-wait`, the variable `WHARFINGER_PUSH_WAIT` and the key `push_wait` of the TOML file that `--config` or `WHARFINGER_CONFIG` names. A dot in a name stands before a key of a TOML table. A flag wins
over a variable, a variable over the file, the file over the default. `wharfinger config` prints the values that count, each with its source, and takes the same flags. A variable with that beginning that nothing reads is told in the log at the start. A setting that cannot be read stops the start with exit code 2 and a text that names
it, its value, its source and an example.

Durations are written `500ms`, `20s`, `5m`, `24h`, `7d`; sizes in bytes or `KiB`, `MiB`, `GiB`.
";

/// All settings, as Markdown.
pub(super) fn markdown() -> String {
    let mut text = BEGINNING.to_owned();
    for key in KEYS {
        let about = key.about.split(" [default: ").next().unwrap_or_default();
        let why = if key.why.is_empty() {
            String::new()
        } else {
            format!(" {}", key.why)
        };
        let default = match key.about.split_once(" [default: ") {
            Some((_, default)) => default.trim_end_matches(']').to_owned(),
            None if key.default.is_empty() => "none".to_owned(),
            None => format!("`{}`", key.default),
        };
        // Writing into a String cannot fail.
        let _ = write!(
            text,
            "\n## {name}\n\n{about}.{why}\n\nDefault: {default}. Flag `{flag}`, variable `{variable}`, for example `{example}`.\n",
            name = key.name,
            flag = key.flag(),
            variable = key.variable(),
            example = key.example,
        );
    }
    // Markdown would take `<data-dir>` for a tag of HTML.
    text.replace("<data-dir>", "\\<data-dir>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_documentation_is_that_of_this_program() {
        let written = include_str!("../../../docs/configuration.md");

        assert!(
            written == markdown(),
            "docs/configuration.md is old; write it again: wharfinger config --reference > docs/configuration.md"
        );
    }
}
