//! Sources in memory, to be edited, broken and removed by a test.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use graceful_core::source::SourceError;
use graceful_core::{Found, Name, Source, Sources};

#[derive(Clone)]
struct Text {
    backend: String,
    origin: String,
    bytes: Vec<u8>,
    unreadable: Option<String>,
    reads: u64,
}

type OnRead = Box<dyn Fn(&Name) + Send + Sync>;

/// The texts of an app's modules, in memory.
#[derive(Default)]
pub struct MemorySources {
    texts: Mutex<BTreeMap<Name, Text>>,
    on_read: Mutex<Option<OnRead>>,
}

impl MemorySources {
    /// No sources yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sets the text of `name`, which `backend` loads; its origin is `name.extension`.
    pub fn put(&self, name: &str, backend: &str, extension: &str, text: impl Into<Vec<u8>>) {
        let origin = format!("{name}.{extension}");
        let mut texts = self.lock();
        let reads = texts.get(name).map_or(0, |text| text.reads);
        let text = Text { backend: backend.into(), origin, bytes: text.into(), unreadable: None, reads };
        texts.insert(name.into(), text);
    }

    /// Takes the source of `name` away.
    pub fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// Makes the source of `name` one that is there and cannot be read.
    pub fn make_unreadable(&self, name: &str, reason: &str) {
        if let Some(text) = self.lock().get_mut(name) {
            text.unreadable = Some(reason.into());
        }
    }

    /// The text of `name`.
    pub fn text(&self, name: &str) -> Option<String> {
        self.lock().get(name).map(|text| String::from_utf8_lossy(&text.bytes).into_owned())
    }

    /// How often the source of `name` was read.
    pub fn reads(&self, name: &str) -> u64 {
        self.lock().get(name).map_or(0, |text| text.reads)
    }

    /// Runs `then` after each read of a source: an edit there is one that comes while a reload reads.
    pub fn on_read(&self, then: impl Fn(&Name) + Send + Sync + 'static) {
        *self.on_read.lock().unwrap() = Some(Box::new(then));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Name, Text>> {
        self.texts.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn read(&self, name: &Name) -> Result<Found, SourceError> {
        let mut texts = self.lock();
        let Some(text) = texts.get_mut(name) else {
            return Ok(Found::Missing { searched: vec![format!("memory:{name}")] });
        };
        text.reads += 1;
        if let Some(reason) = &text.unreadable {
            return Err(SourceError { module: name.to_string(), reason: reason.clone() });
        }
        let (backend, origin) = (text.backend.clone(), text.origin.clone());
        Ok(Found::Source(Source::new(name.clone(), backend, origin, text.bytes.clone())))
    }
}

impl Sources for MemorySources {
    fn find(&self, name: &Name) -> Result<Found, SourceError> {
        let found = self.read(name);
        if let Some(then) = &*self.on_read.lock().unwrap() {
            then(name);
        }
        found
    }
}
