//! Naming patterns: how an environment calls the repositories it publishes.
//!
//! A pattern is Katello's text as it is: literal text and `<%= noun.attribute %>`, filled in for a repository, cleaned
//! by Katello's five rules and then held against Katello's grammar, which is stricter than that of OCI.

mod clean;
mod parse;
mod subject;

use std::fmt;
use std::str::FromStr;

use clean::{check, clean};
use parse::{Part, parts};

pub use clean::Fault;
pub use parse::PatternError;
pub use subject::{Named, Subject, Variable};

/// As long as Katello lets a pattern be, in characters, before anything is filled in.
pub const MAX_PATTERN_LENGTH: usize = 255;

/// A naming pattern that can be rendered: its tags are closed and name variables there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamingPattern {
    text: String,
    parts: Vec<Part>,
}

/// Why a repository gets no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The pattern does not fit this repository.
    #[error(
        "pattern `{pattern}` gives `{raw}`, cleaned `{name}`, which cannot be an image's name: {fault}; {}",
        .fault.advice()
    )]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What it gives, before cleaning.
        raw: String,
        /// What is left of it.
        name: String,
        /// What is wrong with that.
        fault: Fault,
    },
    /// The pattern is not worth saving: it does not even fit a repository made up for trying it.
    #[error(
        "pattern `{pattern}`, tried with a product and a repository labelled `{label}` and named `{bad}`, \
         gives `{raw}`, cleaned `{name}`, which cannot be an image's name: {fault}; {}",
        .fault.advice(),
        label = MADE_UP.label,
        bad = MADE_UP.name
    )]
    OnSave {
        /// The pattern.
        pattern: String,
        /// What it gives, before cleaning.
        raw: String,
        /// What is left of it.
        name: String,
        /// What is wrong with that.
        fault: Fault,
    },
    /// There is no pattern, and the labels do not make a name.
    #[error(
        "the default name `{raw}`, cleaned `{name}`, cannot be an image's name: {fault}; \
         give the environment a naming pattern"
    )]
    Default {
        /// The labels, before cleaning.
        raw: String,
        /// What is left of them.
        name: String,
        /// What is wrong with that.
        fault: Fault,
    },
}

/// What Katello tries a pattern with. The name needs cleaning, the label does not.
const MADE_UP: Named<'static> = Named {
    label: "good_label",
    name: "bad name!",
};

/// Where Katello's made-up repository comes from; has a slash, as names of images upstream have.
const MADE_UP_UPSTREAM: &str = "image/name";

impl NamingPattern {
    /// Reads a pattern, and says in which column it stops being one.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let parts = parts(text)?;
        let text = text.to_owned();
        Ok(Self { text, parts })
    }

    /// Reads what an environment may have: a blank text is no pattern.
    pub fn parse_optional(text: &str) -> Result<Option<Self>, PatternError> {
        if text.trim().is_empty() {
            return Ok(None);
        }
        Self::parse(text).map(Some)
    }

    /// The pattern as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The name of a repository by this pattern.
    pub fn render(&self, subject: &Subject<'_>) -> Result<String, NameError> {
        let raw = self.fill_in(|variable| subject.value(variable));
        name(&raw).map_err(|(name, fault)| NameError::Pattern {
            pattern: self.text.clone(),
            raw,
            name,
            fault,
        })
    }

    /// Tries the pattern once with a made-up repository, before the real ones are looked at: there may be none yet.
    pub fn check_on_save(
        &self,
        organization: Named<'_>,
        environment: Named<'_>,
    ) -> Result<(), NameError> {
        let subject = Subject {
            organization,
            environment,
            product: MADE_UP,
            repository: MADE_UP,
            version: 1,
        };
        let raw = self.fill_in(|variable| {
            if variable == Variable::RepositoryDockerUpstreamName {
                MADE_UP_UPSTREAM.to_owned()
            } else {
                subject.value(variable)
            }
        });
        match name(&raw) {
            Ok(_) => Ok(()),
            Err((name, fault)) => Err(NameError::OnSave {
                pattern: self.text.clone(),
                raw,
                name,
                fault,
            }),
        }
    }

    fn fill_in(&self, value: impl Fn(Variable) -> String) -> String {
        let filled = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Variable(variable) => value(*variable),
        };
        self.parts.iter().map(filled).collect()
    }
}

