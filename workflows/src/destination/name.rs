//! The names clients write.

use std::fmt;
use std::str::FromStr;

use storage::catalog::{OrganizationId, ProductId};
use storage::label::is_path_component;
use storage::{Label, LabelError};

use super::{CONTAINER_PUSH, MAX_NAME_LENGTH};

/// The first component of a name in the id form; no organization has this label.
const ID: &str = "id";

/// The name of a repository as a client writes it, in any of its forms.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PushName {
    text: String,
    pub(super) form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Form {
    Labels {
        organization: String,
        product: String,
        name: String,
    },
    Ids {
        organization: OrganizationId,
        product: ProductId,
        name: String,
    },
}

/// Why a text is not the name of a repository.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Clients of OCI registries write lower case only.
    #[error("`{name}` has upper-case letters; write `{lower}`")]
    UpperCase {
        /// As it came.
        name: String,
        /// As it would be right.
        lower: String,
    },
    /// One part between slashes breaks the grammar.
    #[error(
        "`{component}` in `{name}` is not a part of a name: lower-case letters and digits, joined by `.`, `_`, `__` or dashes"
    )]
    Component {
        /// The whole name.
        name: String,
        /// The part.
        component: String,
    },
    /// No organization, or nothing after it.
    #[error(
        "`{name}` names no organization; write `<organization>/<name>` or `<organization>/<product>/<name>`"
    )]
    NoOrganization {
        /// The whole name.
        name: String,
    },
    /// The product in it cannot have that label.
    #[error("`{name}` names a product that cannot be: {why}")]
    Product {
        /// The whole name.
        name: String,
        /// What is wrong with the product's label.
        why: LabelError,
    },
    /// Begins with `id/` but does not go on with two numbers and a name.
    #[error(
        "`{name}` begins with `id/`; write `id/<organization's id>/<product's id>/<name>`, with numbers as ids"
    )]
    NotIds {
        /// The whole name.
        name: String,
    },
    /// Longer than clients accept.
    #[error("a name has at most {MAX_NAME_LENGTH} characters, `{name}` has {length}")]
    TooLong {
        /// The whole name.
        name: String,
        /// Its length.
        length: usize,
    },
}

impl PushName {
    /// The name as the client wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The organization it names, by label or id, whether there is one or not.
    #[must_use]
    pub fn organization(&self) -> String {
        match &self.form {
            Form::Labels { organization, .. } => organization.clone(),
            Form::Ids { organization, .. } => organization.to_string(),
        }
    }

    /// The product it names, by label or id, whether there is one or not.
    #[must_use]
    pub fn product(&self) -> String {
        match &self.form {
            Form::Labels { product, .. } => product.clone(),
            Form::Ids { product, .. } => product.to_string(),
        }
    }

    /// The name in the product.
    #[must_use]
    pub fn in_product(&self) -> &str {
        match &self.form {
            Form::Labels { name, .. } | Form::Ids { name, .. } => name,
        }
    }
}

impl fmt::Display for PushName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for PushName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.len() > MAX_NAME_LENGTH {
            return Err(NameError::TooLong {
                name: text.chars().take(MAX_NAME_LENGTH).collect::<String>() + "…",
                length: text.chars().count(),
            });
        }
        let name = text.to_owned();
        if let Some(component) = text.split('/').find(|part| !is_path_component(part)) {
            let lower = text.to_ascii_lowercase();
            return Err(
                if lower != text && lower.split('/').all(is_path_component) {
                    NameError::UpperCase { name, lower }
                } else {
                    let component = component.to_owned();
                    NameError::Component { name, component }
                },
            );
        }
        let form = match text.split('/').collect::<Vec<_>>()[..] {
            [ID, organization, product, ref rest @ ..] if !rest.is_empty() => {
                match (organization.parse(), product.parse()) {
                    (Ok(organization), Ok(product)) => Form::Ids {
                        organization: OrganizationId(organization),
                        product: ProductId(product),
                        name: rest.join("/"),
                    },
                    (Err(_), _) | (_, Err(_)) => return Err(NameError::NotIds { name }),
                }
            }
            [ID, ..] => return Err(NameError::NotIds { name }),
            [organization, repository] => Form::Labels {
                organization: organization.to_owned(),
                product: CONTAINER_PUSH.to_owned(),
                name: repository.to_owned(),
            },
            [organization, product, ref rest @ ..] if !rest.is_empty() => {
                check_product(product, text)?;
                Form::Labels {
                    organization: organization.to_owned(),
                    product: product.to_owned(),
                    name: rest.join("/"),
                }
            }
            _ => return Err(NameError::NoOrganization { name }),
        };
        Ok(Self { text: name, form })
    }
}

