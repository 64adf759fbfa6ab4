//! The console: a line that a person typed, evaluated in the app as a call of its own, with a deadline.

use std::time::Duration;

use graceful_core::error::ScriptErrorKind;
use graceful_core::{CallError, ScriptError};
use tokio::sync::oneshot;

use crate::host::Host;
use crate::watchman;
use crate::wire::{ConsoleReply, ConsoleRequest};

/// The language a line is in unless it says so, where the app has it.
const LANGUAGE: &str = "lua";
/// How long a line may take unless it says so.
const LIMIT: Duration = Duration::from_secs(10);
/// How long after that its end is waited for: code that cannot be interrupted may keep the interpreter.
const GRACE: Duration = Duration::from_secs(1);

impl Host {
    /// Evaluates a line.
    pub async fn console(&self, request: ConsoleRequest) -> ConsoleReply {
        let app = self.app();
        let known = app.backends.keys().map(String::as_str);
        let language = request.language.unwrap_or_else(|| {
            let first = known.clone().next().unwrap_or(LANGUAGE);
            known.clone().find(|name| *name == LANGUAGE).unwrap_or(first).to_owned()
        });
        let limit = request.limit_ms.map_or(LIMIT, Duration::from_millis);
        let timeout = |message| Err(CallError::Script(ScriptError::new(ScriptErrorKind::Timeout, message)));
        let mut kept = self.0.kept.subscribe();
        if let Some(why) = kept.borrow().clone() {
            return ConsoleReply::new(timeout(why));
        }
        let (engine, line) = (self.engine().clone(), request.line);
        let (done, answer) = oneshot::channel();
        // Where the app's own code runs: whoever answers on the admin socket must not wait for an interpreter.
        self.engine().world().clock.spawn(Box::pin(async move {
            let _ = done.send(engine.evaluate(&language, &line, limit).await);
        }));
        ConsoleReply::new(tokio::select! {
            answer = answer => answer.unwrap_or(Err(CallError::Stopped)),
            why = watchman::is_kept(&mut kept) => timeout(why),
            () = tokio::time::sleep(limit + GRACE) => {
                let kept = self.engine().kept(GRACE).into_iter().next();
                let kept = kept.map_or_else(|| "something keeps the interpreter".to_owned(), |(_, kept)| kept.to_string());
                timeout(format!("there is no answer after {:?}: {kept}", limit + GRACE))
            }
        })
    }
}
