//! What a reload finds when it looks: what changed, what is gone, what is to be there and is not.

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
                    self.load(source, Some(live), Reason::Changed);
                }
                Found::Source(_) if self.inputs.options.force => self.again(live, Reason::Forced),
                Found::Source(_) if self.is_of_roles(&live.name) => self.again(live, Reason::Roles),
                Found::Source(_) => {}
                Found::Missing { .. } => {
                    self.leaving.insert(live.name.clone(), (live, Reason::SourceGone));
                }
            }
        }
        self.entries()?;
        self.appeared()?;
        self.parse();
        Ok(())
    }

    /// Takes in the entries that are not live. One that was unregistered comes back where everything is looked at, or
    /// that one: an edit of something else does not bring it back.
    fn entries(&mut self) -> Result<(), Failure> {
        let options = &self.inputs.options;
        let unregistered = self.inputs.world.unregistered.lock().unwrap().clone();
        let hinted = options.changed.as_ref().filter(|_| !options.force);
        for name in self.inputs.entries.iter().chain(&options.load) {
            if self.live(name).is_some() || self.is_loaded(name) {
                continue;
            }
            let was = unregistered.contains(name) && !options.load.contains(name);
            if !was {
                self.entry(name, Reason::Entry)?;
            } else if hinted.is_none_or(|names| names.contains(name)) {
                self.entry(name, Reason::EntryAgain)?;
            }
        }
        for name in options.register.iter().flatten() {
            if self.live(name).is_none() && !self.is_loaded(name) {
                self.entry(name, Reason::Role)?;
            }
        }
        Ok(())
    }

    /// Finds what live modules require that was not there when they were loaded.
    fn appeared(&mut self) -> Result<(), Failure> {
        let world = &self.inputs.world;
        let hinted = self.inputs.options.changed.as_ref().filter(|_| !self.inputs.options.force);
        let unregistered = world.unregistered.lock().unwrap().clone();
        let looked_for =
            |name: &Name| !unregistered.contains(name) && self.live(name).is_none() && !self.is_loaded(name);
        let graph = world.graph.lock().unwrap();
        let required: Vec<(&Name, &Name)> = match hinted {
            // What is told to have changed is little, and what is required may be very much.
            Some(names) => {
                names.iter().filter_map(|name| Some((name, graph.dependents(name).next()?))).collect()
            }
            None => graph.required().collect(),
        };
        let missing = required.into_iter().filter(|(name, _)| looked_for(name));
        let missing: Vec<(Name, Name)> = missing.map(|(name, by)| (name.clone(), by.clone())).collect();
        drop(graph);
        for (name, by) in missing {
            if let Found::Source(source) = self.read(&name)? {
                self.load(source, None, Reason::RequiredBy(by));
            }
        }
        Ok(())
    }

    /// Whether a reload of roles from a clean slate takes `name`.
    fn is_of_roles(&self, name: &Name) -> bool {
        let Inputs { options, baseline, roles, role_edges, .. } = self.inputs;
        options.roles && (!baseline.contains(name) || roles.contains(name) || role_edges.contains_key(name))
    }

    fn entry(&mut self, name: &Name, reason: Reason) -> Result<(), Failure> {
        match self.read(name)? {
            Found::Source(source) => {
                self.load(source, None, reason);
                Ok(())
            }
            Found::Missing { searched } => {
                let by = match reason {
                    Reason::Role => "the list of roles",
                    _ if self.inputs.options.load.contains(name) => "a call that asked for it",
                    _ => "the app's entries",
                };
                let by = by.to_owned();
                Err(Failure::Missing { module: name.clone(), by, place: None, searched })
            }
        }
    }
}
