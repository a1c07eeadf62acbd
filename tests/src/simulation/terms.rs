//! By which agreements outlets have ever bought, and what becomes of orders that name them: whoever could believe in an
//! agreement is heard, and whoever could not gets nothing by it.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;
use roundsman::workspace::{Change, Stored};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{HoldReason, Kind, Order, Outlet, Reason};
use roundsman_sync::trade::chain::agreements_of;
use uuid::Uuid;

use super::journal::{Checked, Journal, Law};

/// By outlet, all agreements by which it has ever bought.
#[derive(Clone, Debug, Default)]
pub struct Bought(BTreeMap<Vec<u8>, BTreeSet<Vec<u8>>>);

impl Bought {
    /// Notes what a record says now.
    pub fn note(&mut self, id: Uuid, stored: &Stored) {
        if stored.kind == Kind::Outlet as i64
            && let Ok(outlet) = Outlet::decode(stored.document.clone())
        {
            self.0.entry(id.as_bytes().to_vec()).or_default().extend(agreements_of(&outlet).iter().cloned());
        }
    }

    /// Checks what became of an order that was handed in. `now` says what an outlet is like after it.
    ///
    /// # Errors
    /// When it is refused although its outlet has bought by its agreement, or taken although it never did; or when it is under an
    /// agreement that the outlet has lost, and does not wait.
    pub fn check(
        &self,
        (command, outcome): (&Command, &Outcome),
        changes: &[Change],
        now: impl Fn(&[u8]) -> Option<Outlet>,
        journal: &mut Journal,
    ) -> Checked<()> {
        let Command::SubmitOrder(submit) = command else { return Ok(()) };
        let ever = |outlet: &[u8]| self.0.get(outlet).is_some_and(|bought| bought.contains(&submit.agreement_id));
        let unlisted = outcome.facts.iter().any(|fact| fact.name == "agreement_ids");
        if outcome.status() == Status::Rejected && outcome.reason() == Reason::Mismatch && unlisted {
            return journal.check(Law::Trade, !ever(&submit.outlet_id), || {
                format!("what its outlet has bought by is refused: {submit:?}")
            });
        }
        let made = changes.iter().find(|change| change.id.as_bytes()[..] == submit.order_id && change.before.is_none());
        let Some(order) = made.and_then(|made| Order::decode(made.after.document.clone()).ok()) else { return Ok(()) };
        journal.check(Law::Trade, ever(&submit.outlet_id) || ever(&order.outlet_id), || {
            format!("nobody ever bought there by this agreement: {order:?}")
        })?;
        let listed = now(&order.outlet_id).is_some_and(|outlet| agreements_of(&outlet).contains(&order.agreement_id));
        let held = order.holds.iter().any(|hold| hold.reason() == HoldReason::TermsExpired);
        journal.check(Law::Trade, listed || held, || format!("the outlet has lost its agreement: {order:?}"))
    }
}
