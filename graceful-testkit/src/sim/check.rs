//! The model: what states, lives and roles must be, read line by line from what scripts noted and from the events;
//! and what must hold of every such line.

use std::collections::{BTreeMap, BTreeSet};

use super::violation::{Told, broken, hold};

/// One reload in the trace.
#[derive(Default)]
struct Segment {
    committed: bool,
    undone: bool,
    copies: BTreeSet<String>,
    before: BTreeMap<String, String>,
    /// What each hook that is running counts, and what hooks that came to their end have counted.
    counting: BTreeMap<String, i64>,
    counted: BTreeMap<String, i64>,
    forms: BTreeMap<String, i64>,
    validated: BTreeSet<String>,
    stopped: BTreeSet<String>,
}

/// What the trace has said so far.
#[derive(Default)]
pub(super) struct Checker {
    segment: Option<Segment>,
    /// The life of each module, from its `init` to its `finalize`.
    pub(super) lives: BTreeMap<String, i64>,
    starting: BTreeMap<String, (i64, i64)>,
    over: BTreeSet<i64>,
    /// How often each life was written to.
    hits: BTreeMap<i64, i64>,
    /// The calls that wrote, and how often.
    pub(super) wrote: BTreeMap<i64, i64>,
    hooks: BTreeMap<String, i64>,
    forms: BTreeMap<String, i64>,
    /// The lives whose kept task was cancelled.
    cancelled: BTreeSet<i64>,
    /// How many things each version owns.
    pub(super) owned: BTreeMap<String, i64>,
    /// In which order modules were finalized.
    pub(super) finalized: Vec<String>,
}

impl Checker {
    /// What the state of a live module counts: hits and hooks, and which form it has.
    pub(super) fn counts(&self, module: &str) -> (i64, i64, Option<i64>) {
        let hits = self.lives.get(module).and_then(|life| self.hits.get(life));
        let hooks = self.hooks.get(module).copied().unwrap_or_default();
        (hits.copied().unwrap_or_default(), hooks, self.forms.get(module).copied())
    }

    /// Whether the task that the live module keeps was cancelled.
    pub(super) fn is_cancelled(&self, module: &str) -> bool {
        self.lives.get(module).is_some_and(|life| self.cancelled.contains(life))
    }

    /// Takes in the next line.
    pub(super) fn line(&mut self, line: &str) -> Told {
        match (line, &mut self.segment) {
            ("reload", Some(_)) => return Err(broken("one reload at a time", "two interleave")),
            ("reload", open) => *open = Some(Segment::default()),
            (line, None) if line.starts_with("end ") => {
                return Err(broken("exactly one end of each reload", line));
            }
            (line, Some(_)) if line.starts_with("end ") => return self.ended(line),
            _ => {}
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["-", "init", module, life, form] => {
                self.starting.insert((*module).to_owned(), (number(life), number(form)));
            }
            ["migration", module, from, "->", to, rest @ ..] => {
                return self.migration(module, major(from), major(to), rest.is_empty());
            }
            ["-", "finalize", module, life] => return self.finalize(module, number(life)),
            ["-", "hit", module, life, hits, id] => {
                return self.hit(module, number(life), number(hits), number(id));
            }
            ["-", "cancelled", _, life] => {
                self.cancelled.insert(number(life));
            }
            ["-", "took", tag] => *self.owned.entry((*tag).to_owned()).or_default() += 1,
            ["-", "let", tag] => {
                let left = self.owned.entry((*tag).to_owned()).or_default();
                *left -= 1;
                let left = *left;
                return hold("what a generation owns is let go of once", left >= 0, || (*tag).to_owned());
            }
            ["hook", module, "init", rest @ ..] => return self.began(module, rest.is_empty()),
            _ => {}
        }
        match &mut self.segment {
            Some(segment) => segment.line(&words),
            None => Ok(()),
        }
    }

    fn began(&mut self, module: &str, well: bool) -> Told {
        let Some((life, form)) = self.starting.remove(module).filter(|_| well) else { return Ok(()) };
        self.forms.insert(module.to_owned(), form);
        self.hooks.remove(module);
        let twice = self.lives.insert(module.to_owned(), life);
        hold("`init` runs once", twice.is_none(), || format!("{module} is alive already"))
    }

