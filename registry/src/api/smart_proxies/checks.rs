//! What is wrong with a smart proxy before anything is written.

use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use storage::Tx;
use storage::catalog::smart_proxies::{self, Kind as ProxyKind, Login, SmartProxy};
use storage::catalog::{EnvironmentId, SmartProxyId, environments as lives, organizations};
use workflows::outbound::OutboundUrl;

use super::{
    Credentials, EnvironmentName, LEAST_BYTES_PER_SECOND, LEAST_SECRET_BYTES, MOST_BLOBS_AT_ONCE,
    MOST_BYTES_PER_SECOND, MOST_CHARACTERS_OF_A_LOGIN,
};
use crate::api::fields::Password;
use crate::api::problem::Problem;
use crate::app::App;
use crate::auth::passwords::MAX_PASSWORD_BYTES;

/// The URL in its usual form; refused where it may not be called.
pub(super) fn checked_url(app: &App, url: &str) -> Result<String, Problem> {
    let wrong = |why: String| Problem::invalid_field("url", why);
    let parsed = OutboundUrl::parse(url).map_err(|why| wrong(why.to_string()))?;
    let judged = app.services.outbound.judge(&parsed);
    judged.map_err(|why| wrong(why.to_string()))?;
    Ok(String::from(parsed))
}

pub(super) fn check_limits(
    concurrency: Option<u32>,
    bytes_per_second: Option<u64>,
) -> Result<(), Problem> {
    if concurrency.is_some_and(|blobs| !(1..=MOST_BLOBS_AT_ONCE).contains(&blobs)) {
        let text = format!("must be a whole number from 1 to {MOST_BLOBS_AT_ONCE}");
        return Err(Problem::invalid_field("concurrency", text));
    }
    let rates = LEAST_BYTES_PER_SECOND..=MOST_BYTES_PER_SECOND;
    if bytes_per_second.is_some_and(|rate| !rates.contains(&rate)) {
        let text = format!(
            "must be a whole number from {LEAST_BYTES_PER_SECOND} to {MOST_BYTES_PER_SECOND}"
        );
        return Err(Problem::invalid_field("bytes_per_second", text));
    }
    Ok(())
}

/// What belongs to a proxy of this kind, and nothing else.
pub(super) fn login(
    kind: ProxyKind,
    secret: Option<Password>,
    credentials: Option<Credentials>,
) -> Result<Login, Problem> {
    match (kind, secret, credentials) {
        (ProxyKind::Wharfinger, Some(secret), None) => {
            checked("secret", secret, LEAST_SECRET_BYTES).map(Login::Secret)
        }
        (ProxyKind::Wharfinger, None, _) => Err(Problem::invalid_field(
            "secret",
            "is needed for the kind wharfinger: what the file of --mirror-secret-file holds there",
        )),
        (ProxyKind::Wharfinger, Some(_), Some(_)) => Err(Problem::invalid_field(
            "credentials",
            "are for the kinds pulp and oci; a wharfinger is shown the secret alone",
        )),
        (ProxyKind::Pulp | ProxyKind::Oci, Some(_), _) => Err(Problem::invalid_field(
            "secret",
            "is for the kind wharfinger; give credentials",
        )),
        (ProxyKind::Pulp, None, None) => Err(Problem::invalid_field(
            "credentials",
            "are needed for the kind pulp: a user who may do everything there",
        )),
        (ProxyKind::Oci, None, None) => Ok(Login::Nobody),
        (ProxyKind::Pulp | ProxyKind::Oci, None, Some(credentials)) => {
            let username = credentials.username;
            if username.is_empty()
                || username.chars().any(char::is_control)
                || username.contains(':')
                || username.chars().count() > MOST_CHARACTERS_OF_A_LOGIN
            {
                let text = format!(
                    "must have 1 to {MOST_CHARACTERS_OF_A_LOGIN} characters, and no `:` or control characters"
                );
                return Err(Problem::invalid_field("credentials.username", text));
            }
            let password = checked("credentials.password", credentials.password, 1)?;
            Ok(Login::User { username, password })
        }
    }
}

/// Tokens are signed for the host of a proxy: two with one host would take each other's.
pub(super) async fn must_be_alone_there(
    app: &App,
    tx: &mut Tx,
    of: Option<SmartProxyId>,
    kind: ProxyKind,
    url: &str,
) -> Result<(), Problem> {
    if kind != ProxyKind::Wharfinger {
        return Ok(());
    }
    let host = |url: &str| Url::parse(url).map(|url| url.authority().to_owned()).ok();
    let wanted = host(url);
    if wanted.as_deref() == Some(app.config.host().as_str()) {
        let text = "is the address of this server itself; give that of the proxy";
        return Err(Problem::invalid_field("url", text));
    }
    let others = smart_proxies::all(tx).await?;
    let same = others.iter().find(|other| {
        Some(other.id) != of && other.kind == ProxyKind::Wharfinger && host(&other.url) == wanted
    });
    match same {
        Some(other) => {
            let text = format!(
                "is on the host of smart proxy {}, too; each needs its own host and port",
                other.name
            );
            Err(Problem::invalid_field("url", text))
        }
        None => Ok(()),
    }
}

/// What is written and never shown is not to be had by sending it to a machine of one's own.
pub(super) fn must_stay_there(proxy: &SmartProxy, url: &str) -> Result<(), Problem> {
    let field = match &proxy.login {
        Login::Nobody => return Ok(()),
        Login::Secret(_) => "secret",
        Login::User { .. } => "credentials",
    };
    let origin = |url: &str| Url::parse(url).map(|url| url.origin()).ok();
    if origin(&proxy.url) == origin(url) {
        return Ok(());
    }
    let text = "must be given again with another host: what is stored is shown to no other machine";
    Err(Problem::invalid_field(field, text))
}

/// A secret, or a password, that can be kept.
fn checked(field: &str, secret: Password, least: usize) -> Result<String, Problem> {
    let secret = SecretString::from(secret);
    let secret = secret.expose_secret();
    if !(least..=MAX_PASSWORD_BYTES).contains(&secret.len()) {
        let text = format!("must have {least} to {MAX_PASSWORD_BYTES} bytes");
        return Err(Problem::invalid_field(field, text));
    }
    Ok(secret.to_owned())
}

/// By its secret this server knows which proxy calls.
pub(super) async fn must_be_its_own(
    tx: &mut Tx,
    of: Option<SmartProxyId>,
    login: &Login,
) -> Result<(), Problem> {
    let Login::Secret(_) = login else {
        return Ok(());
    };
    let others = smart_proxies::all(tx).await?;
    if others
        .iter()
        .any(|other| Some(other.id) != of && other.login == *login)
    {
        let text =
            "is another smart proxy's; give each its own, for example with `openssl rand -hex 32`";
        return Err(Problem::invalid_field("secret", text));
    }
    Ok(())
}

/// The environments of these labels.
pub(super) async fn found(
    tx: &mut Tx,
    named: &[EnvironmentName],
) -> Result<Vec<EnvironmentId>, Problem> {
    let mut found = Vec::with_capacity(named.len());
    for (place, name) in named.iter().enumerate() {
        let environment = match organizations::find(tx, &name.organization).await? {
            Some(organization) => lives::find(tx, organization.id, &name.environment).await?,
            None => None,
        };
        let environment = environment.ok_or_else(|| {
            let EnvironmentName {
                organization,
                environment,
            } = name;
            Problem::invalid_field(
                &format!("environments.{place}"),
                format!("names an environment `{environment}` of organization `{organization}`, which there is not"),
            )
        })?;
        found.push(environment.id);
    }
    Ok(found)
}
