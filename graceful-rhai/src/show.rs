//! A value as a line of text for people.

use std::fmt::Write;

use rhai::{Dynamic, ImmutableString};

use crate::table::table_of;

/// How deep lists and maps are shown, and how much of each.
const DEPTH: usize = 4;
const ENTRIES: usize = 50;

/// What a value of its own type says of itself.
type Says<'a> = &'a mut dyn FnMut(&Dynamic) -> Option<String>;

/// `value` as it could be typed, as far as it is plain.
pub(crate) fn value(value: &Dynamic, says: Says<'_>) -> String {
    let mut text = String::new();
    put(&mut text, value, DEPTH, says);
    text
}

fn put(text: &mut String, value: &Dynamic, depth: usize, says: Says<'_>) {
    if let Ok(said) = value.as_immutable_string_ref() {
        let _ = write!(text, "{:?}", said.as_str());
    } else if let Ok(items) = value.as_array_ref() {
        between(text, ("[", "]"), depth, items.iter(), |text, item| put(text, item, depth - 1, says));
    } else if let Ok(entries) = value.as_map_ref() {
        between(text, ("#{", "}"), depth, entries.iter(), |text, (key, value)| {
            let _ = write!(text, "{key}: ");
            put(text, value, depth - 1, says);
        });
    } else if let Some(table) = table_of(value) {
        let entries: Vec<(ImmutableString, Dynamic)> = table.entries().into_iter().collect();
        between(text, ("#{", "}"), depth, entries.iter(), |text, (key, value)| {
            let _ = write!(text, "{key}: ");
            put(text, value, depth - 1, says);
        });
    } else if value.is_unit() {
        text.push_str("()");
    } else if value.is_fnptr() {
        text.push_str("a function");
    } else {
        text.push_str(&says(value).unwrap_or_else(|| value.to_string()));
    }
}

fn between<T>(
    text: &mut String,
    (open, close): (&str, &str),
    depth: usize,
    parts: impl ExactSizeIterator<Item = T>,
    mut put: impl FnMut(&mut String, T),
) {
    text.push_str(open);
    let more = parts.len() > ENTRIES || (depth == 0 && parts.len() > 0);
    for (at, part) in parts.enumerate().take(if depth == 0 { 0 } else { ENTRIES }) {
        text.push_str(if at > 0 { ", " } else { "" });
        put(text, part);
    }
    text.push_str(if more { if depth == 0 { "..." } else { ", ..." } } else { "" });
    text.push_str(close);
}
