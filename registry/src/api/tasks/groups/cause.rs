//! What stopped a task, in the words that it shares with others.

use engine::journal::Reason;
use engine::plan::Plan;
use engine::state::StepState;
use storage::Digest;

/// What stopped a task: the same for all that were stopped by the same thing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cause {
    /// The workflow.
    pub(super) label: String,
    /// The step.
    pub(super) step: Option<String>,
    /// The class of its error; without one, why the task is paused.
    pub(super) class: String,
    /// Its message, with placeholders for what is different from task to task.
    pub(super) message: String,
}

impl Cause {
    /// The cause, and the message as it is.
    pub(super) fn of(plan: &Plan) -> (Self, String) {
        let named = |wanted: &StepState| {
            let index = plan.steps.iter().position(|step| step.state == *wanted)?;
            Some((plan.graph().get(index)?.name.clone(), &plan.steps[index]))
        };
        let stopping = [
            StepState::CompensationError,
            StepState::Interrupted,
            StepState::Error,
        ];
        let suspect = (0..plan.steps.len()).find(|step| plan.is_suspect(*step));
        let suspect = suspect.and_then(|step| Some((plan.graph().get(step)?, &plan.steps[step])));
        let suspect = suspect.map(|(known, step)| (known.name.clone(), step));
        let found = stopping.iter().find_map(named).or(suspect);
        let is_poison = plan.reason == Some(Reason::Poison);
        let error = found.as_ref().filter(|_| !is_poison).and_then(|(_, step)| {
            let undo = step.undo.as_ref().and_then(|undo| undo.error.as_ref());
            if step.state == StepState::CompensationError {
                undo
            } else {
                step.error.as_ref()
            }
        });
        let reason = plan.reason.map(|reason| reason.to_string());
        let message = match (error, &plan.unreadable) {
            (Some(error), _) => error.message.clone(),
            (None, Some(why)) => why.clone(),
            (None, None) if is_poison => {
                "the server ended again and again while this step was at work".to_owned()
            }
            (None, None) => String::new(),
        };
        let cause = Self {
            label: plan.workflow().to_owned(),
            step: found.map(|(name, _)| name),
            class: error.map_or_else(|| reason.unwrap_or_default(), |error| error.class.clone()),
            message: normalized(&message),
        };
        (cause, message)
    }

    /// What it is called in a path: the same wherever and whenever it is looked at.
    pub(super) fn key(&self, state: &str) -> String {
        let step = self.step.as_deref().unwrap_or_default();
        let all = [state, &self.label, step, &self.class, &self.message].join("\n");
        let digest = Digest::of(all.as_bytes()).to_string();
        let hex = digest.rsplit(':').next().unwrap_or_default();
        hex.chars().take(16).collect()
    }
}

/// The message with placeholders for names, ids, digests, times and numbers.
fn normalized(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let before = text.chars().next_back();
        if let Some(behind) = quoted(rest, before) {
            text.push_str("<name>");
            rest = behind;
            continue;
        }
        let end = rest.find(|c| !belongs_to_word(c)).unwrap_or(rest.len());
        if end == 0 {
            text.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        // What ends a sentence or a clause is no part of its last word.
        let word = rest[..end].trim_end_matches(['.', ':', '/', '-', '@']);
        if word.is_empty() {
            text.push_str(&rest[..end]);
        } else {
            text.push_str(&placeholder(word));
            text.push_str(&rest[word.len()..end]);
        }
        rest = &rest[end..];
    }
    text
}

fn belongs_to_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '+')
}

/// What follows a name in quotes that begins here. An apostrophe inside a word begins none.
fn quoted(text: &str, before: Option<char>) -> Option<&str> {
    let quote = text.chars().next()?;
    if !matches!(quote, '`' | '"' | '\'') {
        return None;
    }
    if quote == '\'' && before.is_some_and(char::is_alphanumeric) {
        return None;
    }
    let (name, behind) = text[1..].split_once(quote)?;
    (!name.is_empty()).then_some(behind)
}

fn placeholder(word: &str) -> String {
    let hex = |text: &str| text.len() >= 12 && text.bytes().all(|b| b.is_ascii_hexdigit());
    let has_digit = word.bytes().any(|b| b.is_ascii_digit());
    if let Some((_, digest)) = word.rsplit_once(':')
        && digest.len() >= 32
        && hex(digest)
    {
        return "<digest>".to_owned();
    }
    if uuid::Uuid::parse_str(word).is_ok() || (hex(word) && has_digit) {
        return "<id>".to_owned();
    }
    if chrono::DateTime::parse_from_rfc3339(word).is_ok() {
        return "<time>".to_owned();
    }
    // A file of this machine or a URL tells causes apart; the name of an image does not.
    if word.contains('/') && !word.starts_with('/') && !word.contains("://") {
        return "<name>".to_owned();
    }
    without_numbers(word)
}

fn without_numbers(word: &str) -> String {
    let mut text = String::with_capacity(word.len());
    let mut in_number = false;
    for c in word.chars() {
        let inside = c.is_ascii_digit() || (in_number && c == '.');
        match (inside, in_number) {
            (true, false) => text.push_str("<n>"),
            (true, true) => {}
            (false, _) => text.push(c),
        }
        in_number = inside;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_differs_from_task_to_task_is_no_part_of_the_cause() {
        for (message, expected) in [
            (
                "a drill makes this step fail",
                "a drill makes this step fail",
            ),
            ("needs 12 MiB, has 3.5 MiB", "needs <n> MiB, has <n> MiB"),
            ("took 30s", "took <n>s"),
            ("user `ana` does not exist", "user <name> does not exist"),
            ("couldn't open \"a b\"", "couldn't open <name>"),
            ("no 'app' here", "no <name> here"),
            (
                "cannot push to acme/tools/app:1.0.",
                "cannot push to <name>.",
            ),
            (
                "cannot read /var/lib/blobs: denied",
                "cannot read /var/lib/blobs: denied",
            ),
            (
                "task 01a20f60-64a4-7008-a93e-7d0da280e44f: gone",
                "task <id>: gone",
            ),
            ("at 2026-01-31T14:30:00.000Z.", "at <time>."),
            ("an unclosed `quote", "an unclosed `quote"),
            ("", ""),
        ] {
            assert_eq!(normalized(message), expected);
        }
        let digest = Digest::of(b"a");
        assert_eq!(
            normalized(&format!("blob {digest} is missing")),
            "blob <digest> is missing"
        );
    }

    #[test]
    fn a_key_is_short_and_tells_causes_apart() {
        let cause = |message: &str| Cause {
            label: "push".to_owned(),
            step: Some("copy".to_owned()),
            class: "error".to_owned(),
            message: message.to_owned(),
        };

        let key = cause("full").key("paused");

        assert_eq!(key.len(), 16);
        assert_ne!(key, cause("full").key("stopped"));
        assert_ne!(key, cause("gone").key("paused"));
    }
}
