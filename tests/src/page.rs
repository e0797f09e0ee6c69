//! A page of `docs/`: the commands it shows, and what it says they answer.
//!
//! In a block of ```` ```console ```` a line that begins with `$ ` is a command, and the lines after it are what the
//! page shows of its answer: each must come, in this order, others may come between. `…` stands for anything, and the
//! id of a task for the id of a task. Any other block is only read.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// A page.
pub struct Page {
    name: String,
    text: String,
}

/// A command as the page shows it.
pub struct Shown {
    /// Where it stands.
    pub place: String,
    /// What is typed.
    pub command: String,
    /// Lines of its answer.
    pub answer: Vec<String>,
}

impl Page {
    /// A page by its path below `docs/`.
    pub fn read(name: &str) -> Self {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../docs")
            .join(name);
        let text =
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Self {
            name: name.to_owned(),
            text,
        }
    }

    /// The commands of all its blocks for a console.
    pub fn commands(&self) -> Vec<Shown> {
        let mut commands: Vec<Shown> = Vec::new();
        let mut language = None;
        for (n, line) in self.text.lines().enumerate() {
            if let Some(fence) = line.strip_prefix("```") {
                language = match language {
                    None => Some(fence),
                    Some(_) => None,
                };
                continue;
            }
            if language != Some("console") {
                continue;
            }
            let last = commands.last_mut();
            if let Some(command) = line.strip_prefix("$ ") {
                commands.push(Shown {
                    place: format!("docs/{} line {}", self.name, n + 1),
                    command: command.to_owned(),
                    answer: Vec::new(),
                });
            } else if let Some(shown) = last {
                if shown.answer.is_empty() && shown.command.ends_with('\\') {
                    shown.command.push('\n');
                    shown.command.push_str(line);
                } else {
                    shown.answer.push(line.to_owned());
                }
            }
        }
        commands
    }

    /// The blocks of a language.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("```{language}\n");
        let blocks = self.text.split(&fence).skip(1);
        blocks
            .map(|rest| rest.split("```").next().unwrap_or_default().to_owned())
            .collect()
    }
}

/// What a page's ids stand for here, learnt from the answers.
#[derive(Clone, Default)]
pub struct Ids(HashMap<String, String>);

impl Ids {
    /// A text of the page with its ids replaced by those that they stand for.
    pub fn put_into(&self, text: &str) -> String {
        let known = self.0.iter();
        known.fold(text.to_owned(), |text, (shown, real)| {
            text.replace(shown, real)
        })
    }

    /// The first of the lines shown that did not come; `None` if all came. What their ids stand for is learnt.
    pub fn missing<'a>(&mut self, shown: &'a [String], answer: &str) -> Option<&'a str> {
        let mut lines = answer.lines();
        shown
            .iter()
            .map(String::as_str)
            .find(|shown| !lines.any(|line| self.fits(shown, line)))
    }

    fn fits(&mut self, shown: &str, line: &str) -> bool {
        let (shown, line) = (words(shown), words(line));
        let mut learnt = Vec::new();
        let fits = fits(&shown, &line, &self.0, &mut learnt);
        if fits {
            self.0.extend(learnt);
        }
        fits
    }
}

/// How long an id is: a UUID as text.
const ID: usize = 36;

/// The text with a single blank between its words.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn id_at_start(text: &str) -> Option<&str> {
    let id = text.get(..ID)?;
    uuid::Uuid::try_parse(id).is_ok().then_some(id)
}

fn fits(
    shown: &str,
    line: &str,
    known: &HashMap<String, String>,
    learnt: &mut Vec<(String, String)>,
) -> bool {
    if let Some(rest) = shown.strip_prefix('…') {
        let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
        return ends.into_iter().any(|at| {
            let before = learnt.len();
            let fit = fits(rest, &line[at..], known, learnt);
            if !fit {
                learnt.truncate(before);
            }
            fit
        });
    }
    if let Some(id) = id_at_start(shown) {
        let Some(real) = id_at_start(line) else {
            return false;
        };
        let before = learnt.iter().find(|(shown, _)| shown == id);
        let before = before.map(|(_, real)| real.as_str());
        let before = before.or_else(|| known.get(id).map(String::as_str));
        if before.is_some_and(|before| before != real) {
            return false;
        }
        learnt.push((id.to_owned(), real.to_owned()));
        return fits(&shown[ID..], &line[ID..], known, learnt);
    }
    match (shown.chars().next(), line.chars().next()) {
        (None, None) => true,
        (Some(left), Some(right)) if left == right => fits(
            &shown[left.len_utf8()..],
            &line[right.len_utf8()..],
            known,
            learnt,
        ),
        _ => false,
    }
}
