//! Along which index each list is read.

use super::*;
use crate::database::Database;
use engine::clock::Timestamp;
use engine::search::Sort;
use sqlx::Execute as _;
use strum::IntoEnumIterator as _;

const NOW: Timestamp = Timestamp(1_769_869_815_500);

struct House {
    database: Database,
    _folder: tempfile::TempDir,
}

async fn house() -> House {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .unwrap();
    House {
        database,
        _folder: folder,
    }
}

impl House {
    /// What SQLite does for this statement, a line a table.
    async fn explain(&self, mut sql: Sql) -> String {
        let text = sql.build().sql().as_str().to_owned();
        let mut tx = self.database.read().await.unwrap();
        let mut explained = Sql::new(format!("EXPLAIN QUERY PLAN {text}"));
        let rows = explained.build().fetch_all(&mut tx).await.unwrap();
        let lines = rows
            .iter()
            .map(|row| row.try_get::<String, _>("detail").unwrap());
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn search(text: &str) -> Search {
    Search::parse(text, NOW).unwrap()
}

fn page(sort: Sort<Order>, after: Option<SortKey>) -> Page {
    Page {
        sort,
        after: Some(Cursor {
            sort,
            as_of: NOW,
            key: after,
            id: engine::journal::PlanId(Uuid::nil()),
        }),
        limit: 100,
        visible: Visible::All,
    }
}

#[tokio::test]
async fn every_order_is_read_along_its_index_without_sorting() {
    let house = house().await;
    #[rustfmt::skip]
    let with_key = [
        (Order::StartedAt,    SortKey::Number(1),              "plan_started"),
        (Order::EndedAt,      SortKey::Number(1),              "plan_ended"),
        (Order::Label,        SortKey::Text("push".to_owned()), "plan_workflow"),
        (Order::User,         SortKey::Text("ann".to_owned()),  "plan_actor"),
        (Order::Organization, SortKey::Text("acme".to_owned()), "plan_organization"),
    ];
    for descending in [true, false] {
        for (by, key, index) in &with_key {
            let sort = Sort {
                by: *by,
                descending,
            };
            let first = Page {
                after: None,
                ..page(sort, None)
            };
            let later = page(sort, Some(key.clone()));
            for page in [first, later] {
                let told = house
                    .explain(super::with_key(&search(""), &page, None, 100))
                    .await;
                assert!(told.contains(index), "{sort}: {told}");
                assert!(!told.contains("TEMP B-TREE"), "{sort}: {told}");
            }
        }
        for by in Order::iter().filter(|by| *by != Order::Label) {
            let sort = Sort { by, descending };
            let told = house
                .explain(super::without_key(
                    &search(""),
                    &page(sort, None),
                    None,
                    100,
                ))
                .await;
            // The few plans that have ended since the first page are put in their places.
            let few = by == Order::EndedAt || by == Order::StartedAt;
            assert!(few || !told.contains("TEMP B-TREE"), "{sort}: {told}");
            assert!(told.contains("USING"), "{sort}: {told}");
        }
    }
}

#[tokio::test]
async fn every_typical_search_is_counted_and_read_along_an_index() {
    let house = house().await;
    #[rustfmt::skip]
    let cases = [
        ("id = 0199aa00-0000-7000-8000-000000000000", "sqlite_autoindex_plan_1"),
        ("label = push",                  "plan_workflow"),
        ("state = paused",                "plan_state"),
        ("state != stopped",              "plan_state"),
        ("state = paused and label = push", "plan_"),
        ("result = error",                "plan_result"),
        ("result ^ (warning, error)",     "plan_result"),
        ("reason = operator",             "plan_reason"),
        ("user = ann",                    "plan_actor"),
        ("organization = acme",           "plan_organization"),
        ("repository = acme/busybox",     "sqlite_autoindex_plan_link_1"),
        ("product = tools",               "plan_link_product"),
        ("tag = latest and state = paused", "plan_link"),
        ("digest = sha256:a",             "sqlite_autoindex_plan_link_1"),
        ("created_at > \"2 days ago\"",   "plan_created"),
        ("started_at > \"2 days ago\"",   "plan_started"),
        ("ended_at < 2026-01-01",         "plan_ended"),
        ("waiting = operator",            "plan_waiting"),
        ("waiting ^ (lock, retry)",       "plan_waiting"),
        ("attempt > 1",                   "plan_attempt"),
    ];
    for (text, index) in cases {
        let told = house
            .explain(counted(&search(text), &Visible::All, None))
            .await;
        assert!(told.contains(index), "{text} is counted by: {told}");
        assert!(!told.contains("SCAN plan"), "{text} is counted by: {told}");
    }
    for text in [
        "",
        "label = push",
        "state = paused",
        "user = ann",
        "organization = acme",
        "tag = latest",
        "tag = latest and repository = acme/busybox and state = paused",
    ] {
        let sql = super::without_key(&search(text), &page(Sort::default(), None), None, 100);
        let told = house.explain(sql).await;
        assert!(told.contains("USING"), "{text} is read by: {told}");
        assert!(!told.contains("TEMP B-TREE"), "{text} is read by: {told}");
    }
}

#[tokio::test]
async fn what_somebody_sees_is_counted_along_indexes() {
    let house = house().await;
    let visible = Visible::Some {
        organizations: vec!["acme".to_owned(), "other".to_owned()],
        actor: "ann".to_owned(),
    };

    let told = house.explain(counted(&search(""), &visible, None)).await;

    assert!(
        told.contains("plan_actor") && told.contains("plan_organization"),
        "{told}"
    );
    assert!(!told.contains("SCAN"), "{told}");
}

#[tokio::test]
async fn what_is_rarest_is_found_along_its_index_and_the_rest_is_asked_of_what_it_found() {
    let house = house().await;
    #[rustfmt::skip]
    let cases = [
        ("tag = latest and state = paused",      1, "plan_state"),
        ("label = push and result = error",      1, "plan_result"),
        ("label = push and user = ann",          1, "plan_actor"),
        ("state = stopped and product = tools",  1, "plan_link_product"),
        ("organization = acme and repository = acme/a and duration > 1m", 1, "sqlite_autoindex_plan_link_1"),
        ("waiting = lock and state = running",   0, "plan_waiting"),
        ("attempt > 2 and label = push",         0, "plan_attempt"),
        ("started_at > yesterday and label = push", 0, "plan_started"),
    ];
    for (text, place, index) in cases {
        let search = search(text);
        let rarest = Some(Rarest::Part(place));
        let part = &rarest::parts(&search)[place];
        let tried = house.explain(rarest::tried_part(part, &search)).await;
        let counted = house.explain(counted(&search, &Visible::All, rarest)).await;
        let page = page(Sort::default(), None);
        let read = house
            .explain(super::without_key(&search, &page, rarest, 100))
            .await;
        for told in [tried, counted, read] {
            assert!(told.contains(index), "{text}: {told}");
            assert!(!told.contains("SCAN plan"), "{text}: {told}");
            let others = ["plan_workflow", "plan_organization"];
            assert!(
                !others.iter().any(|other| told.contains(other)),
                "{text}: {told}"
            );
        }
    }
}

#[tokio::test]
async fn a_list_of_one_product_is_read_along_the_index_of_products() {
    let house = house().await;
    let search = search("product = tools");

    let tried = house
        .explain(rarest::tried_part(&rarest::parts(&search)[0], &search))
        .await;

    assert!(
        tried.contains("plan_link USING COVERING INDEX plan_link_product (name=? AND <expr>=?)"),
        "{tried}"
    );
}

#[tokio::test]
async fn to_count_all_tasks_no_row_of_them_is_looked_at() {
    let house = house().await;
    let mut sql = counted(&search(""), &Visible::All, None);
    let text = sql.build().sql().as_str().to_owned();
    let mut tx = house.database.read().await.unwrap();

    let steps = Sql::new(format!("EXPLAIN {text}"))
        .build()
        .fetch_all(&mut tx)
        .await
        .unwrap();

    let steps = steps.iter().map(|row| row.try_get("opcode").unwrap());
    let steps: Vec<String> = steps.collect();
    assert!(steps.contains(&"Count".to_owned()), "{steps:?}");
    assert!(!steps.contains(&"Next".to_owned()), "{steps:?}");
}
