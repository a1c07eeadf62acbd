//! Hands in what a rep collected in cash and by cheque.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::{CashHandIn, HandInCash, Reason, Rep};
use roundsman_sync::trade::capture;
use roundsman_sync::trade::check;
use roundsman_sync::trade::hand_in::{self, Decision, InHand, Setting};
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::rejection::Rejection;
use uuid::Uuid;

use super::{Context, Decide, Target, decided, field};
use crate::calendar;
use crate::workspace::{Keys, Stop, Workspace};

/// There are two kinds of money to be counted; whoever names more is told so.
const COUNTED: usize = 2;

impl Decide for HandInCash {
    fn name(&self) -> &'static str {
        "HandInCash"
    }

    fn roles(&self) -> &'static [Role] {
        &[Role::Rep, Role::Driver, Role::Office, Role::Admin]
    }

    fn target(&self) -> Option<Target<'_>> {
        Some(Target { id: &self.hand_in_id, creates: true })
    }

    fn sizes(&self) -> Result<(), Rejection> {
        check::count(self.counted.len(), COUNTED, "counted")
    }

    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
        keys.record(&self.hand_in_id);
        let Ok(rep) = whose(context, self) else { return Ok(()) };
        keys.id(rep);
        let page = |number: i32| (rep, self.currency.clone(), number);
        keys.internal::<InHand>(&page(0));
        let front: InHand = workspace.internal(&page(0))?;
        keys.internal::<InHand>(&page(front.next_page()));
        Ok(())
    }

    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
        hand_in::hand_in_form(self)?;
        let rep_id = whose(context, self)?;
        let (id, current) = field::existing::<CashHandIn>(workspace, &self.hand_in_id)?;
        let (_, rep) = workspace.live::<Rep>(rep_id.as_bytes())?;
        let page = |number: i32| (rep_id, self.currency.clone(), number);
        let front: InHand = workspace.internal(&page(0))?;
        let number = front.next_page();
        let InHand { payments, .. } = workspace.internal(&page(number))?;
        let left = front.clone().handed_in();
        let stated = if self.day == 0 { context.business_day } else { self.day };
        let setting = Setting {
            rep_id,
            team_id: &rep.team_id,
            // A rep may work in territories of several calendars, so that the day is judged by none of them.
            day: capture::business_day(stated, calendar::day(chrono_tz::UTC, context.captured_at_us)),
            captured_at_us: context.captured_at_us,
        };
        let decision = hand_in::decide_hand_in(current.as_ref(), (&payments, left.left_payments()), &setting, self)?;
        let Decision { hand_in, verdict } = decision;
        if current.is_none() {
            workspace.put(id, &hand_in, &Stamps::default())?;
            if number != 0 {
                workspace.put_internal(&page(number), &InHand::default())?;
            }
            workspace.put_internal(&page(0), &left)?;
            workspace.announce("cash.handed_in", id);
        }
        Ok(decided(verdict))
    }
}

/// Whose cash it is: the rep's own, or that of one for whom the office takes it.
fn whose(context: &Context<'_>, command: &HandInCash) -> Result<Uuid, Rejection> {
    let named = check::optional_id(&command.rep_id, "rep_id")?;
    match (context.issuer.rep(), named) {
        (Some(own), None) => Ok(own),
        (Some(own), Some(named)) if own == named => Ok(own),
        (Some(_), Some(_)) => Err(Rejection::new(Reason::RoleNotAllowed).field("rep_id")),
        (None, Some(named)) => Ok(named),
        (None, None) => Err(check::missing("rep_id")),
    }
}
