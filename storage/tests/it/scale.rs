//! Long lists answer rightly and come to their end: 100,000 plans, 10,000 repositories, 100,000 tags in one of them.

use engine::clock::Timestamp;
use engine::search::{Order, Search, Sort};
use engine::store::{Page, Store as _, Visible};
use storage::catalog::grants::Scope;
use storage::catalog::repositories::search as repository_search;
use storage::catalog::{RepositoryId, versions};
use storage::journal::Journal;

use crate::house::House;

/// After everything that happened.
const NOW: Timestamp = Timestamp(1_000_000_000);

/// From plan `$1` to `$2`: plan n begins at n seconds; every hundredth is paused, the others end, every tenth late; every second one is of `latest`.
const PLANS: &[&str] = &[
    "WITH RECURSIVE n(n) AS (SELECT $1 UNION ALL SELECT n + 1 FROM n WHERE n < $2)
     INSERT INTO plan (id, workflow, state, result, reason, organization, actor, created_at, started_at, ended_at, paused_at, waiting, attempt)
     SELECT unhex(printf('%032x', n)), iif(n % 5, 'push', 'cleanup'), iif(n % 100, 'stopped', 'paused'),
         iif(n % 100, 'success', 'error'), iif(n % 100, NULL, 'error'), 'house ' || (n % 10), 'user ' || (n % 100),
         n * 1000, n * 1000, iif(n % 100, n * 1000 + iif(n % 10, 0, 500000), NULL), iif(n % 100, NULL, n * 1000),
         iif(n % 100, NULL, 'operator'), iif(n % 1000, 1, 2)
     FROM n",
    "INSERT INTO plan_link (plan_id, name, value)
     SELECT id, 'repository', 'acme/box-' || (created_at / 1000 % 10000) FROM plan
     WHERE created_at BETWEEN $1 * 1000 AND $2 * 1000
     UNION ALL SELECT id, 'tag', iif(created_at / 1000 % 2, 'v' || created_at, 'latest') FROM plan
     WHERE created_at BETWEEN $1 * 1000 AND $2 * 1000",
];

/// 10,000 repositories in a hundred products, each with a tag of its own and a common one; the first has 100,000 more.
const REPOSITORIES: &[&str] = &[
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100)
     INSERT INTO products (organization_id, label, label_key, name, created_at)
     SELECT (SELECT id FROM organizations), 'p' || n, 'p' || n, 'p' || n, 0 FROM n",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 10000)
     INSERT INTO destinations (id, organization_id, product_label, product_key, name, created_at)
     SELECT n + 1000, (SELECT id FROM organizations), 'p' || (n % 100 + 1), 'p' || (n % 100 + 1), 'box-' || n, 0 FROM n",
    "INSERT INTO repositories (id, product_id, name, label, created_at)
     SELECT d.id, p.id, d.name, d.name, 0 FROM destinations d JOIN products p ON p.label_key = d.product_key
     WHERE d.id > 1000",
    "INSERT INTO versions (repository_id, number, plan_id, backend_version, cause, created_at)
     SELECT id, 1, zeroblob(16), 1, 'push', 0 FROM repositories",
    "INSERT INTO published (environment_id, repository_id, version, plan_id, published_by, since)
     SELECT (SELECT id FROM environments), id, 1, zeroblob(16), 'ann', 0 FROM repositories",
    "INSERT INTO content_in (repository_id, kind, name, digest, added)
     SELECT id, 'tag', 'common', 'sha256:' || printf('%064x', id), 1 FROM repositories
     UNION ALL SELECT id, 'tag', 'own-' || id, 'sha256:' || printf('%064x', id), 1 FROM repositories
     UNION ALL SELECT id, 'manifest', 'sha256:' || printf('%064x', id), 'sha256:' || printf('%064x', id), 1 FROM repositories",
    "WITH RECURSIVE n(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)
     INSERT INTO content_in (repository_id, kind, name, digest, added)
     SELECT 1001, 'tag', printf('t%06d', n), 'sha256:' || printf('%064x', 1001), 1 FROM n",
];

