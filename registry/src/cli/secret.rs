//! Secrets that people type or scripts pipe in: not on the command line, where every user of the machine reads them.

use std::io::{self, Write as _};

use clap::Args;

use super::client::ClientError;

/// A password that is to be set.
#[derive(Args, Debug)]
pub(crate) struct NewPassword {
    /// The new password; without it `user create` asks for one, and `user update` leaves the old one
    #[arg(long, value_name = "PASSWORD")]
    new_password: Option<String>,
    /// Read the new password from standard input, up to the end of the first line
    #[arg(long, conflicts_with = "new_password")]
    new_password_stdin: bool,
}

impl NewPassword {
    /// The password that a flag gives.
    pub(crate) fn given(&self) -> Result<Option<String>, ClientError> {
        if self.new_password_stdin {
            return from_standard_input("the new password").map(Some);
        }
        Ok(self.new_password.clone())
    }

    /// The password that a flag gives or, failing that, somebody types twice.
    pub(crate) fn given_or_typed(&self, whose: &str) -> Result<String, ClientError> {
        if let Some(password) = self.given()? {
            return Ok(password);
        }
        let password = ask(&format!("New password of {whose}"))?;
        if password == ask("Once more")? {
            Ok(password)
        } else {
            Err(ClientError::Usage("the two passwords differ".to_owned()))
        }
    }
}

/// Asks on the terminal, and does not show what is typed.
pub(crate) fn ask(what: &str) -> Result<String, ClientError> {
    rpassword::prompt_password(format!("{what}: ")).map_err(|error| nobody_to_ask(what, &error))
}

/// Asks on the terminal.
pub(crate) fn ask_openly(what: &str) -> Result<String, ClientError> {
    let mut out = io::stderr().lock();
    let asked = write!(out, "{what}: ").and_then(|()| out.flush());
    let answer = asked.and_then(|()| first_line(&mut io::stdin().lock()));
    match answer {
        Ok(answer) if !answer.is_empty() => Ok(answer),
        Ok(_) => Err(ClientError::Usage(format!("{what}: nothing was said"))),
        Err(error) => Err(nobody_to_ask(what, &error)),
    }
}

/// The first line of standard input.
pub(crate) fn from_standard_input(what: &str) -> Result<String, ClientError> {
    match first_line(&mut io::stdin().lock()) {
        Ok(line) if !line.is_empty() => Ok(line),
        Ok(_) => Err(ClientError::Usage(format!(
            "{what} is to come from standard input, which is empty"
        ))),
        Err(error) => Err(ClientError::Usage(format!(
            "{what} cannot be read from standard input: {error}"
        ))),
    }
}

fn first_line(from: &mut impl io::BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

fn nobody_to_ask(what: &str, error: &io::Error) -> ClientError {
    ClientError::Usage(format!(
        "{what}: there is no terminal to ask on ({error}); give it by a flag or a variable"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_ends_with_its_line() {
        for text in ["s3cret\n", "s3cret\r\n", "s3cret", "s3cret\nmore"] {
            assert_eq!(
                first_line(&mut text.as_bytes()).unwrap(),
                "s3cret",
                "{text:?}"
            );
        }
        assert_eq!(
            first_line(&mut " with spaces \n".as_bytes()).unwrap(),
            " with spaces "
        );
    }
}
