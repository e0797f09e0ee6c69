use super::*;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const UPLOAD: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

fn parse(method: &Method, path: &str) -> Result<OciRequest, OciError> {
    let path = path.replace("{digest}", DIGEST).replace("{upload}", UPLOAD);
    OciRequest::parse(method, &path.parse().unwrap())
}

fn refusal(method: &Method, path: &str) -> (u16, &'static str) {
    let (status, code) = parse(method, path).unwrap_err().wire();
    (status.as_u16(), code)
}

fn digest() -> Digest {
    DIGEST.parse().unwrap()
}

fn tag(text: &str) -> Reference {
    Reference::Tag(text.parse().unwrap())
}

#[test]
#[rustfmt::skip]
fn every_route_is_known_by_method_and_path() {
    let upload: UploadId = UPLOAD.parse().unwrap();
    let mount = Start::Mount { digest: digest(), from: Some("acme/other".to_owned()) };
    let referrers = |artifact_type: Option<&str>, n, last| {
        let artifact_type = artifact_type.map(str::to_owned);
        Box::new(Referrers { artifact_type, n, last })
    };
    let (all, unencoded) = (referrers(None, None, None), referrers(Some("a/b+json"), None, None));
    let filtered = referrers(Some("a/b"), Some(2), Some(digest()));
    let rows = [
        (Method::HEAD,   "blobs/{digest}", Wanted::HeadBlob(digest())),
        (Method::GET,    "blobs/{digest}", Wanted::GetBlob(digest())),
        (Method::POST,   "blobs/uploads/", Wanted::StartUpload(Start::Session(Algorithm::Sha256))),
        (Method::POST,   "blobs/uploads", Wanted::StartUpload(Start::Session(Algorithm::Sha256))),
        (Method::POST,   "blobs/uploads/?digest-algorithm=sha512", Wanted::StartUpload(Start::Session(Algorithm::Sha512))),
        (Method::POST,   "blobs/uploads/?digest={digest}", Wanted::StartUpload(Start::Whole(digest()))),
        (Method::POST,   "blobs/uploads/?mount={digest}&from=acme%2Fother", Wanted::StartUpload(mount)),
        (Method::GET,    "blobs/uploads/{upload}", Wanted::UploadStatus(upload)),
        (Method::PATCH,  "blobs/uploads/{upload}", Wanted::AppendUpload(upload)),
        (Method::PUT,    "blobs/uploads/{upload}?_state=x&digest={digest}", Wanted::FinishUpload(upload, digest())),
        (Method::DELETE, "blobs/uploads/{upload}", Wanted::CancelUpload(upload)),
        (Method::DELETE, "blobs/{digest}", Wanted::DeleteBlob(digest())),
        (Method::DELETE, "manifests/latest", Wanted::DeleteManifest(tag("latest"))),
        (Method::DELETE, "manifests/{digest}", Wanted::DeleteManifest(Reference::Digest(digest()))),
        (Method::HEAD,   "manifests/latest", Wanted::HeadManifest(tag("latest"))),
        (Method::GET,    "manifests/latest", Wanted::GetManifest(tag("latest"))),
        (Method::PUT,    "manifests/latest", Wanted::PutManifest(tag("latest"))),
        (Method::PUT,    "manifests/{digest}", Wanted::PutManifest(Reference::Digest(digest()))),
        (Method::PUT,    "manifests/latest?tag=ignored", Wanted::PutManifest(tag("latest"))),
        (Method::PUT,    "manifests/{digest}?tag=1.2&tag=1&tag=1.2", Wanted::TagManifest(digest(), vec!["1.2".parse().unwrap(), "1".parse().unwrap()])),
        (Method::GET,    "referrers/{digest}", Wanted::ListReferrers(digest(), all)),
        (Method::GET,    "referrers/{digest}?artifactType=a%2Fb&n=2&last={digest}", Wanted::ListReferrers(digest(), filtered)),
        (Method::GET,    "referrers/{digest}?artifactType=a/b+json", Wanted::ListReferrers(digest(), unencoded)),
        (Method::GET,    "tags/list", Wanted::ListTags(Page { n: None, last: None })),
        (Method::GET,    "tags/list?n=2&last=1.0", Wanted::ListTags(Page { n: Some(2), last: Some("1.0".to_owned()) })),
    ];
    for (method, path, wanted) in rows {
        let name = "acme/tools/busybox".parse().unwrap();
        let parsed = parse(&method, &format!("/v2/acme/tools/busybox/{path}")).unwrap();
        assert_eq!(parsed, OciRequest::Repository { name, wanted }, "{method} {path}");
    }
    for path in ["/v2", "/v2/"] {
        assert_eq!(parse(&Method::GET, path).unwrap(), OciRequest::Version);
    }
    let page = Page { n: Some(5), last: Some("a/b".to_owned()) };
    assert_eq!(parse(&Method::GET, "/v2/_catalog?n=5&last=a/b").unwrap(), OciRequest::Catalog(page));
}

#[test]
fn a_digest_in_a_query_may_be_percent_encoded() {
    let path = format!(
        "/v2/acme/busybox/blobs/uploads/?digest={}",
        DIGEST.replace(':', "%3A")
    );

    let parsed = parse(&Method::POST, &path).unwrap();

    assert_eq!(
        parsed,
        OciRequest::Repository {
            name: "acme/busybox".parse().unwrap(),
            wanted: Wanted::StartUpload(Start::Whole(digest())),
        }
    );
}

