//! Work that may be too much for one command is done in chunks, in the order of ids. A command that leaves something says
//! after which id to go on.

use roundsman_proto::sync::Outcome;
use roundsman_sync::trade::check;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use super::decided;

/// The fact of an outcome that names the id to go on after.
const GO_ON_AFTER: &str = "go_on_after";

/// The part of a work that one command does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// In ascending order.
    pub ids: Vec<Uuid>,
    /// There are others behind.
    pub more: bool,
}

impl Chunk {
    /// The first `limit` of these ids (in ascending order) after `after`, which is empty at the beginning.
    ///
    /// # Errors
    /// `REASON_BAD_ID`.
    pub fn of(ids: impl IntoIterator<Item = Uuid>, after: &[u8], limit: usize, field: &str) -> Result<Self, Rejection> {
        let after = check::optional_id(after, field)?;
        let mut left = ids.into_iter().skip_while(|id| after.is_some_and(|after| *id <= after));
        let ids: Vec<Uuid> = left.by_ref().take(limit).collect();
        Ok(Self { ids, more: left.next().is_some() })
    }

    /// Where the next chunk goes on.
    #[must_use]
    pub fn last(&self) -> Option<Uuid> {
        self.ids.last().copied().filter(|_| self.more)
    }

    /// After which id the work goes on; nothing, if it has not begun. `None`: it is done.
    #[must_use]
    pub fn left(&self) -> Option<Vec<u8>> {
        self.more.then(|| self.ids.last().map(|last| last.as_bytes().to_vec()).unwrap_or_default())
    }

    /// The outcome of the command that did it.
    #[must_use]
    pub fn outcome(&self, changed: bool) -> Outcome {
        let verdict = if changed { Verdict::done() } else { Verdict::nothing_to_do() };
        decided(match self.last() {
            Some(last) => verdict.fact(Some(last), GO_ON_AFTER, last),
            None => verdict,
        })
    }
}

/// Where the work that this outcome ends goes on; `None`: it is done.
#[must_use]
pub fn go_on_after(outcome: &Outcome) -> Option<Uuid> {
    let fact = outcome.facts.iter().find(|fact| fact.name == GO_ON_AFTER)?;
    Uuid::from_slice(&fact.record_id).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_everything_once() {
        let ids: Vec<Uuid> = (1..=7).map(Uuid::from_u128).collect();
        let mut after = Vec::new();
        let mut seen = Vec::new();
        loop {
            let chunk = Chunk::of(ids.clone(), &after, 3, "after_visit_id").expect("an id");
            seen.extend(chunk.ids.clone());
            let outcome = chunk.outcome(true);
            assert_eq!(go_on_after(&outcome), chunk.last());
            match go_on_after(&outcome) {
                Some(last) => after = last.as_bytes().to_vec(),
                None => break,
            }
        }
        assert_eq!(seen, ids);
        assert!(Chunk::of(ids, &[1], 3, "after_visit_id").is_err());
    }
}
