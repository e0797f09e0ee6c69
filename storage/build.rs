//! Builds again when a migration is added: the macro that embeds them sees only the files it once read.

fn main() {
    println!("cargo::rerun-if-changed=migrations");
}
