//! `wharfinger login` and `logout`: a personal token in place of a password in each command.

pub(crate) mod kept;

use std::process::ExitCode;

use clap::Args;
use http::StatusCode;
use serde_json::{Value, json};

use super::answer::Answer;
use super::client::{Client, ClientError, Connection, said};
use super::{exit, secret, show, terminal};
use crate::config::Environment;
use kept::{Kept, Login};

/// Where to log in, as whom.
#[derive(Args, Debug)]
pub(crate) struct Command {
    /// Read the password from standard input, up to the end of the first line
    #[arg(long, conflicts_with = "password")]
    password_stdin: bool,
    /// Until when the login holds, for example: 2030-01-01T00:00:00Z; without it: as long as the server allows
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Where to log out.
#[derive(Args, Debug)]
pub(crate) struct LogOut {
    #[command(flatten)]
    connection: Connection,
}

/// Gets a personal token and keeps it for the commands to come.
pub(crate) async fn log_in(command: Command, environment: &Environment) -> ExitCode {
    match run(&command, environment).await {
        Ok(said) => {
            terminal::print(said);
            ExitCode::SUCCESS
        }
        Err(error) => exit::of(&error),
    }
}

async fn run(command: &Command, environment: &Environment) -> Result<String, ClientError> {
    let connection = &command.connection;
    if connection.token.is_some() {
        let text = "a login makes its own token; give --user and a password in place of --token";
        return Err(ClientError::Usage(text.to_owned()));
    }
    let server = connection.server_or_default(environment, &Kept::read(environment)?);
    let user = match said(connection.user.as_ref(), environment, "USER") {
        Some(user) => user,
        None => secret::ask_openly(&format!("Login at {server}"))?,
    };
    let password = if command.password_stdin {
        secret::from_standard_input("the password")?
    } else {
        match said(connection.password.as_ref(), environment, "PASSWORD") {
            Some(password) => password,
            None => secret::ask(&format!("Password of {user} at {server}"))?,
        }
    };
    let client = Client::of_user(&server, &user, &password)?;
    // Before there is a token that would have to be kept.
    let mut kept = Kept::read_to_change(environment)?;
    let made = token(&client, command.expires_at.as_deref()).await?;
    let login = login(&user, &made).ok_or_else(|| ClientError::NotOurs {
        url: format!("{server}/api/v1/tokens"),
        status: StatusCode::CREATED.as_u16(),
    })?;
    let end = &made["expires_at"];
    let until = if end.is_null() {
        String::new()
    } else {
        format!(" until {}", show::time(end))
    };
    let (id, secret) = (login.token_id, login.token.clone());
    let replaced = match kept.keep(&server, login) {
        Ok(replaced) => replaced,
        Err(error) => {
            // Nobody would know the token any more, and it would count.
            if revoke(&server, id, &secret).await.is_err() {
                terminal::complain(format!(
                    "token {id} of {user} is not kept, but could not be revoked either: `wharfinger token delete {id}`"
                ));
            }
            return Err(error);
        }
    };
    if let Some(before) = replaced {
        revoke(&server, before.token_id, &before.token).await?;
    }
    Ok(format!("logged in at {server} as {user}{until}"))
}

/// A new token. Where tokens must end and nobody says when, it counts as long as the server allows.
async fn token(client: &Client, expires_at: Option<&str>) -> Result<Answer, ClientError> {
    let made = client.post("/tokens", &new_token(expires_at)).await;
    if let Err(ClientError::Refused(refusal)) = &made
        && let (None, Some(latest)) = (expires_at, &refusal.latest)
    {
        return client.post("/tokens", &new_token(Some(latest))).await;
    }
    made
}

/// A token whose name tells its owner where it lies, should it have to be revoked from elsewhere.
fn new_token(expires_at: Option<&str>) -> Value {
    let host = rustix::system::uname();
    let host = host.nodename().to_string_lossy();
    let now = chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let mut body = json!({ "name": format!("login on {host} at {now}") });
    if let Some(expires_at) = expires_at {
        body["expires_at"] = json!(expires_at);
    }
    body
}

fn login(user: &str, made: &Value) -> Option<Login> {
    Some(Login {
        user: user.to_owned(),
        token_id: made["id"].as_i64()?,
        token: made["token"].as_str()?.to_owned(),
    })
}

/// Revokes the token; one that does not count any more is gone already.
async fn revoke(server: &str, id: i64, token: &str) -> Result<(), ClientError> {
    let client = Client::of_token(server, token)?;
    match client.delete(&format!("/tokens/{id}")).await {
        Err(ClientError::Refused(refusal)) if [401, 404].contains(&refusal.status) => Ok(()),
        other => other,
    }
}

/// Revokes the token that is kept for the server, and forgets it.
pub(crate) async fn log_out(command: LogOut, environment: &Environment) -> ExitCode {
    match forget(&command.connection, environment).await {
        Ok(said) => {
            terminal::print(said);
            ExitCode::SUCCESS
        }
        Err(error) => exit::of(&error),
    }
}

async fn forget(connection: &Connection, environment: &Environment) -> Result<String, ClientError> {
    let server = connection.server_or_default(environment, &Kept::read(environment)?);
    let mut kept = Kept::read_to_change(environment)?;
    let Some(login) = kept.login(&server).cloned() else {
        return Ok(format!("not logged in at {server}"));
    };
    revoke(&server, login.token_id, &login.token).await?;
    kept.forget(&server)?;
    Ok(format!(
        "logged out at {server}; {}'s token there is revoked",
        login.user
    ))
}
