//! A failure with a code, as scripts throw and catch it.

use graceful_core::{CallError, Code, ReloadError, ScriptError};
use rhai::{Dynamic, Engine, EvalAltResult, Position};

/// What a native function gives a script.
pub(crate) type Thrown<T> = Result<T, Box<EvalAltResult>>;

/// What graceful throws into a script: `error.message`, `error.code`, `error.retryable`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Failure {
    /// A call failed.
    Call(CallError),
    /// A reload did not go through.
    Reload { code: Code, message: String, retryable: bool },
}

impl Failure {
    /// The same without a place in front of the message.
    pub(crate) fn message(&self) -> String {
        match self {
            Failure::Call(CallError::Script(error)) => error.message.clone(),
            Failure::Call(error) => error.to_string(),
            Failure::Reload { message, .. } => message.clone(),
        }
    }

    /// The stable code.
    pub(crate) fn code(&self) -> Code {
        match self {
            Failure::Call(error) => error.code(),
            Failure::Reload { code, .. } => *code,
        }
    }

    fn is_retryable(&self) -> bool {
        match self {
            Failure::Call(error) => error.is_retryable(),
            Failure::Reload { retryable, .. } => *retryable,
        }
    }

    /// As a call that failed with it.
    pub(crate) fn into_call(self) -> CallError {
        match self {
            Failure::Call(error) => error,
            Failure::Reload { message, .. } => CallError::Script(ScriptError::runtime(message)),
        }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Failure::Call(error) => error.fmt(f),
            Failure::Reload { message, .. } => f.write_str(message),
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

impl From<&ReloadError> for Failure {
    fn from(error: &ReloadError) -> Self {
        let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
        // The first cause is the kind, which the message ends with.
        let told: Vec<String> =
            causes.enumerate().filter(|(at, _)| *at != 1).map(|(_, e)| e.to_string()).collect();
        Failure::Reload { code: error.code(), message: told.join(": "), retryable: error.is_retryable() }
    }
}

/// A failure on its way through a script.
pub(crate) fn fail(failure: impl Into<Failure>) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(failure.into()), Position::NONE).into()
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
    for name in ["to_string", "to_debug"] {
        engine.register_fn(name, |failure: &mut Failure| failure.to_string());
    }
}
