//! What lists show beside the rows themselves: answers to clients, sizes of versions.

use engine::clock::Timestamp;
use engine::search::Search;
use engine::store::{Page, Store as _};
use storage::catalog::answers::{self, Answered};
use storage::catalog::sizes::Sizes;
use storage::catalog::versions::{self, Cause, Changes};
use storage::journal::Journal;

use crate::house::{AT, House, image, plan, tag};

fn answered(status: u16, at: i64, warning: Option<&str>) -> Answered {
    Answered {
        status,
        at: Timestamp(at),
        warning: warning.map(str::to_owned),
    }
}

/// Puts a plan there that a client waits for.
async fn submitted(house: &House, number: u128) {
    house
        .write(move |tx| {
            Box::pin(async move {
                const SQL: &str = "
                    INSERT INTO plan (id, workflow, state, result, actor, created_at)
                    VALUES ($1, 'push', 'running', 'pending', 'ann', 0)";
                let inserted = sqlx::query(SQL).bind(plan(number).0);
                inserted.execute(&mut *tx).await.map(drop)
            })
        })
        .await;
}

#[tokio::test]
async fn the_last_answer_to_a_plans_clients_is_kept() {
    let house = House::new().await;
    for number in [1, 2] {
        submitted(&house, number).await;
    }

    for told in [
        answered(424, 10, Some("copy failed")),
        answered(201, 20, None),
        answered(424, 15, Some("written late")),
    ] {
        house
            .write(move |tx| Box::pin(async move { answers::keep(tx, plan(1), &told).await }))
            .await;
    }

    let mut tx = house.read().await;
    let known = answers::of(&mut tx, &[plan(1), plan(2)]).await.unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(known[&plan(1)], answered(201, 20, None));
}

#[tokio::test]
async fn a_version_after_one_that_was_counted_is_counted_as_if_it_were_the_first() {
    let house = House::new().await;
    let (_, repository) = house.repository().await;
    let (id, sizes) = (repository.id, Sizes::default());
    let mut known = Vec::new();
    for (number, (added, removed)) in (1_u32..).zip([
        (vec!["a"], vec![]),
        (vec!["b", "c"], vec![]),
        (vec![], vec!["b"]),
        (vec!["b", "d"], vec![]),
    ]) {
        for name in &added {
            house.manifest(name).await;
        }
        let digests = |names: Vec<&str>| names.iter().map(|name| image(name).digest).collect();
        let named = |names: &[&str]| names.iter().map(|name| tag(name)).collect();
        let tags_set = added.iter().map(|name| (tag(name), image(name).digest));
        let changes = Changes {
            tags_set: tags_set.collect(),
            tags_removed: named(&removed),
            manifests_added: digests(added),
            manifests_removed: digests(removed),
        };
        let by = plan(u128::from(number));
        house
            .write(move |tx| {
                Box::pin(
                    async move { versions::record(tx, id, by, 1, Cause::Push, &changes, AT).await },
                )
            })
            .await;
        let version = i64::from(number);
        let mut tx = house.read().await;
        let mut both = Vec::new();
        for sizes in [&sizes, &Sizes::default()] {
            let bytes = sizes.bytes(&mut tx, id, version).await.unwrap();
            let tags = sizes.tags(&mut tx, id, version).await.unwrap();
            both.push((tags, bytes));
        }
        assert_eq!(both[0], both[1], "version {version}");
        known.push(both[0]);
    }

    let images = |count: u64| (count, count * image("a").bytes.len() as u64);
    assert_eq!(known, [images(1), images(3), images(2), images(4)]);
}

#[tokio::test]
async fn a_pattern_finds_what_came_after_others_like_it() {
    let house = House::new().await;
    let journal = Journal::new(house.database.clone());
    let found = async |text: &str| {
        let search = Search::parse(text, AT).unwrap();
        let page = Page {
            limit: 10,
            ..Page::default()
        };
        journal.list(search, page).await.unwrap().total
    };
    submitted(&house, 1).await;
    assert_eq!(found("user ~ an").await, 1);

    submitted(&house, 2).await;

    assert_eq!(found("user ~ an").await, 2);
    assert_eq!(found("ann").await, 2);
    assert_eq!(found("not nobody").await, 2);
    assert_eq!(found("nobody or user ~ nob*").await, 0);
}
