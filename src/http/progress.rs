//! A stream whose other end must take what is written to it.
//!
//! A client that reads one byte at a time, or nothing, would hold its answer and its connection for
//! as long as it likes. So once a write has to wait, at least [`WRITE_BYTES_MIN`] must be taken in
//! each [`WRITE_WINDOW_SECS`]; otherwise the stream fails. An answer may take as long as it needs
//! while its reader keeps this pace.
//!
//! What the kernel has taken counts as written, and it says that it takes more only when a third of
//! its buffer is free again. [`SEND_BUFFER_BYTES`] keeps that step small enough to be seen within
//! the window, and bounds what a slow reader holds in the kernel.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};

/// Time in which something must be taken while a write waits.
pub const WRITE_WINDOW_SECS: u64 = 20;
/// Bytes that must be taken in that time: 1.6 KiB a second.
pub const WRITE_BYTES_MIN: usize = 32 * 1024;
/// Send buffer that is asked of the kernel; Linux doubles it.
const SEND_BUFFER_BYTES: usize = 128 * 1024;

/// The other end takes what is written too slowly.
#[derive(Debug, thiserror::Error)]
#[error("the client took fewer than {WRITE_BYTES_MIN} bytes in {WRITE_WINDOW_SECS} seconds")]
pub struct SlowReader;

impl SlowReader {
    /// Whether this is why a connection ended.
    pub fn ended(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            let io = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
            if io.is_some_and(|inner| inner.is::<SlowReader>()) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// A stream that fails when its reader makes no progress.
pub struct Progress<S> {
    stream: S,
    /// The window that runs, and the bytes taken in it.
    window: Option<(Pin<Box<Sleep>>, usize)>,
}

impl Progress<TcpStream> {
    /// Watches a connection.
    pub fn of(stream: TcpStream) -> Progress<TcpStream> {
        if let Err(error) =
            rustix::net::sockopt::set_socket_send_buffer_size(&stream, SEND_BUFFER_BYTES)
        {
            tracing::debug!(%error, "could not bound the send buffer of a connection");
        }
        Progress { stream, window: None }
    }
}

impl<S> Progress<S> {
    /// What came of a write.
    fn wrote(
        &mut self,
        result: Poll<io::Result<usize>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(Ok(written)) => {
                if let Some((_, taken)) = &mut self.window {
                    *taken += written;
                    if *taken >= WRITE_BYTES_MIN {
                        self.window = None;
                    }
                }
                Poll::Ready(Ok(written))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let window = || (Box::pin(sleep(Duration::from_secs(WRITE_WINDOW_SECS))), 0);
                let (timer, _) = self.window.get_or_insert_with(window);
                ready!(timer.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, SlowReader)))
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Progress<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(result, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, bytes);
        self.wrote(result, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper flushes when all that it had is written: the next answer begins a new window.
        self.window = None;
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Progress<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    /// Writes a megabyte to a reader that takes so many bytes, and then pauses so many seconds.
    async fn written(step: usize, pause_secs: u64) -> (io::Result<()>, Duration) {
        let (ours, mut theirs) = duplex(1024);
        let mut progress = Progress { stream: ours, window: None };
        let began = Instant::now();
        let reading = tokio::spawn(async move {
            let mut bytes = vec![0; step];
            while theirs.read_exact(&mut bytes).await.is_ok() {
                sleep(Duration::from_secs(pause_secs)).await;
            }
        });
        let result = progress.write_all(&vec![0; 1 << 20]).await;
        reading.abort();
        (result, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_keeps_the_pace_may_take_long() {
        let (result, took) = written(WRITE_BYTES_MIN, WRITE_WINDOW_SECS - 5).await;
        result.unwrap();
        assert!(took > Duration::from_secs(5 * 60), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_byte_at_a_time_is_let_go() {
        for (step, pause_secs) in [(1, 1), (1024, 2), (1 << 20, 0), (WRITE_BYTES_MIN, 60)] {
            let (result, took) = written(step, pause_secs).await;
            if pause_secs == 0 {
                result.unwrap();
                continue;
            }
            let error = result.unwrap_err();
            assert!(SlowReader::ended(&error), "{step}: {error}");
            assert!(took <= Duration::from_secs(3 * WRITE_WINDOW_SECS), "{step}: {took:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_between_two_answers_does_not_count() {
        let (ours, mut theirs) = duplex(1024);
        let mut progress = Progress { stream: ours, window: None };
        for _ in 0..3 {
            let answer = vec![0; 2048];
            let mut bytes = vec![0; 2048];
            let write = async {
                progress.write_all(&answer).await.unwrap();
                progress.flush().await.unwrap();
            };
            let read = async { theirs.read_exact(&mut bytes).await.unwrap() };
            futures_util::future::join(write, read).await;
            sleep(Duration::from_secs(10 * WRITE_WINDOW_SECS)).await;
        }
    }
}
