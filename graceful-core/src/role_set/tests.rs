//! The sets of roles against an oracle that is slow and plain: every chain of three, and random graphs.

use std::collections::{BTreeMap, BTreeSet};

use super::{Enabled, RoleSet};
use crate::role::{RoleError, RoleInfo};
use crate::source::Name;
use crate::value::Value;

/// Roles by name, each with what it depends on, hidden ones and permanent ones.
#[derive(Default)]
struct Plain {
    below: BTreeMap<String, Vec<String>>,
    hidden: BTreeSet<String>,
    permanent: BTreeSet<String>,
}

impl Plain {
    fn info(&self, name: &Name) -> RoleInfo {
        let dependencies = self.below[name.as_str()].iter().map(|name| Name::from(name.as_str())).collect();
        let permanent = self.permanent.contains(name.as_str());
        RoleInfo {
            name: name.to_string(),
            module: name.clone(),
            dependencies,
            permanent,
            hidden: permanent || self.hidden.contains(name.as_str()),
            config_schema: None,
            callbacks: BTreeSet::new(),
        }
    }

    fn set(&self, names: &[&str]) -> RoleSet {
        let names: Vec<Name> = names.iter().map(|name| Name::from(*name)).collect();
        RoleSet::register(&names, |name| Ok(self.info(name))).unwrap()
    }

    fn reaches(&self, from: &str, to: &str) -> bool {
        self.below[from].iter().any(|next| next == to || self.reaches(next, to))
    }

    fn enabled(&self, wanted: &Enabled) -> BTreeSet<String> {
        let on = |name: &&String| {
            let is = |from: &String| from == *name || self.reaches(from, name);
            wanted.0.iter().any(is) || self.permanent.iter().any(is)
        };
        self.below.keys().filter(on).cloned().collect()
    }

    fn top(&self, wanted: &Enabled) -> BTreeSet<String> {
        let enabled = self.enabled(wanted);
        let shown = |name: &&String| !self.hidden.contains(*name) && !self.permanent.contains(*name);
        let top = |name: &&String| !enabled.iter().filter(shown).any(|from| self.reaches(from, name));
        enabled.iter().filter(shown).filter(top).cloned().collect()
    }
}

fn sorted(names: Vec<String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

#[test]
fn role_05_every_chain_of_three_has_one_top() {
    let letters = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];
    let mut chains = 0;
    for a in letters {
        for b in letters {
            for c in letters {
                if a == b || b == c || a == c {
                    continue;
                }
                chains += 1;
                let below = [(a, vec![b]), (b, vec![c]), (c, vec![])];
                let below = below
                    .map(|(name, below)| (name.to_owned(), below.into_iter().map(str::to_owned).collect()));
                let plain = Plain { below: below.into_iter().collect(), ..Plain::default() };
                let set = plain.set(&[a]);
                assert_eq!(set.get_all_roles(), [c, b, a]);
                let map = [a, b, c].map(|name| (name.to_owned(), Value::Bool(true)));
                let wanted = Enabled::from_value(&Value::Map(map.into_iter().collect())).unwrap();
                assert_eq!(set.get_enabled_roles_without_deps(&wanted).unwrap(), [a]);
                assert_eq!(set.get_enabled_roles(&wanted).unwrap(), [c, b, a]);
            }
        }
    }
    assert_eq!(chains, 1320);
}

/// A small generator of numbers, the same on every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

#[test]
fn role_04_and_05_random_graphs_are_what_the_oracle_says() {
    let mut dice = Dice(7);
    for _ in 0..20 {
        let mut plain = Plain::default();
        let names: Vec<String> = (0..200).map(|n| format!("r{n:03}")).collect();
        for (at, name) in names.iter().enumerate() {
            let count = if at == 0 { 0 } else { dice.roll(3) };
            let below = (0..count).map(|_| names[dice.roll(at)].clone()).collect();
            plain.below.insert(name.clone(), below);
            match dice.roll(12) {
                0 => drop(plain.hidden.insert(name.clone())),
                1 => drop(plain.permanent.insert(name.clone())),
                _ => {}
            }
        }
        let set = plain.set(&names.iter().map(String::as_str).collect::<Vec<_>>());
        for _ in 0..5 {
            let wanted: Enabled = (0..10).map(|_| names[dice.roll(200)].clone()).collect();
            let enabled = set.get_enabled_roles(&wanted).unwrap();
            let place = |name: &String| enabled.iter().position(|other| other == name);
            for name in &enabled {
                assert!(
                    plain.below[name].iter().all(|below| place(below) < place(name)),
                    "{name} comes too early"
                );
            }
            assert_eq!(sorted(enabled), plain.enabled(&wanted));
            assert_eq!(sorted(set.get_enabled_roles_without_deps(&wanted).unwrap()), plain.top(&wanted));
        }
    }
}

#[test]
fn role_04_what_is_enabled_is_a_list_or_a_map() {
    let list = Enabled::from_value(&["a", "b"].into()).unwrap();
    let map = [("a".to_owned(), true.into()), ("b".to_owned(), true.into()), ("c".to_owned(), false.into())];
    assert_eq!(Enabled::from_value(&Value::Map(map.into_iter().collect())).unwrap(), list);
    assert_eq!(Enabled::from_value(&Value::Null).unwrap(), Enabled::default());
    let error = Enabled::from_value(&[1i64].into()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the names of roles are a list of strings, or a map of names to booleans; got integer"
    );
}

#[test]
fn role_02_a_ring_is_told_with_its_path() {
    let below = [("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["b"])];
    let below = below.map(|(name, below)| (name.to_owned(), below.into_iter().map(str::to_owned).collect()));
    let plain = Plain { below: below.into_iter().collect(), ..Plain::default() };
    let ring = RoleSet::register(&["a".into()], |name| Ok(plain.info(name))).unwrap_err();
    let RoleError::Cycle { path } = ring else { panic!("{ring}") };
    assert_eq!(path.iter().map(Name::as_str).collect::<Vec<_>>(), ["b", "c", "b"]);
}

/// A chain of 20,000 is walked without the native stack.
#[test]
fn role_02_a_long_chain_is_registered() {
    let name = |n: usize| Name::from(format!("r{n}").as_str());
    let read = |module: &Name| {
        let at: usize = module.as_str()[1..].parse().unwrap();
        let dependencies = if at == 0 { Vec::new() } else { vec![name(at - 1)] };
        let (name, module) = (module.to_string(), module.clone());
        let (permanent, hidden, config_schema, callbacks) = Default::default();
        Ok(RoleInfo { name, module, dependencies, permanent, hidden, config_schema, callbacks })
    };
    let set = RoleSet::register(&[name(19_999)], read).unwrap();
    assert_eq!(set.all().len(), 20_000);
    assert_eq!(set.get_role_dependencies("r19999").unwrap().len(), 19_999);
}
