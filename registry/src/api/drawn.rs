//! Pictures as answers: the same one as SVG, for Graphviz, for Mermaid, and as lines for a terminal.

use std::marker::PhantomData;

use axum::extract::FromRequestParts;
use axum::response::{IntoResponse, Response};
use engine::draw::{self, Picture};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::answer::Format;
use super::openapi::{Answers, Operation, Reads};
use super::problem::Problem;

/// An SVG is a document of its own: it has its style, and nothing in it runs, loads or leads away, whatever a name in it says.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
/// It is asked for again each time, and not sent again if it is the same.
const CACHING: &str = "private, no-cache";

/// A language in which pictures are written.
pub(super) trait Language: Format {
    /// The picture in it.
    fn write(picture: &Picture) -> String;
}

/// For browsers and pages.
pub(super) struct Svg;

impl Format for Svg {
    const MEDIA_TYPE: &'static str = "image/svg+xml";
    const ABOUT: &'static str =
        "The picture, by day and by night. A very large one is drawn in part, and says so.";
}

impl Language for Svg {
    fn write(picture: &Picture) -> String {
        draw::svg(picture)
    }
}

/// For `dot -Tsvg`.
pub(super) struct Graphviz;

impl Format for Graphviz {
    const MEDIA_TYPE: &'static str = "text/vnd.graphviz; charset=utf-8";
    const ABOUT: &'static str = "The steps as a graph of Graphviz.";
}

impl Language for Graphviz {
    fn write(picture: &Picture) -> String {
        draw::dot(picture)
    }
}

/// For pages that draw it themselves.
pub(super) struct Mermaid;

impl Format for Mermaid {
    const MEDIA_TYPE: &'static str = "text/vnd.mermaid; charset=utf-8";
    const ABOUT: &'static str = "The steps as a diagram of Mermaid.";
}

impl Language for Mermaid {
    fn write(picture: &Picture) -> String {
        draw::mermaid(picture)
    }
}

/// For a terminal.
pub(super) struct Lines;

impl Format for Lines {
    const MEDIA_TYPE: &'static str = "text/plain; charset=utf-8";
    const ABOUT: &'static str = "A line for each step, with the lines between them.";
}

impl Language for Lines {
    fn write(picture: &Picture) -> String {
        draw::terminal(picture)
    }
}

/// What the caller still has of earlier answers.
pub(super) struct Kept(HeaderMap);

impl<S: Send + Sync> FromRequestParts<S> for Kept {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        Ok(Self(parts.headers.clone()))
    }
}

impl Reads for Kept {
    fn read(operation: &mut Operation) {
        let about = "The `ETag` of a picture that the caller still has.";
        operation.takes_header("If-None-Match", about, &json!({ "type": "string" }));
    }
}

impl Kept {
    fn has(&self, tag: &str) -> bool {
        let all = self.0.get_all(IF_NONE_MATCH).iter();
        let all = all
            .filter_map(|it| it.to_str().ok())
            .flat_map(|it| it.split(','));
        all.map(str::trim)
            .any(|it| it == "*" || it.strip_prefix("W/").unwrap_or(it) == tag)
    }
}

/// 200 with the picture in that language; 304 if the caller has it.
pub(super) struct Drawn<L> {
    text: Option<String>,
    tag: String,
    language: PhantomData<L>,
}

impl<L: Language> Drawn<L> {
    /// The picture for who has kept that.
    pub(super) fn of(picture: &Picture, kept: &Kept) -> Self {
        let text = L::write(picture);
        // Of the bytes themselves: what a picture shows depends on more than the task's own number.
        let digest = Sha256::digest(text.as_bytes());
        let tag = format!("\"{}\"", hex::encode(&digest[..16]));
        Self {
            text: (!kept.has(&tag)).then_some(text),
            tag,
            language: PhantomData,
        }
    }
}

impl<L: Format> IntoResponse for Drawn<L> {
    fn into_response(self) -> Response {
        let caching = [(ETAG, self.tag.as_str()), (CACHE_CONTROL, CACHING)];
        let Some(text) = self.text else {
            return (StatusCode::NOT_MODIFIED, caching).into_response();
        };
        let headers = [
            (CONTENT_TYPE, L::MEDIA_TYPE),
            (CONTENT_SECURITY_POLICY, POLICY),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (caching, headers, text).into_response()
    }
}

impl<L: Format> Answers for Drawn<L> {
    fn answer(operation: &mut Operation) {
        let about = "Stands for exactly this picture.";
        operation.answers_text(200, L::ABOUT, L::MEDIA_TYPE);
        operation.with_header(200, "ETag", about);
        operation.answers_nothing(304, "The caller has it.");
        operation.with_header(304, "ETag", about);
    }
}
