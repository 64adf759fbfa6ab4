//! The texts of modules: their names, what was read, and who reads them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name a module is required by. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Name {
    fn default() -> Self {
        Name("".into())
    }
}

impl std::ops::Deref for Name {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    fn from(text: &str) -> Self {
        Name(text.into())
    }
}

impl From<String> for Name {
    fn from(text: String) -> Self {
        Name(text.into())
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0.as_ref().to_owned()
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The hash of a source's text. What was hashed is what is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The hash of `text`.
    pub fn of(text: &[u8]) -> Self {
        Self(*blake3::hash(text).as_bytes())
    }

    /// All of its bytes; shown are the first eight.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..8].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One module's text as it was read, once.
#[derive(Clone, Debug)]
pub struct Source {
    /// The name it is required by.
    pub name: Name,
    /// Which backend loads it (its [`crate::Backend::name`]).
    pub backend: String,
    /// Where it came from, as error messages show it (a path, usually).
    pub origin: String,
    /// The text.
    pub text: Arc<[u8]>,
    /// The hash of the text.
    pub hash: Hash,
}

impl Source {
    /// A source whose hash is taken from `text`.
    pub fn new(
        name: impl Into<Name>,
        backend: impl Into<String>,
        origin: impl Into<String>,
        text: impl Into<Arc<[u8]>>,
    ) -> Self {
        let text = text.into();
        let hash = Hash::of(&text);
        Self { name: name.into(), backend: backend.into(), origin: origin.into(), text, hash }
    }
}

/// What a provider answers for a name.
#[derive(Clone, Debug)]
pub enum Found {
    /// The source, read.
    Source(Source),
    /// There is none; these places were looked at.
    Missing {
        /// The places, as a person would open them.
        searched: Vec<String>,
    },
}

/// A source that exists and cannot be read, or is there twice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot read module `{module}`: {reason}")]
pub struct SourceError {
    /// The module.
    pub module: String,
    /// Why.
    pub reason: String,
}

/// Gives the texts of modules. Called while planning, never after; each source is read once a reload.
pub trait Sources: Send + Sync {
    /// Reads the source of `name`. May block (it is called where blocking is allowed).
    fn find(&self, name: &Name) -> Result<Found, SourceError>;
}
