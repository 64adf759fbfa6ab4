//! The lines of the history: what each says, and what they come to when they are read together.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::wire::{HistoryEntry, ReloadEntry, StartedEntry, StoppedEntry};

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) at_ms: u64,
    #[serde(flatten)]
    pub(crate) what: What,
}

/// What it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum What {
    Started { run: u64, pid: u32, after_crash: bool },
    Begun { reload: u64, run: u64, asked_by: String },
    Ended { report: Box<ReloadEntry> },
    Interrupted { reload: u64 },
    Stopped { run: u64, clean: bool },
}

/// Where a history stands.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Now {
    pub(crate) run: u64,
    pub(crate) reload: u64,
    /// Reloads that were begun and not ended.
    pub(crate) unfinished: Vec<u64>,
    /// The last run did not end in order.
    pub(crate) crashed: bool,
}

impl Now {
    pub(crate) fn of(lines: &[Line]) -> Self {
        let (mut now, mut open) = (Self::default(), BTreeSet::new());
        for line in lines {
            match &line.what {
                What::Started { run, .. } => {
                    now.run = now.run.max(*run);
                    now.crashed = true;
                }
                What::Begun { reload, .. } => {
                    now.reload = now.reload.max(*reload);
                    open.insert(*reload);
                }
                What::Ended { report: ended } => {
                    now.reload = now.reload.max(ended.reload);
                    open.remove(&ended.reload);
                }
                What::Interrupted { reload } => {
                    open.remove(reload);
                }
                What::Stopped { .. } => now.crashed = false,
            }
        }
        now.unfinished = open.into_iter().collect();
        now
    }
}

/// What the lines say together, oldest first, and what is missing in them.
pub(crate) fn entries(lines: Vec<Line>) -> (Vec<HistoryEntry>, Vec<String>) {
    let (mut entries, mut warnings): (Vec<HistoryEntry>, Vec<String>) = Default::default();
    // Where the entry of a reload that has begun stands.
    let mut begun: BTreeMap<u64, usize> = BTreeMap::new();
    let mut last: Option<u64> = None;
    for Line { at_ms, what } in lines {
        match what {
            What::Started { run, pid, after_crash } => {
                entries.push(HistoryEntry::Started(StartedEntry { run, at_ms, pid, after_crash }));
            }
            What::Stopped { run, clean } => {
                entries.push(HistoryEntry::Stopped(StoppedEntry { run, at_ms, clean }));
            }
            What::Begun { reload, run, asked_by } => {
                if last.is_some_and(|last| last + 1 != reload) {
                    warnings.push(format!("reload {reload} follows on {}", last.unwrap_or_default()));
                }
                last = Some(reload);
                begun.insert(reload, entries.len());
                let outcome = "running".to_owned();
                let entry = ReloadEntry { reload, run, at_ms, asked_by, outcome, ..ReloadEntry::default() };
                entries.push(HistoryEntry::Reload(Box::new(entry)));
            }
            What::Ended { report: ended } => match begun.remove(&ended.reload) {
                Some(at) => entries[at] = HistoryEntry::Reload(ended),
                None => warnings.push(format!("reload {} ended without having begun", ended.reload)),
            },
            What::Interrupted { reload } => match begun.remove(&reload).map(|at| &mut entries[at]) {
                Some(HistoryEntry::Reload(entry)) => entry.outcome = "interrupted".to_owned(),
                _ => warnings.push(format!("reload {reload} was interrupted without having begun")),
            },
        }
    }
    let runs = begun.len().saturating_sub(1);
    if runs > 0 {
        warnings.push(format!("{runs} reloads have begun and not ended"));
    }
    (entries, warnings)
}

/// Where the last `count` reloads begin, with the start of the host before them.
pub(crate) fn cut(entries: &[HistoryEntry], count: usize) -> usize {
    let reloads = entries.iter().rev().filter(|entry| matches!(entry, HistoryEntry::Reload(_))).count();
    let mut skip = reloads.saturating_sub(count);
    let at = entries.iter().position(|entry| match entry {
        HistoryEntry::Reload(_) if skip == 0 => true,
        HistoryEntry::Reload(_) => {
            skip -= 1;
            false
        }
        _ => false,
    });
    let at = if reloads > count { at.unwrap_or(entries.len()) } else { 0 };
    match at.checked_sub(1).map(|before| &entries[before]) {
        Some(HistoryEntry::Started(_)) => at - 1,
        _ => at,
    }
}
