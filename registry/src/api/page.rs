//! Lists in pages: `{"results", "total", "next"}`, where `next` is opaque to the caller and a key to us.

use std::fmt::Display;
use std::marker::PhantomData;
use std::str::FromStr;

use axum::Json;
use axum::extract::{FromRequestParts, Query};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::search::{Cursor, Sort};
use http::Uri;
use http::request::Parts;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use strum::VariantNames;

use super::problem::{Kind, Problem};

/// What the caller asked of a list.
#[derive(Debug, Default, Deserialize)]
struct Asked {
    search: Option<String>,
    sort: Option<String>,
    per_page: Option<String>,
    cursor: Option<String>,
}

/// All parameters of a list, as [`Asked`] has them.
const PARAMETERS: &[&str] = &["search", "sort", "per_page", "cursor"];

/// The orders that a list has.
#[derive(Clone, Copy, Debug)]
pub(super) enum Orders {
    /// This one.
    Only(&'static str),
    /// By any of these, or its reverse.
    Any {
        by: &'static [&'static str],
        usual: &'static str,
    },
}

/// Something that there are lists of.
pub(super) trait Listed {
    /// How they are sorted.
    const ORDERS: Orders;
    /// What can be searched by; none: they cannot be searched.
    const SEARCH: Option<&'static [&'static str]> = None;
}

/// What the caller asked of a list of `L`, checked.
#[derive(Debug)]
pub(super) struct Wanted<L> {
    /// The search as it was typed; empty: everything.
    pub(super) search: String,
    /// `field`, `field desc` or `-field`, as it was typed.
    sort: Option<String>,
    /// From 1 to 500.
    pub(super) per_page: u32,
    cursor: Option<String>,
    of: PhantomData<L>,
}

/// In which order a list was asked for, and behind what this page begins.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sorted<K, I> {
    pub(super) sort: Sort<K>,
    pub(super) after: Option<Cursor<K, I>>,
}

impl<L: Listed, S: Send + Sync> FromRequestParts<S> for Wanted<L> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        refuse_unknown(&parts.uri)?;
        Self::check(read(&parts.uri)?)
    }
}

/// A parameter with a slip of the pen must not mean the whole list.
fn refuse_unknown(uri: &Uri) -> Result<(), Problem> {
    let given: Vec<(String, String)> = read(uri)?;
    let unknown = given
        .iter()
        .filter(|(name, _)| !PARAMETERS.contains(&name.as_str()))
        .map(|(name, _)| format!("`{}`", name.escape_debug()));
    let unknown: Vec<String> = unknown.collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let text = format!(
        "a list has no parameter {}; it has {}",
        unknown.join(", "),
        PARAMETERS.join(", ")
    );
    Err(Problem::new(Kind::Malformed, text))
}

fn read<T: DeserializeOwned>(uri: &Uri) -> Result<T, Problem> {
    let unreadable = |error| {
        let text = format!("the query string cannot be read: {error}");
        Problem::new(Kind::Malformed, text)
    };
    let Query(read) = Query::try_from_uri(uri).map_err(unreadable)?;
    Ok(read)
}

impl<L: Listed> Wanted<L> {
    pub(super) const DEFAULT_PER_PAGE: u32 = 50;
    /// More would make one answer too slow for whoever waits behind it.
    pub(super) const MAX_PER_PAGE: u32 = 500;

    fn check(asked: Asked) -> Result<Self, Problem> {
        let per_page = match asked.per_page {
            None => Self::DEFAULT_PER_PAGE,
            Some(text) => text
                .parse()
                .ok()
                .filter(|n| (1..=Self::MAX_PER_PAGE).contains(n))
                .ok_or_else(|| {
                    Problem::invalid_field(
                        "per_page",
                        format!(
                            "must be a number from 1 to {}, not {text:?}",
                            Self::MAX_PER_PAGE
                        ),
                    )
                })?,
        };
        let wanted = Self {
            search: asked.search.unwrap_or_default(),
            sort: asked.sort.filter(|sort| !sort.trim().is_empty()),
            per_page,
            cursor: asked.cursor.filter(|cursor| !cursor.is_empty()),
            of: PhantomData,
        };
        if L::SEARCH.is_none() && !wanted.search.trim().is_empty() {
            let text = "this list cannot be searched; leave `search` out";
            return Err(Problem::new(Kind::BadSearch, text));
        }
        match (L::ORDERS, &wanted.sort) {
            (Orders::Only(order), Some(sort)) if sort != order => Err(Problem::invalid_field(
                "sort",
                format!("this list is sorted by {order}, not by {sort:?}"),
            )),
            (Orders::Only(_) | Orders::Any { .. }, _) => Ok(wanted),
        }
    }

