//! The configuration: one document of sections, the same for every language.

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

impl Config {
    /// A configuration of this document.
    ///
    /// # Errors
    /// It is no map.
    pub fn new(document: Value) -> Result<Self, RoleError> {
        match document {
            Value::Map(_) => Ok(Self(document)),
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
}
