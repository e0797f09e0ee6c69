//! Text from elsewhere, made safe to show: what a pusher wrote must not move an administrator's cursor.

use std::borrow::Cow;

/// Whether a terminal acts on the character, or shows what follows it in another order, in place of showing it.
pub(crate) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{61c}' | '\u{200e}' | '\u{200f}' // marks of direction
            | '\u{2028}' | '\u{2029}' // separators of lines and paragraphs
            | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // direction overridden, embedded, isolated
        )
}

/// The text in one line, with an escape such as `\u{1b}` or `\n` for each hidden character.
pub(crate) fn line(text: &str) -> Cow<'_, str> {
    escaped(text, is_hidden, |c| c.escape_default().collect())
}

/// The same of a text of several lines, which stay lines.
pub(super) fn lines(text: &str) -> Cow<'_, str> {
    let hidden = |c| is_hidden(c) && !matches!(c, '\n' | '\t');
    escaped(text, hidden, |c| c.escape_default().collect())
}

/// The same JSON with escapes for hidden characters; outside of its texts there are none but blanks.
pub(super) fn json(text: &str) -> Cow<'_, str> {
    let hidden = |c| is_hidden(c) && !matches!(c, '\n' | '\r' | '\t');
    escaped(text, hidden, |c| format!("\\u{:04x}", u32::from(c)))
}

fn escaped(
    text: &str,
    hidden: impl Fn(char) -> bool + Copy,
    escape: impl Fn(char) -> String,
) -> Cow<'_, str> {
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if hidden(c) {
            shown.push_str(&escape(c));
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_act_on_is_shown_as_an_escape() {
        for (text, shown) in [
            ("am\u{1b}[31md", r"am\u{1b}[31md"),
            ("ding\u{7}", r"ding\u{7}"),
            ("\u{9b}2J", r"\u{9b}2J"),
            ("\u{7f}", r"\u{7f}"),
            ("user\u{202e}nimda", r"user\u{202e}nimda"),
            ("\u{2066}a\u{2069}", r"\u{2066}a\u{2069}"),
            ("one\r\ntwo\t", r"one\r\ntwo\t"),
            ("Größe 漢字 👩‍🔧", "Größe 漢字 👩‍🔧"),
        ] {
            assert_eq!(line(text), shown);
        }
    }

    #[test]
    fn lines_stay_lines_where_there_may_be_several() {
        assert_eq!(lines("one\n\ttwo\u{1b}c"), "one\n\ttwo\\u{1b}c");
    }

    #[test]
    fn json_stays_the_same_json() {
        let body = serde_json::json!({"name": "a\u{9b}2J\u{202e}b\u{7f}\u{1b}\n"}).to_string();

        let shown = json(&body);

        assert!(!shown.contains(is_hidden), "{shown}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&shown), read(&body));
    }
}
