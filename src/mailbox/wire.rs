//! A connection as lines of text: POP3 throughout, IMAP until STARTTLS.
//!
//! Architecture invariant: no read waits longer than the deadline of the step, and no line grows
//! beyond [`LINE_BYTES_MAX`].

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::time::{Instant, timeout_at};

use super::MailboxError;
use crate::net::Stream;

/// Longest line of an answer. RFC 1939 section 3 allows 512, real servers send more.
pub const LINE_BYTES_MAX: usize = 8 * 1024;
/// Slowest transfer we accept; a server that drips is given up.
pub const TRANSFER_BYTES_PER_SECOND_MIN: u64 = 4 * 1024;
/// Bytes read from the connection at a time.
const BUFFER_BYTES: usize = 64 * 1024;

/// A connection with a deadline for what is being done on it.
#[derive(Debug)]
pub struct Wire {
    io: BufReader<Stream>,
    /// Time for each step, beside the time for its bytes.
    timeout: Duration,
    /// What is being done, for the error.
    step: &'static str,
    /// When the step has to be over.
    deadline: Instant,
}

impl Wire {
    /// Takes over a connection.
    pub fn new(stream: Stream, timeout: Duration) -> Wire {
        let io = BufReader::with_capacity(BUFFER_BYTES, stream);
        Wire { io, timeout, step: "greeting", deadline: Instant::now() + timeout }
    }

    /// Begins a step that transfers about this many bytes.
    pub fn begin(&mut self, step: &'static str, bytes: u64) {
        self.step = step;
        self.deadline = Instant::now() + time_for(self.timeout, bytes);
    }

    /// Gives the step the time for this many bytes that came beside those it was begun with. Time
    /// is given for what is there, not for what was announced.
    pub fn extend(&mut self, bytes: usize) {
        let micros = bytes as u64 * 1_000_000 / TRANSFER_BYTES_PER_SECOND_MIN;
        self.deadline += Duration::from_micros(micros);
    }

    /// Sends bytes as they are.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<(), MailboxError> {
        let stream = self.io.get_mut();
        let sending = async {
            stream.write_all(bytes).await?;
            stream.flush().await
        };
        match timeout_at(self.deadline, sending).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(MailboxError::Lost(error.to_string())),
            Err(_) => Err(MailboxError::Timeout(self.step)),
        }
    }

    /// The next bytes, at least one; to be acknowledged with `consume`.
    pub async fn bytes(&mut self) -> Result<&[u8], MailboxError> {
        if self.io.buffer().is_empty() {
            match timeout_at(self.deadline, self.io.fill_buf()).await {
                Ok(Ok([])) => {
                    return Err(MailboxError::Lost(format!("closed during {}", self.step)));
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) => return Err(MailboxError::Lost(error.to_string())),
                Err(_) => return Err(MailboxError::Timeout(self.step)),
            }
        }
        Ok(self.io.buffer())
    }

    /// Marks this many bytes as read.
    pub fn consume(&mut self, count: usize) {
        self.io.consume(count);
    }

    /// The next line without its end.
    pub async fn line(&mut self) -> Result<Vec<u8>, MailboxError> {
        let mut line = Vec::new();
        loop {
            let bytes = self.bytes().await?;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = &bytes[..end.unwrap_or(bytes.len())];
            if line.len() + part.len() > LINE_BYTES_MAX {
                return Err(MailboxError::Protocol(format!(
                    "answer to {} has a line of more than {LINE_BYTES_MAX} bytes",
                    self.step
                )));
            }
            line.extend_from_slice(part);
            let count = part.len() + usize::from(end.is_some());
            self.consume(count);
            if end.is_some() {
                if line.last() == Some(&b'\r') {
                    line.pop();
                }
                return Ok(line);
            }
        }
    }

    /// Whether the server has said more than was read.
    pub fn has_more(&self) -> bool {
        !self.io.buffer().is_empty()
    }

    /// The bare connection. What was received but not read is lost; ask `has_more` before.
    pub fn into_stream(self) -> Stream {
        self.io.into_inner()
    }

    /// The connection.
    pub fn stream(&self) -> &Stream {
        self.io.get_ref()
    }
}

/// Time for a step that transfers this many bytes.
pub fn time_for(timeout: Duration, bytes: u64) -> Duration {
    timeout + Duration::from_secs(bytes / TRANSFER_BYTES_PER_SECOND_MIN)
}
