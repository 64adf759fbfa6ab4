//! Tables in scripts: entries as properties, and what changes them in one step.

use rhai::{Array, Dynamic, Engine, FnPtr, ImmutableString, Map, Module, NativeCallContext};

use crate::bind::{Going, bind};
use crate::bulk::is_too_deep;
use crate::cell::Entries;
use crate::error::too_deep;
use crate::failure::{Thrown, thrown};
use crate::table::{Table, table_of};
use crate::unit::here;

/// `graceful::table()`: a table to be shared, where a map would be copied.
pub(crate) fn functions(module: &mut Module) {
    module.set_native_fn("table", || Ok(Table::of(Entries::new())));
    module.set_native_fn("table", |cx: NativeCallContext, map: Map| {
        let table = Table::of(Entries::new());
        map.into_iter().try_for_each(|(key, value)| kept(&cx, value).map(|value| table.set(key, value)))?;
        Ok(table)
    });
}

/// What a table can do.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Table>("Table");
    engine.register_indexer_get(|cx: NativeCallContext, table: &mut Table, key: ImmutableString| {
        table.read(&key, updates(&cx))
    });
    engine.register_indexer_set(
        |cx: NativeCallContext, table: &mut Table, key: ImmutableString, value: Dynamic| {
            set(&cx, table, key, value)
        },
    );
    engine.register_fn("get", |table: Table, key: ImmutableString| table.get(&key));
    engine.register_fn("get", |table: Table, key: ImmutableString, otherwise: Dynamic| {
        let found = table.get(&key);
        if found.is_unit() { otherwise } else { found }
    });
    engine.register_fn("set", |cx: NativeCallContext, table: Table, key: ImmutableString, value: Dynamic| {
        set(&cx, &table, key, value)
    });
    engine.register_fn("remove", |table: Table, key: ImmutableString| {
        let found = table.get(&key);
        table.set(key, Dynamic::UNIT);
        found
    });
    engine.register_fn("clear", |table: Table| table.clear());
    engine.register_fn("contains", |table: Table, key: ImmutableString| !table.get(&key).is_unit());
    engine.register_fn("keys", |table: Table| -> Array {
        table.entries().into_keys().map(Dynamic::from).collect()
    });
    engine.register_fn("values", |table: Table| -> Array { table.entries().into_values().collect() });
    engine.register_fn("len", |table: Table| table.entries().len() as i64);
    engine.register_fn("is_empty", |table: Table| table.entries().is_empty());
    engine.register_fn("to_map", |table: Table| -> Map {
        table.entries().into_iter().map(|(key, value)| (key.as_str().into(), value)).collect()
    });
    engine.register_fn("==", |one: Table, other: Table| one.is(&other));
    engine.register_fn("!=", |one: Table, other: Table| !one.is(&other));
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |table: &mut Table| format!("{table:?}"));
    }
    engine.register_fn("update", update);
    engine.register_fn("add", add);
    engine.register_fn("push", push);
}

/// `table.update(key, |value| ...)`: in one step, and once more if somebody else wrote meanwhile.
fn update(cx: NativeCallContext, table: Table, key: ImmutableString, change: FnPtr) -> Thrown<Dynamic> {
    table.update(key, |now| kept(&cx, change.call_raw(&cx, None, [now])?.flatten()))
}

/// `table.add(key, number)`: what is missing counts as nothing.
fn add(table: Table, key: ImmutableString, number: i64) -> Thrown<Dynamic> {
    let name = key.clone();
    table.update(key, |now| {
        let now = if now.is_unit() { Ok(0) } else { now.as_int() };
        let now = now.map_err(|kind| thrown(format!("`{name}` is no whole number but a {kind}")))?;
        let sum = now.checked_add(number).ok_or_else(|| thrown(format!("`{name}` would get too big")))?;
        Ok(sum.into())
    })
}

/// `table.push(key, value)`: at the end of a list, which is made if it is missing.
fn push(cx: NativeCallContext, table: Table, key: ImmutableString, value: Dynamic) -> Thrown<()> {
    let (name, value) = (key.clone(), kept(&cx, value)?);
    let pushed = table.update(key, |now| {
        let mut list = if now.is_unit() { Ok(Array::new()) } else { now.into_array() };
        let list = list.as_mut().map_err(|kind| thrown(format!("`{name}` is no list but a {kind}")))?;
        list.push(value.clone());
        Ok(std::mem::take(list).into())
    });
    pushed.map(drop)
}

pub(crate) fn set(cx: &NativeCallContext, table: &Table, key: ImmutableString, value: Dynamic) -> Thrown<()> {
    // A chain such as `state.users.bob = 1` writes the table at `users` back, which is there already.
    if table_of(&value).is_some_and(|value| table_of(&table.get(&key)).is_some_and(|now| now.is(&value))) {
        return Ok(());
    }
    table.set(key, kept(cx, value)?);
    Ok(())
}

/// What is put into a table takes its module along.
///
/// # Errors
/// It is nested too deep to be copied wherever that may be.
pub(crate) fn kept(cx: &NativeCallContext, mut value: Dynamic) -> Thrown<Dynamic> {
    if is_too_deep(&value) {
        return Err(thrown(too_deep()));
    }
    if let Ok(unit) = here(cx) {
        bind(&mut value, &unit, Going::Kept);
    }
    Ok(value)
}

/// Whether the statement that reads here writes back what it read.
pub(crate) fn updates(cx: &NativeCallContext) -> bool {
    let at = cx.call_position();
    let place = at.line().zip(at.position());
    place.is_some_and(|place| here(cx).is_ok_and(|unit| unit.program.updates.contains(&place)))
}
