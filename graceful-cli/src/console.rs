//! `console`: lines of Lua or Rhai from a person, or from a pipe, for the running app.

use std::io::{BufRead, IsTerminal, Write};
use std::path::Path;

use graceful_host::wire::{ConsoleFailure, ConsoleReply, ConsoleRequest};
use graceful_host::{AdminClient, admin_path, app_folder};

use crate::args::Console;
use crate::ask::unanswered;
use crate::exit::Exit;
use crate::voice::{Voice, complain};

const GREETING: &str =
    "A console in the running app. dofile with the file of a module reloads what changed; Ctrl-D leaves.";

/// How long the answer may take on top of the line itself.
const ANSWER: std::time::Duration = std::time::Duration::from_secs(5);

pub async fn run(console: &Console) -> Exit {
    let voice = Voice::from(&console.ask.voice);
    let folder = app_folder(&console.ask.app);
    let path = console.ask.admin.clone().unwrap_or_else(|| admin_path(&folder));
    let patience = console.ask.patience(console.limit + ANSWER);
    let client = AdminClient::new(path, patience);
    // A line that nobody waits for any more is cancelled.
    let limit_ms = u64::try_from(console.limit.min(patience).as_millis()).ok();
    let interactive = console.eval.is_none() && std::io::stdin().is_terminal();
    let mut lines = Lines { given: console.eval.clone(), interactive };
    if interactive {
        complain(GREETING);
    }
    let (mut exit, mut text) = (Exit::Ok, String::new());
    while let Some(line) = lines.next(!text.is_empty()) {
        let line = match line {
            Ok(line) => line,
            Err(error) => {
                complain(&format!("error: a line cannot be read: {error}"));
                return Exit::Failed;
            }
        };
        text.push_str(&line);
        let request = ConsoleRequest { line: text.clone(), language: console.language.clone(), limit_ms };
        let reply = match client.console(&request).await {
            Ok(reply) => reply,
            Err(error) => return unanswered(voice, &error),
        };
        // What is not finished goes on in the next line.
        if is_unfinished(&reply) && lines.more() {
            text.push('\n');
            continue;
        }
        text.clear();
        if let Some(failure) = &reply.failure {
            exit = if interactive { Exit::Ok } else { Exit::Failed };
            if !voice.json {
                complain(&shown(failure, &folder));
            }
        }
        if voice.json || !reply.values.is_empty() {
            voice.answer(&reply, || reply.values.join("\n"));
        }
    }
    exit
}

fn is_unfinished(reply: &ConsoleReply) -> bool {
    let failure = reply.failure.as_ref();
    failure.is_some_and(|failure| failure.code == "GR0301" && failure.message.ends_with("near <eof>"))
}

fn shown(failure: &ConsoleFailure, folder: &Path) -> String {
    let mut text = format!("error[{}]: {}", failure.code, failure.message);
    if let Some(place) = &failure.place {
        let mut shown = (**place).clone();
        if let Some(path) = Some(folder.join(&place.file)).filter(|path| path.is_file()) {
            shown.file = path.strip_prefix(".").unwrap_or(&path).display().to_string();
        }
        text.push_str(&format!("\n --> {shown}"));
    }
    text
}

/// Where the lines come from: the command line, or standard input.
struct Lines {
    given: Option<String>,
    interactive: bool,
}

impl Lines {
    /// The next line that says something.
    fn next(&mut self, goes_on: bool) -> Option<std::io::Result<String>> {
        if let Some(given) = &mut self.given {
            return (!given.is_empty()).then(|| Ok(std::mem::take(given)));
        }
        loop {
            if self.interactive {
                let mut out = std::io::stderr().lock();
                let _ = write!(out, "{}", if goes_on { ">> " } else { "> " }).and_then(|()| out.flush());
            }
            let mut line = String::new();
            match std::io::stdin().lock().read_line(&mut line) {
                Ok(0) => return None,
                Err(error) => return Some(Err(error)),
                Ok(_) if line.trim().is_empty() && !goes_on => {}
                Ok(_) => return Some(Ok(line.trim_end_matches(['\n', '\r']).to_owned())),
            }
        }
    }

    /// Whether there may be another.
    fn more(&self) -> bool {
        self.given.is_none()
            && (self.interactive || std::io::stdin().lock().fill_buf().is_ok_and(|left| !left.is_empty()))
    }
}
