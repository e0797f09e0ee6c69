//! What strangers' bytes may do to what reads them: nothing.
//!
//! Each target reads one input and panics when a promise is broken. `tests/fuzz` calls them with inputs that `libFuzzer`
//! makes up; the test below with the kept ones, among them every input that ever broke a promise.

mod manifest;
mod search;

/// Reads one input, and panics when a promise is broken.
pub type Check = Box<dyn Fn(&[u8])>;

/// Something that reads strangers' bytes.
#[derive(Debug)]
pub struct Target {
    /// What it is called, also its folder of inputs.
    pub name: &'static str,
    /// Prepares what its check needs.
    pub start: fn() -> Check,
}

/// All there are.
pub const TARGETS: &[Target] = &[
    Target {
        name: "manifest",
        start: manifest::start,
    },
    Target {
        name: "path",
        start: || Box::new(crate::oci::fuzz::path),
    },
    Target {
        name: "range",
        start: || Box::new(crate::oci::fuzz::range),
    },
    Target {
        name: "search",
        start: search::start,
    },
    Target {
        name: "token",
        start: crate::auth::fuzz::start,
    },
];

/// The input as text: bytes that are none become the sign for that.
pub(crate) fn text(input: &[u8]) -> String {
    String::from_utf8_lossy(input).into_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;

    /// The inputs of a target: those that reach most of it, and those that once broke a promise.
    fn kept(folder: &str, target: &str) -> Vec<PathBuf> {
        let inputs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz");
        let folder = inputs.join(folder).join(target);
        let files = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{folder:?}: {error}"));
        files.map(|file| file.unwrap().path()).collect()
    }

    #[test]
    fn no_kept_input_breaks_a_promise() {
        for target in TARGETS {
            let check = (target.start)();
            let corpus = kept("corpus", target.name);
            assert!(!corpus.is_empty(), "{} has no corpus", target.name);

            for file in corpus.into_iter().chain(kept("regressions", target.name)) {
                println!("{}", file.display());
                check(&fs::read(&file).unwrap());
            }
        }
    }

    #[test]
    fn every_folder_of_inputs_belongs_to_a_target() {
        for folder in ["corpus", "regressions"] {
            for target in kept(folder, "") {
                let name = target.file_name().unwrap().to_str().unwrap();
                assert!(TARGETS.iter().any(|target| target.name == name), "{name}");
            }
        }
    }
}
