//! The modules of a story as scripts.

use super::story::*;
use crate::op::*;
use crate::script::Script;

/// The native module that numbers the lives of modules, from one `init` to its `finalize`.
pub(super) const LIVES: &str = "lives";

/// What scripts may do, as far as their backend can on a clock that stands still.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) waits: bool,
    pub(super) tasks: bool,
    pub(super) globals: bool,
}

fn told<const N: usize>(parts: [Expr; N]) -> Op {
    note(list(parts))
}

/// A version of a module, which `tag` tells from every other.
pub(super) fn script(at: usize, part: &Part, shape: &Shape, tag: &str, range: Range) -> Script {
    let me = name(at);
    // Who waits for it may not be able to let others run meanwhile.
    let range = Range { tasks: range.tasks || part.other, ..range };
    let mut script = Script::new(&me).comment(tag).version(&format!("{}.0.0", shape.form)).requires(LIVES);
    for module in &shape.requires {
        script = script.requires(&name(*module));
    }
    script = functions(script, at, part, shape, tag, range);
    script = migrations(script, shape);
    script = script.init(init(at, part, shape, range)).finalize([told([
        "finalize".into(),
        Expr::Name,
        state("life"),
    ])]);
    script = script.route(&format!("GET /{me}"), [ret(tag)]).top(top(at, shape, tag, range));
    match shape.wrong {
        Wrong::Syntax => script = script.broken(),
        Wrong::Missing => script = script.requires("nowhere"),
        Wrong::Clash => script = script.route(&format!("GET /{}", name((at + 1) % MODULES)), [ret(tag)]),
        _ => {}
    }
    if shape.drain {
        script = script.drain();
    }
    hooked(script, part, shape, range.waits || part.other)
}

fn top(at: usize, shape: &Shape, tag: &str, range: Range) -> Vec<Op> {
    let mut top = Vec::new();
    if range.tasks {
        top.push(spawn_loop([inc("ticks"), sleep(550)]));
    }
    if range.globals {
        top.push(set_global(&format!("g{at}"), tag));
    }
    top.push(told(["took".into(), tag.into()]));
    top.push(own("thing", [told(["let".into(), tag.into()])]));
    if shape.wrong == Wrong::Top {
        top.push(throw("wrong at the top"));
    }
    top
}

fn init(at: usize, part: &Part, shape: &Shape, range: Range) -> Vec<Op> {
    let mut init = vec![
        set("life", call(LIVES, "next")),
        told(["init".into(), name(at).into(), state("life"), (shape.form as i64).into()]),
        set("hits", 0),
        set("hooks", 0),
        set("ticks", 0),
        set("form", shape.form as i64),
    ];
    if part.keeps && range.tasks {
        init.push(keep_task("task", [inc("ticks"), sleep(350)]));
    }
    if shape.wrong == Wrong::Init {
        init.push(throw("wrong in init"));
    }
    init
}

fn functions(script: Script, at: usize, part: &Part, shape: &Shape, tag: &str, range: Range) -> Script {
    let pause = |ops: Vec<Op>| -> Vec<Op> {
        let waits = |op: &Op| matches!(op, Op::Sleep { .. } | Op::Yield);
        ops.into_iter().filter(|op| range.waits || !waits(op)).collect()
    };
    let mut all: Vec<Expr> = vec![tag.into()];
    all.extend(shape.requires.iter().map(|module| call(&name(*module), "slow")));
    let begin = shape.requires.first().map(|module| eval(call(&name(*module), "tag")));
    let slow = [sleep(shape.slow)].into_iter().chain(begin).chain([yield_now(), ret(list(all))]);
    let hit = told(["hit".into(), name(at).into(), state("life"), state("hits"), arg(0, "id")]);
    let mut look = vec![state("hits"), state("hooks"), state("form"), state("life")];
    if range.globals {
        look.extend((0..MODULES).map(|other| global(&format!("g{other}"))));
    }
    let order = shape.requires.iter().take(1).map(|module| eval(call(&name(*module), "deploy")));
    let spawned =
        if range.tasks { vec![spawn_loop([inc("ticks"), sleep(650)]), ret(name(at))] } else { Vec::new() };
    let cancelled = match part.keeps && range.tasks {
        true => vec![cancel("task"), told(["cancelled".into(), name(at).into(), state("life")])],
        false => Vec::new(),
    };
    script
        .function("slow", pause(slow.collect()))
        .function("tag", [ret(tag)])
        .function("hit", pause(vec![sleep(50), inc("hits"), hit, yield_now()]))
        .function("look", [ret(list(look))])
        .function("deploy", if range.waits { vec![sleep(50), Op::Reload, ret(tag)] } else { vec![ret(tag)] })
        .function("order", order)
        .function("begin", spawned)
        .function("cancel", cancelled)
}

