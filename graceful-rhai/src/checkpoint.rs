//! A copy of a state that brings back the very same: each table keeps its identity, each variable that
//! closures share.

use rhai::Dynamic;

use crate::cell::Entries;
use crate::reach::Reach;
use crate::table::Table;

/// What a state held.
pub(crate) struct Copied {
    tables: Vec<(Table, Entries)>,
    shared: Vec<(Dynamic, Dynamic)>,
    /// The types of values of the host's own in it: what changes in them changes for good.
    pub(crate) opaque: Vec<&'static str>,
}

/// Copies everything that can be reached.
pub(crate) fn copy(reach: Reach) -> Copied {
    let tables = reach.tables.into_values().map(|table| {
        let entries = table.cell().read(Entries::clone);
        (table, entries)
    });
    let shared = reach.shared.into_values().filter_map(|variable| {
        let held = variable.read_lock::<Dynamic>()?.clone();
        Some((variable, held))
    });
    let opaque = reach.opaque.into_iter().collect();
    Copied { tables: tables.collect(), shared: shared.collect(), opaque }
}

impl Copied {
    /// What one table held.
    pub(crate) fn of_one(table: &Table, entries: Entries) -> Self {
        Self { tables: vec![(table.clone(), entries)], shared: Vec::new(), opaque: Vec::new() }
    }

    /// Brings everything back.
    pub(crate) fn restore(&self) {
        for (table, entries) in &self.tables {
            let wrong = table.cell().write(|now| std::mem::replace(now, entries.clone()));
            drop(wrong);
        }
        for (variable, held) in &self.shared {
            let mut variable = variable.clone();
            let wrong =
                variable.write_lock::<Dynamic>().map(|mut now| std::mem::replace(&mut *now, held.clone()));
            drop(wrong);
        }
    }
}

#[cfg(test)]
mod tests {
    use rhai::Engine;

    use super::*;

    #[test]
    fn st_03_a_restored_state_is_the_same_with_nested_tables_aliases_and_cycles() {
        let state = Table::state();
        let nested = Table::of(Entries::new());
        nested.set("n", 1.into());
        nested.set("back", Dynamic::from(state.clone()));
        state.set("a", Dynamic::from(nested.clone()));
        state.set("alias", Dynamic::from(nested.clone()));
        state.set("list", vec![Dynamic::from(1_i64)].into());
        let copied = copy(Reach::of(&state));
        nested.set("n", 2.into());
        nested.set("new", 3.into());
        state.set("alias", Dynamic::UNIT);
        state.set("list", Dynamic::from_array(Vec::new()));
        copied.restore();
        assert_eq!(nested.get("n").as_int(), Ok(1));
        assert!(nested.get("new").is_unit());
        assert!(state.get("alias").cast::<Table>().is(&nested));
        assert_eq!(state.get("list").as_array_ref().unwrap().len(), 1);
        copied.restore();
        assert_eq!(state.get("list").as_array_ref().unwrap().len(), 1);
    }

    #[test]
    fn st_03_a_variable_that_closures_share_is_restored_in_its_place() {
        let closures: rhai::Array = Engine::new().eval("let n = 1; [|| n += 1, || n]").unwrap();
        let state = Table::state();
        state.set("closures", closures.clone().into());
        let mut variable = closures[1].clone_cast::<rhai::FnPtr>().curry()[0].clone();
        let copied = copy(Reach::of(&state));
        *variable.write_lock::<i64>().unwrap() = 9;
        copied.restore();
        assert_eq!(variable.as_int(), Ok(1));
    }
}
