//! The live world held against the model, when nothing is under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use graceful_core::{Instance, InstanceState, LeaseKind, Value, World};

use super::play::Play;
use super::story::*;
use super::violation::{Told, broken, hold};
use crate::clock::Time;

/// What must be gone with its app.
pub(super) struct Remains {
    world: Weak<World>,
    instances: Vec<Weak<Instance>>,
    time: Time,
}

impl Remains {
    /// Nothing is kept by anything else, and no thread waits for what will never come.
    pub(super) fn are_gone(&self) -> Told {
        let (held, promise) = (self.world.strong_count(), "an engine that nobody holds is gone");
        hold(promise, held == 0, || format!("{held} still hold it"))?;
        let left = self.instances.iter().find_map(Weak::upgrade);
        hold(promise, left.is_none(), || format!("{:?} is still there", left.map(|left| left.name.clone())))?;
        let Time::Manual(clock) = &self.time else { return Ok(()) };
        hold(promise, clock.standing() == 0, || format!("{} threads still wait", clock.standing()))
    }
}

impl Play<'_> {
    /// What is there now.
    pub(super) fn remains(&self) -> Remains {
        let world = self.app.engine().world();
        let instances = world.instances().iter().map(Arc::downgrade).collect();
        Remains { world: Arc::downgrade(world), instances, time: self.app.time().clone() }
    }

    /// After a reload: what the sources say is live, and nothing is left over.
    pub(super) fn at_rest(&mut self, how: How) -> Told {
        self.app.time().pass(Duration::from_secs(3));
        self.read()?;
        let wanted = self.desk().tags();
        let live = self.ledger.live();
        for at in 0..MODULES {
            let (is, said) = (live.get(&name(at)), wanted.get(&name(at)));
            let away = how.told && is.is_none();
            hold("what is live is what the sources say", away || is == said, || {
                format!("{} is {is:?}, its source says {said:?}", name(at))
            })?;
        }
        self.nothing_is_left_over()?;
        self.what_is_live_answers(&live)?;
        self.tasks(&live, how.force)?;
        self.routes(&live)?;
        self.roles(&live)
    }

    /// No lease, no old generation, nothing that an old generation owned.
    fn nothing_is_left_over(&self) -> Told {
        let world = self.app.engine().world();
        let leases = world.gate.leases();
        let left = leases.iter().find(|lease| lease.kind != LeaseKind::Task);
        hold("nothing is left of calls that ended", left.is_none(), || format!("{left:?}"))?;
        let shut = self.desk().tags().into_keys().find(|module| world.gate.is_shut(&module.as_str().into()));
        hold("gates are open when no reload runs", shut.is_none(), || format!("that of {shut:?} is shut"))?;
        let status = self.app.status();
        let held = status.modules.iter().find(|module| !module.held.is_empty());
        hold("nothing is left of an old generation", held.is_none(), || format!("{held:?}"))?;
        for old in world.instances().iter().filter(|old| old.last() < world.gate.live()) {
            let owns = old.scope.resources();
            let owns: Vec<String> = owns.iter().map(|one| format!("{} {}", one.kind(), one.key())).collect();
            hold("nothing is left of an old generation", owns.is_empty(), || {
                format!("generation {} of {} owns {owns:?}", old.born, old.name)
            })?;
        }
        Ok(())
    }

    /// The live code answers, on the state that the model knows.
    pub(super) fn what_is_live_answers(&mut self, live: &BTreeMap<String, String>) -> Told {
        self.read()?;
        let alive: BTreeSet<&String> = self.checker.lives.keys().collect();
        let modules: BTreeSet<&String> = live.keys().filter(|module| module.starts_with('m')).collect();
        hold("every live module was initialised, and no other one", alive == modules, || {
            format!("{alive:?} were, {modules:?} are live")
        })?;
        for (module, tag) in live.iter().filter(|(module, _)| module.starts_with('m')) {
            let said = self.call_now(module, "tag")?;
            hold("the live code answers", said == tag.as_str().into(), || {
                format!("{module}: {said:?}, not {tag}")
            })?;
            let slow = self.call_now(module, "slow")?;
            self.ledger.one_generation(&slow, self.app.engine().world().gate.live().0)?;
            let Value::List(look) = self.call_now(module, "look")? else {
                return Err(broken("the live code answers", format!("{module} shows nothing")));
            };
            let (hits, hooks, form) = self.checker.counts(module);
            let life = self.checker.lives[module];
            let number = |at: usize| look.get(at).and_then(Value::as_int).unwrap_or(-1);
            let (counts, model) = ([number(0), number(1), number(3)], [hits, hooks, life]);
            hold("the state is what hooks and calls made of it", counts == model, || {
                format!("{module} counts {counts:?} hits, hooks and life, not {model:?}")
            })?;
            let fits = form.is_none_or(|form| form == number(2));
            hold("a state has the form of its last migration", fits, || {
                format!("{module} has form {}, not {form:?}", number(2))
            })?;
            self.globals(module, live, look.get(4..).unwrap_or_default())?;
        }
        self.owned(live)
    }

    fn call_now(&mut self, module: &str, function: &str) -> Result<Value, super::Violation> {
        let called = self.app.call(module, function);
        called.map_err(|error| broken("the live code answers", format!("{module}.{function}: {error}")))
    }

    /// Each language has the globals of its live modules.
    fn globals(&self, module: &str, live: &BTreeMap<String, String>, seen: &[Value]) -> Told {
        let other = |at: usize| self.story.parts[at].other;
        let mine = (0..MODULES).find(|at| name(*at) == *module).is_some_and(other);
        for (at, global) in seen.iter().enumerate().filter(|(at, _)| other(*at) == mine) {
            let wanted = live.get(&name(at)).map_or("none", String::as_str);
            hold("globals are those of the live code", global.as_str() == Some(wanted), || {
                format!("{module} sees g{at} as {global:?}, not {wanted}")
            })?;
        }
        Ok(())
    }

    /// Each live version owns one thing, every other one none.
    fn owned(&self, live: &BTreeMap<String, String>) -> Told {
        for (tag, owns) in &self.checker.owned {
            let wanted = i64::from(live.values().any(|live| live == tag));
            hold("what a generation owns is let go of once", *owns == wanted, || {
                format!("{tag} owns {owns} things, not {wanted}")
            })?;
        }
        Ok(())
    }

    fn tasks(&self, live: &BTreeMap<String, String>, reborn: bool) -> Told {
        let world = self.app.engine().world();
        for at in (0..MODULES).filter(|at| live.contains_key(&name(*at))) {
            let part = &self.story.parts[at];
            let can = self.range.tasks || part.other;
            let kept = part.keeps && !self.checker.is_cancelled(&name(at));
            let wanted = if can { 1 + usize::from(kept) } else { 0 };
            let tasks = world.live(&name(at)).map_or(0, |live| {
                live.scope.resources().iter().filter(|one| one.kind() == "task" && !one.is_done()).count()
            });
            let least = wanted - usize::from(kept && can && self.clean);
            let fits = (least..=wanted).contains(&tasks) || (!reborn && tasks > wanted);
            hold("tasks are those of the live code", fits, || {
                format!("m{at} has {tasks} tasks, not {wanted}")
            })?;
        }
        Ok(())
    }

    fn routes(&self, live: &BTreeMap<String, String>) -> Told {
        let world = self.app.engine().world();
        let table = world.table.snapshot();
        for ((kind, _), entry) in table.iter() {
            let owner = world.live(&entry.owner).filter(|live| live.born == entry.born);
            hold("routes are those of the live code", owner.is_some(), || {
                format!("{kind} {} is of generation {} of {}", entry.key, entry.born, entry.owner)
            })?;
        }
        for module in live.keys().filter(|module| module.starts_with('m')) {
            let key = format!("GET /{module}");
            let there = table.values().any(|entry| entry.key == key);
            hold("routes are those of the live code", there, || format!("{key} is missing"))?;
        }
        Ok(())
    }

    /// The enabled roles run, with the configuration that was applied last.
    fn roles(&mut self, live: &BTreeMap<String, String>) -> Told {
        let roles = self.app.engine().roles();
        let configured = roles.state() == InstanceState::RolesConfigured;
        let Some(applied) = self.applied.clone().filter(|_| configured) else { return Ok(()) };
        let mut wanted: BTreeSet<usize> = BTreeSet::new();
        let mut todo = applied.roles;
        while let Some(role) = todo.pop() {
            let shape = live.get(&role_name(role)).and_then(|tag| self.desk().role_shapes.get(tag).cloned());
            if wanted.insert(role) {
                todo.extend(shape.map(|shape| shape.depends).unwrap_or_default());
            }
        }
        let running: BTreeSet<String> = roles.running().into_iter().collect();
        let names: BTreeSet<String> = wanted.iter().map(|role| role_name(*role)).collect();
        hold("the enabled roles run", running == names, || format!("{running:?} run, not {names:?}"))?;
        for role in (0..self.story.roles.len()).map(role_name) {
            let Some(tag) = live.get(&role) else { continue };
            let Value::List(look) = self.call_now(&role, "look")? else {
                return Err(broken("the live code answers", format!("{role} shows nothing")));
            };
            let runs = running.contains(&role);
            let on = look.get(1) == Some(&true.into());
            let conf = look.get(2).and_then(Value::as_int);
            hold("the live code answers", look.first() == Some(&tag.as_str().into()), || {
                format!("{role} answers {look:?}, not {tag}")
            })?;
            hold("every role that runs was started", on || !runs, || role.clone())?;
            let number = applied.number as i64;
            hold("every role that runs has the last configuration", !runs || conf == Some(number), || {
                format!("{role} has {conf:?}, not {number}")
            })?;
            let tasks = self.app.engine().world().live(&role).map_or(0, |live| live.scope.count("task"));
            let expected = usize::from(runs && self.range.tasks);
            hold("tasks are those of the live code", tasks == expected, || {
                format!("{role} has {tasks} tasks, not {expected}")
            })?;
        }
        Ok(())
    }

    /// What a failed reload must leave as it was; tasks tick meanwhile, and a `rollback` needs a note.
    pub(super) fn digest(&self) -> Vec<String> {
        let digest = self.app.digest();
        digest.lines().map(|line| without(&without(line, "\"ticks\":"), "\"was\":")).collect()
    }

    /// After a shutdown everything was finalized, dependents first, and let go of.
    pub(super) fn after_the_end(&mut self, live: &BTreeMap<String, String>) -> Told {
        self.read()?;
        let alive = &self.checker.lives;
        hold("every module is finalized at the end", alive.is_empty(), || format!("{alive:?} were not"))?;
        self.owned(&BTreeMap::new())?;
        let place = |module: &str| self.checker.finalized.iter().rposition(|done| done == module);
        for (module, tag) in live {
            let Some(shape) = self.desk().shapes.get(tag).cloned() else { continue };
            for required in shape.requires.into_iter().map(name) {
                let wrong = place(module).zip(place(&required)).is_some_and(|(mine, other)| mine > other);
                hold("modules are finalized dependents first", !wrong, || {
                    format!("{required} before {module}")
                })?;
            }
        }
        Ok(())
    }
}

/// The lines that are not in both.
pub(super) fn difference(before: &[String], after: &[String]) -> String {
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}\n"));
    let come = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}\n"));
    gone.chain(come).collect()
}

/// A line of a digest without the entry of a state that begins so.
fn without(line: &str, entry: &str) -> String {
    let Some(from) = line.find(entry) else { return line.to_owned() };
    let end = line[from..].find([',', '}']).map_or(line.len(), |end| from + end);
    let (head, tail) = (&line[..from], &line[end..]);
    // Before or behind it stood a comma.
    match head.strip_suffix(',') {
        Some(head) => format!("{head}{tail}"),
        None => format!("{head}{}", tail.strip_prefix(',').unwrap_or(tail)),
    }
}
