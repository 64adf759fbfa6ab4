//! Where output goes: answers on standard output, what went wrong on standard error.

use std::io::{IsTerminal, Write};
use std::path::Path;

use graceful_host::wire::Failure;
use serde::Serialize;

use crate::args;
use crate::snippet::{Paint, render};

/// How this command speaks.
#[derive(Clone, Copy, Debug)]
pub struct Voice {
    pub json: bool,
    pub quiet: bool,
}

impl From<&args::Voice> for Voice {
    fn from(voice: &args::Voice) -> Self {
        Self { json: voice.json, quiet: voice.quiet }
    }
}

impl Voice {
    /// An answer: as JSON if that was asked for, else as text.
    pub fn answer(self, json: &impl Serialize, text: impl FnOnce() -> String) {
        if self.json {
            say(&serde_json::to_string(json).unwrap_or_default());
        } else if !self.quiet {
            say(&text());
        }
    }

    /// A failure: its snippet on standard error. With JSON, the answer holds it.
    pub fn failure(self, failure: &Failure, folder: Option<&Path>) {
        if !self.json {
            complain(&render(failure, folder, Paint(colours())));
        }
    }
}

/// A reader that went away is no error.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

/// Says `text` on standard error.
pub fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
}

fn colours() -> bool {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    std::io::stderr().is_terminal()
        && set("NO_COLOR").is_none()
        && set("TERM").is_none_or(|term| term != "dumb")
}
