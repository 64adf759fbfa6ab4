//! What must be true of every history, read from its trace.

use std::collections::{BTreeMap, BTreeSet};

use super::record::Record;

/// One reload in the trace.
#[derive(Default)]
struct Segment<'a> {
    lines: Vec<&'a str>,
    end: &'a str,
}

/// Checks the whole trace: reloads do not interleave and each has one end; `init` and `finalize` alternate; the
/// hooks of a reload run in the order of its plan; nobody but hooks writes to a state between them.
///
/// # Errors
/// The first thing that does not hold.
pub fn check(_record: &Record, trace: &str) -> Result<(), String> {
    let segments = segments(trace)?;
    once(trace)?;
    for segment in &segments {
        ordered(segment)?;
        frozen(segment)?;
        whole(segment)?;
    }
    Ok(())
}

fn segments(trace: &str) -> Result<Vec<Segment<'_>>, String> {
    let mut segments = Vec::new();
    let mut open: Option<Segment> = None;
    for line in trace.lines() {
        match (line, &mut open) {
            ("reload", None) => open = Some(Segment::default()),
            ("reload", Some(_)) => return Err("two reloads interleave".into()),
            (line, Some(segment)) if line.starts_with("end ") => {
                segment.end = line;
                segments.extend(open.take());
            }
            (line, None) if line.starts_with("end ") => return Err(format!("`{line}` without a reload")),
            (line, Some(segment)) => segment.lines.push(line),
            (_, None) => {}
        }
    }
    match open {
        None => Ok(segments),
        Some(_) => Err("a reload has no end".into()),
    }
}

/// `init` once, and `finalize` once for each.
fn once(trace: &str) -> Result<(), String> {
    let mut alive = BTreeSet::new();
    for line in trace.lines() {
        if let Some(module) = line.strip_prefix("- init ")
            && !alive.insert(module)
        {
            return Err(format!("`init` of {module} ran twice"));
        }
        if let Some(module) = line.strip_prefix("- finalize ")
            && !alive.remove(module)
        {
            return Err(format!("`finalize` of {module} ran without `init`"));
        }
    }
    Ok(())
}

/// Old hooks dependents first, new hooks dependencies first. A module requires only ones with a smaller number,
/// and the plan lists them dependencies first.
fn ordered(segment: &Segment) -> Result<(), String> {
    let staged = names(segment, "staged ");
    let after = names(segment, "hook ").into_iter().filter(|(_, rest)| rest.starts_with("after_reload"));
    let mut rest = staged.iter();
    for (module, _) in after {
        if !rest.any(|(staged, _)| *staged == module) {
            return Err(format!("`after_reload` of {module} is out of order"));
        }
    }
    let shut =
        segment.lines.iter().position(|line| line.starts_with("hook ") && line.contains("after_reload"));
    let late =
        segment.lines.iter().rposition(|line| line.starts_with("hook ") && line.contains("before_reload"));
    match (shut, late) {
        (Some(after), Some(before)) if before > after => Err("an old hook ran after a new one".into()),
        _ => Ok(()),
    }
}

fn names<'a>(segment: &Segment<'a>, word: &str) -> Vec<(&'a str, &'a str)> {
    let lines = segment.lines.iter().filter_map(|line| line.strip_prefix(word));
    lines.map(|line| line.split_once(' ').unwrap_or((line, ""))).collect()
}

/// What a module's state counts when its old hook begins is what it counts when its new one does.
fn frozen(segment: &Segment) -> Result<(), String> {
    let mut before = BTreeMap::new();
    for line in &segment.lines {
        if let Some((module, counts)) = line.strip_prefix("- before ").and_then(|rest| rest.split_once(' ')) {
            before.insert(module, counts);
        }
        if let Some((module, counts)) = line.strip_prefix("- after ").and_then(|rest| rest.split_once(' '))
            && before.get(module).is_some_and(|then| *then != counts)
        {
            return Err(format!(
                "{module} counted {} before and {counts} after: it was not frozen",
                before[module]
            ));
        }
    }
    Ok(())
}

/// All or nothing: a commit and its end belong together, and what fails after hooks ran is undone.
fn whole(segment: &Segment) -> Result<(), String> {
    let committed = segment.lines.contains(&"commit");
    let hooks = segment.lines.iter().any(|line| line.starts_with("checkpoint "));
    let undone = segment.lines.iter().any(|line| line.starts_with("undone "));
    match (committed, segment.end.starts_with("end committed")) {
        (true, true) if !undone => Ok(()),
        (false, false) if hooks == undone => Ok(()),
        _ => Err(format!(
            "a reload that is neither whole nor undone: {}\n{}",
            segment.end,
            segment.lines.join("\n")
        )),
    }
}