    /// The key after which this page begins; `None` for the first page.
    pub(super) fn after<K: DeserializeOwned>(&self) -> Result<Option<K>, Problem> {
        let Some(cursor) = &self.cursor else {
            return Ok(None);
        };
        let key = URL_SAFE_NO_PAD
            .decode(cursor)
            .ok()
            .and_then(|text| serde_json::from_slice(&text).ok());
        let problem = || {
            Problem::new(
                Kind::Malformed,
                "the cursor is not one that this list gave out; begin without one",
            )
        };
        key.map(Some).ok_or_else(problem)
    }

    /// The order of a list that has several, and where to go on in it. A cursor knows its own.
    pub(super) fn sorted<K, I>(&self, usual: Sort<K>) -> Result<Sorted<K, I>, Problem>
    where
        K: FromStr + VariantNames + Display + PartialEq + Copy + DeserializeOwned,
        I: DeserializeOwned,
    {
        let invalid = |message| Problem::invalid_field("sort", message);
        let asked = match &self.sort {
            Some(text) => Some(Sort::parse(text).map_err(|error| invalid(error.to_string()))?),
            None => None,
        };
        let after: Option<Cursor<K, I>> = self.after()?;
        match (asked, &after) {
            (Some(asked), Some(cursor)) if asked != cursor.sort => Err(invalid(format!(
                "the cursor is of the list sorted by {}; begin without it to sort by {asked}",
                cursor.sort
            ))),
            (_, Some(cursor)) => Ok(Sorted {
                sort: cursor.sort,
                after,
            }),
            (asked, None) => Ok(Sorted {
                sort: asked.unwrap_or(usual),
                after: None,
            }),
        }
    }

    /// How many rows to ask for: one more than shown tells whether there is a next page.
    pub(super) fn one_more(&self) -> u32 {
        self.per_page + 1
    }
}

/// One page of a list.
#[derive(Debug, JsonSchema, Serialize)]
#[schemars(rename = "PageOf{T}")]
pub(super) struct Page<T> {
    pub(super) results: Vec<T>,
    /// How many there are on all pages.
    pub(super) total: u64,
    /// The `cursor` of the next page; null on the last one.
    pub(super) next: Option<String>,
}

impl<T> Page<T> {
    /// A page whose last item has this key, when more follow.
    pub(super) fn new<K: Serialize>(results: Vec<T>, total: u64, next: Option<K>) -> Self {
        let cursor = next.map(|key| {
            URL_SAFE_NO_PAD.encode(
                serde_json::to_vec(&key)
                    .expect("keys are numbers and texts, which are always JSON"),
            )
        });
        Self {
            results,
            total,
            next: cursor,
        }
    }

    /// A page of rows of which [`Wanted::one_more`] were asked for.
    pub(super) fn of_rows<K: Serialize>(
        mut rows: Vec<T>,
        total: u64,
        wanted: &Wanted<impl Listed>,
        key: impl Fn(&T) -> K,
    ) -> Self {
        let more = rows.len() > wanted.per_page as usize;
        rows.truncate(wanted.per_page as usize);
        let next = if more { rows.last().map(key) } else { None };
        Self::new(rows, total, next)
    }

    /// The same page with each item as `show` shows it.
    pub(super) fn map<U>(self, show: impl FnMut(T) -> U) -> Page<U> {
        Page {
            results: self.results.into_iter().map(show).collect(),
            total: self.total,
            next: self.next,
        }
    }

    /// A page cut out of a list that is short enough to be held whole, such as the users of an organization.
    pub(super) fn cut<K>(
        all: Vec<T>,
        wanted: &Wanted<impl Listed>,
        key: impl Fn(&T) -> K,
    ) -> Result<Self, Problem>
    where
        K: Ord + Serialize + DeserializeOwned,
    {
        let after: Option<K> = wanted.after()?;
        let total = all.len() as u64;
        let mut rest = all
            .into_iter()
            .filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        let results: Vec<T> = rest.by_ref().take(wanted.per_page as usize).collect();
        let next = if rest.next().is_some() {
            results.last().map(&key)
        } else {
            None
        };
        Ok(Self::new(results, total, next))
    }
}

