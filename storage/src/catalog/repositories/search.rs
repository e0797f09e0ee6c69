//! The list of repositories: searched, sorted, in pages, and narrowed to what may be seen.

use engine::search::{Cursor, Kind, Search, SearchField, Sort, SortKey, Term, Test};
use serde::{Deserialize, Serialize};
use sqlx::Row as _;

use super::{RepositoryRow, rows};
use crate::Tx;
use crate::catalog::grants::Scope;
use crate::catalog::{CatalogError, OrganizationId, ProductId, RepositoryId};
use crate::search::{self, Sql};

/// What repositories can be searched by.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, strum::Display, strum::EnumString, strum::VariantNames,
)]
#[strum(serialize_all = "snake_case")]
pub enum Field {
    /// Its number.
    Id,
    /// Its name in its product.
    Name,
    /// Its label.
    Label,
    /// The label of its organization.
    Organization,
    /// The label of its product.
    Product,
    /// A name that it is pushed to by.
    PushedName,
    /// A name that Library publishes it by.
    PublishedName,
    /// A tag that Library publishes.
    Tag,
    /// The digest of a manifest that Library publishes.
    Digest,
    /// The bytes of what Library publishes.
    SizeBytes,
}

impl SearchField for Field {
    fn kind(self) -> Kind {
        match self {
            Self::Id => Kind::Number,
            Self::Name | Self::Label | Self::Tag | Self::Digest => Kind::Text,
            // Every form of a name is lower case.
            Self::Organization | Self::Product | Self::PushedName | Self::PublishedName => {
                Kind::Label
            }
            Self::SizeBytes => Kind::Size,
        }
    }

    fn bare() -> &'static [Self] {
        &[
            Self::Name,
            Self::Organization,
            Self::Product,
            Self::PushedName,
        ]
    }
}

/// What repositories can be sorted by.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
    Serialize,
    Deserialize,
)]
#[strum(serialize_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Its number: in the order of the first push.
    Id,
    /// Its name in its product.
    Name,
}

/// By number.
pub const USUAL_ORDER: Sort<Order> = Sort {
    by: Order::Id,
    descending: false,
};

/// Where a page of repositories ended.
pub type RepositoryCursor = Cursor<Order, RepositoryId>;

/// A page of a list of repositories.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// The order of the list.
    pub sort: Sort<Order>,
    /// Where the page before ended, in this same order.
    pub after: Option<RepositoryCursor>,
    /// At most so many.
    pub limit: u32,
    /// Only what is in one of these; in none, nothing.
    pub visible: &'a [Scope],
}

/// A page of repositories.
#[derive(Clone, Debug)]
pub struct Found {
    /// In the order of the list.
    pub rows: Vec<RepositoryRow>,
    /// How many there are on all pages.
    pub total: u64,
    /// Where this page ended, when more follow.
    pub next: Option<RepositoryCursor>,
}

/// The repositories that the search finds. A repository keeps its number and its name, so that each comes on exactly one
/// page, whatever is written in between.
pub async fn search(
    tx: &mut Tx,
    search: &Search<Field>,
    page: &Page<'_>,
) -> Result<Found, CatalogError> {
    let total: i64 = counted(search, page.visible)
        .build_query_scalar()
        .fetch_one(&mut *tx)
        .await?;
    let mut ids = paged(search, page)
        .build()
        .fetch_all(&mut *tx)
        .await?
        .iter()
        .map(|row| row.try_get("id"))
        .collect::<Result<Vec<RepositoryId>, _>>()?;
    let more = ids.len() > page.limit as usize;
    ids.truncate(page.limit as usize);
    let found = rows(tx, &ids).await?;
    let cursor = |last: &RepositoryRow| Cursor {
        sort: page.sort,
        as_of: search.now,
        key: match page.sort.by {
            Order::Id => None,
            Order::Name => Some(SortKey::Text(last.name.clone())),
        },
        id: last.id,
    };
    Ok(Found {
        next: found.last().filter(|_| more).map(cursor),
        rows: found,
        total: u64::try_from(total).unwrap_or(0),
    })
}

/// Every repository with its product and its organization.
const FROM: &str = "
    FROM repositories r
    JOIN products p ON p.id = r.product_id
    JOIN organizations o ON o.id = p.organization_id
    WHERE r.deleted_at IS NULL";

