//! How a command ends. Scripts rely on these numbers.

use std::error::Error;
use std::fmt::Display;
use std::process::ExitCode;

use super::client::ClientError;
use super::terminal;

/// It did not work, or the task that was watched ended in error or paused.
pub(crate) const FAILED: u8 = 1;
/// The command line, the configuration or what was asked for is wrong.
pub(crate) const USAGE: u8 = 2;
/// The server does not know the user, or does not let this user do it.
pub(crate) const NOT_ALLOWED: u8 = 3;
/// There is no such thing, or none that this user may see.
pub(crate) const NOT_FOUND: u8 = 4;

/// The server of the task that was watched does not answer any more: nobody knows yet how the task ends.
pub(crate) const LOST: u8 = 5;

/// Ends with 1, saying why, down to the cause.
pub(crate) fn failed(why: &(dyn Error + 'static)) -> ExitCode {
    terminal::complain(chain(why));
    ExitCode::from(FAILED)
}

/// Ends with 2, saying why.
pub(crate) fn usage(why: &dyn Display) -> ExitCode {
    terminal::complain(why);
    ExitCode::from(USAGE)
}

/// Ends with 2, saying what kept the server from starting, down to the cause.
pub(crate) fn could_not_start(why: &(dyn Error + 'static)) -> ExitCode {
    terminal::complain(chain(why));
    ExitCode::from(USAGE)
}

/// The error and its causes, each after a colon; what an error says of its cause already is not said twice.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !text.ends_with(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// Ends as the answer of the server says.
pub(crate) fn of(error: &ClientError) -> ExitCode {
    terminal::complain(error);
    ExitCode::from(code_of(error))
}

fn code_of(error: &ClientError) -> u8 {
    match error {
        ClientError::Usage(_) => USAGE,
        ClientError::Silent { .. } | ClientError::NotOurs { .. } => FAILED,
        ClientError::Lost(_) => LOST,
        ClientError::Refused(problem) => match problem.status {
            400 | 422 => USAGE,
            401 | 403 => NOT_ALLOWED,
            404 => NOT_FOUND,
            _ => FAILED,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::client::Refusal;

    #[test]
    fn every_answer_has_its_exit_code() {
        let refused = |status| {
            ClientError::Refused(Refusal {
                status,
                ..Refusal::default()
            })
        };
        for (status, code) in [
            (400, 2),
            (422, 2),
            (401, 3),
            (403, 3),
            (404, 4),
            (409, 1),
            (500, 1),
            (507, 1),
        ] {
            assert_eq!(code_of(&refused(status)), code, "{status}");
        }
        assert_eq!(
            code_of(&ClientError::Usage("--password without --user".to_owned())),
            2
        );
        let not_ours = || ClientError::NotOurs {
            url: "http://a".to_owned(),
            status: 502,
        };
        assert_eq!(code_of(&not_ours()), 1);
        assert_eq!(code_of(&ClientError::Lost(Box::new(not_ours()))), 5);
    }
}
