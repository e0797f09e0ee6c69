//! `GET /v2/_catalog`: the names that the caller may pull.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::header::LINK;
use serde_json::json;
use storage::catalog::repository_names;
use storage::database::Tx;

use super::access::Caller;
use super::answer;
use super::error::OciError;
use super::request::Page;

/// A page has at most so many names, whatever is asked for: clients follow the `Link`.
const MAX_PAGE: usize = 1000;
/// Names are read by at most so many; those the caller may not pull are left out of them.
const READ_AT_ONCE: usize = 1000;

/// The names in the order of their bytes. Whatever the caller may not pull does not exist for them.
pub(super) async fn list(caller: &Caller<'_>, page: &Page) -> Result<Response, OciError> {
    caller.may_list_names()?;
    let size = page.n.unwrap_or(MAX_PAGE).min(MAX_PAGE);
    let after = page.last.clone().unwrap_or_default();
    let mut names = {
        let mut tx = caller.app.services.database.read().await?;
        // One more than asked for shows whether there is another page.
        pullable(caller, &mut tx, after, size + 1).await?
    };
    let more = names.len() > size;
    names.truncate(size);
    let next = names.last().filter(|_| more);
    let next = next.map(|last| format!("</v2/_catalog?n={size}&last={last}>; rel=\"next\""));
    let mut response = Json(json!({ "repositories": names })).into_response();
    if let Some(next) = next {
        response.headers_mut().insert(LINK, answer::ascii(&next));
    }
    Ok(response)
}

async fn pullable(
    caller: &Caller<'_>,
    tx: &mut Tx,
    mut after: String,
    limit: usize,
) -> Result<Vec<String>, OciError> {
    let Some(puller) = caller.puller(tx).await? else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    // Most callers may pull most of what there is: then the first look is enough.
    let mut at_once = limit;
    loop {
        let read = repository_names::list(tx, &after, u32::try_from(at_once).unwrap_or(u32::MAX));
        let read = read.await?;
        at_once = READ_AT_ONCE;
        let Some(last) = read.last() else {
            return Ok(names);
        };
        after.clone_from(&last.name);
        for name in read {
            if puller.may_pull(&name) {
                names.push(name.name);
                if names.len() == limit {
                    return Ok(names);
                }
            }
        }
    }
}
