//! What is made from the declaration of the command line: completions, manual pages and `docs/cli.md`.

mod pictures;
mod reference;

use std::fs;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::{Cli, exit, terminal};

/// For which shell.
#[derive(Args, Debug)]
pub(crate) struct Completions {
    /// The shell that is to complete
    shell: Shell,
}

/// Where the pages go.
#[derive(Args, Debug)]
pub(crate) struct Pages {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

/// Prints the script that completes commands.
pub(crate) fn completions(wanted: &Completions) -> ExitCode {
    terminal::print(script(wanted.shell).trim_end());
    ExitCode::SUCCESS
}

fn script(shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "wharfinger", &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Writes a manual page for each command.
pub(crate) fn pages(wanted: &Pages) -> ExitCode {
    match write_pages(wanted) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(format!("{} cannot be written to", wanted.folder.display()));
            exit::failed(&error)
        }
    }
}

fn write_pages(wanted: &Pages) -> io::Result<()> {
    fs::create_dir_all(&wanted.folder)?;
    clap_mangen::generate_to(Cli::command(), &wanted.folder)
}

/// Prints `docs/cli.md`.
pub(crate) fn reference() -> ExitCode {
    terminal::print(reference::markdown().trim_end());
    ExitCode::SUCCESS
}

/// Writes `docs/pictures`.
pub(crate) fn pictures(wanted: &Pages) -> ExitCode {
    match pictures::write(&wanted.folder) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            terminal::complain(format!("{} cannot be written to", wanted.folder.display()));
            exit::failed(&error)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_completes_nouns_verbs_and_flags() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let script = script(shell);

            for word in ["repository", "retry-now", "anonymous-pull"] {
                assert!(script.contains(word), "{shell} does not complete {word}");
            }
        }
    }

    #[test]
    fn every_command_has_its_page() {
        let folder = tempfile::tempdir().unwrap();
        let wanted = Pages {
            folder: folder.path().join("man1"),
        };

        write_pages(&wanted).unwrap();

        for page in [
            "wharfinger.1",
            "wharfinger-task-list.1",
            "wharfinger-user-create.1",
        ] {
            let text = fs::read_to_string(wanted.folder.join(page)).unwrap();
            assert!(text.contains(".SH SYNOPSIS"), "{page}");
        }
    }
}