    fn migration(&mut self, module: &str, from: i64, to: i64, well: bool) -> Told {
        let Some(segment) = &mut self.segment else { return Ok(()) };
        let form = segment.forms.get(module).or(self.forms.get(module)).copied();
        if well {
            segment.forms.insert(module.to_owned(), to);
        }
        hold(
            "each step of a migration is taken once, from the form the state has",
            form == Some(from),
            || format!("{module} has form {form:?} and goes from {from} to {to}"),
        )
    }

    fn finalize(&mut self, module: &str, life: i64) -> Told {
        self.starting.remove(module);
        let alive = self.lives.get(module) == Some(&life);
        hold("`finalize` runs once", alive, || format!("life {life} of {module} is over or has not begun"))?;
        self.lives.remove(module);
        self.over.insert(life);
        self.finalized.push(module.to_owned());
        Ok(())
    }

    fn hit(&mut self, module: &str, life: i64, hits: i64, id: i64) -> Told {
        let known = self.hits.entry(life).or_default();
        *known += 1;
        let known = *known;
        *self.wrote.entry(id).or_default() += 1;
        hold("no write is lost or made twice", known == hits, || {
            format!("{module} counts {hits} after {known} writes in life {life}")
        })?;
        let twice = self.wrote[&id] > 1;
        hold("no call runs twice", !twice, || format!("call {id} of {module}"))?;
        hold("`finalize` runs after the last call", !self.over.contains(&life), || {
            format!("call {id} of {module} wrote after it")
        })
    }

    fn ended(&mut self, line: &str) -> Told {
        let segment = self.segment.take().unwrap_or_default();
        let committed = line.starts_with("end committed");
        hold("a reload is whole or undone", segment.committed == committed, || line.to_owned())?;
        if !committed {
            self.starting.clear();
            let owes = !segment.copies.is_empty() && !segment.undone;
            return hold("a reload is whole or undone", !owes, || format!("{line}, and nothing was undone"));
        }
        hold("a reload is whole or undone", !segment.undone, || "it committed and was undone".into())?;
        // At the start `init` runs while its module registers, and no event tells of it.
        for module in self.starting.keys().cloned().collect::<Vec<_>>() {
            self.began(&module, true)?;
        }
        for (module, counted) in segment.counted {
            *self.hooks.entry(module).or_default() += counted;
        }
        self.forms.extend(segment.forms);
        Ok(())
    }
}

impl Segment {
    fn line(&mut self, words: &[&str]) -> Told {
        match words {
            ["commit"] => self.committed = true,
            // What was told before was a configuration that was applied, and what comes after one that ends is the
            // reload's own: a reload begins while one is applied, and waits for its turn.
            [_, "->", "ReloadingRoles"] | ["ConfiguringRoles", "->", _] => {
                (self.validated, self.stopped) = Default::default();
            }
            ["checkpoint", module] => {
                self.copies.insert((*module).to_owned());
            }
            ["undone", ..] => self.undone = true,
            // What a hook did that is forgiven is undone, and the reload goes on.
            ["warning", rest @ ..] if rest.windows(2).any(|two| two == ["is", "forgiven:"]) => {
                self.undone = false
            }
            ["-", "before", module, counts @ ..] => {
                self.before.insert((*module).to_owned(), counts.join(" "));
            }
            ["-", "after", module, counts @ ..] => {
                let (now, then) = (counts.join(" "), self.before.get(*module));
                let frozen = then.is_none_or(|then| *then == now);
                return hold("a state is frozen between hooks", frozen, || {
                    format!("{module} counts {now} and counted {then:?}")
                });
            }
            ["-", "counts", module] => *self.counting.entry((*module).to_owned()).or_default() += 1,
            ["hook", module, "before_reload" | "after_reload", rest @ ..] => {
                let counted = self.counting.remove(*module).unwrap_or_default();
                if rest.is_empty() {
                    *self.counted.entry((*module).to_owned()).or_default() += counted;
                }
            }
            ["-", "role", what, role, _] => return self.role(what, role),
            _ => {}
        }
        Ok(())
    }

    /// Nothing is stopped before everything was validated; nobody starts before everybody stopped.
    fn role(&mut self, what: &str, role: &str) -> Told {
        match what {
            "validate" => {
                let late = !self.stopped.is_empty();
                self.validated.insert(role.to_owned());
                hold("roles are validated before any is stopped", !late, || role.to_owned())
            }
            "stop" => {
                let twice = !self.stopped.insert(role.to_owned());
                hold("a role is stopped once", !twice, || role.to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn major(version: &str) -> i64 {
    number(version.split('.').next().unwrap_or_default())
}

fn number(word: &str) -> i64 {
    word.parse().unwrap_or(-1)
}
