//! What must be so after a start, whatever the run before was doing when it was killed.

use graceful_core::Value;
use graceful_host::wire::{HistoryEntry, HistoryReply};

use super::served::Served;
use crate::http::Connection;
use crate::storm::app::{App, MODULES};
use crate::storm::witness::Page;

/// What is known from outside.
#[derive(Default)]
pub(super) struct Watch {
    /// How often it was started.
    pub(super) starts: usize,
    /// The configuration that was answered for last, or seen after a start.
    pub(super) applied: i64,
    /// The last one that was asked for.
    pub(super) applying: i64,
}

impl Watch {
    /// What is wrong, and how many reloads the history tells as interrupted.
    pub(super) async fn look(&mut self, app: &App, served: &Served) -> (Vec<String>, u64) {
        let mut wrong = Vec::new();
        self.pages(app, served, &mut wrong).await;
        self.config(served, &mut wrong).await;
        match served.admin.status().await {
            Ok(status) => {
                let ready =
                    (status.state.as_str(), status.roles.state.as_str()) == ("idle", "RolesConfigured");
                let running = status.roles.roles.iter().all(|role| role.running);
                // Those of the app, `graceful` and what else the host brings.
                if !ready || !running || status.modules.len() < MODULES.len() + 1 {
                    wrong.push(format!("the app is not whole: {status:?}"));
                }
            }
            Err(error) => wrong.push(error.to_string()),
        }
        let interrupted = match served.admin.history(usize::MAX).await {
            Ok(history) => {
                wrong.extend(holes(&history, self.starts));
                history.reloads().filter(|reload| reload.outcome == "interrupted").count()
            }
            Err(error) => {
                wrong.push(error.to_string());
                0
            }
        };
        (wrong, interrupted as u64)
    }

    /// Every module answers, all with what the files say.
    async fn pages(&self, app: &App, served: &Served, wrong: &mut Vec<String>) {
        for (path, page) in [("/tags", Some(Page::Pages)), ("/price", Some(Page::Roles)), ("/count", None)] {
            let answer = match Connection::open(served.address).await {
                Ok(mut connection) => connection.get(path, true).await,
                Err(error) => Err(error),
            };
            let whole = match (&answer, page) {
                (Ok((200, body)), Some(page)) => page.read(body) == Some(page.of(&app.tags)),
                (Ok((200, body)), None) => body == "1",
                _ => false,
            };
            if !whole {
                wrong.push(format!("{path}: {answer:?}, not {:?}", app.tags));
            }
        }
    }

    /// The configuration is the one before or the one after, and the one after if that was answered for.
    async fn config(&mut self, served: &Served, wrong: &mut Vec<String>) {
        let config = match served.admin.config().await {
            Ok(config) => config,
            Err(error) => return wrong.push(error.to_string()),
        };
        let number = config.config.get("number").and_then(|inner| match inner.get("n") {
            Some(Value::Int(n)) => Some(*n),
            _ => None,
        });
        let number = number.unwrap_or(0);
        if number != self.applied && number != self.applying {
            wrong.push(format!("configuration {number}, where {} or {} was", self.applied, self.applying));
        }
        self.applied = number;
        if config.source != if number == 0 { "manifest" } else { "applied" } {
            wrong.push(format!("configuration {number} is that of {}", config.source));
        }
    }
}

/// What is wrong with a history: every start is there, every reload has one end, and no number is missing.
fn holes(history: &HistoryReply, starts: usize) -> Vec<String> {
    let mut wrong = history.warnings.clone();
    let (mut last, mut run) = (None, None);
    for entry in &history.entries {
        match entry {
            HistoryEntry::Started(started) => {
                if run.is_some_and(|run| run + 1 != started.run) || started.after_crash == run.is_none() {
                    wrong.push(format!("{started:?} follows on run {run:?}"));
                }
                run = Some(started.run);
            }
            HistoryEntry::Reload(reload) => {
                let follows = last.is_none_or(|last| last + 1 == reload.reload) && Some(reload.run) == run;
                let ended = !["", "running"].contains(&reload.outcome.as_str());
                if !follows || !ended {
                    wrong.push(format!("{reload:?} follows on {last:?} in run {run:?}"));
                }
                last = Some(reload.reload);
            }
            HistoryEntry::Stopped(stopped) => wrong.push(format!("{stopped:?}, and it was killed")),
        }
    }
    let told = run.unwrap_or_default() as usize;
    // A start that was killed before its first line is told by nothing.
    if told > starts {
        wrong.push(format!("{told} starts are told, and there were {starts}"));
    }
    wrong
}
