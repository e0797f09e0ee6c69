//! `GET /v2/<name>/tags/list`.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::LINK;
use serde_json::json;
use storage::Tag;
use storage::catalog::versions;
use workflows::destination::PushName;

use super::access::Caller;
use super::answer;
use super::error::OciError;
use super::request::Page;

/// A page has at most so many tags, whatever is asked for: clients follow the `Link`.
const MAX_PAGE: usize = 10_000;

/// The tags that are published by this name, in the order of their bytes.
pub(super) async fn list(
    caller: &Caller<'_>,
    name: &PushName,
    page: &Page,
) -> Result<Response, OciError> {
    let mut tx = caller.app.services.database.read().await?;
    let found = caller.pull_from(&mut tx, name).await?;
    let Some(repository) = found.repository else {
        return Err(OciError::NameUnknown {
            name: name.to_string(),
        });
    };
    let size = page.n.unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let mut tags: Vec<Tag> = match found.shown(&mut tx).await? {
        Some(version) => {
            // One more than asked for shows whether there is another page.
            let limit = u32::try_from(size + 1).expect("a page is small");
            let after = page.last.as_deref();
            let tags = versions::tags(&mut tx, repository, version, after, limit).await?;
            tags.into_iter().map(|(tag, _)| tag).collect()
        }
        // Its main server has more of it than this proxy holds, so that an empty list would be untrue.
        None if caller.app.proxy.is_some() => {
            return Err(OciError::NameUnknown {
                name: name.to_string(),
            });
        }
        None => Vec::new(),
    };
    drop(tx);
    let more = tags.len() > size;
    tags.truncate(size);
    let next = tags
        .last()
        .filter(|_| more)
        .map(|last| link(name, size, last));
    let mut response = Json(json!({ "name": name.as_str(), "tags": tags })).into_response();
    if let Some(next) = next {
        response.headers_mut().insert(LINK, answer::ascii(&next));
    }
    Ok(response)
}

/// Where the tags after `last` are. No character of a name or a tag needs escaping in a query.
fn link(name: &PushName, n: usize, last: &Tag) -> String {
    format!("</v2/{name}/tags/list?n={n}&last={last}>; rel=\"next\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_begins_after_the_last_tag() {
        let (name, last): (PushName, Tag) =
            ("acme/busybox".parse().unwrap(), "1.0".parse().unwrap());

        assert_eq!(
            link(&name, 2, &last),
            "</v2/acme/busybox/tags/list?n=2&last=1.0>; rel=\"next\""
        );
    }
}
