//! How long it takes to say what a reload would do.

use std::time::Duration;

use graceful_core::ReloadOptions;

use crate::app::App;
use crate::lua::forced;
use crate::measure::{Size, median, time};
use crate::table::{Row, Table};

fn planned(app: &App, options: &dyn Fn() -> ReloadOptions, runs: usize) -> Duration {
    median((0..runs).map(|_| time(|| drop(app.clock.block_on(app.engine.plan(options())).unwrap()))))
}

pub fn plan(size: &Size, table: &mut Table) {
    let (half, whole) = (App::new(size.planned / 2), App::new(size.planned));
    let ways: [(&str, &dyn Fn() -> ReloadOptions); 2] =
        [("all of them", &forced), ("what changed, by reading and hashing all", &ReloadOptions::default)];
    let mut took = Vec::new();
    for (what, options) in ways {
        let [half, whole] = [&half, &whole].map(|app| planned(app, options, size.runs));
        let most = 100.0 * size.planned as f64 / 50_000.0;
        table.add(Row::time(format!("plan of {} modules: {what}", size.planned), whole).at_most(most));
        // Linear is 2; a tenth more is the machine's.
        table.add(Row::ratio(format!("the same, of {} modules", size.planned / 2), whole, half).at_most(2.2));
        took.push(whole);
    }
    // What they share is reading and hashing: no text that is the same is parsed. The rest is the order.
    table.add(Row::ratio("all of them, of reading and hashing all", took[0], took[1]));
}
