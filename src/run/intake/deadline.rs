//! Work on a thread, one piece after the other, none of which may take for ever.
//!
//! A thread cannot be stopped: work that is late keeps its own and is left to itself.

use std::panic::resume_unwind;
use std::time::Duration;

use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::time::timeout;

use crate::threads::Threads;

/// How long one piece of work may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline {
    /// So many of `ticks` in a row.
    pub tick: Duration,
    /// Counted one by one: while the process does not run, as behind SIGSTOP or in a machine that
    /// is moved, at most one of them passes.
    pub ticks: u32,
}

enum Told<T> {
    Began,
    Done(T),
}

/// Does the pieces 0, 1, 2 and so on. Ends with what is done when the next one is late; else when
/// the work and what it holds are no more.
pub(super) async fn in_order<T: Send + 'static>(
    threads: &'static Threads,
    pieces: usize,
    deadline: Deadline,
    work: impl Fn(usize) -> T + Send + 'static,
) -> Vec<T> {
    let (tell, mut told) = mpsc::unbounded_channel();
    let all = move || {
        // An error: nobody waits any more.
        if tell.send(Told::Began).is_err() {
            return;
        }
        for piece in 0..pieces {
            if tell.send(Told::Done(work(piece))).is_err() {
                return;
            }
        }
    };
    let thread = tokio::spawn(threads.run(all));
    // Before a thread is free nothing is late.
    let mut next = told.recv().await;
    let mut done = Vec::with_capacity(pieces);
    while let Some(told_next) = next {
        if let Told::Done(value) = told_next {
            done.push(value);
        }
        if done.len() == pieces {
            break;
        }
        match within(&mut told, deadline).await {
            Ok(some) => next = some,
            Err(Late) => return done,
        }
    }
    // Nothing is left to do, or it panicked.
    match thread.await {
        Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
        _ => done,
    }
}

struct Late;

async fn within<T>(told: &mut UnboundedReceiver<T>, deadline: Deadline) -> Result<Option<T>, Late> {
    for _ in 0..deadline.ticks {
        if let Ok(next) = timeout(deadline.tick, told.recv()).await {
            return Ok(next);
        }
    }
    Err(Late)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;

    const SOON: Deadline = Deadline { tick: Duration::from_millis(5), ticks: 4 };
    const NEVER: Deadline = Deadline { tick: Duration::from_secs(60), ticks: 10 };

    #[tokio::test]
    async fn all_in_their_order() {
        let done = in_order(&crate::threads::STORE, 5, NEVER, |piece| piece * 2).await;
        assert_eq!(done, [0, 2, 4, 6, 8]);
    }

    #[tokio::test]
    async fn what_the_work_holds_is_given_back() {
        for _ in 0..200 {
            let held = std::sync::Arc::new(());
            let holding = held.clone();
            in_order(&crate::threads::STORE, 2, NEVER, move |_| holding.clone()).await.clear();
            assert_eq!(std::sync::Arc::strong_count(&held), 1);
        }
    }

    #[tokio::test]
    async fn who_is_late_ends_it_and_the_rest_is_not_begun() {
        let (release, released) = channel::<()>();
        let (began, begun) = channel();
        let released = Mutex::new(released);
        let work = move |piece: usize| {
            began.send(piece).unwrap();
            if piece == 2 {
                let _ = released.lock().unwrap().recv();
            }
            piece
        };
        assert_eq!(in_order(&crate::threads::STORE, 5, SOON, work).await, [0, 1]);
        drop(release);
        // Its thread ends with the piece that was late.
        assert_eq!(begun.into_iter().collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[tokio::test]
    #[should_panic(expected = "the work fails")]
    async fn a_panic_is_the_callers() {
        let fails = |_: usize| panic!("the work fails");
        let _: Vec<()> = in_order(&crate::threads::STORE, 1, NEVER, fails).await;
    }
}
