//! Lines to and from an SMTP server: bounded in length and in time.
//!
//! Architecture invariant: knows no command. Everything read from the server is bounded before
//! it is kept.

use std::io;
use std::time::Duration;

use lettre::transport::smtp::response::Response;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::time::timeout;

use crate::core::outgoing::Attempt;
use crate::net::Stream;
use crate::transport::down;

/// Longest line of a reply, in bytes. RFC 5321 section 4.5.3.1.5 allows 512.
const REPLY_LINE_BYTES_MAX: u64 = 4096;

/// Most lines of a reply. The longest real EHLO answers have about 30.
const REPLY_LINES_MAX: usize = 128;

/// Bytes that must go out within one deadline.
const BLOCK_BYTES: usize = 64 * 1024;

/// A connection to an SMTP server.
pub struct Wire {
    stream: BufReader<Stream>,
}

impl Wire {
    /// Speaks over this connection.
    pub fn new(stream: Stream) -> Wire {
        Wire { stream: BufReader::new(stream) }
    }

    /// The connection beneath, if nothing is read ahead.
    pub fn into_stream(self) -> Option<Stream> {
        self.stream.buffer().is_empty().then(|| self.stream.into_inner())
    }

    /// The connection beneath.
    pub fn stream(&self) -> &Stream {
        self.stream.get_ref()
    }

    /// Writes, each block within the time.
    pub async fn write(&mut self, bytes: &[u8], within: Duration) -> Result<(), Attempt> {
        for block in bytes.chunks(BLOCK_BYTES) {
            let written = async {
                self.stream.write_all(block).await?;
                self.stream.flush().await
            };
            in_time(within, written).await?;
        }
        Ok(())
    }

    /// Reads one reply, the whole of it within the time.
    pub async fn reply(&mut self, within: Duration) -> Result<Response, Attempt> {
        let text = in_time(within, self.reply_text()).await?;
        text.parse().map_err(|_| down("protocol", format!("this is no SMTP reply: {text}")))
    }

    /// All lines of a reply, each with CRLF at its end.
    async fn reply_text(&mut self) -> io::Result<String> {
        let mut text = String::new();
        for _ in 0..REPLY_LINES_MAX {
            let line = self.line().await?;
            text.push_str(&line);
            // Some servers send the code alone; RFC 5321 section 4.2 asks us to take it.
            if line.len() == 3 {
                text.push(' ');
            }
            text.push_str("\r\n");
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(text);
            }
        }
        Err(io::Error::other(format!("the reply has more than {REPLY_LINES_MAX} lines")))
    }

    /// A line without its end. Bytes that are not UTF-8 are replaced: they are for people only.
    async fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        (&mut self.stream).take(REPLY_LINE_BYTES_MAX).read_until(b'\n', &mut line).await?;
        if line.pop() != Some(b'\n') {
            let long = line.len() as u64 + 1 >= REPLY_LINE_BYTES_MAX;
            let what = if long { "a reply line is too long" } else { "the server hung up" };
            return Err(io::Error::other(what));
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(String::from_utf8_lossy(&line).replace(['\r', '\n'], " "))
    }
}

async fn in_time<T>(
    within: Duration,
    step: impl Future<Output = io::Result<T>>,
) -> Result<T, Attempt> {
    match timeout(within, step).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(down("protocol", format!("the connection broke: {error}"))),
        Err(_) => Err(down("timeout", format!("the server took over {within:?}"))),
    }
}
