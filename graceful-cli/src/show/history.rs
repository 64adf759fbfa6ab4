//! The history as a person reads it: one line for each reload, and one for each start and end of the host.

use graceful_host::wire::{HistoryEntry, HistoryReply, ReloadEntry};

use super::change;

/// The reloads, oldest first.
pub fn history(history: &HistoryReply) -> String {
    let mut lines: Vec<String> = history.entries.iter().map(entry).collect();
    lines.extend(history.warnings.iter().map(|warning| format!("warning: {warning}")));
    if lines.is_empty() {
        return "no reload is known".to_owned();
    }
    lines.join("\n")
}

fn entry(entry: &HistoryEntry) -> String {
    match entry {
        HistoryEntry::Started(started) => {
            let crashed = if started.after_crash { "; the run before it did not end in order" } else { "" };
            format!("{}  run {} started, process {}{crashed}", time(started.at_ms), started.run, started.pid)
        }
        HistoryEntry::Stopped(stopped) => {
            let clean = if stopped.clean { "" } else { ", not cleanly" };
            format!("{}  run {} ended{clean}", time(stopped.at_ms), stopped.run)
        }
        HistoryEntry::Reload(reload) => self::reload(reload),
    }
}

fn reload(reload: &ReloadEntry) -> String {
    let ReloadEntry { reload: number, asked_by, outcome, generation, .. } = reload;
    let what = if reload.purpose.is_empty() { "reload" } else { &reload.purpose };
    let mut line = format!("{}  {number} {what} by {asked_by}: {outcome}", time(reload.at_ms));
    if let Some(generation) = generation {
        line.push_str(&format!(", generation {generation}"));
    }
    if let Some(message) = &reload.message {
        let code = reload.code.as_deref().unwrap_or_default();
        line.push_str(&format!(", {code} {}", message.lines().next().unwrap_or_default()));
    } else if outcome == "committed" {
        let changes: Vec<String> = reload.modules.iter().map(change).collect();
        line.push_str(&format!(": {}", changes.join(", ")));
    }
    if generation.is_some() {
        line.push_str(&format!(" ({:.1} ms, calls held for {:.1} ms)", reload.took_ms, reload.pause_ms));
    }
    for left in &reload.left {
        line.push_str(&format!("\n  left: {left}"));
    }
    line
}

/// Milliseconds since 1970 as a date and a time of day in UTC.
fn time(at_ms: u64) -> String {
    let (days, seconds) = (at_ms / 86_400_000, at_ms / 1_000 % 86_400);
    // Days since March 1st of the year 0, so that a leap day is the last one of a year.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day + 2) / 153;
    let (month, day) =
        (if shifted < 10 { shifted + 3 } else { shifted - 9 }, day - (153 * shifted + 2) / 5 + 1);
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_told_as_a_date() {
        assert_eq!(time(0), "1970-01-01 00:00:00Z");
        assert_eq!(time(951_782_399_000), "2000-02-28 23:59:59Z");
        assert_eq!(time(951_782_400_000), "2000-02-29 00:00:00Z");
        assert_eq!(time(1_798_761_599_999), "2026-12-31 23:59:59Z");
    }
}
