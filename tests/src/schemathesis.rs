//! schemathesis: asks a server all that its own document allows, and more, and holds the answers against the document.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::command;
use crate::server::{self, Server};

/// What it must not do to itself.
const HOOKS: &str = include_str!("schemathesis/hooks.py");

/// The checks that every answer must pass.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,negative_data_rejection,unsupported_method,\
    allow_header_conformance,missing_required_header,use_after_free,ensure_resource_availability,ignored_auth";

/// Streams go on for minutes: they have tests of their own.
const STREAMS: &str = "tasks.events";

/// Two runs ask the same.
const SEED: &str = "20260704";

/// How many requests are made up for one operation and phase.
const EXAMPLES: &str = "20";

/// Thousands of requests take about a minute where nothing else runs, and several beside other tests on a slow machine.
const LIMIT: Duration = Duration::from_mins(15);

/// What a run has done.
#[derive(Debug)]
pub struct Report {
    /// How many operations were asked.
    pub operations: u64,
    /// How many requests were made up.
    pub cases: u64,
}

/// Asks as that user. Fails the test, with all that schemathesis says, if any answer is not as documented.
pub async fn run(server: &Server, login: &str, password: &str) -> Report {
    let program = program();
    assert!(
        program.is_file(),
        "{} is missing; `tests/run` makes it, or set SCHEMATHESIS",
        program.display()
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (hooks, report) = (
        folder.path().join("hooks.py"),
        folder.path().join("report.json"),
    );
    std::fs::write(&hooks, HOOKS).expect("a file in a temporary folder");
    let mut client = server::bare(program);
    client
        .args(["--no-color", "run"])
        .arg(format!("http://{}/api/openapi.json", server.host()))
        .args(["--auth", &format!("{login}:{password}")])
        .args(["--checks", CHECKS])
        .args(["--phases", "coverage,fuzzing,stateful"])
        .args(["--seed", SEED])
        .args(["--max-examples", EXAMPLES])
        .args(["--exclude-operation-id", STREAMS])
        .args([
            "--generation-database",
            "none",
            "--no-shrink",
            "--warnings",
            "off",
        ])
        .args(["--request-timeout", "60", "--continue-on-failure"])
        .args(["--report", "json", "--report-json-path"])
        .arg(&report)
        .current_dir(folder.path())
        .env("HOME", folder.path())
        .env("SCHEMATHESIS_HOOKS", &hooks)
        .env("RUN_AS", login);

    let done = command::run_within(LIMIT, client).await.expect_code(0);

    println!("{}", done.stdout);
    read(&report)
}

fn read(report: &Path) -> Report {
    let text = std::fs::read_to_string(report).expect("schemathesis writes its report");
    let report: Value = serde_json::from_str(&text).expect("a report in JSON");
    let number = |at: &str| report.pointer(at).and_then(Value::as_u64);
    Report {
        operations: number("/operations/tested").expect("how many operations were tested"),
        cases: number("/test_cases/generated").expect("how many requests were made up"),
    }
}

fn program() -> PathBuf {
    std::env::var_os("SCHEMATHESIS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/bin/schemathesis"),
        PathBuf::from,
    )
}
