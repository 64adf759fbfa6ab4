//! A simulation: calls, tasks, edits and reloads in an order drawn from a seed, held against what a person
//! would say must be true. One seed, one history.
//!
//! Calls yield and nest across two backends, some ask for a reload themselves; tasks tick on states that hooks
//! work on; sources are broken at every stage; reloads are dropped half-way. See [`check`] for what must hold.

pub mod check;
mod cast;
mod record;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use graceful_core::{CallError, DrainPolicy, Limits, OnBusy, ReloadError, ReloadOptions, Report, Value};
use tokio::sync::oneshot;

use crate::clock::{ManualClock, Pending, Time};
use crate::fake::FakeSubject;
use crate::random::Random;
use crate::scenario::App;
use cast::{Cast, MODULES, name};
use record::Record;

/// How many things happen before everything is brought to an end.
const STEPS: usize = 40;
/// The module that is taken out now and then. Nobody hits it, for its state goes with it.
const LAST: usize = MODULES - 1;

type Call = (Asked, Pending<Result<Value, CallError>>);
type Reloading = (Option<oneshot::Sender<()>>, Pending<Option<Result<Report, ReloadError>>>);

/// A call: what, and the generation that was live when it was sent.
#[derive(Clone, Debug)]
struct Asked {
    module: usize,
    function: &'static str,
    live: u64,
}

struct Play {
    app: App,
    random: Random,
    cast: Cast,
    record: Arc<Record>,
    calls: Vec<Call>,
    reloads: Vec<Reloading>,
    hits: [i64; MODULES],
}

/// As in a real engine, a hundredth of the size.
fn limits() -> Limits {
    let ms = Duration::from_millis;
    let (stage, exclusive, hook, call_wait) = (ms(50), ms(40), ms(20), ms(50));
    Limits { stage, exclusive, hook, call_wait, held_wait: ms(10), retire: ms(50), ..Limits::default() }
}

