//! What the pages of `docs/` show works as it stands: their commands are typed into a shell, and their answers compared.

use std::fs;
use std::path::Path;

use serde_json::json;
use tests::page::{Ids, Page};
use tests::rest::Rest;
use tests::server::{self, ADMIN, ADMIN_PASSWORD, Server};
use tests::shell::Shell;
use tests::{command, oras, tarball};

/// What the pages call the registry.
const REGISTRY: &str = "hub.example.org";
const ANAS_PASSWORD: &str = "a-lantern-at-the-pier-3";

/// The registry that the pages about clients speak of, and a shell of somebody who uses it.
async fn hub() -> (Server, Shell) {
    let server = Server::start_watched(&["--tls", "self-signed", "--allow-drills"]).await;
    let certificate = server.data_dir().join("tls.crt");
    let pem = fs::read_to_string(&certificate).expect("the server makes it");
    let admin = Rest::with_login(&server.host(), ADMIN, ADMIN_PASSWORD).over_tls(&[&pem]);
    for label in ["acme", "other"] {
        admin.make_organization(label).await;
    }
    admin
        .make_user("ana", ANAS_PASSWORD, "publisher", "acme")
        .await;
    let drill = json!({"workflow": "push", "step": "copy", "tag": "broken", "effect": "fail"});
    admin.begin_drill(&drill).await;

    let mut shell = Shell::start().instead_of(REGISTRY, &server.host());
    let put = |name: &str, bytes: &[u8]| {
        fs::write(shell.home().join(name), bytes).expect("a file of ours");
    };
    put("ca.crt", pem.as_bytes());
    put("password", format!("{ANAS_PASSWORD}\n").as_bytes());
    put("hello.tar", &tarball::of(&[("hello", b"hello\n")]));
    let host = server.host();
    for line in [
        "podman import --quiet hello.tar hello:1",
        &format!("export WHARFINGER_SERVER=https://{host} WHARFINGER_USER={ADMIN}"),
        &format!("export WHARFINGER_PASSWORD={ADMIN_PASSWORD} ADMIN_PASSWORD={ADMIN_PASSWORD}"),
    ] {
        let (code, said) = shell.run(line).await;
        assert_eq!(code, 0, "`{line}`: {said}");
    }
    (server, shell)
}

/// Follows a page about a client, which has at least so many commands.
async fn follow(name: &str, at_least: usize) {
    let (_server, mut shell) = hub().await;

    let typed = shell.follow(&Page::read(name)).await;

    assert!(typed >= at_least, "{name} has only {typed} commands");
}

#[tokio::test]
async fn the_page_about_podman_is_true() {
    follow("clients/podman.md", 20).await;
}

#[tokio::test]
async fn the_page_about_skopeo_is_true() {
    follow("clients/skopeo.md", 12).await;
}

#[tokio::test]
async fn the_page_about_buildah_is_true() {
    follow("clients/buildah.md", 14).await;
}

#[tokio::test]
async fn the_page_about_pipelines_is_true() {
    follow("clients/ci.md", 15).await;
}

#[tokio::test]
async fn the_page_about_rest_is_true() {
    follow("rest.md", 12).await;
}

#[tokio::test]
async fn the_python_of_the_page_about_oras_works() {
    let (server, shell) = hub().await;
    let script = Page::read("clients/oras.md").blocks("python").concat();
    let script = script.replace(REGISTRY, &server.host());
    fs::write(shell.home().join("notes.txt"), "notes").expect("a file of ours");

    let trusted = shell.home().join("ca.crt");
    let trusting = format!(
        "import os\nos.environ['REQUESTS_CA_BUNDLE'] = {:?}\n{script}",
        trusted.display().to_string()
    );
    let done = oras::run(&trusting, shell.home(), &[]).await.expect_code(0);

    assert!(done.stdout.contains("['1']"), "{done}");
    let back = fs::read_to_string(shell.home().join("back/notes.txt"));
    assert_eq!(back.expect("it was pulled"), "notes");
}

#[tokio::test]
async fn the_practice_session_for_operators_goes_as_it_is_told() {
    let address = format!("127.0.0.1:{}", server::free_port());
    let mut shell = Shell::start().instead_of("127.0.0.1:5000", &address);

    let typed = shell.follow(&Page::read("operate/tasks.md")).await;

    assert!(typed >= 60, "the page has only {typed} commands");
}

#[tokio::test]
async fn a_first_push_goes_as_it_is_told() {
    let address = format!("127.0.0.1:{}", server::free_port());
    let mut shell = Shell::start().instead_of("127.0.0.1:5000", &address);

    let typed = shell.follow(&Page::read("first-push.md")).await;

    assert!(typed >= 16, "the page has only {typed} commands");
}

#[tokio::test]
async fn the_settings_beside_a_proxy_are_settings() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let shown = Page::read("operate/behind-a-proxy.md")
        .blocks("toml")
        .concat();
    let file = folder.path().join("wharfinger.toml");
    fs::write(&file, &shown).expect("a file of ours");
    let mut config = server::bare(server::binary());
    config.arg("config").arg("--config").arg(&file);

    let printed = command::run(config).await.expect_code(0);

    for value in ["https://hub.example.org", "127.0.0.1"] {
        assert!(printed.stdout.contains(value), "{printed}");
    }
}

#[test]
fn every_page_that_is_linked_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the project") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }

    let mut missing = Vec::new();
    for page in &pages {
        let text = fs::read_to_string(page).expect("a page of the project");
        let targets = text.split("](").skip(1);
        for target in targets.filter_map(|rest| rest.split([')', '#']).next()) {
            let elsewhere = target.is_empty() || target.contains("://");
            let beside = page.parent().expect("a page lies in a folder");
            if !elsewhere && !beside.join(target).exists() {
                missing.push(format!("{} -> {target}", page.display()));
            }
        }
    }

    assert!(pages.len() > 20, "only {} pages", pages.len());
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn an_id_on_a_page_stands_for_one_id_and_dots_for_anything() {
    let shown = |line: &str| vec![line.to_owned()];
    let on_page = "01a20f60-64a4-7008-a93e-7d0da280e44f";
    let (here, other) = (
        "01a21fae-d7f9-76ae-98a9-ff3b901aa99d",
        "01a21fb1-5b6c-750a-a6bd-ab89263de5fb",
    );
    let mut ids = Ids::default();
    let line = shown(&format!("… task {on_page}: …"));

    assert_eq!(
        ids.missing(&line, &format!("no\nsee task   {here}: and so on")),
        None
    );

    assert_eq!(
        ids.put_into(&format!("show {on_page}")),
        format!("show {here}")
    );
    assert!(
        ids.missing(&line, &format!("see task {other}: more"))
            .is_some()
    );
    assert!(ids.missing(&shown("a … d"), "a b c").is_some());
}
