//! The search language and the orders of lists, over REST.

use serde_json::Value;
use tests::image::Image;
use tests::server::Server;
use tests::wait::SOON;

use crate::access::expect_problem;

#[tokio::test]
async fn tasks_and_repositories_are_searched_and_sorted() {
    let server = Server::start().await;
    let rest = server.rest();
    for (n, name) in (0..).zip(["blue", "green", "red"]) {
        server
            .oci()
            .push(
                &format!("default_organization/{name}"),
                &format!("{n}.0"),
                &Image::small(n),
            )
            .await
            .expect_status(201);
    }
    rest.until_no_task_is_open(SOON).await;
    let tags = async |search: &str, sort: &str| {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut query = vec![("search", search), ("sort", sort), ("per_page", "1")];
            if !cursor.is_empty() {
                query.push(("cursor", &cursor));
            }
            let page = rest
                .search("/tasks", &query)
                .await
                .expect_status(200)
                .json();
            seen.extend(page["results"][0]["tag"].as_str().map(str::to_owned));
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut cursor),
                None => return seen,
            }
        }
    };

    assert_eq!(
        tags("label = push state = stopped", "started_at").await,
        ["0.0", "1.0", "2.0"]
    );
    assert_eq!(
        tags("tag ^ (0.0, 2.0) and user = ADMIN", "created_at desc").await,
        ["2.0", "0.0"]
    );
    assert_eq!(
        tags("blue or repository ~ *red", "-ended_at").await,
        ["2.0", "0.0"]
    );
    assert_eq!(tags("duration > 1h or attempt > 9", "label").await.len(), 0);
    let names = async |search: &str| {
        let query = [("search", search), ("sort", "name desc")];
        let found = rest.search("/repositories", &query).await;
        let found = found.expect_status(200).json();
        let results = found["results"].as_array().unwrap().clone();
        assert_eq!(found["total"], results.len());
        let name = |one: &Value| one["name"].as_str().unwrap().to_owned();
        results.iter().map(name).collect::<Vec<_>>()
    };
    assert_eq!(names("size_bytes > 0").await, ["red", "green", "blue"]);
    assert_eq!(
        names("tag = 1.0 or pushed_name ~ */blue").await,
        ["green", "blue"]
    );
    assert_eq!(
        names("not red and organization = Default_Organization")
            .await
            .len(),
        2
    );
    for (path, sort) in [("/tasks", "state"), ("/repositories", "colour desc")] {
        expect_problem(&rest.search(path, &[("sort", sort)]).await, 422);
    }
}
