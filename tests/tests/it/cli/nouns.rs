//! The nouns: what each does over REST, and how it ends when it is refused.

use serde_json::{Value, json};
use tests::command::Finished;
use tests::image::Image;
use tests::server::{ADMIN, Server};

const PAT: (&str, &str) = ("pat", "pats-password-1");

/// The lists, and where REST has them.
const LISTS: [(&str, &str); 11] = [
    ("task list", "/tasks"),
    ("organization list", "/organizations"),
    (
        "product list --organization acme",
        "/organizations/acme/products",
    ),
    ("repository list", "/repositories"),
    ("user list", "/users"),
    ("role list", "/roles"),
    ("grant list", "/grants"),
    ("robot list", "/robots"),
    ("token list", "/tokens"),
    ("setting list", "/settings"),
    ("schedule list", "/schedules"),
];

async fn ask(server: &Server, line: &str) -> Finished {
    let words: Vec<&str> = line.split(' ').collect();
    server.cli(&words).await
}

async fn json(server: &Server, line: &str) -> Value {
    let said = ask(server, &format!("{line} --output json"))
        .await
        .expect_code(0);
    serde_json::from_str(&said.stdout).unwrap_or_else(|error| panic!("{said}: {error}"))
}

#[tokio::test]
async fn json_is_the_body_that_rest_answers_byte_for_byte() {
    let server = Server::start().await;
    for line in [
        "organization create acme --name Acme",
        "product create tools --organization acme --name Tools",
        "repository create app --organization acme --product tools",
        "user create ana --new-password anas-password-1",
        "role create own --permissions pull,push",
        "grant create ana own --organization acme --product tools",
        "robot create ci --organization acme",
        "token create laptop --scope pull",
    ] {
        ask(&server, line).await.expect_code(0);
    }

    for (line, path) in LISTS {
        let said = ask(&server, &format!("{line} --output json")).await;

        let answered = server.rest().get(path).await.expect_status(200);
        let answered = String::from_utf8_lossy(&answered.body);
        let said = said.expect_code(0).stdout;
        assert_eq!(said, format!("{answered}\n"), "{line}");
    }
}

#[tokio::test]
async fn a_resource_is_made_shown_changed_and_deleted() {
    let server = Server::start().await;

    ask(&server, "organization create acme --name Acme")
        .await
        .expect_code(0);
    ask(&server, "organization update acme --name Summit")
        .await
        .expect_code(0);
    ask(
        &server,
        "product create tools --organization acme --name Tools",
    )
    .await
    .expect_code(0);
    ask(
        &server,
        "product update tools --organization acme --anonymous-pull true",
    )
    .await
    .expect_code(0);
    ask(&server, "user create ana --new-password anas-password-1")
        .await
        .expect_code(0);
    ask(&server, "user update ana --email ana@example.org")
        .await
        .expect_code(0);
    ask(&server, "role create own --permissions pull")
        .await
        .expect_code(0);
    ask(&server, "role update own --permissions pull,push")
        .await
        .expect_code(0);
    ask(&server, "setting update anonymous_pull false")
        .await
        .expect_code(0);
    let robot = json(&server, "robot create ci --organization acme").await;
    let grant = json(&server, "grant create acme+ci pusher --organization acme").await;
    let token = json(&server, "token create laptop").await;
    let renewed = json(
        &server,
        &format!("robot update {} --renew-token", robot["id"]),
    )
    .await;

    assert_eq!(
        json(&server, "organization show acme").await["name"],
        "Summit"
    );
    let product = json(&server, "product show tools --organization acme").await;
    assert_eq!(product["anonymous_pull"], true);
    assert_eq!(
        json(&server, "user show ana").await["email"],
        "ana@example.org"
    );
    assert_eq!(
        json(&server, "role show own").await["permissions"],
        json!(["pull", "push"])
    );
    assert_eq!(
        json(&server, "setting show anonymous_pull").await["value"],
        false
    );
    assert_eq!(grant["robot"], "acme+ci");
    assert_ne!(robot["token"], renewed["token"]);
    let audit = ask(&server, "audit list --search action=change")
        .await
        .expect_code(0);
    assert!(audit.stdout.contains("setting anonymous_pull"), "{audit}");
    for (noun, id) in [
        ("grant", grant["id"].to_string()),
        ("token", token["id"].to_string()),
        ("robot", robot["id"].to_string()),
        ("role", "own".to_owned()),
        ("user", "ana".to_owned()),
    ] {
        ask(&server, &format!("{noun} delete {id}"))
            .await
            .expect_code(0);
        ask(&server, &format!("{noun} delete {id}"))
            .await
            .expect_code(4);
    }
}

