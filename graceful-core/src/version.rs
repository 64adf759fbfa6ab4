//! The version of a module: `semver(maj, min, patch)`, a text or a list of three, all the same.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::value::Value;

/// A module's version. Compares by SemVer precedence and prints as `maj.min.patch`.
///
/// ```
/// use graceful_core::Version;
/// assert_eq!(Version::parse("1.2.3").unwrap(), Version::new(1, 2, 3));
/// assert!(Version::parse("1.10.0").unwrap() > Version::parse("1.9.0").unwrap());
/// assert!(Version::parse("1.2").is_err());
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
            .map_err(|error| VersionError { got: text.to_owned(), reason: error.to_string() })
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
                    _ => Err(VersionError {
                        got: format!("{value:?}"),
                        reason: "not three whole numbers".into(),
                    }),
                }
            }
            other => Err(VersionError { got: format!("{other:?}"), reason: format!("a {}", other.kind()) }),
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

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
