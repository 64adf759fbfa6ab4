//! What a plan begins with: sources that changed, are new, or are gone.

use std::sync::Arc;

use super::draft::Draft;
use super::{Failure, Inputs};
use crate::generation::Instance;
use crate::plan::Reason;
use crate::source::{Found, Name};

impl Draft<'_> {
    /// Finds what changed: by hash, never by time.
    pub(super) fn scan(&mut self) -> Result<(), Failure> {
        let scanned: Vec<Arc<Instance>> = match &self.inputs.options.changed {
            Some(names) if !self.inputs.options.force && !self.inputs.options.roles => {
                names.iter().filter_map(|name| self.live(name)).collect()
            }
            _ => self.inputs.world.live_all(),
        };
        for live in scanned {
            match self.read(&live.name)? {
                Found::Source(source)
                    if source.hash != live.source.hash || source.backend != live.source.backend =>
                {
                    self.load(source, Some(live), Reason::Changed)?;
                }
                Found::Source(_) if self.inputs.options.force => self.again(live, Reason::Forced),
                Found::Source(_) if self.is_of_roles(&live.name) => self.again(live, Reason::Roles),
                Found::Source(_) => {}
                Found::Missing { .. } => {
                    self.leaving.insert(live.name.clone(), (live, Reason::SourceGone));
                }
            }
        }
        for name in self.inputs.entries.iter().chain(&self.inputs.options.load) {
            if self.live(name).is_none() && !self.loads.contains_key(name) {
                self.entry(name, Reason::Entry)?;
            }
        }
        for name in self.inputs.options.register.iter().flatten() {
            if self.live(name).is_none() && !self.loads.contains_key(name) {
                self.entry(name, Reason::Role)?;
            }
        }
        self.appeared()
    }

    /// Finds what live modules require that was not there when they were loaded.
    fn appeared(&mut self) -> Result<(), Failure> {
        let world = &self.inputs.world;
        let hinted = self.inputs.options.changed.as_ref().filter(|_| !self.inputs.options.force);
        let unregistered = world.unregistered.lock().unwrap().clone();
        let looked_for = |name: &Name| {
            hinted.is_none_or(|names| names.contains(name))
                && !unregistered.contains(name)
                && self.live(name).is_none()
                && !self.loads.contains_key(name)
        };
        let graph = world.graph.lock().unwrap();
        let missing = graph.required().filter(|(name, _)| looked_for(name));
        let missing: Vec<(Name, Name)> = missing.map(|(name, by)| (name.clone(), by.clone())).collect();
        drop(graph);
        for (name, by) in missing {
            if let Found::Source(source) = self.read(&name)? {
                self.load(source, None, Reason::RequiredBy(by))?;
            }
        }
        Ok(())
    }

    /// Whether a reload of roles from a clean slate takes `name`.
    fn is_of_roles(&self, name: &Name) -> bool {
        let Inputs { options, baseline, roles, role_edges, .. } = self.inputs;
        options.roles && (!baseline.contains(name) || roles.contains(name) || role_edges.contains_key(name))
    }

    pub(super) fn entry(&mut self, name: &Name, reason: Reason) -> Result<(), Failure> {
        match self.read(name)? {
            Found::Source(source) => self.load(source, None, reason),
            Found::Missing { searched } => {
                let by = if reason == Reason::Role { "the list of roles" } else { "the app's entries" };
                let by = by.to_owned();
                Err(Failure::Missing { module: name.clone(), by, place: None, searched })
            }
        }
    }
}
