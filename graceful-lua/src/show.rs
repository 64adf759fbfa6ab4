//! A value as a line of text for people: in the console and in the log.

use std::fmt::Write;

use mlua::{Table, Value};

/// How deep tables are shown, and how many of their entries.
const DEPTH: usize = 4;
const ENTRIES: usize = 50;

/// `value` as it could be typed, as far as it is plain.
pub(crate) fn value(value: &Value) -> String {
    let mut text = String::new();
    put(&mut text, value, DEPTH);
    text
}

fn put(text: &mut String, value: &Value, depth: usize) {
    match value {
        Value::String(said) => drop(write!(text, "{:?}", said.to_string_lossy())),
        Value::Table(table) if !speaks(table) => put_table(text, table, depth),
        other => text.push_str(&other.to_string().unwrap_or_else(|_| other.type_name().to_owned())),
    }
}

/// Whether it has text of its own.
fn speaks(table: &Table) -> bool {
    table.metatable().is_some_and(|meta| meta.contains_key("__tostring").unwrap_or(false))
}

fn put_table(text: &mut String, table: &Table, depth: usize) {
    if depth == 0 {
        return text.push_str("{...}");
    }
    let mut entries: Vec<(bool, String, String)> = Vec::new();
    let length = table.raw_len() as i64;
    let mut more = false;
    for entry in table.pairs::<Value, Value>() {
        let Ok((key, value)) = entry else { continue };
        if entries.len() == ENTRIES {
            more = true;
            break;
        }
        let (mut said, mut name) = (String::new(), String::new());
        put(&mut said, &value, depth - 1);
        let listed = matches!(key, Value::Integer(key) if (1..=length).contains(&key));
        match &key {
            _ if listed => {}
            Value::String(key) if is_name(&key.to_string_lossy()) => name.push_str(&key.to_string_lossy()),
            key => {
                put(&mut name, key, 0);
                name = format!("[{name}]");
            }
        }
        entries.push((!listed, name, said));
    }
    // Lists keep their order.
    entries
        .sort_by(|a, b| if a.0 || b.0 { (a.0, &a.1).cmp(&(b.0, &b.1)) } else { std::cmp::Ordering::Equal });
    text.push('{');
    for (index, (named, name, said)) in entries.iter().enumerate() {
        let comma = if index == 0 { "" } else { ", " };
        let _ = if *named { write!(text, "{comma}{name} = {said}") } else { write!(text, "{comma}{said}") };
    }
    text.push_str(if more { ", ...}" } else { "}" });
}

fn is_name(text: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.starts_with(|c: char| part(c) && !c.is_ascii_digit()) && text.chars().all(part)
}
