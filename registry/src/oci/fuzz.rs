//! Paths and ranges, as strangers write them.

use axum::response::IntoResponse as _;
use http::{Method, StatusCode, Uri};

use super::range::{self, Wanted as Part};
use super::request::{OciRequest, Page, Reference, Referrers, Start, Wanted};
use crate::fuzz::text;

const DIGESTS: [&str; 2] = [
    "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha512:cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce\
     47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e",
];
const UPLOAD: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// An input is a method, a blank and what follows the host in the URL; `{digest}`, `{sha512}` and `{upload}` stand for
/// what nobody guesses.
pub(crate) fn path(input: &[u8]) {
    let input = text(input)
        .replace("{digest}", DIGESTS[0])
        .replace("{sha512}", DIGESTS[1])
        .replace("{upload}", UPLOAD);
    let Some((method, uri)) = input.split_once(' ') else {
        return;
    };
    let (Ok(method), Ok(uri)) = (method.parse::<Method>(), uri.parse::<Uri>()) else {
        return;
    };
    match OciRequest::parse(&method, &uri) {
        Ok(request) => {
            if let OciRequest::Repository { name, .. } = &request {
                is_a_name(name.as_str());
                assert!(uri.path().contains(name.as_str()), "taken as it stands");
            }
            let _ = (request.route(), request.is_of_an_upload_session());
            let (method, printed) = printed(&request);
            let printed_uri = printed.parse().expect("a printed URL is one");
            let again = OciRequest::parse(&method, &printed_uri);
            assert_eq!(
                again.expect("a printed request is read"),
                request,
                "{printed}"
            );
        }
        Err(refusal) => {
            let status = refusal.into_response().status();
            assert!(status.is_client_error(), "{status}");
            assert_ne!(status, StatusCode::UNAUTHORIZED, "nobody was asked yet");
        }
    }
}

fn is_a_name(name: &str) {
    let may_stand =
        |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || "./_-".contains(char);
    assert!(name.len() <= 255 && name.chars().all(may_stand), "{name}");
    for part in name.split('/') {
        assert!(
            part.starts_with(|char: char| char.is_ascii_alphanumeric()),
            "{name}"
        );
        assert!(
            part.ends_with(|char: char| char.is_ascii_alphanumeric()),
            "{name}"
        );
        assert!(!part.contains(".."), "{name}");
    }
}

/// The request as a client would write it.
fn printed(request: &OciRequest) -> (Method, String) {
    match request {
        OciRequest::Version => (Method::GET, "/v2/".to_owned()),
        OciRequest::Token { service, scopes } => {
            let mut query = Query::default();
            query.all("service", service);
            query.all("scope", scopes.iter().flatten());
            (Method::GET, query.of("/v2/token"))
        }
        OciRequest::TokenKeys => (Method::GET, "/v2/token/keys".to_owned()),
        OciRequest::Catalog(page) => (Method::GET, Query::page(page).of("/v2/_catalog")),
        OciRequest::Repository { name, wanted } => {
            let (method, rest) = printed_behind_the_name(wanted);
            (method, format!("/v2/{name}/{rest}"))
        }
    }
}

fn printed_behind_the_name(wanted: &Wanted) -> (Method, String) {
    let at = |reference: &Reference| format!("manifests/{reference}");
    match wanted {
        Wanted::DeleteBlob(digest) => (Method::DELETE, format!("blobs/{digest}")),
        Wanted::HeadBlob(digest) => (Method::HEAD, format!("blobs/{digest}")),
        Wanted::GetBlob(digest) => (Method::GET, format!("blobs/{digest}")),
        Wanted::StartUpload(start) => {
            let mut query = Query::default();
            match start {
                Start::Session(algorithm) => query.all("digest-algorithm", [algorithm]),
                Start::Whole(digest) => query.all("digest", [digest]),
                Start::Mount { digest, from } => {
                    query.all("mount", [digest]);
                    query.all("from", from);
                }
            }
            (Method::POST, query.of("blobs/uploads/"))
        }
        Wanted::UploadStatus(id) => (Method::GET, format!("blobs/uploads/{id}")),
        Wanted::AppendUpload(id) => (Method::PATCH, format!("blobs/uploads/{id}")),
        Wanted::FinishUpload(id, digest) => {
            (Method::PUT, format!("blobs/uploads/{id}?digest={digest}"))
        }
        Wanted::CancelUpload(id) => (Method::DELETE, format!("blobs/uploads/{id}")),
        Wanted::HeadManifest(reference) => (Method::HEAD, at(reference)),
        Wanted::GetManifest(reference) => (Method::GET, at(reference)),
        Wanted::PutManifest(reference) => (Method::PUT, at(reference)),
        Wanted::DeleteManifest(reference) => (Method::DELETE, at(reference)),
        Wanted::TagManifest(digest, tags) => {
            let mut query = Query::default();
            query.all("tag", tags);
            (Method::PUT, query.of(&format!("manifests/{digest}")))
        }
        Wanted::ListTags(page) => (Method::GET, Query::page(page).of("tags/list")),
        Wanted::ListReferrers(subject, referrers) => {
            let Referrers {
                artifact_type,
                n,
                last,
            } = &**referrers;
            let mut query = Query::default();
            query.all("artifactType", artifact_type);
            query.all("n", n);
            query.all("last", last);
            (Method::GET, query.of(&format!("referrers/{subject}")))
        }
    }
}

/// A query that is being written.
#[derive(Default)]
struct Query(Vec<String>);

impl Query {
    fn page(page: &Page) -> Self {
        let mut query = Self::default();
        query.all("n", page.n);
        query.all("last", &page.last);
        query
    }

    fn all(&mut self, name: &str, values: impl IntoIterator<Item = impl ToString>) {
        for value in values {
            let encoded = value
                .to_string()
                .bytes()
                .map(percent_encoded)
                .collect::<String>();
            self.0.push(format!("{name}={encoded}"));
        }
    }

    fn of(self, path: &str) -> String {
        format!("{path}?{}", self.0.join("&"))
    }
}

fn percent_encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() {
        char::from(byte).to_string()
    } else {
        format!("%{byte:02X}")
    }
}

/// An input is the size of a blob, a line end and the value of `Range` or `Content-Range`.
pub(crate) fn range(input: &[u8]) {
    let input = text(input);
    let (size, value) = input.split_once('\n').unwrap_or(("10", &input));
    let size = size.parse().unwrap_or(u64::MAX);
    for size in [size, 0, 1] {
        match range::wanted(Some(value), size) {
            Part::Whole | Part::Beyond => {}
            Part::Part(part) => {
                assert!(part.start < part.end && part.end <= size, "{part:?}");
                let printed = format!("bytes={}-{}", part.start, part.end - 1);
                assert_eq!(range::wanted(Some(&printed), size), Part::Part(part));
            }
        }
    }
    match range::sent(value) {
        Ok((first, length)) => {
            let last = first
                .checked_add(length - 1)
                .expect("its last byte has a number");
            assert_eq!(
                range::sent(&format!("{first}-{last}")).ok(),
                Some((first, length))
            );
        }
        Err(refusal) => assert_eq!(refusal.wire().0, StatusCode::BAD_REQUEST),
    }
}
