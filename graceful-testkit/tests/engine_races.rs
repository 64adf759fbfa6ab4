//! Real threads against the engine: what one of them does may stop or lose nothing of what another does.

mod puppet;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_trait::async_trait;
use graceful_core::*;
use graceful_testkit::{ClockKind, Time};
use puppet::{Play, Puppet, Script};

fn engine(time: &Time, puppet: &Arc<Puppet>) -> Engine {
    Engine::builder(time.clock()).backend(puppet.clone()).sources(Arc::new(Script(puppet.clone()))).build()
}

/// Runs `work` on a thread of its own and fails if it does not end.
fn within(limit: Duration, work: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    let thread = thread::spawn(move || {
        work();
        let _ = done.send(());
    });
    match ended.recv_timeout(limit) {
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end within {limit:?}: a deadlock"),
        _ => thread.join().unwrap(),
    }
}

struct Answer(i64);

#[async_trait]
impl Callable for Answer {
    async fn call(&self, _: Vec<Value>) -> Result<Value, CallError> {
        Ok(Value::Int(self.0))
    }
}

#[test]
fn tx_03_requires_of_live_code_and_a_failing_reload_do_not_lock_each_other_out() {
    within(Duration::from_secs(60), || {
        let (time, puppet) = (Time::new(ClockKind::Manual), Puppet::new());
        let engine = engine(&time, &puppet);
        engine.set_entries(["main"]);
        puppet.set("main", Play::plain().requires(&["a"]));
        puppet.set("a", Play::plain());
        time.block_on(engine.reload(ReloadOptions::default())).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let readers = (0..3).map(|_| {
            let (stop, world) = (stop.clone(), engine.world().clone());
            thread::spawn(move || {
                let main = world.live("main").unwrap();
                while !stop.load(Ordering::Relaxed) {
                    world.resolve(&main, &"a".into(), || None);
                    world.resolve(&main, &"nowhere".into(), || None);
                }
            })
        });
        let readers: Vec<_> = readers.collect();
        puppet
            .set("main", Play::plain().requires(&["a"]).stage(|_| async { Err(ScriptError::runtime("no")) }));
        puppet.set("a", Play::plain());
        for _ in 0..500 {
            time.block_on(engine.reload(ReloadOptions::default())).unwrap_err();
        }
        stop.store(true, Ordering::Relaxed);
        readers.into_iter().for_each(|reader| reader.join().unwrap());
    });
}

/// A module that owns a task that never ends by itself.
struct Endless {
    id: u64,
    released: Arc<AtomicU64>,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

impl Endless {
    fn new(released: &Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), released: released.clone() })
    }
}

#[async_trait]
impl Resource for Endless {
    fn kind(&self) -> &'static str {
        "task"
    }
    fn key(&self) -> String {
        self.id.to_string()
    }
    fn id(&self) -> u64 {
        self.id
    }
    fn activate(&self) {}
    async fn release(&self) -> Result<(), HookError> {
        self.released.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[test]
fn scope_02_whoever_reads_status_meanwhile_hides_no_task_from_the_release() {
    let (time, puppet) = (Time::new(ClockKind::Manual), Puppet::new());
    let (engine, released) = (engine(&time, &puppet), Arc::new(AtomicU64::new(0)));
    engine.set_entries(["main"]);
    let edit = || {
        let released = released.clone();
        puppet.set(
            "main",
            Play::plain().stage(move |cx| {
                (0..20).for_each(|_| cx.instance.scope.add(Endless::new(&released)).unwrap());
                async { Ok(()) }
            }),
        );
    };
    edit();
    time.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let readers = (0..2).map(|_| {
        let (stop, engine) = (stop.clone(), engine.clone());
        thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for instance in engine.world().instances() {
                    instance.scope.resources();
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for round in 1..150 {
        edit();
        time.block_on(engine.reload(ReloadOptions::default())).unwrap();
        assert_eq!(released.load(Ordering::SeqCst), round * 20, "in round {round}");
    }
    stop.store(true, Ordering::Relaxed);
    readers.into_iter().for_each(|reader| reader.join().unwrap());
}

#[test]
fn scope_04_a_route_made_while_the_commit_waits_for_a_vm_is_not_lost() {
    let (time, puppet) = (Time::new(ClockKind::Manual), Puppet::new());
    let engine = engine(&time, &puppet);
    engine.set_entries(["main", "other"]);
    puppet.set("main", Play::plain());
    puppet.set("other", Play::plain());
    time.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let other = engine.world().live("other").unwrap();
    let scope = other.scope.clone();
    let register = move || scope.register("route", "GET /late", Arc::new(Answer(7))).unwrap();
    *puppet.on_commit.lock().unwrap() = Some(Box::new(register));
    puppet.set("main", Play::plain());
    time.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let answer = time.block_on(engine.call_registered("route", "GET /late", vec![]));
    assert_eq!(answer.unwrap(), Value::Int(7));
}

#[test]
fn scope_04_old_code_neither_takes_nor_removes_the_route_of_new_code() {
    let (time, puppet) = (Time::new(ClockKind::Manual), Puppet::new());
    let engine = engine(&time, &puppet);
    engine.set_entries(["main"]);
    let edit = |answer| {
        let stage = move |cx: Arc<StageCx>| async move {
            cx.instance.scope.register("route", "GET /", Arc::new(Answer(answer))).unwrap();
            Ok(())
        };
        puppet.set("main", Play::plain().stage(stage));
    };
    edit(1);
    time.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let old = engine.world().live("main").unwrap().scope.clone();
    edit(2);
    time.block_on(engine.reload(ReloadOptions::default())).unwrap();
    let _ = old.register("route", "GET /", Arc::new(Answer(1)));
    let asked = {
        let engine = engine.clone();
        let time = time.clone();
        move || time.block_on(engine.call_registered("route", "GET /", vec![]))
    };
    let again = asked.clone();
    within(Duration::from_secs(10), move || assert_eq!(again().unwrap(), Value::Int(2)));
    old.unregister("route", "GET /");
    assert_eq!(asked().unwrap(), Value::Int(2));
    let _ = old.register("route", "GET /new", Arc::new(Answer(1)));
    let late = time.block_on(engine.call_registered("route", "GET /new", vec![]));
    assert_eq!(late.unwrap_err().code().0, "GR0201", "a retired generation offers nothing new");
}
