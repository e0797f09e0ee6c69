//! Smart proxies of kind `pulp`: a real Pulp 3 is told to sync from here, and gives out what is published here by the same names.

use std::collections::BTreeSet;
use std::net::TcpListener;

use reqwest::Method;
use serde_json::{Value, json};
use tests::image::{Image, Index};
use tests::noise;
use tests::pulp::{Pulp, Which};
use tests::rest::{Rest, text};
use tests::server::Server;
use tests::wait::{self, SOON};

const ORGANIZATION: &str = "Default_Organization";

/// A name that no test before has had: that Pulp outlives them.
fn name() -> String {
    format!("default_organization/p{:x}/app", noise::unique())
}

/// A smart proxy of kind `pulp` that has Library; answers with its path.
async fn proxy(rest: &Rest, pulp: &Pulp) -> String {
    let (username, password) = pulp.login();
    let new = json!({
        "name": "berlin", "kind": "pulp", "url": pulp.url,
        "credentials": { "username": username, "password": password },
        "environments": [{"organization": ORGANIZATION, "environment": "Library"}],
    });
    let made = rest.post("/smart_proxies", &new).await.expect_status(201);
    format!("/smart_proxies/{}", made.json()["id"])
}

/// What the proxy has, once that satisfies a condition.
async fn until(rest: &Rest, proxy: &str, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    wait::until(&format!("the smart proxy {what}"), 3 * SOON, async || {
        let status = rest.get(&format!("{proxy}/status")).await;
        let status = status.expect_status(200).json();
        so(&status).then_some(status)
    })
    .await
}

async fn until_has(rest: &Rest, proxy: &str, version: i64) -> Value {
    until(rest, proxy, &format!("has version {version}"), |status| {
        status["current"] == true && status["repositories"][0]["version_there"] == version
    })
    .await
}