/// The name of a repository in an environment without a pattern. Not for Library: there it is the pushed path.
pub fn default_name(subject: &Subject<'_>) -> Result<String, NameError> {
    let raw = [
        subject.organization.label,
        subject.environment.label,
        subject.product.label,
        subject.repository.label,
    ]
    .join("/");
    name(&raw).map_err(|(name, fault)| NameError::Default { raw, name, fault })
}

/// The name that is left of a raw text, or what is left and why that is none.
fn name(raw: &str) -> Result<String, (String, Fault)> {
    let name = clean(raw);
    match check(&name) {
        Ok(()) => Ok(name),
        Err(fault) => Err((name, fault)),
    }
}

impl FromStr for NamingPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for NamingPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What Library is called by default, in Katello's words.
    const LABELS: &str = "<%= organization.label %>/<%= product.label %>/<%= repository.label %>";

    fn named<'a>(label: &'a str, name: &'a str) -> Named<'a> {
        Named { label, name }
    }

    /// The repository of Katello's examples, with another label.
    fn labelled(label: &str) -> Subject<'_> {
        Subject {
            organization: named("Empty_Organization", "Empty Organization"),
            product: named("Puppet_Product", "Puppet Product"),
            repository: named(label, "Busy Box"),
            environment: named("Dev", "Development"),
            version: 1,
        }
    }

    fn render(pattern: &str, subject: &Subject<'_>) -> Result<String, NameError> {
        NamingPattern::parse(pattern).unwrap().render(subject)
    }

    fn saved(pattern: &str) -> Result<(), NameError> {
        let environment = named("Dev", "Development");
        NamingPattern::parse(pattern)
            .unwrap()
            .check_on_save(named("acme", "ACME Inc."), environment)
    }

    #[test]
    fn labels_become_the_names_of_katellos_examples() {
        for (label, name) in [
            ("busybox", "empty_organization/puppet_product/busybox"),
            ("test_", "empty_organization/puppet_product/test"),
            ("te___st", "empty_organization/puppet_product/te_st"),
            ("-______test____", "empty_organization/puppet_product/test"),
        ] {
            assert_eq!(render(LABELS, &labelled(label)).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_label_whose_underscore_stays_after_a_slash_gives_no_name() {
        let error = render(LABELS, &labelled("_____tep______st_____")).unwrap_err();

        assert_eq!(
            error.to_string(),
            format!(
                "pattern `{LABELS}` gives `Empty_Organization/Puppet_Product/_____tep______st_____`, \
                 cleaned `empty_organization/puppet_product/_tep_st`, which cannot be an image's name: \
                 its part `_tep_st` is not lower-case letters and digits joined by single `-`, `_` or `.`; \
                 change the text or the variable that gives this part"
            )
        );
    }

    #[test]
    fn patterns_become_the_names_of_katellos_examples() {
        for (pattern, name) in [
            ("<%= repository.label %>", "test"),
            (
                "<%= organization.label %> <%= repository.label %>",
                "empty_organization_test",
            ),
            (
                " <%= organization.label %>   <%= repository.label %> ",
                "empty_organization_test",
            ),
            (
                "<%= organization.label %>/published_library_view/<%= content_view_version.version %>\
                 /<%= product.label %>/busybox",
                "empty_organization/published_library_view/1_0/puppet_product/busybox",
            ),
        ] {
            assert_eq!(render(pattern, &labelled("test")).as_deref(), Ok(name));
        }
    }

    #[test]
    fn a_blank_pattern_is_none_and_the_name_is_the_default() {
        for blank in ["", " ", "\t\n\u{a0}"] {
            assert_eq!(NamingPattern::parse_optional(blank), Ok(None));
            assert_eq!(NamingPattern::parse(blank), Err(PatternError::Blank));
        }

        assert_eq!(
            default_name(&labelled("busybox")).as_deref(),
            Ok("empty_organization/dev/puppet_product/busybox")
        );
    }

    #[test]
    fn every_variable_is_filled_in() {
        let subject = Subject {
            version: 42,
            ..labelled("busy_box")
        };

        for (variable, name) in [
            ("organization.name", "empty_organization"),
            ("organization.label", "empty_organization"),
            ("repository.name", "busy_box"),
            ("repository.label", "busy_box"),
            ("repository.docker_upstream_name", "busy_box"),
            ("content_view.name", "default_organization_view"),
            ("content_view.label", "default_organization_view"),
            ("content_view_version.version", "42_0"),
            ("product.name", "puppet_product"),
            ("product.label", "puppet_product"),
            ("lifecycle_environment.name", "development"),
            ("lifecycle_environment.label", "dev"),
        ] {
            for pattern in [format!("<%= {variable} %>"), format!("<%={variable}%>")] {
                assert_eq!(render(&pattern, &subject).as_deref(), Ok(name), "{pattern}");
            }
        }
    }

    #[test]
    fn what_is_filled_in_is_not_read_as_a_pattern() {
        let subject = Subject {
            repository: named("x", "<%= product.label %>"),
            ..labelled("x")
        };

        assert_eq!(
            render("a<%= repository.name %>", &subject).as_deref(),
            Ok("a_product_label")
        );
    }

    #[test]
    fn slashes_of_a_name_and_of_a_pattern_are_kept() {
        let pattern = "mirror/<%= repository.label %>";

        assert_eq!(
            render(pattern, &labelled("deep/busybox")).as_deref(),
            Ok("mirror/deep/busybox")
        );
    }

    #[test]
    fn a_pattern_keeps_its_text() {
        let text = " A <%=repository.label%> %> ü";

        let pattern: NamingPattern = text.parse().unwrap();

        assert_eq!(pattern.as_str(), text);
        assert_eq!(pattern.to_string(), text);
    }

    #[test]
    fn a_pattern_is_saved_when_a_made_up_repository_gets_a_name() {
        for good in [
            "<%= repository.name %>",
            "<%= repository.docker_upstream_name %>/x",
            "<%= organization.label %>/<%= lifecycle_environment.label %>/<%= repository.label %>",
            "<%= organization.name %>",
        ] {
            assert_eq!(saved(good), Ok(()), "{good}");
        }
        for bad in ["___", "/<%= repository.label %>", "<%= product.name %>/x"] {
            assert!(matches!(saved(bad), Err(NameError::OnSave { .. })), "{bad}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_saved_says_what_it_was_tried_with() {
        let error = saved("<%= product.name %>/x").unwrap_err();

        assert_eq!(
            error.to_string(),
            "pattern `<%= product.name %>/x`, tried with a product and a repository labelled `good_label` and named \
             `bad name!`, gives `bad name!/x`, cleaned `bad_name_/x`, which cannot be an image's name: \
             its part `bad_name_` is not lower-case letters and digits joined by single `-`, `_` or `.`; \
             change the text or the variable that gives this part"
        );
    }

    #[test]
    fn labels_that_make_no_default_name_say_what_to_do() {
        let error = default_name(&labelled("a__b")).unwrap_err();

        assert_eq!(
            error.to_string(),
            "the default name `Empty_Organization/Dev/Puppet_Product/a__b`, cleaned \
             `empty_organization/dev/puppet_product/a__b`, cannot be an image's name: \
             its part `a__b` is not lower-case letters and digits joined by single `-`, `_` or `.`; \
             give the environment a naming pattern"
        );
    }
}
