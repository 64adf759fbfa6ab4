//! Lets the collector rest while top levels run one after the other, so that none of them pays for it, and has it go
//! through the VM afterwards in steps that nobody notices.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use mlua::{Function, Lua, Table};

use crate::run::How;
use crate::vm::{Settings, Vm};

/// How much the VM may grow before the collector is woken all the same, in bytes.
const GROWTH: usize = 64 << 20;

/// LuaJIT goes on by itself once this part of what a top level may take is in use, so that none fails for garbage.
const ROOM: usize = 4;

/// How much may be left lying by reloads before somebody tidies up, in bytes.
const LITTER: usize = 4 << 20;

/// How long tidying up keeps the VM at once, and how long it then lets others have it: less where reloads leave more
/// behind than it comes to, down to an eighth.
const STEP: Duration = Duration::from_micros(150);
const PAUSE: Duration = Duration::from_millis(2);

/// What a cycle has to free of what is left for another one to be worth it: this part.
const MUCH: usize = 8;

/// How long it waits before it begins: until then the old code has been let go of.
const DELAY: Duration = Duration::from_millis(20);

/// Whether the collector rests, and how much was in use when it began to. Every restart makes Lua begin a
/// cycle at once, so it is not restarted between two top levels.
pub(crate) struct Collector {
    /// The functions of `lua/collector.lua`, where the VM has what they need.
    steps: Option<Steps>,
    resting: Mutex<Option<usize>>,
    /// How much was in use when all of the VM had last been gone through.
    tidy: AtomicUsize,
    tidies: AtomicBool,
    /// There is more to tidy up than when that began.
    more: AtomicBool,
}

struct Steps {
    step: Function,
    wake: Function,
    /// LuaJIT's way to rest; elsewhere it is stopped.
    rest: Option<Function>,
}

impl Collector {
    pub(crate) fn load(lua: &Lua) -> mlua::Result<Self> {
        let collectgarbage: Option<Function> = lua.globals().raw_get("collectgarbage")?;
        let steps = match collectgarbage {
            Some(collectgarbage) => {
                let made: Table = if cfg!(feature = "luajit") {
                    let chunk = lua.load(include_str!("lua/collector_luajit.lua")).set_name("=graceful");
                    let ceil: Function = lua.create_function(|_, number: f64| Ok(number.ceil()))?;
                    chunk.call((collectgarbage, ceil))?
                } else {
                    let chunk = lua.load(include_str!("lua/collector.lua")).set_name("=graceful");
                    chunk.call((collectgarbage, lua.create_table()?))?
                };
                Some(Steps { step: made.get("step")?, wake: made.get("wake")?, rest: made.get("rest")? })
            }
            None => None,
        };
        let (resting, tidy, tidies, more) = Default::default();
        Ok(Self { steps, resting, tidy, tidies, more })
    }

    /// It rests from now on. Called under the VM's lock.
    pub(crate) fn rest(&self, lua: &Lua, settings: &Settings) {
        // LuaJIT has no collection of last resort: with its memory limited its collector has to go on.
        if cfg!(feature = "luajit") && (settings.memory.is_some() || self.steps.is_none()) {
            return;
        }
        let used = lua.used_memory();
        let since = *self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        match since {
            Some(before) if used > before + GROWTH => self.wake(lua),
            Some(_) => {}
            // One reload came after the other, and nobody found the time to tidy up.
            None if used > self.tidy.load(Ordering::Relaxed).max(LITTER) + 2 * GROWTH => {}
            None => {
                match self.steps.as_ref().and_then(|steps| steps.rest.as_ref()) {
                    Some(rest) => {
                        let room = (settings.stage_memory / ROOM).min(GROWTH) >> 10;
                        let _ = rest.call::<()>(room);
                    }
                    None => lua.gc_stop(),
                }
                *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(used);
            }
        }
    }

    /// It works again. Called under the VM's lock.
    pub(crate) fn wake(&self, lua: &Lua) {
        if self.resting.lock().unwrap_or_else(PoisonError::into_inner).take().is_none() {
            return;
        }
        if self.steps.as_ref().is_none_or(|steps| steps.wake.call::<()>(()).is_err()) {
            lua.gc_restart();
        }
    }

    /// One step; whether it ended a cycle. Nothing if it cannot be stepped.
    fn step(&self, lua: &Lua) -> Option<bool> {
        match &self.steps {
            Some(steps) => steps.step.call(()).ok(),
            None => lua.gc_step().ok(),
        }
    }