#[tokio::test]
async fn a_repository_that_was_made_without_a_push_takes_one() {
    let server = Server::start().await;
    ask(&server, "organization create acme --name Acme")
        .await
        .expect_code(0);
    ask(
        &server,
        "product create Tools --organization acme --name Tools",
    )
    .await
    .expect_code(0);

    let made = json(
        &server,
        "repository create deep/app --organization acme --product Tools",
    )
    .await;

    assert_eq!(made["pushed_names"], json!(["acme/tools/deep/app"]));
    assert_eq!(made["latest_version"], Value::Null);
    server.doctor().await.expect_code(0);
    let oci = server.oci();
    assert_eq!(oci.tags("acme/tools/deep/app", 10).await, [""; 0]);
    let image = Image::small(1);
    oci.push("acme/tools/deep/app", "1.0", &image)
        .await
        .expect_status(201);
    oci.assert_pullable("acme/tools/deep/app", "1.0", &image)
        .await;
    let shown = json(&server, "repository show acme/tools/deep/app").await;
    assert_eq!(
        (&shown["id"], &shown["latest_version"]),
        (&made["id"], &json!(1))
    );
    let tag = ask(&server, "repository tag acme/tools/deep/app 1.0")
        .await
        .expect_code(0);
    assert!(tag.stdout.contains(&image.digest), "{tag}");
    let path = "/organizations/acme/products/tools/repositories";
    let other = server
        .rest()
        .post(path, &json!({"name": "other"}))
        .await
        .expect_status(201);
    let location = format!("/api/v1/repositories/{}", other.json()["id"]);
    assert_eq!(other.header("location"), location);
    let again = "repository create deep/app --organization acme --product Tools";
    ask(&server, again).await.expect_code(1);
}

#[tokio::test]
async fn every_noun_ends_as_the_answer_says() {
    let server = Server::start_with(&["--allow-drills"]).await;
    ask(&server, "organization create acme --name Acme")
        .await
        .expect_code(0);
    ask(
        &server,
        "product create tools --organization acme --name Tools",
    )
    .await
    .expect_code(0);
    server
        .rest()
        .make_user(PAT.0, PAT.1, "reader", "acme")
        .await;
    let unknown = uuid::Uuid::from_u128(7);

    for (line, code) in [
        ("organization create acme --name Acme", 1),
        ("organization create not/a/label --name Acme", 2),
        ("organization show nobody", 4),
        ("product create tools --organization acme --name Tools", 1),
        ("product create tools --organization nobody --name Tools", 4),
        ("product show nothing --organization acme", 4),
        ("product update nothing --organization acme --name Tools", 4),
        (
            "repository create App --organization acme --product tools",
            2,
        ),
        (
            "repository create app --organization acme --product nothing",
            4,
        ),
        ("repository show acme/tools/nothing", 4),
        ("repository list --search colour=red", 2),
        ("user create admin --new-password x", 1),
        ("user create not:a:login --new-password x", 2),
        ("user show nobody", 4),
        ("user update nobody --name x", 4),
        ("role create own --permissions fly", 2),
        ("role show nothing", 4),
        ("grant create nobody reader --organization acme", 2),
        ("grant create pat nothing --organization acme", 2),
        ("grant create pat reader --organization acme", 1),
        ("grant delete 999", 4),
        ("robot show 999", 4),
        ("robot delete 999", 4),
        ("token show 999", 4),
        ("token create laptop --expires-at soon", 2),
        ("setting show nothing", 4),
        ("setting update anonymous_pull 7", 2),
        ("drill create dance fail", 2),
        ("drill delete 999", 4),
        (&format!("task show {unknown}"), 4),
        (&format!("task resume {unknown} --wait"), 4),
        ("task list --cursor nonsense", 2),
        ("audit list --search colour=red", 2),
        ("task list --server http://127.0.0.1:1", 1),
    ] {
        ask(&server, line).await.expect_code(code);
    }
}

