//! Reclamations from the complaint to the settlement: who may do what, what a phone sees of it, and that nothing is accepted twice.

use roundsman_proto::auth::Role;
use roundsman_proto::logistics::{ListReclamationsRequest, ReviewClaimRequest};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    ClaimLine, DecideClaim, DecidedClaimLine, DeliverShipment, DeliveredLine, FileClaim, PrepareShipment, Reason,
    Reclamation, ReclamationCause, ReclamationState, ReleaseOrder, ReviewClaim, SettleClaim, SettlementKind,
    ShipShipment,
};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use tonic::Code;
use uuid::Uuid;

use crate::cash::announced;
use crate::conflicts::{done, order, ready, status};
use crate::desk::by;
use crate::logistics::client;

on_both_databases!(
    a_claim_goes_from_the_complaint_to_the_credit_note,
    c24_more_than_was_delivered_is_never_accepted,
    c25_what_driver_rep_and_customer_claim_is_accepted_once,
    what_contradicts_a_claim_is_refused_and_nothing_is_half_done,
    claims_are_listed_by_state_and_age,
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
