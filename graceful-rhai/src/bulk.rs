//! How deep what a script holds is nested, and how much it is: looked at while it runs, for Rhai itself counts
//! neither, and ends the process where a thread's stack is too small to copy or drop a value.
//!
//! An operation makes a value deeper by one at most. So between two looks there are no more operations than the
//! stack has room for levels, and each look goes through all variables of the function that runs. What outlives the call (states, channels, variables of a top level) is looked at when it is put there.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rhai::{Dynamic, EvalAltResult, EvalContext, FnPtr, Position};

use crate::watch::Stop;

/// How deep lists, maps and closures may be nested in each other.
pub(crate) const DEEPEST: usize = 128;

/// How many operations there are between two looks at most; on a small stack there are fewer. With less room than
/// for a quarter of that, as on the threads of a runtime, code gets a stack of its own: looking often costs more.
const EVERY: u64 = if cfg!(debug_assertions) { 2_048 } else { 8_192 };

const LEAST: u64 = EVERY / 4;

/// The same where nobody made room: little is enough.
const UNKNOWN: u64 = 128;

/// How many operations "a few" are: no more than it takes to make a value some ten times as big.
pub(crate) const FEW: u64 = 16;

/// What Rhai needs to show or compare one level of a list, its worst case, rounded up: 1.9 KiB, and 7.7 KiB
/// where it is not optimised.
const LEVEL: usize = if cfg!(debug_assertions) { 8 << 10 } else { 2 << 10 };

/// What calls take, as deep as they may by default.
const CALLS: usize = 1280 << 10;

/// The stack of a thread that looks as rarely as can be. Address space only: memory is taken where it is used.
pub(crate) const STACK: usize = 32 << 20;

/// What one value takes, and an entry of a map beside it.
const VALUE: usize = size_of::<Dynamic>();
const ENTRY: usize = 3 * VALUE;

/// What a list, map or text takes beside that.
const WHOLE: usize = 4 * VALUE;

/// How long a few operations may take before that says that they handle something big.
const LONG_TIME: Duration = Duration::from_millis(1);

/// What is worth finding out whether it was counted before.
const LONG: usize = 1 << 10;

