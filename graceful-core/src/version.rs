//! The version of a module: `semver(maj, min, patch)`, a text or a list of three, all the same.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// A module's version. Compares by SemVer precedence, to which build metadata adds nothing, and prints as
/// `maj.min.patch`.
///
/// ```
/// use graceful_core::Version;
/// assert_eq!(Version::parse("1.2.3").unwrap(), Version::new(1, 2, 3));
/// assert!(Version::parse("1.10.0").unwrap() > Version::parse("1.9.0").unwrap());
/// assert_eq!(Version::parse("1.2.3+linux").unwrap(), Version::parse("1.2.3+mac").unwrap());
/// assert!(Version::parse("1.2").is_err());
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(semver::Version);

/// A version that is no SemVer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{got}` is not a version: expected `maj.min.patch` of three whole numbers ({reason})")]
pub struct VersionError {
    /// What was given.
    pub got: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Version {
    /// The version `maj.min.patch`.
    pub fn new(major: u64, minor: u64, patch: u64) -> Self {
        Self(semver::Version::new(major, minor, patch))
    }

    /// Reads a version from text.
    pub fn parse(text: &str) -> Result<Self, VersionError> {
        semver::Version::parse(text)
            .map(Self)
            .map_err(|error| VersionError { got: text.to_owned(), reason: reason(text, &error.to_string()) })
    }

    /// Reads a version as scripts give it: text, or a list of three whole numbers.
    pub fn from_value(value: &Value) -> Result<Self, VersionError> {
        match value {
            Value::Str(text) => Self::parse(text),
            Value::List(parts) => {
                match parts.iter().map(Value::as_int).collect::<Option<Vec<_>>>().as_deref() {
                    Some([major, minor, patch]) if *major >= 0 && *minor >= 0 && *patch >= 0 => {
                        Ok(Self::new(*major as u64, *minor as u64, *patch as u64))
                    }
                    _ => {
                        Err(VersionError { got: value.to_string(), reason: "not three whole numbers".into() })
                    }
                }
            }
            other => Err(VersionError {
                got: other.to_string(),
                reason: format!("it is of the kind {}", other.kind()),
            }),
        }
    }

    /// The major number.
    pub fn major(&self) -> u64 {
        self.0.major
    }

    /// The minor number.
    pub fn minor(&self) -> u64 {
        self.0.minor
    }

    /// The patch number.
    pub fn patch(&self) -> u64 {
        self.0.patch
    }
}

/// What is wrong with `text`, in the words of this crate where those of the parser speak of its insides.
fn reason(text: &str, told: &str) -> String {
    if text.is_empty() {
        "it is empty".into()
    } else if told.contains("exceeds") {
        "a number is too large".into()
    } else if told.starts_with("unexpected end of input") {
        "a number is missing".into()
    } else {
        told.to_owned()
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.cmp_precedence(&other.0)
    }
}

impl Hash for Version {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0.major, self.0.minor, self.0.patch, &self.0.pre).hash(state);
    }
}

impl From<Version> for Value {
    fn from(version: Version) -> Self {
        Value::Str(version.to_string())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ver_01_text_and_lists_are_read_and_compare_by_precedence() {
        let read = |value: Value| Version::from_value(&value);
        let list = |parts: [i64; 3]| Value::List(parts.map(Value::Int).to_vec());
        assert_eq!(read("1.2.3".into()), read(list([1, 2, 3])));
        assert_eq!(read(list([1, 2, 3])).unwrap().to_string(), "1.2.3");
        let rising = ["1.0.0-alpha", "1.0.0-alpha.2", "1.0.0-beta", "1.0.0", "1.9.0", "1.10.0", "2.0.0"];
        let rising: Vec<Version> = rising.iter().map(|text| Version::parse(text).unwrap()).collect();
        assert!(rising.is_sorted_by(|one, next| one < next), "{rising:?}");
        assert_eq!(read("1.0.0+a".into()), read("1.0.0+b".into()));
    }

    #[test]
    fn ver_01_what_is_no_version_says_what_came() {
        let told = |value: Value| Version::from_value(&value).unwrap_err().to_string();
        let expected = "is not a version: expected `maj.min.patch` of three whole numbers";
        for (value, got) in [
            ("1.2".into(), "1.2"),
            ("one".into(), "one"),
            (vec![1.into(), 2.into()].into(), "[1, 2]"),
            (vec![1.into(), 2.into(), Value::Int(-3)].into(), "[1, 2, -3]"),
            (vec![1.into(), 2.into(), Value::Float(0.5)].into(), "[1, 2, 0.5]"),
            (Value::Float(1.5), "1.5"),
            (true.into(), "true"),
            ("1.2.99999999999999999999".into(), "1.2.99999999999999999999"),
        ] {
            let told = told(value);
            assert!(told.starts_with(&format!("`{got}` {expected}")) && !told.contains("u64"), "{told}");
        }
    }
}
