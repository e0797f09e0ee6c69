//! `/smart_proxies`: servers that hold what environments publish, too.

mod checks;
pub(super) mod status;
pub(super) mod sync;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use storage::Tx;
use storage::catalog::audit::{self, Action};
use storage::catalog::smart_proxies::{
    self, Kind as ProxyKind, Login, NewSmartProxy, SmartProxy, SmartProxyChanges, contents,
};
use storage::catalog::{CatalogError, SmartProxyId, environments as lives, organizations};

use super::answer::{Created, Located, NoContent};
use super::body::Body;
use super::caller::Caller;
use super::fields::{self, Password, ProxyName, Told};
use super::page::{Listed, Orders, Page, Wanted};
use super::path::Path;
use super::problem::Problem;
use super::time::Time;
use crate::app::App;

use checks::{
    check_limits, checked_url, found, login, must_be_alone_there, must_be_its_own, must_stay_there,
};

/// So many blobs are on their way to a proxy at once, unless somebody says otherwise.
const BLOBS_AT_ONCE: u32 = 4;
/// More would only take memory and places at both ends.
const MOST_BLOBS_AT_ONCE: u32 = 64;
/// A secret that opens all content of its environments is not to be guessed.
const LEAST_SECRET_BYTES: usize = 16;
/// As long as the logins of other registries are.
const MOST_CHARACTERS_OF_A_LOGIN: usize = 255;
/// Slower, a sync of one layer would take days.
const LEAST_BYTES_PER_SECOND: u64 = 1024;
/// No disk is faster.
const MOST_BYTES_PER_SECOND: u64 = 1 << 40;

/// A smart proxy as REST shows it; what it is shown to log in is never shown.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "SmartProxy")]
pub(super) struct Shown {
    /// Its number.
    id: SmartProxyId,
    /// What people call it; never changes. Its gate is `smart_proxy.<name>`.
    name: String,
    /// `wharfinger`: another instance of this program, which fetches; `pulp`: a Pulp 3, which syncs; `oci`: any registry, which is
    /// pushed to. Never changes.
    kind: ProxyKind,
    /// Where it is.
    url: String,
    /// The user there, for the kinds `pulp` and `oci`; null: none.
    username: Option<String>,
    /// What it holds.
    environments: Vec<EnvironmentName>,
    /// False: nothing is brought there.
    enabled: bool,
    /// So many blobs are on their way there at once.
    concurrency: u32,
    /// So fast they go there in all; null: as fast as they can.
    bytes_per_second: Option<u64>,
    created_at: Time,
    /// When a sync has last brought all; null: never.
    synced_at: Option<Time>,
    /// What the last sync failed with; null: it brought all.
    error: Option<String>,
    /// After a sync that did not bring all: when the next one begins by itself.
    try_again_at: Option<Time>,
}

/// A lifecycle environment by its labels.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EnvironmentName {
    /// The organization's label.
    organization: String,
    /// The environment's label.
    environment: String,
}

impl Located for Shown {
    const PATH: &'static str = "/smart_proxies/{id}";
}

impl Listed for Shown {
    const ORDERS: Orders = Orders::Only("id");
}

impl Shown {
    async fn of(tx: &mut Tx, proxy: SmartProxy) -> Result<Self, CatalogError> {
        let mut environments = Vec::new();
        for id in smart_proxies::environments(tx, proxy.id).await? {
            let Some(environment) = lives::get(tx, id).await? else {
                continue;
            };
            let organization = organizations::label_of(tx, environment.organization).await?;
            environments.push(EnvironmentName {
                organization: organization.unwrap_or_default(),
                environment: environment.label,
            });
        }
        Ok(Self {
            id: proxy.id,
            name: proxy.name,
            kind: proxy.kind,
            url: proxy.url,
            username: match proxy.login {
                Login::User { username, .. } => Some(username),
                Login::Secret(_) | Login::Nobody => None,
            },
            environments,
            enabled: proxy.enabled,
            concurrency: proxy.concurrency,
            bytes_per_second: proxy.bytes_per_second,
            created_at: proxy.created_at.into(),
            synced_at: proxy.synced_at.map(Into::into),
            error: proxy.error,
            try_again_at: proxy.try_again_at.map(Into::into),
        })
    }
}

/// `GET /smart_proxies`.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    _: Caller,
    wanted: Wanted<Shown>,
) -> Result<Page<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let all = smart_proxies::all(&mut tx).await?;
    let page = Page::cut(all, &wanted, |proxy| proxy.id)?;
    let mut results = Vec::with_capacity(page.results.len());
    for proxy in page.results {
        results.push(Shown::of(&mut tx, proxy).await?);
    }
    Ok(Page {
        results,
        total: page.total,
        next: page.next,
    })
}