/// Plays one history.
///
/// # Errors
/// The first thing that does not hold, in words, with the trace.
pub fn play(seed: u64) -> Result<(), String> {
    let mut play = Play::new(seed);
    for _ in 0..STEPS {
        play.step();
    }
    let told = play.end().and_then(|()| check::check(&play.record, &play.app.trace().text()));
    told.map_err(|what| format!("{what}\n{}", play.app.trace().text()))
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut random = Random::new(seed);
        let cast = Cast::new(&mut random);
        let mut app = App::on::<FakeSubject>(Time::Manual(ManualClock::seeded(seed))).limits(limits());
        for at in 0..MODULES {
            let script = cast.script(at);
            app = if cast.is_other(at) { app.other(script) } else { app.module(script) };
            app = app.entry(&name(at));
        }
        let app = app.build();
        let record = Record::new(app.engine());
        app.engine().subscribe(record.clone());
        app.must_reload();
        let (calls, reloads) = (Vec::new(), Vec::new());
        Self { app, random, cast, record, calls, reloads, hits: [0; MODULES] }
    }

    fn step(&mut self) {
        match self.random.below(24) {
            0..6 => self.call("slow"),
            6..10 => self.call("hit"),
            10 => self.call("deploy"),
            11 => self.call("order"),
            12..16 => self.edit(),
            16..20 => self.reload(),
            20..22 => self.drop_a_reload(),
            22 => self.unregister(),
            _ => {}
        }
        let most = if self.random.chance(1, 12) { 60_000 } else { 4_000 };
        let pause = Duration::from_micros(self.random.below(most) as u64);
        self.app.time().pass(pause);
    }

    fn call(&mut self, function: &'static str) {
        let module = self.random.below(if function == "hit" { LAST } else { MODULES });
        let live = self.app.engine().world().gate.live().0;
        let call = self.app.begin_call(&name(module), function);
        self.calls.push((Asked { module, function, live }, call));
    }

    fn edit(&mut self) {
        let at = self.random.below(MODULES);
        self.cast.change(at, &mut self.random);
        self.write(at);
    }

    fn write(&self, at: usize) {
        let script = self.cast.script(at);
        if self.cast.is_other(at) { self.app.edit_other(script) } else { self.app.edit(script) }
    }

    fn reload(&mut self) {
        let options = ReloadOptions {
            force: self.random.chance(1, 6),
            on_busy: *self.random.pick(&[OnBusy::Wait, OnBusy::Join, OnBusy::Refuse]),
            drain: *self.random.pick(&[DrainPolicy::Abort, DrainPolicy::Abort, DrainPolicy::Cancel]),
            ..ReloadOptions::default()
        };
        let (dropper, dropped) = oneshot::channel::<()>();
        let reload = self.app.engine().reload(options);
        let pending = self.app.time().spawn(async move {
            match select(reload, dropped).await {
                Either::Left((result, _)) => Some(result),
                // The sender is gone without a word: nobody drops this reload.
                Either::Right((Err(_), reload)) => Some(reload.await),
                Either::Right((Ok(()), _)) => None,
            }
        });
        self.reloads.push((Some(dropper), pending));
    }

    /// Takes the last module out, which no other one requires; as an entry it comes back with the next reload.
    fn unregister(&mut self) {
        let engine = self.app.engine().clone();
        let pending = self.app.time().spawn(async move { Some(engine.unregister(&name(LAST), false).await) });
        self.reloads.push((None, pending));
    }

    fn drop_a_reload(&mut self) {
        let running = self.reloads.iter_mut().filter(|(_, pending)| !pending.is_done());
        if let Some(dropper) = running.filter_map(|(dropper, _)| dropper.take()).next() {
            let _ = dropper.send(());
        }
    }

    /// Mends every source, lets everything end, and reloads once more, which must succeed.
    fn end(&mut self) -> Result<(), String> {
        for at in 0..MODULES {
            self.cast.mend(at);
            self.write(at);
        }
        for (dropper, pending) in std::mem::take(&mut self.reloads) {
            drop(dropper);
            if !self.app.time().until(Duration::from_secs(120), || pending.is_done()) {
                return Err("a reload does not end".into());
            }
            if let Some(Err(error)) = pending.join()
                && error.is_stuck()
            {
                return Err(format!("a reload is stuck: {:?}", error.left));
            }
        }
        for (asked, pending) in std::mem::take(&mut self.calls) {
            if !self.app.time().until(Duration::from_secs(60), || pending.is_done()) {
                return Err(format!("{asked:?} does not end"));
            }
            self.answered(&asked, pending.join())?;
        }
        self.app.engine().set_entries((0..MODULES).map(name));
        self.app.reload().map_err(|error| format!("the last reload fails: {error}: {:?}", error.kind))?;
        self.at_rest()
    }

    fn answered(&mut self, asked: &Asked, answer: Result<Value, CallError>) -> Result<(), String> {
        match answer {
            Err(error) if error.is_retryable() => Ok(()),
            Err(CallError::NoModule { .. }) if asked.module == LAST => Ok(()),
            Err(error) => Err(format!("{asked:?} failed: {error}")),
            Ok(_) if asked.function == "hit" => {
                self.hits[asked.module] += 1;
                Ok(())
            }
            Ok(value) if asked.function == "slow" => self.record.one_generation(&value, asked.live),
            Ok(_) => Ok(()),
        }
    }

    /// Nothing is left over, the newest code answers, and no write was lost or made twice.
    fn at_rest(&self) -> Result<(), String> {
        self.app.time().pass(Duration::from_millis(50));
        let world = self.app.engine().world();
        let (leases, held) = (world.gate.leases(), self.app.status());
        if let Some(lease) = leases.iter().find(|lease| lease.kind != graceful_core::LeaseKind::Task) {
            return Err(format!("a lease is left: {lease:?}"));
        }
        if let Some(module) = held.modules.iter().find(|module| !module.held.is_empty()) {
            return Err(format!("an old generation is left: {module:?}"));
        }
        for at in 0..MODULES {
            let tag = self.app.ask(&name(at), "tag");
            if tag != self.cast.tag(at).into() {
                return Err(format!("{} answers {tag:?}, not {}", name(at), self.cast.tag(at)));
            }
            self.record.one_generation(&self.app.ask(&name(at), "slow"), world.gate.live().0)?;
            let counted = self.app.ask(&name(at), "counted");
            let told = Value::from(vec![self.hits[at].into(), self.record.hooks_run(&name(at)).into()]);
            if counted != told {
                return Err(format!("the state of {} counts {counted:?}, not {told:?}", name(at)));
            }
            let tasks = world.live(&name(at)).map_or(0, |live| live.scope.count("task"));
            if tasks != 1 + usize::from(self.cast.keeps_task(at)) {
                return Err(format!("{} has {tasks} tasks", name(at)));
            }
        }
        Ok(())
    }
}