    fn rests(&self) -> bool {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Vm {
    /// Whether a reload that ends now leaves behind what is worth collecting. Asked while the VM is held: it must not be
    /// waited for.
    pub(crate) fn is_to_tidy_up(&self) -> bool {
        // While that goes on, whatever this reload left is more of it: what is in use at its end counts as tidy.
        self.collector.tidies.load(Ordering::Acquire) || self.is_littered()
    }

    /// A reload is over: what it left behind is collected soon, though nothing else may happen in the VM.
    pub(crate) fn tidy_up(self: &Arc<Self>) {
        let collector = &self.collector;
        collector.more.store(true, Ordering::Release);
        if collector.tidies.swap(true, Ordering::AcqRel) {
            return;
        }
        let vm = Arc::downgrade(self);
        let tidying = thread::Builder::new().name("graceful-lua collector".into());
        if tidying.spawn(move || collect_all(&vm)).is_err() {
            collector.tidies.store(false, Ordering::Release);
        }
    }

    fn is_littered(&self) -> bool {
        let tidy = self.collector.tidy.load(Ordering::Relaxed);
        self.litter() > LITTER.max(tidy / 4)
    }

    /// How much more is in use than when all of the VM had last been gone through, in bytes.
    fn litter(&self) -> usize {
        self.lua.used_memory().saturating_sub(self.collector.tidy.load(Ordering::Relaxed))
    }

    /// How long the VM is left to others before the next step.
    fn pause(&self) -> Duration {
        let behind = self.litter() / LITTER;
        PAUSE / u32::try_from(behind.clamp(1, 8)).unwrap_or(1)
    }

    /// Goes on with a cycle of the collector for a moment. Whether it came to its end with nothing left to drop;
    /// nothing if the collector cannot be stepped.
    fn collect_some(&self) -> Option<bool> {
        self.turn(&How::default(), None, || {
            let began = Instant::now();
            self.grave.clear(&self.records, 256);
            while began.elapsed() < STEP {
                if self.collector.step(&self.lua)? {
                    return Some(self.grave.is_empty());
                }
            }
            Some(false)
        })
    }
}

/// Goes through all of the VM, and once more if what was dropped while the first cycle was under way is still there, and
/// for as long as that frees much: what is finalized lets go of what only the next cycle finds.
fn collect_all(vm: &Weak<Vm>) {
    let (mut cycles, mut pause, mut before) = (0, PAUSE, usize::MAX);
    thread::sleep(DELAY);
    loop {
        thread::sleep(pause);
        let Some(vm) = vm.upgrade() else { return };
        pause = vm.pause();
        let collector = &vm.collector;
        if collector.rests() {
            continue;
        }
        if collector.more.swap(false, Ordering::AcqRel) {
            cycles = 0;
        }
        match vm.paused.collecting(|| vm.collect_some()) {
            Some(true) => {
                let used = vm.lua.used_memory();
                let freed = std::mem::replace(&mut before, used).saturating_sub(used);
                cycles = if cycles > 0 && freed > used / MUCH { 1 } else { cycles + 1 };
            }
            Some(false) => {}
            None => cycles = 2,
        }
        if cycles >= 2 {
            collector.tidy.store(vm.lua.used_memory(), Ordering::Relaxed);
            collector.tidies.store(false, Ordering::Release);
            // A reload that ended meanwhile relied on this thread.
            if !collector.more.load(Ordering::Acquire) || collector.tidies.swap(true, Ordering::AcqRel) {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::time::{Duration, Instant};

    use crate::testing::Bench;

    #[test]
    fn scope_05_what_reloads_leave_behind_is_collected_although_nothing_else_happens() {
        let text = |run: usize| {
            format!(
                "local rows = {{}} for row = 1, 20000 do rows[row] = {{ row, {run} }} end return {{ rows = rows }}"
            )
        };
        let bench = Bench::new(&[("app", "return require('rows')"), ("rows", &text(0))]);
        let used = bench.lua.used_memory();
        for run in 1..60 {
            bench.put("rows", &text(run));
            bench.reload();
        }
        let until = Instant::now() + Duration::from_secs(30);
        while bench.lua.used_memory() > 3 * used {
            assert!(Instant::now() < until, "{} bytes are in use, {used} were", bench.lua.used_memory());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn scope_05_what_one_reload_leaves_behind_is_not_taken_for_what_the_next_one_finds() {
        let text = |run: usize| format!("for n = 1, 10000 do local _ = {{ n }} end return {{ run = {run} }}");
        let bench = Bench::new(&[("app", "return require('rows')"), ("rows", &text(0))]);
        let (until, collector) = (Instant::now() + Duration::from_secs(60), &bench.vm.collector);
        for run in 1..500 {
            bench.put("rows", &text(run));
            bench.reload();
            while run % 20 == 0 && collector.tidies.load(Ordering::Acquire) {
                assert!(Instant::now() < until, "it tidies up, and comes to no end");
                std::thread::sleep(Duration::from_millis(1));
            }
            let tidy = collector.tidy.load(Ordering::Relaxed);
            assert!(tidy < 1 << 20, "{tidy} bytes are said to be in use: a tenth of that is");
        }
    }
}
