//! The examples of this crate say what they do.

use std::process::Command;

#[test]
fn the_example_that_survives_a_kill_prints_what_its_page_says() {
    let example = "survives_a_kill";
    let output = Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--locked", "-p", "engine", "--example"])
        .arg(example)
        .output()
        .unwrap();

    let said = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert_eq!(said, include_str!("../../examples/survives_a_kill.txt"));
}
