//! `wharfinger login` and `logout`: a personal token is kept in place of a password.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tests::command::{self, Finished};
use tests::server::{self, ADMIN, ADMIN_PASSWORD, Server};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

/// Somebody at a terminal of their own: nothing but a folder for configuration.
struct Person {
    config: TempDir,
}

impl Person {
    fn new() -> Self {
        let config = tempfile::tempdir().expect("a temporary folder");
        Self { config }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut wharfinger = server::bare(server::binary());
        wharfinger
            .args(words)
            .env("XDG_CONFIG_HOME", self.config.path());
        wharfinger
    }

    async fn says(&self, words: &[&str]) -> Finished {
        command::run(self.command(words)).await
    }

    /// Logs in with a password that comes through a pipe.
    async fn logs_in(&self, server: &Server, password: &str) -> i32 {
        let url = format!("http://{}", server.host());
        let words = [
            "login",
            "--server",
            &url,
            "--user",
            ADMIN,
            "--password-stdin",
        ];
        let mut login = self.command(&words);
        let mut login = login
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the program");
        let mut pipe = login.stdin.take().expect("it is piped");
        let line = format!("{password}\n");
        // A program that has ended already reads nothing more.
        let _ = pipe.write_all(line.as_bytes()).await;
        drop(pipe);
        let ended = login
            .wait()
            .await
            .expect("a child of ours can be waited for");
        ended.code().unwrap_or(-1)
    }

    fn file(&self) -> std::path::PathBuf {
        self.config.path().join("wharfinger/logins.toml")
    }
}

#[tokio::test]
async fn a_login_is_kept_for_the_commands_to_come_until_it_is_revoked() {
    let server = Server::start().await;
    let person = Person::new();

    assert_eq!(person.logs_in(&server, ADMIN_PASSWORD).await, 0);

    assert_eq!(mode(&person.file()), 0o600);
    let kept = std::fs::read_to_string(person.file()).expect("the login is kept");
    assert!(!kept.contains(ADMIN_PASSWORD), "the password is in {kept}");
    let me = person.says(&["user", "show", "me"]).await.expect_code(0);
    assert!(me.stdout.contains(ADMIN), "{me}");
    let tokens = server.rest().all("/tokens", "").await;
    assert_eq!(tokens.len(), 1, "{tokens:?}");

    person.says(&["logout"]).await.expect_code(0);

    let tokens = server.rest().all("/tokens", "").await;
    assert!(tokens.is_empty(), "{tokens:?} still count");
    let url = format!("http://{}", server.host());
    person
        .says(&["user", "show", "me", "--server", &url])
        .await
        .expect_code(3);
}

#[tokio::test]
async fn a_second_login_takes_the_place_of_the_first() {
    let server = Server::start().await;
    let person = Person::new();

    for _ in 0..2 {
        assert_eq!(person.logs_in(&server, ADMIN_PASSWORD).await, 0);
    }

    let tokens = server.rest().all("/tokens", "").await;
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    person.says(&["task", "list"]).await.expect_code(0);
}

#[tokio::test]
async fn a_wrong_password_is_no_login_and_nothing_is_kept() {
    let server = Server::start().await;
    let person = Person::new();

    assert_eq!(person.logs_in(&server, "not-the-password").await, 3);

    assert!(!person.file().exists());
}

#[tokio::test]
async fn a_token_that_was_revoked_elsewhere_does_not_keep_anybody_logged_in() {
    let server = Server::start().await;
    let person = Person::new();
    assert_eq!(person.logs_in(&server, ADMIN_PASSWORD).await, 0);
    let rest = server.rest();
    let id = rest.all("/tokens", "").await[0]["id"].to_string();
    rest.delete(&format!("/tokens/{id}"))
        .await
        .expect_status(204);

    let refused = person.says(&["task", "list"]).await.expect_code(3);
    person.says(&["logout"]).await.expect_code(0);

    assert!(refused.stderr.contains("wharfinger login"), "{refused}");
    let kept = std::fs::read_to_string(person.file()).expect("the file is still there");
    assert!(!kept.contains("wft_"), "{kept}");
}

#[tokio::test]
async fn where_tokens_must_end_a_login_lasts_as_long_as_it_may() {
    let server = Server::start().await;
    let person = Person::new();
    let setting = "/settings/personal_token_max_days";
    let days = serde_json::json!({"value": 30});
    server.rest().patch(setting, &days).await.expect_status(200);

    assert_eq!(person.logs_in(&server, ADMIN_PASSWORD).await, 0);

    let tokens = server.rest().all("/tokens", "").await;
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert!(tokens[0]["expires_at"].is_string(), "{tokens:?}");
    person.says(&["task", "list"]).await.expect_code(0);
}

#[tokio::test]
async fn logins_at_once_leave_one_token() {
    let server = Server::start().await;
    let person = Person::new();

    let all = tokio::join!(
        person.logs_in(&server, ADMIN_PASSWORD),
        person.logs_in(&server, ADMIN_PASSWORD),
        person.logs_in(&server, ADMIN_PASSWORD),
        person.logs_in(&server, ADMIN_PASSWORD),
    );

    assert_eq!(all, (0, 0, 0, 0));
    let tokens = server.rest().all("/tokens", "").await;
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    person.says(&["task", "list"]).await.expect_code(0);
}

#[tokio::test]
async fn a_token_that_cannot_be_kept_is_revoked() {
    let server = Server::start().await;
    let person = Person::new();
    // No file of this process may hold a byte, as on a disk that is full.
    let full = r#"trap '' XFSZ; ulimit -f 0; exec "$@""#;
    let mut login = server::bare("sh");
    login
        .args(["-c", full, "sh"])
        .arg(server::binary())
        .arg("login")
        .env("XDG_CONFIG_HOME", person.config.path())
        .env("WHARFINGER_SERVER", format!("http://{}", server.host()))
        .env("WHARFINGER_USER", ADMIN)
        .env("WHARFINGER_PASSWORD", ADMIN_PASSWORD);

    let failed = command::run(login).await.expect_code(2);

    assert!(failed.stderr.contains("logins.toml"), "{failed}");
    let tokens = server.rest().all("/tokens", "").await;
    assert!(tokens.is_empty(), "{tokens:?}");
    assert!(!person.file().exists());
}

#[tokio::test]
async fn logins_that_others_may_read_are_hidden_from_them_again() {
    let server = Server::start().await;
    let person = Person::new();
    assert_eq!(person.logs_in(&server, ADMIN_PASSWORD).await, 0);
    let open = std::fs::Permissions::from_mode(0o644);
    std::fs::set_permissions(person.file(), open).expect("a file of ours");

    let warned = person.says(&["task", "list"]).await.expect_code(0);

    assert!(warned.stderr.contains("0644"), "{warned}");
    assert_eq!(mode(&person.file()), 0o600);
}

fn mode(file: &Path) -> u32 {
    let about = std::fs::metadata(file).expect("the file is there");
    about.permissions().mode() & 0o777
}
