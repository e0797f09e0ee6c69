//! Watching a task while its server is away.

use std::process::Stdio;

use serde_json::json;
use tests::command::Finished;
use tests::image::Image;
use tests::server::{self, ADMIN, ADMIN_PASSWORD, Server};
use tests::wait;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

const NAME: &str = "default_organization/app";

#[tokio::test]
async fn watching_a_task_outlasts_a_restart_of_the_server() {
    let mut server = Server::start_with(&["--allow-drills", "--push-wait=200ms"]).await;
    let id = stalled_push(&server).await;
    let mut watch = Watch::begin(&server, &id);
    watch.reads("copy").await;

    server.kill().await;
    watch.complains("does not answer").await;
    server.restart().await;

    let ended = watch.ended().await.expect_code(0);
    assert!(ended.stdout.contains("success"), "{ended}");
    assert!(ended.stderr.contains("the server answers again"), "{ended}");
}

#[tokio::test]
async fn a_server_that_was_never_there_is_not_waited_for() {
    let mut server = Server::start_with(&["--allow-drills", "--push-wait=200ms"]).await;
    let id = stalled_push(&server).await;
    server.kill().await;

    let refused = server.cli(&["task", "watch", &id]).await.expect_code(1);

    assert!(!refused.stderr.contains("asking again"), "{refused}");
}

/// A push whose task is still at work; the stall is over after a restart.
async fn stalled_push(server: &Server) -> String {
    let rest = server.rest();
    rest.begin_drill(&json!({
        "workflow": "push", "step": "copy", "effect": "stall", "times": 1, "stall_seconds": 300,
    }))
    .await;
    let pushed = server.oci().push(NAME, "latest", &Image::small(1)).await;
    pushed.expect_status(201);
    let task = wait::until("the push stalls", wait::SOON, async || {
        rest.open_tasks().await.pop()
    });
    let task = task.await;
    task["id"].as_str().expect("each task has an id").to_owned()
}

/// A `wharfinger task watch` that runs, with what it has said so far.
struct Watch {
    process: Child,
    out: BufReader<tokio::process::ChildStdout>,
    err: BufReader<tokio::process::ChildStderr>,
    said: (String, String),
}

impl Watch {
    fn begin(server: &Server, task: &str) -> Self {
        let mut command: Command = server::bare(server::binary());
        let mut process = command
            .args(["task", "watch", task])
            .env("WHARFINGER_SERVER", format!("http://{}", server.host()))
            .env("WHARFINGER_USER", ADMIN)
            .env("WHARFINGER_PASSWORD", ADMIN_PASSWORD)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program");
        let out = BufReader::new(process.stdout.take().expect("it is piped"));
        let err = BufReader::new(process.stderr.take().expect("it is piped"));
        Self {
            process,
            out,
            err,
            said: (String::new(), String::new()),
        }
    }

    /// Waits for a line on standard output that holds this.
    async fn reads(&mut self, part: &str) {
        while !self.said.0.contains(part) {
            let read = self.out.read_line(&mut self.said.0).await;
            assert_ne!(read.expect("a pipe"), 0, "no `{part}` in {:?}", self.said);
        }
    }

    /// Waits for a line on standard error that holds this.
    async fn complains(&mut self, part: &str) {
        while !self.said.1.contains(part) {
            let read = self.err.read_line(&mut self.said.1).await;
            assert_ne!(read.expect("a pipe"), 0, "no `{part}` in {:?}", self.said);
        }
    }

    async fn ended(mut self) -> Finished {
        let (out, err) = (&mut self.said.0, &mut self.said.1);
        let (out, err) = tokio::join!(self.out.read_to_string(out), self.err.read_to_string(err));
        out.and(err).expect("pipes");
        let status = self.process.wait().await.expect("a child of ours");
        Finished {
            line: "wharfinger task watch".to_owned(),
            code: status.code().unwrap_or(-1),
            stdout: self.said.0,
            stderr: self.said.1,
        }
    }
}
