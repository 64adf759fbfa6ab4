//! The shop of the examples under load: requests a second and how long they take, with reloads and without.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use graceful_bench::http::Connection;
use graceful_core::ReloadOptions;
use graceful_host::{Host, HostOptions, Running};

use crate::measure::{Size, median};
use crate::table::{Row, Table};

const CONNECTIONS: usize = 4;
/// Ten reloads a second.
const PACE: Duration = Duration::from_millis(100);

/// What one load saw.
struct Load {
    per_second: f64,
    p99: Duration,
}

/// A copy of the shop, served.
struct Shop {
    folder: tempfile::TempDir,
    running: Running,
    edits: usize,
}

impl Shop {
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/shop");
        for file in fs::read_dir(shop).unwrap() {
            let from: PathBuf = file.unwrap().path();
            if from.is_file() {
                fs::copy(&from, folder.path().join(from.file_name().unwrap())).unwrap();
            }
        }
        let mut options = HostOptions::default();
        (options.listen, options.no_admin, options.watch) = (Some("127.0.0.1:0".into()), true, Some(false));
        let running = Host::open(folder.path(), options).unwrap().start().await.unwrap();
        Self { folder, running, edits: 0 }
    }

    async fn reload(&mut self) {
        self.edits += 1;
        let file = self.folder.path().join("pricing.rhai");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, format!("{text}\n// {}", self.edits)).unwrap();
        self.running.host().engine().reload(ReloadOptions::default()).await.unwrap();
    }

    async fn loaded(&mut self, reloads: bool, lasts: Duration) -> Load {
        let address = self.running.address().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let clients: Vec<_> = (0..CONNECTIONS).map(|_| tokio::spawn(client(address, stop.clone()))).collect();
        let began = Instant::now();
        while began.elapsed() < lasts {
            tokio::time::sleep(PACE).await;
            if reloads {
                self.reload().await;
            }
        }
        stop.store(true, Ordering::Relaxed);
        let mut waits = Vec::new();
        for client in clients {
            waits.extend(client.await.unwrap());
        }
        let lasted = began.elapsed().as_secs_f64();
        waits.sort();
        Load { per_second: waits.len() as f64 / lasted, p99: waits[waits.len() * 99 / 100] }
    }
}

async fn client(address: SocketAddr, stop: Arc<AtomicBool>) -> Vec<Duration> {
    let (mut connection, mut waits) = (Connection::open(address).await.unwrap(), Vec::new());
    while !stop.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (status, body) = connection.get("/price/tea", false).await.unwrap();
        assert_eq!(status, 200, "{body}");
        waits.push(began.elapsed());
    }
    waits
}

pub fn http(size: &Size, table: &mut Table) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let (mut quiet, mut busy) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let mut shop = Shop::start().await;
        let lasts = Duration::from_millis(250 * size.runs as u64);
        for _ in 0..size.runs.min(5) {
            quiet.push(shop.loaded(false, lasts).await);
            busy.push(shop.loaded(true, lasts).await);
        }
        shop.running.stop().await;
    });
    let middle = |loads: &[Load]| {
        let mut all: Vec<f64> = loads.iter().map(|load| load.per_second).collect();
        all.sort_by(f64::total_cmp);
        (all[all.len() / 2], median(loads.iter().map(|load| load.p99)))
    };
    let ((quiet, idle), (busy, with)) = (middle(&quiet), middle(&busy));
    table.add(Row::new("the shop: requests a second without reloads", quiet, "/s").best_high());
    table.add(Row::new("the same with ten reloads a second, of without", busy / quiet, "x").at_least(0.95));
    table.add(
        Row::ratio("the slowest hundredth with ten reloads a second, of without", with, idle).at_most(2.0),
    );
}
