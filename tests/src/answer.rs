//! An HTTP answer read to its end, with the questions that tests ask of it.

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// What came back: status, headers and the whole body.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The request line it answers, for the texts of failed assertions.
    pub asked: String,
    /// The HTTP status.
    pub status: u16,
    /// The headers as they came.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
}

impl Answer {
    /// Reads a response to its end.
    pub async fn read(asked: String, response: reqwest::Response) -> reqwest::Result<Self> {
        Ok(Self {
            asked,
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    /// A header's text, empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| {
            value.to_str().expect("headers of ours are text")
        })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; fails the test when it is something else.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{self} is not JSON: {error}"))
    }

    /// The code of the first OCI error in the body, empty when there is none.
    pub fn code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The message of the first OCI error in the body, empty when there is none.
    pub fn message(&self) -> String {
        self.error()["message"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }

    fn error(&self) -> Value {
        let body: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["errors"][0].clone()
    }

    /// This answer, after a check of its status.
    #[track_caller]
    pub fn expect_status(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// This answer, after a check that it is an OCI error of this status and code with a message of one line.
    #[track_caller]
    pub fn expect_refusal(self, status: u16, code: &str) -> Self {
        assert_eq!(
            (self.status, self.code().as_str()),
            (status, code),
            "{self}"
        );
        let message = self.message();
        assert!(!message.is_empty(), "{self} has no message");
        assert!(
            !message.contains('\n'),
            "{self} has a message of many lines"
        );
        self
    }

    /// This answer, after a check that it carries one `Warning` that every client can read.
    #[track_caller]
    pub fn expect_warning(self) -> Self {
        let warning = self.header("warning");
        let text = warning
            .strip_prefix("299 - \"")
            .and_then(|rest| rest.strip_suffix('"'));
        let text = text.unwrap_or_else(|| panic!("{self} has no warning of the form 299 - \"…\""));
        assert!(
            !text.is_empty() && warning.len() <= 4096,
            "{self} has a warning of no fit length"
        );
        assert!(
            !text.replace("\\\"", "").contains('"'),
            "{self} has a bare quote in its warning"
        );
        self
    }

    /// The task whose URL the `Warning` header or the body shows.
    #[track_caller]
    pub fn named_task(&self) -> String {
        let told = format!("{} {}", self.header("warning"), self.text());
        let found = told.split("/tasks/").nth(1).and_then(task_in);
        found.unwrap_or_else(|| panic!("{self} shows no URL of a task"))
    }
}

impl std::fmt::Display for Answer {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body: String = self.text().chars().take(2000).collect();
        let headers = &self.headers;
        write!(to, "{} -> {} {headers:?} {body}", self.asked, self.status)
    }
}

/// The first task id (a UUID) in a text.
pub fn task_in(text: &str) -> Option<String> {
    text.split(|c: char| !c.is_ascii_hexdigit() && c != '-')
        .find(|word| word.len() == 36 && uuid::Uuid::try_parse(word).is_ok())
        .map(str::to_owned)
}
