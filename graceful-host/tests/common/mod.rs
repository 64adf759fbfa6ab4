//! An app in a folder of its own, served over loopback, and clients that keep their connections.
#![allow(dead_code, reason = "each test file uses its part")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use graceful_host::{AdminClient, Host, HostOptions, Running};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// Longer than anything here takes, so that a test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An app's folder.
pub struct AppDir(TempDir);

impl AppDir {
    /// A folder with these files.
    pub fn new(files: &[(&str, &str)]) -> Self {
        let dir = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|(path, text)| dir.write(path, text));
        dir
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, path: &str) -> PathBuf {
        self.path().join(path)
    }

    /// Puts the whole text in place at once, as careful editors do.
    pub fn write(&self, path: &str, text: &str) {
        let whole = self.file(path);
        std::fs::create_dir_all(whole.parent().unwrap()).unwrap();
        let beside = self.file(&format!(".{}.new", path.replace('/', "-")));
        std::fs::write(&beside, text).unwrap();
        std::fs::rename(beside, whole).unwrap();
    }

    pub fn remove(&self, path: &str) {
        std::fs::remove_file(self.file(path)).unwrap();
    }

    /// Replaces `from`, which must be there, in a file.
    pub fn edit(&self, path: &str, from: &str, to: &str) {
        let text = std::fs::read_to_string(self.file(path)).unwrap();
        assert!(text.contains(from), "{path} has no `{from}`:\n{text}");
        self.write(path, &text.replace(from, to));
    }

    /// Options with an admin socket inside the folder and any free port.
    pub fn options(&self) -> HostOptions {
        let mut options = HostOptions::default();
        options.listen = Some("127.0.0.1:0".into());
        options.admin = Some(self.file(".admin.sock"));
        options
    }

    pub async fn start(&self, options: HostOptions) -> Running {
        let host = Host::open(self.path(), options).unwrap_or_else(|error| panic!("{error}"));
        host.start().await.unwrap_or_else(|error| panic!("{error}: {:?}", error.failure()))
    }

    pub fn admin(&self) -> AdminClient {
        AdminClient::new(self.file(".admin.sock"), PATIENCE)
    }
}

/// One kept connection.
pub struct Client {
    sender: SendRequest<Full<Bytes>>,
}

impl Client {
    pub async fn connect(running: &Running) -> Self {
        Self::at(running.address().unwrap()).await
    }

    pub async fn at(address: std::net::SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self { sender }
    }

    /// Sends one request on this connection; an error means that the connection broke.
    pub async fn send(
        &mut self,
        method: &str,
        target: &str,
        body: &str,
    ) -> Result<Response<Incoming>, String> {
        self.sender.ready().await.map_err(|error| format!("not ready: {error}"))?;
        let request = Request::builder().method(method).uri(target).header("host", "test");
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let response = tokio::time::timeout(PATIENCE, self.sender.send_request(request)).await;
        response.map_err(|_| format!("{target}: no answer"))?.map_err(|error| format!("{target}: {error}"))
    }

    /// Status and body of a GET.
    pub async fn get(&mut self, target: &str) -> Result<(u16, String), String> {
        let response = self.send("GET", target, "").await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map_err(|error| format!("{target}: {error}"))?;
        Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
    }
}

/// One GET on a connection of its own.
pub async fn get(running: &Running, target: &str) -> (u16, String) {
    Client::connect(running).await.get(target).await.unwrap()
}

/// Waits until `target` answers with `expected`; fails with what it answered instead.
pub async fn until(running: &Running, target: &str, expected: &str) {
    let begun = Instant::now();
    let mut client = Client::connect(running).await;
    loop {
        let got = client.get(target).await.unwrap();
        if got.1 == expected {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{target} answers {got:?}, not {expected:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Many kept connections that ask without a pause, and what they saw.
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    clients: Vec<JoinHandle<Vec<String>>>,
}

impl Load {
    /// `check` says what is wrong with an answer.
    pub async fn start(
        running: &Running,
        connections: usize,
        target: &'static str,
        check: impl Fn(u16, &str) -> Option<String> + Clone + Send + 'static,
    ) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut clients = Vec::new();
        for _ in 0..connections {
            let mut client = Client::connect(running).await;
            let (stop, answered, check) = (stop.clone(), answered.clone(), check.clone());
            clients.push(tokio::spawn(async move {
                let mut wrong = Vec::new();
                while !stop.load(Ordering::Relaxed) && wrong.len() < 5 {
                    match client.get(target).await {
                        Ok((status, body)) => wrong.extend(check(status, &body)),
                        Err(broken) => {
                            wrong.push(broken);
                            break;
                        }
                    }
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                wrong
            }));
        }
        Self { stop, answered, clients }
    }

    /// How many requests were answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends the load; fails if any answer was wrong or any connection broke. Returns how many were answered.
    pub async fn finish(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        let mut wrong = Vec::new();
        for client in self.clients {
            wrong.extend(client.await.unwrap());
        }
        assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), &wrong[..wrong.len().min(10)]);
        self.answered.load(Ordering::Relaxed)
    }
}

/// An event stream that is read in the background.
pub struct Stream {
    events: Arc<std::sync::Mutex<Vec<String>>>,
    reader: JoinHandle<()>,
}

impl Stream {
    /// Opens the stream at `target` and reads it from now on.
    pub async fn open(running: &Running, target: &str) -> Self {
        let mut client = Client::connect(running).await;
        let response = client.send("GET", target, "").await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let events: Arc<std::sync::Mutex<Vec<String>>> = Arc::default();
        let into = events.clone();
        let reader = tokio::spawn(async move {
            let mut body = response.into_body();
            let mut text = String::new();
            while let Some(Ok(frame)) = body.frame().await {
                text.push_str(&String::from_utf8_lossy(frame.data_ref().unwrap_or(&Bytes::new())));
                while let Some(end) = text.find("\n\n") {
                    let event: String = text.drain(..end + 2).collect();
                    if !event.starts_with(':') {
                        into.lock().unwrap().push(event);
                    }
                }
            }
            drop(client);
        });
        Self { events, reader }
    }

    /// The events so far.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    /// Whether the server still sends.
    pub fn is_open(&self) -> bool {
        !self.reader.is_finished()
    }

    /// Waits until more than `count` events have come.
    pub async fn more_than(&self, count: usize) {
        let begun = Instant::now();
        while self.events().len() <= count {
            assert!(begun.elapsed() < PATIENCE, "only {} events", self.events().len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Waits until the server has ended the stream.
    pub async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.reader).await.expect("the stream ends").unwrap();
    }
}
