//! "Listing Tags".

use super::checks;
use super::repository::{Repository, next};
use reqwest::Method;
use serde_json::{Value, json};
use tests::image;

checks! {
    "Listing Tags: assuming a repository is found, the response MUST be 200 with name and tags" => |it| {
        it.image("latest").await;
        let list = it.get("tags/list").await.expect_status(200);
        assert_eq!(list.json(), json!({ "name": it.name, "tags": ["latest"] }));
    }
    "Listing Tags: the answer is JSON and says so" => |it| {
        it.image("latest").await;
        assert_eq!(it.get("tags/list").await.header("content-type"), "application/json");
    }
    "Listing Tags: tags MUST be in lexical or ASCIIbetical order" => |it| {
        three(it).await;
        assert_eq!(tags(it, "").await, json!(["B", "a", "c"]));
    }
    "Listing Tags: n limits the list" => |it| {
        three(it).await;
        assert_eq!(tags(it, "?n=2").await, json!(["B", "a"]));
    }
    "Listing Tags: a Link with rel=next stands with a page that others follow, and with no other" => |it| {
        three(it).await;
        let first = it.get("tags/list?n=2").await;
        let path = next(&first).expect("a page follows");
        let second = it.at(Method::GET, &path, |request| request).await;
        assert_eq!(second.json()["tags"], json!(["c"]));
        assert_eq!(next(&second), None);
    }
    "Listing Tags: a page that just holds all has no Link" => |it| {
        three(it).await;
        assert_eq!(next(&it.get("tags/list?n=3").await), None);
        assert_eq!(next(&it.get("tags/list").await), None);
    }
    "Listing Tags: when n is zero, the list MUST be empty and MUST NOT have a Link" => |it| {
        three(it).await;
        let none = it.get("tags/list?n=0").await.expect_status(200);
        assert_eq!((none.json()["tags"].clone(), next(&none)), (json!([]), None));
    }
    "Listing Tags: last begins after that tag" => |it| {
        three(it).await;
        assert_eq!(tags(it, "?n=5&last=B").await, json!(["a", "c"]));
        assert_eq!(tags(it, "?n=1&last=B").await, json!(["a"]));
    }
    "Listing Tags: with last, n is OPTIONAL" => |it| {
        three(it).await;
        assert_eq!(tags(it, "?last=a").await, json!(["c"]));
    }
    "Listing Tags: last need not be a tag that exists" => |it| {
        three(it).await;
        assert_eq!(tags(it, "?last=b").await, json!(["c"]));
        assert_eq!(tags(it, "?last=zzz").await, json!([]));
    }
    "Listing Tags: an n that is no number is refused" => |it| {
        three(it).await;
        for n in ["-1", "many", ""] {
            it.get(&format!("tags/list?n={n}")).await.expect_status(400);
        }
    }
    "Listing Tags: a repository that does not exist is 404" => |it| {
        it.get("tags/list").await.expect_refusal(404, "NAME_UNKNOWN");
    }
    "Listing Tags: what was pushed by digest only is no tag" => |it| {
        it.image("latest").await;
        it.artifact(json!({ "artifactType": "text/x" })).await.1.expect_status(201);
        assert_eq!(tags(it, "").await, json!(["latest"]));
    }
}

/// One image under three tags.
async fn three(it: &Repository) {
    let image = it.blobs_of_an_image().await;
    let reference = format!("{}?tag=c&tag=a&tag=B", image.digest);
    let put = it.put(&reference, image::MANIFEST, &image.manifest).await;
    put.expect_status(201);
}

async fn tags(it: &Repository, query: &str) -> Value {
    let list = it.get(&format!("tags/list{query}")).await;
    list.expect_status(200).json()["tags"].clone()
}
