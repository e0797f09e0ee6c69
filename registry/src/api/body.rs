//! Reads a JSON body, and names every field that is wrong.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use http::header::{CONTENT_TYPE, HeaderValue};
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem, WrongField};
use crate::app::App;

/// No body of this API is larger: manifests and layers do not pass here.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A body whose fields are all known and of the right kind; no body at all reads as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let is_json = request.headers().get(CONTENT_TYPE).is_none_or(is_json);
        let bytes = whole(request.into_body(), app.config.body_idle_timeout).await?;
        if !is_json && !bytes.is_empty() {
            let text = "this API reads JSON; send the body with `Content-Type: application/json`";
            return Err(Problem::new(Kind::NotJson, text));
        }
        read(&bytes).map(Self)
    }
}

/// True for `application/json` and `application/…+json`, whatever parameters follow. Without a type a body is taken for JSON.
fn is_json(media_type: &HeaderValue) -> bool {
    let text = media_type.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim();
    let essence = essence.to_ascii_lowercase();
    essence
        .strip_prefix("application/")
        .is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
}

/// All of the body; refused once it is too large, or nothing has come for `idle`: no client keeps a connection for ever.
async fn whole(body: axum::body::Body, idle: Duration) -> Result<Bytes, Problem> {
    let mut chunks = body.into_data_stream();
    let mut whole = BytesMut::new();
    loop {
        match tokio::time::timeout(idle, chunks.next()).await {
            Ok(Some(Ok(chunk))) => whole.extend_from_slice(&chunk),
            Ok(None) => return Ok(whole.freeze()),
            Ok(Some(Err(_))) => return Err(Problem::new(Kind::Malformed, "the body broke off")),
            Err(_) => {
                let text = format!("no bytes of the body came for {} s", idle.as_secs());
                return Err(Problem::new(Kind::TooSlow, text));
            }
        }
        if whole.len() > MAX_BODY_BYTES {
            let text = format!("the body is larger than {MAX_BODY_BYTES} bytes");
            return Err(Problem::new(Kind::TooLarge, text));
        }
    }
}

fn read<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    let text = match bytes.trim_ascii() {
        [] => b"{}",
        // serde would take a list for an object whose fields come in order.
        text if text[0] == b'{' => text,
        _ => {
            return Err(Problem::new(
                Kind::Malformed,
                "the body is not a JSON object",
            ));
        }
    };
    let mut reader = serde_json::Deserializer::from_slice(text);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        if error.is_data() {
            Problem::invalid(&[wrong_field(&path, &error.to_string())])
        } else {
            Problem::new(Kind::Malformed, format!("the body is not JSON: {error}"))
        }
    })?;
    match reader.end() {
        Ok(()) => Ok(value),
        Err(error) => Err(Problem::new(
            Kind::Malformed,
            format!("the body is not one JSON object: {error}"),
        )),
    }
}

/// Takes serde's words apart: the field is in the path, or between the first backticks.
fn wrong_field(path: &str, text: &str) -> WrongField {
    let text = text.split(" at line ").next().unwrap_or(text);
    let quoted = text.split('`').nth(1).unwrap_or_default().to_owned();
    if text.starts_with("unknown field") {
        let expected = text.split_once(", ").map_or("", |(_, expected)| expected);
        let message = if expected.is_empty() {
            "is unknown".to_owned()
        } else {
            format!("is unknown; {expected}")
        };
        return WrongField {
            field: quoted,
            message,
        };
    }
    for (beginning, message) in [
        ("missing field", "is missing"),
        ("duplicate field", "is there twice"),
    ] {
        if text.starts_with(beginning) {
            return WrongField {
                field: quoted,
                message: message.to_owned(),
            };
        }
    }
    WrongField {
        field: path.to_owned(),
        message: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::response::IntoResponse;
    use http::StatusCode;
    use serde::Deserialize;
    use serde_json::{Value, json};

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        #[serde(default)]
        label: String,
        #[serde(default)]
        times: Option<u32>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Needed {
        #[expect(dead_code, reason = "only its absence is looked at")]
        label: String,
    }

    async fn refusal<T: DeserializeOwned + std::fmt::Debug>(
        text: &'static str,
    ) -> (StatusCode, Value) {
        let response = read::<T>(&Bytes::from_static(text.as_bytes()))
            .unwrap_err()
            .into_response();
        let status = response.status();
        let body = axum::body::to_bytes(response.into_body(), 4096)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stands_still_is_given_up_and_one_without_end_is_not_read() {
        use futures_util::stream;
        type Chunk = std::io::Result<Bytes>;
        let chunk = |bytes: usize| Chunk::Ok(Bytes::from(vec![b' '; bytes]));
        let stuck = stream::iter([chunk(1)]).chain(stream::pending());
        let endless = stream::repeat_with(move || chunk(1000));
        let idle = Duration::from_mins(1);

        let stuck = whole(axum::body::Body::from_stream(stuck), idle).await;
        let endless = whole(axum::body::Body::from_stream(endless), idle).await;

        let status =
            |refused: Result<Bytes, Problem>| refused.unwrap_err().into_response().status();
        assert_eq!(status(stuck), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(status(endless), StatusCode::PAYLOAD_TOO_LARGE);
    }

    #[test]
    fn no_body_is_an_empty_object() {
        assert_eq!(read::<Wanted>(&Bytes::new()).unwrap(), Wanted::default());
    }

    #[tokio::test]
    async fn an_unknown_field_is_named() {
        let (status, body) = refusal::<Wanted>(r#"{"label": "a", "colour": "red"}"#).await;

        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            body["errors"],
            json!([{"field": "colour", "message": "is unknown; expected `label` or `times`"}])
        );
    }

    #[tokio::test]
    async fn a_missing_field_is_named() {
        let (status, body) = refusal::<Needed>("{}").await;

        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            body["errors"],
            json!([{"field": "label", "message": "is missing"}])
        );
    }

    #[tokio::test]
    async fn a_field_that_is_there_twice_is_named() {
        let (status, body) = refusal::<Wanted>(r#"{"label": "a", "label": "b"}"#).await;

        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(
            body["errors"],
            json!([{"field": "label", "message": "is there twice"}])
        );
    }

    #[tokio::test]
    async fn a_field_of_the_wrong_kind_is_named() {
        let (status, body) = refusal::<Wanted>(r#"{"times": "often"}"#).await;

        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(body["errors"][0]["field"], "times");
    }

    #[tokio::test]
    async fn what_is_no_json_is_malformed() {
        for text in ["{", "[1,2", "[\"a\", 2]", "{} {}", "label=a"] {
            assert_eq!(
                refusal::<Wanted>(text).await.0,
                StatusCode::BAD_REQUEST,
                "{text}"
            );
        }
    }
}
