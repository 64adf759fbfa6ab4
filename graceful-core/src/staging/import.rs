//! Where top levels ask for modules that the plan did not put before them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_channel::oneshot;
use futures_util::task::AtomicWaker;

use crate::backend::{Finalize, Importer};
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
    pub(super) queue: Mutex<VecDeque<Request>>,
    pub(super) waker: AtomicWaker,
    pub(super) initialised: Mutex<Vec<(Name, Finalize)>>,
}

impl Requests {
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

    fn initialised(&self, module: &Name, finalize: Finalize) {
        self.initialised.lock().unwrap().push((module.clone(), finalize));
    }
}
