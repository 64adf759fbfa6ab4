//! Apps to sweep: one for each acyclic graph of modules, with everything that a reload does in them.

use std::collections::BTreeSet;

use graceful_core::instance::ApplyOptions;
use graceful_core::{Config, Value};

use super::Sweep;
use crate::op::*;
use crate::random::Random;
use crate::scenario::{App, AppBuilder};
use crate::script::Script;
use crate::subject::{Capabilities, Subject};

/// An acyclic graph of modules: each requires some of those with a smaller number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Graph {
    requires: Vec<BTreeSet<usize>>,
}

/// What is edited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// One module.
    One(usize),
    /// Every module; one comes besides, and one leaves.
    All,
}

/// What the modules are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cast {
    /// Modules with hooks, migrations up or down, checkpoints, tasks, routes and globals, and plain ones.
    Modules,
    /// Roles that depend on each other and are configured, reloaded from a clean slate.
    Roles,
}

impl Graph {
    fn of_bits(modules: usize, bits: u64) -> Self {
        let mut bit = 0;
        let mut requires = vec![BTreeSet::new(); modules];
        for (from, row) in requires.iter_mut().enumerate() {
            for to in 0..from {
                if bits >> bit & 1 == 1 {
                    row.insert(to);
                }
                bit += 1;
            }
        }
        Self { requires }
    }

    /// Every acyclic graph of this many modules, each once whatever the modules are called: 1, 2, 6, 31, 302, 5,984 for
    /// 1 to 6 modules.
    pub fn all(modules: usize) -> Vec<Self> {
        let orders = orders(modules);
        let edges = modules * modules.saturating_sub(1) / 2;
        let mut seen = BTreeSet::new();
        let graphs = (0..1_u64 << edges).map(|bits| Self::of_bits(modules, bits));
        graphs.filter(|graph| seen.insert(graph.canonical(&orders))).collect()
    }

    /// A graph drawn from a seed.
    pub fn random(modules: usize, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let likely = 1 + random.below(3);
        let row = |from: usize| (0..from).filter(|_| random.chance(likely, 4)).collect();
        Self { requires: (0..modules).map(row).collect() }
    }

    /// How many modules it has.
    pub fn modules(&self) -> usize {
        self.requires.len()
    }

    /// The smallest of its adjacency matrices, as a number: the same for graphs that differ by names only.
    fn canonical(&self, orders: &[Vec<usize>]) -> u64 {
        let edges: Vec<(usize, usize)> = self
            .requires
            .iter()
            .enumerate()
            .flat_map(|(from, to)| to.iter().map(move |to| (from, *to)))
            .collect();
        let size = self.modules();
        let matrix = |order: &Vec<usize>| {
            edges.iter().fold(0, |bits, (from, to)| bits | 1_u64 << (order[*from] * size + order[*to]))
        };
        orders.iter().map(matrix).min().unwrap_or_default()
    }

    /// The sweep of a reload after `edit`. `turn` decides which module is of which kind, and whether versions go up or
    /// down, so that over many graphs each kind stands everywhere.
    pub fn sweep<S: Subject>(&self, edit: Edit, cast: Cast, turn: usize) -> Sweep {
        let (before, after) = (self.clone(), self.clone());
        let can = S::capabilities();
        let app = move |app: AppBuilder| before.app(app, cast, turn, can);
        let sweep = Sweep::of::<S>().app(app).edit(move |app| after.edit(app, edit, cast, turn, can));
        match cast {
            Cast::Modules => sweep.asking(move |app| said(app, can)),
            Cast::Roles => {
                let names: Vec<String> = (0..self.modules()).map(name).collect();
                sweep.prepare(move |app| configure(app, &names)).by(|engine| engine.roles().reload())
            }
        }
    }

    fn app(&self, mut app: AppBuilder, cast: Cast, turn: usize, can: Capabilities) -> AppBuilder {
        if cast == Cast::Roles {
            let mut app = app.entry("main").module(Script::plain("main"));
            for at in 0..self.modules() {
                app = app.module(self.role(at, "one", can));
            }
            return app;
        }
        for at in 0..self.modules() {
            let mut script = self.script(at, "one", turn, can);
            if at + 1 == self.modules() {
                script = script.requires("leaves");
            }
            app = app.module(script).entry(&name(at));
        }
        let leaves = Script::new("leaves").init([set("n", 1)]).finalize([set("n", 2)]);
        let look = Script::plain("look")
            .function("all", [ret(list((0..self.modules()).map(|at| global(&name(at)))))]);
        let app = app.module(leaves);
        if can.globals && can.plain { app.module(look).entry("look") } else { app }
    }

