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
pub(crate) struct Requests {
    clock: Arc<dyn Clock>,
    /// When each `init` that runs while its module registers began, and how long it took.
    inits: Mutex<BTreeMap<Name, (Duration, Option<Duration>)>>,
    pub(super) queue: Mutex<VecDeque<Request>>,
    pub(super) waker: AtomicWaker,
    pub(super) initialised: Mutex<Vec<(Name, Finalize)>>,
}

impl Requests {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let (inits, queue, waker, initialised) = Default::default();
        Arc::new(Self { clock, inits, queue, waker, initialised })
    }

    /// How long the `init` of `module` took, if it ran while that registered, and whether it came to its end.
    pub(super) fn took_init(&self, module: &Name) -> Option<(Duration, bool)> {
        let (began, took) = self.inits.lock().unwrap().remove(module)?;
        Some((took.unwrap_or_else(|| self.clock.now().saturating_sub(began)), took.is_some()))
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

#[async_trait]
impl Importer for Requests {
    async fn import(
        &self,
        from: &Arc<Instance>,
        name: &Name,
        place: Option<Place>,
    ) -> Result<Arc<Instance>, ScriptError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { from: from.name.clone(), name: name.clone(), place, reply };
        self.queue.lock().unwrap().push_back(request);
        self.waker.wake();
        let gone = |_| Err(ScriptError::new(ScriptErrorKind::Import, "the reload ended before the import"));
        answer.await.unwrap_or_else(gone)
    }

    fn initialising(&self, module: &Name) {
        self.inits.lock().unwrap().insert(module.clone(), (self.clock.now(), None));
    }

    fn initialised(&self, module: &Name, finalize: Finalize) {
        if let Some((began, took)) = self.inits.lock().unwrap().get_mut(module) {
            *took = Some(self.clock.now().saturating_sub(*began));
        }
        self.initialised.lock().unwrap().push((module.clone(), finalize));
    }
}
