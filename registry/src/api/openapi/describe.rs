//! How handlers describe themselves: what they read and what they answer stands in their types.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde_json::json;

use super::operation::{Found, Operation};
use crate::api::answer::{Accepted, Created, Format, Located, NoContent, Text};
use crate::api::body::Body;
use crate::api::caller::Caller;
use crate::api::page::{Listed, Orders, Page, Wanted};
use crate::api::path::Path;
use crate::api::problem::{Kind, Problem};
use crate::app::App;

/// Something that a handler reads from a request.
pub(in crate::api) trait Reads {
    /// Says what it takes from the request and what can be wrong with that.
    fn read(operation: &mut Operation);
}

/// Something that a handler answers.
pub(in crate::api) trait Answers {
    /// Says with which statuses, headers and bodies it comes.
    fn answer(operation: &mut Operation);
}

/// A handler whose arguments and answer describe themselves.
pub(in crate::api) trait Described<Arguments> {
    /// Says all that they say.
    fn describe(operation: &mut Operation);
}

macro_rules! handlers_of {
    ($(($($argument:ident),*);)*) => {$(
        impl<F, Answering, Answer, $($argument,)*> Described<($($argument,)*)> for F
        where
            F: Fn($($argument),*) -> Answering,
            Answering: Future<Output = Answer>,
            Answer: Answers,
            $($argument: Reads,)*
        {
            fn describe(operation: &mut Operation) {
                $($argument::read(operation);)*
                Answer::answer(operation);
            }
        }
    )*};
}

handlers_of! {
    ();
    (A);
    (A, B);
    (A, B, C);
    (A, B, C, D);
    (A, B, C, D, E);
}

impl Reads for State<Arc<App>> {
    fn read(_: &mut Operation) {}
}

impl<T> Reads for Extension<T> {
    fn read(_: &mut Operation) {}
}

impl Reads for Caller {
    fn read(operation: &mut Operation) {
        operation.needs_a_login();
        operation.can_be(&[
            Kind::NotAuthenticated,
            Kind::NotAllowed,
            Kind::TooManyRequests,
            Kind::Internal,
            Kind::Unavailable,
            Kind::Full,
        ]);
    }
}

impl<T: JsonSchema> Reads for Path<T> {
    fn read(operation: &mut Operation) {
        operation.takes_its_path::<T>();
        operation.can_be(&[Kind::NotFound]);
    }
}

impl<T: JsonSchema> Reads for Body<T> {
    fn read(operation: &mut Operation) {
        operation.takes_body::<T>();
        operation.can_be(&[
            Kind::Malformed,
            Kind::TooSlow,
            Kind::TooLarge,
            Kind::NotJson,
            Kind::Invalid,
        ]);
    }
}

impl<L: Listed> Reads for Wanted<L> {
    fn read(operation: &mut Operation) {
        if let Some(fields) = L::SEARCH {
            let about = format!(
                "What the list is cut down to, in the search language: `field = value`, `!=`, `~`, `^ (a, b)`, `<`, `and`, \
                 `or`, `not`, parentheses, or bare words. Fields: {}.",
                code(fields)
            );
            operation.takes_query("search", &about, &json!({ "type": "string" }));
            operation.can_be(&[Kind::BadSearch]);
        }
        let (about, schema) = match L::ORDERS {
            Orders::Only(order) => (
                "The order of the list: it has only this one; `-` is the reverse.".to_owned(),
                json!({ "type": "string", "enum": [order, ""] }),
            ),
            Orders::Any { by, usual } => {
                let fields = by.join("|");
                let pattern = format!("^(|-?({fields})|({fields}) (asc|desc))$");
                (
                    format!(
                        "The order of the list: a field, or its reverse as `-field` or `field desc`. Fields: {}.",
                        code(by)
                    ),
                    json!({ "type": "string", "pattern": pattern, "default": usual }),
                )
            }
        };
        operation.takes_query("sort", &about, &schema);
        operation.takes_query(
            "per_page",
            "How many there are in one page.",
            &json!({
                "type": "integer",
                "minimum": 1,
                "maximum": Wanted::<L>::MAX_PER_PAGE,
                "default": Wanted::<L>::DEFAULT_PER_PAGE,
            }),
        );
        operation.takes_query(
            "cursor",
            "Where the page begins: `next` of the page before, as it is.",
            &json!({ "type": "string" }),
        );
        operation.can_be(&[Kind::Malformed, Kind::Invalid]);
    }
}

fn code(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    quoted.join(", ")
}

impl<T: Answers> Answers for Result<T, Problem> {
    fn answer(operation: &mut Operation) {
        T::answer(operation);
    }
}

impl<T: JsonSchema> Answers for Json<T> {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<T>(200, "It.");
    }
}

impl<T: JsonSchema + Located> Answers for Page<T> {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<Self>(200, "A page of the list.");
        operation.leads_on(200, Found::FirstOfPage, T::PATH);
    }
}

impl<T: JsonSchema + Located> Answers for Created<T> {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<T>(201, "It was made, and this is it.");
        operation.with_header(201, "Location", "Where it is from now on.");
        operation.leads_on(201, Found::Whole, T::PATH);
        operation.can_be(&[Kind::Duplicate]);
    }
}

impl<T: JsonSchema + Located> Answers for Accepted<T> {
    fn answer(operation: &mut Operation) {
        operation.answers_json::<T>(202, "It was taken, and this is how it stands.");
        operation.leads_on(202, Found::Whole, T::PATH);
        operation.can_be(&[Kind::DoesNotFit]);
    }
}

impl Answers for NoContent {
    fn answer(operation: &mut Operation) {
        operation.answers_nothing(204, "It is done.");
    }
}

impl<F: Format> Answers for Text<F> {
    fn answer(operation: &mut Operation) {
        operation.answers_text(200, F::ABOUT, F::MEDIA_TYPE);
    }
}
