//! A program run to its end, with what it said.

use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

/// How long any client may take: longer than its own retries, shorter than anyone's patience.
const LIMIT: Duration = Duration::from_mins(3);

/// A program that has ended.
#[derive(Clone, Debug)]
pub struct Finished {
    /// How it was called.
    pub line: String,
    /// Its exit code, -1 when a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Finished {
    /// This program, after a check of its exit code.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self}");
        self
    }

    /// Everything it said.
    pub fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl std::fmt::Display for Finished {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            line,
            code,
            stdout,
            stderr,
        } = self;
        write!(to, "`{line}` ended with {code}\n{stdout}\n{stderr}")
    }
}

/// Runs a command to its end. Fails the test when the program is not installed or does not end.
pub async fn run(command: Command) -> Finished {
    run_within(LIMIT, command).await
}

/// Runs a command to its end, which takes longer than what a client does.
pub async fn run_within(limit: Duration, mut command: Command) -> Finished {
    let line = format!("{:?}", command.as_std());
    let running = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = tokio::time::timeout(limit, running)
        .await
        .unwrap_or_else(|_| panic!("`{line}` did not end within {limit:?}"))
        .unwrap_or_else(|error| {
            panic!("`{line}` could not be run: {error}; `tests/run` installs what the tests need")
        });
    Finished {
        line,
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
