//! A client of little cost: one connection, one request after the other, bodies with a length, and event streams.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A request that takes longer than this has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// One connection.
pub struct Connection {
    stream: TcpStream,
    read: Vec<u8>,
}

/// Status and body.
pub type Answer = (u16, String);

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// Nobody listens, or not in time.
    pub async fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = timeout(PATIENCE, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        Ok(Self { stream, read: Vec::with_capacity(1024) })
    }

    /// One GET. The server ends the connection after it if `last` says so.
    ///
    /// # Errors
    /// The connection broke, or the answer did not come in time or is none.
    pub async fn get(&mut self, path: &str, last: bool) -> io::Result<Answer> {
        timeout(PATIENCE, self.exchange(path, last)).await?
    }

    async fn exchange(&mut self, path: &str, last: bool) -> io::Result<Answer> {
        let end = if last { "connection: close\r\n" } else { "" };
        let request = format!("GET {path} HTTP/1.1\r\nhost: storm\r\n{end}\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let (status, head) = self.head().await?;
        let length = length_of(&head).ok_or_else(|| invalid("an answer without a length"))?;
        while self.read.len() < length {
            self.more().await?;
        }
        let body = String::from_utf8_lossy(&self.read[..length]).into_owned();
        self.read.drain(..length);
        Ok((status, body))
    }

    /// Asks for an event stream; [`event`](Self::event) reads it.
    ///
    /// # Errors
    /// It is not one.
    pub async fn stream(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: storm\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        let (status, head) = timeout(PATIENCE, self.head()).await??;
        if status == 200 && head.contains("text/event-stream") {
            Ok(())
        } else {
            Err(invalid(&format!("{path} is no event stream: {head}")))
        }
    }

    /// The content of the next event of the stream.
    ///
    /// # Errors
    /// The stream ended, or is silent for too long.
    pub async fn event(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = find(&self.read, b"\n\n") {
                let text = String::from_utf8_lossy(&self.read[..end]).into_owned();
                self.read.drain(..end + 2);
                // What frames the chunks stands between the events.
                if let Some(at) = text.find("data: ") {
                    return Ok(text[at + 6..].to_owned());
                }
                continue;
            }
            timeout(PATIENCE, self.more()).await??;
        }
    }

    async fn head(&mut self) -> io::Result<(u16, String)> {
        let end = loop {
            match find(&self.read, b"\r\n\r\n") {
                Some(end) => break end,
                None => self.more().await?,
            }
        };
        let head = String::from_utf8_lossy(&self.read[..end]).to_ascii_lowercase();
        self.read.drain(..end + 4);
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((status.ok_or_else(|| invalid(&head))?, head))
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

fn length_of(head: &str) -> Option<usize> {
    let line = head.lines().find_map(|line| line.strip_prefix("content-length:"))?;
    line.trim().parse().ok()
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.to_owned())
}
