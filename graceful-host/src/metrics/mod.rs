//! Metrics in Prometheus' text format: the events counted, and what the status shows at the moment of asking.

mod catalogue;
mod read;
mod tally;
mod text;

use std::sync::Mutex;

use graceful_core::{Event, Observer, Status};

pub use catalogue::{CATALOGUE, Kind, Metric};
pub(crate) use read::{MetricsSite, answer, bind};
use tally::Tally;

/// The media type of the text.
pub(crate) const MEDIA_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Counts an engine's events and shows them, with its status, as metrics. A [`Host`](crate::Host) has one; an
/// embedder without a host subscribes its own.
///
/// ```
/// # use std::sync::Arc;
/// # use graceful_core::Engine;
/// # use graceful_host::{Metrics, TokioClock};
/// # let runtime = tokio::runtime::Runtime::new().unwrap();
/// # let _inside = runtime.enter();
/// let metrics = Arc::new(Metrics::default());
/// let engine = Engine::builder(Arc::new(TokioClock::new())).observer(metrics.clone()).build();
/// assert!(metrics.text(&engine.status()).contains("\ngraceful_generation 0\n"));
/// ```
#[derive(Default)]
pub struct Metrics {
    tally: Mutex<Tally>,
}

impl Metrics {
    /// Every metric of the [`CATALOGUE`], as text. What is counted for each module is forgotten with the module.
    pub fn text(&self, status: &Status) -> String {
        let mut tally = self.tally.lock().unwrap();
        tally.forget_all_but(status);
        text::text(&tally, status)
    }
}

impl Observer for Metrics {
    fn on_event(&self, event: &Event) {
        self.tally.lock().unwrap().count(event);
    }
}
