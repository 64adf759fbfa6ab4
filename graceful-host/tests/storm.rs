//! Five edits a second, good, broken, mended and reverted, under load: no request fails, no stream breaks, and the
//! state is right at the end. `GRACEFUL_STORM_ROUNDS` makes it longer than the 40 rounds it has by default.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use common::{AppDir, Load, PATIENCE, Stream, get, until};

const MANIFEST: &str = "name = 'storm'\nentry = ['web']\n[reload]\ndebounce = '20ms'\n";

/// One app; its files are in `storm_apps`.
struct App {
    dir: AppDir,
    /// What `web`, `counter` and `step` are written in.
    pages: &'static str,
    /// What `label` is written in.
    label: &'static str,
}

impl App {
    fn new(pages: &'static str, label: &'static str) -> Self {
        let app = Self { dir: AppDir::new(&[("graceful.toml", MANIFEST)]), pages, label };
        app.put("step", pages, |text| text);
        app.mend(0);
        app
    }

    fn put(&self, module: &str, language: &str, change: impl FnOnce(String) -> String) {
        let file = format!("{module}.{language}");
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/storm_apps/");
        let text = std::fs::read_to_string(format!("{text}{file}")).unwrap();
        self.dir.write(&file, &change(text));
    }

    /// `label` says `number`.
    fn label(&self, number: usize) {
        self.put("label", self.label, |text| text.replace("NUMBER", &number.to_string()));
    }

    /// Everything good, and `label` says `number`.
    fn mend(&self, number: usize) {
        self.label(number);
        self.put("web", self.pages, |text| text);
        let version = format!("1.0.{number}");
        self.put("counter", self.pages, |text| text.replace("1.0.0", &version));
    }

    /// The edit of round `n`. The last of the four in a cycle brings back what the first one made.
    fn edit(&self, n: usize) {
        let throw = if self.pages == "lua" { "error('broken')" } else { "throw \"broken\";" };
        match n % 4 {
            0 => self.label(n),
            1 => match n / 4 % 4 {
                0 => self.put("label", self.label, |text| text + "\nfn ( {"),
                1 => self.put("counter", self.pages, |text| {
                    let (end, comment) = ("the hook's end", if self.pages == "lua" { "-- " } else { "// " });
                    assert!(text.contains(end));
                    text.replace("1.0.0", &format!("1.0.{n}")).replace(&format!("{comment}{end}"), throw)
                }),
                2 => self.put("web", self.pages, |text| format!("{text}\n{throw}\n")),
                _ => self.dir.remove(&format!("label.{}", self.label)),
            },
            2 => self.mend(n),
            _ => self.label(n - 3),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_nothing_is_lost_in_a_storm_of_edits_with_lua_pages() {
    storm(App::new("lua", "rhai")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn call_03_nothing_is_lost_in_a_storm_of_edits_with_rhai_pages() {
    storm(App::new("rhai", "rhai")).await;
}

async fn storm(app: App) {
    // The storms are measured against a clock: one at a time.
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _one = ONE.lock().await;
    let rounds: usize = std::env::var("GRACEFUL_STORM_ROUNDS").map_or(40, |rounds| rounds.parse().unwrap());
    let dir = &app.dir;
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
        let one_generation =
            body.split_once(' ').is_some_and(|(first, second)| first == second && first != "broken");
        (status != 200 || !one_generation).then(|| format!("{status} {body}"))
    })
    .await;
    let counting = Load::start(&running, 8, "/count", |status, body| {
        (status != 200 || body.parse::<u64>().is_err()).then(|| format!("{status} {body}"))
    })
    .await;
    let begun = Instant::now();
    for n in 0..rounds {
        app.edit(n);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    app.mend(rounds);
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
    assert!(
        good as usize > rounds / 3 && bad as usize > rounds / 8,
        "{good} good, {bad} bad: too few to be a storm"
    );
    assert_eq!(get(&running, "/seen").await, (200, counted.to_string()), "each call counted once");
    let ticks = stream.events().len();
    stream.more_than(ticks).await;
    let events = stream.events();
    let tick =
        |event: &String| event.lines().find_map(|line| line.strip_prefix("data: ")?.parse::<u64>().ok());
    let ticks: Vec<u64> = events.iter().map(|event| tick(event).unwrap()).collect();
    assert!(
        ticks.windows(2).all(|pair| pair[1] == pair[0] + 1),
        "one ticker, no tick lost or doubled: {ticks:?}"
    );
    at_rest(dir).await;
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
