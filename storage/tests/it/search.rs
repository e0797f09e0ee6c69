//! Searches mean in SQL what they mean in memory, and lists of repositories come whole.

use std::collections::BTreeSet;

use engine::clock::Timestamp;
use engine::journal::{Entry, GraphStep, Json, NodeId, PlanId, PlanResult, Reason, Row, Submitted};
use engine::search::{Order, Search, Sort, Waits};
use engine::state::PlanState;
use engine::store::memory::Memory;
use engine::store::{Append, Head, Page, Store, StoreError, Submission, Visible};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use storage::catalog::grants::Scope;
use storage::catalog::repositories::search::{
    self as repository_search, Field, Found, Order as RepositoryOrder, USUAL_ORDER,
};
use storage::catalog::versions::{self, Cause, Changes};
use storage::catalog::{
    CatalogError, RepositoryId, destinations, products, publications, repositories,
};
use storage::journal::Journal;
use storage::{Database, Digest};
use uuid::Uuid;

use crate::house::{AT, House, label, plan, tag};

const NOW: Timestamp = Timestamp(1_769_869_815_500);
const MINUTE: i64 = 60_000;

/// A plan as its row and its links tell it.
#[derive(Clone, Debug)]
struct Kept {
    head: Head,
    links: Vec<(String, String)>,
}

fn one_of(texts: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(texts).prop_map(str::to_owned)
}

fn time() -> impl Strategy<Value = i64> {
    // Some lie after the list is asked for, some at the same time.
    (-10_i64..3).prop_map(|minutes| NOW.0 + minutes * MINUTE)
}

fn kept() -> impl Strategy<Value = Kept> {
    const LABELS: &[&str] = &["acme", "Acme", "other", "a_c", "ann"];
    let names = (
        one_of(&["push", "Push", "clean_up"]),
        prop::option::of(one_of(LABELS)),
        prop::option::of(one_of(LABELS)),
    );
    let state = prop::sample::select(vec![
        (PlanState::Pending, PlanResult::Pending, None, "lock"),
        (PlanState::Running, PlanResult::Pending, None, ""),
        (PlanState::Running, PlanResult::Pending, None, "retry time"),
        (
            PlanState::Paused,
            PlanResult::Error,
            Some(Reason::Error),
            "operator",
        ),
        (PlanState::Stopped, PlanResult::Success, None, ""),
        (
            PlanState::Stopped,
            PlanResult::Cancelled,
            Some(Reason::Operator),
            "",
        ),
    ]);
    let links = prop::collection::vec(
        (
            one_of(&["repository", "product", "tag", "digest"]),
            one_of(&["acme/busybox", "Tools", "tools", "latest", "1.0", "50%_é"]),
        ),
        0..5,
    );
    let times = (time(), prop::option::of(time()), time());
    (names, state, links, times, 0_u32..4).prop_map(
        |(
            (workflow, organization, actor),
            (state, result, reason, waits),
            links,
            times,
            attempt,
        )| {
            let is = |wanted: PlanState| (state == wanted).then_some(Timestamp(times.2));
            let started_at = times.1.map(Timestamp);
            Kept {
                head: Head {
                    workflow,
                    state,
                    result,
                    reason,
                    owner: None,
                    organization,
                    actor,
                    created_at: Timestamp(times.0),
                    started_at: started_at.filter(|_| state != PlanState::Pending),
                    ended_at: is(PlanState::Stopped),
                    paused_at: is(PlanState::Paused),
                    waits: waits.parse::<Waits>().unwrap_or_default(),
                    attempt,
                },
                links,
            }
        },
    )
}

