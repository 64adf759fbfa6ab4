//! Typed reading of a TOML document: every complaint has its line and column, unknown keys a suggestion.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use graceful_core::{RoleError, Value};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::measure::{parse_duration, parse_size};
use super::nearest::nearest;

/// A manifest that cannot be used: where and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ManifestError {
    /// The manifest's path.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column, from 1.
    pub column: u32,
    /// What is wrong.
    pub message: String,
    /// The text of that line.
    pub source_line: String,
}

/// A text and the name it is complained about under.
#[derive(Clone, Copy)]
pub(super) struct Text<'a> {
    pub(super) file: &'a str,
    pub(super) text: &'a str,
}

impl Text<'_> {
    pub(super) fn error(&self, at: Range<usize>, message: impl Into<String>) -> ManifestError {
        let start = at.start.min(self.text.len());
        let before = &self.text[..start];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ManifestError {
            file: self.file.to_owned(),
            line: before.matches('\n').count() as u32 + 1,
            column: self.text[line_start..start].chars().count() as u32 + 1,
            message: message.into(),
            source_line: self.text[line_start..].lines().next().unwrap_or_default().to_owned(),
        }
    }
}

/// One table that is being read: keys are taken out of it, [`Fields::finish`] complains about the rest.
pub(super) struct Fields<'a> {
    text: Text<'a>,
    /// Where the table itself stands.
    at: Range<usize>,
    path: String,
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(text: Text<'a>, table: &'a DeTable<'a>) -> Self {
        Self { text, at: 0..0, path: String::new(), table, known: Vec::new() }
    }

    fn take(&mut self, key: &'static str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.known.push(key);
        self.table.get(key)
    }

    fn inner(&self, key: &str, value: &Spanned<DeValue<'_>>, table: &'a DeTable<'a>) -> Fields<'a> {
        Fields { text: self.text, at: value.span(), path: self.dotted(key), table, known: Vec::new() }
    }

    fn dotted(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn wrong(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> ManifestError {
        let got = value.get_ref().type_str();
        self.text
            .error(value.span(), format!("`{}` must be {expected}, not {}", self.dotted(key), article(got)))
    }

    fn bad(&self, key: &str, value: &Spanned<DeValue<'_>>, reason: impl std::fmt::Display) -> ManifestError {
        self.text.error(value.span(), format!("`{}`: {reason}", self.dotted(key)))
    }

    pub(super) fn string(&mut self, key: &'static str) -> Result<Option<String>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong(key, value, "a string"))?;
        if text.is_empty() {
            return Err(self.bad(key, value, "must not be empty"));
        }
        Ok(Some(text.to_owned()))
    }

    /// A list of strings, or one string that stands for a list of one.
    pub(super) fn strings(&mut self, key: &'static str) -> Result<Option<Vec<String>>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        if let Some(text) = value.get_ref().as_str() {
            return Ok(Some(vec![text.to_owned()]));
        }
        let list = value
            .get_ref()
            .as_array()
            .ok_or_else(|| self.wrong(key, value, "a string or a list of strings"))?;
        let texts = list.iter().map(|item| {
            let text = item.get_ref().as_str().ok_or_else(|| self.wrong(key, item, "a list of strings"))?;
            Ok(text.to_owned())
        });
        texts.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// A list of strings, each one of `known`.
    pub(super) fn words(
        &mut self,
        key: &'static str,
        known: &[&str],
    ) -> Result<Option<Vec<String>>, ManifestError> {
        let Some(words) = self.strings(key)? else { return Ok(None) };
        let Some(at) = words.iter().position(|word| !known.contains(&word.as_str())) else {
            return Ok(Some(words));
        };
        let value = &self.table[key];
        let item = value.get_ref().as_array().and_then(|list| list.get(at)).unwrap_or(value);
        let hint = match nearest(&words[at], known) {
            Some(near) => format!(", did you mean `{near}`?"),
            None => format!("; there are: {}", known.join(", ")),
        };
        Err(self.bad(key, item, format!("there is no `{}`{hint}", words[at])))
    }

    /// `"127.0.0.1:8080"`: where to listen.
    pub(super) fn address(&mut self, key: &'static str) -> Result<Option<String>, ManifestError> {
        let Some(address) = self.string(key)? else { return Ok(None) };
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty() && balanced(host));
        if port.is_some_and(|(_, port)| port.parse::<u16>().is_ok()) {
            return Ok(Some(address));
        }
        let reason = match port {
            None => format!("`{address}` has no port: write a host and a port, such as \"127.0.0.1:8080\""),
            Some((_, port)) => format!("`{port}` is no port: expected a number up to 65535"),
        };
        Err(self.bad(key, &self.table[key], reason))
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        value.get_ref().as_bool().map(Some).ok_or_else(|| self.wrong(key, value, "true or false"))
    }

    /// One of `words`.
    pub(super) fn word(
        &mut self,
        key: &'static str,
        words: &[&str],
    ) -> Result<Option<String>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let expected = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" or ");
        let text = value.get_ref().as_str().ok_or_else(|| self.wrong(key, value, &expected))?;
        if words.contains(&text) {
            Ok(Some(text.to_owned()))
        } else {
            Err(self.bad(key, value, format!("expected {expected}")))
        }
    }

    /// `"250ms"`, `"5s"`, `"1m"`, or a number of seconds.
    pub(super) fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(n) => format!("{n}s"),
            DeValue::Float(n) => format!("{n}s"),
            _ => return Err(self.wrong(key, value, "a duration such as \"250ms\" or \"5s\"")),
        };
        parse_duration(&text).map(Some).map_err(|reason| self.bad(key, value, reason))
    }

    /// `"64MiB"`, `"512k"`, or a number of bytes.
    pub(super) fn size(&mut self, key: &'static str) -> Result<Option<usize>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(n) => n.to_string(),
            _ => return Err(self.wrong(key, value, "a size such as \"64MiB\"")),
        };
        parse_size(&text).map(Some).map_err(|reason| self.bad(key, value, reason))
    }

    /// A size that is no smaller than `least`, which is `why`.
    pub(super) fn size_from(
        &mut self,
        key: &'static str,
        least: usize,
        why: &str,
    ) -> Result<Option<usize>, ManifestError> {
        match self.size(key)? {
            Some(bytes) if bytes < least => {
                Err(self.bad(key, &self.table[key], format!("{bytes} bytes are too few: {why}")))
            }
            size => Ok(size),
        }
    }

    pub(super) fn table(&mut self, key: &'static str) -> Result<Option<Fields<'a>>, ManifestError> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let table = value.get_ref().as_table().ok_or_else(|| self.wrong(key, value, "a table"))?;
        Ok(Some(self.inner(key, value, table)))
    }

    fn plain(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, ManifestError> {
        Ok(match value.get_ref() {
            DeValue::String(text) => Value::Str(text.to_string()),
            DeValue::Boolean(truth) => Value::Bool(*truth),
            DeValue::Datetime(moment) => Value::Str(moment.to_string()),
            DeValue::Integer(n) => {
                let number = i64::from_str_radix(n.as_str(), n.radix());
                Value::Int(number.map_err(|_| self.bad(key, value, "the number is too large"))?)
            }
            DeValue::Float(n) => {
                Value::Float(n.as_str().parse().map_err(|_| self.bad(key, value, "not a number"))?)
            }
            DeValue::Array(items) => {
                Value::List(items.iter().map(|item| self.plain(key, item)).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let entries =
                    table.iter().map(|(k, v)| Ok((k.get_ref().to_string(), self.plain(k.get_ref(), v)?)));
                Value::Map(entries.collect::<Result<_, _>>()?)
            }
        })
    }

    /// The complaint about what a configuration cannot hold.
    pub(super) fn unfit(&self, error: &RoleError) -> ManifestError {
        let path = match error {
            RoleError::Unfit { path, .. } => path.as_str(),
            _ => "",
        };
        self.text.error(self.span(path), error.to_string())
    }

    /// Where the value of a path stands, or what is around it.
    fn span(&self, path: &str) -> Range<usize> {
        let mut keys = path.split('.');
        let found = keys.next().and_then(|key| self.table.get(key));
        let Some(mut value) = found else { return self.at.clone() };
        for key in keys {
            let inner = match value.get_ref() {
                DeValue::Table(table) => table.get(key),
                DeValue::Array(items) => key.parse().ok().and_then(|index: usize| items.get(index)),
                _ => None,
            };
            let Some(inner) = inner else { break };
            value = inner;
        }
        value.span()
    }

    /// The complaint that `key` is needed and not there.
    pub(super) fn missing(&self, key: &str, example: &str) -> ManifestError {
        let key = self.dotted(key);
        self.text.error(self.at.clone(), format!("`{key}` is missing: say, for example, `{example}`"))
    }

    /// The whole table, whose keys are the app's own.
    pub(super) fn everything(&self) -> Result<BTreeMap<String, Value>, ManifestError> {
        let entries = self.table.iter();
        entries.map(|(k, v)| Ok((k.get_ref().to_string(), self.plain(k.get_ref(), v)?))).collect()
    }

    /// Complains about the first key that nobody took.
    pub(super) fn finish(self) -> Result<(), ManifestError> {
        let unknown = self.table.keys().filter(|key| !self.known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let hint = match nearest(key.get_ref(), &self.known) {
            Some(known) => format!(", did you mean `{}`?", self.dotted(known)),
            None => format!("; known here: {}", self.known.join(", ")),
        };
        Err(self.text.error(key.span(), format!("unknown key `{}`{hint}", self.dotted(key.get_ref()))))
    }
}

/// A host with colons in it stands in brackets, or its last part is taken for a port.
fn balanced(host: &str) -> bool {
    !host.contains(':') || (host.starts_with('[') && host.ends_with(']'))
}

fn article(kind: &str) -> String {
    let article = if kind.starts_with(['a', 'i', 'o', 'u', 'e']) { "an" } else { "a" };
    format!("{article} {kind}")
}
