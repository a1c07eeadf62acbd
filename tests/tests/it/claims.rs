//! Reclamations from the complaint to the settlement: who may do what, what a phone sees of it, and that nothing is accepted twice.

use std::sync::Arc;

use roundsman::jobs::Jobs;
use roundsman_proto::auth::Role;
use roundsman_proto::logistics::{
    CountReclamationsRequest, ListReclamationsRequest, ReclamationCount, ReclamationGrouping, ReclamationWorth,
    ReviewClaimRequest,
};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    ClaimCause, ClaimLine, DecideClaim, DecidedClaimLine, DeliverShipment, DeliveredLine, FileClaim, PrepareShipment,
    Reason, Reclamation, ReclamationCause, ReclamationState, ReleaseOrder, ReviewClaim, SettleClaim, SettlementKind,
    ShipShipment,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use tonic::Code;
use uuid::Uuid;

use crate::cash::announced;
use crate::conflicts::{done, order, ready, status};
use crate::desk::{by, entry, explained, import};
use crate::logistics::client;

on_both_databases!(
    a_claim_goes_from_the_complaint_to_the_credit_note,
    c24_more_than_was_delivered_is_never_accepted,
    c25_what_driver_rep_and_customer_claim_is_accepted_once,
    what_contradicts_a_claim_is_refused_and_nothing_is_half_done,
    claims_are_listed_by_state_and_age,
    causes_are_a_tree_of_which_a_leaf_is_chosen,
    a_tree_of_causes_that_loops_or_is_too_deep_is_refused,
    c24_how_late_is_too_late_says_the_cause,
    what_is_overdue_is_told_the_supervisor_and_then_the_office,
    nobody_works_on_a_holiday_of_the_territory,
    claims_are_listed_by_what_is_due,
    claims_are_counted_beside_what_was_delivered,
    c24_a_claim_about_another_customers_shipment_is_refused,
);

/// A shipment of five pieces that has arrived.
pub(crate) struct Arrived {
    pub(crate) app: TestApp,
    pub(crate) world: World,
    pub(crate) anna: TestDevice,
    pub(crate) lars: String,
    order: Uuid,
    pub(crate) shipment: Uuid,
    pub(crate) line: Vec<u8>,
    /// Opened by the server, if less than five pieces were delivered.
    opened: Uuid,
}

impl Arrived {
    pub(crate) async fn with(kind: Kind, delivered: i64) -> Self {
        let (app, world, mut anna) = ready(kind).await;
        app.user("lars", Role::Logistics, None, None).await;
        let lars = app.token("lars").await;
        let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
        let line = submit.lines[0].line_id.clone();
        assert_eq!(app.decide(&mut anna, Command::SubmitOrder(submit)).await.status(), Status::Applied);
        let (shipment, opened) = (app.id(), app.id());
        let (order_id, shipment_id) = (bytes(id), bytes(shipment));
        let lines =
            vec![DeliveredLine { line_id: line.clone(), delivered_milli: delivered, ..DeliveredLine::default() }];
        let house = Self { app, world, anna, lars, order: id, shipment, line, opened };
        for command in [
            Command::ReleaseOrder(ReleaseOrder { order_id: order_id.clone(), ..ReleaseOrder::default() }),
            Command::PrepareShipment(PrepareShipment {
                shipment_id: shipment_id.clone(),
                order_id,
                ..PrepareShipment::default()
            }),
            Command::ShipShipment(ShipShipment { shipment_id: shipment_id.clone(), ..ShipShipment::default() }),
            Command::DeliverShipment(DeliverShipment {
                shipment_id,
                lines,
                reclamation_id: bytes(opened),
                ..DeliverShipment::default()
            }),
        ] {
            let outcome = house.logistics(command).await;
            assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
        }
        house
    }

    pub(crate) async fn logistics(&self, command: Command) -> Outcome {
        self.app.office_as(&self.lars, self.app.id(), command).await.expect("logistics is answered")
    }

    pub(crate) fn claim(&self, cause: ReclamationCause, claimed_milli: i64) -> FileClaim {
        let line = ClaimLine {
            line_id: bytes(self.app.id()),
            product_id: bytes(self.world.products[0]),
            shipment_line_id: self.line.clone(),
            claimed_milli,
            ..ClaimLine::default()
        };
        FileClaim {
            reclamation_id: bytes(self.app.id()),
            outlet_id: bytes(self.world.anna.outlets[0]),
            shipment_id: bytes(self.shipment),
            cause: cause.into(),
            lines: vec![line],
            ..FileClaim::default()
        }
    }

