//! The pictures of `docs/pictures`: made of what is declared, so that they cannot tell of a step or a state that is not there.

use std::fs;
use std::io;
use std::path::Path;

use engine::draw::{self, Imagined, Picture};
use engine::workflow::{DeclarationError, Workflow as _};
use workflows::push::Push;

/// A push whose copy has failed, as `docs/operate/tasks.md` tells of it.
#[rustfmt::skip]
const PAUSED: &[(&str, &str, &str, usize)] = &[
    ("authorize",              "success", "success, 4 ms",     0),
    ("forward",                "success", "success, 12 ms",    0),
    ("locate_push_repository", "success", "success, 3 ms",     0),
    ("ensure_product",         "success", "success, 5 ms",     0),
    ("copy",                   "error",   "error, 5 attempts", 5),
];

/// Each picture with the name of its file.
pub(super) fn all() -> Result<Vec<(String, String)>, DeclarationError> {
    let declared = workflows::all(workflows::Backend::Embedded)?.declared();
    let mut all = vec![
        ("states-of-a-step".to_owned(), draw::step_states()),
        ("states-of-a-plan".to_owned(), draw::plan_states()),
    ];
    for workflow in declared.iter().filter(|it| it.name == Push::NAME) {
        let picture = draw::workflow(workflow.name, &workflow.steps);
        all.push(("a-paused-push".to_owned(), paused(&picture)));
        all.push(("the-steps-of-a-push".to_owned(), picture));
    }
    let drawn = all
        .iter()
        .map(|(name, picture)| (format!("{name}.svg"), draw::svg(picture)));
    Ok(drawn.collect())
}

fn paused(push: &Picture) -> Picture {
    let steps = PAUSED.iter().map(|(step, state, word, failed)| Imagined {
        step,
        state,
        word,
        failed: *failed,
    });
    let steps: Vec<Imagined> = steps.collect();
    push.imagined("Push acme/shop/web:1.4: paused", &steps)
}

/// Writes all pictures into the folder, and takes away those that are no more.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    let all = all().map_err(io::Error::other)?;
    fs::create_dir_all(folder)?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let is_svg = Path::new(&name).extension().is_some_and(|end| end == "svg");
        if is_svg && all.iter().all(|(known, _)| *known.as_str() != name) {
            fs::remove_file(entry.path())?;
        }
    }
    for (name, svg) in all {
        fs::write(folder.join(name), svg)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pictures_in_the_documentation_are_those_of_this_program() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pictures");

        let all = all().unwrap();

        let old: Vec<&String> = all
            .iter()
            .filter(|(name, svg)| fs::read_to_string(folder.join(name)).ok().as_ref() != Some(svg))
            .map(|(name, _)| name)
            .collect();
        let there = fs::read_dir(&folder).map_or(0, Iterator::count);
        assert!(
            old.is_empty() && there == all.len(),
            "of {there} files in docs/pictures {old:?} are old or missing; write them again: wharfinger generate-pictures \
             docs/pictures"
        );
    }

    #[test]
    fn every_picture_is_shown_on_a_page() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let pages = ["README.md", "docs/operate/tasks.md"];
        let pages = pages
            .map(|page| fs::read_to_string(root.join(page)).unwrap())
            .concat();

        for (name, _) in all().unwrap() {
            assert!(
                pages.contains(&format!("pictures/{name})")),
                "{name} is on no page"
            );
        }
    }
}