impl<T: Serialize> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        Json(self).into_response()
    }
}

#[cfg(test)]
mod tests {
    use engine::clock::Timestamp;
    use engine::journal::PlanId;
    use engine::search::{Order, SortKey, TaskCursor};
    use uuid::Uuid;

    use super::*;

    /// A list of numbers.
    struct Numbers;

    impl Listed for Numbers {
        const ORDERS: Orders = Orders::Any {
            by: Order::VARIANTS,
            usual: "n",
        };
    }

    fn wanted(per_page: &str, cursor: Option<String>) -> Result<Wanted<Numbers>, Problem> {
        Wanted::check(Asked {
            per_page: Some(per_page.to_owned()),
            cursor,
            ..Asked::default()
        })
    }

    #[test]
    fn a_list_comes_whole_through_its_pages() {
        let mut seen = Vec::new();
        let mut cursor = None;
        loop {
            let page = Page::cut(
                (1..=7).collect(),
                &wanted("3", cursor).unwrap(),
                |n: &i32| *n,
            )
            .unwrap();
            assert_eq!(page.total, 7);
            seen.extend(page.results);
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }

        assert_eq!(seen, (1..=7).collect::<Vec<_>>());
    }

    #[test]
    fn a_page_that_ends_with_the_list_has_no_next() {
        let page = Page::cut(vec![1, 2, 3], &wanted("3", None).unwrap(), |n: &i32| *n).unwrap();

        assert_eq!(page.next, None);
    }

    #[test]
    fn a_page_has_from_1_to_500_items() {
        for text in ["0", "501", "-1", "many"] {
            assert!(wanted(text, None).is_err(), "{text}");
        }
        assert_eq!(wanted("500", None).unwrap().per_page, 500);
    }

    #[test]
    fn a_parameter_that_a_list_does_not_have_is_named() {
        let told = |query: &str| {
            let uri = format!("/api/v1/tasks?{query}").parse().unwrap();
            refuse_unknown(&uri)
                .err()
                .map(|problem| problem.to_string())
        };

        assert_eq!(told("search=a&sort=&per_page=1&cursor="), None);
        assert_eq!(
            told("serach=state&per_page=1&page=2").unwrap(),
            "a list has no parameter `serach`, `page`; it has search, sort, per_page, cursor"
        );
    }

    #[test]
    fn an_empty_sort_or_cursor_is_like_none() {
        let asked = || Asked {
            sort: Some(" ".to_owned()),
            cursor: Some(String::new()),
            ..Asked::default()
        };

        let wanted = Wanted::<Numbers>::check(asked()).unwrap();

        let sorted = wanted.sorted::<Order, PlanId>(Sort::default()).unwrap();
        assert_eq!(sorted.sort, Sort::default());
        assert_eq!(sorted.after, None);
    }

    #[test]
    fn a_cursor_of_ones_own_making_is_refused() {
        let wanted = wanted("3", Some("not a cursor".to_owned())).unwrap();

        assert!(wanted.after::<i64>().is_err());
    }

    #[test]
    fn a_cursor_goes_on_in_its_own_order_only() {
        let by_start = Sort {
            by: Order::StartedAt,
            descending: true,
        };
        let cursor: TaskCursor = Cursor {
            sort: by_start,
            as_of: Timestamp(7),
            key: Some(SortKey::Number(5)),
            id: PlanId(Uuid::nil()),
        };
        let page = Page::<()>::new(vec![], 0, Some(&cursor));
        let sorted = |sort: Option<&str>| {
            let wanted = Wanted::<Numbers>::check(Asked {
                sort: sort.map(str::to_owned),
                cursor: page.next.clone(),
                ..Asked::default()
            });
            wanted.unwrap().sorted(Sort::<Order>::default())
        };

        let expected = Sorted {
            sort: by_start,
            after: Some(cursor),
        };
        assert_eq!(sorted(None).unwrap(), expected);
        assert_eq!(sorted(Some("started_at DESC")).unwrap(), expected);
        for other in ["started_at", "-label", "colour"] {
            assert!(sorted(Some(other)).is_err(), "{other}");
        }
    }
}
