//! Reads a JSON body, and names every field that is wrong.

use axum::extract::{FromRequest, Request};
use bytes::Bytes;
use http_body_util::LengthLimitError;
use serde::de::DeserializeOwned;

use super::problem::{Kind, Problem, WrongField};

/// No body of this API is larger: manifests and layers do not pass here.
const MAX_BODY_BYTES: usize = 256 * 1024;

/// A body whose fields are all known and of the right kind; no body at all reads as `{}`.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let bytes = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES)
            .await
            .map_err(|error| {
                if is_too_large(&error) {
                    Problem::new(
                        Kind::TooLarge,
                        format!("the body is larger than {MAX_BODY_BYTES} bytes"),
                    )
                } else {
                    Problem::new(Kind::Malformed, "the body broke off")
                }
            })?;
        read(&bytes).map(Self)
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<LengthLimitError>)
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
    if text.starts_with("missing field") {
        return WrongField {
            field: quoted,
            message: "is missing".to_owned(),
        };
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
