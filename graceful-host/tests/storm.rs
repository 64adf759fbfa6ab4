//! Five edits a second, good, broken, mended and reverted, under load: no request fails, no stream breaks, and the
//! state is right at the end. `GRACEFUL_STORM_ROUNDS` makes it longer than the 40 rounds it has by default.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{AppDir, Load, PATIENCE, Stream, get, until};

const MANIFEST: &str = "name = 'storm'\nentry = ['web']\n[reload]\ndebounce = '20ms'\n";

/// Counts, in a state that a reload hook works on: it is copied, drained and frozen at each reload of its set.
const COUNTER: &str = "
local graceful = require('graceful')
local step = require('step')
local counter = graceful.register_module('counter', {
    version = 'VERSION',
    init = function(mod) mod.state.count, mod.state.reloads = 0, 0 end,
    before_reload = function(mod) mod.state.inside = true end,
    after_reload = function(mod)
        mod.state.reloads = mod.state.reloads + 1
        HOOK
        mod.state.inside = nil
    end,
})
local M = {}
function M.count()
    assert(not counter.state.inside, 'a call ran in the middle of a reload')
    counter.state.count = counter.state.count + step.step()
    return counter.state.count
end
function M.seen() return counter.state.count end
return M
";

const WEB: &str = "
local events = require('events')
local fiber = require('fiber')
local graceful = require('graceful')
local http = require('http')
local counter = require('counter')
local label = require('label')

local web = graceful.register_module('web', {
    version = '1.0.0',
    init = function(mod)
        mod.state.tick = 0
        mod.state.ticker = fiber.new(function(state)
            while true do
                fiber.sleep(0.01)
                state.tick = state.tick + 1
                events.publish('ticks', state.tick)
            end
        end, mod.state)
    end,
})
http.route('GET', '/label', function() return label.first() .. ' ' .. label.second() end)
http.route('GET', '/count', function() return tostring(counter.count()) end)
http.route('GET', '/seen', function() return tostring(counter.seen()) end)
http.route('GET', '/events', function() return { events = 'ticks' } end)
";

/// In Rhai; both functions say the same number in one generation.
fn label(n: usize) -> String {
    format!("fn first() {{ \"{n}\" }}\nfn second() {{ \"{n}\" }}\n")
}

fn counter(n: usize, hook: &str) -> String {
    COUNTER.replace("VERSION", &format!("1.0.{n}")).replace("HOOK", hook)
}

/// What is edited in round `n`. The four of a cycle end with what was there before.
fn edit(dir: &AppDir, n: usize) {
    let cycle = n / 4;
    match n % 4 {
        0 => dir.write("label.rhai", &label(n)),
        1 => match cycle % 4 {
            0 => dir.write("label.rhai", "fn first() { \"broken\" "),
            1 => dir.write("counter.lua", &counter(n, "error('a failing hook')")),
            2 => dir.write("web.lua", &format!("{WEB}\nerror('a failing top level')")),
            _ => dir.remove("label.rhai"),
        },
        2 => {
            dir.write("label.rhai", &label(n));
            dir.write("web.lua", WEB);
            dir.write("counter.lua", &counter(n, ""));
        }
        _ => dir.write("label.rhai", &label(n - 3)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_nothing_is_lost_in_a_storm_of_edits() {
    let rounds: usize = std::env::var("GRACEFUL_STORM_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    let dir = AppDir::new(&[
        ("graceful.toml", MANIFEST),
        ("web.lua", WEB),
        ("counter.lua", &counter(0, "")),
        ("step.lua", "local M = {} function M.step() return 1 end return M"),
        ("label.rhai", &label(0)),
    ]);
    let reloads: Arc<[AtomicU64; 2]> = Arc::default();
    let mut options = dir.options();
    options.watch = Some(true);
    let counts = reloads.clone();
    options.on_reload = Some(Arc::new(move |_, result| {
        counts[usize::from(result.is_err())].fetch_add(1, Ordering::Relaxed);
        if result.as_ref().is_err_and(|failure| failure.outcome == "stuck") {
            panic!("stuck: {result:?}");
        }
    }));
    let running = dir.start(options).await;
    let stream = Stream::open(&running, "/events").await;
    let labels = Load::start(&running, 8, "/label", |status, body| {
        let one_generation = body.split_once(' ').is_some_and(|(first, second)| first == second && first != "broken");
        (status != 200 || !one_generation).then(|| format!("{status} {body}"))
    })
    .await;
    let counting = Load::start(&running, 8, "/count", |status, body| {
        (status != 200 || body.parse::<u64>().is_err()).then(|| format!("{status} {body}"))
    })
    .await;
    let begun = Instant::now();
    for n in 0..rounds {
        edit(&dir, n);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    dir.write("web.lua", WEB);
    dir.write("label.rhai", &label(rounds));
    dir.write("counter.lua", &counter(rounds, ""));
    until(&running, "/label", &format!("{rounds} {rounds}")).await;
    let counted = counting.finish().await;
    let labelled = labels.finish().await;
    let (good, bad) = (reloads[0].load(Ordering::Relaxed), reloads[1].load(Ordering::Relaxed));
    println!(
        "{rounds} rounds in {:?}: {good} reloads, {bad} failed ones, {} requests, {} ticks",
        begun.elapsed(),
        counted + labelled,
        stream.events().len()
    );
    assert!(good as usize > rounds / 3 && bad as usize > rounds / 8, "{good} good, {bad} bad: too few to be a storm");
    assert_eq!(get(&running, "/seen").await, (200, counted.to_string()), "each call counted once");
    let ticks = stream.events().len();
    stream.more_than(ticks).await;
    let events = stream.events();
    let tick = |event: &String| event.lines().find_map(|line| line.strip_prefix("data: ")?.parse::<u64>().ok());
    let ticks: Vec<u64> = events.iter().map(|event| tick(event).unwrap()).collect();
    assert!(ticks.windows(2).all(|pair| pair[1] == pair[0] + 1), "one ticker, no tick lost or doubled: {ticks:?}");
    at_rest(&dir).await;
    assert!(running.stop().await);
}

/// After the storm nothing old is held, nothing is stuck, and one task runs.
async fn at_rest(dir: &AppDir) {
    let begun = Instant::now();
    loop {
        let status = dir.admin().status().await.unwrap();
        let held = status.modules.iter().any(|module| !module.held.is_empty() || module.in_flight > 0);
        if status.state == "idle" && !held {
            let tasks: usize = status.modules.iter().map(|module| module.tasks).sum();
            assert_eq!(tasks, 1, "{status:?}");
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{status:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