/// A user at the proxy.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SmartProxyCredentials")]
pub(super) struct Credentials {
    /// The login.
    #[schemars(length(min = 1, max = MOST_CHARACTERS_OF_A_LOGIN))]
    username: String,
    /// His password, or a token of his.
    password: Password,
}

/// The body of a POST.
#[derive(Debug, JsonSchema, Deserialize)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewSmartProxy", example = json!({
    "name": "berlin", "kind": "wharfinger", "url": "https://berlin.example.org",
    "secret": "what its --mirror-secret-file holds",
    "environments": [{"organization": "acme", "environment": "Library"}],
}))]
pub(super) struct New {
    /// What people call it.
    name: ProxyName,
    kind: ProxyKind,
    /// Where it is: `http` or `https`, without user, query and fragment. Of kind `oci` a path stands before each name there.
    url: String,
    /// What the file of `--mirror-secret-file` holds at a proxy of kind `wharfinger`; each proxy has its own.
    #[serde(default)]
    #[schemars(length(min = LEAST_SECRET_BYTES))]
    secret: Option<Password>,
    /// Who is logged in as at a proxy of another kind.
    #[serde(default)]
    credentials: Option<Credentials>,
    /// What it holds.
    #[serde(default)]
    environments: Vec<EnvironmentName>,
    /// False: nothing is brought there yet.
    #[serde(default = "yes")]
    enabled: bool,
    /// So many blobs are on their way there at once.
    #[serde(default)]
    #[schemars(range(min = 1, max = MOST_BLOBS_AT_ONCE))]
    concurrency: Option<u32>,
    /// So fast they go there in all; left out: as fast as they can.
    #[serde(default)]
    #[schemars(range(min = LEAST_BYTES_PER_SECOND, max = MOST_BYTES_PER_SECOND))]
    bytes_per_second: Option<u64>,
}

const fn yes() -> bool {
    true
}

/// `POST /smart_proxies`. The first sync begins by itself, as the setting `sync_smart_proxies` says.
pub(super) async fn create(
    State(app): State<Arc<App>>,
    caller: Caller,
    Body(new): Body<New>,
) -> Result<Created<Shown>, Problem> {
    let url = checked_url(&app, &new.url)?;
    let concurrency = new.concurrency.unwrap_or(BLOBS_AT_ONCE);
    check_limits(Some(concurrency), new.bytes_per_second)?;
    let login = login(new.kind, new.secret, new.credentials)?;
    let environments = {
        let mut tx = app.services.database.read().await?;
        must_be_its_own(&mut tx, None, &login).await?;
        must_be_alone_there(&app, &mut tx, None, new.kind, &url).await?;
        found(&mut tx, &new.environments).await?
    };
    let name = String::from(new.name);
    let entry = caller.does(Action::Create, format!("smart proxy {name}"));
    let new = NewSmartProxy {
        name,
        kind: new.kind,
        url,
        login,
        enabled: new.enabled,
        concurrency,
        bytes_per_second: new.bytes_per_second,
    };
    let at = app.services.clock.now();
    let created = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let created = smart_proxies::create(tx, &new, at).await?;
            smart_proxies::assign(tx, created.id, &environments).await?;
            audit::record(tx, &entry, at).await?;
            Shown::of(tx, created).await
        })
    });
    Ok(Created(created.await??))
}

/// `GET /smart_proxies/{id}`.
pub(super) async fn show(
    State(app): State<Arc<App>>,
    _: Caller,
    Path(id): Path<SmartProxyId>,
) -> Result<Json<Shown>, Problem> {
    let mut tx = app.services.database.read().await?;
    let proxy = known(&mut tx, id).await?;
    Ok(Json(Shown::of(&mut tx, proxy).await?))
}

