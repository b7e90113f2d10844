//! Threads for what computes, or waits for a disk or the resolver of names, parted by kinds:
//! work of one kind that hangs leaves the others theirs.
//!
//! Few of them: at a start ten thousand accounts want one each, and a thread takes memory for good,
//! its stack and what the allocator keeps for it.

use tokio::sync::Semaphore;

/// Threads that judge mails and read the store.
const STORE_THREADS: usize = 8;
/// Threads that read Maildirs, which may lie on a file server that does not answer.
const MAILDIR_THREADS: usize = 16;
/// Threads that ask for the addresses of servers; the resolver may not answer.
const NAME_THREADS: usize = 24;
/// Threads for nothing of these, such as an answer over HTTP.
const OTHER_THREADS: usize = 16;
/// All of them.
pub const THREADS_MAX: usize = STORE_THREADS + MAILDIR_THREADS + NAME_THREADS + OTHER_THREADS;

/// Judges mails and reads the store.
pub static STORE: Threads = Threads::of(STORE_THREADS);
/// Reads Maildirs.
pub static MAILDIRS: Threads = Threads::of(MAILDIR_THREADS);
/// Asks for addresses.
pub static NAMES: Threads = Threads::of(NAME_THREADS);

/// Threads for one kind of work: as many places as are free.
pub struct Threads(Semaphore);

impl Threads {
    const fn of(threads: usize) -> Threads {
        Threads(Semaphore::const_new(threads))
    }

    /// Runs this on a thread when one is free. It has the thread until it ends, also if nobody waits
    /// for its answer any more.
    pub async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let place = self.0.acquire().await.expect("they are never closed");
        let work = move || {
            let _place = place;
            work()
        };
        match tokio::task::spawn_blocking(work).await {
            Ok(value) => value,
            // The process ends: whoever waits is ended with it.
            Err(error) if error.is_cancelled() => std::future::pending().await,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn what_hangs_keeps_its_thread_and_nobody_elses() {
        static HANGING: Threads = Threads::of(2);
        static OTHER: Threads = Threads::of(1);
        let mut answers = Vec::new();
        for _ in 0..2 {
            let (answer, silent) = mpsc::channel::<()>();
            answers.push(answer);
            let (began, begun) = tokio::sync::oneshot::channel();
            let hanging = tokio::spawn(HANGING.run(move || {
                began.send(()).unwrap();
                let _ = silent.recv();
            }));
            begun.await.unwrap();
            // Nobody waits for it any more.
            hanging.abort();
            assert!(hanging.await.unwrap_err().is_cancelled());
        }
        assert!(HANGING.run(|| ()).now_or_never().is_none(), "both threads are taken");
        assert_eq!(OTHER.run(|| 1).await, 1);
        answers.pop();
        assert_eq!(HANGING.run(|| 2).await, 2, "the one that answered is free");
    }
}
