//! Who may do what: every kind of caller on every route of `/v2/`.

pub(crate) mod routes;

use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tests::answer::Answer;
use tests::image::{self, Image};
use tests::oci_client::{OciClient, location};
use tests::rest::{Rest, text};
use tests::server::Server;
use tests::{digest, noise};

use routes::{Needs, Route, routes};

const PASSWORD: &str = "many-hands-on-deck-3";
const NAME: &str = "acme/tools/app";

/// A server with one image in `acme/tools/app`, an open upload session of the administrator there, and one
/// user of each kind.
struct House {
    server: Server,
    image: Image,
    routes: Vec<Route>,
}

impl House {
    async fn new(options: &[&str]) -> Self {
        let server = Server::start_with(options).await;
        let rest = server.rest();
        rest.make_organization("acme").await;
        rest.make_organization("umbrella").await;
        for (login, role, organization) in [
            ("reader", "reader", "acme"),
            ("pusher", "pusher", "acme"),
            ("publisher", "publisher", "acme"),
            ("stranger", "publisher", "umbrella"),
        ] {
            rest.make_user(login, PASSWORD, role, organization).await;
        }
        let (oci, image) = (server.oci(), Image::small(1));
        oci.push(NAME, "latest", &image).await.expect_status(201);
        let upload = oci.open_upload(NAME).await;
        let routes = routes(NAME, &image, &upload);
        Self {
            server,
            image,
            routes,
        }
    }

    fn as_user(&self, login: &str) -> OciClient {
        OciClient::with_login(&self.server.host(), login, PASSWORD)
    }

    fn rest_of(&self, login: &str) -> Rest {
        Rest::with_login(&self.server.host(), login, PASSWORD)
    }

    /// Asks every route with what `credentials` adds, and hands each answer to `judge`; how many there were.
    async fn ask_all(
        &self,
        credentials: impl Fn(RequestBuilder) -> RequestBuilder,
        judge: impl Fn(&Route, Answer),
    ) -> usize {
        let oci = self.server.oci();
        for route in &self.routes {
            let request = credentials(route.request(&oci));
            judge(route, oci.send(request).await);
        }
        self.routes.len()
    }

    /// The image is as it was, and the name has no tag that a refused request made.
    async fn assert_unharmed(&self) {
        let oci = self.server.oci();
        oci.assert_pullable(NAME, "latest", &self.image).await;
        assert_eq!(oci.tags(NAME, 100).await, ["latest"]);
    }
}

#[tokio::test]
async fn without_credentials_every_route_asks_for_a_token() {
    let house = House::new(&[]).await;

    let asked = house
        .ask_all(
            |request| request,
            |route, answer| expect_challenge(route, &answer, ""),
        )
        .await;

    assert!(asked >= 14, "only {asked} routes were asked");
    println!("anonymous: refused on {asked} routes");
    house.assert_unharmed().await;
}

#[tokio::test]
async fn an_anonymous_token_opens_nothing() {
    let house = House::new(&[]).await;
    let anonymous = OciClient::anonymous(&house.server.host());
    let token = anonymous
        .token(&["repository:acme/tools/app:pull,push"])
        .await;

    let asked = house
        .ask_all(
            |request| request.bearer_auth(&token),
            |route, answer| expect_challenge(route, &answer, ""),
        )
        .await;

    println!("anonymous with a token: refused on {asked} routes");
    house.assert_unharmed().await;
}

#[tokio::test]
async fn a_reader_may_pull_and_is_told_which_right_a_push_needs() {
    let house = House::new(&[]).await;
    let token = house
        .as_user("reader")
        .token(&["repository:acme/tools/app:pull,push"])
        .await;

    let by_token = |request: RequestBuilder| request.bearer_auth(&token);
    let by_password = |request: RequestBuilder| request.basic_auth("reader", Some(PASSWORD));
    let judge = |route: &Route, answer: Answer| match route.needs {
        Needs::Pull => assert_eq!(answer.status, 200, "{answer}"),
        Needs::Push => {
            let refused = answer.expect_refusal(403, "DENIED");
            assert!(
                refused.message().contains("push"),
                "names no right: {refused}"
            );
        }
    };

    let asked = house.ask_all(by_token, judge).await + house.ask_all(by_password, judge).await;
    println!("reader: {asked} answers as promised");
    house.assert_unharmed().await;
}