    fn edit(&self, app: &App, edit: Edit, cast: Cast, turn: usize, can: Capabilities) {
        let last = self.modules() - 1;
        for at in (0..self.modules()).filter(|at| edit == Edit::All || edit == Edit::One(*at)) {
            if cast == Cast::Roles {
                app.edit(self.role(at, "two", can));
                continue;
            }
            let script = self.script(at, "two", turn, can);
            app.edit(match edit {
                Edit::All if at == last => script.requires("comes"),
                Edit::One(_) if at == last => script.requires("leaves"),
                _ => script,
            });
        }
        if edit == Edit::All && cast == Cast::Modules {
            app.edit(Script::new("comes").init([set("n", 1)]).finalize([set("n", 2)]));
        }
    }

    fn script(&self, at: usize, tag: &str, turn: usize, can: Capabilities) -> Script {
        let (me, kind) = (name(at), (at + turn) % 4);
        let mut script = if kind == 2 && can.plain { Script::plain(&me) } else { Script::new(&me) };
        script = match kind {
            0 if can.hooks => hooked(script),
            1 if can.migrates => migrating(script, tag, (turn / 4) % 2 == 1),
            3 if can.hooks => restoring(script),
            _ => script,
        };
        script = script.function("tag", [ret(tag)]).comment(tag);
        if can.globals {
            script = script.top([set_global(&me, tag)]);
        }
        if can.tasks {
            script = script.top([spawn_loop([sleep(1_000)])]);
        }
        if can.routes {
            script = script.route(&format!("GET /{me}"), [ret(tag)]);
        }
        self.requires[at].iter().fold(script, |script, to| script.requires(&name(*to)))
    }

    fn role(&self, at: usize, tag: &str, can: Capabilities) -> Script {
        let needs: Vec<Value> = self.requires[at].iter().map(|to| Value::from(name(*to))).collect();
        let mut init = vec![set("up", true)];
        if can.tasks {
            init.push(spawn_loop([sleep(1_000)]));
        }
        if can.globals {
            init.push(set_global(&name(at), tag));
        }
        init.push(ret(true));
        Script::new(&name(at))
            .comment(tag)
            .value("dependencies", needs)
            .function("validate_config", [ret(true)])
            .function("before_apply_config", [ret(true)])
            .function("init", init)
            .function("apply_config", [set("conf", true), ret(true)])
            .function("on_apply_config", [ret(true)])
            .function("stop", [set("conf", Value::Null), set("up", Value::Null), ret(true)])
    }
}

fn name(at: usize) -> String {
    format!("m{at}")
}

/// Its hooks work on a state that is copied before.
fn hooked(script: Script) -> Script {
    script
        .version("1.0.0")
        .init([set("n", 1), set("list", Value::List(vec![1.into()]))])
        .before_reload([inc("n"), push("list", 2)])
        .after_reload([inc("n"), push("list", 3)])
        .rollback([])
        .finalize([])
}

/// Its state migrates with the edit, up or down.
fn migrating(script: Script, tag: &str, is_down: bool) -> Script {
    let newer = (tag == "two") != is_down;
    let script =
        script.version(if newer { "2.0.0" } else { "1.0.0" }).init([set("n", 1)]).before_reload([inc("n")]);
    if !newer {
        return script;
    }
    script.up("1.0.0", "2.0.0", [set("more", state("n")), inc("n")]).down(
        "1.0.0",
        "2.0.0",
        [set("more", Value::Null), inc("n")],
    )
}

/// Its `rollback` takes back what its hooks did.
fn restoring(script: Script) -> Script {
    script
        .checkpoint("own")
        .init([set("n", 1)])
        .before_reload([set("going", true)])
        .after_reload([set("going", Value::Null)])
        .rollback([set("going", Value::Null)])
}

/// What can be seen of the app and is in no digest.
fn said(app: &App, can: Capabilities) -> String {
    if can.globals && can.plain { format!("globals {:?}\n", app.ask("look", "all")) } else { String::new() }
}

fn configure(app: &App, names: &[String]) {
    let roles = app.engine().roles();
    roles.set_reload_allowed(true);
    let options = ApplyOptions { enabled: Some(names.iter().cloned().collect()), opts: Value::map() };
    let names = names.to_vec();
    app.time().block_on(async move {
        roles.cfg(names).await.expect("they are roles");
        let config = Config::new(Value::map()).expect("a document");
        roles.configure(config, options).await.expect("they take it");
    });
}

/// Every order of so many things.
fn orders(of: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for next in 0..of {
        let placed = |order: &Vec<usize>| {
            let order = order.clone();
            (0..=order.len()).map(move |at| {
                let mut order = order.clone();
                order.insert(at, next);
                order
            })
        };
        all = all.iter().flat_map(placed).collect();
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_of_each() {
        let counted: Vec<usize> = (1..=5).map(|modules| Graph::all(modules).len()).collect();
        assert_eq!(counted, [1, 2, 6, 31, 302]);
    }
}
