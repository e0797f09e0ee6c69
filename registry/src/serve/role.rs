//! What differs between a main server and a smart proxy: what its database begins with, how it checks tokens, what it answers, and what it
//! does again and again.

use std::sync::Arc;

use axum::Router;
use engine::clock::Clock;
use engine::node::BuiltIn;
use secrecy::SecretString;
use storage::catalog::instance;
use storage::{Content, Database};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use workflows::mirror::{Mirror, Upstream};

use super::StartError;
use crate::app::App;
use crate::auth::key_rotation;
use crate::auth::tokens::Tokens;
use crate::config::{Config, Role};
use crate::data_dir::DataDir;
use crate::first_start::{self, AdminPassword};
use crate::mirror::{Proxy, main_server, proxy, syncs};
use crate::{answers, api, audit, hiding, oci, pulls, schedules};

/// Makes what the first start makes; refused where the database is one of the other role, which it stays.
pub(super) async fn first_start(
    config: &Config,
    database: &Database,
    data_dir: &DataDir,
    password: Option<SecretString>,
    clock: Clock,
) -> Result<Option<AdminPassword>, StartError> {
    let (wanted, password) = match &config.role {
        Role::Main => {
            let made = first_start::make(database, data_dir, password, clock.now()).await?;
            (instance::Role::Main, made)
        }
        Role::Proxy(_) => {
            first_start::make_proxy(database, clock.now()).await?;
            (instance::Role::Proxy, None)
        }
    };
    let kept = {
        let mut tx = database.read().await?;
        instance::role(&mut tx).await?
    };
    match kept.filter(|kept| *kept != wanted) {
        Some(kept) => Err(StartError::OtherRole { kept, wanted }),
        None => Ok(password),
    }
}

/// What makes it a smart proxy; none: it is a main server.
pub(super) async fn proxy(
    config: &Config,
    database: &Database,
    content: &Content,
    clock: Clock,
) -> Result<Option<Proxy>, StartError> {
    let Role::Proxy(setting) = &config.role else {
        return Ok(None);
    };
    let (secret, authorities) = (setting.secret()?, setting.authorities()?);
    let upstream = Upstream::new(setting.url(), secret, &authorities);
    let upstream = upstream.map_err(StartError::Client)?;
    let mirror = Mirror::open(database.clone(), content.clone(), clock, upstream).await?;
    Ok(Some(Proxy::new(mirror)))
}

/// A main server signs tokens; a proxy checks with what its main server has told.
pub(super) async fn tokens(
    config: &Config,
    database: &Database,
    proxy: Option<&Proxy>,
    clock: Clock,
) -> Result<Tokens, StartError> {
    let Some(proxy) = proxy else {
        let keys = key_rotation::keys(database, clock.now()).await?;
        return Ok(Tokens::new(&keys, config.token_lifetime)?);
    };
    let told = proxy.mirror.told();
    let keys = told.map_or_else(Default::default, |told| told.keys.clone());
    Ok(Tokens::of_another(&keys, config.token_lifetime))
}

/// A smart proxy does nothing by the clock: what it holds is its main server's matter.
pub(super) fn schedules(proxy: Option<&Proxy>) -> Vec<BuiltIn> {
    match proxy {
        None => schedules::built_in(),
        Some(_) => Vec::new(),
    }
}

/// All that is answered.
pub(super) fn router(app: &Arc<App>) -> Router {
    let (oci, app) = (oci::router(Arc::clone(app)), || Arc::clone(app));
    match app().proxy {
        None => oci
            .merge(api::router(app()))
            .merge(main_server::router(app())),
        Some(_) => oci
            .merge(api::router_of_a_proxy(app()))
            .merge(syncs::router(app())),
    }
}

/// What this process does again and again beside answering.
pub(super) fn begin_duties(duties: &mut JoinSet<()>, app: &Arc<App>, stop: &CancellationToken) {
    duties.spawn(audit::keep_counting(Arc::clone(app), stop.clone()));
    if let Some(proxy) = &app.proxy {
        let mirror = proxy.mirror.clone();
        duties.spawn(mirror.run(app.node.clone(), stop.clone()));
        duties.spawn(proxy::keep_keys(Arc::clone(app), stop.clone()));
        return;
    }
    duties.spawn(key_rotation::run(Arc::clone(app), stop.clone()));
    duties.spawn(hiding::run(Arc::clone(app), stop.clone()));
    duties.spawn(answers::keep_writing(Arc::clone(app), stop.clone()));
    duties.spawn(pulls::keep_writing(Arc::clone(app), stop.clone()));
    duties.spawn(workflows::push::keep_filing(app.node.clone(), stop.clone()));
    duties.spawn(workflows::sync_proxy::keep_current(
        app.node.clone(),
        stop.clone(),
    ));
    duties.spawn(workflows::deliver_webhook::keep_telling(
        app.node.clone(),
        app.config.base_url(),
        stop.clone(),
    ));
}

/// What to do with a smart proxy: add it at its main server, once.
pub(super) fn welcome_of_a_proxy(app: &App, proxy: &Proxy) -> String {
    let (url, upstream) = (app.config.base_url(), proxy.mirror.upstream().url());
    let known = match proxy.mirror.told() {
        Some(told) => format!("It is known there as {}.", told.proxy),
        None => format!(
            "Add it there, with what its --mirror-secret-file holds:
  wharfinger smart-proxy create --server {upstream} NAME --kind wharfinger --url {url} --secret-file FILE --environment ORGANIZATION/Library"
        ),
    };
    format!(
        "wharfinger {version} on {url}, smart proxy of {upstream}
{known}",
        version = env!("CARGO_PKG_VERSION"),
    )
}
