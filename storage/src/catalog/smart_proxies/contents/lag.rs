//! How far proxies are behind, as people are shown it.

use engine::clock::Timestamp;
use engine::journal::PlanId;
use sqlx::{FromRow as _, Row as _};
use uuid::Uuid;

use super::Place;
use crate::Tx;
use crate::catalog::{CatalogError, RepositoryId, SmartProxyId};

/// What a proxy has of a repository beside what it shall have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Which repository, in which environment.
    pub place: Place,
    /// The environment's label; none: it is gone.
    pub environment_label: Option<String>,
    /// The repository's pushed path; none: it is gone.
    pub repository_name: Option<String>,
    /// The version that the environment publishes; none: the proxy shall not have it any more.
    pub here: Option<i64>,
    /// The version that the proxy has; none: nothing yet.
    pub there: Option<i64>,
    /// It has just what it shall have, by all its names.
    pub is_current: bool,
    /// So many versions it is behind: those of Library that were made since, one where another environment shows another.
    pub versions_behind: i64,
    /// Since when it is behind; none: it is not, or that is not known.
    pub behind_since: Option<Timestamp>,
    /// When it was brought.
    pub synced_at: Option<Timestamp>,
    /// The last sync.
    pub task: Option<PlanId>,
    /// What that failed with.
    pub error: Option<String>,
}

pub(super) const STATUS: &str = concat!(
    "SELECT l.environment_id, l.repository_id, e.label AS environment_label,
        (SELECT n.name FROM repository_names n
         WHERE n.repository_id = l.repository_id AND n.environment_id IS NULL) AS repository_name,
        l.version AS here, c.version AS there, NOT ",
    is_behind!(),
    " AS is_current, c.synced_at, c.plan_id, c.error,
        iif(c.version = l.version, 0, iif(e.prior_id IS NULL,
            (SELECT count(*) FROM versions v WHERE v.repository_id = l.repository_id
               AND v.number > coalesce(c.version, 0) AND v.number <= l.version), 1)) AS versions_behind,
        iif(c.version = l.version, NULL, iif(e.prior_id IS NULL,
            (SELECT min(v.created_at) FROM versions v WHERE v.repository_id = l.repository_id
               AND v.number > coalesce(c.version, 0) AND v.number <= l.version), l.since)) AS behind_since ",
    shall_have!(),
    " UNION ALL
     SELECT c.environment_id, c.repository_id, e.label,
        (SELECT n.name FROM repository_names n
         WHERE n.repository_id = c.repository_id AND n.environment_id IS NULL),
        NULL, c.version, 0, c.synced_at, c.plan_id, c.error, 0, NULL
     FROM smart_proxy_contents c LEFT JOIN environments e ON e.id = c.environment_id
     WHERE c.proxy_id = $1 AND NOT EXISTS (
        SELECT 1 FROM smart_proxy_environments a
        JOIN published l ON l.environment_id = a.environment_id
        JOIN repositories r ON r.id = l.repository_id AND r.deleted_at IS NULL
        WHERE a.proxy_id = c.proxy_id AND a.environment_id = c.environment_id
          AND l.repository_id = c.repository_id)
     ORDER BY 2, 1"
);

/// All that the proxy has or shall have, by repository and environment.
pub async fn status(tx: &mut Tx, proxy: SmartProxyId) -> Result<Vec<Status>, CatalogError> {
    let rows = sqlx::query(STATUS).bind(proxy).fetch_all(&mut *tx).await?;
    let status = rows.iter().map(|row| {
        let moment =
            |column| Ok::<_, sqlx::Error>(row.try_get::<Option<i64>, _>(column)?.map(Timestamp));
        Ok(Status {
            place: Place::from_row(row)?,
            environment_label: row.try_get("environment_label")?,
            repository_name: row.try_get("repository_name")?,
            here: row.try_get("here")?,
            there: row.try_get("there")?,
            is_current: row.try_get::<i64, _>("is_current")? == 1,
            versions_behind: row.try_get("versions_behind")?,
            behind_since: moment("behind_since")?,
            synced_at: moment("synced_at")?,
            task: row.try_get::<Option<Uuid>, _>("plan_id")?.map(PlanId),
            error: row.try_get("error")?,
        })
    });
    Ok(status.collect::<Result<_, sqlx::Error>>()?)
}

/// How far a proxy is behind, all repositories together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// How many versions.
    pub versions: u64,
    /// Since when it lacks what it lacks longest.
    pub since: Option<Timestamp>,
    /// How many repositories it lacks something of, or holds and shall not.
    pub repositories: u64,
}

/// How far the proxy is behind.
pub async fn lag(tx: &mut Tx, proxy: SmartProxyId) -> Result<Lag, CatalogError> {
    let mut lag = Lag::default();
    for status in status(tx, proxy).await? {
        lag.versions += u64::try_from(status.versions_behind).unwrap_or(0);
        lag.repositories += u64::from(!status.is_current);
        lag.since = match (lag.since, status.behind_since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    Ok(lag)
}

/// What a proxy has of a repository, as Library publishes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The proxy's name.
    pub proxy: String,
    /// The version that it has; none: nothing yet.
    pub version: Option<i64>,
}

pub(super) const HOLDERS: &str = "
    SELECT p.name, c.version FROM published l
    CROSS JOIN environments e ON e.id = l.environment_id AND e.prior_id IS NULL
    CROSS JOIN smart_proxy_environments a ON a.environment_id = l.environment_id
    CROSS JOIN smart_proxies p ON p.id = a.proxy_id
    LEFT JOIN smart_proxy_contents c ON c.proxy_id = a.proxy_id
        AND c.environment_id = l.environment_id AND c.repository_id = l.repository_id
    WHERE l.repository_id = $1 ORDER BY p.id";

/// The proxies that shall hold what Library publishes of the repository, by number, each with what it has.
pub async fn holders(tx: &mut Tx, repository: RepositoryId) -> Result<Vec<Holder>, CatalogError> {
    let rows = sqlx::query(HOLDERS)
        .bind(repository)
        .fetch_all(&mut *tx)
        .await?;
    let holders = rows.iter().map(|row| {
        Ok(Holder {
            proxy: row.try_get("name")?,
            version: row.try_get("version")?,
        })
    });
    Ok(holders.collect::<Result<_, sqlx::Error>>()?)
}
