//! How a server ends, and who may start beside it.

use std::fs::Permissions;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::json;
use tests::command;
use tests::image::{self, Image};
use tests::rest::step;
use tests::server::{self, Server};
use tests::wait::SOON;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

const NAME: &str = "default_organization/tools/app";

#[tokio::test]
async fn sigterm_answers_a_waiting_push_and_the_next_start_finishes_it() {
    let mut server =
        Server::start_with(&["--allow-drills", "--push-wait=60s", "--shutdown-grace=2s"]).await;
    let (oci, rest) = (server.oci(), server.rest());
    let drill = json!({
        "workflow": "push", "step": "copy", "repository": NAME, "tag": "latest",
        "effect": "stall", "times": 1, "stall_seconds": 300,
    });
    rest.begin_drill(&drill).await;
    let image = Image::small(1);
    oci.push_blobs(NAME, &image).await;
    let mut puts = JoinSet::new();
    puts.spawn({
        let (oci, image) = (oci.clone(), image.clone());
        async move {
            oci.put_manifest(NAME, "latest", image::MANIFEST, &image.manifest)
                .await
        }
    });
    let held = rest
        .until_push(NAME, "latest", "copies", |task| {
            step(task, "copy")["state"] == "running"
        })
        .await;

    server.terminate().await;

    let answer = puts
        .join_next()
        .await
        .unwrap()
        .unwrap()
        .expect_status(201)
        .expect_warning();
    assert_eq!(answer.named_task(), held["id"], "{answer}");
    assert_eq!(server.ended().await, 0, "{}", server.log());
    server.restart().await;
    let task = rest.until_state(&answer.named_task(), "stopped").await;
    assert_eq!(task["result"], "success", "{task}");
    oci.assert_pullable(NAME, "latest", &image).await;
    server.doctor().await.expect_code(0);
}

#[tokio::test]
async fn an_idle_server_ends_at_once_on_sigterm() {
    let mut server = Server::start().await;

    server.terminate().await;

    assert_eq!(server.ended().await, 0, "{}", server.log());
}

#[tokio::test]
async fn a_second_process_on_the_same_folder_refuses_to_start() {
    let server = Server::start().await;

    let second = server.serve_to_its_end(&[]).await.expect_code(2);

    let folder = server.data_dir().display().to_string();
    assert!(
        second.stderr.contains(&folder),
        "does not name the folder: {second}"
    );
    server
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
}

#[tokio::test]
async fn a_start_after_one_that_found_its_port_taken_says_where_the_password_is() {
    let home = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    command::run(serve_in(home.path(), &listen))
        .await
        .expect_code(2);
    drop(taken);

    let (_running, welcome) = welcome(serve_in(home.path(), &listen)).await;

    let file = "wharfinger-data/admin-password";
    assert!(welcome.contains(file), "{welcome}");
    let password = std::fs::read_to_string(home.path().join(file)).unwrap();
    assert!(!welcome.contains(password.trim()), "{welcome}");
}

#[tokio::test]
async fn what_is_kept_can_be_read_by_nobody_else_also_in_a_folder_that_others_may_enter() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("wharfinger-data");
    std::fs::create_dir(&data).unwrap();
    std::fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();

    let (_running, _) = welcome(serve_in(home.path(), "127.0.0.1:0")).await;

    let files = files(&data);
    assert!(files.len() > 5, "{files:?}");
    for file in files {
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", file.display());
    }
}

/// `wharfinger serve` as a newcomer starts it: in a folder of his, which becomes the data folder's parent.
fn serve_in(folder: &Path, listen: &str) -> Command {
    let mut serve = server::bare(server::binary());
    serve
        .current_dir(folder)
        .args(["serve", "--listen", listen]);
    serve
}

/// Starts a server; answers with its process and with what it says once it listens.
async fn welcome(mut serve: Command) -> (Child, String) {
    let mut running = serve
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("the binary can be started");
    let out = running.stdout.take().expect("a pipe");
    let mut lines = BufReader::new(out).lines();
    let mut said = String::new();
    let read = async {
        while !said.contains("wharfinger task list") {
            let line = lines.next_line().await.expect("a pipe of ours");
            said += &line.expect("a welcome before the end");
            said.push('\n');
        }
    };
    let read = tokio::time::timeout(SOON, read).await;
    read.expect("the server says where to go from here");
    (running, said)
}

/// All files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder of ours") {
        let path = entry.expect("a folder of ours").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn what_was_pushed_and_who_was_made_is_there_after_a_restart() {
    let mut server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    rest.make_user("pat", "pats-password-1", "reader", "Default_Organization")
        .await;

    server.kill().await;
    server.restart().await;

    oci.assert_pullable(NAME, "latest", &image).await;
    rest.get("/users/pat").await.expect_status(200);
    assert_eq!(rest.version_numbers(NAME).await, [1]);
}

#[tokio::test]
async fn a_content_folder_of_another_house_is_refused() {
    let (mut owner, other) = (Server::start().await, Server::start().await);
    owner.terminate().await;
    owner.ended().await;

    let content = other.data_dir().join("content").display().to_string();
    let refused = owner
        .serve_to_its_end(&["--content-dir", &content])
        .await
        .expect_code(2);

    assert!(
        refused.stderr.contains(&content),
        "does not name the folder: {refused}"
    );
    owner.restart().await;
}
