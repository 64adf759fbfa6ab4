//! `run`, `dev` and `check`: the app in this process.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use graceful_host::wire::{Failure, ReloadReply, Summary};
use graceful_host::{Cause, Host, HostError, HostOptions, Running, Signals};
use serde_json::json;

use crate::args::{Check, Serve};
use crate::exit::Exit;
use crate::show;
use crate::voice::{Voice, complain};

/// How long the app may take to end once it was told to.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run(serve: &Serve, dev: bool) -> Exit {
    let voice = Voice::from(&serve.voice);
    let folder = serve.app.clone();
    let told = folder.clone();
    let mut options = HostOptions::default();
    options.listen = serve.listen.clone();
    options.admin = serve.admin.clone();
    options.metrics = serve.metrics.clone();
    options.watch = dev.then_some(true);
    options.dev = dev;
    let failed = AtomicBool::new(false);
    options.on_reload = Some(Arc::new(move |cause, result| {
        let after_failure = failed.swap(result.is_err(), Ordering::Relaxed);
        // A file that was touched, or put back before anybody looked, is not worth a line.
        let silent = cause == Cause::Watch && !after_failure;
        if !(silent && result.as_ref().is_ok_and(says_nothing)) {
            reloaded(voice, &told, dev, result);
        }
    }));
    match served(&folder, options, voice).await {
        Ok(true) => Exit::Ok,
        Ok(false) => Exit::Failed,
        Err(error) => {
            // What a start failed with was told when it did.
            if !matches!(error, HostError::Start(_)) {
                refuse(&error, &folder, voice);
            }
            Exit::from(&error)
        }
    }
}

fn says_nothing(summary: &Summary) -> bool {
    summary.outcome == "unchanged" && summary.warnings.is_empty()
}

async fn served(folder: &Path, options: HostOptions, voice: Voice) -> Result<bool, HostError> {
    let at_once = || std::process::exit(Exit::Failed as i32);
    let signals = Signals::listen(PATIENCE, at_once).await;
    let signals = signals.map_err(|error| HostError::Setting(format!("signals: {error}")))?;
    let host = Host::open(folder, options)?;
    host.serve(signals, |running| ready(running, voice)).await
}

fn ready(running: &Running, voice: Voice) {
    let name = running.host().app().name.clone();
    let url = running.address().map(|address| format!("http://{address}"));
    let admin = running.admin().map(|path| path.display().to_string());
    let metrics = running.metrics().map(|address| format!("http://{address}/metrics"));
    let told = json!({ "schema_version": 1, "event": "ready", "name": name, "url": url, "admin": admin,
        "metrics": metrics });
    voice.answer(&told, || match &url {
        Some(url) => format!("{name}: {url}"),
        None => format!("{name}: running"),
    });
}

fn reloaded(voice: Voice, folder: &Path, dev: bool, result: &Result<Summary, Failure>) {
    if voice.json {
        let mut told = json!(ReloadReply::new(result.clone()));
        told["event"] = "reload".into();
        voice.answer(&told, String::new);
        return;
    }
    match result {
        Ok(summary) => voice.answer(summary, || show::summary(summary)),
        Err(failure) => {
            voice.failure(failure, Some(folder));
            if dev {
                complain("waiting for the next change");
            }
        }
    }
}

/// A host that could not be opened or started. What a reload failed with was told already.
fn refuse(error: &HostError, folder: &Path, voice: Voice) {
    let failure = error.failure();
    if voice.json {
        let told =
            json!({ "schema_version": 1, "ok": false, "error": error.to_string(), "failure": failure });
        voice.answer(&told, String::new);
        return;
    }
    match failure {
        Some(failure) => voice.failure(&failure, Some(folder)),
        None => complain(&format!("error: {error}")),
    }
}

pub async fn check(check: &Check) -> Exit {
    let voice = Voice::from(&check.voice);
    let reply = match graceful_host::check(&check.app, HostOptions::default(), check.states.as_deref()).await
    {
        Ok(reply) => reply,
        Err(error) => {
            refuse(&error, &check.app, voice);
            return Exit::from(&error);
        }
    };
    if voice.json || reply.failure.is_none() {
        voice.answer(&reply, || show::check(&reply));
    }
    match &reply.failure {
        None if !reply.ok => Exit::Refused,
        None => Exit::Ok,
        Some(failure) => {
            voice.failure(failure, Some(&check.app));
            if failure.outcome == "stuck" { Exit::Stuck } else { Exit::Refused }
        }
    }
}
