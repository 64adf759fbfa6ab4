//! `fiber.cond()`: a fiber waits until another one says that there is something to look at.

use std::sync::Arc;
use std::time::Duration;

use event_listener::Event;
use futures_util::future::{Either, select};
use mlua::{AnyUserData, Error, Lua, UserData, UserDataMethods};

use crate::caller::{Ties, defer};
use crate::waits::Waiting;

/// What fibers wait at. Holds nothing that a rollback would have to put back.
pub(crate) struct Cond {
    ties: Ties,
    event: Arc<Event>,
}

impl Cond {
    /// A new one.
    pub(super) fn make(lua: &Lua, ties: &Ties) -> mlua::Result<AnyUserData> {
        lua.create_userdata(Cond { ties: ties.clone(), event: Arc::default() })
    }

    /// What who waits at it listens to.
    pub(super) fn event(&self) -> &Arc<Event> {
        &self.event
    }
}

/// How long a wait may last, as a script says it; no limit without a number.
fn limit(seconds: Option<f64>) -> mlua::Result<Option<Duration>> {
    let Some(seconds) = seconds else { return Ok(None) };
    // Infinity is how scripts say for ever.
    if seconds > 1e9 {
        return Ok(None);
    }
    let limit = Duration::try_from_secs_f64(if seconds < 0.0 { 0.0 } else { seconds });
    limit.map(Some).map_err(|_| Error::runtime(format!("cond.wait: {seconds} is not a number of seconds")))
}

impl UserData for Cond {
    fn add_methods<M: UserDataMethods<Self>>(methods: &mut M) {
        methods.add_async_method("wait", |_, cond, seconds: Option<f64>| {
            // Listens from now on, under the VM's lock: whoever runs next may signal.
            let (listener, limit, world) = (cond.event.listen(), limit(seconds), cond.ties.world());
            Waiting::new(async move {
                let Some(limit) = limit? else {
                    listener.await;
                    return Ok(true);
                };
                match select(listener, world?.clock.sleep(limit)).await {
                    Either::Left(_) => Ok(true),
                    Either::Right(_) => Ok(false),
                }
            })
        });
        // In a reload they wait for the commit: until then nothing that live code could look at is there.
        methods.add_method("signal", |_, cond, ()| {
            let event = cond.event.clone();
            defer(move || _ = event.notify_additional(1));
            Ok(())
        });
        methods.add_method("broadcast", |_, cond, ()| {
            let event = cond.event.clone();
            defer(move || _ = event.notify_additional(usize::MAX));
            Ok(())
        });
    }
}
