//! The examples of this crate say what their pages say.

use std::process::Command;

/// Runs an example, which `cargo test` builds beside its tests; answers with what it says.
fn said_by(example: &str) -> String {
    let this = std::env::current_exe().unwrap();
    let built = this.ancestors().nth(2).unwrap().join("examples");
    let output = Command::new(built.join(example)).output();
    let output = output.unwrap_or_else(|error| {
        panic!("{example}: {error}; `cargo build -p engine --examples` builds it")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_example_that_survives_a_kill_prints_what_its_page_says() {
    let said = said_by("survives_a_kill");

    assert_eq!(said, include_str!("../../examples/survives_a_kill.txt"));
}

#[test]
fn the_example_of_a_workflow_of_your_own_prints_what_its_page_says() {
    let said = said_by("a_workflow_of_your_own");

    let page = include_str!("../../examples/a_workflow_of_your_own.txt");
    assert_eq!(said, page);
}