fn migrations(mut script: Script, shape: &Shape) -> Script {
    // The way back stays right, for live code that is wrong there cannot be replaced at all.
    let thrown = (shape.wrong == Wrong::Step).then(|| throw("wrong in a step"));
    for form in 1..3 {
        let (from, to) = (format!("{form}.0.0"), format!("{}.0.0", form + 1));
        if shape.wrong != Wrong::NoStep || form == 1 {
            script = script.up(
                from.as_str(),
                to.as_str(),
                [set("form", form as i64 + 1)].into_iter().chain(thrown.clone()),
            );
        }
        if shape.wrong != Wrong::NoStep {
            script = script.down(from.as_str(), to.as_str(), [set("form", form as i64)]);
        }
    }
    script
}

/// Hooks that say whose they are and what the state counts, take their time, and count themselves.
fn hooked(mut script: Script, part: &Part, shape: &Shape, waits: bool) -> Script {
    let body = |hook: &str, wrong: Wrong| {
        let mut ops = match part.bare {
            true => vec![told(["bare".into(), Expr::Name])],
            false => vec![
                told([hook.into(), Expr::Name, state("hits"), state("ticks")]),
                told(["counts".into(), Expr::Name]),
            ],
        };
        if !part.bare && shape.protect == Protect::Own && hook == "before" {
            ops.push(set("was", state("hooks")));
        }
        if !part.bare {
            ops.push(inc("hooks"));
        }
        if waits {
            ops.push(sleep(50));
        }
        if shape.wrong == Wrong::Hangs && hook == "after" && waits {
            ops.push(sleep(50_000));
        }
        if shape.wrong == wrong {
            ops.push(throw("wrong in a hook"));
        }
        ops
    };
    if shape.before {
        script = script.before_reload(body("before", Wrong::Before));
    }
    if shape.after {
        script = script.after_reload(body("after", Wrong::After));
    }
    match shape.protect {
        _ if part.bare => script.checkpoint("none"),
        Protect::Auto => script,
        Protect::Own => script.checkpoint("own").rollback([set("hooks", state("was"))]),
    }
}

/// A version of a role.
pub(super) fn role(at: usize, shape: &RoleShape, tag: &str, range: Range) -> Script {
    let me = role_name(at);
    let depends: Vec<graceful_core::Value> =
        shape.depends.iter().map(|role| role_name(*role).into()).collect();
    let body = |what: &str, wrong: RoleWrong, does: Vec<Op>| {
        let mut ops = vec![told(["role".into(), what.into(), me.as_str().into(), tag.into()])];
        ops.extend(does);
        ops.push(if shape.wrong == wrong { throw("wrong in a role") } else { ret(true) });
        ops
    };
    // Who ever began: nobody writes over what a version wrote whose reload failed.
    let mut begins = vec![set("on", true), set(tag, true)];
    if range.tasks {
        begins.push(spawn_loop([inc("ticks"), sleep(850)]));
    }
    let script = Script::new(&me)
        .comment(tag)
        .value("dependencies", depends)
        .function("validate_config", body("validate", RoleWrong::Validate, Vec::new()))
        .function("init", body("init", RoleWrong::Init, begins))
        .function("apply_config", body("apply", RoleWrong::Apply, vec![set("conf", arg(0, "n"))]))
        .function("stop", body("stop", RoleWrong::Stop, vec![set("on", false)]))
        .function("look", [ret(list([tag.into(), state("on"), state("conf")]))]);
    if shape.wrong == RoleWrong::Syntax { script.broken() } else { script }
}