fn counted(search: &Search<Field>, visible: &[Scope]) -> Sql {
    if search.wanted.is_none() && visible.iter().any(Scope::is_everywhere) {
        return Sql::new("SELECT count(*) FROM repositories WHERE deleted_at IS NULL");
    }
    let mut sql = Sql::new("SELECT count(*)");
    sql.push(FROM);
    narrow(&mut sql, search, visible);
    sql
}

fn paged(search: &Search<Field>, page: &Page<'_>) -> Sql {
    let mut sql = Sql::new("SELECT r.id");
    sql.push(FROM);
    narrow(&mut sql, search, page.visible);
    let (past, order) = if page.sort.descending {
        (" < ", " DESC")
    } else {
        (" > ", " ASC")
    };
    if let Some(after) = &page.after {
        match &after.key {
            Some(SortKey::Text(name)) => {
                sql.push(" AND (r.name, r.id)").push(past).push("(");
                sql.push_bind(name.clone()).push(", ");
                sql.push_bind(after.id).push(")");
            }
            Some(SortKey::Number(_)) | None => {
                sql.push(" AND r.id").push(past).push_bind(after.id);
            }
        }
    }
    sql.push(" ORDER BY ");
    if page.sort.by == Order::Name {
        sql.push("r.name").push(order).push(", ");
    }
    sql.push("r.id").push(order);
    sql.push(" LIMIT ").push_bind(i64::from(page.limit) + 1);
    sql
}

fn narrow(sql: &mut Sql, search: &Search<Field>, visible: &[Scope]) {
    if !visible.iter().any(Scope::is_everywhere) {
        sql.push(" AND ");
        push_one_of(sql, visible, push_place);
    }
    if let Some(wanted) = &search.wanted {
        sql.push(" AND ");
        search::push(sql, wanted, &push_term);
    }
}

/// One of these holds.
fn push_one_of<T>(sql: &mut Sql, all: &[T], push_one: impl Fn(&mut Sql, &T)) {
    if all.is_empty() {
        return search::push_nothing(sql);
    }
    sql.push("(");
    for (n, one) in all.iter().enumerate() {
        if n > 0 {
            sql.push(" OR ");
        }
        push_one(sql, one);
    }
    sql.push(")");
}

fn push_place(sql: &mut Sql, scope: &Scope) {
    sql.push("(");
    let mut between = "";
    let mut is = |column: &str, id: Option<i64>| {
        if let Some(id) = id {
            sql.push(between).push(column).push(" = ").push_bind(id);
            between = " AND ";
        }
    };
    is("p.organization_id", scope.organization.map(|id| id.0));
    is("r.product_id", scope.product.map(|id| id.0));
    is("r.id", scope.repository.map(|id| id.0));
    sql.push(")");
}

fn push_term(sql: &mut Sql, term: &Term<Field>) {
    match term.field {
        Field::Id => push_test(sql, "r.id", &term.test),
        Field::Name => push_test(sql, "r.name", &term.test),
        Field::Label => push_test(sql, "r.label", &term.test),
        Field::Organization => push_test(sql, "o.label_key", &term.test),
        Field::Product => push_test(sql, "p.label_key", &term.test),
        Field::PushedName => push_pushed_name(sql, &term.test),
        // Library has no pattern of names: it publishes under the pushed ones.
        Field::PublishedName => {
            sql.push("(r.id IN (SELECT l.repository_id FROM published l JOIN environments e ON e.id = l.environment_id");
            sql.push(" WHERE e.prior_id IS NULL) AND ");
            push_pushed_name(sql, &term.test);
            sql.push(")");
        }
        Field::Tag => push_content(sql, "tag", &term.test),
        Field::Digest => push_content(sql, "manifest", &term.test),
        Field::SizeBytes => push_test(sql, SIZE_BYTES, &term.test),
    }
}

fn push_test(sql: &mut Sql, expression: &str, test: &Test) {
    match test {
        Test::Is(values) => search::push_is(sql, expression, values),
        Test::Like(pattern) => search::push_like(sql, expression, pattern),
        Test::Within(ranges) => search::push_within(sql, expression, ranges),
        Test::Ids(_) => search::push_nothing(sql),
    }
}

