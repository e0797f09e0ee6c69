//! A change of the naming pattern moves all names in one switch: whoever asks meanwhile finds the old name or the new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::json;
use tests::image::Image;
use tests::oci_client::http_builder;
use tests::rest::{Rest, text};
use tests::server::{ADMIN, Server};
use tests::turn;
use tests::wait::{self, SOON};
use tokio::task::JoinSet;

use crate::environments::promote;

const REPOSITORIES: usize = 24;
const ASKERS: usize = 8;
/// An observation is three questions.
const MIN_OBSERVATIONS: u64 = 10_000;
/// Observations that had the switch between their questions.
const MIN_SEEN: u64 = 20;
const MIN_SWITCHES: u64 = 20;
/// Past this the askers get nowhere.
const MOST_SWITCHES: u64 = 600;

const PATTERNS: [&str; 2] = ["shop/<%= repository.name %>", "mall/<%= repository.name %>"];

fn names(n: usize) -> [String; 2] {
    [format!("shop/app-{n}"), format!("mall/app-{n}")]
}

/// What the askers have seen together.
#[derive(Default)]
struct Seen {
    /// One for each asker.
    observations: [AtomicU64; ASKERS],
    /// The switch came between two questions.
    switches: AtomicU64,
    enough: AtomicBool,
}

impl Seen {
    fn observations(&self) -> [u64; ASKERS] {
        self.observations
            .each_ref()
            .map(|it| it.load(Ordering::SeqCst))
    }

    /// Waits until every asker has made an observation from its beginning to its end.
    async fn until_all_have_looked(&self) {
        let before = self.observations();
        wait::until("every asker has looked", SOON, async || {
            let now = self.observations();
            let all = before
                .iter()
                .zip(now)
                .all(|(before, now)| now >= before + 2);
            all.then_some(())
        })
        .await;
    }
}

struct Asker {
    http: Client,
    origin: String,
    token: String,
    digests: Vec<String>,
}

impl Asker {
    /// Whether the name is there. It is that repository, then, and no other.
    async fn finds(&self, method: Method, name: &str, repository: usize) -> bool {
        let path = format!("{}/v2/{name}/manifests/latest", self.origin);
        let request = self.http.request(method, path);
        let request = request.basic_auth(ADMIN, Some(&self.token));
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        assert!([200, 404].contains(&status), "{name}: {status}");
        if status == 404 {
            return false;
        }
        let digest = answer.headers()["docker-content-digest"].to_str();
        assert_eq!(digest.ok(), Some(&*self.digests[repository]), "{name}");
        // Read to its end, so that the connection is used again.
        answer.bytes().await.expect("it comes whole");
        true
    }

    /// Asks by one name, by the other, and by the one once more. A single switch cannot make all three miss: who misses the one
    /// name comes after a switch away from it and finds the other, unless that is switched back meanwhile, and then the one is
    /// there again. A second switch within the three questions could: so each waits for every asker.
    async fn look(&self, n: usize, seen: &Seen) {
        let repository = n % REPOSITORIES;
        let [mut one, mut other] = names(repository);
        if n / REPOSITORIES % 2 == 1 {
            std::mem::swap(&mut one, &mut other);
        }
        let method = if n.is_multiple_of(5) {
            Method::GET
        } else {
            Method::HEAD
        };
        let first = self.finds(method.clone(), &one, repository).await;
        let second = self.finds(method.clone(), &other, repository).await;
        let third = self.finds(method, &one, repository).await;
        assert!(
            first || second || third,
            "neither {one} nor {other} was there"
        );
        if first != third {
            seen.switches.fetch_add(1, Ordering::SeqCst);
        }
    }
}

async fn ask(asker: Arc<Asker>, number: usize, seen: Arc<Seen>) {
    let mut n = number * 7;
    while !seen.enough.load(Ordering::SeqCst) {
        asker.look(n, &seen).await;
        seen.observations[number].fetch_add(1, Ordering::SeqCst);
        n += 1;
    }
}

async fn change(rest: &Rest, path: &str, pattern: &str) {
    let begun = rest
        .patch(path, &json!({ "registry_name_pattern": pattern }))
        .await;
    let task = rest.begun(begun).await;
    assert_eq!(task["result"], "success", "{task}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_asks_all_the_time_while_names_change_never_misses_both() {
    let _turn = turn::heavy().await;
    let server = Server::start().await;
    let (oci, rest) = (server.oci(), server.rest());
    let environments = "/organizations/Default_Organization/environments";
    let new = json!({
        "label": "dev", "name": "dev", "prior": "Library", "registry_name_pattern": PATTERNS[0],
    });
    rest.post(environments, &new).await.expect_status(201);
    let mut digests = Vec::new();
    for n in 0..REPOSITORIES {
        let name = format!("default_organization/tools/app-{n}");
        let image = Image::small(n as u64);
        oci.push(&name, "latest", &image).await.expect_status(201);
        promote(&rest, &name, 1, "dev").await;
        digests.push(image.digest);
    }
    let token = rest.post("/tokens", &json!({ "name": "askers" })).await;
    let token = text(&token.expect_status(201).json()["token"]).to_owned();
    let asker = Arc::new(Asker {
        http: http_builder().build().expect("no TLS files"),
        origin: format!("http://{}", server.host()),
        token,
        digests,
    });

    let seen = Arc::<Seen>::default();
    let mut askers = JoinSet::new();
    let begun = Instant::now();
    for number in 0..ASKERS {
        askers.spawn(ask(Arc::clone(&asker), number, Arc::clone(&seen)));
    }
    let dev = format!("{environments}/dev");
    let mut switches = 0;
    loop {
        seen.until_all_have_looked().await;
        assert!(askers.try_join_next().is_none(), "an asker has ended");
        let observations: u64 = seen.observations().iter().sum();
        let enough = switches >= MIN_SWITCHES
            && observations >= MIN_OBSERVATIONS
            && seen.switches.load(Ordering::SeqCst) >= MIN_SEEN;
        if enough || switches >= MOST_SWITCHES {
            break;
        }
        switches += 1;
        let pattern = PATTERNS[usize::from(switches % 2 == 1)];
        change(&rest, &dev, pattern).await;
    }
    seen.enough.store(true, Ordering::SeqCst);
    askers.join_all().await;

    let lasted: Duration = begun.elapsed();
    let observations: u64 = seen.observations().iter().sum();
    let met = seen.switches.load(Ordering::SeqCst);
    println!(
        "{} questions in {} ms, {} a second; {switches} switches of {REPOSITORIES} names, {met} observations with one within",
        3 * observations,
        lasted.as_millis(),
        u128::from(3000 * observations) / lasted.as_millis().max(1),
    );
    assert!(switches >= MIN_SWITCHES);
    assert!(observations >= MIN_OBSERVATIONS, "{observations}");
    assert!(met >= MIN_SEEN, "{met}");
    server.doctor().await.expect_code(0);
}
