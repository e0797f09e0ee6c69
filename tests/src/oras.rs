//! The ORAS client for Python, driven by a script.

use std::path::{Path, PathBuf};

use crate::command::{self, Finished};
use crate::server;

/// Runs a script with the ORAS client in a folder; its arguments are in `sys.argv`.
pub async fn run(script: &str, folder: &Path, arguments: &[&str]) -> Finished {
    let python = python();
    assert!(
        python.is_file(),
        "{} is missing; `tests/run` makes it, or set ORAS_PYTHON to a Python that can `import oras`",
        python.display()
    );
    let mut client = server::bare(python);
    client
        .args(["-c", script])
        .args(arguments)
        .current_dir(folder)
        .env("HOME", folder);
    command::run(client).await
}

fn python() -> PathBuf {
    std::env::var_os("ORAS_PYTHON").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/clients/bin/python"),
        PathBuf::from,
    )
}
