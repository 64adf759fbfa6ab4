//! The configuration: one document of sections, the same for every language.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::role::RoleError;
use crate::value::Value;

/// The configuration that roles are told: one document of plain data, a map of sections. Never changes; another one
/// is applied in its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Config(Value);

/// One difference between two configurations.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfigChange {
    /// Where: the keys, with dots between them.
    pub path: String,
    /// What was there.
    pub old: Option<Value>,
    /// What is.
    pub new: Option<Value>,
}

/// Where a section of a configuration is not what its role's schema says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Where in the section: the keys, with dots between them; empty for the section itself.
    pub path: String,
    /// What was expected there.
    pub expected: String,
}

/// Compares a section with a schema; the core has no JSON Schema of its own.
pub(crate) type Schemas = Arc<dyn Fn(&Value, &Value) -> Result<(), Mismatch> + Send + Sync>;

/// How deep tables in a configuration may lie: what it is kept and sent in can be read again.
const DEEPEST: usize = 100;

impl Config {
    /// A configuration of this document.
    ///
    /// # Errors
    /// It is no map; or it holds what could not be kept and read again: a number that is none or infinite, a text that
    /// is not UTF-8, tables that lie too deep.
    pub fn new(document: Value) -> Result<Self, RoleError> {
        match document {
            Value::Map(_) => match unfit(&document, &mut Vec::new()) {
                Some((path, reason)) => Err(RoleError::Unfit { path, reason }),
                None => Ok(Self(document)),
            },
            Value::Null => Ok(Self::default()),
            // What languages without lists make of an empty table.
            Value::List(list) if list.is_empty() => Ok(Self::default()),
            other => Err(RoleError::NoDocument { got: other.kind().into() }),
        }
    }

    /// The document.
    pub fn document(&self) -> &Value {
        &self.0
    }

    /// One section of it.
    pub fn section(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// What is different in `new`, by path. Lists are compared whole.
    pub fn diff(&self, new: &Config) -> Vec<ConfigChange> {
        let mut changes = Vec::new();
        compare(&mut String::new(), &self.0, &new.0, &mut changes);
        changes
    }
}

impl Default for Config {
    fn default() -> Self {
        Self(Value::map())
    }
}

impl fmt::Display for ConfigChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (None, Some(new)) => write!(f, "+ {}: {new}", self.path),
            (Some(old), None) => write!(f, "- {}: {old}", self.path),
            (Some(old), Some(new)) => write!(f, "~ {}: {old} -> {new}", self.path),
            (None, None) => Ok(()),
        }
    }
}

/// The first thing in `value` that a configuration cannot hold: its path, and why.
fn unfit<'a>(value: &'a Value, path: &mut Vec<Cow<'a, str>>) -> Option<(String, String)> {
    let here = |path: &[Cow<'a, str>], reason: String| Some((path.join("."), reason));
    match value {
        Value::Float(number) if !number.is_finite() => {
            here(path, format!("{number} is no number to be kept"))
        }
        Value::Bytes(_) => here(path, "a text that is not UTF-8".to_owned()),
        Value::List(_) | Value::Map(_) if path.len() == DEEPEST => {
            path.truncate(3);
            here(path, format!("tables lie deeper than {DEEPEST} in it"))
        }
        Value::List(items) => items.iter().enumerate().find_map(|(index, item)| {
            path.push(Cow::Owned(index.to_string()));
            let found = unfit(item, path);
            path.pop();
            found
        }),
        Value::Map(entries) => entries.iter().find_map(|(key, entry)| {
            path.push(Cow::Borrowed(key));
            let found = unfit(entry, path);
            path.pop();
            found
        }),
        _ => None,
    }
}

fn compare(path: &mut String, old: &Value, new: &Value, changes: &mut Vec<ConfigChange>) {
    let (Value::Map(before), Value::Map(after)) = (old, new) else {
        if old != new {
            let (old, new) = (Some(old.clone()), Some(new.clone()));
            changes.push(ConfigChange { path: path.clone(), old, new });
        }
        return;
    };
    let added = after.keys().filter(|key| !before.contains_key(*key));
    let mut keys: Vec<&String> = before.keys().chain(added).collect();
    keys.sort();
    for key in keys {
        let outer = path.len();
        if outer > 0 {
            path.push('.');
        }
        path.push_str(key);
        match (before.get(key), after.get(key)) {
            (Some(old), Some(new)) => compare(path, old, new, changes),
            (old, new) => {
                let (path, old, new) = (path.clone(), old.cloned(), new.cloned());
                changes.push(ConfigChange { path, old, new });
            }
        }
        path.truncate(outer);
    }
}

#[cfg(test)]
mod tests {
    use super::Config;
    use crate::value::Value;

    fn config(pairs: &[(&str, Value)]) -> Config {
        let map = pairs.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        Config::new(Value::Map(map)).unwrap()
    }

    #[test]
    fn cfg_05_a_difference_has_its_path() {
        let inner = |port: i64| config(&[("port", port.into()), ("hosts", ["a", "b"].into())]).0;
        let (old, new) = (
            config(&[("web", inner(80)), ("gone", 1.into())]),
            config(&[("web", inner(81)), ("made", true.into())]),
        );
        let shown: Vec<String> = old.diff(&new).iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["- gone: 1", "+ made: true", "~ web.port: 80 -> 81"]);
        assert!(old.diff(&old).is_empty());
    }

    #[test]
    fn cfg_05_a_configuration_is_a_map() {
        assert!(Config::new(Value::List(Vec::new())).is_ok());
        let error = Config::new(5.into()).unwrap_err();
        assert_eq!(error.to_string(), "a configuration is a table of sections; got integer");
    }

    #[test]
    fn cfg_05_what_could_not_be_kept_is_no_configuration() {
        let refused = |key: &str, value: Value| {
            let inner = Value::Map([(key.to_owned(), value)].into());
            let document = Value::Map([("web".to_owned(), inner)].into());
            Config::new(document).map(drop).map_err(|error| error.to_string())
        };
        let said = |text: &str| Err(format!("a configuration cannot hold `web.{text}"));
        assert_eq!(refused("port", f64::NAN.into()), said("port`: NaN is no number to be kept"));
        let list = Value::List(vec![1.into(), f64::INFINITY.into()]);
        assert_eq!(refused("ports", list), said("ports.1`: inf is no number to be kept"));
        assert_eq!(refused("name", Value::Bytes(vec![255])), said("name`: a text that is not UTF-8"));
        let deep = |levels: usize| (0..levels).fold(Value::map(), |inner, _| Value::List(vec![inner]));
        assert_eq!(refused("a", deep(97)), Ok(()));
        assert_eq!(refused("a", deep(98)), said("a.0`: tables lie deeper than 100 in it"));
    }
}
