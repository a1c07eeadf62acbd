//! What servers ask of their database, as a test hears it.

use std::sync::{Arc, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, registry};

/// Whose events are statements, each with its text.
const SEAM: &str = "roundsman::store::sql";

/// Listens, until it is dropped, to all servers on its thread: with `#[tokio::test]` that is where all of them run.
pub struct Asked {
    statements: Arc<Mutex<Vec<String>>>,
    _listening: DefaultGuard,
}

impl Asked {
    /// Listens from now on.
    #[must_use]
    pub fn listen() -> Self {
        let statements = Arc::default();
        let heard = Heard(Arc::clone(&statements));
        let seam = Targets::new().with_target(SEAM, LevelFilter::TRACE);
        Self { statements, _listening: registry().with(seam).with(heard).set_default() }
    }

    /// The statements since the last time, as they were written, with those that begin and end transactions: on PostgreSQL
    /// each is a round trip.
    #[must_use]
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.statements.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Heard(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber> Layer<S> for Heard {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        event.record(&mut Text(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner)));
    }
}

struct Text<'s>(&'s mut Vec<String>);

impl Visit for Text<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "sql" {
            self.0.push(value.to_owned());
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}
