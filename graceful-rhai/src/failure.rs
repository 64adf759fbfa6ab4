//! A failure with a code, as scripts throw and catch it.

use graceful_core::asked::roles::Refusal;
use graceful_core::{CallError, Code, Outcome, ReloadError, ReloadErrorKind, ScriptError};
use rhai::{Dynamic, Engine, EvalAltResult, NativeCallContext, Position};

/// What a native function gives a script.
pub(crate) type Thrown<T> = Result<T, Box<EvalAltResult>>;

/// What graceful throws into a script: `error.message`, `error.code`, `error.retryable`; of a reload
/// `error.outcome` and `error.module_name` too, of roles `error.class`, `error.file` and `error.line`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// A call failed.
    Call(CallError),
    /// A reload did not go through.
    Reload(Box<Refused>),
    /// Roles refused something, or failed.
    Roles(Box<Refusal>),
    /// A function was called wrongly, which is told where that was.
    Argument(String),
}

/// Why a reload did not go through.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Refused {
    code: Code,
    message: String,
    retryable: bool,
    outcome: &'static str,
    phase: Option<&'static str>,
    module: Option<String>,
    place: Option<String>,
}

impl Failure {
    /// The same without a place in front of the message.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Call(CallError::Script(error)) => error.message.clone(),
            Failure::Call(error) => error.to_string(),
            Failure::Reload(refused) => refused.message.clone(),
            Failure::Roles(refusal) => refusal.message.clone(),
            Failure::Argument(message) => message.clone(),
        }
    }

    /// The stable code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Failure::Call(error) => error.code(),
            Failure::Reload(refused) => refused.code,
            Failure::Roles(refusal) => refusal.code,
            Failure::Argument(_) => ScriptError::runtime("").code(),
        }
    }

    /// A reload that a hook asked for.
    pub(crate) fn nested() -> Self {
        let kind = ReloadErrorKind::Nested;
        Failure::Reload(Box::new(Refused {
            code: kind.code(),
            message: kind.to_string(),
            retryable: true,
            outcome: Outcome::Refused.as_str(),
            phase: None,
            module: None,
            place: None,
        }))
    }

    fn is_retryable(&self) -> bool {
        match self {
            Failure::Call(error) => error.is_retryable(),
            Failure::Reload(refused) => refused.retryable,
            Failure::Roles(refusal) => refusal.retryable,
            Failure::Argument(_) => false,
        }
    }

    /// As a call that failed with it.
    pub(crate) fn into_call(self) -> CallError {
        match self {
            Failure::Call(error) => error,
            Failure::Reload(refused) => CallError::Script(ScriptError::runtime(refused.message)),
            Failure::Roles(refusal) => CallError::Script(ScriptError::runtime(refusal.message)),
            Failure::Argument(message) => CallError::Script(ScriptError::runtime(message)),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Call(error) => error.fmt(f),
            Failure::Reload(refused) => f.write_str(&refused.message),
            Failure::Roles(refusal) => f.write_str(&refusal.message),
            Failure::Argument(message) => f.write_str(message),
        }
    }
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        Failure::Call(error)
    }
}

impl From<ScriptError> for Failure {
    fn from(error: ScriptError) -> Self {
        Failure::Call(CallError::Script(error))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Roles(Box::new(refusal))
    }
}

impl From<&ReloadError> for Failure {
    fn from(error: &ReloadError) -> Self {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        // The first cause is the kind, which the message ends with.
        let told: Vec<String> =
            causes.enumerate().filter(|(at, _)| *at != 1).map(|(_, e)| e.to_string()).collect();
        Failure::Reload(Box::new(Refused {
            code: error.code(),
            message: told.join(": "),
            retryable: error.is_retryable(),
            outcome: error.report.outcome.as_str(),
            phase: Some(error.phase.as_str()),
            module: error.module().map(ToString::to_string),
            place: error.kind.place().map(ToString::to_string),
        }))
    }
}

/// A failure on its way through a script.
pub(crate) fn fail(failure: impl Into<Failure>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(failure.into()), Position::NONE).into()
}

/// What a function that was called with its module's name in front failed with: Rhai gives those no place.
pub(crate) fn placed<T>(cx: &NativeCallContext, result: Thrown<T>) -> Thrown<T> {
    result.map_err(|mut error| {
        if error.position().is_none() {
            error.set_position(cx.call_position());
        }
        error
    })
}

/// Any other error on its way through a script.
pub(crate) fn thrown(error: impl std::fmt::Display) -> Box<EvalAltResult> {
    fail(ScriptError::runtime(error.to_string()))
}

/// What a caught failure can tell.
pub(crate) fn register(engine: &mut Engine) {
    engine.register_type_with_name::<Failure>("Error");
    engine.register_get("message", |failure: &mut Failure| failure.message());
    engine.register_get("code", |failure: &mut Failure| failure.code().to_string());
    engine.register_get("retryable", |failure: &mut Failure| failure.is_retryable());
    reloads(engine, "outcome", |refused| Some(refused.outcome.to_owned()));
    reloads(engine, "phase", |refused| refused.phase.map(str::to_owned));
    // Rhai keeps the word `module` to itself.
    reloads(engine, "module_name", |refused| refused.module.clone());
    reloads(engine, "place", |refused| refused.place.clone());
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |failure: &mut Failure| failure.to_string());
    }
}

/// A property that only the failure of a reload or of roles has.
fn reloads(engine: &mut Engine, name: &'static str, told: fn(&Refused) -> Option<String>) {
    engine.register_get(name, move |failure: &mut Failure| match failure {
        Failure::Reload(refused) => told(refused).map_or(Dynamic::UNIT, Dynamic::from),
        Failure::Roles(refusal) => {
            let text = match name {
                "module_name" => refusal.module.as_ref().map(ToString::to_string),
                "place" => refusal.place.as_ref().map(ToString::to_string),
                _ => refusal.more.get(name).and_then(|value| value.as_str()).map(str::to_owned),
            };
            text.map_or(Dynamic::UNIT, Dynamic::from)
        }
        Failure::Call(_) | Failure::Argument(_) => Dynamic::UNIT,
    });
}