    /// The rep files a claim.
    pub(crate) async fn files(&mut self, claim: FileClaim) -> (Uuid, Outcome) {
        let id = Uuid::from_slice(&claim.reclamation_id).expect("an id");
        (id, self.app.decide(&mut self.anna, Command::FileClaim(claim)).await)
    }

    async fn decides(&self, id: Uuid, accepted_milli: i64, text: &str) -> Outcome {
        let lines = vec![DecidedClaimLine { line_id: self.stored(id).await.lines[0].line_id.clone(), accepted_milli }];
        let (reclamation_id, text) = (bytes(id), text.to_owned());
        self.app.office(Command::DecideClaim(DecideClaim { reclamation_id, lines, text, as_case: false })).await
    }

    async fn stored(&self, id: Uuid) -> Reclamation {
        self.app.stored::<Reclamation>(self.world.tenant).await.remove(&id).expect("the claim")
    }

    async fn accepted(&self, ids: &[Uuid]) -> i64 {
        let stored = self.app.stored::<Reclamation>(self.world.tenant).await;
        ids.iter().map(|id| stored[id].lines[0].accepted_milli).sum()
    }

    async fn shown(&mut self, id: Uuid) -> ReclamationState {
        self.app.sync(&mut self.anna).await;
        self.app.shown::<Reclamation>(&self.anna, id).expect("the rep sees it").state()
    }

    pub(crate) async fn closes(mut self) {
        done(self.app, &self.world, &mut self.anna).await;
    }
}

fn settle(id: Uuid, kind: SettlementKind, amount_minor: i64) -> SettleClaim {
    let reference = "CN-1".to_owned();
    SettleClaim { reclamation_id: bytes(id), kind: kind.into(), amount_minor, reference, order_id: Vec::new() }
}

pub(crate) fn fact(outcome: &Outcome, name: &str) -> String {
    outcome.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone()).unwrap_or_default()
}

async fn a_claim_goes_from_the_complaint_to_the_credit_note(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let (id, filed) = house.files(house.claim(ReclamationCause::Damaged, 3_000)).await;
    assert_eq!(status(&filed), (Status::Applied, Reason::Unspecified), "{filed:?}");
    let review = ReviewClaim {
        reclamation_id: bytes(id),
        department: "warehouse".to_owned(),
        note: "were they wet?".to_owned(),
    };
    let reviewed = house.logistics(Command::ReviewClaim(review.clone())).await;
    assert_eq!(status(&reviewed), (Status::Applied, Reason::Unspecified));
    let again = house.logistics(Command::ReviewClaim(review)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    assert_eq!(house.shown(id).await, ReclamationState::InReview);
    let decided = house.decides(id, 2_000, "one of them is fine").await;
    assert_eq!(status(&decided), (Status::Applied, Reason::Unspecified), "{decided:?}");
    assert_eq!(fact(&decided, "accepted_minor"), (2 * PRICE_MINOR).to_string());
    assert_eq!(house.shown(id).await, ReclamationState::PartlySatisfied);
    let note = Command::SettleClaim(settle(id, SettlementKind::CreditNote, 2 * PRICE_MINOR));
    assert_eq!(house.app.office(note.clone()).await.status(), Status::Applied);
    assert_eq!(status(&house.app.office(note).await), (Status::Applied, Reason::NothingToDo));
    assert_eq!(house.shown(id).await, ReclamationState::Settled, "the rep sees it in its month");
    let claim = house.stored(id).await;
    let decision = claim.decision.expect("decided");
    assert_eq!((decision.text.as_str(), decision.currency.as_str()), ("one of them is fine", CURRENCY));
    assert_eq!((claim.department.as_str(), claim.review_note.as_str()), ("warehouse", "were they wet?"));
    assert_eq!(claim.settlement.expect("settled").reference, "CN-1");
    for topic in ["reclamation.reviewed", "reclamation.decided", "reclamation.settled"] {
        assert_eq!(announced(&house.app, topic, id).await, 1, "{topic}");
    }
    house.closes().await;
}

async fn c24_more_than_was_delivered_is_never_accepted(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let (first, _) = house.files(house.claim(ReclamationCause::Quality, 4_000)).await;
    let (second, held) = house.files(house.claim(ReclamationCause::Damaged, 6_000)).await;
    assert_eq!(status(&held), (Status::Held, Reason::ClaimExceedsDelivered));
    assert_eq!(house.decides(first, 4_000, "").await.status(), Status::Applied);
    let refused = house.decides(second, 2_000, "as you say").await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::AcceptedTooMuch), "{refused:?}");
    assert_eq!(fact(&refused, "acceptable_milli"), "1000");
    assert_eq!(house.decides(second, 1_000, "the rest was credited before").await.status(), Status::Applied);
    assert_eq!(house.accepted(&[first, second]).await, 5_000, "what was delivered");
    house.closes().await;
}

