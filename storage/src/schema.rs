//! What those types look like as JSON that are written as one text or as a list.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::json;

use crate::catalog::roles::{Permission, PermissionSet};
use crate::label::Label;
use crate::retention::{MOST_GLOBS, MOST_RULES, Newest, Retention};
use crate::{Digest, Tag, TagGlob};

impl JsonSchema for Label {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Label".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": Label::LONGEST,
            "pattern": r"^[a-zA-Z0-9]+((\.|_|__|-+)[a-zA-Z0-9]+)*$",
            "not": { "pattern": "^[iI][dD]$" },
        })
    }
}

impl JsonSchema for Tag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Tag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$" })
    }
}

impl JsonSchema for TagGlob {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "TagGlob".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "minLength": 1,
            "maxLength": TagGlob::LONGEST,
            "pattern": r"^[a-zA-Z0-9_.*?-]+$",
        })
    }
}

impl JsonSchema for Digest {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Digest".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$",
        })
    }
}

impl JsonSchema for PermissionSet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PermissionSet".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<Permission>::json_schema(generator)
    }
}

/// From 1h to 3650d.
const WITHIN: &str = concat!(
    "^(([1-9][0-9]{0,2}|[12][0-9]{3}|3[0-5][0-9]{2}|36[0-4][0-9]|3650)d",
    "|([1-9][0-9]{0,3}|[1-7][0-9]{4}|8[0-6][0-9]{3}|87[0-5][0-9]{2}|87600)h)$"
);

impl JsonSchema for Retention {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Retention".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let within = |about: &str| json!({ "type": ["string", "null"], "pattern": WITHIN, "description": about });
        let rule = json!({
            "type": "object",
            "description": "What of some tags stays: each that any of the criteria keeps.",
            "properties": {
                "matching": {
                    "type": "array",
                    "items": TagGlob::json_schema(generator),
                    "minItems": 1,
                    "maxItems": MOST_GLOBS,
                    "description": "Which tags: globs, in which `*` stands for any characters and `?` for one.",
                },
                "keep_newest": {
                    "type": ["integer", "null"],
                    "minimum": 1,
                    "maximum": Newest::MOST,
                    "description": "So many of them stay in each repository: those that were pushed last.",
                },
                "keep_pushed_within": within("Those stay that were set within this time, as `30d` or `12h`."),
                "keep_pulled_within": within("Those stay that were pulled, or set, within this time."),
            },
            "required": ["matching"],
            "anyOf": [
                { "required": ["keep_newest"], "properties": { "keep_newest": { "type": "integer" } } },
                { "required": ["keep_pushed_within"], "properties": { "keep_pushed_within": { "type": "string" } } },
                { "required": ["keep_pulled_within"], "properties": { "keep_pulled_within": { "type": "string" } } },
            ],
            "additionalProperties": false,
        });
        json_schema!({
            "type": "object",
            "properties": {
                "tags": {
                    "type": "array",
                    "items": rule,
                    "maxItems": MOST_RULES,
                    "description": "For each tag the first of these rules decides that has a glob for it. A tag that none has a glob for stays.",
                },
                "untagged_within": within(
                    "Manifests that nothing needs go so long after they were pushed, pulled, or lost their last tag; left out: they stay."
                ),
            },
            "anyOf": [
                { "required": ["tags"], "properties": { "tags": { "minItems": 1 } } },
                { "required": ["untagged_within"], "properties": { "untagged_within": { "type": "string" } } },
            ],
            "additionalProperties": false,
        })
    }
}
