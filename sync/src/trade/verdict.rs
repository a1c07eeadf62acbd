//! What the outcome of a command says when it is not a rejection.

use roundsman_proto::sync::{Fact, Override, Status};
use roundsman_proto::trade::Reason;
use uuid::Uuid;

/// What the caller is told. Facts name only records that the caller may see; whoever adds one answers for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// Applied, Merged or Held.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// What the decision was based on.
    pub facts: Vec<Fact>,
    /// What has become of the lines of an order, in facts of its own: for whoever sees the order, since they tell of stock
    /// and of prices in force.
    pub lines: Vec<Fact>,
    /// Where two changes met.
    pub overrides: Vec<Override>,
}

impl Verdict {
    /// Done as asked.
    #[must_use]
    pub fn applied(reason: Reason) -> Self {
        Self { status: Status::Applied, reason, facts: Vec::new(), lines: Vec::new(), overrides: Vec::new() }
    }

    /// Done as asked; nothing to explain.
    #[must_use]
    pub fn done() -> Self {
        Self::applied(Reason::Unspecified)
    }

    /// It was so already; nothing is written.
    #[must_use]
    pub fn nothing_to_do() -> Self {
        Self::applied(Reason::NothingToDo)
    }

    /// A fact that was taken: flagged, or plain.
    #[must_use]
    pub fn fact_taken(flagged: bool) -> Self {
        Self::applied(if flagged { Reason::Flagged } else { Reason::Unspecified })
    }

    /// Accepted; waits for somebody.
    #[must_use]
    pub fn held(reason: Reason) -> Self {
        Self { status: Status::Held, ..Self::applied(reason) }
    }

    /// The same, beside what others changed. Held stays Held, since that is what has to be acted on; otherwise the
    /// status is Merged, with the reason that matters most.
    #[must_use]
    pub fn merged(mut self, overrides: Vec<Override>, stale: bool) -> Self {
        let reason = merge_reason(&overrides, stale);
        if reason != Reason::Unspecified && self.status != Status::Held {
            self.status = Status::Merged;
            self.reason = reason;
        }
        self.overrides.extend(overrides);
        self
    }

    /// Whether it tells something that [`Self::discreet`] takes away.
    #[must_use]
    pub fn is_telling(&self) -> bool {
        !self.overrides.is_empty() || !self.lines.is_empty()
    }

    /// For somebody who does not see what was edited: nothing of lines, and of each override only what became of the own
    /// value. `record` is told of as `named`, the one that the command has named.
    #[must_use]
    pub fn discreet(mut self, record: Uuid, named: Uuid) -> Self {
        self.lines.clear();
        for entry in &mut self.overrides {
            if entry.record_id == record.as_bytes() {
                entry.record_id = named.as_bytes().to_vec();
            }
            let own_stands = matches!(entry.reason(), Reason::DeviceWins | Reason::FactWins);
            if own_stands { entry.lost.clear() } else { entry.kept.clear() }
        }
        self
    }

    /// The outlet was archived as a duplicate, and the command went to the one that remained.
    #[must_use]
    pub fn redirected(mut self) -> Self {
        if self.status == Status::Applied {
            self.status = Status::Merged;
            self.reason = Reason::OutletMerged;
        }
        self
    }

    /// It was decided because of this.
    #[must_use]
    pub fn fact(mut self, record: Option<Uuid>, name: &str, value: impl ToString) -> Self {
        self.facts.push(fact(record, name, value));
        self
    }

    /// That has become of a line.
    #[must_use]
    pub fn of_line(mut self, line: Option<Uuid>, name: &str, value: impl ToString) -> Self {
        self.lines.push(fact(line, name, value));
        self
    }
}

fn fact(id: Option<Uuid>, name: &str, value: impl ToString) -> Fact {
    Fact { record_id: super::check::bytes(id), name: name.to_owned(), value: value.to_string() }
}

/// Of several reasons the one that matters most to the editor: a line is gone, a value lost, a value was older.
fn merge_reason(overrides: &[Override], stale: bool) -> Reason {
    let has = |reason: Reason| overrides.iter().any(|entry| entry.reason() == reason);
    let order = [Reason::LineRemoved, Reason::OfficeWins, Reason::DeviceWins, Reason::FactWins];
    let fallback = if stale { Reason::StaleBase } else { Reason::Unspecified };
    order.into_iter().find(|reason| has(*reason)).unwrap_or(fallback)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_order_stays_held_when_its_edit_was_merged() {
        let lost = Override { reason: Reason::OfficeWins.into(), ..Override::default() };
        let held = Verdict::held(Reason::HeldPrice).merged(vec![lost.clone()], true);
        assert_eq!((held.status, held.reason, held.overrides.len()), (Status::Held, Reason::HeldPrice, 1));
        let merged = Verdict::done().merged(vec![lost], true);
        assert_eq!((merged.status, merged.reason), (Status::Merged, Reason::OfficeWins));
        assert_eq!(Verdict::done().merged(Vec::new(), true).reason, Reason::StaleBase);
        assert_eq!(Verdict::done().merged(Vec::new(), false), Verdict::done());
    }

    #[test]
    fn whoever_does_not_see_the_record_is_told_of_the_own_value_only() {
        let (survivor, duplicate, other) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
        let met = |record: Uuid, kept: &str, lost: &str, reason: Reason| Override {
            record_id: record.as_bytes().to_vec(),
            kept: kept.to_owned(),
            lost: lost.to_owned(),
            reason: reason.into(),
            ..Override::default()
        };
        let told = vec![
            met(survivor, "office's", "rep's", Reason::OfficeWins),
            met(survivor, "rep's", "office's", Reason::DeviceWins),
            met(other, "rep's", "office's", Reason::FactWins),
        ];
        let told = Verdict::done()
            .fact(None, "promised_day", 9)
            .of_line(Some(other), "confirmed_milli", 3)
            .merged(told, false);
        assert!(told.is_telling());
        let told = told.discreet(survivor, duplicate);
        assert_eq!((told.facts.len(), told.lines.len()), (1, 0), "what became of the lines tells of stock");
        let expected = [
            met(duplicate, "", "rep's", Reason::OfficeWins),
            met(duplicate, "rep's", "", Reason::DeviceWins),
            met(other, "rep's", "", Reason::FactWins),
        ];
        assert_eq!(told.overrides, expected);
    }
}