#[tokio::test]
async fn a_user_of_another_organization_finds_nothing_and_may_push_nothing() {
    let house = House::new(&[]).await;
    let token = house
        .as_user("stranger")
        .token(&["repository:acme/tools/app:pull,push"])
        .await;

    let judge = |route: &Route, answer: Answer| match (route.needs, route.method == Method::HEAD) {
        (Needs::Pull, true) => assert_eq!(answer.status, 404, "{answer}"),
        (Needs::Pull, false) => drop(answer.expect_refusal(404, "NAME_UNKNOWN")),
        (Needs::Push, _) => drop(answer.expect_refusal(403, "DENIED")),
    };
    let asked = house
        .ask_all(|request| request.bearer_auth(&token), judge)
        .await
        + house
            .ask_all(
                |request| request.basic_auth("stranger", Some(PASSWORD)),
                judge,
            )
            .await;

    println!("stranger: {asked} answers as promised");
    house.assert_unharmed().await;
}

#[tokio::test]
async fn a_token_for_pulls_alone_asks_a_publisher_for_a_wider_one_when_he_pushes() {
    let house = House::new(&[]).await;
    let token = house
        .as_user("publisher")
        .token(&["repository:acme/tools/app:pull"])
        .await;

    let judge = |route: &Route, answer: Answer| match route.needs {
        Needs::Pull => assert_eq!(answer.status, 200, "{answer}"),
        Needs::Push => expect_challenge(route, &answer, "insufficient_scope"),
    };
    let asked = house
        .ask_all(|request| request.bearer_auth(&token), judge)
        .await;

    println!("a narrow token: {asked} answers as promised");
    house.assert_unharmed().await;
}

#[tokio::test]
async fn a_token_for_another_repository_or_for_none_opens_nothing() {
    let house = House::new(&[]).await;
    let publisher = house.as_user("publisher");
    let mut asked = 0;
    for scopes in [&["repository:acme/tools/other:pull,push"][..], &[]] {
        let token = publisher.token(scopes).await;
        asked += house
            .ask_all(
                |request| request.bearer_auth(&token),
                |route, answer| expect_challenge(route, &answer, "insufficient_scope"),
            )
            .await;
    }

    println!("tokens for elsewhere: refused on {asked} routes");
    house.assert_unharmed().await;
}

#[tokio::test]
async fn a_pusher_may_push_into_what_exists_and_make_nothing_new() {
    let house = House::new(&[]).await;
    let pusher = house.as_user("pusher");
    let image = Image::small(2);

    pusher.push(NAME, "second", &image).await.expect_status(201);
    pusher.assert_pullable(NAME, "second", &image).await;
    for (name, missing) in [
        ("acme/tools/new", "create_repositories"),
        ("acme/new/app", "create_products"),
    ] {
        let request = pusher.of(Method::POST, name, "blobs/uploads/").await;
        let refused = pusher.send(request).await.expect_refusal(403, "DENIED");
        assert!(
            refused.message().contains(missing),
            "does not name {missing}: {refused}"
        );
        assert!(
            refused.message().contains("acme"),
            "names no organization: {refused}"
        );
        let put = pusher
            .put_manifest(name, "latest", image::MANIFEST, &image.manifest)
            .await;
        put.expect_refusal(403, "DENIED");
    }
    assert_eq!(house.server.rest().all("/repositories", "").await.len(), 1);

    let publisher = house.as_user("publisher");
    publisher
        .push("acme/new/app", "latest", &image)
        .await
        .expect_status(201);
    assert_eq!(
        house.server.rest().repository("acme/new/app").await["product"],
        "new"
    );
}

