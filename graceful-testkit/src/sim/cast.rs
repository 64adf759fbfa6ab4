//! The modules of the simulation: what they require, which hooks they have, and what is wrong with them.

use crate::op::*;
use crate::random::Random;
use crate::script::Script;

/// How many modules there are. A module requires only ones with a smaller number.
pub(super) const MODULES: usize = 5;

/// The name of a module.
pub(super) fn name(at: usize) -> String {
    format!("m{at}")
}

/// What is wrong with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Nothing,
    Syntax,
    Top,
    Before,
    After,
    Hangs,
    Missing,
}

/// One version of one module.
#[derive(Clone, Debug)]
struct Role {
    version: u64,
    requires: Vec<usize>,
    hooks: bool,
    /// How long its slow function takes, in milliseconds.
    slow: u64,
    wrong: Wrong,
}

/// Every module as its source says now.
pub(super) struct Cast {
    roles: Vec<Role>,
    /// The numbers of the modules that keep a task in their state, from their `init` on.
    keeps: Vec<bool>,
    others: Vec<bool>,
}

impl Cast {
    /// A cast drawn from `random`, with nothing wrong.
    pub(super) fn new(random: &mut Random) -> Self {
        let keeps = (0..MODULES).map(|_| random.chance(1, 2)).collect();
        let others = (0..MODULES).map(|_| random.chance(1, 3)).collect();
        let mut cast = Self { roles: Vec::new(), keeps, others };
        for at in 0..MODULES {
            let mut role = draw(at, 1, random);
            role.wrong = Wrong::Nothing;
            cast.roles.push(role);
        }
        cast
    }

    /// Draws the next version of a module, which may be wrong.
    pub(super) fn change(&mut self, at: usize, random: &mut Random) {
        self.roles[at] = draw(at, self.roles[at].version + 1, random);
    }

    /// The next version of a module, with nothing wrong.
    pub(super) fn mend(&mut self, at: usize) {
        let role = &mut self.roles[at];
        role.wrong = Wrong::Nothing;
        role.version += 1;
    }

    /// Whether a module is in the second language.
    pub(super) fn is_other(&self, at: usize) -> bool {
        self.others[at]
    }

    /// Whether a module keeps a task in its state.
    pub(super) fn keeps_task(&self, at: usize) -> bool {
        self.keeps[at]
    }

    /// What tells this version of a module from every other.
    pub(super) fn tag(&self, at: usize) -> String {
        format!("m{at}v{}", self.roles[at].version)
    }

    /// The source of a module.
    pub(super) fn script(&self, at: usize) -> Script {
        let (role, tag) = (&self.roles[at], self.tag(at));
        let mut script = Script::new(&name(at)).comment(&tag);
        let mut all = vec![tag.as_str().into()];
        for module in &role.requires {
            script = script.requires(&name(*module));
            all.push(call(&name(*module), "slow"));
        }
        let begin = role.requires.first().map(|module| eval(call(&name(*module), "tag")));
        let slow = [sleep(role.slow)].into_iter().chain(begin).chain([yield_now(), ret(list(all))]);
        let counted = list([state("hits"), state("hooks")]);
        let mut init = vec![
            note(list(["init".into(), name(at).into()])),
            set("hits", 0),
            set("hooks", 0),
            set("ticks", 0),
        ];
        if self.keeps[at] {
            init.push(keep_task("task", [inc("ticks"), sleep(3)]));
        }
        let mut top = vec![spawn_loop([inc("ticks"), sleep(5)]), set_global(&format!("g{at}"), tag.as_str())];
        if role.wrong == Wrong::Top {
            top.push(throw("wrong at the top"));
        }
        script = script
            .init(init)
            .finalize([note(list(["finalize".into(), name(at).into()]))])
            .function("slow", slow)
            .function("tag", [ret(tag.as_str())])
            .function("hit", [sleep(1), inc("hits"), yield_now()])
            .function("counted", [ret(counted)])
            .function("deploy", [sleep(1), Op::Reload, ret(tag.as_str())])
            .function(
                "order",
                role.requires.iter().take(1).map(|module| eval(call(&name(*module), "deploy"))),
            )
            .route(&format!("GET /{}", name(at)), [ret(tag.as_str())])
            .top(top);
        match role.wrong {
            Wrong::Syntax => script = script.broken(),
            Wrong::Missing => script = script.requires("nowhere"),
            _ => {}
        }
        if role.hooks { hooked(script, at, role.wrong) } else { script }
    }
}

/// Hooks that say whose they are and what the state counts, take their time, and count themselves.
fn hooked(script: Script, at: usize, wrong: Wrong) -> Script {
    let said = |hook: &str| note(list([hook.into(), name(at).into(), state("hits"), state("ticks")]));
    let body = |hook: &str, fails: bool| {
        let end = match wrong {
            Wrong::Hangs => sleep(1_000),
            _ if fails => throw("wrong in a hook"),
            _ => yield_now(),
        };
        let end = if hook == "before" && !fails { yield_now() } else { end };
        [said(hook), inc("hooks"), sleep(1), end]
    };
    script
        .before_reload(body("before", wrong == Wrong::Before))
        .after_reload(body("after", wrong == Wrong::After))
}

fn draw(at: usize, version: u64, random: &mut Random) -> Role {
    let requires = (0..at).filter(|_| random.chance(1, 3)).collect();
    let wrong = match random.below(20) {
        0 => Wrong::Syntax,
        1 => Wrong::Top,
        2 => Wrong::After,
        3 => Wrong::Missing,
        4 => Wrong::Hangs,
        _ => Wrong::Nothing,
    };
    let slow = if random.chance(1, 4) { 60 } else { 1 };
    Role { version, requires, hooks: random.chance(1, 2), slow, wrong }
}
