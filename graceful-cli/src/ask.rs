//! `plan`, `reload` and `status`: asks the running host through its admin socket.

use std::path::{Path, PathBuf};
use std::time::Duration;

use graceful_host::wire::{ReloadReply, ReloadRequest};
use graceful_host::{AdminClient, AdminError, admin_path, app_folder};
use serde_json::json;

use crate::args::{Ask, Change, History, Reload};
use crate::exit::Exit;
use crate::show;
use crate::voice::{Voice, complain};

pub struct Asked {
    pub folder: PathBuf,
    pub client: AdminClient,
    pub voice: Voice,
}

impl From<&Ask> for Asked {
    fn from(ask: &Ask) -> Self {
        Self::new(&ask.app, ask.admin.as_deref(), ask.patience(Duration::ZERO), (&ask.voice).into())
    }
}

impl Asked {
    pub fn new(app: &Path, admin: Option<&Path>, timeout: Duration, voice: Voice) -> Self {
        let folder = app_folder(app);
        let path = admin.map_or_else(|| admin_path(&folder), Path::to_path_buf);
        Self { folder, client: AdminClient::new(path, timeout), voice }
    }

    pub fn unanswered(&self, error: &AdminError) -> Exit {
        unanswered(self.voice, error)
    }
}

/// The host could not be asked.
pub fn unanswered(voice: Voice, error: &AdminError) -> Exit {
    let exit = Exit::from(error);
    if voice.json {
        let told =
            json!({ "schema_version": 1, "ok": false, "error": error.to_string(), "exit": exit as u8 });
        voice.answer(&told, String::new);
    } else {
        complain(&format!("error: {error}"));
    }
    exit
}

pub async fn status(ask: &Ask) -> Exit {
    let asked = Asked::from(ask);
    match asked.client.status().await {
        Ok(status) => {
            asked.voice.answer(&status, || show::status(&status));
            Exit::Ok
        }
        Err(error) => asked.unanswered(&error),
    }
}

pub async fn metrics(ask: &Ask) -> Exit {
    let asked = Asked::from(ask);
    match asked.client.metrics().await {
        Ok(text) => {
            asked
                .voice
                .answer(&json!({ "schema_version": 1, "metrics": text }), || text.trim_end().to_owned());
            Exit::Ok
        }
        Err(error) => asked.unanswered(&error),
    }
}

/// The file says the same as the host does, so an app that does not run has its history, too.
pub async fn history(asked: &History) -> Exit {
    let (last, asked) = (asked.last, Asked::from(&asked.ask));
    let history = match asked.client.history(last).await {
        Ok(history) => history,
        Err(error @ AdminError::NotRunning { .. }) => match graceful_host::history(&asked.folder, last) {
            Ok(history) if !history.entries.is_empty() || !history.ok => history,
            _ => return asked.unanswered(&error),
        },
        Err(error) => return asked.unanswered(&error),
    };
    asked.voice.answer(&history, || show::history::history(&history));
    Exit::Ok
}

pub async fn plan(change: &Change) -> Exit {
    let asked = Asked::from(&change.ask);
    let plan = match asked.client.plan(change.force).await {
        Ok(plan) => plan,
        Err(error) => return asked.unanswered(&error),
    };
    match &plan.failure {
        None => {
            asked.voice.answer(&plan, || show::plan(&plan));
            Exit::Ok
        }
        Some(failure) => {
            if asked.voice.json {
                asked.voice.answer(&plan, String::new);
            }
            asked.voice.failure(failure, Some(&asked.folder));
            Exit::from(failure)
        }
    }
}

pub async fn reload(reload: &Reload) -> Exit {
    let asked = Asked::from(&reload.change.ask);
    let request = ReloadRequest {
        force: reload.change.force,
        check: reload.check,
        forgive_before_reload: reload.forgive_before_reload,
    };
    match asked.client.reload(&request).await {
        Ok(reply) => reloaded(&asked, &reply),
        Err(error) => asked.unanswered(&error),
    }
}

/// How a reload ended.
pub fn reloaded(asked: &Asked, reply: &ReloadReply) -> Exit {
    if asked.voice.json {
        asked.voice.answer(reply, String::new);
    }
    match (&reply.reload, &reply.failure) {
        (_, Some(failure)) => {
            asked.voice.failure(failure, Some(&asked.folder));
            Exit::from(failure)
        }
        (Some(summary), None) => {
            if !asked.voice.json {
                asked.voice.answer(reply, || show::summary(summary));
            }
            Exit::Ok
        }
        (None, None) => Exit::Failed,
    }
}