/// The body of a PATCH.
#[derive(Debug, Default, JsonSchema, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "SmartProxyChanges", example = json!({"enabled": false}))]
pub(super) struct Changes {
    /// Where it is.
    #[serde(deserialize_with = "fields::not_null")]
    url: Option<String>,
    /// What its file holds from now on; needed with a `url` on another host, where what is stored is not sent.
    #[serde(deserialize_with = "fields::not_null")]
    #[schemars(length(min = LEAST_SECRET_BYTES))]
    secret: Option<Password>,
    /// Who is logged in as from now on; null: nobody.
    #[serde(deserialize_with = "fields::or_null")]
    #[expect(clippy::option_option, reason = "left out, it stays; null, it goes")]
    credentials: Option<Option<Credentials>>,
    /// What it holds from now on: these and no others. What goes is removed there.
    #[serde(deserialize_with = "fields::not_null")]
    environments: Option<Vec<EnvironmentName>>,
    /// False: nothing is brought there.
    #[serde(deserialize_with = "fields::not_null")]
    enabled: Option<bool>,
    /// So many blobs are on their way there at once.
    #[serde(deserialize_with = "fields::not_null")]
    #[schemars(range(min = 1, max = MOST_BLOBS_AT_ONCE))]
    concurrency: Option<u32>,
    /// So fast they go there in all; null: as fast as they can.
    #[serde(deserialize_with = "fields::or_null")]
    #[schemars(range(min = LEAST_BYTES_PER_SECOND, max = MOST_BYTES_PER_SECOND))]
    #[expect(clippy::option_option, reason = "left out, it stays; null, it goes")]
    bytes_per_second: Option<Option<u64>>,
}

/// `PATCH /smart_proxies/{id}`.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<SmartProxyId>,
    Body(changes): Body<Changes>,
) -> Result<Json<Shown>, Problem> {
    let url = changes.url.as_deref().map(|url| checked_url(&app, url));
    let url = url.transpose()?;
    check_limits(changes.concurrency, changes.bytes_per_second.flatten())?;
    let mut entry;
    let (new_login, environments);
    {
        let mut tx = app.services.database.read().await?;
        let proxy = known(&mut tx, id).await?;
        entry = caller.does(Action::Change, format!("smart proxy {}", proxy.name));
        entry.reason = fields::given(&[
            ("url", Told::what(url.as_ref())),
            ("secret", Told::that(changes.secret.as_ref())),
            ("credentials", Told::that(changes.credentials.as_ref())),
            ("environments", Told::that(changes.environments.as_ref())),
            ("enabled", Told::what(changes.enabled)),
            ("concurrency", Told::what(changes.concurrency)),
            (
                "bytes_per_second",
                Told::or_none(changes.bytes_per_second.as_ref()),
            ),
        ]);
        new_login = match (changes.secret, changes.credentials) {
            (None, None) => None,
            (secret, credentials) => Some(login(proxy.kind, secret, credentials.flatten())?),
        };
        if let Some(url) = &url {
            must_be_alone_there(&app, &mut tx, Some(id), proxy.kind, url).await?;
        }
        match (&new_login, &url) {
            (Some(login), _) => must_be_its_own(&mut tx, Some(id), login).await?,
            (None, Some(url)) => must_stay_there(&proxy, url)?,
            (None, None) => {}
        }
        environments = match &changes.environments {
            Some(environments) => Some(found(&mut tx, environments).await?),
            None => None,
        };
    }
    let (moves, at) = (url.is_some(), app.services.clock.now());
    let changes = SmartProxyChanges {
        url,
        login: new_login,
        enabled: changes.enabled,
        concurrency: changes.concurrency,
        bytes_per_second: changes.bytes_per_second,
    };
    let after = app.services.database.transact(move |tx| {
        Box::pin(async move {
            let Some(after) = smart_proxies::change(tx, id, &changes).await? else {
                return Ok(None);
            };
            if let Some(environments) = environments {
                smart_proxies::assign(tx, id, &environments).await?;
            }
            if moves {
                contents::doubt(tx, id).await?; // another machine may have nothing
            }
            audit::record(tx, &entry, at).await?;
            Shown::of(tx, after).await.map(Some)
        })
    });
    let after: Option<Shown> = after.await?.map_err(|error: CatalogError| error)?;
    after.map(Json).ok_or_else(|| unknown(id))
}

/// `DELETE /smart_proxies/{id}`: it is brought nothing more, and what it has stays there. Clients get no tokens for it any more.
pub(super) async fn delete(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<SmartProxyId>,
) -> Result<NoContent, Problem> {
    let proxy = {
        let mut tx = app.services.database.read().await?;
        known(&mut tx, id).await?
    };
    let entry = caller.does(Action::Delete, format!("smart proxy {}", proxy.name));
    let at = app.services.clock.now();
    let deleted = app.services.database.transact(move |tx| {
        Box::pin(async move {
            smart_proxies::delete(tx, id).await?;
            audit::record(tx, &entry, at).await?;
            Ok::<_, CatalogError>(())
        })
    });
    deleted.await??;
    Ok(NoContent)
}

async fn known(tx: &mut Tx, id: SmartProxyId) -> Result<SmartProxy, Problem> {
    smart_proxies::get(tx, id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: SmartProxyId) -> Problem {
    Problem::not_found(format!("smart proxy {id}"))
}
