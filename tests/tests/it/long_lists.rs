//! Lists of a full house over HTTP: 100,000 tags in one repository, 10,000 repositories, 100,000 plans. Each comes to its end
//! page by page, with all that is there and nothing twice, also while others push.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;
use tests::answer::Answer;
use tests::image::Image;
use tests::oci_client::next_page;
use tests::rest::{Rest, text};
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};
use tests::turn;

/// The push that all others are made like.
const MODEL: &str = "default_organization/model/app";
/// What is pushed while lists are read is called so, and nothing else is.
const LATE: &str = "late-";

/// What the house was filled with.
struct Filled {
    plans: Vec<String>,
    names: Vec<String>,
    /// Of the one full repository.
    id: String,
    name: String,
    tags: Vec<String>,
    versions: Vec<String>,
}

impl Filled {
    /// Fills the folder of a server, which is down meanwhile.
    async fn into(server: &mut Server) -> Self {
        server
            .oci()
            .push(MODEL, "latest", &Image::small(1))
            .await
            .expect_status(201);
        server.rest().only_push_of(MODEL, "latest").await;
        server.terminate().await;
        assert_eq!(server.ended().await, 0);
        let folder = server.data_dir();
        let folder = folder.to_str().expect("a path of ours is text");
        let filled = server.cli(&["bench", "fill", "--data-dir", folder]).await;
        let told = filled.expect_code(0).stdout;
        server.restart().await;
        let told: Value = serde_json::from_str(&told).expect("it tells in JSON what it has filled");
        let full = &told["full"];
        Self {
            plans: texts(&told["plans"]),
            names: texts(&told["names"]),
            id: full["id"].to_string(),
            name: text(&full["name"]).to_owned(),
            tags: texts(&full["tags"]),
            versions: (1..=full["versions"].as_u64().expect("a number"))
                .map(|number| number.to_string())
                .collect(),
        }
    }
}

fn texts(list: &Value) -> Vec<String> {
    let list = list.as_array().expect("a list");
    list.iter().map(|one| text(one).to_owned()).collect()
}

/// What came on all pages of a list.
#[derive(Default)]
struct Seen {
    pages: usize,
    items: Vec<String>,
    took: Duration,
}

impl Seen {
    /// Reads an OCI list along its `Link` headers.
    async fn linked(rest: &Rest, first: &str, field: &str, per_page: usize) -> Self {
        let (mut seen, begun) = (Self::default(), Instant::now());
        let mut path = format!("{first}?n={per_page}");
        loop {
            let request = rest.request(Method::GET, &path);
            let request = request.basic_auth(ADMIN, Some(ADMIN_PASSWORD));
            let page = rest.send(request).await.expect_status(200);
            let items = texts(&page.json()[field]);
            let next = next_page(page.header("link"));
            seen.add(items, per_page, next.is_some(), &page);
            seen.took = begun.elapsed();
            match next {
                Some(next) => path = next,
                None => return seen,
            }
        }
    }

    /// Reads a REST list by its cursors; the items are what `item` makes of them. Each page tells at least the total.
    async fn by_cursor(
        rest: &Rest,
        path: &str,
        asked: &[(&str, &str)],
        item: &str,
        per_page: usize,
    ) -> Self {
        let (mut seen, begun) = (Self::default(), Instant::now());
        let (mut cursor, shown) = (String::new(), per_page.to_string());
        loop {
            let mut query = vec![("per_page", shown.as_str())];
            query.extend_from_slice(asked);
            if !cursor.is_empty() {
                query.push(("cursor", &cursor));
            }
            let answer = rest.search(path, &query).await.expect_status(200);
            let page = answer.json();
            let results = page["results"].as_array().expect("a list");
            let items = results.iter().map(|one| {
                let text = one[item].as_str().map(ToOwned::to_owned);
                text.unwrap_or_else(|| one[item].to_string())
            });
            let next = page["next"].as_str();
            seen.add(items.collect(), per_page, next.is_some(), &answer);
            seen.took = begun.elapsed();
            let Some(next) = next else {
                let total = page["total"].as_u64();
                // What was made since the first page is counted, and does not come.
                assert!(
                    total >= Some(seen.items.len() as u64),
                    "{path} tells {total:?}"
                );
                return seen;
            };
            next.clone_into(&mut cursor);
        }
    }

    fn add(&mut self, items: Vec<String>, per_page: usize, more: bool, page: &Answer) {
        assert!(items.len() <= per_page, "longer than asked for: {page}");
        // A page may be short when not all of it may be seen; the administrator sees everything.
        assert!(!more || items.len() == per_page, "too short: {page}");
        self.pages += 1;
        self.items.extend(items);
    }

    /// Each of these came once, and besides only what `late` says.
    fn are(self, what: &str, filled: &[String], late: impl Fn(&str) -> bool) {
        println!(
            "{what}: {} items on {} pages in {:.1} s",
            self.items.len(),
            self.pages,
            self.took.as_secs_f64()
        );
        let mut once = HashSet::with_capacity(self.items.len());
        for item in &self.items {
            assert!(once.insert(item.as_str()), "{what}: {item} comes twice");
        }
        let missing: Vec<_> = filled
            .iter()
            .filter(|item| !once.remove(item.as_str()))
            .collect();
        assert!(
            missing.is_empty(),
            "{what}: {} are missing, as {:?}",
            missing.len(),
            missing[0]
        );
        let strange = once.into_iter().find(|item| !late(item));
        assert!(strange.is_none(), "{what}: {strange:?} is strange");
    }
}

