//! Parsing what a plan reads, all of it together that is known by then: a language may use several threads.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use super::draft::Draft;
use super::{Failure, Load};
use crate::generation::Instance;
use crate::plan::Reason;
use crate::source::{Name, Source};

/// A source that was read.
pub(super) struct Unparsed {
    source: Source,
    live: Option<Arc<Instance>>,
    reason: Reason,
}

impl Draft<'_> {
    /// Takes in a source that was read; it is parsed with the others.
    pub(super) fn load(&mut self, source: Source, live: Option<Arc<Instance>>, reason: Reason) {
        self.awaited.insert(source.name.clone());
        self.unparsed.push(Unparsed { source, live, reason });
    }

    pub(super) fn is_loaded(&self, name: &Name) -> bool {
        self.loads.contains_key(name) || self.awaited.contains(name)
    }

    /// Parses what was read, each language all of its own at once.
    pub(super) fn parse(&mut self) {
        self.awaited.clear();
        let mut sources: BTreeMap<String, Vec<Source>> = BTreeMap::new();
        let unparsed = std::mem::take(&mut self.unparsed).into_iter();
        let order: Vec<_> = unparsed
            .map(|Unparsed { source, live, reason }| {
                let (name, backend) = (source.name.clone(), source.backend.clone());
                sources.entry(backend.clone()).or_default().push(source);
                (name, backend, live, reason)
            })
            .collect();
        let mut parsed: BTreeMap<_, _> = sources
            .into_iter()
            .map(|(backend, sources)| {
                let compiled = self.inputs.backends.get(&backend).map(|known| known.compile_all(&sources));
                let compiled =
                    compiled.into_iter().flatten().map(Some).chain(std::iter::repeat_with(|| None));
                (backend, sources.into_iter().zip(compiled))
            })
            .collect();
        for (name, backend, live, reason) in order {
            let next = parsed.get_mut(&backend).and_then(Iterator::next);
            let Some((source, compiled)) = next else { continue };
            let wrong = match compiled {
                Some(Ok(compiled)) => {
                    let rank = live.as_ref().map_or(u64::MAX, |live| live.rank);
                    let source = Arc::new(source);
                    let staged = OnceLock::new();
                    self.loads.insert(name.clone(), Load { source, compiled, live, reason, rank, staged });
                    self.queue.push_back(name);
                    continue;
                }
                Some(Err(error)) => Failure::Load { module: name.clone(), error },
                None => Failure::NoBackend { module: name.clone(), origin: source.origin, backend },
            };
            self.wrong.push((name, wrong));
        }
    }
}
