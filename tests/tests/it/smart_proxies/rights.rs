//! Who may pull from a proxy: whoever may from the main server, and no longer.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use tests::harbour::{Harbour, Secret};
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::wait::{self, SOON};

const NAME: &str = "default_organization/tools/app";
const PASSWORD: &str = "under-a-yellow-flag-4";

/// What the documentation promises.
const REVOKED_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_right_that_is_taken_back_at_the_main_server_is_gone_at_the_proxy_within_a_minute() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let rest = harbour.rest();
    harbour
        .main
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    harbour.until_current(0).await;
    let host = harbour.proxies[0].server.host();
    let mut tokens = Vec::new();
    for login in ["ann", "bob"] {
        rest.make_user(login, PASSWORD, "reader", "Default_Organization")
            .await;
        let client = OciClient::with_login(&host, login, PASSWORD);
        let token = client.token(&[&format!("repository:{NAME}:pull")]).await;
        let manifest = client.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
        client
            .send(manifest.bearer_auth(&token))
            .await
            .expect_status(200);
        tokens.push((client, token));
    }
    let disabled = rest.patch("/users/ann", &json!({ "enabled": false })).await;
    disabled.expect_status(200);
    let grants = rest.get("/grants?per_page=100").await.json();
    let grants = grants["results"].as_array().unwrap().clone();
    let grant = grants
        .iter()
        .find(|grant| grant["user"] == "bob")
        .expect("bob has a role");
    rest.delete(&format!("/grants/{}", grant["id"]))
        .await
        .expect_status(204);
    let begun = Instant::now();

    for (client, token) in &tokens {
        wait::until("nothing is pulled any more", REVOKED_WITHIN, async || {
            let manifest = client.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
            let answer = client.send(manifest.bearer_auth(token)).await;
            assert!([200, 401].contains(&answer.status), "{}", answer.text());
            (answer.status == 401).then_some(())
        })
        .await;
    }
    println!("rights were gone at the proxy after {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_right_that_is_given_counts_at_the_proxy_for_who_shows_a_password_each_time() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let rest = harbour.rest();
    let main = harbour.main.oci();
    main.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    harbour.until_current(0).await;
    let user = json!({ "login": "ann", "password": PASSWORD });
    rest.post("/users", &user).await.expect_status(201);
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let pull = async |password: &str| {
        let manifest = anybody.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
        let manifest = manifest.basic_auth("ann", Some(password));
        anybody.send(manifest).await
    };
    assert_eq!(pull(PASSWORD).await.status, 401);

    let grant = json!({ "user": "ann", "role": "reader", "organization": "Default_Organization" });
    rest.post("/grants", &grant).await.expect_status(201);

    pull(PASSWORD).await.expect_status(200);
}

#[tokio::test]
async fn who_fails_to_log_in_again_and_again_is_told_so_by_the_proxy_too() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let mut statuses = Vec::new();

    let refused = loop {
        let manifest = anybody.request(Method::GET, &format!("/v2/{NAME}/manifests/latest"));
        let wrong = format!("wrong-{}", statuses.len());
        let manifest = manifest.basic_auth("nobody", Some(wrong));
        let answer = anybody.send(manifest).await;
        if answer.status == 429 {
            break answer;
        }
        statuses.push(answer.status);
        assert!(statuses.len() < 20, "{statuses:?}");
    };

    assert!(statuses.iter().all(|status| *status == 401), "{statuses:?}");
    assert!(!refused.header("retry-after").is_empty());
    refused.expect_refusal(429, "TOOMANYREQUESTS");
}

#[tokio::test]
async fn what_everybody_may_pull_is_pulled_from_the_proxy_without_a_login_and_nothing_else() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let (oci, rest) = (harbour.main.oci(), harbour.rest());
    let image = Image::small(1);
    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.push("default_organization/private/app", "latest", &image)
        .await
        .expect_status(201);
    harbour.until_current(0).await;
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let ask = async |name: &str| {
        let manifest = anybody.request(Method::GET, &format!("/v2/{name}/manifests/latest"));
        anybody.send(manifest).await
    };
    let challenge = ask(NAME).await.expect_status(401);
    let challenge = challenge.header("www-authenticate").to_owned();
    let proxy = harbour.proxies[0].server.host();
    assert!(
        challenge.contains(&format!("realm=\"http://{proxy}/v2/token\"")),
        "{challenge}"
    );

    let products = "/organizations/Default_Organization/products";
    let open = json!({ "anonymous_pull": true });
    rest.patch(&format!("{products}/tools"), &open)
        .await
        .expect_status(200);

    wait::until("everybody pulls it", SOON, async || {
        (ask(NAME).await.status == 200).then_some(())
    })
    .await;
    ask("default_organization/private/app")
        .await
        .expect_status(401);
    let shut = json!({ "anonymous_pull": false });
    rest.patch(&format!("{products}/tools"), &shut)
        .await
        .expect_status(200);
    wait::until(
        "nobody pulls it without a login",
        REVOKED_WITHIN,
        async || (ask(NAME).await.status == 401).then_some(()),
    )
    .await;
}