#[test]
fn a_token_is_asked_for_with_several_scopes_or_none() {
    let none = parse(&Method::GET, "/v2/token?service=hub&account=bob").unwrap();
    let two = "/v2/token?scope=repository%3Aa%2Fb%3Apull&scope=c";
    let two = parse(&Method::GET, two).unwrap();

    let service = Some("hub".to_owned());
    let scopes = Some(vec!["repository:a/b:pull".to_owned(), "c".to_owned()]);
    assert_eq!(
        none,
        OciRequest::Token {
            service,
            scopes: None
        }
    );
    assert_eq!(
        two,
        OciRequest::Token {
            service: None,
            scopes
        }
    );
}

#[test]
fn a_name_may_hold_the_words_of_the_routes() {
    let request = parse(
        &Method::GET,
        "/v2/acme/blobs/uploads/manifests/manifests/list",
    );

    assert_eq!(
        request.unwrap(),
        OciRequest::Repository {
            name: "acme/blobs/uploads/manifests".parse().unwrap(),
            wanted: Wanted::GetManifest(tag("list")),
        }
    );
}

#[test]
fn the_log_calls_a_request_by_what_it_does() {
    let put = parse(&Method::PUT, "/v2/acme/busybox/manifests/latest").unwrap();

    assert_eq!(put.route(), "oci.put_manifest");
}

#[test]
#[rustfmt::skip]
fn what_cannot_be_is_refused_with_the_code_of_its_kind() {
    let rows = [
        (Method::GET,    "/v2/acme/Busybox/tags/list", 400, "NAME_INVALID"),
        (Method::GET,    "/v2/busybox/tags/list", 400, "NAME_INVALID"),
        (Method::GET,    "/v2/acme/../busybox/tags/list", 400, "NAME_INVALID"),
        (Method::GET,    "/v2/acme/%2e%2e/busybox/tags/list", 400, "NAME_INVALID"),
        (Method::GET,    "/v2/acme%2Fbusybox/tags/list", 400, "NAME_INVALID"),
        (Method::PUT,    "/v2/acme/busybox/manifests/.tag", 400, "NAME_INVALID"),
        (Method::GET,    "/v2/acme/busybox/manifests/.tag", 404, "MANIFEST_UNKNOWN"),
        (Method::GET,    "/v2/acme/busybox/manifests/sha256:12", 400, "DIGEST_INVALID"),
        (Method::GET,    "/v2/acme/busybox/blobs/sha256:12", 400, "DIGEST_INVALID"),
        (Method::GET,    "/v2/acme/busybox/blobs/12", 400, "DIGEST_INVALID"),
        (Method::PATCH,  "/v2/acme/busybox/blobs/uploads/nobody", 404, "BLOB_UPLOAD_UNKNOWN"),
        (Method::PUT,    "/v2/acme/busybox/blobs/uploads/{upload}", 400, "DIGEST_INVALID"),
        (Method::PATCH, "/v2/acme/busybox/manifests/latest", 405, "UNSUPPORTED"),
        (Method::PUT, "/v2/acme/busybox/blobs/{digest}", 405, "UNSUPPORTED"),
        (Method::GET,    "/v2/acme/busybox/blobs/uploads/", 405, "UNSUPPORTED"),
        (Method::POST,   "/v2/acme/busybox/blobs/uploads/{upload}", 405, "UNSUPPORTED"),
        (Method::POST,   "/v2/acme/busybox/tags/list", 405, "UNSUPPORTED"),
        (Method::POST,   "/v2/token", 405, "UNSUPPORTED"),
        (Method::POST,   "/v2/", 405, "UNSUPPORTED"),
        (Method::GET,    "/v2/acme/busybox/tags/list?n=many", 400, "PAGINATION_NUMBER_INVALID"),
        (Method::GET,    "/v2/_catalog?n=-1", 400, "PAGINATION_NUMBER_INVALID"),
        (Method::POST,   "/v2/_catalog", 405, "UNSUPPORTED"),
        (Method::GET,    "/v2/acme/busybox/referrers/latest", 400, "DIGEST_INVALID"),
        (Method::PUT,    "/v2/acme/busybox/referrers/{digest}", 405, "UNSUPPORTED"),
        (Method::PUT,    "/v2/acme/busybox/manifests/{digest}?tag=.no", 400, "NAME_INVALID"),
        (Method::POST,   "/v2/acme/busybox/blobs/uploads/?digest-algorithm=md5", 400, "DIGEST_INVALID"),
        (Method::GET,    "/v2/acme/busybox", 404, "UNSUPPORTED"),
        (Method::GET,    "/v2/tags/list", 404, "UNSUPPORTED"),
    ];
    for (method, path, status, code) in rows {
        assert_eq!(refusal(&method, path), (status, code), "{method} {path}");
    }
}

#[test]
fn more_tags_than_anybody_gives_one_image_are_refused() {
    let tags = |count: usize| {
        let tags: Vec<String> = (0..count).map(|n| format!("tag=v{n}")).collect();
        format!("/v2/acme/busybox/manifests/{{digest}}?{}", tags.join("&"))
    };

    assert!(parse(&Method::PUT, &tags(MAX_TAGS)).is_ok());
    let refused = refusal(&Method::PUT, &tags(MAX_TAGS + 1));
    assert_eq!(refused, (414, "SIZE_INVALID"));
}
