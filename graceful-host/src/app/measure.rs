//! Durations and sizes, as a manifest spells them.

use std::time::Duration;

/// Reads `250ms`, `5s`, `1.5m`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("`{text}` is not a duration: expected such as \"250ms\", \"5s\" or \"1m\"")),
    };
    let number: f64 = number.trim().parse().map_err(|_| format!("`{text}` is not a duration"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| format!("`{text}` is not a duration"))
}

pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err(format!("`{text}` is not a size: expected such as \"64MiB\"")),
    };
    let number: usize = number.trim().parse().map_err(|_| format!("`{text}` is not a size"))?;
    number.checked_mul(factor).ok_or_else(|| format!("`{text}` is too large"))
}
