use super::*;
use crate::database::Database;
use engine::clock::Timestamp;
use sqlx::Execute as _;
use strum::VariantNames as _;

fn read(text: &str) -> Search<Field> {
    Search::parse(text, Timestamp(0)).unwrap()
}

const EVERYWHERE: [Scope; 1] = [Scope {
    organization: None,
    product: None,
    repository: None,
}];

/// What SQLite does for this statement, a line a table.
async fn explain(mut sql: Sql) -> String {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("wharfinger.db"))
        .await
        .unwrap();
    let text = sql.build().sql().as_str().to_owned();
    let mut tx = database.read().await.unwrap();
    let mut explained = Sql::new(format!("EXPLAIN QUERY PLAN {text}"));
    let rows = explained.build().fetch_all(&mut tx).await.unwrap();
    let lines = rows
        .iter()
        .map(|row| row.try_get::<String, _>("detail").unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn every_order_is_read_along_its_index_without_sorting() {
    for (by, key, index) in [
        (Order::Id, None, "INTEGER PRIMARY KEY"),
        (
            Order::Name,
            Some(SortKey::Text("busybox".to_owned())),
            "repositories_name",
        ),
    ] {
        for descending in [false, true] {
            let sort = Sort { by, descending };
            let page = Page {
                sort,
                after: Some(Cursor {
                    sort,
                    as_of: Timestamp(0),
                    key: key.clone(),
                    id: RepositoryId(7),
                }),
                limit: 100,
                visible: &EVERYWHERE,
            };
            let told = explain(paged(&read(""), &page)).await;
            assert!(told.contains(index), "{sort}: {told}");
            assert!(!told.contains("TEMP B-TREE"), "{sort}: {told}");
        }
    }
}

#[tokio::test]
async fn every_typical_search_is_read_along_an_index() {
    #[rustfmt::skip]
    let cases = [
        ("id = 7",                     "INTEGER PRIMARY KEY (rowid=?)"),
        ("name = busybox",             "repositories_name"),
        ("organization = acme",        "sqlite_autoindex_organizations_1"),
        ("pushed_name = acme/busybox", "sqlite_autoindex_repositories_1"),
        ("tag = latest",               "content_in_name"),
        ("digest = sha256:a",          "content_in_name"),
    ];
    for (text, index) in cases {
        let told = explain(counted(&read(text), &EVERYWHERE)).await;
        assert!(told.contains(index), "{text}: {told}");
        assert!(!told.contains("SCAN r"), "{text}: {told}");
    }
}

#[test]
fn a_pushed_name_has_three_forms() {
    assert_eq!(
        Form::read("acme/busybox"),
        Some(Form::Labels("acme", CONTAINER_PUSH, "busybox"))
    );
    assert_eq!(
        Form::read("acme/tools/a/b"),
        Some(Form::Labels("acme", "tools", "a/b"))
    );
    assert_eq!(
        Form::read("id/1/2/a/b"),
        Some(Form::Ids(OrganizationId(1), ProductId(2), "a/b"))
    );
    for text in ["busybox", "id/1/2", "id/one/2/a"] {
        assert_eq!(Form::read(text), None, "{text}");
    }
}

#[test]
fn the_documentation_has_every_field_with_an_example_that_is_read() {
    let document = include_str!("../../../../../docs/search.md");
    let (_, section) = document.split_once("## Repositories").unwrap();
    let (fields, orders) = section.split_once("Sorted by").unwrap();

    for field in Field::VARIANTS {
        assert!(fields.contains(&format!("`{field}`")), "{field}");
    }
    for row in fields.lines().filter(|line| line.starts_with("| `")) {
        let example = row.rsplit('`').nth(1).unwrap();
        assert!(read(example).wanted.is_some(), "{example}");
    }
    for order in Order::VARIANTS {
        assert!(orders.contains(&format!("`{order}`")), "{order}");
    }
}