fn comparison() -> impl Strategy<Value = String> {
    const TEXT: &[&str] = &["=", "!=", "~", "!~"];
    const COUNT: &[&str] = &["=", "!=", ">", ">=", "<", "<="];
    let simple = |fields, operators, values| {
        (one_of(fields), one_of(operators), one_of(values))
            .prop_map(|(field, operator, value)| format!("{field} {operator} \"{value}\""))
    };
    prop_oneof![
        3 => simple(
            &["label", "user", "organization", "repository", "product", "tag", "digest"],
            TEXT,
            &["push", "acme", "ACME", "a_c", "a*", "*e", "tools", "Tools", "latest", "acme/busybox", "%", "50%_é", ""],
        ),
        1 => simple(&["state"], TEXT, &["pending", "paused", "stopped"]),
        1 => simple(&["result"], TEXT, &["success", "error"]),
        1 => simple(&["reason"], TEXT, &["operator", "error"]),
        1 => simple(&["waiting"], TEXT, &["lock", "retry", "time", "operator"]),
        1 => simple(&["state", "result", "waiting"], &["~", "!~"], &["p", "*e*", "nothing"]),
        2 => simple(
            &["created_at", "started_at", "ended_at"],
            COUNT,
            &["now", "3 minutes ago", "today", "2026-01-31 14:28", "2026-01-31T14:30:15.500Z"],
        ),
        1 => simple(&["duration"], COUNT, &["0s", "2m", "3m", "1h"]),
        1 => simple(&["attempt"], COUNT, &["0", "1", "2", "-1"]),
        1 => one_of(&[
            "tag ^ (latest, 1.0)", "tag !^ (latest, 1.0)", "product ^ (TOOLS, x)", "state ^ (paused, running)",
            "attempt ^ (1, 3)", "waiting !^ (lock, time)", "created_at ^ (now, yesterday)", "busy", "acme", "%", "50",
        ]),
    ]
}

fn search() -> impl Strategy<Value = String> {
    comparison().prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (
                inner.clone(),
                one_of(&[" and ", " or ", " "]),
                inner.clone()
            )
                .prop_map(|(one, join, other)| format!("({one}{join}{other})")),
            inner.prop_map(|inside| format!("not ({inside})")),
        ]
    })
}

fn list() -> impl Strategy<Value = (String, Sort<Order>, u32, Visible)> {
    let by = prop::sample::select(vec![
        Order::CreatedAt,
        Order::StartedAt,
        Order::EndedAt,
        Order::Label,
        Order::User,
        Order::Organization,
    ]);
    let sort = (by, any::<bool>()).prop_map(|(by, descending)| Sort { by, descending });
    let some = Visible::Some {
        organizations: vec!["acme".to_owned()],
        actor: "ann".to_owned(),
    };
    let visible = prop_oneof![3 => Just(Visible::All), 1 => Just(some)];
    (search(), sort, 1_u32..9, visible)
}

/// Puts the plan into the store as it is.
async fn keep<St: Store>(store: &St, id: PlanId, kept: &Kept) {
    let (head, node) = (&kept.head, NodeId(Uuid::from_u128(1)));
    let submitted = Submitted {
        workflow: head.workflow.clone(),
        version: 1,
        action: "Test".to_owned(),
        graph: vec![GraphStep::new("only", vec![])].into(),
        input: Json::of(&()).unwrap(),
        locks: vec![],
        actor: head.actor.clone(),
        organization: head.organization.clone(),
        links: kept.links.clone(),
        cause: None,
        parent: None,
        revertible_for: None,
        priority: engine::priority::Priority::default(),
    };
    let append = |seq: i64, entries: Vec<Entry>| Append {
        plan: id,
        row: Row {
            seq,
            nonce: seq,
            node,
            at: head.created_at,
            entries,
            unreadable: None,
        },
        entries: "[]".to_owned(),
        head: Some(head.clone()),
        let_go: vec![],
        asked_for: vec![],
        notices: vec![],
        mail: None,
        gives_key_up: true,
    };
    let first = append(1, vec![Entry::Submitted(Box::new(submitted))]);
    let submission = Submission {
        queued: first.clone(),
        granted: first,
        open_key: None,
    };
    store
        .transact::<_, StoreError>(Box::new(move |tx| Box::pin(St::submit_in(tx, submission))))
        .await
        .unwrap()
        .unwrap();
}

