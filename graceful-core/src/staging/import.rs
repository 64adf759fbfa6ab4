//! Where top levels ask for modules that the plan did not put before them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_channel::oneshot;
use futures_util::task::AtomicWaker;

use crate::backend::{Finalize, Importer};
use crate::clock::Clock;
use crate::error::{Place, ScriptError, ScriptErrorKind};
use crate::generation::Instance;
use crate::source::Name;

pub(super) type Reply = oneshot::Sender<Result<Arc<Instance>, ScriptError>>;

/// What was asked for while a top level ran.
pub(super) struct Request {
    pub(super) from: Name,
    pub(super) name: Name,
    pub(super) place: Option<Place>,
    pub(super) reply: Reply,
}

/// Where top levels ask for modules that the plan did not put before them.
#[derive(Default)]
pub(crate) struct Requests {
    /// When each `init` that runs while its module registers began, and how long it took.
    inits: Mutex<BTreeMap<Name, (Duration, Option<Duration>)>>,
    pub(super) queue: Mutex<VecDeque<Request>>,
    pub(super) waker: AtomicWaker,
    pub(super) initialised: Mutex<Vec<(Name, Finalize)>>,
    /// By module, how its top level waited.
    waits: Mutex<BTreeMap<Name, Waits>>,
    clock: Option<Arc<dyn Clock>>,
}

/// What a top level waited for imports, some of which it may wait for at once.
#[derive(Default)]
struct Waits {
    before: Duration,
    since: Option<Duration>,
    now: usize,
}

impl Requests {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock: Some(clock), ..Self::default() }
    }

    fn now(&self) -> Duration {
        self.clock.as_ref().map(|clock| clock.now()).unwrap_or_default()
    }

    /// How long the `init` of `module` took, if it ran while that registered, and whether it came to its end.
    pub(super) fn took_init(&self, module: &Name) -> Option<(Duration, bool)> {
        let (began, took) = self.inits.lock().unwrap().remove(module)?;
        Some((took.unwrap_or_else(|| self.now().saturating_sub(began)), took.is_some()))
    }

    /// From now until the guard drops, `module` waits.
    fn waits<'a>(&'a self, module: &Name) -> Waiting<'a> {
        let mut waits = self.waits.lock().unwrap();
        let entry = waits.entry(module.clone()).or_default();
        entry.now += 1;
        entry.since.get_or_insert(self.now());
        Waiting { requests: self, module: module.clone() }
    }

    /// The next request that somebody still waits for.
    pub(super) fn next(&self) -> Option<Request> {
        let mut queue = self.queue.lock().unwrap();
        loop {
            let request = queue.pop_front()?;
            if !request.reply.is_canceled() {
                return Some(request);
            }
        }
    }
}

/// A top level waits for an import.
struct Waiting<'a> {
    requests: &'a Requests,
    module: Name,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let now = self.requests.now();
        let mut waits = self.requests.waits.lock().unwrap();
        let Some(entry) = waits.get_mut(&self.module) else { return };
        entry.now -= 1;
        if entry.now == 0 {
            entry.before += entry.since.take().map_or(Duration::ZERO, |since| now.saturating_sub(since));
        }
    }
}

#[async_trait]
impl Importer for Requests {
    async fn import(
        &self,
        from: &Arc<Instance>,
        name: &Name,
        place: Option<Place>,
    ) -> Result<Arc<Instance>, ScriptError> {
        let _waits = self.waits(&from.name);
        let (reply, answer) = oneshot::channel();
        let request = Request { from: from.name.clone(), name: name.clone(), place, reply };
        self.queue.lock().unwrap().push_back(request);
        self.waker.wake();
        let gone = |_| Err(ScriptError::new(ScriptErrorKind::Import, "the reload ended before the import"));
        answer.await.unwrap_or_else(gone)
    }

    fn initialising(&self, module: &Name) {
        self.inits.lock().unwrap().insert(module.clone(), (self.now(), None));
    }

    fn waited(&self, module: &Name, now: Duration) -> Duration {
        let waits = self.waits.lock().unwrap();
        waits.get(module).map_or(Duration::ZERO, |waits| {
            waits.before + waits.since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
        })
    }

    fn initialised(&self, module: &Name, finalize: Finalize) {
        if let Some((began, took)) = self.inits.lock().unwrap().get_mut(module) {
            *took = Some(self.now().saturating_sub(*began));
        }
        self.initialised.lock().unwrap().push((module.clone(), finalize));
    }
}
