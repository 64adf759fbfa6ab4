//! `fiber::channel(size)`: a queue between fibers, of modules too. With no room each `put` waits for its `get`.
//!
//! In a reload both are taken back if it fails: what is put in is there from the commit on, and what was taken out
//! is in its place again. A channel that the reload itself made is its own until then.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use event_listener::{Event, IntoNotification};
use graceful_core::{Intents, Lease};
use rhai::{Dynamic, Engine, Module, NativeCallContext};

use crate::bind::{Going, bind};
use crate::bulk::is_too_deep;
use crate::chain::let_go_of;
use crate::cond::limit;
use crate::error::too_deep;
use crate::failure::{Thrown, fail, placed, thrown};
use crate::queue::{Handover, Message, Queue};
use crate::unit::{here, stopped};
use crate::value::kind;
use crate::wait;

/// A channel, as scripts hold it.
#[derive(Clone)]
pub(crate) struct Channel(Arc<Inner>);

struct Inner {
    size: usize,
    /// The reload that made it.
    made_in: Option<Weak<Intents>>,
    queue: Mutex<Queue>,
    filled: Event,
    room: Event,
}

impl Drop for Inner {
    fn drop(&mut self) {
        let queue = self.queue.get_mut().unwrap_or_else(PoisonError::into_inner);
        let_go_of(queue.messages.drain(..).map(|message| message.value));
    }
}

/// The part of `fiber` that makes channels.
pub(crate) fn functions(module: &mut Module) {
    module.set_native_fn("channel", || Ok(Channel::new(0)));
    module.set_native_fn("channel", |cx: NativeCallContext, size: Dynamic| {
        let whole = size.as_int().ok().and_then(|size| usize::try_from(size).ok());
        let got = || if size.is_int() { size.to_string() } else { kind(&size).to_owned() };
        let wrong = || thrown(format!("channel: expected a number of messages, got {}", got()));
        placed(&cx, whole.map(Channel::new).ok_or_else(wrong))
    });
}

/// What a channel can do.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Channel>("Channel");
    engine.register_fn("put", |cx: NativeCallContext, channel: Channel, value: Dynamic| {
        channel.put(&cx, value, None)
    });
    engine.register_fn("put", |cx: NativeCallContext, channel: Channel, value: Dynamic, seconds: Dynamic| {
        channel.put(&cx, value, limit("put", &seconds)?)
    });
    engine.register_fn("get", |cx: NativeCallContext, channel: Channel| channel.get(&cx, None));
    engine.register_fn("get", |cx: NativeCallContext, channel: Channel, seconds: Dynamic| {
        channel.get(&cx, limit("get", &seconds)?)
    });
    engine.register_fn("close", |channel: Channel| match Lease::current_intents() {
        Some(intents) if !channel.is_of(&intents) => intents.defer(move || channel.close()),
        _ => channel.close(),
    });
    engine.register_fn("is_closed", |channel: Channel| channel.lock().closed);
    engine.register_fn("is_empty", |channel: Channel| channel.lock().messages.is_empty());
    engine.register_fn("is_full", |channel: Channel| channel.lock().taken() >= channel.0.size);
    engine.register_fn("count", |channel: Channel| channel.lock().messages.len() as i64);
    engine.register_fn("size", |channel: Channel| channel.0.size as i64);
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |channel: &mut Channel| {
            format!("channel ({} of {})", channel.lock().messages.len(), channel.0.size)
        });
    }
}