thread_local! {
    /// When a few operations were done last.
    static TICKED: Cell<Option<Instant>> = const { Cell::new(None) };
    /// The last few took long.
    static SLOW: Cell<bool> = const { Cell::new(false) };
    /// How many operations there are between two looks.
    static BETWEEN: Cell<u64> = const { Cell::new(UNKNOWN) };
    /// Operations since the last look.
    static SINCE: Cell<u64> = const { Cell::new(0) };
    /// Code runs that has loops in which nothing can be looked at: they use `this` and read no variable.
    static BLIND: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work` with enough room on the stack.
pub(crate) fn roomy<T>(work: impl FnOnce() -> T) -> T {
    struct Before(u64);
    impl Drop for Before {
        fn drop(&mut self) {
            BETWEEN.set(self.0);
        }
    }
    let between = stacker::remaining_stack().map_or(0, fits);
    let _before = Before(BETWEEN.replace(if between < LEAST { EVERY } else { between }));
    if between < LEAST { stacker::grow(STACK, work) } else { work() }
}

/// How many operations may pass between two looks with so much room on the stack; a fifth is left for what is not known.
fn fits(room: usize) -> u64 {
    let levels = room.saturating_sub(CALLS) / LEVEL * 4 / 5;
    (levels.saturating_sub(DEEPEST) as u64).min(EVERY)
}

/// Counts operations.
pub(crate) fn count(operations: u64) {
    SINCE.set(SINCE.get() + operations);
}

/// Called after every few operations. Where those took long, something big is copied, which each further operation
/// may double: that is looked at before the next one.
pub(crate) fn tick() {
    let now = Instant::now();
    if TICKED.replace(Some(now)).is_none_or(|before| now - before >= LONG_TIME) {
        SLOW.set(true);
    }
}

/// A module is entered.
pub(crate) fn entered(outermost: bool, blind: bool) {
    // A frame counts from nothing, and tells of every 64th operation only.
    count(64);
    tick();
    BLIND.set(blind || (BLIND.get() && !outermost));
}

/// Whether code runs for too long in which nothing can be looked at.
pub(crate) fn overlooked() -> Option<Stop> {
    (BLIND.get() && SINCE.get() > BETWEEN.get() * 9 / 8).then_some(Stop::Overlooked)
}

/// Looks at the variable that is read, by its place in the scope or its name, and now and then at all of them.
///
/// # Errors
/// Something is nested too deep, or all together more than `most` bytes. No script can catch it.
pub(crate) fn look(
    name: &str,
    place: usize,
    cx: &EvalContext,
    most: usize,
) -> Result<(), Box<EvalAltResult>> {
    let scope = cx.scope();
    let read = match place {
        0 => scope.get(name),
        place => scope.iter_raw().nth(place - 1).map(|(_, _, value)| value),
    };
    let mut stop = read.filter(|value| own(value) > most).map(|_| Stop::Bulky(most));
    if stop.is_none() && (SLOW.get() || SINCE.get() >= BETWEEN.get()) {
        let mut bulk = Bulk::new(most);
        let all = scope.iter_raw().map(|(_, _, value)| value).chain(cx.this_ptr());
        stop = all.map(|value| bulk.value(value, 0)).find_map(Result::err);
        if stop.is_none() {
            SINCE.set(0);
            SLOW.set(false);
        }
    }
    stop.map_or(
        Ok(()),
        |stop| Err(EvalAltResult::ErrorTerminated(Dynamic::from(stop), Position::NONE).into()),
    )
}

/// Whether a value may be kept beyond the call that made it.
pub(crate) fn is_too_deep(value: &Dynamic) -> bool {
    matches!(Bulk::new(usize::MAX).value(value, 0), Err(Stop::Nested))
}

/// What a value takes by itself, without what its entries take.
fn own(value: &Dynamic) -> usize {
    if value.is_int() {
        0
    } else if let Ok(text) = value.as_immutable_string_ref() {
        text.len()
    } else if let Ok(list) = value.as_array_ref() {
        list.len() * VALUE
    } else if let Ok(bytes) = value.as_blob_ref() {
        bytes.len()
    } else if let Ok(map) = value.as_map_ref() {
        map.len() * ENTRY
    } else {
        0
    }
}

struct Bulk {
    most: usize,
    left: usize,
    /// Long texts, and variables that closures share and that may hold each other, by their place in memory.
    seen: BTreeSet<usize>,
}

impl Bulk {
    fn new(most: usize) -> Self {
        Self { most, left: most, seen: BTreeSet::new() }
    }

    fn take(&mut self, bytes: usize) -> Result<(), Stop> {
        self.left = self.left.checked_sub(bytes).ok_or(Stop::Bulky(self.most))?;
        Ok(())
    }

    fn value(&mut self, value: &Dynamic, depth: usize) -> Result<(), Stop> {
        if value.is_shared() {
            let Some(inside) = value.read_lock::<Dynamic>() else { return Ok(()) };
            let place = std::ptr::from_ref::<Dynamic>(&inside).addr();
            return if self.seen.insert(place) { self.held(&inside, depth) } else { Ok(()) };
        }
        self.held(value, depth)
    }

    fn held(&mut self, value: &Dynamic, depth: usize) -> Result<(), Stop> {
        if value.is_int() || value.is_float() || value.is_bool() || value.is_unit() || value.is_char() {
            return Ok(());
        }
        if depth > DEEPEST {
            return Err(Stop::Nested);
        }
        if let Ok(text) = value.as_immutable_string_ref() {
            // Many copies of a text are one text.
            let counted = text.len() < LONG || self.seen.insert(text.as_ptr().addr());
            return if counted { self.take(WHOLE + text.len()) } else { Ok(()) };
        }
        self.take(WHOLE + own(value))?;
        if let Ok(list) = value.as_array_ref() {
            list.iter().try_for_each(|item| self.value(item, depth + 1))
        } else if let Ok(map) = value.as_map_ref() {
            map.values().try_for_each(|entry| self.value(entry, depth + 1))
        } else if let Some(pointer) = value.read_lock::<FnPtr>() {
            pointer.curry().iter().try_for_each(|held| self.value(held, depth + 1))
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_less_room_there_is_the_more_often_it_is_looked() {
        assert_eq!(fits(STACK - (64 << 10)), EVERY);
        assert!(fits(8 << 20) < EVERY);
        assert_eq!(fits(1 << 20), 0);
        let small = std::thread::Builder::new().stack_size(1 << 20);
        let grown = small.spawn(|| roomy(|| (BETWEEN.get(), stacker::remaining_stack().unwrap())));
        let (between, room) = grown.unwrap().join().unwrap();
        assert!(between == EVERY && fits(room) == EVERY, "{between} {room}");
    }
}