#[tokio::test]
async fn an_organization_that_is_not_there_looks_the_same_to_strangers_as_one_that_is() {
    let house = House::new(&[]).await;
    let stranger = house.as_user("stranger");

    let mut answers = Vec::new();
    for name in ["acme/tools/app", "nowhere/tools/app"] {
        let request = stranger.of(Method::POST, name, "blobs/uploads/").await;
        answers.push(stranger.send(request).await.expect_refusal(403, "DENIED"));
    }
    let admin = house.server.oci();
    let request = admin
        .of(Method::POST, "nowhere/tools/app", "blobs/uploads/")
        .await;

    let shown = answers[1].message().replace("nowhere", "acme");
    assert_eq!(answers[0].message(), shown, "the texts tell them apart");
    admin
        .send(request)
        .await
        .expect_refusal(404, "NAME_UNKNOWN");
}

#[tokio::test]
async fn no_blob_of_another_repository_is_reached_by_head_mount_or_manifest() {
    let house = House::new(&[]).await;
    let secret = Image::with_layers(vec![noise::bytes(99, 4096)], "amd64");
    let admin = house.server.oci();
    admin
        .push("umbrella/vault/secret", "latest", &secret)
        .await
        .expect_status(201);
    let blob = digest::of(&secret.layers[0]);
    let pusher = house.as_user("publisher");

    for method in [Method::HEAD, Method::GET] {
        let request = pusher.of(method, NAME, &format!("blobs/{blob}")).await;
        assert_eq!(pusher.send(request).await.status, 404);
    }
    let scopes = [
        "repository:acme/tools/app:pull,push",
        "repository:umbrella/vault/secret:pull",
    ];
    let token = pusher.token(&scopes).await;
    let path = format!("/v2/{NAME}/blobs/uploads/?mount={blob}&from=umbrella/vault/secret");
    for request in [
        pusher.request(Method::POST, &path).bearer_auth(&token),
        pusher
            .request(Method::POST, &path)
            .basic_auth("publisher", Some(PASSWORD)),
    ] {
        let opened = pusher.send(request).await.expect_status(202);
        assert!(location(&opened).contains("/blobs/uploads/"), "{opened}");
    }
    pusher.try_push_blob(NAME, &secret.config).await.unwrap();
    let stolen = pusher
        .put_manifest(NAME, "stolen", image::MANIFEST, &secret.manifest)
        .await;
    let refused = stolen.expect_refusal(404, "MANIFEST_BLOB_UNKNOWN");
    assert!(
        refused.message().contains(&blob),
        "does not name the blob: {refused}"
    );
    let request = pusher
        .of(Method::GET, NAME, &format!("manifests/{}", secret.digest))
        .await;
    pusher
        .send(request)
        .await
        .expect_refusal(404, "MANIFEST_UNKNOWN");
    let request = pusher
        .of(Method::HEAD, NAME, &format!("blobs/{blob}"))
        .await;
    assert_eq!(
        pusher.send(request).await.status,
        404,
        "asking has linked the blob"
    );

    let mount = admin
        .request(Method::POST, &path)
        .basic_auth(tests::server::ADMIN, Some(tests::server::ADMIN_PASSWORD));
    admin.send(mount).await.expect_status(201);
    assert_eq!(pusher.pull_blob(NAME, &blob).await.0, blob);
    house.assert_unharmed().await;
}

#[tokio::test]
async fn an_upload_session_belongs_to_who_opened_it() {
    let house = House::new(&[]).await;
    let (owner, other) = (house.as_user("publisher"), house.as_user("pusher"));
    let session = owner.open_upload(NAME).await;

    for method in [Method::PATCH, Method::PUT, Method::GET, Method::DELETE] {
        let request = other
            .at(method, NAME, &session)
            .await
            .query(&[("digest", digest::of(b"ware"))])
            .body("ware");
        let refused = other.send(request).await;
        assert!([403, 404].contains(&refused.status), "{refused}");
    }

    let patched = owner
        .send(owner.at(Method::PATCH, NAME, &session).await.body("ware"))
        .await;
    let put = owner
        .at(Method::PUT, NAME, &location(&patched.expect_status(202)))
        .await;
    owner
        .send(put.query(&[("digest", digest::of(b"ware"))]))
        .await
        .expect_status(201);
    house.assert_unharmed().await;
}

