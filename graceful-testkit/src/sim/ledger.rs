//! What was live at every generation, as an observer of the engine sees it, held against what the sources said.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use graceful_core::event::Purpose;
use graceful_core::{Callback, Engine, Event, EventKind, Hook, InstanceState, Observer, Value, World};

use super::desk::Desk;
use super::story::{Shape, name, role_name};
use super::violation::{Told, Violation, broken, hold};

/// The tags of the live modules of one generation.
type Tags = BTreeMap<String, String>;

#[derive(Default)]
struct Book {
    generations: BTreeMap<u64, Tags>,
    /// When the reload that runs began, as a moment of the desk; none runs otherwise.
    began: Option<usize>,
    /// It reads only what it was told.
    partial: bool,
    committed: bool,
    hooks: Vec<(String, Hook)>,
    stopped: Vec<String>,
    wrong: Option<Violation>,
}

/// What was live at every generation.
pub(super) struct Ledger {
    world: Weak<World>,
    desk: Arc<Mutex<Desk>>,
    book: Mutex<Book>,
}

impl Ledger {
    /// A ledger of `engine`, to be subscribed to it.
    pub(super) fn new(engine: &Engine, desk: Arc<Mutex<Desk>>) -> Arc<Self> {
        Arc::new(Self { world: Arc::downgrade(engine.world()), desk, book: Mutex::default() })
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was found so far.
    pub(super) fn told(&self) -> Told {
        self.book().wrong.clone().map_or(Ok(()), Err)
    }

    /// From now on reloads may read only a part of the sources, or not.
    pub(super) fn set_partial(&self, partial: bool) {
        let mut book = self.book();
        book.partial |= partial;
        if !partial && book.began.is_none() {
            book.partial = false;
        }
    }

    /// The tags of what is live.
    pub(super) fn live(&self) -> Tags {
        self.book().generations.last_key_value().map(|(_, tags)| tags.clone()).unwrap_or_default()
    }

    /// Every tag in `value` belongs to one generation, not older than `live`.
    pub(super) fn one_generation(&self, value: &Value, live: u64) -> Told {
        let mut seen = Vec::new();
        tags(value, &mut seen);
        let book = self.book();
        let fits = |tags: &Tags| seen.iter().all(|tag| tags.values().any(|known| known == tag));
        let fits = book.generations.range(live..).any(|(_, tags)| fits(tags));
        hold("one set of generations per call", fits, || {
            format!("{seen:?} belong to no one generation from {live} on: {:?}", book.generations)
        })
    }

    fn commit(&self, generation: u64, book: &mut Book) -> Told {
        let Some(world) = self.world.upgrade() else { return Ok(()) };
        let live = world
            .live_all()
            .into_iter()
            .filter_map(|live| Some((live.name.to_string(), tag(&live.source.text)?)));
        let tags: Tags = live.collect();
        let born: BTreeMap<String, u64> =
            world.live_all().into_iter().map(|live| (live.name.to_string(), live.born.0)).collect();
        let last = book.generations.last_key_value().map(|(number, _)| *number);
        book.generations.insert(generation, tags);
        book.committed = true;
        let again = last.is_some_and(|last| last >= generation);
        hold("one commit per reload", !again, || format!("generation {generation} after {last:?}"))?;
        let desk = self.desk.lock().unwrap();
        for (module, shape) in shapes(&desk, &book.generations[&generation]) {
            for required in shape.requires.iter().map(|at| name(*at)) {
                let (Some(mine), Some(other)) = (born.get(&module), born.get(&required)) else { continue };
                hold("dependents are reloaded with what they require", mine >= other, || {
                    format!("{module} is of generation {mine} and requires {required} of {other}")
                })?;
            }
        }
        Ok(())
    }

    /// What is live is what the sources said while the reload ran.
    fn ended(&self, book: &Book, began: usize, purpose: Purpose) -> Told {
        let mut last = book.generations.values().rev();
        let (now, empty) = (last.next().cloned().unwrap_or_default(), Tags::new());
        let before = if book.committed { last.next().unwrap_or(&empty) } else { &now };
        let desk = self.desk.lock().unwrap();
        ordered(&desk, book, before, &now)?;
        if !book.committed {
            return Ok(());
        }
        let reads = purpose == Purpose::Reload;
        for module in now.keys().chain(desk.tags().keys()) {
            let live = now.get(module).cloned();
            let mut said = desk.since(module, began);
            if !reads || book.partial {
                said.push(before.get(module).cloned());
            }
            // Roles are loaded once they are registered; what was unregistered is gone.
            let away = live.is_none() && (!reads || book.partial || module.starts_with('r'));
            hold("what is live is what the sources said", away || said.contains(&live), || {
                format!("{module} is {live:?}, its source said {said:?}")
            })?;
        }
        Ok(())
    }
}

fn shapes<'a>(desk: &'a Desk, tags: &'a Tags) -> impl Iterator<Item = (String, &'a Shape)> {
    tags.iter().filter_map(|(module, tag)| Some((module.clone(), desk.shapes.get(tag)?)))
}

