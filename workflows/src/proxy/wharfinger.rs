//! Another instance of this program: it is told to come, and fetches what it lacks.

use super::{Begun, Brought, Trouble};
use crate::mirror::wire::{ROOT, State, Sync};
use crate::outbound::{OutboundUrl, innermost};
use crate::sync_proxy::{Looked, SyncProxy};
use engine::step::Context;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use storage::catalog::smart_proxies::{Login, SmartProxy};
use uuid::Uuid;

/// A proxy answers at once: the work goes on there.
const ANSWERS_WITHIN: Duration = Duration::from_secs(5);
/// No more of an answer that is none is told.
const MOST_OF_A_REFUSAL: usize = 300;

/// Which sync the proxy was told of.
#[derive(Debug, Serialize, Deserialize)]
pub struct Ticket {
    sync: Uuid,
}

/// Tells the proxy to come.
pub(crate) async fn begin(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    looked: &Looked,
) -> Result<Begun<Ticket>, Trouble> {
    let sync = Uuid::new_v4();
    let state = tell(cx, proxy, sync, looked).await?;
    Ok(match ended(cx, proxy, state) {
        Some(brought) => Begun::Done(brought),
        None => Begun::Ticket(Ticket { sync }),
    })
}

/// Asks how far it is. A proxy that was started anew meanwhile is told again.
pub(crate) async fn ask(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    ticket: &Ticket,
    looked: &Looked,
) -> Result<Option<Brought>, Trouble> {
    let path = format!("{ROOT}/sync/{}", ticket.sync);
    let answer = send(request(cx, proxy, Method::GET, &path)?).await?;
    let state = if answer.status() == StatusCode::NOT_FOUND {
        tell(cx, proxy, ticket.sync, looked).await?
    } else {
        read(answer).await?
    };
    Ok(ended(cx, proxy, state))
}

/// Asks the proxy whether it is there, for its gate.
pub(crate) async fn probe(
    outbound: &crate::outbound::Outbound,
    proxy: &SmartProxy,
) -> Result<(), Trouble> {
    let url = url(proxy)?;
    let asked = outbound.request(Method::GET, &url, "/healthz");
    let asked = asked.map_err(|why| Trouble::Refused(why.to_string()))?;
    send(asked).await.map(drop)
}

async fn tell(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    id: Uuid,
    looked: &Looked,
) -> Result<State, Trouble> {
    let sync = Sync {
        id,
        wanted: looked.wanted.clone(),
        gone: looked.gone.clone(),
        whole: looked.whole,
        concurrency: proxy.concurrency,
        bytes_per_second: proxy.bytes_per_second,
    };
    let asked = request(cx, proxy, Method::POST, &format!("{ROOT}/sync"))?.json(&sync);
    read(send(asked).await?).await
}

/// What came of it, once it has ended.
fn ended(cx: &Context<SyncProxy>, proxy: &SmartProxy, state: State) -> Option<Brought> {
    let progresses = &cx.services.progresses;
    if !state.ended {
        progresses.note(proxy.id, state.progress);
        return None;
    }
    progresses.end(proxy.id);
    Some(Brought {
        ended: state.ends,
        blobs: state.progress.blobs_done,
        bytes: state.progress.bytes_done,
        error: state.error.map(|problem| problem.message),
        ..Brought::default()
    })
}

fn url(proxy: &SmartProxy) -> Result<OutboundUrl, Trouble> {
    OutboundUrl::parse(&proxy.url).map_err(|why| Trouble::Refused(why.to_string()))
}

fn request(
    cx: &Context<SyncProxy>,
    proxy: &SmartProxy,
    method: Method,
    path: &str,
) -> Result<RequestBuilder, Trouble> {
    let request = cx.services.outbound.request(method, &url(proxy)?, path);
    let request = request.map_err(|why| Trouble::Refused(why.to_string()))?;
    Ok(match &proxy.login {
        Login::Secret(secret) => request.bearer_auth(secret),
        Login::User { .. } | Login::Nobody => request,
    })
}

async fn send(request: RequestBuilder) -> Result<Response, Trouble> {
    let sent = request.timeout(ANSWERS_WITHIN).send().await;
    sent.map_err(|error| Trouble::Unreachable(innermost(error)))
}

async fn read(answer: Response) -> Result<State, Trouble> {
    let status = answer.status();
    let text = answer.text().await;
    let text = text.map_err(|error| Trouble::Unreachable(innermost(error)))?;
    if status.is_success() {
        return serde_json::from_str(&text).map_err(|error| {
            Trouble::Refused(format!("its answer is none of a smart proxy ({error})"))
        });
    }
    let said: String = text.chars().take(MOST_OF_A_REFUSAL).collect();
    Err(match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Trouble::Refused(
            "it does not know the secret; write the same into its --mirror-secret-file and here"
                .to_owned(),
        ),
        StatusCode::NOT_FOUND => Trouble::Refused(
            "there is no smart proxy at that URL; is it started with --role proxy?".to_owned(),
        ),
        _ if status.is_server_error() => Trouble::NotNow(format!("it answers {status}: {said}")),
        _ => Trouble::Refused(format!("it answers {status}: {said}")),
    })
}