#[tokio::test]
async fn whoever_may_not_is_told_so_by_3() {
    let server = Server::start_with(&["--allow-drills"]).await;
    ask(&server, "organization create acme --name Acme")
        .await
        .expect_code(0);
    ask(
        &server,
        "product create tools --organization acme --name Tools",
    )
    .await
    .expect_code(0);
    server
        .rest()
        .make_user(PAT.0, PAT.1, "reader", "acme")
        .await;

    for line in [
        "organization create other --name Other",
        "organization update acme --name Mine",
        "product create other --organization acme --name Other",
        "repository create app --organization acme --product tools",
        "user create eve --new-password x",
        "role create own --permissions pull",
        "grant create pat publisher --organization acme",
        "robot create ci --organization acme",
        "setting list",
        "audit list",
        "drill list",
    ] {
        let words: Vec<&str> = line.split(' ').collect();
        server.cli_as(PAT.0, PAT.1, &words).await.expect_code(3);
    }
    for (line, _) in LISTS {
        let words: Vec<&str> = line
            .split(' ')
            .chain(["--token", "wft_none", "--user", ADMIN])
            .collect();
        server.cli(&words).await.expect_code(2);
        let words = [&words[..words.len() - 4], &["--user", "nobody"]].concat();
        server.cli(&words).await.expect_code(3);
    }
}

#[tokio::test]
async fn a_resumed_task_is_waited_for() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let name = "default_organization/app";
    ask(&server, "drill create copy fail --times 2")
        .await
        .expect_code(0);
    let paused = server
        .oci()
        .push(name, "latest", &Image::small(1))
        .await
        .expect_status(424)
        .named_task();

    let again = ask(&server, &format!("task resume {paused} --wait"))
        .await
        .expect_code(1);
    let ended = ask(
        &server,
        &format!("task resume {paused} --wait --reason mended"),
    )
    .await
    .expect_code(0);

    assert!(again.stdout.contains("paused"), "{again}");
    assert!(ended.stdout.contains("success"), "{ended}");
    let history = ask(&server, &format!("task history {paused}"))
        .await
        .expect_code(0);
    assert!(history.stdout.contains("mended"), "{history}");
    let graph = ask(&server, &format!("task graph {paused} --format dot"))
        .await
        .expect_code(0);
    assert!(graph.stdout.starts_with("digraph"), "{graph}");
}

#[tokio::test]
async fn a_cancelled_task_is_waited_for() {
    let server = Server::start_with(&["--allow-drills"]).await;
    let drill = "drill create copy fail --times 1";
    ask(&server, drill).await.expect_code(0);
    let name = "default_organization/app";
    let pushed = server.oci().push(name, "latest", &Image::small(1)).await;
    let paused = pushed.expect_status(424).named_task();

    let ended = ask(&server, &format!("task cancel {paused} --wait")).await;

    let ended = ended.expect_code(0);
    assert!(ended.stdout.contains("cancelled"), "{ended}");
    ask(&server, &format!("task watch {paused}"))
        .await
        .expect_code(1);
}

#[tokio::test]
async fn a_size_with_a_blank_is_not_taken_for_two_things() {
    let server = Server::start().await;

    for (search, code) in [
        ("size_bytes > 1 KiB", 2),
        ("size_bytes ^ 5, 1 KiB", 2),
        ("size_bytes > \"1 KiB\"", 0),
        ("size_bytes > 1 and KiB", 0),
    ] {
        let words = ["repository", "list", "--search", search];
        let said = server.cli(&words).await.expect_code(code);
        assert_eq!(said.stderr.contains("\"1 KiB\""), code == 2, "{said}");
    }
}