/// All pages one after the other, and the total that each of them told.
async fn pages<St: Store>(
    store: &St,
    search: &Search,
    sort: Sort<Order>,
    limit: u32,
    visible: &Visible,
) -> (Vec<PlanId>, u64) {
    let (mut plans, mut after) = (Vec::new(), None);
    loop {
        let page = Page {
            sort,
            after,
            limit,
            visible: visible.clone(),
        };
        let listing = store.list(search.clone(), page).await.unwrap();
        plans.extend(listing.plans);
        after = listing.next;
        if after.is_none() {
            return (plans, listing.total);
        }
    }
}

#[test]
fn a_search_finds_in_sql_what_it_finds_in_memory_and_in_the_same_order() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: None,
        ..Config::default()
    });
    let strategy = (
        prop::collection::vec(kept(), 30),
        prop::collection::vec(list(), 40),
    );
    let checked = runner.run(&strategy, |(plans, lists)| {
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("wharfinger.db");
            let journal = Journal::new(Database::open(&path).await.unwrap());
            let memory = Memory::default();
            for (n, kept) in plans.iter().enumerate() {
                let id = PlanId(Uuid::from_u128(1 + n as u128));
                keep(&journal, id, kept).await;
                keep(&memory, id, kept).await;
            }
            for (text, sort, limit, visible) in &lists {
                let search = match Search::parse(text, NOW) {
                    Ok(search) => search,
                    // Some have more patterns than a search may have.
                    Err(error) if error.expected.contains("at most 10") => continue,
                    Err(error) => panic!("{text}: {error}"),
                };
                let in_memory = pages(&memory, &search, *sort, *limit, visible).await;
                let in_sql = pages(&journal, &search, *sort, *limit, visible).await;
                prop_assert_eq!(in_sql, in_memory, "{} sorted by {}", text, sort);
            }
            Ok(())
        })
    });
    if let Err(error) = checked {
        panic!("{error}");
    }
}

/// A repository in this product, with a tag that Library publishes.
async fn pushed(
    house: &House,
    product: &'static str,
    name: &str,
    tagged: &'static str,
) -> RepositoryId {
    let organization = house.organization.id;
    let library = house.library().await;
    let name = name.to_owned();
    let digest = house.manifest(&name).await;
    house
        .write(move |tx| {
            Box::pin(async move {
                let of = label(product);
                let there = destinations::make(tx, organization, &of, &name, AT).await?;
                let made = products::ensure(tx, organization, &of, product, plan(0), AT);
                let product = made.await?.found;
                let made = repositories::ensure(tx, &there, product.id, plan(0), AT).await?;
                let id = made.found.id;
                let changes = Changes {
                    tags_set: vec![(tag(tagged), digest)],
                    manifests_added: vec![digest],
                    ..Changes::default()
                };
                versions::record(tx, id, plan(1), 1, Cause::Push, &changes, AT).await?;
                publications::publish(tx, library, id, 1, plan(1), "ann", AT).await?;
                let gone = Changes {
                    tags_removed: vec![tag(tagged)],
                    tags_set: vec![(tag("next"), digest)],
                    ..Changes::default()
                };
                versions::record(tx, id, plan(2), 2, Cause::Push, &gone, AT).await?;
                Ok::<_, CatalogError>(id)
            })
        })
        .await
}

async fn found(house: &House, text: &str, page: repository_search::Page<'_>) -> Found {
    let search: Search<Field> = Search::parse(text, AT).unwrap();
    repository_search::search(&mut house.read().await, &search, &page)
        .await
        .unwrap()
}

const EVERYWHERE: [Scope; 1] = [Scope {
    organization: None,
    product: None,
    repository: None,
}];

fn first_page(visible: &[Scope]) -> repository_search::Page<'_> {
    repository_search::Page {
        sort: USUAL_ORDER,
        after: None,
        limit: 10,
        visible,
    }
}