/// The label of a product that a push to `name` may have to make.
pub(super) fn check_product(product: &str, name: &str) -> Result<Label, NameError> {
    Label::parse(product).map_err(|why| NameError::Product {
        name: name.to_owned(),
        why,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        text.parse::<PushName>().unwrap().form
    }

    fn labels(organization: &str, product: &str, name: &str) -> Form {
        Form::Labels {
            organization: organization.to_owned(),
            product: product.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_name_has_three_forms() {
        assert_eq!(
            form("acme/busybox"),
            labels("acme", "container_push", "busybox")
        );
        assert_eq!(
            form("acme/tools/busybox"),
            labels("acme", "tools", "busybox")
        );
        assert_eq!(
            form("acme/tools/deep/busybox"),
            labels("acme", "tools", "deep/busybox")
        );
        assert_eq!(
            form("id/3/14/deep/busybox"),
            Form::Ids {
                organization: OrganizationId(3),
                product: ProductId(14),
                name: "deep/busybox".to_owned()
            }
        );
    }

    #[test]
    fn the_short_form_and_the_form_with_container_push_mean_the_same() {
        assert_eq!(form("acme/busybox"), form("acme/container_push/busybox"));
    }

    #[test]
    fn the_joints_of_oci_are_taken() {
        for name in ["a/b", "a.b/c_d", "a__b/c---d", "0/1", "acme/tools/x.y_z-1"] {
            assert_eq!(name.parse::<PushName>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_refused_by_its_part() {
        for (name, part) in [
            ("acme//busybox", ""),
            ("acme/", ""),
            ("/busybox", ""),
            ("acme/..", ".."),
            ("acme/../busybox", ".."),
            ("acme/%2e%2e/x", "%2e%2e"),
            ("acme/a___b", "a___b"),
            ("acme/a..b", "a..b"),
            ("acme/a_-b", "a_-b"),
            ("acme/-b", "-b"),
            ("acme/b.", "b."),
            ("acme/ä", "ä"),
            ("acme/a b", "a b"),
            ("acme/Ä", "Ä"),
        ] {
            assert_eq!(
                name.parse::<PushName>(),
                Err(NameError::Component {
                    name: name.to_owned(),
                    component: part.to_owned()
                }),
            );
        }
    }

    #[test]
    fn upper_case_is_refused_with_the_lower_case_form() {
        let error = "Acme/BusyBox".parse::<PushName>().unwrap_err();

        assert_eq!(
            error.to_string(),
            "`Acme/BusyBox` has upper-case letters; write `acme/busybox`"
        );
    }

    #[test]
    fn a_name_without_an_organization_or_with_half_an_id_form_says_what_to_write() {
        assert!(matches!(
            "busybox".parse::<PushName>(),
            Err(NameError::NoOrganization { .. })
        ));
        for name in [
            "id",
            "id/1",
            "id/1/2",
            "id/one/2/x",
            "id/1/two/x",
            "id/99999999999999999999/1/x",
        ] {
            assert!(
                matches!(name.parse::<PushName>(), Err(NameError::NotIds { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn a_product_in_a_name_is_one_that_could_be_made() {
        let too_long = format!("acme/{}/x", "p".repeat(129));

        for name in ["acme/id/x", &too_long] {
            assert!(
                matches!(name.parse::<PushName>(), Err(NameError::Product { .. })),
                "{name}"
            );
        }
    }

    #[test]
    fn a_name_has_at_most_255_characters() {
        let just = format!("acme/{}", "x".repeat(250));
        let over = format!("acme/{}", "x".repeat(251));

        assert!(just.parse::<PushName>().is_ok());
        assert!(matches!(
            over.parse::<PushName>(),
            Err(NameError::TooLong { length: 256, .. })
        ));
    }
}
