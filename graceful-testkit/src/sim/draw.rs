//! A story drawn from a seed.

use super::story::*;
use crate::random::Random;

/// Draws the story of `seed`, of so many steps.
pub(super) fn draw(seed: u64, steps: usize) -> Story {
    let mut random = Random::new(seed);
    let random = &mut random;
    let mut parts = Vec::new();
    for at in 0..MODULES {
        let (other, keeps, bare) = (random.chance(1, 3), random.chance(1, 2), random.chance(1, 8));
        let shape = Shape { wrong: Wrong::Nothing, ..shape(at, 1, random) };
        parts.push(Part { other, keeps, bare, shape });
    }
    let roles: Vec<RoleShape> = match random.chance(1, 3) {
        true => {
            (0..ROLES).map(|at| RoleShape { depends: below(at, random), wrong: RoleWrong::Nothing }).collect()
        }
        false => Vec::new(),
    };
    let mut drawn = Story { seed, parts, roles, steps: Vec::new() };
    if !drawn.roles.is_empty() {
        drawn.steps.push(Step { act: Act::Cfg, then: 100 });
        drawn.steps.push(Step { act: Act::Apply(1, some_roles(random)), then: 100 });
    }
    while drawn.steps.len() < steps {
        let act = if !drawn.roles.is_empty() && random.chance(1, 3) { role_act(random) } else { act(random) };
        let most = if random.chance(1, 12) { 3_000 } else { 200 };
        let last = act == Act::Shutdown;
        drawn.steps.push(Step { act, then: random.below(most) as u64 });
        if last {
            break;
        }
    }
    drawn
}

fn act(random: &mut Random) -> Act {
    let at = random.below(MODULES);
    match random.below(100) {
        0..18 => Act::Call(at, Function::Slow),
        18..32 => Act::Call(at, Function::Hit),
        32..35 => Act::Call(at, Function::Deploy),
        35..38 => Act::Call(at, Function::Order),
        38..42 => Act::Call(at, Function::Spawn),
        42..44 => Act::Call(at, Function::Cancel),
        44..58 => {
            let form = 1 + random.below(3) as u64;
            Act::Write(at, shape(at, form, random))
        }
        58..63 => Act::Mend(at),
        63..66 => Act::Revert(at),
        66..69 => Act::Remove(at),
        69..71 => Act::Rename(at, random.below(MODULES)),
        71..74 => Act::Unregister(at),
        74..82 => Act::Reload(Hurry::Loud.how(random)),
        82..89 => Act::Reload(Hurry::Quiet.how(random)),
        89..94 => Act::Drop,
        94..98 => Act::Fault(*random.pick(&TROUBLES), 1 + random.below(3) as u64),
        98 => match random.chance(1, 2) {
            true => Act::Shutdown,
            false => Act::Nothing,
        },
        _ => Act::Nothing,
    }
}

const TROUBLES: [Trouble; 7] = [
    Trouble::Stage,
    Trouble::Checkpoint,
    Trouble::Init,
    Trouble::Before,
    Trouble::After,
    Trouble::Migration,
    Trouble::Pour,
];

fn role_act(random: &mut Random) -> Act {
    let at = random.below(ROLES);
    match random.below(20) {
        0..6 => {
            let wrong = match random.below(14) {
                0 => RoleWrong::Syntax,
                1 => RoleWrong::Validate,
                2 => RoleWrong::Init,
                3 => RoleWrong::Apply,
                4 => RoleWrong::Stop,
                _ => RoleWrong::Nothing,
            };
            Act::WriteRole(at, RoleShape { depends: below(at, random), wrong })
        }
        6 => Act::Cfg,
        7..11 => Act::Apply(random.below(1_000) as u64, some_roles(random)),
        11 => Act::Forbid,
        12..14 => Act::Allow,
        14..16 => Act::Reload(How { roles: true, ..Hurry::Loud.how(random) }),
        16..18 => Act::Reload(How { roles: true, told: false, force: false, ..Hurry::Quiet.how(random) }),
        _ => Act::Reload(Hurry::Quiet.how(random)),
    }
}

enum Hurry {
    Loud,
    Quiet,
}

impl Hurry {
    fn how(self, random: &mut Random) -> How {
        let quiet = matches!(self, Hurry::Quiet);
        How {
            quiet,
            force: random.chance(1, 6),
            cancel: random.chance(1, 3),
            forgive: random.chance(1, 4),
            check: random.chance(1, 12),
            told: quiet && random.chance(1, 3),
            roles: false,
            busy: random.below(3) as u8,
        }
    }
}

fn some_roles(random: &mut Random) -> Vec<usize> {
    (0..ROLES).filter(|_| random.chance(1, 2)).collect()
}

fn below(at: usize, random: &mut Random) -> Vec<usize> {
    (0..at).filter(|_| random.chance(1, 3)).collect()
}

fn shape(at: usize, form: u64, random: &mut Random) -> Shape {
    let requires = below(at, random);
    let wrong = match random.below(30) {
        0 => Wrong::Syntax,
        1 => Wrong::Top,
        2 => Wrong::After,
        3 => Wrong::Missing,
        4 => Wrong::Hangs,
        5 => Wrong::Before,
        6 => Wrong::Init,
        7 => Wrong::Clash,
        8 => Wrong::NoStep,
        9 => Wrong::Step,
        _ => Wrong::Nothing,
    };
    let protect = match random.below(8) {
        0 => Protect::Own,
        _ => Protect::Auto,
    };
    let hooks = random.chance(1, 2);
    // Its `rollback` goes back to what its `before_reload` has noted.
    let before = protect == Protect::Own || (hooks && random.chance(3, 4));
    let after = hooks && random.chance(3, 4);
    let slow = if random.chance(1, 6) { 3_000 } else { 50 };
    let form = if random.chance(1, 2) { 1 } else { form };
    Shape { requires, before, after, protect, drain: random.chance(1, 10), form, slow, wrong }
}