/// What Library publishes of this kind under such a name; that of a manifest is its digest.
fn push_content(sql: &mut Sql, kind: &str, test: &Test) {
    sql.push(
        "r.id IN (SELECT c.repository_id FROM content_in c
            JOIN published l ON l.repository_id = c.repository_id
            JOIN environments e ON e.id = l.environment_id AND e.prior_id IS NULL
            WHERE c.added <= l.version AND (c.removed IS NULL OR c.removed > l.version) AND c.kind = '",
    );
    sql.push(kind).push("' AND ");
    push_test(sql, "c.name", test);
    sql.push(")");
}

/// The bytes of the manifests that Library publishes and of the blobs they name, each counted once.
const SIZE_BYTES: &str = "coalesce((SELECT
        (SELECT coalesce(sum(m.size_bytes), 0) FROM manifests m WHERE m.digest IN (
            SELECT c.name FROM content_in c
            WHERE c.repository_id = r.id AND c.kind = 'manifest'
              AND c.added <= l.version AND (c.removed IS NULL OR c.removed > l.version)))
        + (SELECT coalesce(sum(b.size_bytes), 0) FROM blobs b WHERE b.digest IN (
            SELECT mp.digest FROM content_in c
            JOIN pushed_manifests h ON h.destination_id = r.id AND h.digest = c.name
            JOIN manifest_parts mp ON mp.pushed_id = h.id
            WHERE c.repository_id = r.id AND c.kind = 'manifest' AND mp.kind <> 'manifest'
              AND c.added <= l.version AND (c.removed IS NULL OR c.removed > l.version)))
    FROM published l JOIN environments e ON e.id = l.environment_id
    WHERE l.repository_id = r.id AND e.prior_id IS NULL), 0)";

/// The label of the products that pushes without a product go to.
const CONTAINER_PUSH: &str = "container_push";

/// The first form of a name that fits, as tasks and people call the repository.
const LABEL_FORM: &str = "
    (CASE WHEN p.label_key = 'container_push' AND r.name NOT LIKE '%/%'
        THEN o.label_key || '/' || r.name
        ELSE o.label_key || '/' || p.label_key || '/' || r.name END)";

/// Every form of a name is equal, so that what somebody pushes to is found; the first form that fits is what is like a text.
fn push_pushed_name(sql: &mut Sql, test: &Test) {
    let Test::Is(names) = test else {
        return push_test(sql, LABEL_FORM, test);
    };
    let forms: Vec<Form<'_>> = names.iter().filter_map(|name| Form::read(name)).collect();
    push_one_of(sql, &forms, |sql, form| {
        sql.push(
            "r.id IN (SELECT r2.id FROM repositories r2 JOIN products p2 ON p2.id = r2.product_id",
        );
        form.push(sql);
        sql.push(")");
    });
}

/// A name as somebody writes it, in lower case.
#[derive(Debug, PartialEq, Eq)]
enum Form<'a> {
    Ids(OrganizationId, ProductId, &'a str),
    Labels(&'a str, &'a str, &'a str),
}

impl<'a> Form<'a> {
    fn read(name: &'a str) -> Option<Self> {
        let (first, rest) = name.split_once('/')?;
        let Some((second, rest)) = rest.split_once('/') else {
            return Some(Self::Labels(first, CONTAINER_PUSH, rest));
        };
        if first != "id" {
            return Some(Self::Labels(first, second, rest));
        }
        let (product, name) = rest.split_once('/')?;
        Some(Self::Ids(second.parse().ok()?, product.parse().ok()?, name))
    }

    fn push(&self, sql: &mut Sql) {
        let name = match self {
            Self::Ids(organization, product, name) => {
                sql.push(" WHERE p2.id = ").push_bind(*product);
                sql.push(" AND p2.organization_id = ")
                    .push_bind(*organization);
                name
            }
            Self::Labels(organization, product, name) => {
                sql.push(
                    " JOIN organizations o2 ON o2.id = p2.organization_id WHERE o2.label_key = ",
                );
                sql.push_bind((*organization).to_owned());
                sql.push(" AND p2.label_key = ")
                    .push_bind((*product).to_owned());
                name
            }
        };
        sql.push(" AND r2.name = ").push_bind((*name).to_owned());
    }
}

#[cfg(test)]
mod tests;
