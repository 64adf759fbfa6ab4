//! Plain values in and out of Rhai, with limits on depth and size.

use graceful_core::Value;
use rhai::{Dynamic, Map};

use crate::semver::Semver;
use crate::table::table_of;

/// How deep a value that leaves Rhai may be nested; a table that holds itself ends here.
const DEEPEST: usize = 64;
/// How many values one value may hold.
const MOST: usize = 1_000_000;

/// A Rhai value as plain data.
///
/// # Errors
/// What in it is no plain data, or too deep, or too much.
pub(crate) fn to_value(from: &Dynamic) -> Result<Value, String> {
    Out { left: MOST, strict: true }.value(from, 0).map(|value| value.unwrap_or_default())
}

/// The same, leaving out what is no plain data.
pub(crate) fn to_plain(from: &Dynamic) -> Value {
    Out { left: MOST, strict: false }.value(from, 0).ok().flatten().unwrap_or_default()
}

struct Out {
    left: usize,
    strict: bool,
}

impl Out {
    fn value(&mut self, from: &Dynamic, depth: usize) -> Result<Option<Value>, String> {
        if depth > DEEPEST {
            return self.refuse(format!("a value is nested deeper than {DEEPEST}, or holds itself"));
        }
        if self.left == 0 {
            return Err(format!("a value holds more than {MOST} others"));
        }
        self.left -= 1;
        if let Ok(array) = from.as_array_ref() {
            let items = array.iter().map(|item| Ok(self.value(item, depth + 1)?.unwrap_or_default()));
            return items.collect::<Result<_, String>>().map(|items| Some(Value::List(items)));
        }
        if let Ok(map) = from.as_map_ref() {
            return self.map(map.iter().map(|(key, value)| (key.as_str(), value)), depth).map(Some);
        }
        if let Some(table) = table_of(from) {
            let entries = table.entries();
            return self.map(entries.iter().map(|(key, value)| (key.as_str(), value)), depth).map(Some);
        }
        match scalar(from) {
            Some(value) => Ok(Some(value)),
            None => self.refuse(format!("a {} is no plain value", named(from))),
        }
    }

    fn map<'a>(
        &mut self,
        from: impl Iterator<Item = (&'a str, &'a Dynamic)>,
        depth: usize,
    ) -> Result<Value, String> {
        let entries = from.filter_map(|(key, value)| match self.value(value, depth + 1) {
            Ok(value) => value.map(|value| Ok((key.to_owned(), value))),
            Err(error) => Some(Err(error)),
        });
        entries.collect::<Result<_, String>>().map(Value::Map)
    }

    fn refuse(&self, reason: String) -> Result<Option<Value>, String> {
        if self.strict { Err(reason) } else { Ok(None) }
    }
}

fn scalar(from: &Dynamic) -> Option<Value> {
    if from.is_unit() {
        return Some(Value::Null);
    }
    if let Ok(text) = from.as_immutable_string_ref() {
        return Some(Value::Str(text.to_string()));
    }
    if let Ok(bytes) = from.as_blob_ref() {
        return Some(Value::Bytes(bytes.clone()));
    }
    if let Some(version) = from.read_lock::<Semver>() {
        return Some(Value::Str(version.0.to_string()));
    }
    let flag = from.as_bool().ok().map(Value::Bool);
    let int = || from.as_int().ok().map(Value::Int);
    let float = || from.as_float().ok().map(Value::Float);
    let letter = || from.as_char().ok().map(|letter| Value::Str(letter.to_string()));
    flag.or_else(int).or_else(float).or_else(letter)
}

/// What kind of value this is, in the words of an error message.
pub(crate) fn kind(value: &Dynamic) -> &'static str {
    if value.is_fnptr() {
        "function"
    } else {
        to_value(value).map_or("value of its own type", |value| value.kind())
    }
}

fn named(value: &Dynamic) -> String {
    if value.is_fnptr() { "function".to_owned() } else { format!("`{}`", short(value.type_name())) }
}

fn short(path: &str) -> &str {
    path.rsplit("::").next().unwrap_or(path)
}

/// Plain data as a Rhai value.
pub(crate) fn from_value(value: Value) -> Dynamic {
    match value {
        Value::Null => Dynamic::UNIT,
        Value::Bool(flag) => flag.into(),
        Value::Int(number) => number.into(),
        Value::Float(number) => number.into(),
        Value::Str(text) => text.into(),
        Value::List(items) => Dynamic::from_array(items.into_iter().map(from_value).collect()),
        Value::Map(entries) => {
            let entries = entries.into_iter().map(|(key, value)| (key.into(), from_value(value)));
            Dynamic::from_map(entries.collect::<Map>())
        }
        Value::Bytes(bytes) => Dynamic::from_blob(bytes),
    }
}

#[cfg(test)]
mod tests {
    use rhai::Engine;

    use super::*;
    use crate::table::Table;

    fn out(script: &str) -> Result<Value, String> {
        to_value(&Engine::new().eval::<Dynamic>(script).unwrap())
    }

    #[test]
    fn plain_values_come_back_as_they_were() {
        let value = out(r#"#{ a: 1, b: [1.5, true, (), 'x', "y"], c: blob(2, 7) }"#).unwrap();
        let list = [Value::Float(1.5), Value::Bool(true), Value::Null, "x".into(), "y".into()];
        assert_eq!(value.get("b"), Some(&Value::List(list.to_vec())));
        assert_eq!(value.get("c"), Some(&Value::Bytes(vec![7, 7])));
        assert_eq!(to_value(&from_value(value.clone())), Ok(value));
    }

    #[test]
    fn st_04_what_is_too_deep_too_much_or_no_data_is_an_error() {
        assert_eq!(out("[|x| x]"), Err("a function is no plain value".into()));
        assert_eq!(out("timestamp()"), Err("a `timestamp` is no plain value".into()));
        let deep = out("let x = []; for i in 0..100 { x = [x]; } x");
        assert_eq!(deep, Err("a value is nested deeper than 64, or holds itself".into()));
        let table = Table::of(Default::default());
        table.set("me", Dynamic::from(table.clone()));
        assert!(to_value(&Dynamic::from(table.clone())).is_err());
        table.set("me", 1.into());
        assert_eq!(to_value(&Dynamic::from(table)).unwrap().get("me"), Some(&Value::Int(1)));
    }
}
