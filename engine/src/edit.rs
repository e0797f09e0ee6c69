//! Another input for a plan that is resumed, kept as a difference: what was there, and what is there now.

use crate::journal::Json;
use json_patch::{AddOperation, Patch, PatchOperation, TestOperation};
use serde::Serialize;
use serde_json::Value;

/// One place of an input that an operator has changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Change {
    /// Where, as a JSON pointer (RFC 6901).
    pub at: String,
    /// What was there; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Value>,
    /// What is there now; absent: nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<Value>,
}

/// The input with what is wanted of it merged in (RFC 7396): what is null is taken away, what is not named stays.
pub fn merged(input: &Json, wanted: &Value) -> Result<Json, String> {
    let mut value: Value = read(input)?;
    json_patch::merge(&mut value, wanted);
    written(&value)
}

/// What leads from one input to the other: a JSON patch (RFC 6902). Each place that it replaces or removes is tested to be as
/// it was, so that it fits only that input. None where both say the same.
pub fn difference(from: &Json, to: &Json) -> Result<Option<Json>, String> {
    let (from, to): (Value, Value) = (read(from)?, read(to)?);
    let mut operations = Vec::new();
    let mut before = from.clone();
    for operation in json_patch::diff(&from, &to).0 {
        let path = match &operation {
            PatchOperation::Replace(it) => Some(&it.path),
            PatchOperation::Remove(it) => Some(&it.path),
            PatchOperation::Add(AddOperation { .. })
            | PatchOperation::Move(_)
            | PatchOperation::Copy(_)
            | PatchOperation::Test(_) => None,
        };
        if let Some(path) = path
            && let Some(value) = before.pointer(path.as_str())
        {
            operations.push(PatchOperation::Test(TestOperation {
                path: path.clone(),
                value: value.clone(),
            }));
        }
        let one = Patch(vec![operation]);
        json_patch::patch(&mut before, &one).map_err(|error| error.to_string())?;
        operations.extend(one.0);
    }
    if operations.is_empty() {
        return Ok(None);
    }
    Json::of(&Patch(operations))
        .map(Some)
        .map_err(|error| error.to_string())
}

/// The input after this change. Refused where the input is not the one that the change was made for.
pub fn apply(input: &Json, change: &Json) -> Result<Json, String> {
    let patch: Patch = change
        .decode()
        .map_err(|error| format!("the change is no JSON patch: {error}"))?;
    let mut value: Value = read(input)?;
    json_patch::patch(&mut value, &patch)
        .map_err(|error| format!("its input is not what the change was made for: {error}"))?;
    written(&value)
}

/// The change for people, place by place.
#[must_use]
pub fn changes(change: &Json) -> Vec<Change> {
    let Ok(patch) = change.decode::<Patch>() else {
        return Vec::new();
    };
    let mut changes = Vec::new();
    let mut tested: Option<(String, Value)> = None;
    for operation in patch.0 {
        let (at, to) = match operation {
            PatchOperation::Test(it) => {
                tested = Some((it.path.to_string(), it.value));
                continue;
            }
            PatchOperation::Add(it) => (it.path.to_string(), Some(it.value)),
            PatchOperation::Replace(it) => (it.path.to_string(), Some(it.value)),
            PatchOperation::Remove(it) => (it.path.to_string(), None),
            PatchOperation::Move(_) | PatchOperation::Copy(_) => continue, // a difference has none
        };
        let from = tested.take().filter(|(path, _)| *path == at);
        changes.push(Change {
            at,
            from: from.map(|(_, value)| value),
            to,
        });
    }
    changes
}

fn read(json: &Json) -> Result<Value, String> {
    json.decode()
        .map_err(|error| format!("an input that cannot be read: {error}"))
}

fn written(value: &Value) -> Result<Json, String> {
    Json::of(value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn of(value: &Value) -> Json {
        Json::of(value).unwrap()
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-3..4_i32).prop_map(Value::from),
            "[a-c~/ ]{0,3}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a-c~/]{1,2}", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_difference_leads_from_one_input_to_the_other(from in values(), to in values()) {
            let change = difference(&of(&from), &of(&to)).unwrap();

            match change {
                None => prop_assert_eq!(from, to),
                Some(change) => {
                    let after: Value = apply(&of(&from), &change).unwrap().decode().unwrap();
                    prop_assert_eq!(&after, &to);
                    prop_assert!(!changes(&change).is_empty());
                }
            }
        }

        #[test]
        fn no_patch_panics(input in values(), change in values()) {
            drop(apply(&of(&input), &of(&change)));
            drop(changes(&of(&change)));
            drop(merged(&of(&input), &change));
        }
    }

    #[test]
    fn a_change_fits_once_and_tells_what_was_there() {
        let input = of(&json!({"to": "here", "tries": 1, "by": "me"}));
        let wanted = json!({"to": "there", "tries": null, "how": "fast"});

        let after = merged(&input, &wanted).unwrap();
        let change = difference(&input, &after).unwrap().unwrap();

        assert_eq!(
            after.decode::<Value>().unwrap(),
            json!({"to": "there", "by": "me", "how": "fast"})
        );
        let mut told = changes(&change);
        told.sort_by(|one, other| one.at.cmp(&other.at));
        assert_eq!(
            serde_json::to_value(told).unwrap(),
            json!([
                {"at": "/how", "to": "fast"},
                {"at": "/to", "from": "here", "to": "there"},
                {"at": "/tries", "from": 1},
            ])
        );
        assert!(apply(&after, &change).is_err(), "it was made for another input");
        assert_eq!(difference(&after, &after).unwrap(), None);
    }
}