#[tokio::test]
async fn a_token_of_the_proxy_is_none_of_the_main_server_and_the_other_way_round() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    harbour
        .main
        .oci()
        .push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    harbour.until_current(0).await;
    let (main, proxy) = (harbour.main.oci(), harbour.oci(0));
    let scope = format!("repository:{NAME}:pull");
    let (of_main, of_proxy) = (main.token(&[&scope]).await, proxy.token(&[&scope]).await);
    let manifest = format!("/v2/{NAME}/manifests/latest");

    for (client, token, status) in [
        (&main, &of_main, 200),
        (&proxy, &of_proxy, 200),
        (&main, &of_proxy, 401),
        (&proxy, &of_main, 401),
    ] {
        let asked = client.request(Method::GET, &manifest).bearer_auth(token);
        client.send(asked).await.expect_status(status);
    }
    // With a password, or a personal token, every request is good for itself, as at the main server.
    let asked = proxy
        .request(Method::GET, &manifest)
        .basic_auth(ADMIN, Some(ADMIN_PASSWORD));
    proxy.send(asked).await.expect_status(200);
    let asked = proxy
        .request(Method::GET, &manifest)
        .basic_auth(ADMIN, Some("wrong"));
    proxy.send(asked).await.expect_status(401);
}

#[tokio::test]
async fn without_the_secret_nobody_is_a_proxy_and_nobody_tells_one_to_come() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let (main, proxy) = (harbour.main.oci(), harbour.oci(0));
    let state = "/api/v1/mirror/state";
    for secret in ["", "wrong", ADMIN_PASSWORD] {
        let asked = main.request(Method::GET, state).bearer_auth(secret);
        main.send(asked).await.expect_status(401);
        let passed = main
            .request(Method::GET, "/v2/")
            .header("wharfinger-mirror", secret);
        main.send(passed).await.expect_refusal(403, "DENIED");
        let told = proxy
            .request(Method::POST, "/api/v1/mirror/sync")
            .bearer_auth(secret);
        proxy.send(told.json(&json!({}))).await.expect_status(401);
    }
    let shown = harbour.rest().get("/smart_proxies").await.text();
    assert!(!shown.contains("secret-"), "{shown}");
    let log = harbour.main.log() + &harbour.proxies[0].server.log();
    assert!(!log.contains("secret-0"), "a secret stands in a log");
}

#[tokio::test]
async fn a_sync_that_somebody_sends_again_leads_nowhere_else() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let shown = harbour.proxies[0].secret.text();
    let (oci, proxy) = (harbour.main.oci(), harbour.oci(0));
    oci.push(NAME, "latest", &Image::small(1))
        .await
        .expect_status(201);
    harbour.until_current(0).await;
    let repository = harbour.rest().repository(NAME).await["id"].clone();
    let organization = json!({ "id": 1, "label": "Default_Organization", "name": "D" });
    let product = json!({ "id": 2, "label": "tools", "name": "tools" });
    let old = |id: &str, version: i64, gone: bool| {
        let place = json!({ "environment": 1, "repository": repository });
        let wanted = json!({
            "environment": 1, "repository": repository, "version": version, "names": ["elsewhere/app"],
            "made_by": "00000000-0000-7000-8000-000000000009",
            "organization": organization, "product": product, "name": "app", "environment_label": "Library",
            "library": true, "library_id": 1,
        });
        json!({
            "id": id, "concurrency": 1,
            "wanted": if gone { json!([]) } else { json!([wanted]) },
            "gone": if gone { json!([place]) } else { json!([]) },
        })
    };
    oci.push(NAME, "latest", &Image::small(2))
        .await
        .expect_status(201);
    harbour.until_current(0).await;

    for (id, gone) in [("a", false), ("b", true)] {
        let id = format!("00000000-0000-7000-8000-00000000000{id}");
        let told = proxy
            .request(Method::POST, "/api/v1/mirror/sync")
            .bearer_auth(shown);
        proxy
            .send(told.json(&old(&id, 1, gone)))
            .await
            .expect_status(200);
        wait::until("the old sync has ended", SOON, async || {
            let asked = proxy.request(Method::GET, &format!("/api/v1/mirror/sync/{id}"));
            let state = proxy
                .send(asked.bearer_auth(shown))
                .await
                .expect_status(200)
                .json();
            (state["ended"] == true).then_some(())
        })
        .await;
    }

    proxy
        .assert_pullable(NAME, "latest", &Image::small(2))
        .await;
    // Whoever may pull everything of the product finds nothing by the name of the old sync.
    let open = json!({ "anonymous_pull": true });
    harbour
        .rest()
        .patch("/organizations/Default_Organization/products/tools", &open)
        .await
        .expect_status(200);
    let anybody = OciClient::anonymous(&harbour.proxies[0].server.host());
    let pull = async |name: &str| {
        let manifest = anybody.request(Method::GET, &format!("/v2/{name}/manifests/latest"));
        anybody.send(manifest).await.status
    };
    wait::until("everybody pulls it by its own name", SOON, async || {
        (pull(NAME).await == 200).then_some(())
    })
    .await;
    assert_eq!(pull("elsewhere/app").await, 401);
}

#[tokio::test]
async fn a_server_stays_what_it_was_at_its_first_start() {
    let harbour = Harbour::with_a_proxy(&[]).await;
    let secret = Secret::new();
    let options = secret.options("127.0.0.1:9");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let main = Server::start().await;
    main.terminate().await;
    let mut main = main;
    assert_eq!(main.ended().await, 0);

    let refused = main.serve_to_its_end(&options).await;

    assert_eq!(refused.code, 2, "{}", refused.said());
    assert!(refused.said().contains("main server"), "{}", refused.said());
    let elsewhere = harbour.oci(0);
    let rest = elsewhere
        .send(elsewhere.request(Method::GET, "/api/v1/tasks"))
        .await;
    let told = rest.expect_status(404).text();
    assert!(told.contains(&harbour.main.host()), "{told}");
}