#[tokio::test]
async fn repositories_are_found_by_every_field() {
    let house = House::new().await;
    let box_ = pushed(&house, "container_push", "box", "latest").await;
    let deep = pushed(&house, "Tools2", "a/b", "1.0").await;
    let (product, unpublished) = house.repository().await;
    let ids = async |text: &str| {
        let found = found(&house, text, first_page(&EVERYWHERE)).await;
        assert_eq!(found.total, found.rows.len() as u64, "{text}");
        found.rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let digest = Digest::of(&crate::house::image("box").bytes);
    let (by_number, by_digest, by_ids) = (
        format!("id = {box_}"),
        format!("digest = {digest}"),
        format!(
            "pushed_name = id/{}/{}/busybox",
            house.organization.id, product.id
        ),
    );

    for text in [
        by_number.as_str(),
        by_digest.as_str(),
        "name = box",
        "label ^ (box, nothing)",
        "product = Container_Push",
        "pushed_name = Acme/box",
        "pushed_name = acme/container_push/box",
        "published_name = acme/box",
        "pushed_name ~ acme/box",
        "tag = latest",
        "tag ~ late*",
        "organization = ACME and tag != 1.0 and published_name ~ acme",
    ] {
        assert_eq!(ids(text).await, [box_], "{text}");
    }
    for text in [
        "pushed_name = acme/tools2/a/b",
        "pushed_name ~ *tools2/a*",
        "tools2",
        "name = a/b or tag = next",
        "size_bytes > 0 and name != box",
    ] {
        assert_eq!(ids(text).await, [deep], "{text}");
    }
    for text in [
        by_ids.as_str(),
        "not published_name ~ acme",
        "size_bytes = 0",
        "tag !~ *",
    ] {
        assert_eq!(ids(text).await, [unpublished.id], "{text}");
    }
    assert_eq!(
        ids("tag = next").await,
        [],
        "Library does not publish it yet"
    );
    assert_eq!(ids("").await.len(), 3);
}

#[tokio::test]
async fn only_what_may_be_seen_is_listed_and_counted() {
    let house = House::new().await;
    let mine = pushed(&house, "mine", "a", "latest").await;
    let other = pushed(&house, "other", "a", "latest").await;
    let alone = Scope {
        repository: Some(other),
        ..Scope::default()
    };
    let row = found(&house, "product = mine", first_page(&EVERYWHERE)).await;
    let product = Scope {
        product: Some(row.rows[0].product_id),
        ..Scope::default()
    };

    for (visible, seen) in [
        (vec![], vec![]),
        (vec![alone], vec![other]),
        (vec![alone, product], vec![mine, other]),
    ] {
        let found = found(&house, "tag = latest", first_page(&visible)).await;
        let ids: Vec<_> = found.rows.iter().map(|row| row.id).collect();
        assert_eq!((ids, found.total), (seen.clone(), seen.len() as u64));
    }
}

#[tokio::test]
async fn every_repository_comes_on_exactly_one_page_while_others_are_pushed() {
    let house = House::new().await;
    let mut there = BTreeSet::new();
    for n in 0..9 {
        let product = ["one", "two", "three"][n % 3];
        there.insert(pushed(&house, product, &format!("name-{}", n / 2), "latest").await);
    }
    let mut pushes = 0;
    for by in [RepositoryOrder::Id, RepositoryOrder::Name] {
        for descending in [false, true] {
            let sort = Sort { by, descending };
            let (mut seen, mut after) = (Vec::new(), None);
            loop {
                let page = repository_search::Page {
                    sort,
                    after,
                    limit: 2,
                    visible: &EVERYWHERE,
                };
                let found = found(&house, "tag = latest", page).await;
                seen.extend(found.rows.iter().map(|row| row.id));
                after = found.next;
                if after.is_none() {
                    break;
                }
                if pushes < 8 {
                    pushes += 1;
                    pushed(&house, "new", &format!("name-{pushes}"), "latest").await;
                }
            }
            let unique: BTreeSet<_> = seen.iter().copied().collect();
            assert_eq!(unique.len(), seen.len(), "twice, sorted by {sort}");
            assert!(there.is_subset(&unique), "skipped, sorted by {sort}");
        }
    }
}
