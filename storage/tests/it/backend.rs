//! Which backend keeps the content of an instance.

use engine::clock::Clock;
use storage::content::Content;
use storage::content::pulp::{Login, PulpOptions};
use storage::database::Database;

use crate::house::{AT, House};

#[tokio::test]
async fn content_stays_in_the_backend_that_it_is_in() {
    let house = House::new().await;
    let folder = tempfile::tempdir().unwrap();
    let unused = Database::open(&folder.path().join("unused.db"))
        .await
        .unwrap();
    let pulp = || {
        Some(PulpOptions {
            url: "http://127.0.0.1:9".parse().unwrap(),
            content_url: None,
            domain: None,
            prefix: "wharfinger".into(),
            login: Login::Password {
                username: "admin".into(),
                password: "secret".into(),
            },
            authorities: Vec::new(),
            spool_bytes: 1 << 30,
            clock: Clock::system(),
        })
    };
    let content = house.folder.path().join("content");

    let moved = Content::open(house.database.clone(), &content, pulp(), AT).await;
    let empty = folder.path().join("content");
    let first = Content::open(unused.clone(), &empty, None, AT).await;
    let second = Content::open(unused, &empty, pulp(), AT).await;

    let moved = moved.unwrap_err().to_string();
    assert_eq!(
        moved,
        "the content of this instance is in embedded, but content.backend = \"pulp\"; set it to \"embedded\""
    );
    assert!(first.unwrap().pulp().is_none());
    assert!(second.unwrap().pulp().is_some(), "there is nothing to move");
}
