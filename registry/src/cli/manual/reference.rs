//! The reference of all commands, as `docs/cli.md` has it.

use std::fmt::Write as _;

use clap::builder::StyledStr;
use clap::{Arg, Command, CommandFactory as _};

use crate::cli::Cli;
use crate::cli::client::HEADING;

const BEGINNING: &str = "\
# The command line

<!-- Made from the declaration of the commands: `wharfinger generate-reference > docs/cli.md` -->

`wharfinger` is the server and its client. `serve`, `demo`, `config`, `bench` and `doctor` work on this machine; all nouns ask a server over REST.

## Log in

`wharfinger login --server https://hub.example` asks for login and password, makes a personal token and keeps it in `$XDG_CONFIG_HOME/wharfinger/logins.toml` (mode 0600; without that variable, in `~/.config`). The commands that follow ask
that server with that token. It counts until it is revoked or, where the setting `personal_token_max_days` is set, as long as that allows. A second login takes the place of the first, and `wharfinger logout` revokes the token. Scripts set `WHARFINGER_SERVER` and `WHARFINGER_TOKEN`, or `WHARFINGER_USER` and `WHARFINGER_PASSWORD`; a flag wins over a variable, a variable over a login that is kept.

## Answers

Tables fit the terminal: a narrow one is not shown the columns that matter least, a very narrow one a line for each field. Lists say how to go on when there is more (`--cursor`). What others have written is shown in one line, with escapes such as
`\\u{1b}` for characters that a terminal would act on. `--output json` prints the body of the REST answer byte for byte, and a line end; only on a terminal are such characters written as escapes of JSON. `task explain` prints its member `explanation`.

`task watch` and `--wait` outlast a restart of the server: they ask again for a minute, and say so on standard error.

| exit code | means |
| --- | --- |
| 0 | it is done; with `task watch` or `--wait`: the task ended well |
| 1 | it did not work, or the task that was waited for ended otherwise or is paused |
| 2 | the command line, the configuration or what was asked for is wrong |
| 3 | not logged in, or not allowed |
| 4 | there is no such thing, or none that you may see |
| 5 | the server of the task that was waited for has not answered for a minute: how it ends is not known yet |

## Completions and manual pages

`wharfinger completions bash > /etc/bash_completion.d/wharfinger` (or `zsh`, `fish`); `wharfinger generate-man /usr/local/share/man/man1` writes a page for each command.
";

/// All commands, as Markdown.
pub(super) fn markdown() -> String {
    let mut cli = Cli::command();
    cli.build();
    let mut text = BEGINNING.to_owned();
    server(&cli, &mut text);
    command(&cli, &mut text);
    text
}

/// The flags that each command has which asks a server, said once.
fn server(cli: &Command, text: &mut String) {
    let asks = cli.find_subcommand("task").map(of_server);
    let _ = write!(
        text,
        "\n## {HEADING}\n\nEach command that asks a server takes these.\n\n"
    );
    for argument in asks.into_iter().flatten() {
        line(argument, text);
    }
}

fn of_server(command: &Command) -> Vec<&Arg> {
    let of_server = |argument: &&Arg| argument.get_help_heading() == Some(HEADING);
    command.get_arguments().filter(of_server).collect()
}

/// The command, if it does something itself, and those below it.
fn command(of: &Command, text: &mut String) {
    let shown = |command: &&Command| !command.is_hide_set() && command.get_name() != "help";
    let mut below = of.get_subcommands().filter(shown).peekable();
    if below.peek().is_none() {
        alone(of, text);
    }
    for inner in below {
        command(inner, text);
    }
}

fn alone(of: &Command, text: &mut String) {
    let name = of.get_bin_name().unwrap_or_default();
    let about = of.get_about().map(StyledStr::to_string);
    let usage = of.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ");
    // Writing into a String cannot fail.
    let _ = write!(
        text,
        "\n## {name}\n\n{}.\n\n```\n{usage}\n```\n",
        about.unwrap_or_default()
    );
    if of
        .get_arguments()
        .any(|argument| argument.get_id() == "data_dir")
    {
        text.push_str("\nEach setting is a flag: see [the settings](configuration.md).\n");
        return;
    }
    let own = of.get_arguments().filter(|argument| {
        let said_once = argument.get_help_heading() == Some(HEADING);
        !said_once && !argument.is_hide_set() && argument.get_id() != "help"
    });
    let mut own = own.peekable();
    if own.peek().is_some() {
        text.push('\n');
    }
    own.for_each(|argument| line(argument, text));
}

fn line(argument: &Arg, text: &mut String) {
    let values = argument.get_value_names().unwrap_or_default();
    let value = values.iter().map(|name| format!("<{name}>"));
    let value = value.collect::<Vec<_>>().join(" ");
    let called = match argument.get_long() {
        Some(long) if argument.get_action().takes_values() => format!("--{long} {value}"),
        Some(long) => format!("--{long}"),
        None => value,
    };
    let help = argument.get_help().map(StyledStr::to_string);
    let _ = write!(text, "* `{called}`: {}", help.unwrap_or_default());
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .map(|word| format!("`{}`", word.get_name()))
        .collect();
    if !words.is_empty() && argument.get_action().takes_values() {
        let _ = write!(text, "; one of {}", words.join(", "));
    }
    let defaults = argument.get_default_values();
    if let Some(default) = defaults
        .first()
        .filter(|_| argument.get_action().takes_values())
    {
        let _ = write!(text, " (default: `{}`)", default.to_string_lossy());
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_in_the_documentation_is_that_of_this_program() {
        let written = include_str!("../../../../docs/cli.md");

        assert!(
            written == markdown(),
            "docs/cli.md is old; write it again: wharfinger generate-reference > docs/cli.md"
        );
    }
}
