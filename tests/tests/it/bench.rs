//! What `wharfinger bench` measures is all there, small: the figures themselves are for a quiet machine.

use tests::{command, server};

#[tokio::test]
async fn the_figures_of_a_smart_proxy_stand_beside_what_they_must_be() {
    let folder = tempfile::tempdir().expect("a folder for a test");
    let mut bench = server::bare(server::binary());
    bench.args(["bench", "proxies", "--output", "json", "--dir"]);
    bench.arg(folder.path());
    bench.args(["--pushes", "5", "--layer-mib", "8"]);

    let told = command::run(bench).await.expect_code(0);

    let told: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    for (figure, must) in [
        ("push_to_tag_at_proxy_max", "<= 1000"),
        ("layer_pull_from_proxy_ratio", ">= 0.9"),
    ] {
        assert!(
            told[figure]["value"].as_f64() > Some(0.0),
            "{figure}: {told}"
        );
        assert_eq!(told[figure]["must"], must, "{told}");
    }
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing is left of it");
}

#[tokio::test]
async fn the_figures_of_what_happens_after_a_push_stand_beside_what_they_must_be() {
    let folder = tempfile::tempdir().expect("a folder for a test");
    let mut bench = server::bare(server::binary());
    bench.args(["bench", "lives", "--output", "json", "--dir"]);
    bench.arg(folder.path());
    bench.args(["--deleted-tags", "20", "--moved-tags", "50"]);
    bench.args(["--repositories", "10", "--blobs", "500", "--pushes", "20"]);

    let told = command::run(bench).await.expect_code(0);

    let told: serde_json::Value = serde_json::from_str(&told.stdout).expect("JSON");
    for (figure, must) in [
        ("delete", "<= 1000"),
        ("revert", "<= 1000"),
        ("promote", "<= 50"),
        ("rollback_of_an_environment", "<= 50"),
        ("rollback_in_library", "<= 50"),
        ("pattern", "<= 2000"),
        ("collecting_raises_p95", "< 1.5"),
    ] {
        assert!(
            told[figure]["value"].as_f64() > Some(0.0),
            "{figure}: {told}"
        );
        assert_eq!(told[figure]["must"], must, "{told}");
        let note = told[figure]["note"].as_str().unwrap_or_default();
        assert!(note.contains("fsync"), "{figure}: {note}");
    }
    let left = std::fs::read_dir(folder.path()).expect("a folder").count();
    assert_eq!(left, 0, "nothing is left of it");
}
