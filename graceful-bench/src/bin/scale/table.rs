//! The rows, as a table for people and as JSON for programs.

use std::time::Duration;

use serde::Serialize;

/// Which values are good.
#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "lowercase")]
enum Best {
    Low,
    High,
}

/// One line of the table.
#[derive(Clone, Serialize)]
pub struct Row {
    name: String,
    value: f64,
    unit: &'static str,
    /// What it should be at most, or at least; nothing if it only stands beside another row.
    target: Option<f64>,
    best: Best,
    /// What the floor took, in milliseconds.
    floor: Option<f64>,
}

impl Row {
    /// A value that is best low, without a target and a floor.
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit, target: None, best: Best::Low, floor: None }
    }

    /// A time.
    pub fn time(name: impl Into<String>, took: Duration) -> Self {
        Self::new(name, took.as_secs_f64() * 1e3, "ms")
    }

    /// How often `floor` goes into `took`.
    pub fn ratio(name: impl Into<String>, took: Duration, floor: Duration) -> Self {
        Self::new(name, took.as_secs_f64() / floor.as_secs_f64(), "x").floor(floor)
    }

    /// What the floor took.
    pub fn floor(self, floor: Duration) -> Self {
        Self { floor: Some(floor.as_secs_f64() * 1e3), ..self }
    }

    /// The most it should be.
    pub fn at_most(self, target: f64) -> Self {
        Self { target: Some(target), ..self }
    }

    /// The least it should be.
    pub fn at_least(self, target: f64) -> Self {
        Self { target: Some(target), best: Best::High, ..self }
    }

    /// More of it is better.
    pub fn best_high(self) -> Self {
        Self { best: Best::High, ..self }
    }

    fn verdict(&self) -> &'static str {
        match (self.target, self.best) {
            (None, _) => "",
            (Some(target), Best::Low) if self.value <= target => "met",
            (Some(target), Best::High) if self.value >= target => "met",
            _ => "NOT met",
        }
    }
}

/// The rows so far.
pub struct Table {
    json: bool,
    rows: Vec<Row>,
}

impl Table {
    /// No rows yet.
    pub fn new(json: bool) -> Self {
        Self { json, rows: Vec::new() }
    }

    /// A part begins.
    pub fn part(&self, name: &str) {
        if !self.json {
            println!("\n{name:<66} {:>10}    {:>9}  {:>12}", "value", "target", "floor");
        }
    }

    /// Adds a row, and prints it.
    pub fn add(&mut self, row: Row) {
        if !self.json {
            let bound = if matches!(row.best, Best::Low) { "<=" } else { ">=" };
            let target = row.target.map_or(String::new(), |target| format!("{bound} {target}"));
            let floor = row.floor.map_or(String::new(), |floor| format!("{floor:.4} ms"));
            let (name, value, unit, verdict) = (&row.name, row.value, row.unit, row.verdict());
            println!("{name:<66} {value:>10.3} {unit:<2} {target:>9}  {floor:>12}  {verdict}");
        }
        self.rows.push(row);
    }

    /// No more rows come.
    pub fn end(&self) {
        if self.json {
            println!("{}", serde_json::json!({ "rows": self.rows }));
        }
    }
}