async fn c25_what_driver_rep_and_customer_claim_is_accepted_once(kind: Kind) {
    let mut house = Arrived::with(kind, 3_000).await;
    let driver = house.opened;
    let (rep, _) = house.files(house.claim(ReclamationCause::DeliveryDiscrepancy, 2_000)).await;
    let claim = house.claim(ReclamationCause::DeliveryDiscrepancy, 2_000);
    let customer = Uuid::from_slice(&claim.reclamation_id).expect("an id");
    house.app.office(Command::FileClaim(claim)).await;
    for report in [rep, customer] {
        assert_eq!(house.stored(report).await.case_reclamation_id, bytes(driver), "one case, three reports");
    }
    let as_case = |id: Uuid| {
        Command::DecideClaim(DecideClaim { reclamation_id: bytes(id), as_case: true, ..DecideClaim::default() })
    };
    let early = house.app.office(as_case(rep)).await;
    assert_eq!(status(&early), (Status::Rejected, Reason::CaseNotDecided));
    let whole = house.decides(driver, 2_000, "").await;
    assert_eq!(status(&whole), (Status::Applied, Reason::Unspecified), "{whole:?}");
    let twice = house.decides(rep, 1, "as you say").await;
    assert_eq!(status(&twice), (Status::Rejected, Reason::AcceptedTooMuch), "{twice:?}");
    for report in [rep, customer] {
        assert_eq!(house.app.office(as_case(report)).await.status(), Status::Applied);
        assert_eq!(house.shown(report).await, ReclamationState::Satisfied);
    }
    assert_eq!(house.accepted(&[driver, rep, customer]).await, 2_000);
    let settled = house.app.office(Command::SettleClaim(settle(rep, SettlementKind::PickUp, 0))).await;
    assert_eq!(status(&settled), (Status::Rejected, Reason::WrongState), "it is closed with its case");
    house.closes().await;
}

async fn what_contradicts_a_claim_is_refused_and_nothing_is_half_done(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let elsewhere =
        FileClaim { outlet_id: bytes(house.world.anna.outlets[1]), ..house.claim(ReclamationCause::Damaged, 1_000) };
    let (_, refused) = house.files(elsewhere).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::Mismatch));
    assert!(refused.text.starts_with("shipment_id"), "{refused:?}");
    let unseen = house.app.stored::<Reclamation>(house.world.tenant).await;
    assert!(unseen.is_empty(), "{unseen:?}");
    let (id, _) = house.files(house.claim(ReclamationCause::Damaged, 3_000)).await;
    let early = house.app.office(Command::SettleClaim(settle(id, SettlementKind::Refund, 1))).await;
    assert_eq!(status(&early), (Status::Rejected, Reason::WrongState));
    let line = house.stored(id).await.lines[0].line_id.clone();
    let decide = |lines: Vec<(Vec<u8>, i64)>, text: &str, as_case| {
        let of = |(line_id, accepted_milli)| DecidedClaimLine { line_id, accepted_milli };
        let (reclamation_id, text) = (bytes(id), text.to_owned());
        let lines = lines.into_iter().map(of).collect();
        Command::DecideClaim(DecideClaim { reclamation_id, lines, text, as_case })
    };
    let before = house.stored(id).await;
    for (command, reason, field) in [
        (decide(vec![(line.clone(), 1_000)], "", false), Reason::MissingField, "text"),
        (decide(vec![(line.clone(), -1)], "x", false), Reason::OutOfRange, "accepted_milli"),
        (decide(vec![(line.clone(), 3_001)], "x", false), Reason::AcceptedTooMuch, "accepted_milli"),
        (decide(vec![(vec![9; 16], 1)], "x", false), Reason::Mismatch, "line_id"),
        (decide(vec![(line.clone(), 1), (line.clone(), 1)], "x", false), Reason::RepeatedId, "line_id"),
        (decide(vec![(line.clone(), 1)], "", true), Reason::OutOfRange, "lines"),
        (decide(Vec::new(), "", true), Reason::Mismatch, "as_case"),
    ] {
        let refused = house.app.office(command).await;
        assert_eq!(status(&refused), (Status::Rejected, reason), "{refused:?}");
        assert!(refused.text.starts_with(field), "{refused:?}");
    }
    assert_eq!(house.stored(id).await, before);
    for trespass in
        [decide(vec![(line.clone(), 3_000)], "", false), Command::SettleClaim(settle(id, SettlementKind::PickUp, 0))]
    {
        let refused = house.logistics(trespass).await;
        assert_eq!(status(&refused), (Status::Rejected, Reason::RoleNotAllowed), "{refused:?}");
    }
    assert_eq!(house.decides(id, 3_000, "").await.status(), Status::Applied);
    let other = house.decides(id, 2_000, "on second thoughts").await;
    assert_eq!(status(&other), (Status::Rejected, Reason::WrongState), "it stands");
    let review = ReviewClaim { reclamation_id: bytes(id), ..ReviewClaim::default() };
    assert_eq!(house.logistics(Command::ReviewClaim(review)).await.reason(), Reason::WrongState);
    let (high, none) = (3 * PRICE_MINOR + 1, SettlementKind::ReplacementOrder);
    for (command, reason, field) in [
        (settle(id, SettlementKind::CreditNote, high), Reason::SettledTooHigh, "amount_minor"),
        (settle(id, SettlementKind::Unspecified, 0), Reason::UnknownValue, "kind"),
        (settle(id, SettlementKind::Refund, 0), Reason::OutOfRange, "amount_minor"),
        (settle(id, none, 0), Reason::MissingField, "order_id"),
        (SettleClaim { order_id: bytes(house.shipment), ..settle(id, none, 0) }, Reason::Mismatch, "order_id"),
        (SettleClaim { order_id: vec![9; 16], ..settle(id, none, 0) }, Reason::Mismatch, "order_id"),
    ] {
        let refused = house.app.office(Command::SettleClaim(command)).await;
        assert_eq!(status(&refused), (Status::Rejected, reason), "{refused:?}");
        assert!(refused.text.starts_with(field), "{refused:?}");
    }
    assert_eq!(house.stored(id).await.state(), ReclamationState::Satisfied);
    let replaced = SettleClaim { order_id: bytes(house.order), ..settle(id, none, 0) };
    assert_eq!(house.app.office(Command::SettleClaim(replaced)).await.status(), Status::Applied);
    house.closes().await;
}

