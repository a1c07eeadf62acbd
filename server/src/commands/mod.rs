//! Commands: one file each. A file says which keys its command loads, which rule decides it, and what is put.
//!
//! Adding one: a message and a line in `roundsman.trade.v1.Command`, a rule in `sync::trade`, a file here that implements
//! [`Decide`], and an arm in [`of`], which the compiler asks for.

mod advance_horizon;
mod allocate_stock;
pub(crate) mod allocate_wave;
mod announce_return;
mod answer_change_request;
mod answer_survey;
mod apply_assignments;
mod archive_outlet;
mod assign_rep;
mod assign_task;
mod block_outlet;
mod cancel_order;
mod cancel_return;
mod cancel_shipment;
mod cancel_trip;
mod cancel_visit;
mod change_order;
mod check_in;
mod check_out;
mod check_shipment;
pub(crate) mod chunk;
mod close_order;
mod close_trip;
mod collect_payment;
mod complete_task;
mod confirm_hand_in;
mod count_stock;
mod decide_claim;
mod deliver_shipment;
mod depart_trip;
mod dismiss_rep;
mod edit_outlet;
pub(crate) mod escalate_claims;
mod field;
mod file_claim;
mod hand_in_cash;
mod hand_territory_over;
mod import_records;
mod load_shipment;
mod mark_missed_visits;
mod merge_customers;
mod move_outlet;
mod ordering;
mod people;
mod pick_shipment;
mod plan_trip;
mod plan_visits;
mod prepare_shipment;
mod receive_return;
mod register_outlet;
mod release_hold;
mod release_order;
mod release_quarantine;
mod requests;
mod restamp_records;
mod returning;
mod review_claim;
mod revoke_device;
mod sell_from_van;
mod set_prices;
mod set_receivable;
mod set_stock;
mod settle_claim;
mod ship_shipment;
pub(crate) mod shipping;
mod start_wave;
mod stock_keeping;
mod submit_order;
mod terms;
mod transfer_stock;
mod trips;
mod turn_month;

use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Override, Status};
use roundsman_proto::trade::{Reason, command::Command};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::verdict::Verdict;
use uuid::Uuid;

use crate::auth::caller::Caller;
use crate::policy::Policy;
use crate::workspace::{Keys, Stop, Workspace};

/// Who issues a command.
#[derive(Clone, Debug)]
pub enum Issuer {
    /// Somebody who has logged in.
    User(Caller),
    /// The server itself, by the clock.
    Server,
}

impl Issuer {
    /// Whether one of these roles, or the server, is issuing.
    #[must_use]
    pub fn may(&self, roles: &[Role]) -> bool {
        match self {
            Self::User(caller) => roles.contains(&caller.role),
            Self::Server => true,
        }
    }

    /// The user's id; nil for the server.
    #[must_use]
    pub fn actor(&self) -> Uuid {
        match self {
            Self::User(caller) => caller.user,
            Self::Server => Uuid::nil(),
        }
    }

    /// The rep that the user is.
    #[must_use]
    pub fn rep(&self) -> Option<Uuid> {
        match self {
            Self::User(caller) => caller.rep,
            Self::Server => None,
        }
    }
}

/// What surrounds a command.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// Who issues it.
    pub issuer: &'a Issuer,
    /// The command's id.
    pub command: Uuid,
    /// When it was captured, corrected by the device's offset, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
    /// When it reached the server, in microseconds since the Unix epoch.
    pub received_at_us: i64,
    /// The moment of the decision, strictly rising within a tenant, in microseconds since the Unix epoch.
    pub now_us: i64,
    /// The business date of what was captured, in days since 1970-01-01.
    pub business_day: i32,
    /// How far the device's clock was corrected, in microseconds.
    pub clock_correction_us: i64,
    /// The device that sent it is shut out, and an administrator lets the command count.
    pub device_revoked: bool,
    /// The tenant's settings.
    pub policy: &'a Policy,
    /// The last committed version.
    pub version: i64,
    /// Deletions at or below this version are forgotten.
    pub horizon: i64,
}

/// The record that a command is about, as its id came.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// The record's id.
    pub id: &'a [u8],
    /// Whether the command is to create it.
    pub creates: bool,
}

/// How a command is handled.
pub trait Decide: Sync {
    /// The name of its message.
    fn name(&self) -> &'static str;

    /// Who may issue it, beside the server.
    fn roles(&self) -> &'static [Role];

    /// What it is about.
    fn target(&self) -> Option<Target<'_>>;

    /// Whether it names no more than a command may. Judged before its keys are asked for, so that nobody makes the server
    /// load more than a command may need.
    ///
    /// # Errors
    /// `REASON_LIMIT_EXCEEDED`.
    fn sizes(&self) -> Result<(), Rejection> {
        Ok(())
    }

