//! The places in scripts where a call can yield, each with a latch before it.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use crate::op::{Op, note, wait};
use crate::scenario::App;
use crate::script::Script;

/// The places in the functions of an app.
#[derive(Default)]
pub(super) struct Points(Mutex<BTreeSet<String>>);

impl Points {
    pub(super) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The same script, which says where it is before it yields, and waits for a latch there.
    pub(super) fn mark(&self, mut script: Script) -> Script {
        for (function, ops) in &mut script.functions {
            let mut at = 0;
            let marked = std::mem::take(ops).into_iter().flat_map(|op| {
                let mut marked = Vec::new();
                if matches!(op, Op::Yield | Op::Sleep { .. }) {
                    at += 1;
                    let place = format!("{}.{function} {at}", script.name);
                    marked.extend([note(said(&place).as_str()), wait(&place)]);
                    self.0.lock().unwrap().insert(place);
                }
                marked.push(op);
                marked
            });
            *ops = marked.collect();
        }
        script
    }

    /// Lets calls pass at every place but `stop`.
    pub(super) fn open(&self, app: &App, stop: Option<&String>) {
        let places = self.0.lock().unwrap().clone();
        places.iter().filter(|place| Some(*place) != stop).for_each(|place| app.open(place));
    }

    /// The places that calls have passed.
    pub(super) fn passed(&self, app: &App) -> Vec<String> {
        let notes = app.trace().notes();
        let places = self.0.lock().unwrap().clone();
        places.into_iter().filter(|place| notes.contains(&said(place))).collect()
    }

    /// Whether a call stands at `place`.
    pub(super) fn is_reached(app: &App, place: &str) -> bool {
        app.trace().notes().contains(&said(place))
    }
}

fn said(place: &str) -> String {
    format!("at {place}")
}
