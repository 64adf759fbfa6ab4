//! The load: kept connections, new ones, and event streams, on a thread of their own, each answer looked at.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use graceful_testkit::random::Random;
use tokio::task::JoinSet;

use super::witness::{Ledger, Once, Page, Seen};
use crate::http::{Answer, Connection};

/// How many clients there are of each kind.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    /// Clients that keep their connection.
    pub kept: usize,
    /// Clients that connect for each request.
    pub new: usize,
    /// Readers of an event stream.
    pub streams: usize,
}

/// Clients that ask without a pause.
pub struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// What `/count` answered.
    pub counted: Arc<Once>,
}

struct Client {
    address: SocketAddr,
    ledger: Arc<Ledger>,
    counted: Arc<Once>,
    stop: Arc<AtomicBool>,
    random: Random,
    seen: Seen,
}

impl Load {
    /// Begins to ask the app at `address`.
    pub fn start(address: SocketAddr, crowd: Crowd, ledger: &Arc<Ledger>, seed: u64) -> Self {
        let (stop, counted) = (Arc::<AtomicBool>::default(), Arc::<Once>::default());
        let client = {
            let (stop, counted, ledger) = (stop.clone(), counted.clone(), ledger.clone());
            move |n: usize| Client {
                address,
                ledger: ledger.clone(),
                counted: counted.clone(),
                stop: stop.clone(),
                random: Random::new(seed + n as u64),
                seen: Seen::default(),
            }
        };
        let thread = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async move {
                let mut all = JoinSet::new();
                for n in 0..crowd.kept {
                    all.spawn(client(n).keeps());
                }
                for n in 0..crowd.new {
                    all.spawn(client(1000 + n).connects());
                }
                for n in 0..crowd.streams {
                    all.spawn(client(2000 + n).reads());
                }
                while all.join_next().await.is_some() {}
            });
        });
        Self { stop, threads: vec![thread], counted }
    }

    /// Ends the load and waits until everything that was asked is answered and looked at.
    pub fn finish(self) {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().expect("the clients end");
        }
    }
}

impl Client {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn path(&mut self) -> &'static str {
        match self.random.below(20) {
            0 => "/slow",
            1..=5 => "/count",
            6..=9 => "/price",
            _ => "/tags",
        }
    }

    /// Looks at one answer.
    fn look(&mut self, path: &str, floor: usize, answer: std::io::Result<Answer>) -> bool {
        let (status, body) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.ledger.fail(format!("{path}: {error}"));
                return false;
            }
        };
        self.ledger.answered.fetch_add(1, Ordering::Relaxed);
        if status != 200 {
            self.ledger.fail(format!("{path}: {status} {body}"));
            return true;
        }
        let page = match path {
            "/count" => {
                if !body.parse().is_ok_and(|number| self.counted.first(number)) {
                    self.ledger.mix(format!("/count said {body}, and not for the first time"));
                }
                return true;
            }
            "/price" => Page::Roles,
            _ => Page::Pages,
        };
        match page.read(&body) {
            Some(shown) => self.seen.note(floor, page, shown),
            None => self.ledger.mix(format!("{path}: {body}")),
        }
        true
    }

    async fn keeps(mut self) {
        let mut connection = None;
        while self.goes_on() {
            let mut open = match connection.take() {
                Some(open) => open,
                None => match Connection::open(self.address).await {
                    Ok(open) => open,
                    Err(error) => return self.ledger.fail(format!("cannot connect: {error}")),
                },
            };
            let (path, floor) = (self.path(), self.ledger.floor());
            let answer = open.get(path, false).await;
            if self.look(path, floor, answer) {
                connection = Some(open);
            }
        }
        self.ledger.clone().judge(&self.seen);
    }

    async fn connects(mut self) {
        while self.goes_on() {
            let (path, floor) = (self.path(), self.ledger.floor());
            let answer = match Connection::open(self.address).await {
                Ok(mut open) => open.get(path, true).await,
                Err(error) => Err(error),
            };
            self.look(path, floor, answer);
        }
        self.ledger.clone().judge(&self.seen);
    }

    /// Reads a stream: each tick is one more than the one before.
    async fn reads(self) {
        let mut stream = match Connection::open(self.address).await {
            Ok(open) => open,
            Err(error) => return self.ledger.fail(format!("cannot connect: {error}")),
        };
        if let Err(error) = stream.stream("/events").await {
            return self.ledger.fail(error.to_string());
        }
        let mut last: Option<u64> = None;
        while self.goes_on() {
            let tick = match stream.event().await {
                Ok(text) => text.trim().parse().ok(),
                Err(error) => return self.ledger.fail(format!("the stream broke: {error}")),
            };
            match (last, tick) {
                (Some(last), Some(tick)) if tick == last + 1 => {}
                (None, Some(_)) => {}
                _ => self.ledger.mix(format!("the stream went from {last:?} to {tick:?}")),
            }
            last = tick;
        }
    }
}