    /// Asks for the records that the decision needs. Called again, at most five times in all, when what it asked for is
    /// loaded; a stop on the way means "not loaded yet".
    ///
    /// # Errors
    /// [`Stop::Load`] when it can't ask for more yet.
    fn keys(&self, context: &Context<'_>, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop>;

    /// Decides, and puts what changes. Pure but for the workspace: it may be called again after a stop.
    ///
    /// # Errors
    /// See [`Stop`].
    fn decide(&self, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop>;
}

/// Decides a command, and lets those who wait have what it has set free.
///
/// # Errors
/// See [`Stop`].
pub fn decide(command: &dyn Decide, context: &Context<'_>, workspace: &mut Workspace) -> Result<Outcome, Stop> {
    let outcome = command.decide(context, workspace)?;
    ordering::serve(context, workspace)?;
    Ok(outcome)
}

/// Done as asked.
#[must_use]
pub fn applied() -> Outcome {
    outcome(Status::Applied, Reason::Unspecified)
}

/// Done as asked, with something to say about it.
#[must_use]
pub fn applied_because(reason: Reason) -> Outcome {
    outcome(Status::Applied, reason)
}

/// Accepted, and waits for a decision.
#[must_use]
pub fn held(reason: Reason) -> Outcome {
    outcome(Status::Held, reason)
}

/// Done, beside other changes; without overrides nothing met, and it is just done.
#[must_use]
pub fn merged(overrides: Vec<Override>) -> Outcome {
    match overrides.first() {
        None => applied(),
        Some(first) => Outcome { reason: first.reason, overrides, ..outcome(Status::Merged, Reason::Unspecified) },
    }
}

/// As a rule decided.
#[must_use]
pub fn decided(verdict: Verdict) -> Outcome {
    let Verdict { status, reason, mut facts, mut lines, overrides } = verdict;
    facts.append(&mut lines);
    Outcome { facts, overrides, ..outcome(status, reason) }
}

/// Not done.
#[must_use]
pub fn rejected(rejection: Rejection) -> Outcome {
    let Rejection { reason, field, facts } = rejection;
    let mut text = reason.as_str_name().trim_start_matches("REASON_").to_lowercase().replace('_', " ");
    if !field.is_empty() {
        text = format!("{field}: {text}");
    }
    Outcome { text, facts, ..outcome(Status::Rejected, reason) }
}

/// A bare outcome.
#[must_use]
pub fn outcome(status: Status, reason: Reason) -> Outcome {
    Outcome { status: status.into(), reason: reason.into(), ..Outcome::default() }
}

/// How each command is handled.
#[must_use]
pub fn of(command: &Command) -> &dyn Decide {
    match command {
        Command::CheckIn(command) => command,
        Command::CheckOut(command) => command,
        Command::SubmitOrder(command) => command,
        Command::ChangeOrder(command) => command,
        Command::CancelOrder(command) => command,
        Command::CollectPayment(command) => command,
        Command::AnswerSurvey(command) => command,
        Command::FileClaim(command) => command,
        Command::RegisterOutlet(command) => command,
        Command::CompleteTask(command) => command,
        Command::HandInCash(command) => command,
        Command::EditOutlet(command) => command,
        Command::MoveOutlet(command) => command,
        Command::BlockOutlet(command) => command,
        Command::ArchiveOutlet(command) => command,
        Command::SetPrices(command) => command,
        Command::SetStock(command) => command,
        Command::SetReceivable(command) => command,
        Command::ReleaseHold(command) => command,
        Command::ReleaseOrder(command) => command,
        Command::CancelVisit(command) => command,
        Command::AssignTask(command) => command,
        Command::AssignRep(command) => command,
        Command::HandTerritoryOver(command) => command,
        Command::DismissRep(command) => command,
        Command::RevokeDevice(command) => command,
        Command::ImportRecords(command) => command,
        Command::ConfirmHandIn(command) => command,
        Command::ReviewClaim(command) => command,
        Command::DecideClaim(command) => command,
        Command::SettleClaim(command) => command,
        Command::MergeCustomers(command) => command,
        Command::PrepareShipment(command) => command,
        Command::ShipShipment(command) => command,
        Command::DeliverShipment(command) => command,
        Command::AnswerChangeRequest(command) => command,
        Command::CancelShipment(command) => command,
        Command::CloseOrder(command) => command,
        Command::PickShipment(command) => command,
        Command::CheckShipment(command) => command,
        Command::StartWave(command) => command,
        Command::AllocateWave(command) => command,
        Command::PlanTrip(command) => command,
        Command::LoadShipment(command) => command,
        Command::DepartTrip(command) => command,
        Command::CloseTrip(command) => command,
        Command::CancelTrip(command) => command,
        Command::AnnounceReturn(command) => command,
        Command::ReceiveReturn(command) => command,
        Command::CancelReturn(command) => command,
        Command::ReleaseQuarantine(command) => command,
        Command::TransferStock(command) => command,
        Command::CountStock(command) => command,
        Command::SellFromVan(command) => command,
        Command::MarkMissedVisits(command) => command,
        Command::ApplyAssignments(command) => command,
        Command::TurnMonth(command) => command,
        Command::AdvanceHorizon(command) => command,
        Command::RestampRecords(command) => command,
        Command::PlanVisits(command) => command,
        Command::AllocateStock(command) => command,
        Command::EscalateClaims(command) => command,
    }
}
