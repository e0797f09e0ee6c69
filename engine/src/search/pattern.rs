//! What `~` compares with.

/// A text with wildcards, compared without ASCII case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads `*` and `%` as any number of characters; a text without them may stand anywhere.
    #[must_use]
    pub fn new(text: &str) -> Self {
        if text.contains(['*', '%']) {
            Self(text.replace('%', "*").to_ascii_lowercase())
        } else {
            Self(format!("*{}*", text.to_ascii_lowercase()))
        }
    }

    /// The whole text fits.
    #[must_use]
    pub fn fits(&self, text: &str) -> bool {
        let text = text.to_ascii_lowercase();
        let mut parts = self.0.split('*');
        // `split` gives at least one part.
        let first = parts.next().unwrap_or_default();
        let Some(last) = parts.next_back() else {
            return text == first;
        };
        let Some(middle) = text
            .strip_prefix(first)
            .and_then(|rest| rest.strip_suffix(last))
        else {
            return false;
        };
        // Leftmost first leaves the most room for the parts that follow.
        let mut rest = middle;
        parts.all(|part| match rest.split_once(part) {
            Some((_, behind)) => {
                rest = behind;
                true
            }
            None => false,
        })
    }

    /// The same for `LIKE … ESCAPE '\'`.
    #[must_use]
    pub fn like(&self) -> String {
        let mut like = String::with_capacity(self.0.len());
        for char in self.0.chars() {
            match char {
                '*' => like.push('%'),
                '%' | '_' | '\\' => like.extend(['\\', char]),
                char => like.push(char),
            }
        }
        like
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_text_may_stand_anywhere_and_a_pattern_fits_whole() {
        let fits = |pattern: &str, text: &str| Pattern::new(pattern).fits(text);

        assert!(fits("box", "acme/BusyBox:1"));
        assert!(!fits("boxes", "acme/busybox"));
        assert!(fits("acme/*", "acme/busybox") && !fits("acme/*", "other/acme/x"));
        assert!(fits("%box", "busybox") && !fits("%box", "busybox2"));
        assert!(fits("a*b*a", "a-b-a") && !fits("a*b*a", "a-b"));
        assert!(!fits("aba*aba", "aba"), "no character counts twice");
        assert!(fits("*", "") && fits("", "anything"));
    }

    #[test]
    fn what_sql_would_take_for_a_wildcard_is_escaped() {
        assert_eq!(Pattern::new("a_b\\*").like(), "a\\_b\\\\%");
    }
}
