//! Code is stopped although somebody looks after it all the time, at any moment.

use std::sync::atomic::AtomicBool;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::run::How;
use crate::testing::Bench;
use graceful_core::LeaseKind;

const TEXTS: &[&str] = &[
    "while true do end",
    "while true do pcall(function() while true do end end) end",
    "while true do pcall(error) end",
    "local function f() pcall(f) return f() end f()",
    "while true do pcall(function() local n = 0 for i = 1, 1e12 do n = n + i % 7 end end) end",
];

/// Longer than any of it takes, on a machine that has much else to do.
const AGES: Duration = Duration::from_secs(60);

/// Runs `text` until it is cancelled, which is after a moment, and its time is over if it has `left`. The watch looks
/// as often as it can meanwhile.
fn is_stopped(bench: &Bench, text: &str, left: Option<Duration>) {
    let vm = bench.vm.clone();
    let code = vm.lua.load(text).into_function().unwrap();
    let lease = Lease::open(&bench.engine.world().gate, &"app".into(), LeaseKind::Call).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|threads| {
        threads.spawn(|| {
            thread::sleep(Duration::from_millis(3));
            lease.cancel();
            while !done.load(Ordering::Relaxed) {
                vm.turns.stop_cancelled();
            }
        });
        let _entered = lease.enter();
        let ended = vm.turn(&How::default(), left, || {
            vm.turns.runs_in_main();
            let ended = code.call::<()>(());
            vm.turns.left();
            ended
        });
        done.store(true, Ordering::Relaxed);
        ended.expect_err(text);
    });
    let _ = vm.interrupt.late();
}

fn are_stopped(left: Option<Duration>) {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || {
        let bench = Bench::app("return {}");
        for text in TEXTS {
            for _ in 0..40 {
                tell.send(*text).unwrap();
                is_stopped(&bench, text, left);
            }
        }
    });
    let mut last = "";
    loop {
        match told.recv_timeout(AGES) {
            Ok(text) => last = text,
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{last:?} runs on"),
        }
    }
}

#[test]
fn tx_03_what_is_cancelled_as_its_time_is_over_is_stopped() {
    are_stopped(Some(Duration::from_millis(4)));
}

#[test]
fn call_04_a_call_that_is_cancelled_is_stopped() {
    are_stopped(None);
}
