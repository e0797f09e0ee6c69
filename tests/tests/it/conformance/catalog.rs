//! `_catalog`, which the specification has dropped and clients ask for all the same.

use super::checks;
use super::repository::{Repository, next};
use reqwest::Method;
use tests::answer::Answer;
use tests::image::Image;
use tests::oci_client::OciClient;
use tests::server::{ADMIN, ADMIN_PASSWORD};

checks! {
    "Catalog: the names are listed with 200, in the order of their bytes" => |it| {
        some(it).await;
        let names = names(&catalog(it, "").await.expect_status(200));
        assert!(names.is_sorted(), "{names:?}");
        assert!(names.contains(&it.name), "{names:?}");
    }
    "Catalog: n limits the list, and a Link with rel=next leads through all of it, each name once" => |it| {
        some(it).await;
        let whole = names(&catalog(it, "").await);
        let mut paged = Vec::new();
        let mut query = "?n=2".to_owned();
        loop {
            let page = catalog(it, &query).await.expect_status(200);
            assert!(names(&page).len() <= 2, "{page}");
            paged.extend(names(&page));
            let Some(path) = next(&page) else { break };
            query = path.replace("/v2/_catalog", "");
        }
        assert_eq!(paged, whole);
    }
    "Catalog: last begins after that name, which need not exist" => |it| {
        some(it).await;
        assert_eq!(names(&catalog(it, "?last=zzz").await), [""; 0]);
        let after = names(&catalog(it, &format!("?last={}", it.name)).await);
        assert!(after.contains(&format!("{}-other", it.name)), "{after:?}");
        assert!(!after.contains(&it.name), "{after:?}");
    }
    "Catalog: when n is zero the list is empty, and one that is no number is 400" => |it| {
        some(it).await;
        let none = catalog(it, "?n=0").await.expect_status(200);
        assert_eq!((names(&none).len(), next(&none)), (0, None));
        catalog(it, "?n=many").await.expect_status(400);
    }
    "Catalog: a name of the product for plain pushes is listed without it" => |it| {
        let client = OciClient::with_login(&it.host, ADMIN, ADMIN_PASSWORD);
        client.push("default_organization/plain", "latest", &Image::small(1)).await.expect_status(201);
        assert!(names(&catalog(it, "").await).contains(&"default_organization/plain".to_owned()));
    }
    "Catalog: what was only begun is no name yet" => |it| {
        it.blob("ware").await;
        assert!(!names(&catalog(it, "").await).contains(&it.name));
    }
    "Catalog: nobody is asked to log in with the scope of the catalog, whose token is good for it and nothing else" => |it| {
        it.image("latest").await;
        let nobody = OciClient::anonymous(&it.host);
        let refused = nobody.send(nobody.request(Method::GET, "/v2/_catalog")).await.expect_status(401);
        assert!(refused.header("www-authenticate").contains("scope=\"registry:catalog:*\""), "{refused}");
        let admin = OciClient::with_login(&it.host, ADMIN, ADMIN_PASSWORD);
        let token = admin.token(&["registry:catalog:*"]).await;
        let list = admin.send(admin.request(Method::GET, "/v2/_catalog").bearer_auth(&token)).await;
        assert!(names(&list.expect_status(200)).contains(&it.name));
        let tags = admin.request(Method::GET, &format!("/v2/{}/tags/list", it.name)).bearer_auth(token);
        admin.send(tags).await.expect_status(401);
    }
    "Catalog: a token that is good for a repository only is told to get another" => |it| {
        it.image("latest").await;
        let refused = it.at(Method::GET, "/v2/_catalog", |request| request).await.expect_status(401);
        assert!(refused.header("www-authenticate").contains("error=\"insufficient_scope\""), "{refused}");
    }
}

/// Two repositories with an image.
async fn some(it: &Repository) {
    it.image("latest").await;
    it.other().image("latest").await;
}

async fn catalog(it: &Repository, query: &str) -> Answer {
    let client = OciClient::anonymous(&it.host);
    let request = client.request(Method::GET, &format!("/v2/_catalog{query}"));
    client
        .send(request.basic_auth(ADMIN, Some(ADMIN_PASSWORD)))
        .await
}

fn names(answer: &Answer) -> Vec<String> {
    let names = answer.json()["repositories"].as_array().cloned();
    let names = names.unwrap_or_else(|| panic!("{answer} lists no repositories"));
    names
        .iter()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect()
}
