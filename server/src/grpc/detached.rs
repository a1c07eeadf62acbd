//! Work that its caller can't cancel.
//!
//! A gRPC call that misses its deadline, or whose client goes away, drops the door's future wherever it stands. A future
//! of sqlx (up to 0.9.0) that is dropped while it begins a transaction on PostgreSQL leaves the connection inside of it,
//! and the connection goes back to the pool like that. So a door hands its work with the database to a task of its own,
//! and waits for that.

use std::future::Future;

use tonic::Status;
use tracing::Instrument as _;

use super::status;

/// Runs this to its end, whatever becomes of the caller, in the caller's span and under its request id.
///
/// # Errors
/// What the work answers; INTERNAL when it panics.
pub async fn detached<T, W>(work: W) -> Result<T, Status>
where
    T: Send + 'static,
    W: Future<Output = Result<T, Status>> + Send + 'static,
{
    // The id is asked for here, since a new task has none.
    let id = status::request_id();
    let task = async move {
        match id {
            Some(id) => status::with_request_id(id, work).await,
            None => work.await,
        }
    };
    match tokio::spawn(task.in_current_span()).await {
        Ok(result) => result,
        Err(error) => Err(status::internal(format_args!("a task came to no end: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::sync::Notify;
    use tonic::Code;
    use uuid::Uuid;

    use super::*;

    #[tokio::test]
    async fn the_work_goes_on_when_nobody_waits() {
        let (begun, go_on, done) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
        let finished = Arc::new(AtomicBool::new(false));
        let work = {
            let (begun, go_on, done) = (Arc::clone(&begun), Arc::clone(&go_on), Arc::clone(&done));
            let finished = Arc::clone(&finished);
            async move {
                begun.notify_one();
                go_on.notified().await;
                finished.store(true, Ordering::SeqCst);
                done.notify_one();
                Ok(())
            }
        };
        let call = tokio::spawn(detached(work));
        begun.notified().await;
        call.abort();
        assert!(call.await.expect_err("was cancelled").is_cancelled());
        go_on.notify_one();
        done.notified().await;
        assert!(finished.load(Ordering::SeqCst));
    }

    #[tokio::test]
    async fn the_request_id_goes_along_and_a_panic_becomes_a_status() {
        let id = Uuid::from_u128(5);
        let found = status::with_request_id(id, detached(async { Ok(status::request_id()) })).await;
        assert_eq!(found.expect("works"), Some(id));
        let error = detached::<(), _>(async { panic!("as planned") }).await.expect_err("panics");
        assert_eq!(error.code(), Code::Internal);
        assert!(!error.message().contains("planned"), "{error}");
    }
}
