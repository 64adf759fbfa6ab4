//! What must be staged for a request that the plan did not foresee, and finding cycles in it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::poll_fn;

use futures_channel::oneshot;

use super::import::Request;
use super::{Job, Staging};
use crate::changes::{Changes, Inputs, discover};
use crate::error::{ScriptError, ScriptErrorKind};
use crate::failure::ReloadErrorKind;
use crate::source::Name;

impl Staging {
    pub(super) fn import(
        &mut self,
        request: Request,
        inputs: &Inputs,
        changes: &mut Changes,
        jobs: &mut Vec<Job>,
    ) {
        match self.schedule(&request, inputs, changes, jobs) {
            Ok(todo) => {
                jobs.push(Job { todo, waiting: Some((request.name, request.reply)), ..Job::default() })
            }
            Err(failure) => {
                let mut error = ScriptError::new(ScriptErrorKind::Import, failure.to_string());
                if let Some(place) = request.place {
                    error = error.at(place);
                }
                self.failure = Some(failure);
                let _ = request.reply.send(Err(error));
            }
        }
    }

    /// Stages `name`, which `from` turned out to need after it was staged.
    pub(crate) async fn also(
        &mut self,
        from: &Name,
        name: &Name,
        inputs: &Inputs,
        changes: &mut Changes,
    ) -> Result<(), ReloadErrorKind> {
        let (reply, _nobody) = oneshot::channel();
        let request = Request { from: from.clone(), name: name.clone(), place: None, reply };
        let todo = self.schedule(&request, inputs, changes, &[])?;
        let mut jobs = vec![Job { todo, ..Job::default() }];
        poll_fn(|cx| self.advance(cx, inputs, changes, &mut jobs)).await
    }

    /// What must be staged for a request, dependencies first.
    fn schedule(
        &self,
        request: &Request,
        inputs: &Inputs,
        changes: &mut Changes,
        jobs: &[Job],
    ) -> Result<VecDeque<Name>, ReloadErrorKind> {
        let kept = changes.keep(&request.name)?;
        let mut in_flight = self.world.in_flight.write().unwrap();
        in_flight.pending.retain(|name| !kept.stays.contains(name));
        in_flight.pending.extend(kept.loaded);
        drop(in_flight);
        let live = self.world.instance_at(&request.name, self.base()).is_some();
        let stays = live && !changes.contains(&request.name);
        if !stays && !changes.loads.contains_key(&request.name) {
            let by = (&request.from, request.place.clone());
            for (name, load) in discover(inputs, changes, &request.name, by)? {
                self.world.in_flight.write().unwrap().pending.insert(name.clone());
                changes.take_in(&name, load);
            }
        }
        let running: Vec<&Name> =
            jobs.iter().filter_map(|job| job.running.as_ref()).map(|top| &top.instance.name).collect();
        let todo = self.pending_below(&request.name, changes);
        if let Some(back) = running.iter().position(|name| todo.contains(*name)) {
            let mut path = vec![running[back].clone()];
            for (job, name) in jobs.iter().zip(&running).skip(back + 1) {
                if let Some((asked, _)) = &job.waiting {
                    path.extend(chain(asked, name, changes));
                }
            }
            path.extend(chain(&request.name, running[back], changes));
            return Err(ReloadErrorKind::Cycle { path });
        }
        Ok(todo)
    }

    fn pending_below(&self, name: &Name, changes: &Changes) -> VecDeque<Name> {
        let mut ordered = VecDeque::new();
        let mut seen = BTreeSet::new();
        let mut stack = vec![(name.clone(), false)];
        while let Some((name, below_done)) = stack.pop() {
            if below_done {
                ordered.push_back(name);
            } else if changes.loads.contains_key(&name)
                && self.instance(&name).is_none()
                && seen.insert(name.clone())
            {
                let requires =
                    changes.loads[&name].compiled.requires.iter().filter(|require| !require.deferred);
                let below: Vec<Name> = requires.map(|require| require.name.clone()).collect();
                stack.push((name, true));
                stack.extend(below.into_iter().rev().map(|name| (name, false)));
            }
        }
        ordered
    }
}

/// The way from one module to another by constant requires of the set.
fn chain(from: &Name, to: &Name, changes: &Changes) -> Vec<Name> {
    let mut came: BTreeMap<Name, Name> = BTreeMap::new();
    let mut queue = VecDeque::from([from.clone()]);
    while let Some(name) = queue.pop_front().filter(|name| name != to) {
        let load = changes.loads.get(&name);
        let requires = load.into_iter().flat_map(|load| load.compiled.requires.iter());
        for require in requires.filter(|require| !require.deferred) {
            if require.name != *from && !came.contains_key(&require.name) {
                came.insert(require.name.clone(), name.clone());
                queue.push_back(require.name.clone());
            }
        }
    }
    let mut way = vec![to.clone()];
    while let Some(before) = came.get(&way[way.len() - 1]) {
        way.push(before.clone());
    }
    way.reverse();
    way
}