/// Pushes as long as lists are read: to new repositories, and new tags to one that is listed. Answers with how many.
async fn push_meanwhile(server: &Server, done: &AtomicBool) -> usize {
    let (oci, mut pushed) = (server.oci(), 0);
    while !done.load(Ordering::Relaxed) {
        let image = Image::small(1_000 + pushed as u64);
        let new = format!("default_organization/p{}/{LATE}{pushed}", pushed % 100 + 1);
        let there = format!("default_organization/p8/box-{}07", pushed % 90 + 1);
        for name in [new, there] {
            let tag = format!("{LATE}{pushed}");
            oci.push(&name, &tag, &image).await.expect_status(201);
        }
        pushed += 1;
    }
    pushed
}

async fn read_all(rest: &Rest, filled: &Filled) {
    let is_late = |item: &str| item.contains(LATE);
    let tags = format!("/v2/{}/tags/list", filled.name);
    for per_page in [100, 10_000] {
        let seen = Seen::linked(rest, &tags, "tags", per_page).await;
        seen.are(&format!("OCI tags by {per_page}"), &filled.tags, is_late);
    }
    for per_page in [100, 1_000] {
        let seen = Seen::linked(rest, "/v2/_catalog", "repositories", per_page).await;
        let late = |item: &str| is_late(item) || item == MODEL;
        seen.are(&format!("OCI catalog by {per_page}"), &filled.names, late);
    }

    let of_full = |list: &str| format!("/repositories/{}/{list}", filled.id);
    let seen = Seen::by_cursor(rest, &of_full("tags"), &[], "name", 100).await;
    seen.are("REST tags", &filled.tags, is_late);
    let seen = Seen::by_cursor(rest, &of_full("versions"), &[], "number", 50).await;
    seen.are("REST versions", &filled.versions, |_| false);
    let boxes: Vec<String> = filled
        .names
        .iter()
        .filter_map(|name| Some(name.rsplit_once('/')?.1.to_owned()))
        .collect();
    for sort in ["id", "name desc"] {
        let seen = Seen::by_cursor(rest, "/repositories", &[("sort", sort)], "name", 100).await;
        let late = |item: &str| is_late(item) || item == "app";
        seen.are(&format!("REST repositories by {sort}"), &boxes, late);
    }
    // Names of plans do not tell whether they are late; those filled in must come, and none twice.
    for sort in ["-created_at", "ended_at", "user"] {
        let seen = Seen::by_cursor(rest, "/tasks", &[("sort", sort)], "id", 500).await;
        seen.are(&format!("REST tasks by {sort}"), &filled.plans, |_| true);
    }
}

/// Searches that what is pushed meanwhile does not change, and how many are found at least.
#[rustfmt::skip]
const TASKS: &[(&str, &str, usize)] = &[
    ("state = paused",                  "-created_at", 1_000),
    ("result ^ (error, warning)",       "-ended_at",   3_000),
    ("user = ann",                      "created_at",  4_000),
    ("user = bob and product = p7",     "-created_at",   100),
    ("repository ~ */box-77*",          "-created_at", 1_100),
    ("waiting = operator",              "user",        1_000),
];

#[rustfmt::skip]
const REPOSITORIES: &[(&str, &str, usize)] = &[
    ("name ~ box-77*",                  "name",          111),
    ("tag = latest",                    "id",         10_001),
    ("tag = only-77",                   "id",              1),
];

async fn search_all(rest: &Rest) {
    for (path, searches) in [("/tasks", TASKS), ("/repositories", REPOSITORIES)] {
        for (search, sort, least) in searches {
            let asked = [("search", *search), ("sort", *sort)];
            let seen = Seen::by_cursor(rest, path, &asked, "id", 100).await;
            let found = seen.items.len();
            assert!(found >= *least, "{path} `{search}`: only {found}");
            seen.are(&format!("{path} `{search}` by {sort}"), &[], |_| true);
        }
    }
}

#[tokio::test]
async fn lists_of_a_full_house_come_whole_to_their_end_while_others_push() {
    let _turn = turn::heavy().await;
    let begun = Instant::now();
    let mut server = Server::start().await;
    let filled = Filled::into(&mut server).await;
    println!("filled after {:.0?}", begun.elapsed());
    let (plans, names) = (filled.plans.len(), filled.names.len());
    let (tags, versions) = (filled.tags.len(), filled.versions.len());
    let least = (100_000, 10_000, 100_002, 601);
    assert!(
        (plans, names, tags, versions) >= least,
        "{plans} {names} {tags} {versions}"
    );
    let (rest, done) = (server.rest(), AtomicBool::new(false));

    let reading = async {
        read_all(&rest, &filled).await;
        search_all(&rest).await;
        done.store(true, Ordering::Relaxed);
    };
    let ((), pushed) = tokio::join!(reading, push_meanwhile(&server, &done));

    println!(
        "{pushed} repositories were made meanwhile, after {:.0?}",
        begun.elapsed()
    );
    assert!(pushed >= 10, "only {pushed} pushes came in between");
    let late = rest.all("/repositories", &format!("name ~ {LATE}*")).await;
    assert_eq!(late.len(), pushed, "all of them are there in the end");
}
