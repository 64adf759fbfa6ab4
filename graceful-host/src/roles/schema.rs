//! Whether a section of a configuration is what its role's JSON Schema says.

use graceful_core::{Mismatch, Value};
use serde_json::Value as Json;

/// Keywords whose value is an object: a language that has one kind of table says an empty one as an empty list.
const OBJECTS: [&str; 9] = [
    "properties",
    "patternProperties",
    "additionalProperties",
    "propertyNames",
    "items",
    "contains",
    "not",
    "$defs",
    "definitions",
];

/// Compares `section` with `schema`. Nothing is fetched from anywhere.
pub(crate) fn fits(schema: &Value, section: &Value) -> Result<(), Mismatch> {
    let whole = |expected: String| Mismatch { path: String::new(), expected };
    let mut schema = json(schema).map_err(whole)?;
    objects(&mut schema);
    let validator = jsonschema::validator_for(&schema);
    let validator = validator.map_err(|error| whole(not_usable(&error)))?;
    let section = match section {
        Value::List(list) if list.is_empty() => Json::Object(Default::default()),
        section => json(section).map_err(whole)?,
    };
    let Err(error) = validator.validate(&section) else { return Ok(()) };
    let path = error.instance_path().to_string();
    let path = path.trim_start_matches('/').replace('/', ".").replace("~1", "/").replace("~0", "~");
    Err(Mismatch { path, expected: error.to_string() })
}

fn not_usable(error: &jsonschema::ValidationError<'_>) -> String {
    use jsonschema::ReferencingError::Unretrievable;
    use jsonschema::error::ValidationErrorKind::Referencing;
    match error.kind() {
        Referencing(Unretrievable { uri, .. }) => {
            format!("`config_schema` refers to `{uri}`, and a schema refers to nothing outside of itself")
        }
        _ => format!("`config_schema` is no JSON Schema: {error}"),
    }
}

fn json(value: &Value) -> Result<Json, String> {
    serde_json::to_value(value).map_err(|error| error.to_string())
}

fn objects(schema: &mut Json) {
    match schema {
        Json::Object(entries) => {
            for (key, value) in entries {
                if OBJECTS.contains(&key.as_str()) && value.as_array().is_some_and(Vec::is_empty) {
                    *value = Json::Object(Default::default());
                }
                objects(value);
            }
        }
        Json::Array(items) => items.iter_mut().for_each(objects),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(schema: &str, section: &str) -> Option<(String, String)> {
        let value = |text: &str| serde_json::from_str(text).unwrap();
        fits(&value(schema), &value(section)).err().map(|mismatch| (mismatch.path, mismatch.expected))
    }

    #[test]
    fn cfg_01_a_mismatch_has_its_path_and_what_was_expected() {
        let schema = r#"{"type": "object", "required": ["port"], "properties": {
            "port": {"type": "integer", "minimum": 1}, "peers": {"type": "array", "items": {"type": "string"}}}}"#;
        assert_eq!(told(schema, r#"{"port": 80, "peers": ["a"]}"#), None);
        let (path, expected) = told(schema, r#"{"port": 80, "peers": ["a", 5]}"#).unwrap();
        assert_eq!((path.as_str(), expected.as_str()), ("peers.1", r#"5 is not of type "string""#));
        let (path, expected) = told(schema, "[]").unwrap();
        assert_eq!((path.as_str(), expected.as_str()), ("", r#""port" is a required property"#));
        assert_eq!(told(r#"{"type": "object", "properties": []}"#, "{}"), None);
        let (_, expected) = told(r#"{"$ref": "http://example.com/x.json"}"#, "{}").unwrap();
        let refers = "`config_schema` refers to `http://example.com/x.json`, and a schema refers to nothing outside of itself";
        assert_eq!(expected, refers);
        assert!(told(r#"{"type": "objekt"}"#, "{}").unwrap().1.contains("is no JSON Schema"));
    }
}
