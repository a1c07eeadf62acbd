//! Makes a history smaller that breaks a law: fewer faults, then fewer events.

use super::faults::Fault;
use super::journal::Violation;
use super::run::{Settings, run};

/// Runs a seed with fewer and fewer faults and events, as long as the same law is broken; returns what is left, and how.
#[must_use]
pub fn shrink(seed: u64, settings: Settings, violation: Violation) -> (Settings, Violation) {
    let law = violation.law;
    let broken = |settings: &Settings| run(seed, settings).violation.filter(|violation| violation.law == law);
    let (mut least, mut how) = (settings, violation);
    for fault in Fault::ALL {
        let fewer = Settings { without: least.without.and(fault), ..least };
        if let Some(violation) = broken(&fewer) {
            (least, how) = (fewer, violation);
        }
    }
    // More events may undo what fewer break, so that this finds a small number and not always the smallest.
    let mut holds = 0;
    while holds < least.steps {
        let fewer = Settings { steps: holds.midpoint(least.steps), ..least };
        match broken(&fewer) {
            Some(violation) => (least, how) = (fewer, violation),
            None => holds = fewer.steps + 1,
        }
    }
    (least, how)
}
