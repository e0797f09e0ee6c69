//! A domain of a Pulp whose web server lets only certificates of an authority in.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tempfile::TempDir;
use tests::authority::Authority;
use tests::image::{Image, Index};
use tests::pulp::{Pulp, Which};
use tests::server::{self, Server};
use tests::wait::{self, SOON};
use tests::{digest, noise};
use tokio::net::TcpStream;
use tokio::process::Child;

const NAME: &str = "default_organization/tools/app";

/// Who comes by the web server is whom that names.
const SETTINGS: &str = r#"
DOMAIN_ENABLED = True
REMOTE_USER_ENVIRON_NAME = "HTTP_REMOTE_USER"
AUTHENTICATION_BACKENDS = [
    "pulpcore.app.authentication.PulpNoCreateRemoteUserBackend",
    "django.contrib.auth.backends.ModelBackend",
    "pulpcore.backends.ObjectRolePermissionBackend",
]
REST_FRAMEWORK__DEFAULT_AUTHENTICATION_CLASSES = [
    "pulpcore.app.authentication.PulpRemoteUserAuthentication",
    "pulpcore.app.authentication.BasicAuthentication",
    "rest_framework.authentication.SessionAuthentication",
]
"#;

/// nginx before Pulp. Dropping it ends it and removes its folder.
struct WebServer {
    home: TempDir,
    port: u16,
    _process: Child,
}

impl WebServer {
    async fn before(pulp: &Pulp) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        let port = server::free_port();
        let authority = Authority::new();
        authority.renew_in(home.path());
        let (certificate, key) = authority.sign_client("wharfinger");
        let files = [
            ("ca.crt", authority.pem()),
            ("client.crt", certificate),
            ("client.key", key),
            ("nginx.conf", configuration(home.path(), port, &pulp.url)),
        ];
        for (name, text) in files {
            fs::write(home.path().join(name), text).expect("a file of ours");
        }
        let mut nginx = server::bare("nginx");
        let at = home.path().display().to_string();
        nginx
            .args(["-e", "stderr", "-p", &at, "-c", "nginx.conf"])
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let process = nginx.spawn().expect("`tests/run` installs nginx");
        wait::until("nginx listens", SOON, async || {
            TcpStream::connect(("127.0.0.1", port)).await.ok()
        })
        .await;
        Self {
            home,
            port,
            _process: process,
        }
    }

    fn file(&self, name: &str) -> String {
        self.home.path().join(name).display().to_string()
    }
}

fn configuration(home: &Path, port: u16, pulp: &str) -> String {
    let tmp = home.display();
    format!(
        "user root;
daemon off;
pid {tmp}/nginx.pid;
error_log stderr;
events {{ }}
http {{
    access_log off;
    client_body_temp_path {tmp}/body;
    proxy_temp_path {tmp}/proxy;
    fastcgi_temp_path {tmp}/fastcgi;
    uwsgi_temp_path {tmp}/uwsgi;
    scgi_temp_path {tmp}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {tmp}/tls.crt;
        ssl_certificate_key {tmp}/tls.key;
        ssl_client_certificate {tmp}/ca.crt;
        ssl_verify_client on;
        client_max_body_size 0;
        location / {{
            proxy_pass {pulp};
            proxy_set_header Host $http_host;
            proxy_set_header Remote-User admin;
            proxy_request_buffering off;
        }}
    }}
}}
"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_lies_in_a_domain_of_a_pulp_that_knows_us_by_a_certificate() {
    let settings = [
        ("WHARFINGER_PULP_EXTRA_SETTINGS", SETTINGS),
        ("WHARFINGER_PULP_WORKERS", "1"),
        ("WHARFINGER_PULP_FAST", "1"),
    ];
    let pulp = Pulp::start("domains", Which::Newest, 19_870, &settings).await;
    let name = format!("d{:x}", noise::unique());
    let domain = json!({
        "name": name,
        "storage_class": "pulpcore.app.models.storage.FileSystem",
        "storage_settings": {"location": pulp.folder(&name)},
    });
    let domains = "/pulp/default/api/v3/domains/";
    let (status, made) = pulp.ask_at(Method::POST, domains, Some(&domain)).await;
    assert_eq!(status, StatusCode::CREATED, "{made}");
    let before = WebServer::before(&pulp).await;
    let options = [
        "--content-backend=pulp".to_owned(),
        format!("--content-url=https://127.0.0.1:{}", before.port),
        format!("--content-domain={name}"),
        format!("--content-client-cert={}", before.file("client.crt")),
        format!("--content-client-key={}", before.file("client.key")),
        format!("--content-ca-file={}", before.file("ca.crt")),
        "--push-wait=120s".to_owned(),
    ];
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let server = Server::start_with(&options).await;
    let (oci, rest) = (server.oci(), server.rest());
    let ready = rest.try_get("/readyz").await.unwrap();
    assert_eq!(ready.status, 200, "{ready}");
    let (image, index) = (
        Image::small(noise::unique()),
        Index::two_platforms(noise::unique()),
    );

    oci.push(NAME, "latest", &image).await.expect_status(201);
    oci.push_index(NAME, "index", &index)
        .await
        .expect_status(201);

    for tag in ["latest", "index"] {
        let push = rest.only_push_of(NAME, tag).await;
        assert_eq!(push["result"], "success", "{push}");
    }
    oci.assert_pullable(NAME, "latest", &image).await;
    for part in index.images.iter().flat_map(Image::blobs) {
        let pulled = oci.pull_blob(NAME, &digest::of(part)).await;
        assert_eq!(pulled.0, digest::of(part));
    }
    for (domain, repositories) in [(name.as_str(), 2), ("default", 0)] {
        let path = format!("/pulp/{domain}/api/v3/repositories/");
        let (_, found) = pulp.ask_at(Method::GET, &path, None).await;
        assert_eq!(found["count"], repositories, "{domain}: {found}");
    }
    pulp.stop().await;
}
