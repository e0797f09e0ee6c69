//! The schemas of bodies and answers, each named once.

use schemars::generate::{SchemaGenerator, SchemaSettings};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// Where the document keeps them.
const PLACE: &str = "/components/schemas";

/// Gathers the schemas that operations name.
pub(super) struct Schemas {
    /// As they are read: what has a default may be left out.
    bodies: SchemaGenerator,
    /// As they are written: what is always there is required.
    answers: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = SchemaSettings::draft2020_12().with(|settings| {
            settings.definitions_path = PLACE.into();
            settings.meta_schema = None;
        });
        Self {
            bodies: settings.clone().for_deserialize().into_generator(),
            answers: settings.for_serialize().into_generator(),
        }
    }

    /// What is read.
    pub(super) fn of_body<T: JsonSchema>(&mut self) -> Schema {
        self.bodies.subschema_for::<T>()
    }

    /// What is answered.
    pub(super) fn of_answer<T: JsonSchema>(&mut self) -> Schema {
        self.answers.subschema_for::<T>()
    }

    /// True if a body cannot be left out.
    pub(super) fn requires_anything<T: JsonSchema>(&mut self) -> bool {
        let schema = T::json_schema(&mut self.bodies);
        let required = schema.get("required").and_then(Value::as_array);
        required.is_some_and(|fields| !fields.is_empty())
    }

    /// All that were named so far, by name. Panics when two different ones have one name.
    pub(super) fn named(mut self) -> Map<String, Value> {
        let mut named = self.answers.take_definitions(true);
        for (name, schema) in self.bodies.take_definitions(true) {
            if let Some(known) = named.get(&name) {
                assert_eq!(known, &schema, "two schemas are called {name}");
            }
            named.insert(name, schema);
        }
        named
    }
}
