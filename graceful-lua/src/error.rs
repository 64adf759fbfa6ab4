//! Lua's errors as `ScriptError`: message, place and traceback as fields, in the same words for every dialect.

use std::sync::Arc;

use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, Place, ScriptError, Source};
use mlua::Error;

use self::thrown::Thrown;

mod column;
mod thrown;
mod wording;

pub(crate) use self::thrown::{guard, thrown};

/// What `error` says, with its places looked up by `lookup`: given a file as a message shows it (see
/// [`shows`]), the source that is meant.
///
/// A [`ScriptError`] that native code threw (`Error::external`) keeps its kind and message and only gets the
/// place it was thrown from, if it has none.
pub(crate) fn script_error(error: &Error, lookup: impl Fn(&str) -> Option<Arc<Source>>) -> ScriptError {
    let Parts { mut found, tracebacks } = Parts::of(error);
    let frames = tracebacks.iter().flat_map(|text| wording::frames(text));
    let known = frames.filter_map(|frame| place_in(&frame).map(|(file, line, _)| (file.to_owned(), line)));
    let known: Vec<_> = known.collect();
    let mut source = None;
    while let Some((file, line, rest)) = place_in(&found.message) {
        let looked_up = lookup(file);
        let framed = known.iter().any(|(known, _)| known == file);
        if looked_up.is_none() && !framed && found.kind != ScriptErrorKind::Syntax {
            break;
        }
        found.place = Some(place(file, line, looked_up.as_deref()));
        source = looked_up;
        found.message = rest.to_owned();
    }
    if found.place.is_none() && !matches!(found.kind, ScriptErrorKind::Syntax | ScriptErrorKind::Memory) {
        let first = known.iter().find_map(|(file, line)| Some((lookup(file)?, *line)));
        found.place = first.as_ref().map(|(source, line)| place("", *line, Some(source)));
        source = first.map(|(source, _)| source);
    }
    found.message = wording::message(&found.message);
    found.traceback = found.traceback.or_else(|| wording::traceback(&tracebacks));
    let Some(source) = source else { return found };
    if found.kind == ScriptErrorKind::Syntax
        && let Some(place) = &mut found.place
    {
        place.column =
            place.line.and_then(|line| column::of_syntax_error(&source.text, line, &found.message));
    }
    found.with_source(&source.text)
}

/// Whether a message that shows `file` may mean `origin`: Lua cuts long names off at the front.
pub(crate) fn shows(file: &str, origin: &str) -> bool {
    file == origin || file.strip_prefix("...").is_some_and(|end| origin.ends_with(end))
}

/// The call error that native code threw through the script, if that is what ended it.
pub(crate) fn call_error(error: &Error) -> Option<&CallError> {
    error.downcast_ref::<CallError>()
}

struct Parts {
    found: ScriptError,
    /// Innermost first.
    tracebacks: Vec<String>,
}

impl Parts {
    /// Unwraps what mlua wrapped around the cause.
    fn of(mut error: &Error) -> Self {
        let mut tracebacks = Vec::new();
        let mut said = Vec::new();
        loop {
            error = match error {
                Error::CallbackError { traceback, cause } => {
                    tracebacks.push(traceback.clone());
                    cause
                }
                Error::WithContext { context, cause } => {
                    said.push(context.clone());
                    cause
                }
                Error::BadArgument { to, pos, name, cause } => {
                    let name = name.as_ref().map_or_else(|| format!("#{pos}"), |name| format!("`{name}`"));
                    let to = to.as_ref().map_or_else(String::new, |to| format!(" to `{to}`"));
                    said.push(format!("bad argument {name}{to}"));
                    cause
                }
                _ => break,
            };
        }
        let (mut found, traceback) = Self::root(error);
        if !said.is_empty() {
            said.push(found.message);
            found.message = said.join(": ");
        }
        tracebacks.extend(traceback);
        tracebacks.reverse();
        Self { found, tracebacks }
    }

    fn root(error: &Error) -> (ScriptError, Option<String>) {
        let (kind, text) = match error {
            Error::RuntimeError(text) => (ScriptErrorKind::Runtime, text.as_str()),
            Error::SyntaxError { message, .. } => (ScriptErrorKind::Syntax, message.as_str()),
            Error::MemoryError(text) => (ScriptErrorKind::Memory, text.as_str()),
            Error::PreviouslyResumedPanic => (ScriptErrorKind::Panic, "native code panicked"),
            Error::FromLuaConversionError { from, to, message } => {
                let why = message.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                return (ScriptError::runtime(format!("expected {to}, got {from}{why}")), None);
            }
            Error::ExternalError(cause) => {
                if let Some(Thrown { message, .. }) = cause.downcast_ref() {
                    return (ScriptError::runtime(message), None);
                }
                if let Some(error) = cause.downcast_ref::<ScriptError>() {
                    return (error.clone(), None);
                }
                if let Some(CallError::Script(error)) = cause.downcast_ref() {
                    return (error.clone(), None);
                }
                return (ScriptError::runtime(cause.to_string()), None);
            }
            other => return (ScriptError::runtime(other.to_string()), None),
        };
        let (message, traceback) = match text.split_once("\nstack traceback:\n") {
            Some((message, traceback)) => (message, Some(traceback.to_owned())),
            None => (text, None),
        };
        // A memory error that a script caught and threw again has lost its kind.
        let kind = if message.ends_with("not enough memory") { ScriptErrorKind::Memory } else { kind };
        (ScriptError::new(kind, message), traceback)
    }
}

fn place(file: &str, line: u32, source: Option<&Source>) -> Place {
    let file = source.map_or_else(|| file.to_owned(), |source| source.origin.clone());
    Place { file, line: Some(line), column: None }
}

/// Splits `file:12: rest`.
fn place_in(text: &str) -> Option<(&str, u32, &str)> {
    let mut from = 0;
    while let Some(at) = text[from..].find(':') {
        let colon = from + at;
        let rest = &text[colon + 1..];
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if let (Ok(line), Some(message)) = (rest[..digits].parse(), rest[digits..].strip_prefix(": ")) {
            let file = &text[..colon];
            return (!file.is_empty() && !file.contains('\n')).then_some((file, line, message));
        }
        from = colon + 1;
    }
    None
}

#[cfg(test)]
mod tests;
