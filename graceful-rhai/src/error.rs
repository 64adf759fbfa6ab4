//! Rhai's errors as fields: message, place and traceback, and what stopped the code if it did not fail by
//! itself.

use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, HookError, Place, ScriptError, Source};
use rhai::{Dynamic, EvalAltResult, ParseError, Position};

use crate::bulk;
use crate::failure::Failure;
use crate::watch::Stop;

/// Where an error of a module was raised: its file, and the source of any file that a message may name.
pub(crate) trait Files {
    /// The file of the code that was entered.
    fn entered(&self) -> &str;

    /// The source that is shown as `origin`.
    fn source(&self, origin: &str) -> Option<std::sync::Arc<Source>>;
}

/// What functions say their source is that stand before the methods of objects.
pub(crate) const STUBS: &str = "class__stubs";

/// A place in `file`.
pub(crate) fn place(file: &str, at: Position) -> Place {
    Place {
        file: file.to_owned(),
        line: at.line().map(|n| n as u32),
        column: at.position().map(|n| n as u32),
    }
}

/// A text that does not parse.
pub(crate) fn syntax(wrong: &ParseError, source: &Source) -> ScriptError {
    let message = lower(wrong.err_type().to_string());
    let at = place(&source.origin, wrong.position());
    ScriptError::new(ScriptErrorKind::Syntax, message).at(at).with_source(&source.text)
}

/// What a call failed with. Boxed as Rhai gives it.
#[allow(clippy::boxed_local)]
pub(crate) fn call_error(error: Box<EvalAltResult>, module: &str, files: &dyn Files) -> CallError {
    let Unwound { cause, place, frames } = unwind(*error, files.entered());
    match cause {
        EvalAltResult::ErrorTerminated(token, _) => match token.try_cast::<Stop>() {
            Some(Stop::Late(budget)) => late(budget, place).into(),
            Some(stop @ (Stop::Nested | Stop::Bulky(_) | Stop::Overlooked)) => {
                finish(ScriptError::new(ScriptErrorKind::Memory, grown(stop)), place, &frames, files).into()
            }
            _ => CallError::Cancelled { module: module.to_owned() },
        },
        EvalAltResult::ErrorRuntime(thrown, _) if thrown.is::<Failure>() => {
            let error = thrown.cast::<Failure>().into_call();
            let CallError::Script(error) = error else { return error };
            finish(error, place, &frames, files).into()
        }
        cause => finish(ScriptError::new(kind(&cause), message(cause)), place, &frames, files).into(),
    }
}

/// What a top level or anything else that is not called from outside failed with.
pub(crate) fn script_error(error: Box<EvalAltResult>, module: &str, files: &dyn Files) -> ScriptError {
    match call_error(error, module, files) {
        CallError::Script(error) => error,
        other => ScriptError::runtime(other.to_string()),
    }
}

/// What a hook failed with.
pub(crate) fn hook_error(error: Box<EvalAltResult>, module: &str, files: &dyn Files) -> HookError {
    script_error(error, module, files).into()
}

/// Code that was stopped for what it made.
fn grown(stop: Stop) -> String {
    match stop {
        Stop::Bulky(most) => format!("what it holds takes more than {most} bytes"),
        Stop::Overlooked => {
            "it changes `this` in a loop for so long that nobody knows how deep it is nested: \
                             read a variable in the loop"
                .to_owned()
        }
        _ => too_deep(),
    }
}

/// What a value that is nested too deep is refused with.
pub(crate) fn too_deep() -> String {
    format!("a value is nested deeper than {}", bulk::DEEPEST)
}

/// Code that was stopped at its deadline.
fn late(budget: std::time::Duration, at: Place) -> ScriptError {
    ScriptError::new(ScriptErrorKind::Timeout, format!("ran longer than {budget:?}")).at(at)
}

struct Unwound {
    cause: EvalAltResult,
    place: Place,
    /// Innermost first: each function, and the place in it.
    frames: Vec<String>,
}

/// Goes inwards through the calls that an error came out of.
fn unwind(mut error: EvalAltResult, entered: &str) -> Unwound {
    let mut file = entered.to_owned();
    let mut function = None;
    let mut frames = Vec::new();
    let mut stub = None;
    let mut caller = None;
    loop {
        let at = stub.take().unwrap_or_else(|| place(&file, error.position()));
        let within =
            |name: &Option<String>| name.as_ref().map_or(format!("{at}"), |name| format!("{at} in {name}"));
        match error {
            // What stands between a call of a method and the method is nobody's code.
            EvalAltResult::ErrorInFunctionCall(_, source, inner, _) if source == STUBS => {
                stub = Some(at);
                error = *inner;
            }
            EvalAltResult::ErrorInFunctionCall(name, source, inner, _) => {
                if at.line.is_some() {
                    frames.push(within(&function));
                }
                let closure = name.starts_with("anon$");
                function = Some(if closure { "a closure".to_owned() } else { format!("`{name}`") });
                caller = Some(at).filter(|at| at.line.is_some());
                if !source.is_empty() {
                    file = source;
                }
                error = *inner;
            }
            EvalAltResult::ErrorInModule(_, inner, _) => error = *inner,
            mut cause => {
                if function.is_some() {
                    frames.push(within(&function));
                }
                frames.reverse();
                cause.clear_position();
                let is_callers =
                    |thrown: &Dynamic| matches!(&*thrown.read_lock().unwrap(), Failure::Argument(_));
                let blamed = matches!(&cause, EvalAltResult::ErrorRuntime(thrown, _) if thrown.is::<Failure>() && is_callers(thrown));
                let place = caller.filter(|_| blamed).unwrap_or(at);
                return Unwound { cause, place, frames };
            }
        }
    }
}

fn finish(mut error: ScriptError, at: Place, frames: &[String], files: &dyn Files) -> ScriptError {
    if error.place.is_none() {
        error.place = Some(at);
    }
    if error.traceback.is_none() && frames.len() > 1 {
        error.traceback = Some(frames.join("\n"));
    }
    let file = error.place.as_ref().map(|place| place.file.clone()).unwrap_or_default();
    match files.source(&file) {
        Some(source) if error.source_line.is_none() => error.with_source(&source.text),
        _ => error,
    }
}

fn kind(cause: &EvalAltResult) -> ScriptErrorKind {
    match cause {
        EvalAltResult::ErrorParsing(..) => ScriptErrorKind::Syntax,
        EvalAltResult::ErrorTooManyOperations(_) => ScriptErrorKind::Timeout,
        EvalAltResult::ErrorDataTooLarge(..) => ScriptErrorKind::Memory,
        EvalAltResult::ErrorModuleNotFound(..) => ScriptErrorKind::Import,
        _ => ScriptErrorKind::Runtime,
    }
}

fn message(cause: EvalAltResult) -> String {
    match cause {
        EvalAltResult::ErrorRuntime(thrown, _) => said(&thrown),
        other => lower(other.to_string()),
    }
}

/// What a script threw, in words.
fn said(thrown: &Dynamic) -> String {
    if thrown.is_unit() {
        return "an error without a message".to_owned();
    }
    let told = thrown.as_map_ref().ok().and_then(|map| map.get("message").map(Dynamic::to_string));
    told.unwrap_or_else(|| thrown.to_string())
}

/// Rhai's sentences as the fragments that errors are made of here.
fn lower(text: String) -> String {
    let mut letters = text.chars();
    let second_is_upper = text.chars().nth(1).is_some_and(|letter| letter.is_uppercase());
    match letters.next() {
        Some(first) if !second_is_upper => first.to_lowercase().chain(letters).collect(),
        _ => text,
    }
}
