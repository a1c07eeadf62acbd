//! A closed loop: callers that call again as soon as they are answered.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::stats::{per_second, percentile_ms};

/// Somebody who calls, again and again.
pub trait Caller: Send + 'static {
    /// One call, to the end of its answer.
    fn call(&mut self) -> impl Future<Output = anyhow::Result<()>> + Send;
}

/// What a round gave.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Calls that were answered.
    pub calls: u64,
    /// Calls that were answered in a second.
    pub calls_a_second: f64,
    /// Half of the calls took less, in milliseconds.
    pub p50_ms: f64,
    /// One call in a hundred took longer, in milliseconds.
    pub p99_ms: f64,
}

/// Lets all callers call for so long.
pub async fn round<C: Caller>(callers: &mut Vec<C>, length: Duration) -> anyhow::Result<Round> {
    let (round, ()) = during(callers, async {
        tokio::time::sleep(length).await;
        Ok(())
    })
    .await?;
    Ok(round)
}

/// Lets all callers call while something else is done.
pub async fn during<C: Caller, T>(
    callers: &mut Vec<C>,
    work: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<(Round, T)> {
    let begun = Instant::now();
    let done = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    for caller in callers.drain(..) {
        tasks.spawn(call_until(caller, Arc::clone(&done)));
    }
    let worked = work.await;
    done.store(true, Ordering::Relaxed);
    let mut durations = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        let (caller, took) = ended??;
        callers.push(caller);
        durations.extend(took);
    }
    let calls = durations.len() as u64;
    let calls_a_second = per_second(calls, begun.elapsed());
    let (p50_ms, p99_ms) = (percentile_ms(&mut durations, 0.5), percentile_ms(&mut durations, 0.99));
    Ok((Round { calls, calls_a_second, p50_ms, p99_ms }, worked?))
}

async fn call_until<C: Caller>(mut caller: C, done: Arc<AtomicBool>) -> anyhow::Result<(C, Vec<Duration>)> {
    let mut took = Vec::new();
    while !done.load(Ordering::Relaxed) {
        let begun = Instant::now();
        caller.call().await?;
        took.push(begun.elapsed());
    }
    Ok((caller, took))
}