async fn whole_sync(rest: &Rest, proxy: &str) -> Value {
    rest.begun(rest.post(&format!("{proxy}/sync"), &json!({})).await)
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulp_gives_out_what_library_publishes_and_nothing_of_what_is_gone() {
    for which in Which::ALL {
        let pulp = which.shared().await;
        let (server, name) = (Server::start().await, name());
        let (oci, rest) = (server.oci(), server.rest());
        let (image, index) = (Image::small(noise::unique()), Index::two_platforms(7));
        oci.push(&name, "one", &image).await.expect_status(201);
        oci.push_index(&name, "many", &index)
            .await
            .expect_status(201);
        let proxy = proxy(&rest, pulp).await;
        until_has(&rest, &proxy, 2).await;

        let found = pulp.manifest(&name, "one").await;
        assert_eq!(found, Some(image.digest.clone()), "{which:?}");
        assert_eq!(pulp.manifest(&name, "many").await, Some(index.digest));
        let anonymous = pulp.manifest_as_nobody(&name, "one").await;
        assert_eq!(anonymous, None, "it is private here, so it is there");

        oci.push(&name, "many", &image).await.expect_status(201);
        let path = format!("{}/tags/one", rest.path_of(&name).await);
        rest.begun(rest.delete(&path).await).await;
        until_has(&rest, &proxy, 4).await;
        assert_eq!(pulp.manifest(&name, "one").await, None);
        assert_eq!(pulp.manifest(&name, "many").await, Some(image.digest));
        let task = whole_sync(&rest, &proxy).await;
        assert_eq!(task["result"], "success", "{task}");

        let ours = async |things: &str| {
            let all = pulp
                .list(&format!("{things}/container/container/?limit=1000"))
                .await;
            let names = all.iter().filter_map(|it| it["name"].as_str());
            let ours = names.filter(|it| it.starts_with("wharfinger-proxy/"));
            ours.map(str::to_owned).collect::<BTreeSet<_>>()
        };
        let remotes = pulp.list("remotes/container/container/?limit=1000").await;
        let remote = remotes
            .iter()
            .find(|it| it["upstream_name"] == json!(name))
            .expect("a remote for this name");
        let made = remote["name"].as_str().expect("a name").to_owned();
        for things in ["repositories", "remotes"] {
            assert!(ours(things).await.contains(&made), "{things} hold {made}");
        }
        let nothing = json!({ "environments": [] });
        rest.patch(&proxy, &nothing).await.expect_status(200);
        until(&rest, &proxy, "has nothing", |status| {
            status["repositories"] == json!([])
        })
        .await;
        let select = format!("distributions/container/container/?base_path={name}");
        assert_eq!(pulp.list(&select).await, Vec::<Value>::new());
        for things in ["repositories", "remotes"] {
            assert!(!ours(things).await.contains(&made), "{things} hold {made}");
        }
        println!("{which:?}: mirrored, changed, removed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulp_pulls_by_a_robot_of_ours_that_is_made_anew_when_it_was_deleted() {
    let pulp = Which::Newest.shared().await;
    let (server, name) = (Server::start().await, name());
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(noise::unique());
    oci.push(&name, "one", &image).await.expect_status(201);
    let proxy = proxy(&rest, pulp).await;
    until_has(&rest, &proxy, 1).await;
    let robots = rest.all("/robots", "").await;
    let robot = &robots[0];
    assert_eq!(robot["login"], "Default_Organization+smart-proxy-berlin");
    let grants = rest.all("/grants", "").await;
    let roles: Vec<_> = grants
        .iter()
        .filter(|grant| grant["robot"] == robot["id"] || grant["robot"] == robot["login"])
        .map(|grant| (&grant["role"], &grant["organization"]))
        .collect();
    assert_eq!(roles, [(&json!("reader"), &json!(ORGANIZATION))]);

    rest.delete(&format!("/robots/{}", robot["id"]))
        .await
        .expect_status(204);
    oci.push(&name, "two", &image).await.expect_status(201);
    until_has(&rest, &proxy, 2).await;

    assert_eq!(pulp.manifest(&name, "two").await, Some(image.digest));
    let robots = rest.all("/robots", "").await;
    let logins: Vec<_> = robots.iter().map(|robot| &robot["login"]).collect();
    assert_eq!(logins, ["Default_Organization+smart-proxy-berlin-2"]);
    assert!(!server.log().contains("wft_"), "no token is told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_pulp_cannot_do_is_told_with_what_to_do() {
    let pulp = Which::Newest.shared().await;
    let (server, name) = (
        Server::start_with(&["--public-url=http://127.0.0.1:1"]).await,
        name(),
    );
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(noise::unique());
    oci.push(&name, "one", &image).await.expect_status(201);
    let proxy = proxy(&rest, pulp).await;
    let says = |what: &'static str| move |status: &Value| status.to_string().contains(what);

    until(
        &rest,
        &proxy,
        "is not reached",
        says("set public_url to a URL that it reaches"),
    )
    .await;
    let (username, _) = pulp.login();
    let wrong = json!({ "credentials": { "username": username, "password": "guess" } });
    rest.patch(&proxy, &wrong).await.expect_status(200);
    let told = until(
        &rest,
        &proxy,
        "refuses the login",
        says("refuses the login"),
    )
    .await;
    assert!(!told.to_string().contains("guess"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_goes_on_with_the_task_that_pulp_has() {
    let pulp = Which::Newest.shared().await;
    let (mut server, name) = (Server::start_with(&["--allow-drills"]).await, name());
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(noise::unique());
    oci.push(&name, "one", &image).await.expect_status(201);
    rest.begin_drill(&json!({
        "workflow": "sync_proxy", "step": "bring", "effect": "crash", "when": "after", "times": 1,
    }))
    .await;
    let proxy = proxy(&rest, pulp).await;
    server.ended().await;

    server.restart().await;

    let rest = server.rest();
    until_has(&rest, &proxy, 1).await;
    assert_eq!(pulp.manifest(&name, "one").await, Some(image.digest));
    assert_eq!(syncs_to(pulp, &name).await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sync_that_was_cancelled_is_cancelled_in_pulp_before_the_next_one() {
    // Here Pulp shall pull, and waits for an answer for ever.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = silent.local_addr().expect("it listens").port();
    let public_url = format!("--public-url=http://127.0.0.1:{port}");
    let pulp = Which::Newest.shared().await;
    let (server, name) = (Server::start_with(&[&public_url]).await, name());
    let (oci, rest) = (server.oci(), server.rest());
    let image = Image::small(noise::unique());
    oci.push(&name, "one", &image).await.expect_status(201);
    proxy(&rest, pulp).await;
    let in_pulp = wait::until("Pulp is at it", 3 * SOON, async || {
        let running = pulp
            .list("tasks/?name__contains=synchronize&state=running&limit=1000")
            .await;
        let remote = remote_of(pulp, &name).await?;
        running.into_iter().find(|it| {
            it["reserved_resources_record"]
                .to_string()
                .contains(&remote)
        })
    })
    .await;

    let sync = rest.all("/tasks", "label = sync_proxy").await;
    let sync = text(&sync[0]["id"]);
    let cancel = rest
        .post(&format!("/tasks/{sync}/cancel"), &json!({}))
        .await;
    cancel.expect_status(202);

    let ended = rest.until_state(sync, "stopped").await;
    assert_eq!(ended["result"], "cancelled", "{ended}");
    let ended = wait::until("Pulp has ended the first one", 3 * SOON, async || {
        let (_, task) = pulp.at(text(&in_pulp["pulp_href"])).await;
        let state = text(&task["state"]);
        (state != "running" && state != "canceling").then_some(task)
    });
    assert_eq!(ended.await["state"], "canceled");
}

/// What Pulp calls the remote of what is published at this path, in each of its names.
async fn remote_of(pulp: &Pulp, path: &str) -> Option<String> {
    let remotes = pulp.list("remotes/container/container/?limit=1000").await;
    let remote = remotes
        .iter()
        .find(|it| it["upstream_name"] == json!(path))?;
    let href = remote["pulp_href"].as_str()?.trim_end_matches('/');
    href.rsplit('/').next().map(str::to_owned)
}

/// How many syncs of what is given out at this path that Pulp knows.
async fn syncs_to(pulp: &Pulp, path: &str) -> u64 {
    let served = format!("distributions/container/container/?base_path={path}");
    let served = pulp.list(&served).await;
    let version = served[0]["repository_version"].as_str().expect("a version");
    let (repository, _) = version.split_once("versions/").expect("of a repository");
    let tasks = format!("tasks/?name__contains=synchronize&reserved_resources={repository}");
    let (_, found) = pulp.ask(Method::GET, &tasks, None).await;
    found["count"].as_u64().expect("a count")
}
