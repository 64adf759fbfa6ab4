//! What threads do to each other at gate, lease, swap and drain: the real code under schedules that shuttle draws.
//!
//! ```sh
//! cargo test --release -p graceful-core --features shuttle --lib interleavings
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use futures_util::future::BoxFuture;
use shuttle::{future, thread};

use crate::clock::Clock;
use crate::dispatch;
use crate::gate::{Gate, Generation, LeaseKind, Waiting};
use crate::generation::World;
use crate::lease::Lease;
use crate::source::Name;

/// Time stands still: whoever is told nothing waits for ever, and shuttle says so.
struct Still;

impl Clock for Still {
    fn now(&self) -> Duration {
        Duration::ZERO
    }
    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        drop(future::spawn(task));
    }
}

const LONG: Duration = Duration::from_secs(1);
const CALLS: [LeaseKind; 2] = [LeaseKind::Call, LeaseKind::Nested];
const ALL: [LeaseKind; 3] = [LeaseKind::Call, LeaseKind::Nested, LeaseKind::Task];

/// How many schedules of each kind: `GRACEFUL_SCHEDULES`.
#[expect(clippy::disallowed_methods, reason = "it is no setting of a host")]
fn times() -> usize {
    std::env::var("GRACEFUL_SCHEDULES").ok().and_then(|n| n.parse().ok()).unwrap_or(500)
}

/// Half of the schedules are random, half are drawn to have few preemptions in bad places.
fn drawn(test: impl Fn() + Send + Sync + Clone + 'static) {
    let times = times();
    shuttle::check_random(test.clone(), times);
    shuttle::check_pct(test, times, 3);
}

fn module() -> Name {
    "db".into()
}

fn modules() -> BTreeSet<Name> {
    [module()].into()
}

/// A call from outside: waits at the gate.
fn enter(gate: &Arc<Gate>, kind: LeaseKind) -> Lease {
    loop {
        let listener = gate.listen();
        if let Ok(lease) = Lease::open(gate, &module(), kind) {
            return lease;
        }
        gate.wait_blocking(listener, LONG);
    }
}

fn drain(gate: &Gate, kinds: &[LeaseKind]) {
    let (still, these) = (Still, modules());
    let idle = future::block_on(gate.idle(&still, &these, kinds, LONG, None));
    assert_eq!(idle.ok(), Some(0));
}

#[test]
fn no_call_is_inside_while_the_gate_is_shut_and_drained() {
    drawn(|| {
        let (gate, alone) = (Arc::<Gate>::default(), Arc::new(AtomicBool::new(false)));
        let callers: Vec<_> = [LeaseKind::Call, LeaseKind::Call, LeaseKind::Task]
            .into_iter()
            .map(|kind| {
                let (gate, alone) = (gate.clone(), alone.clone());
                thread::spawn(move || {
                    for _ in 0..2 {
                        let lease = enter(&gate, kind);
                        assert!(!alone.load(SeqCst), "{kind:?} begins behind a shut gate");
                        thread::yield_now();
                        assert!(!alone.load(SeqCst), "the drain ended before a {kind:?} did");
                        drop(lease);
                    }
                })
            })
            .collect();
        for n in 1..=2 {
            gate.shut(&modules());
            drain(&gate, &CALLS);
            gate.freeze(&modules());
            drain(&gate, &ALL);
            alone.store(true, SeqCst);
            thread::yield_now();
            alone.store(false, SeqCst);
            if n == 1 {
                gate.open()
            } else {
                gate.commit(Generation(1), || {})
            }
            gate.announce();
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert!(gate.leases().is_empty());
    });
}

#[test]
fn shares_of_a_lease_that_end_in_any_order_end_it_once() {
    drawn(|| {
        let gate = Arc::<Gate>::default();
        let lease = enter(&gate, LeaseKind::Call);
        let inner = lease.nested(&module()).unwrap();
        let shares: Vec<_> = [lease.clone(), lease, inner]
            .into_iter()
            .map(|share| thread::spawn(move || drop((share.enter(), share))))
            .collect();
        let (waits, counted) = (gate.clone(), gate.clone());
        let waiting = thread::spawn(move || drop(Waiting::at(&counted, &module())));
        drain(&waits, &CALLS);
        assert!(gate.leases().is_empty(), "the drain ended before the last share did");
        shares.into_iter().for_each(|share| share.join().unwrap());
        waiting.join().unwrap();
        assert_eq!((gate.waiting(&module()), gate.waited()), (0, 1));
    });
}

#[test]
fn a_swap_is_seen_whole_and_by_every_call_after_it() {
    drawn(|| {
        let gate = Arc::<Gate>::default();
        // What a commit publishes, in two parts, and how far it came.
        let parts = Arc::new((AtomicU64::new(0), AtomicU64::new(0), AtomicU64::new(0)));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (gate, parts) = (gate.clone(), parts.clone());
                thread::spawn(move || {
                    for _ in 0..2 {
                        let done = parts.2.load(SeqCst);
                        let lease = enter(&gate, LeaseKind::Call);
                        let at = lease.generation().0;
                        assert!(at >= done, "a call that began after the commit of {done} is at {at}");
                        let seen = (parts.0.load(SeqCst), parts.1.load(SeqCst));
                        assert!(seen.0 >= at && seen.1 >= at, "{at} was live before it was there: {seen:?}");
                        thread::yield_now();
                        assert_eq!(lease.generation().0, at, "its generation is the same to its end");
                    }
                })
            })
            .collect();
        for next in 1..=2 {
            gate.commit(Generation(next), || {
                parts.0.store(next, SeqCst);
                thread::yield_now();
                parts.1.store(next, SeqCst);
            });
            parts.2.store(next, SeqCst);
            gate.announce();
        }
        callers.into_iter().for_each(|caller| caller.join().unwrap());
    });
}

