//! What is registered by key in the live world: one immutable table, replaced whole.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Callable;
use crate::error::{ScriptError, ScriptErrorKind};
use crate::gate::Generation;
use crate::source::Name;

/// A thing registered by key.
#[derive(Clone)]
pub struct Registered {
    /// The module that registered it.
    pub owner: Name,
    /// The generation of that module that did.
    pub born: Generation,
    /// The key as that module wrote it.
    pub key: String,
    /// What is called.
    pub target: Arc<dyn Callable>,
}

/// What is registered, by kind and what its key [stands for](Table::at_key). One immutable table, replaced whole.
pub type Registrations = BTreeMap<(String, String), Registered>;

/// Says what a key of one kind stands for: two keys for which it says the same are the same thing. Or why no key can
/// be written so.
pub type Identity = Arc<dyn Fn(&str) -> Result<String, String> + Send + Sync>;

/// Why something cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegisterError {
    /// Another module has registered it already.
    #[error("{kind} `{key}` is already registered by module `{owner}`{}", spelled(key, first))]
    Taken {
        /// The kind.
        kind: String,
        /// The key.
        key: String,
        /// Who has it.
        owner: Name,
        /// The key as that module wrote it.
        first: String,
    },
    /// There can be no such key.
    #[error("{kind} `{key}`: {reason}")]
    Malformed {
        /// The kind.
        kind: String,
        /// The key.
        key: String,
        /// Why, and what to write.
        reason: String,
    },
}

fn spelled(key: &str, first: &str) -> String {
    if key == first { String::new() } else { format!(" as `{first}`") }
}

impl From<RegisterError> for ScriptError {
    fn from(error: RegisterError) -> Self {
        ScriptError::new(ScriptErrorKind::Registration, error.to_string())
    }
}

/// The live table of registrations, and those that calls in flight began with.
#[derive(Default)]
pub struct Table {
    identities: BTreeMap<String, Identity>,
    live: Mutex<Arc<Registrations>>,
    /// By the last generation that saw it, oldest first.
    past: Mutex<Vec<(Generation, Arc<Registrations>)>>,
}

impl Table {
    pub(crate) fn new(identities: BTreeMap<String, Identity>) -> Self {
        Self { identities, ..Self::default() }
    }

    /// Under which key of the table `key` of `kind` stands: itself, unless the host said what
    /// [makes two keys the same](crate::EngineBuilder::identity).
    ///
    /// # Errors
    /// [`RegisterError::Malformed`].
    pub fn at_key(&self, kind: &str, key: &str) -> Result<(String, String), RegisterError> {
        let stands_for =
            self.identities.get(kind).map_or_else(|| Ok(key.to_owned()), |identity| identity(key));
        let malformed =
            |reason| RegisterError::Malformed { kind: kind.to_owned(), key: key.to_owned(), reason };
        Ok((kind.to_owned(), stands_for.map_err(malformed)?))
    }

    /// The table as it is now. It never changes; a new one takes its place.
    pub fn snapshot(&self) -> Arc<Registrations> {
        self.live.lock().unwrap().clone()
    }

    /// The table as `generation` saw it last, or sees it.
    pub(crate) fn at(&self, generation: Generation) -> Arc<Registrations> {
        let past = self.past.lock().unwrap();
        let seen = past.iter().find(|(last, _)| *last >= generation).map(|(_, table)| table.clone());
        drop(past);
        seen.unwrap_or_else(|| self.snapshot())
    }

    /// Keeps `table` for calls that are pinned to `last` or an earlier generation.
    pub(crate) fn keep(&self, last: Generation, table: Arc<Registrations>) {
        self.past.lock().unwrap().push((last, table));
    }

    /// Forgets what nobody sees who began in `oldest` or later.
    pub(crate) fn forget(&self, oldest: Generation) {
        let gone: Vec<_> = self.past.lock().unwrap().extract_if(.., |(last, _)| *last < oldest).collect();
        // Handlers may be dropped with it, and with them handles into VMs: outside of the lock.
        drop(gone);
    }

    /// Forgets everything, also what calls in flight began with.
    pub(crate) fn clear(&self) {
        let old = (self.swap(Registrations::clear), std::mem::take(&mut *self.past.lock().unwrap()));
        drop(old);
    }

    /// Makes `change` of it in one step and gives back the table before, to be dropped outside of every lock.
    pub(crate) fn swap(&self, change: impl FnOnce(&mut Registrations)) -> Arc<Registrations> {
        let mut live = self.live.lock().unwrap();
        let mut next = (**live).clone();
        change(&mut next);
        std::mem::replace(&mut *live, Arc::new(next))
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&mut Registrations) -> Result<(), RegisterError>,
    ) -> Result<(), RegisterError> {
        let mut live = self.live.lock().unwrap();
        let mut next = (**live).clone();
        change(&mut next)?;
        let old = std::mem::replace(&mut *live, Arc::new(next));
        drop(live);
        // The last reference to an old handler may live here; it is dropped outside of the lock.
        drop(old);
        Ok(())
    }
}