impl Channel {
    fn new(size: usize) -> Self {
        let made_in = Lease::current_intents().map(|intents| Arc::downgrade(&intents));
        let (queue, filled, room) = Default::default();
        Self(Arc::new(Inner { size, made_in, queue, filled, room }))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the reload that `intents` are of made it.
    fn is_of(&self, intents: &Arc<Intents>) -> bool {
        self.0.made_in.as_ref().is_some_and(|made_in| made_in.as_ptr() == Arc::as_ptr(intents))
    }

    /// True once the message is in the queue, or, where there is none, once somebody took it.
    fn put(&self, cx: &NativeCallContext, mut value: Dynamic, limit: Option<Duration>) -> Thrown<bool> {
        let unit = here(cx)?;
        if is_too_deep(&value) {
            return Err(thrown(too_deep()));
        }
        bind(&mut value, &unit, Going::Abroad);
        let world = unit.runtime.world().map_err(fail)?;
        let until = limit.map(|limit| world.clock.now() + limit);
        let intents = Lease::current_intents();
        if self.0.size == 0 {
            return match intents {
                Some(_) => {
                    Err(thrown("nobody can take a message before the reload is done: give the channel room"))
                }
                None => self.hand_over(value, |listener| {
                    wait::paused(|| wait::until(&*world.clock, until, listener)).map_err(stopped)
                }),
            };
        }
        loop {
            let listener = self.0.room.listen();
            {
                let mut queue = self.lock();
                if queue.closed {
                    return Ok(false);
                }
                if queue.taken() < self.0.size {
                    match intents.filter(|intents| !self.is_of(intents)) {
                        Some(intents) => {
                            queue.promised += 1;
                            let promise = Promise(self.clone());
                            drop(queue);
                            intents.defer(move || promise.keep(value));
                        }
                        None => {
                            queue.push(value, None);
                            drop(queue);
                            self.0.filled.notify(1.additional());
                        }
                    }
                    return Ok(true);
                }
            }
            let woken = wait::paused(|| wait::until(&*world.clock, until, listener)).map_err(stopped)?;
            if woken.is_none() {
                return Ok(false);
            }
        }
    }

    /// Waits until somebody took it.
    fn hand_over(
        &self,
        value: Dynamic,
        wait: impl FnOnce(event_listener::EventListener) -> Thrown<Option<()>>,
    ) -> Thrown<bool> {
        let by = Arc::<Handover>::default();
        let listener = by.event.listen();
        {
            let mut queue = self.lock();
            if queue.closed {
                return Ok(false);
            }
            queue.push(value, Some(by.clone()));
        }
        self.0.filled.notify(1.additional());
        let waited = wait(listener);
        by.gone.store(true, Ordering::Release);
        let dropped = self.lock().remove(&by);
        drop(dropped);
        waited?;
        Ok(by.taken.load(Ordering::Acquire))
    }

    /// The next message, or nothing if none came in time or the channel was closed.
    fn get(&self, cx: &NativeCallContext, limit: Option<Duration>) -> Thrown<Dynamic> {
        let world = here(cx)?.runtime.world().map_err(fail)?;
        let until = limit.map(|limit| world.clock.now() + limit);
        loop {
            let listener = self.0.filled.listen();
            let (taken, closed) = {
                let mut queue = self.lock();
                (queue.messages.pop_front(), queue.closed)
            };
            if let Some(message) = taken {
                return Ok(self.take(message));
            }
            if closed {
                return Ok(Dynamic::UNIT);
            }
            let woken = wait::paused(|| wait::until(&*world.clock, until, listener)).map_err(stopped)?;
            if woken.is_none() {
                return Ok(Dynamic::UNIT);
            }
        }
    }

    fn take(&self, message: Message) -> Dynamic {
        let value = message.value.clone();
        match Lease::current_intents().filter(|intents| !self.is_of(intents)) {
            Some(intents) => {
                let loan = Loan(self.clone(), Some(message));
                intents.defer(move || loan.keep());
            }
            None => self.taken(&message),
        }
        value
    }

    fn taken(&self, message: &Message) {
        if let Some(by) = &message.by {
            by.taken.store(true, Ordering::Release);
            by.event.notify(usize::MAX);
        }
        self.0.room.notify(1.additional());
    }

    /// Whoever waits for it gets nothing, and so does whoever asks from now on.
    fn close(&self) {
        let dropped = {
            let mut queue = self.lock();
            queue.closed = true;
            std::mem::take(&mut queue.messages)
        };
        for by in dropped.iter().filter_map(|message| message.by.as_ref()) {
            by.event.notify(usize::MAX);
        }
        self.0.filled.notify(usize::MAX);
        self.0.room.notify(usize::MAX);
    }
}

/// Room for a message that a reload puts in.
struct Promise(Channel);

impl Promise {
    fn keep(self, value: Dynamic) {
        let mut queue = self.0.lock();
        if !queue.closed {
            queue.push(value, None);
        }
        drop(queue);
        self.0.0.filled.notify(1.additional());
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.0.lock().promised -= 1;
        self.0.0.room.notify(1.additional());
    }
}

/// A message that a reload took out.
struct Loan(Channel, Option<Message>);

impl Loan {
    fn keep(mut self) {
        if let Some(message) = self.1.take() {
            self.0.taken(&message);
        }
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        // The reload failed: back to where it was.
        let Some(message) = self.1.take() else { return };
        let mut queue = self.0.lock();
        let gone = message.by.as_ref().is_some_and(|by| by.gone.load(Ordering::Acquire));
        if queue.closed || gone {
            return;
        }
        let place = queue.messages.partition_point(|other| other.at < message.at);
        queue.messages.insert(place, message);
        drop(queue);
        self.0.0.filled.notify(1.additional());
    }
}