#[test]
fn a_parked_call_is_not_waited_for_and_does_not_go_on_while_its_module_is_frozen() {
    drawn(|| {
        let (gate, frozen) = (Arc::<Gate>::default(), Arc::new(AtomicBool::new(false)));
        let (asks, parked) = (gate.clone(), Arc::new(AtomicBool::new(false)));
        let (seen, told) = (frozen.clone(), parked.clone());
        let caller = thread::spawn(move || {
            let lease = enter(&asks, LeaseKind::Call);
            let own = lease.clone();
            let call = lease.scope(async move {
                own.set_parked(true);
                told.store(true, SeqCst);
                yields().await;
                assert!(!seen.load(SeqCst), "it went on while its module was frozen");
                own.set_parked(false);
                own.generation()
            });
            future::block_on(call).unwrap()
        });
        while !parked.load(SeqCst) {
            thread::yield_now();
        }
        gate.shut(&modules());
        drain(&gate, &CALLS);
        gate.freeze(&modules());
        drain(&gate, &ALL);
        frozen.store(true, SeqCst);
        thread::yield_now();
        frozen.store(false, SeqCst);
        gate.commit(Generation(1), || {});
        gate.announce();
        caller.join().unwrap();
        assert!(gate.leases().is_empty());
    });
}

/// Lets others run twice, as a call that waits for its reload.
async fn yields() {
    for _ in 0..2 {
        future::yield_now().await;
    }
}

#[test]
fn a_nested_call_waits_for_the_thaw_and_is_told_of_it() {
    drawn(|| {
        let clock: Arc<dyn Clock> = Arc::new(Still);
        let world = World::new(clock, BTreeMap::new(), LONG, LONG);
        world.gate.freeze(&modules());
        let inside = Arc::new(AtomicUsize::new(0));
        let callers: Vec<_> = (0..2)
            .map(|_| {
                let (world, inside) = (world.clone(), inside.clone());
                thread::spawn(move || {
                    let outer = Lease::open(&world.gate, &"web".into(), LeaseKind::Call).unwrap();
                    let at = outer.generation();
                    let inner = future::block_on(dispatch::nested(&world, &outer, &module())).unwrap();
                    inside.fetch_add(1, SeqCst);
                    assert_eq!(inner.generation(), at);
                })
            })
            .collect();
        thread::yield_now();
        assert_eq!(inside.load(SeqCst), 0, "a nested call went into a frozen module");
        world.gate.open();
        callers.into_iter().for_each(|caller| caller.join().unwrap());
        assert_eq!((world.gate.leases().len(), world.gate.waiting(&module())), (0, 0));
    });
}

#[test]
fn who_waits_for_what_is_being_replaced_is_told_when_it_is_settled() {
    drawn(|| {
        let clock: Arc<dyn Clock> = Arc::new(Still);
        let world = World::new(clock, BTreeMap::new(), LONG, LONG);
        world.in_flight.write().unwrap().closing = modules();
        let waiting = world.clone();
        let waits = thread::spawn(move || future::block_on(waiting.settled(&module())).unwrap());
        let mut in_flight = world.in_flight.write().unwrap();
        in_flight.closing.clear();
        world.gate.commit(Generation(1), || {});
        drop(in_flight);
        world.gate.announce();
        waits.join().unwrap();
    });
}

#[test]
fn a_call_that_is_cancelled_ends_whenever_that_comes() {
    drawn(|| {
        let gate = Arc::<Gate>::default();
        let lease = enter(&gate, LeaseKind::Call);
        let cancels = lease.clone();
        let call = thread::spawn(move || future::block_on(lease.scope(std::future::pending::<()>())));
        let other = thread::spawn(move || cancels.cancel());
        assert!(call.join().unwrap().is_err());
        other.join().unwrap();
        assert!(gate.leases().is_empty());
    });
}
