//! What scripts say reaches the host with module, place and level.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::testing::Bench;

/// Writes events as lines: level, target, fields.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<String>>);

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Lines {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("graceful::") && *metadata.level() <= Level::DEBUG
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = Line(format!("{} {}", event.metadata().level(), event.metadata().target()));
        event.record(&mut line);
        let _ = writeln!(self.0.lock().unwrap(), "{}", line.0);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn said(text: &str) -> Vec<String> {
    let lines = Lines::default();
    tracing::subscriber::with_default(lines.clone(), || {
        let bench = Bench::app(text);
        bench.pass(10);
    });
    let text = lines.0.lock().unwrap();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn every_level_says_who_and_where() {
    let text = "local log = require 'log'
        log.info('%d of %s', 3, 'four')
        log.warn('50%', 'off', nil, true)
        log.error('%d', 'x')
        log.verbose(setmetatable({}, { __tostring = function() return 'shown' end }))
        log.info('order', { item = 'tea', sizes = { 1, 2 } })
        log.trace('unheard')";
    assert_eq!(
        said(text),
        [
            "INFO graceful::script message=3 of four module=\"app\" place=\"app.lua:2\"",
            "WARN graceful::script message=50% off nil true module=\"app\" place=\"app.lua:3\"",
            "ERROR graceful::script message=%d x module=\"app\" place=\"app.lua:4\"",
            "DEBUG graceful::script message=shown module=\"app\" place=\"app.lua:5\"",
            "INFO graceful::script message=order {item = \"tea\", sizes = {1, 2}} module=\"app\" place=\"app.lua:6\"",
        ]
    );
}

#[test]
fn a_fiber_that_throws_is_named_with_module_and_place() {
    let text = "local fiber = require 'fiber'
        fiber.new(function() fiber.name('poller') fiber.yield() error('lost') end)
        fiber.new(function() fiber.self():cancel() fiber.yield() error('never') end)";
    assert_eq!(
        said(text),
        [
            "ERROR graceful::fiber message=fiber failed: lost module=\"app\" fiber=\"poller\" place=\"app.lua:2\""
        ]
    );
}
