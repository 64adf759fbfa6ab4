//! What reloads cost, each beside its floor in the same run: `cargo run --release -p graceful-bench --bin scale`.
//!
//! A row is a ratio to its floor wherever there is one; docs/performance.md says what each means.

mod calls;
mod endurance;
mod http;
mod lua;
mod measure;
mod plan;
mod plots;
mod rhai;
mod stall;
mod state;
mod table;

use std::path::PathBuf;

use clap::Parser;
use measure::Size;
use table::Table;

/// The app that is measured, as the benches of the adapter have it.
#[path = "../../../../graceful-lua/benches/reload/app.rs"]
#[allow(dead_code, reason = "the benches use other parts of it")]
mod app;

/// Measures what reloads cost.
#[derive(Parser)]
struct Args {
    /// Prints one JSON object with a row for each line of the table, and nothing else.
    #[arg(long)]
    json: bool,
    /// Smaller apps and fewer rounds: shows that everything runs; the figures are rough.
    #[arg(long)]
    quick: bool,
    /// Only these parts.
    #[arg(long = "part", value_name = "PART", value_parser = PARTS.map(|(name, _)| name))]
    parts: Vec<String>,
    /// Draws the plots into this folder, as SVG.
    #[arg(long, value_name = "FOLDER")]
    plots: Option<PathBuf>,
}

type Part = (&'static str, fn(&Size, &mut Table));

const PARTS: [Part; 9] = [
    ("all", lua::all),
    ("stall", stall::stall),
    ("leaf", lua::leaf),
    ("calls", calls::calls),
    ("state", state::state),
    ("rhai", rhai::rhai),
    ("plan", plan::plan),
    ("http", http::http),
    ("endurance", endurance::endurance),
];

fn main() {
    let args = Args::parse();
    let size = if args.quick { Size::QUICK } else { Size::WHOLE };
    let mut table = Table::new(args.json);
    for (name, part) in PARTS {
        if args.parts.is_empty() || args.parts.iter().any(|wanted| wanted == name) {
            table.part(name);
            part(&size, &mut table);
        }
    }
    table.end();
    if let Some(folder) = args.plots {
        plots::draw(&size, &folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    }
}
