//! The ORAS client for Python: an artifact, and another one about it.

use tests::oras;
use tests::server::{ADMIN, ADMIN_PASSWORD, Server};

/// Pushes a file, pulls it back, attaches a file to it, and prints the tags and the referrers.
const SCRIPT: &str = r#"
import json, os, pathlib, sys
import oras.client, oras.oci
host, login, password = sys.argv[1:]
name = f"{host}/default_organization/oras/artifact"
client = oras.client.OrasClient(hostname=host, insecure=True, auth_backend="token")
client.auth.set_basic_auth(login, password)
pathlib.Path("ware.txt").write_text("the ware")
pathlib.Path("sbom.json").write_text("{}")
pushed = client.push(target=f"{name}:v1", files=["ware.txt:text/plain"], manifest_annotations={"by": "oras"})
chunked = client.push(target=f"{name}:v2", files=["ware.txt:text/plain"], do_chunked=True, chunk_size=3)
os.makedirs("back")
pulled = client.pull(target=f"{name}:v1", outdir="back")
subject = oras.oci.Subject(
    mediaType="application/vnd.oci.image.manifest.v1+json",
    digest=pushed.headers["Docker-Content-Digest"],
    size=int(client.do_request(f"http://{host}/v2/default_organization/oras/artifact/manifests/v1", "HEAD",
        headers={"Accept": "*/*"}).headers["Content-Length"]),
)
attached = client.push(target=f"{name}:sbom", files=["sbom.json:application/json"], subject=subject)
index = client.do_request(f"http://{host}/v2/default_organization/oras/artifact/referrers/{subject.digest}", "GET")
print(json.dumps({
    "statuses": [pushed.status_code, chunked.status_code, attached.status_code],
    "tags": client.get_tags(name),
    "pulled": [pathlib.Path(path).read_text() for path in pulled],
    "subject": subject.digest,
    "oci_subject": attached.headers.get("OCI-Subject"),
    "content_type": index.headers["Content-Type"],
    "referrers": [listed["digest"] for listed in index.json()["manifests"]],
    "attached": attached.headers["Docker-Content-Digest"],
}))
"#;

#[tokio::test]
async fn oras_pushes_an_artifact_attaches_another_and_lists_it_as_a_referrer() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();

    let host = server.host();
    let done = oras::run(SCRIPT, folder.path(), &[&host, ADMIN, ADMIN_PASSWORD]).await;

    let done = done.expect_code(0);
    let last = done.stdout.lines().last().unwrap_or_default();
    let told: serde_json::Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{done}"));
    assert_eq!(told["statuses"], serde_json::json!([201, 201, 201]));
    assert_eq!(told["tags"], serde_json::json!(["sbom", "v1", "v2"]));
    assert_eq!(told["pulled"], serde_json::json!(["the ware"]));
    assert_eq!(told["oci_subject"], told["subject"]);
    assert_eq!(
        told["content_type"],
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(told["referrers"], serde_json::json!([told["attached"]]));
}