/// A hundred thousand plans: not all at once, because the writer gives up a work that takes longer than five seconds.
async fn filled_with_plans() -> House {
    const AT_ONCE: i64 = 5_000;
    let house = House::new().await;
    for first in (1_i64..=100_000).step_by(usize::try_from(AT_ONCE).unwrap()) {
        for statement in PLANS {
            house
                .write(move |tx| {
                    Box::pin(async move {
                        let inserted = sqlx::query(*statement)
                            .bind(first)
                            .bind(first + AT_ONCE - 1);
                        inserted.execute(&mut *tx).await.map(drop)
                    })
                })
                .await;
        }
    }
    house
}

async fn filled(statements: &'static [&'static str]) -> House {
    let house = House::new().await;
    for statement in statements {
        house
            .write(move |tx| {
                Box::pin(async move { sqlx::query(*statement).execute(&mut *tx).await.map(drop) })
            })
            .await;
    }
    house
}

/// How many plans come on all pages, and how many were told.
async fn plans(journal: &Journal, text: &str, sort: &str) -> (usize, u64) {
    let search: Search = Search::parse(text, NOW).unwrap();
    let sort: Sort<Order> = Sort::parse(sort).unwrap();
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = Page {
            sort,
            after,
            limit: 500,
            visible: Visible::All,
        };
        let listing = journal.list(search.clone(), page).await.unwrap();
        seen.extend(listing.plans);
        after = listing.next;
        if after.is_none() {
            seen.sort_unstable();
            seen.dedup();
            return (seen.len(), listing.total);
        }
    }
}

#[tokio::test]
async fn a_hundred_thousand_plans_are_searched_and_paged_to_the_end() {
    let house = filled_with_plans().await;
    let journal = Journal::new(house.database.clone());

    #[rustfmt::skip]
    let lists = [
        ("",                                        "-created_at",  100_000),
        ("",                                        "ended_at desc", 100_000),
        ("tag = latest",                            "-created_at",   50_000),
        ("label = cleanup",                         "user",          20_000),
        ("state = paused",                          "label",          1_000),
        ("state != stopped and label = push",       "started_at",         0),
        ("waiting = operator and result = error",   "organization",   1_000),
        ("repository = acme/box-7",                 "-ended_at",         10),
        ("user = \"USER 7\"",                       "-started_at",    1_000),
        ("attempt > 1",                             "-created_at",      100),
        ("duration > 1m",                           "-created_at",   10_000),
        ("repository ~ box-77 and tag = latest",    "-created_at",      550),
    ];
    for (text, sort, count) in lists {
        assert_eq!(
            plans(&journal, text, sort).await,
            (count, count as u64),
            "{text} sorted by {sort}"
        );
    }
}

#[tokio::test]
async fn ten_thousand_repositories_and_a_hundred_thousand_tags_come_to_their_end() {
    let house = filled(REPOSITORIES).await;
    let everywhere = [Scope::default()];
    let mut tx = house.read().await;

    #[rustfmt::skip]
    let lists = [
        ("",                               "name desc", 10_000),
        ("tag = common",                   "id",        10_000),
        ("product = p7",                   "name",         100),
        ("tag = own-1007",                 "id",             1),
        ("tag = t000007",                  "id",             1),
        ("pushed_name = acme/p8/box-7",    "id",             1),
        ("pushed_name ~ */box-77*",        "id",           111),
    ];
    for (text, sort, count) in lists {
        let search = Search::parse(text, NOW).unwrap();
        let (mut seen, mut after) = (Vec::new(), None);
        let total = loop {
            let page = repository_search::Page {
                sort: Sort::parse(sort).unwrap(),
                after,
                limit: 500,
                visible: &everywhere,
            };
            let found = repository_search::search(&mut tx, &search, &page)
                .await
                .unwrap();
            seen.extend(found.rows.iter().map(|row| row.id));
            after = found.next;
            if after.is_none() {
                break found.total;
            }
        };
        seen.sort_unstable();
        seen.dedup();
        assert_eq!((seen.len(), total), (count, count as u64), "{text}");
    }

    let (repository, mut tags, mut last) = (RepositoryId(1001), 0, String::new());
    loop {
        let page = versions::tags(&mut tx, repository, 1, Some(&last), 1_000)
            .await
            .unwrap();
        tags += page.len();
        match page.into_iter().last() {
            Some((tag, _)) => last = tag.to_string(),
            None => break,
        }
    }
    assert_eq!(tags, 100_002);
}