#[tokio::test]
async fn rest_shows_nothing_to_strangers_and_lets_nobody_act_beyond_his_rights() {
    let house = House::new(&[]).await;
    let admin = house.server.rest();
    let repository = admin.repository(NAME).await["id"].clone();
    let task = text(&admin.only_push_of(NAME, "latest").await["id"]).to_owned();
    let (stranger, reader) = (house.rest_of("stranger"), house.rest_of("reader"));

    for path in [
        format!("/repositories/{repository}"),
        format!("/repositories/{repository}/versions"),
        format!("/repositories/{repository}/tags"),
        format!("/tasks/{task}"),
        format!("/tasks/{task}/history"),
        "/organizations/acme".to_owned(),
        "/organizations/acme/products".to_owned(),
    ] {
        expect_problem(&stranger.get(&path).await, 404);
        let anonymous = stranger.try_get(&format!("/api/v1{path}")).await.unwrap();
        expect_problem(&anonymous, 401);
    }
    assert!(stranger.all("/repositories", "").await.is_empty());
    assert!(stranger.all("/tasks", "").await.is_empty());
    reader
        .get(&format!("/repositories/{repository}"))
        .await
        .expect_status(200);
    expect_problem(&reader.get(&format!("/tasks/{task}")).await, 404);

    let user = json!({ "login": "mallory", "password": PASSWORD });
    let grant = json!({ "user": "reader", "role": "admin" });
    let organization = json!({ "label": "mine", "name": "Mine" });
    for (path, body) in [
        ("/users", user),
        ("/grants", grant),
        ("/organizations", organization),
    ] {
        expect_problem(&reader.post(path, &body).await, 403);
    }
    let own = house.as_user("publisher");
    own.push(NAME, "own", &house.image).await.expect_status(201);
    let pushes = house.rest_of("publisher").all("/tasks", "").await;
    assert!(
        pushes.iter().any(|task| task["tag"] == "own"),
        "one's own tasks are visible: {pushes:?}"
    );
}

#[tokio::test]
async fn a_scopeless_token_of_the_administrator_reads_but_gives_no_access_away() {
    let house = House::new(&[]).await;
    let (oci, rest) = (house.server.oci(), house.server.rest());
    let token = oci.token(&[]).await;

    let read = rest
        .request(Method::GET, "/api/v1/tasks")
        .bearer_auth(&token);
    rest.send(read).await.expect_status(200);
    let user = json!({ "login": "mallory", "password": PASSWORD });
    let make = rest
        .request(Method::POST, "/api/v1/users")
        .bearer_auth(&token)
        .json(&user);
    expect_problem(&rest.send(make).await, 403);
    let narrow = oci.token(&["repository:acme/tools/app:pull"]).await;
    let read = rest
        .request(Method::GET, "/api/v1/tasks")
        .bearer_auth(&narrow);
    assert!(
        [401, 403].contains(&rest.send(read).await.status),
        "a token for a repository reads tasks"
    );
}

/// Fails the test unless an answer is 401 with a challenge that names this error.
#[track_caller]
pub(crate) fn expect_challenge(route: &Route, answer: &Answer, error: &str) {
    assert_eq!(answer.status, 401, "{}: {answer}", route.what);
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Bearer realm=\""),
        "{}: {answer}",
        route.what
    );
    assert!(
        challenge.contains("/v2/token\""),
        "{}: {answer}",
        route.what
    );
    assert!(challenge.contains("service=\""), "{}: {answer}", route.what);
    if !error.is_empty() {
        assert!(
            challenge.contains(&format!("error=\"{error}\"")),
            "{}: {answer}",
            route.what
        );
        assert!(
            challenge.contains("scope=\"repository:"),
            "{}: {answer}",
            route.what
        );
    }
}

/// Fails the test unless an answer is a problem as RFC 9457 wants it.
#[track_caller]
pub(crate) fn expect_problem(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{answer}");
    assert!(
        answer
            .header("content-type")
            .starts_with("application/problem+json"),
        "{answer}"
    );
    let problem = answer.json();
    assert_eq!(problem["status"], status, "{answer}");
    for field in ["type", "title", "detail"] {
        assert!(
            problem[field].as_str().is_some_and(|text| !text.is_empty()),
            "no `{field}`: {answer}"
        );
    }
}