async fn claims_are_listed_by_state_and_age(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let mut filed = Vec::new();
    for _ in 0..4 {
        filed.push(house.files(house.claim(ReclamationCause::Damaged, 1_000)).await.0);
        house.app.pass(1);
    }
    house.decides(filed[0], 1_000, "").await;
    let department = "quality".to_owned();
    let review =
        ReviewClaim { reclamation_id: bytes(filed[1]), department: department.clone(), ..ReviewClaim::default() };
    let request = ReviewClaimRequest { command_id: bytes(house.app.id()), review: Some(review) };
    let answer = client(&house.app).review_claim(by(&house.lars, request)).await.expect("is answered").into_inner();
    assert_eq!(status(&answer.outcome.expect("an outcome")), (Status::Applied, Reason::Unspecified));
    let all = ListReclamationsRequest::default();
    let in_review = ReclamationState::InReview.into();
    let outlet_id = bytes(house.world.anna.outlets[1]);
    for (request, expected) in [
        (all.clone(), vec![filed[2], filed[3], filed[1], filed[0]]),
        (ListReclamationsRequest { page_size: 1, ..all.clone() }, vec![filed[2], filed[3], filed[1], filed[0]]),
        (ListReclamationsRequest { page_size: 3, ..all.clone() }, vec![filed[2], filed[3], filed[1], filed[0]]),
        (ListReclamationsRequest { state: in_review, ..all.clone() }, vec![filed[1]]),
        (ListReclamationsRequest { department, ..all.clone() }, vec![filed[1]]),
        (ListReclamationsRequest { outlet_id, ..all.clone() }, Vec::new()),
    ] {
        assert_eq!(listed(&house, &request).await, expected, "{request:?}");
    }
    for wrong in [
        ListReclamationsRequest { state: 99, ..all.clone() },
        ListReclamationsRequest { outlet_id: vec![1], ..all.clone() },
        ListReclamationsRequest { page_token: "x".to_owned(), ..all.clone() },
    ] {
        let refused = client(&house.app).list_reclamations(by(&house.lars, wrong)).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let rep = house.app.device_token("anna").await;
    let refused = client(&house.app).list_reclamations(by(&rep, all)).await.expect_err("is refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    house.closes().await;
}

/// All pages.
async fn listed(house: &Arrived, request: &ListReclamationsRequest) -> Vec<Uuid> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListReclamationsRequest { page_token, ..request.clone() };
        let answer = client(&house.app).list_reclamations(by(&house.lars, request)).await.expect("is answered");
        let answer = answer.into_inner();
        for listed in answer.reclamations {
            assert!(listed.reclamation.is_some(), "the document");
            found.push(Uuid::from_slice(&listed.reclamation_id).expect("an id"));
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

/// A day, in minutes.
const DAY: i64 = 24 * 60;

fn cause(parent: Option<Uuid>, cause: ReclamationCause) -> ClaimCause {
    let parent_id = parent.map(bytes).unwrap_or_default();
    ClaimCause { name: "Cause".to_owned(), parent_id, cause: cause.into(), ..ClaimCause::default() }
}

impl Arrived {
    /// The office has a group of causes and a leaf below it, for which the group speaks.
    async fn causes(&self) -> (Uuid, Uuid) {
        let (group, leaf) = (self.app.id(), self.app.id());
        let department = "warehouse".to_owned();
        let above = ClaimCause { department, decide_within_days: 2, ..cause(None, ReclamationCause::Damaged) };
        let records = vec![
            entry(leaf, Record::ClaimCause(cause(Some(group), ReclamationCause::Unspecified))),
            entry(group, Record::ClaimCause(above)),
        ];
        // A parent stands before what is below it.
        import(&self.app, records.into_iter().rev().collect()).await;
        (group, leaf)
    }

    /// A claim that names a cause, and leaves open what that counts as.
    fn claim_for(&self, cause: Uuid, claimed_milli: i64) -> FileClaim {
        let claim = self.claim(ReclamationCause::Unspecified, claimed_milli);
        FileClaim { cause_id: bytes(cause), ..claim }
    }

    /// The server does what is due.
    async fn jobs(&self) {
        Jobs::new(Arc::clone(&self.app.core)).run_due(self.world.tenant).await.expect("runs");
    }

    async fn refused(&self, record: ClaimCause, id: Uuid) -> Outcome {
        let records = vec![entry(id, Record::ClaimCause(record))];
        let command = Command::ImportRecords(roundsman_proto::trade::ImportRecords { records });
        self.app.office(command).await
    }
}

async fn causes_are_a_tree_of_which_a_leaf_is_chosen(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let (group, leaf) = house.causes().await;
    house.app.sync(&mut house.anna).await;
    let shown: ClaimCause = house.app.shown(&house.anna, leaf).expect("every phone has the causes");
    assert_eq!(shown.parent_id, bytes(group));
    let claim = house.claim_for(leaf, 1_000);
    let (id, filed) = house.files(claim.clone()).await;
    assert_eq!(status(&filed), (Status::Applied, Reason::Unspecified), "{filed:?}");
    let stored = house.stored(id).await;
    assert_eq!((stored.cause(), stored.department.as_str()), (ReclamationCause::Damaged, "warehouse"));
    assert_eq!((stored.due_day, stored.cause_id.clone()), (TODAY + 2, bytes(leaf)));
    assert_eq!((stored.decide_within_days, stored.settle_within_days), (2, 5));
    let (_, again) = house.files(claim.clone()).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    let other = FileClaim { cause_id: bytes(group), ..claim };
    assert_eq!(house.files(other).await.1.reason(), Reason::IdTaken);
    let withdrawn = house.app.id();
    let gone = ClaimCause { withdrawn_from_day: TODAY, ..cause(Some(group), ReclamationCause::Quality) };
    import(&house.app, vec![entry(withdrawn, Record::ClaimCause(gone))]).await;
    for (chosen, says, reason, field) in [
        (group, ReclamationCause::Unspecified, Reason::CauseIsGroup, "cause_id"),
        (withdrawn, ReclamationCause::Unspecified, Reason::CauseWithdrawn, "cause_id"),
        (leaf, ReclamationCause::Price, Reason::Mismatch, "cause"),
        (house.app.id(), ReclamationCause::Unspecified, Reason::NotFound, "cause_id"),
        (house.shipment, ReclamationCause::Unspecified, Reason::IdOfAnotherKind, ""),
    ] {
        let claim = FileClaim { cause: says.into(), ..house.claim_for(chosen, 1_000) };
        let (_, refused) = house.files(claim).await;
        assert_eq!(status(&refused), (Status::Rejected, reason), "{refused:?}");
        assert!(refused.text.starts_with(field), "{refused:?}");
    }
    // What was filed keeps its deadline, whatever becomes of the cause.
    let slower = ClaimCause { decide_within_days: 9, ..cause(None, ReclamationCause::Papers) };
    import(&house.app, vec![entry(group, Record::ClaimCause(slower))]).await;
    assert_eq!(house.stored(id).await, stored);
    house.closes().await;
}

async fn a_tree_of_causes_that_loops_or_is_too_deep_is_refused(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    let ids: Vec<Uuid> = (0..5).map(|_| house.app.id()).collect();
    let open = ReclamationCause::Unspecified;
    let quality = ReclamationCause::Quality;
    let above = |index: usize| index.checked_sub(1).map(|above| ids[above]);
    let line = |index: usize| entry(ids[index], Record::ClaimCause(cause(above(index), quality)));
    import(&house.app, (0..4).map(line).collect()).await;
    let unknown = house.app.id();
    for (id, record, reason, field) in [
        (ids[4], cause(Some(ids[3]), open), Reason::CauseCycle, "parent_id"),
        (ids[0], cause(Some(ids[0]), open), Reason::CauseCycle, "parent_id"),
        (ids[0], cause(Some(ids[3]), open), Reason::CauseCycle, "parent_id"),
        (ids[4], cause(Some(unknown), open), Reason::NotFound, "cause_id"),
        (ids[4], cause(None, open), Reason::MissingField, "cause"),
        (ids[4], ClaimCause { name: String::new(), ..cause(None, quality) }, Reason::MissingField, "name"),
        (
            ids[4],
            ClaimCause { settle_within_days: 367, ..cause(None, quality) },
            Reason::OutOfRange,
            "settle_within_days",
        ),
    ] {
        let refused = house.refused(record, id).await;
        assert_eq!(status(&refused), (Status::Rejected, reason), "{refused:?}");
        assert!(refused.text.contains(field), "{refused:?}");
    }
    // Elsewhere there is room for the branch.
    import(
        &house.app,
        vec![
            entry(ids[1], Record::ClaimCause(cause(None, quality))),
            entry(ids[0], Record::ClaimCause(cause(Some(ids[3]), quality))),
        ],
    )
    .await;
    house.closes().await;
}

async fn c24_how_late_is_too_late_says_the_cause(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let (group, leaf) = house.causes().await;
    let patient = house.app.id();
    let slow = ClaimCause { file_within_days: 30, ..cause(Some(group), ReclamationCause::Damaged) };
    import(&house.app, vec![entry(patient, Record::ClaimCause(slow))]).await;
    house.app.pass(4 * DAY);
    let (id, late) = house.files(house.claim_for(leaf, 1_000)).await;
    assert_eq!(status(&late), (Status::Held, Reason::ClaimTooLate), "as of its kind: {late:?}");
    assert_eq!(house.stored(id).await.review_reasons, [i32::from(Reason::ClaimTooLate)]);
    let (_, in_time) = house.files(house.claim_for(patient, 1_000)).await;
    assert_eq!(in_time.status(), Status::Applied, "{in_time:?}");
    house.closes().await;
}

async fn what_is_overdue_is_told_the_supervisor_and_then_the_office(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let (id, _) = house.files(house.claim(ReclamationCause::Damaged, 1_000)).await;
    let told = async |house: &Arrived| {
        house.jobs().await;
        let claim = house.stored(id).await;
        (claim.escalation_level, announced(&house.app, "reclamation.overdue", id).await)
    };
    assert_eq!(house.stored(id).await.due_day, TODAY + 7, "five working days, and a week-end");
    house.app.pass(7 * DAY);
    assert_eq!(told(&house).await, (0, 0), "it is the last day");
    house.app.pass(DAY);
    assert_eq!(told(&house).await, (1, 1));
    assert_eq!(told(&house).await, (1, 1), "once");
    let claim = house.stored(id).await;
    assert_eq!((claim.escalated_team_id.clone(), claim.due_day), (bytes(house.world.team), TODAY + 7));
    let review = ReviewClaim { reclamation_id: bytes(id), department: "lab".to_owned(), ..ReviewClaim::default() };
    assert_eq!(house.app.office(Command::ReviewClaim(review)).await.status(), Status::Applied);
    for (level, news) in [(2, 2), (3, 3), (3, 3)] {
        house.app.pass(8 * DAY);
        assert_eq!(told(&house).await, (level, news), "who looks at it has not decided");
    }
    house.app.sync(&mut house.anna).await;
    let shown: Reclamation = house.app.shown(&house.anna, id).expect("the rep sees it");
    assert_eq!((shown.state(), shown.escalation_level), (ReclamationState::InReview, 3));
    assert_eq!(house.decides(id, 1_000, "").await.status(), Status::Applied);
    let decided = house.stored(id).await;
    assert_eq!((decided.escalation_level, decided.escalated_team_id.len()), (0, 0), "the next stage");
    assert!(decided.due_at_us > house.app.now_us(), "it is to be settled");
    house.app.pass(8 * DAY);
    assert_eq!(told(&house).await, (1, 4), "it was not");
    let note = Command::SettleClaim(settle(id, SettlementKind::CreditNote, 1));
    assert_eq!(house.app.office(note).await.status(), Status::Applied);
    let settled = house.stored(id).await;
    assert_eq!((settled.due_day, settled.escalates_at_us, settled.escalation_level), (0, 0, 0));
    house.app.pass(30 * DAY);
    assert_eq!(told(&house).await, (0, 4));
    house.closes().await;
}

async fn nobody_works_on_a_holiday_of_the_territory(kind: Kind) {
    let mut house = Arrived::with(kind, 3_000).await;
    assert_eq!(house.stored(house.opened).await.due_day, TODAY + 7, "what the server opens has its deadline as well");
    let stored = house.app.stored::<roundsman_proto::trade::Territory>(house.world.tenant).await;
    let id = house.world.anna.territory;
    let calendar = |working_weekdays, holidays: &[i32]| roundsman_proto::trade::Territory {
        working_weekdays,
        holidays: holidays.to_vec(),
        ..stored[&id].clone()
    };
    let days = calendar(0b11_1111, &[TODAY + 1, TODAY + 2]);
    import(&house.app, vec![entry(id, Record::Territory(days))]).await;
    let (claim, _) = house.files(house.claim(ReclamationCause::Damaged, 1_000)).await;
    assert_eq!(house.stored(claim).await.due_day, TODAY + 8, "Thursday to Saturday, Monday and Tuesday");
    for wrong in [calendar(128, &[]), calendar(0, &[5, 5]), calendar(0, &[0])] {
        let records = vec![entry(id, Record::Territory(wrong))];
        let command = Command::ImportRecords(roundsman_proto::trade::ImportRecords { records });
        let refused = house.app.office(command).await;
        assert_eq!(refused.status(), Status::Rejected, "{refused:?}");
    }
    house.closes().await;
}

async fn claims_are_listed_by_what_is_due(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let (_, leaf) = house.causes().await;
    let (slow, _) = house.files(house.claim(ReclamationCause::Quality, 1_000)).await;
    let (quick, _) = house.files(house.claim_for(leaf, 1_000)).await;
    let (next, _) = house.files(house.claim_for(leaf, 1_000)).await;
    let (closed, _) = house.files(house.claim_for(leaf, 1_000)).await;
    house.decides(closed, 0, "it is fine").await;
    let all = ListReclamationsRequest::default();
    let due = ListReclamationsRequest { by_due_day: true, ..all.clone() };
    let overdue = ListReclamationsRequest { overdue_only: true, ..due.clone() };
    assert_eq!(listed(&house, &overdue).await, Vec::<Uuid>::new());
    house.app.pass(3 * DAY);
    house.lars = house.app.token("lars").await;
    let (cause_id, damaged) = (bytes(leaf), ReclamationCause::Damaged.into());
    for (request, expected) in [
        (due.clone(), vec![quick, next, slow]),
        (ListReclamationsRequest { page_size: 1, ..due.clone() }, vec![quick, next, slow]),
        (ListReclamationsRequest { page_size: 2, ..due }, vec![quick, next, slow]),
        (overdue.clone(), vec![quick, next]),
        (ListReclamationsRequest { page_size: 1, by_due_day: false, ..overdue.clone() }, vec![quick, next]),
        (ListReclamationsRequest { cause_id, ..all.clone() }, vec![quick, next, closed]),
        (ListReclamationsRequest { cause: damaged, ..all.clone() }, vec![quick, next, closed]),
        (ListReclamationsRequest { cause_id: bytes(house.app.id()), ..all.clone() }, Vec::new()),
    ] {
        assert_eq!(listed(&house, &request).await, expected, "{request:?}");
    }
    // A page of one order says nothing of another.
    let first = ListReclamationsRequest { page_size: 1, ..overdue };
    let answer = client(&house.app).list_reclamations(by(&house.lars, first)).await.expect("is answered").into_inner();
    for wrong in [
        ListReclamationsRequest { page_token: answer.next_page_token, ..all.clone() },
        ListReclamationsRequest { cause: 99, ..all.clone() },
        ListReclamationsRequest { cause_id: vec![1], ..all },
    ] {
        let refused = client(&house.app).list_reclamations(by(&house.lars, wrong)).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    let tables = explained(&house.app, house.order).await;
    let claims = &tables[3];
    assert_eq!(claims.len(), 4, "{claims:?}");
    assert_eq!(
        (claims[1][1].as_str(), claims[1][3].as_str(), claims[1][5].as_str()),
        ("damaged", "registered", "warehouse")
    );
    assert_eq!((claims[1][6].as_str(), claims[3][3].as_str(), claims[3][6].as_str()), ("2026-11-25", "rejected", ""));
    house.closes().await;
}

async fn claims_are_counted_beside_what_was_delivered(kind: Kind) {
    let mut house = Arrived::with(kind, 4_000).await;
    let product = house.world.products[0];
    let stored = house.app.stored::<roundsman_proto::trade::Product>(house.world.tenant).await;
    let supplied = roundsman_proto::trade::Product { supplier: "Dairy".to_owned(), ..stored[&product].clone() };
    import(&house.app, vec![entry(product, Record::Product(supplied))]).await;
    let (_, leaf) = house.causes().await;
    let (named, _) = house.files(house.claim_for(leaf, 2_000)).await;
    house.decides(named, 1_000, "one of them is fine").await;
    let counted = async |grouping: ReclamationGrouping, from_day: i32, to_day: i32| {
        let request = CountReclamationsRequest {
            by: grouping.into(),
            from_day,
            to_day,
            time_zone: "Europe/Helsinki".to_owned(),
            limit: 0,
        };
        let answer = client(&house.app).count_reclamations(by(&house.lars, request)).await.expect("is answered");
        answer.into_inner().counts
    };
    let worth = vec![ReclamationWorth { currency: CURRENCY.to_owned(), accepted_minor: PRICE_MINOR }];
    let both = ReclamationCount {
        reclamations: 2,
        cases: 1,
        lines: 2,
        claimed_milli: 3_000,
        accepted_milli: 1_000,
        accepted: worth.clone(),
        delivered_lines: 1,
        delivered_milli: 4_000,
        lines_per_mille: 2_000,
        ..ReclamationCount::default()
    };
    let of = |id: Uuid| ReclamationCount { id: bytes(id), ..both.clone() };
    assert_eq!(counted(ReclamationGrouping::Product, TODAY, TODAY).await, [of(product)]);
    assert_eq!(counted(ReclamationGrouping::Outlet, TODAY - 3, TODAY + 3).await, [of(house.world.anna.outlets[0])]);
    let supplier = "Dairy".to_owned();
    assert_eq!(
        counted(ReclamationGrouping::Supplier, TODAY, TODAY).await,
        [ReclamationCount { supplier, ..both.clone() }]
    );
    let one = |id: Vec<u8>, cause: ReclamationCause, claimed_milli| ReclamationCount {
        id,
        cause: cause.into(),
        reclamations: 1,
        lines: 1,
        claimed_milli,
        lines_per_mille: 1_000,
        ..both.clone()
    };
    let opened = one(Vec::new(), ReclamationCause::DeliveryDiscrepancy, 1_000);
    let opened = ReclamationCount { accepted_milli: 0, accepted: Vec::new(), ..opened };
    let named = ReclamationCount { cases: 0, ..one(bytes(leaf), ReclamationCause::Damaged, 2_000) };
    assert_eq!(counted(ReclamationGrouping::Cause, TODAY, TODAY).await, [opened, named]);
    assert_eq!(counted(ReclamationGrouping::Product, TODAY - 3, TODAY - 1).await, []);
    assert_eq!(counted(ReclamationGrouping::Product, TODAY + 1, TODAY + 3).await, []);
    let rep = house.app.device_token("anna").await;
    let request =
        CountReclamationsRequest { by: 1, from_day: TODAY, to_day: TODAY, ..CountReclamationsRequest::default() };
    let refused = client(&house.app).count_reclamations(by(&rep, request.clone())).await.expect_err("is refused");
    assert_eq!(refused.code(), Code::PermissionDenied);
    let long = CountReclamationsRequest { to_day: TODAY + 92, ..request };
    let refused = client(&house.app).count_reclamations(by(&house.lars, long)).await.expect_err("is refused");
    assert_eq!(refused.code(), Code::InvalidArgument);
    house.closes().await;
}

async fn c24_a_claim_about_another_customers_shipment_is_refused(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let elsewhere = bytes(house.world.boris.outlets[0]);
    let claim = FileClaim { outlet_id: elsewhere, ..house.claim(ReclamationCause::Damaged, 1_000) };
    let refused = house.app.office(Command::FileClaim(claim.clone())).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::Mismatch), "{refused:?}");
    assert!(refused.text.starts_with("shipment_id"), "{refused:?}");
    let of_order = FileClaim { shipment_id: Vec::new(), order_id: bytes(house.order), ..claim.clone() };
    let refused = house.app.office(Command::FileClaim(of_order)).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::Mismatch), "{refused:?}");
    assert!(refused.text.starts_with("order_id"), "{refused:?}");
    let (_, refused) = house.files(claim).await;
    assert_eq!(refused.status(), Status::Rejected, "the outlet is not hers: {refused:?}");
    assert!(house.app.stored::<Reclamation>(house.world.tenant).await.is_empty());
    house.closes().await;
}
