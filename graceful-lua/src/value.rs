//! Plain values in and out of Lua, with a limit on depth and size and an error for what is not plain.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::os::raw::c_void;

use graceful_core::Value;
use mlua::Lua;

/// How deep lists and maps may lie in each other.
const DEPTH: usize = 128;

/// How large a value may be, texts and all, in bytes. Tables that share parts count them each time.
const SIZE: usize = 64 << 20;

/// What every single value costs beside its text.
const NODE: usize = 32;

/// `value` in Lua. Nothing is `nil`, except inside a list: there it is mlua's `NULL`, so that the list keeps
/// its length. [`from_lua`] reads both as nothing.
///
/// # Errors
/// It lies too deep, holds a whole number this Lua cannot hold, or the VM is out of memory.
pub(crate) fn to_lua(lua: &Lua, value: &Value) -> mlua::Result<mlua::Value> {
    push(lua, value, DEPTH)
}

fn push(lua: &Lua, value: &Value, depth: usize) -> mlua::Result<mlua::Value> {
    Ok(match value {
        Value::Null => mlua::Value::Nil,
        Value::Bool(truth) => mlua::Value::Boolean(*truth),
        Value::Int(number) => whole(*number)?,
        Value::Float(number) => mlua::Value::Number(*number),
        Value::Str(text) => mlua::Value::String(lua.create_string(text)?),
        Value::Bytes(bytes) => mlua::Value::String(lua.create_string(bytes)?),
        Value::List(_) | Value::Map(_) if depth == 0 => {
            return Err(mlua::Error::runtime(format!("a value lies deeper than {DEPTH} tables")));
        }
        Value::List(list) => {
            let table = lua.create_table_with_capacity(list.len(), 0)?;
            for (index, item) in list.iter().enumerate() {
                match push(lua, item, depth - 1)? {
                    mlua::Value::Nil => table.raw_set(index + 1, mlua::Value::NULL)?,
                    item => table.raw_set(index + 1, item)?,
                }
            }
            mlua::Value::Table(table)
        }
        Value::Map(map) => {
            let table = lua.create_table_with_capacity(0, map.len())?;
            for (key, item) in map {
                table.raw_set(key.as_str(), push(lua, item, depth - 1)?)?;
            }
            mlua::Value::Table(table)
        }
    })
}

#[cfg(feature = "lua54")]
fn whole(number: i64) -> mlua::Result<mlua::Value> {
    Ok(mlua::Value::Integer(number))
}

/// All numbers are floats here, so a large one would silently become another.
#[cfg(not(feature = "lua54"))]
fn whole(number: i64) -> mlua::Result<mlua::Value> {
    if number.unsigned_abs() > 1 << 53 {
        return Err(mlua::Error::runtime(format!(
            "{number} is a whole number that this Lua cannot hold exactly"
        )));
    }
    Ok(mlua::Value::Integer(number))
}

/// `value` as plain data. An empty table is an empty list.
///
/// # Errors
/// What is not plain and where it lies: "`user.save` is a function".
pub(crate) fn from_lua(value: &mlua::Value) -> Result<Value, String> {
    Reading::default().read(value)
}

#[derive(Default)]
struct Reading {
    path: Vec<Step>,
    above: Vec<*const c_void>,
    size: usize,
}

enum Step {
    Key(String),
    Index(i64),
}

impl Reading {
    fn read(&mut self, value: &mlua::Value) -> Result<Value, String> {
        self.weigh(NODE)?;
        Ok(match value {
            mlua::Value::Nil => Value::Null,
            mlua::Value::LightUserData(pointer) if pointer.0.is_null() => Value::Null,
            mlua::Value::Boolean(truth) => Value::Bool(*truth),
            mlua::Value::Integer(number) => Value::Int(*number),
            mlua::Value::Number(number) => Value::Float(*number),
            mlua::Value::String(text) => {
                let bytes = text.as_bytes();
                self.weigh(bytes.len())?;
                match std::str::from_utf8(&bytes) {
                    Ok(text) => Value::Str(text.to_owned()),
                    Err(_) => Value::Bytes(bytes.to_vec()),
                }
            }
            mlua::Value::Table(table) => return self.table(table),
            mlua::Value::Error(_) => return self.fail("is an error"),
            other => return self.fail(format_args!("is a {}", other.type_name())),
        })
    }

    fn table(&mut self, table: &mlua::Table) -> Result<Value, String> {
        let pointer = table.to_pointer();
        if self.above.contains(&pointer) {
            return self.fail("contains itself");
        }
        if self.above.len() == DEPTH {
            return self.fail(format_args!("lies deeper than {DEPTH} tables"));
        }
        self.above.push(pointer);
        let read = self.entries(table);
        self.above.pop();
        read
    }

    fn entries(&mut self, table: &mlua::Table) -> Result<Value, String> {
        let mut list = Vec::new();
        let mut map = BTreeMap::new();
        for entry in table.pairs::<mlua::Value, mlua::Value>() {
            let (key, value) = entry.map_err(|error| error.to_string())?;
            match key {
                mlua::Value::Integer(index) => {
                    list.push((index, self.below(Step::Index(index), &value)?));
                }
                mlua::Value::String(key) => {
                    let Ok(key) = key.to_str().map(|key| key.to_owned()) else {
                        return self.fail(format_args!("has the key {key:?}, which is not UTF-8"));
                    };
                    self.weigh(key.len())?;
                    let value = self.below(Step::Key(key.clone()), &value)?;
                    map.insert(key, value);
                }
                mlua::Value::Number(key) => return self.fail(format_args!("has the key {key}")),
                other => return self.fail(format_args!("has a key that is a {}", other.type_name())),
            }
        }
        match (list.first(), map.first_key_value()) {
            (Some((index, _)), Some((key, _))) => {
                self.fail(format_args!("has both the key {index}, like a list, and `{key}`, like a map"))
            }
            (_, Some(_)) => Ok(Value::Map(map)),
            _ => self.list(list),
        }
    }

    fn list(&self, mut entries: Vec<(i64, Value)>) -> Result<Value, String> {
        entries.sort_by_key(|(index, _)| *index);
        let hole = (1..).zip(&entries).find(|(wanted, (index, _))| wanted != index);
        match hole {
            Some((wanted, (index, _))) => self.fail(format_args!("has the key {index} but not {wanted}")),
            None => Ok(Value::List(entries.into_iter().map(|(_, value)| value).collect())),
        }
    }

    fn below(&mut self, step: Step, value: &mlua::Value) -> Result<Value, String> {
        self.path.push(step);
        let read = self.read(value);
        self.path.pop();
        read
    }

    fn weigh(&mut self, bytes: usize) -> Result<(), String> {
        self.size = self.size.saturating_add(bytes);
        if self.size > SIZE { Err(format!("the value is larger than {} MiB", SIZE >> 20)) } else { Ok(()) }
    }

    fn fail(&self, what: impl std::fmt::Display) -> Result<Value, String> {
        let mut at = String::new();
        for step in &self.path {
            let _ = match step {
                Step::Key(key) if at.is_empty() => write!(at, "{key}"),
                Step::Key(key) => write!(at, ".{key}"),
                Step::Index(index) => write!(at, "[{index}]"),
            };
        }
        Err(if at.is_empty() { format!("the value {what}") } else { format!("`{at}` {what}") })
    }
}

#[cfg(test)]
mod tests;