/// Old hooks dependents first, then new hooks dependencies first.
fn ordered(desk: &Desk, book: &Book, before: &Tags, now: &Tags) -> Told {
    let place = |hooks: &[Hook], module: &str| {
        book.hooks.iter().position(|(owner, hook)| owner == module && hooks.contains(hook))
    };
    let old = [Hook::BeforeReload];
    for (module, shape) in shapes(desk, before) {
        for required in shape.requires.iter().map(|at| name(*at)) {
            let (mine, other) = (place(&old, &module), place(&old, &required));
            let wrong = mine.zip(other).is_some_and(|(mine, other)| mine > other);
            hold("old hooks run dependents first", !wrong, || format!("{required} before {module}"))?;
        }
    }
    let new = [Hook::AfterReload, Hook::Init];
    for (module, shape) in shapes(desk, now).filter(|_| book.committed) {
        for required in shape.requires.iter().map(|at| name(*at)) {
            let (mine, other) = (place(&new, &module), place(&new, &required));
            let wrong = mine.zip(other).is_some_and(|(mine, other)| mine < other);
            hold("new hooks run dependencies first", !wrong, || format!("{module} before {required}"))?;
        }
    }
    let stopped = |role: &str| book.stopped.iter().position(|stopped| stopped == role);
    for (role, tag) in before {
        let depends = desk.role_shapes.get(tag).map(|shape| shape.depends.clone()).unwrap_or_default();
        for below in depends.into_iter().map(role_name) {
            let wrong = stopped(role).zip(stopped(&below)).is_some_and(|(mine, other)| mine > other);
            hold("roles are stopped dependents first", !wrong, || format!("{below} before {role}"))?;
        }
    }
    let after = book.hooks.iter().position(|(_, hook)| new.contains(hook));
    let late = book.hooks.iter().rposition(|(_, hook)| *hook == Hook::BeforeReload);
    let wrong = after.zip(late).is_some_and(|(after, late)| late > after);
    hold("old hooks run before new ones", !wrong, || format!("{:?}", book.hooks))
}

/// The tag of a source stands in the comment at its head.
fn tag(text: &[u8]) -> Option<String> {
    let head = text.split(|byte| *byte == b'\n').next()?;
    let head = std::str::from_utf8(head).ok()?;
    let known = ["# ", "-- ", "// "].iter().any(|mark| head.starts_with(mark));
    head.split(' ').nth(1).filter(|_| known).map(str::to_owned)
}

fn tags(value: &Value, seen: &mut Vec<String>) {
    match value {
        Value::Str(tag) => seen.push(tag.clone()),
        Value::List(parts) => parts.iter().for_each(|part| tags(part, seen)),
        _ => {}
    }
}

impl Observer for Ledger {
    fn on_event(&self, event: &Event) {
        let book = &mut *self.book();
        let told = match &event.kind {
            EventKind::ReloadStarted => {
                (book.committed, book.hooks, book.stopped) = (false, Vec::new(), Vec::new());
                let two = book.began.replace(self.desk.lock().unwrap().moment()).is_some();
                hold("one reload at a time", !two, || "two interleave".into())
            }
            EventKind::HookRan { module, hook, .. } if book.began.is_some() => {
                book.hooks.push((module.to_string(), *hook));
                let early = book.committed && !matches!(hook, Hook::Finalize | Hook::Rollback);
                hold("new code is live only after its hooks ran", !early, || format!("{hook} of {module}"))
            }
            // What was stopped before was by a configuration.
            EventKind::StateChanged { to: InstanceState::ReloadingRoles, .. } => {
                book.stopped.clear();
                Ok(())
            }
            EventKind::RoleCalled { module, callback: Callback::Stop, .. } => {
                book.stopped.push(module.to_string());
                Ok(())
            }
            EventKind::Committed { generation } => self.commit(*generation, book),
            EventKind::ReloadEnded { purpose, outcome, .. } => match book.began.take() {
                None => Err(broken("exactly one end of each reload", format!("a second one: {outcome}"))),
                Some(began) => {
                    let says = outcome == "committed";
                    let right =
                        hold("a reload that committed says so", says == book.committed, || outcome.clone());
                    right.and_then(|()| self.ended(book, began, *purpose))
                }
            },
            _ => Ok(()),
        };
        if let Err(wrong) = told {
            book.wrong.get_or_insert(wrong);
        }
    }
}
