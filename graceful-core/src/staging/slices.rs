//! Top levels one after the other, in slices: a backend that keeps its VM meanwhile lets others in between.

use std::task::{Context, Poll};

use super::{Job, Staging};
use crate::changes::{Changes, Inputs};
use crate::failure::ReloadErrorKind;
use crate::source::Name;

/// How many top levels are made ready before a slice, while the backend keeps nobody out yet.
const READY: usize = 32;

/// What comes of polling a top level once.
enum Step {
    /// There is more to do, for the same backend as far as is known.
    More,
    /// The next one is another backend's.
    Elsewhere,
    /// For something that wakes whoever polls.
    Waits,
    Failed(ReloadErrorKind),
}

impl Job {
    /// Whether the next thing to do was made ready.
    fn is_ready(&self) -> bool {
        self.running.is_none() && !self.ready.is_empty()
    }
}

impl Staging {
    /// Goes on, slice by slice, until everything is staged, something fails or has to be waited for.
    pub(super) fn advance(
        &mut self,
        cx: &mut Context<'_>,
        inputs: &Inputs,
        changes: &mut Changes,
        jobs: &mut Vec<Job>,
    ) -> Poll<Result<(), ReloadErrorKind>> {
        self.requests.waker.register(cx.waker());
        while let Some((name, backend)) = self.next(jobs, changes) {
            let txn = self.txns[&backend].clone();
            self.make_ready(&backend, jobs, changes);
            let (mut step, mut first) = (Step::More, true);
            // The backend may have to wait for whoever keeps its VM.
            let _holds = self.world.watch.hold(&name, "top level", self.budget);
            txn.slice(&mut || {
                // What was made ready is all of one backend.
                let ready = !self.imported && jobs.last().is_some_and(Job::is_ready);
                let known = std::mem::take(&mut first) || ready;
                let same = known || self.next(jobs, changes).is_some_and(|(_, next)| next == backend);
                step = if same { self.step(cx, inputs, changes, jobs) } else { Step::Elsewhere };
                matches!(step, Step::More)
            });
            match step {
                Step::Elsewhere => {}
                Step::Failed(failure) => return Poll::Ready(Err(failure)),
                Step::Waits => return Poll::Pending,
                // The backend ended the slice, so that others get a turn.
                Step::More => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// The top level that runs or is next, and its backend. What is done with is left behind.
    fn next(&self, jobs: &mut Vec<Job>, changes: &Changes) -> Option<(Name, String)> {
        loop {
            let job = jobs.last_mut()?;
            let backend = |name: &Name| changes.loads[name].source.backend.clone();
            if let Some(top) = &job.running {
                return Some((top.instance.name.clone(), top.instance.source.backend.clone()));
            }
            while let Some(name) = job.todo.front() {
                if !self.imported || self.instance(name).is_none() {
                    return Some((name.clone(), backend(name)));
                }
                // Somebody imported it meanwhile.
                job.ready.pop_front();
                job.todo.pop_front();
            }
            let finished = jobs.pop().expect("the last job is there");
            self.answer(finished);
        }
    }

    fn make_ready(&self, backend: &str, jobs: &mut [Job], changes: &Changes) {
        let Some(job) = jobs.last_mut().filter(|job| job.running.is_none()) else { return };
        let next = job.todo.iter().skip(job.ready.len()).take(READY - job.ready.len());
        let next = next.take_while(|name| changes.loads[*name].source.backend == backend);
        job.ready.extend(next.map(|name| self.stage(changes, name)));
    }

    /// Polls the innermost top level until it ends or asks for a module. The outer ones wait for it.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        inputs: &Inputs,
        changes: &mut Changes,
        jobs: &mut Vec<Job>,
    ) -> Step {
        let job = jobs.last_mut().expect("a job is there");
        let mut top = match job.running.take() {
            Some(running) => running,
            None => {
                let name = job.todo.pop_front().expect("a job has something to do");
                job.ready.pop_front().unwrap_or_else(|| self.stage(changes, &name))
            }
        };
        if let Poll::Ready(result) = top.work.as_mut().poll(cx) {
            return self
                .done(changes, top.instance, top.old, result)
                .map_or_else(Step::Failed, |()| Step::More);
        }
        job.running = Some(top);
        let Some(request) = self.requests.next() else { return Step::Waits };
        self.imported = true;
        self.import(request, inputs, changes, jobs);
        Step::More
    }
}
