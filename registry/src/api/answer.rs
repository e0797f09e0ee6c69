//! What handlers answer, each as a type that says which status and headers it comes with.

use std::marker::PhantomData;

use axum::Json;
use axum::response::{IntoResponse, Response};
use engine::journal::PlanId;
use http::StatusCode;
use http::header::{CONTENT_TYPE, LOCATION};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::V1;

/// A thing that answers show.
pub(super) trait Located: Serialize {
    /// Its own path below `/api/v1`, with the names of its fields in braces; empty: it is shown in its list only.
    const PATH: &'static str;
}

/// 201: something was made, and this is it. `Location` says where it is from now on.
#[derive(Debug)]
pub(super) struct Created<T>(pub(super) T);

impl<T: Located> IntoResponse for Created<T> {
    fn into_response(self) -> Response {
        match serde_json::to_value(&self.0) {
            Ok(shown) => {
                let location = [(LOCATION, location(T::PATH, &shown))];
                (StatusCode::CREATED, location, Json(shown)).into_response()
            }
            // Let serde's own answer say what is wrong with it.
            Err(_) => (StatusCode::CREATED, Json(self.0)).into_response(),
        }
    }
}

/// The path with the fields of what is shown in it.
fn location(path: &str, shown: &Value) -> String {
    let parts = path.split('/').map(|part| {
        let field = part.strip_prefix('{').and_then(|it| it.strip_suffix('}'));
        match field.map(|field| &shown[field]) {
            Some(Value::String(text)) => text.clone(),
            Some(other) => other.to_string(),
            None => part.to_owned(),
        }
    });
    format!("{V1}{}", parts.collect::<Vec<_>>().join("/"))
}

/// 202: it was taken, and this is how it stands.
#[derive(Debug)]
pub(super) struct Accepted<T>(pub(super) T);

impl<T: Serialize> IntoResponse for Accepted<T> {
    fn into_response(self) -> Response {
        (StatusCode::ACCEPTED, Json(self.0)).into_response()
    }
}

/// The task that was begun, or that was under way already to do just that.
#[derive(Debug, JsonSchema, Serialize)]
pub(super) struct BegunTask {
    /// Its id.
    pub(super) task_id: PlanId,
}

impl Located for BegunTask {
    const PATH: &'static str = "/tasks/{task_id}";
}

/// 204: it is done, and there is nothing to say about it.
#[derive(Debug)]
pub(super) struct NoContent;

impl IntoResponse for NoContent {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

/// A format that is no JSON.
pub(super) trait Format {
    /// Its media type.
    const MEDIA_TYPE: &'static str;
    /// What it is, in one sentence.
    const ABOUT: &'static str;
}

/// 200: a text in that format.
#[derive(Debug)]
pub(super) struct Text<F> {
    text: String,
    format: PhantomData<F>,
}

impl<F> From<String> for Text<F> {
    fn from(text: String) -> Self {
        Self {
            text,
            format: PhantomData,
        }
    }
}

impl<F: Format> IntoResponse for Text<F> {
    fn into_response(self) -> Response {
        ([(CONTENT_TYPE, F::MEDIA_TYPE)], self.text).into_response()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_location_is_made_of_the_fields_of_what_is_shown() {
        let shown = json!({"id": 7, "label": "tools", "organization": "acme"});

        let by_number = location("/drills/{id}", &shown);
        let by_label = location("/organizations/{organization}/products/{label}", &shown);

        assert_eq!(by_number, "/api/v1/drills/7");
        assert_eq!(by_label, "/api/v1/organizations/acme/products/tools");
    }
}
