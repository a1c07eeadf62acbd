use proptest::prelude::*;
use roundsman_proto::trade::{DecidedClaimLine, OrderLine};

use super::*;

const ORDER: Uuid = Uuid::from_u128(30);
const ACTOR: Actor = Actor { by: Uuid::from_u128(7), now_us: 99 };

fn id(number: u8) -> Vec<u8> {
    vec![number; 16]
}

/// Five loaded, of a product that costs 1.00 with a tenth off.
fn shipment(delivered_milli: i64) -> Shipment {
    let line = ShipmentLine { line_id: id(10), loaded_milli: 5_000, delivered_milli, ..ShipmentLine::default() };
    Shipment {
        order_id: ORDER.as_bytes().to_vec(),
        state: ShipmentState::PartlyDelivered.into(),
        lines: vec![line],
        ..Shipment::default()
    }
}

fn orders() -> Vec<Priced> {
    let line = OrderLine {
        line_id: id(10),
        ordered_milli: 5_000,
        price_minor: 100,
        discount_bp: 1_000,
        ..OrderLine::default()
    };
    let order = Order { currency: "EUR".to_owned(), outlet_id: id(1), lines: vec![line], ..Order::default() };
    vec![Priced { id: ORDER, order, vat_included: true }]
}

fn claim(cause: ReclamationCause, claimed_milli: i64) -> Reclamation {
    let line =
        ReclamationLine { line_id: id(50), shipment_line_id: id(10), claimed_milli, ..ReclamationLine::default() };
    let state = ReclamationState::Registered.into();
    Reclamation { outlet_id: id(1), cause: cause.into(), state, lines: vec![line], ..Reclamation::default() }
}

fn accept(accepted_milli: i64, text: &str) -> DecideClaim {
    let lines = vec![DecidedClaimLine { line_id: id(50), accepted_milli }];
    DecideClaim { lines, text: text.to_owned(), ..DecideClaim::default() }
}

fn counted(claims: &[&Reclamation]) -> Claims {
    claims.iter().fold(Claims::default(), |sum, claim| sum.with(Uuid::from_u128(2), &claim.lines))
}

fn decided(
    claim: &Reclamation,
    command: &DecideClaim,
    (shipment, claims): (&Shipment, &Claims),
) -> Result<Staged, Rejection> {
    decided_with(claim, command, (shipment, claims), None)
}

fn decided_with(
    claim: &Reclamation,
    command: &DecideClaim,
    (shipment, claims): (&Shipment, &Claims),
    case: Option<&Reclamation>,
) -> Result<Staged, Rejection> {
    let orders = orders();
    let due = Due { day: 3, at_us: 300 };
    decide(claim, command, &Setting { shipment: Some(shipment), orders: &orders, claims, case, actor: ACTOR, due })
}

fn state(staged: &Staged) -> (ReclamationState, i64) {
    let minor = staged.reclamation.decision.as_ref().map_or(-1, |decision| decision.accepted_minor);
    (staged.reclamation.state(), minor)
}

#[test]
fn what_is_accepted_says_how_it_ends_and_what_it_is_worth() {
    let three = claim(ReclamationCause::Damaged, 3_000);
    let (whole, claims) = (shipment(5_000), counted(&[&three]));
    let of = |milli, text| decided(&three, &accept(milli, text), (&whole, &claims));
    let all = of(3_000, "").expect("decided");
    assert_eq!(state(&all), (ReclamationState::Satisfied, 270));
    assert_eq!((all.reclamation.stage_since_us, all.reclamation.due_day), (99, 3));
    assert_eq!(all.reclamation.decision.as_ref().map(|decision| decision.currency.as_str()), Some("EUR"));
    assert_eq!(all.claims.accepted_milli(&id(10)), (3_000, 0));
    assert_eq!(of(1_000, "").expect_err("why?").field, "text");
    assert_eq!(state(&of(1_000, "two are fine").expect("decided")), (ReclamationState::PartlySatisfied, 90));
    let none = of(0, "they are fine").expect("decided");
    assert_eq!((state(&none), is_closed(&none.reclamation)), ((ReclamationState::Rejected, 0), true));
    assert_eq!((none.reclamation.due_day, none.reclamation.escalates_at_us), (0, 0), "nothing is to be done any more");
}

#[test]
fn c24_nothing_is_accepted_beyond_what_was_claimed_and_delivered() {
    let six = claim(ReclamationCause::Quality, 6_000);
    let claims = counted(&[&six]);
    for (delivered, accepted, acceptable) in [(5_000, 6_000, "5000"), (2_000, 2_001, "2000"), (0, 1, "0")] {
        let refused = decided(&six, &accept(accepted, "x"), (&shipment(delivered), &claims)).expect_err("too much");
        assert_eq!((refused.reason, refused.facts[0].value.as_str()), (Reason::AcceptedTooMuch, acceptable));
        assert_eq!(refused.field, "accepted_milli");
    }
    let on_its_way = Shipment { state: ShipmentState::Shipped.into(), ..shipment(5_000) };
    let early = decided(&six, &accept(1, "x"), (&on_its_way, &claims)).expect_err("it has not come");
    assert_eq!(early.reason, Reason::AcceptedTooMuch);
    let alone = Reclamation {
        lines: vec![ReclamationLine { shipment_line_id: Vec::new(), ..six.lines[0].clone() }],
        ..six.clone()
    };
    let unlinked = decided(&alone, &accept(6_000, ""), (&shipment(5_000), &Claims::default())).expect("decided");
    assert_eq!(state(&unlinked), (ReclamationState::Satisfied, 0), "nobody knows what it is worth");
}

#[test]
fn c25_what_did_not_arrive_is_accepted_once_in_all_reports() {
    let driver = claim(ReclamationCause::DeliveryDiscrepancy, 2_000);
    let rep = Reclamation { case_reclamation_id: id(2), ..driver.clone() };
    let (short, claims) = (shipment(3_000), counted(&[&driver, &rep]));
    let as_case = DecideClaim { as_case: true, ..DecideClaim::default() };
    let early = decided_with(&rep, &as_case, (&short, &claims), Some(&driver)).expect_err("nobody has decided");
    assert_eq!(early.reason, Reason::CaseNotDecided);
    let first = decided(&driver, &accept(2_000, ""), (&short, &claims)).expect("decided");
    let again = decided(&rep, &accept(1, "x"), (&short, &first.claims)).expect_err("accepted already");
    assert_eq!((again.reason, again.facts[0].value.as_str()), (Reason::AcceptedTooMuch, "0"));
    let told = decided_with(&rep, &as_case, (&short, &first.claims), Some(&first.reclamation)).expect("decided");
    assert_eq!((state(&told), is_closed(&told.reclamation)), ((ReclamationState::Satisfied, 0), true));
    assert_eq!(told.claims, first.claims);
    let own = decided_with(&driver, &as_case, (&short, &claims), None).expect_err("it is the first");
    assert_eq!((own.reason, own.field.as_str()), (Reason::Mismatch, "as_case"));
    // What arrived may still be damaged, and where the driver saw all arrive the customer may have counted otherwise.
    let damaged = claim(ReclamationCause::Damaged, 4_000);
    let claims = first.claims.with(Uuid::from_u128(3), &damaged.lines);
    let refused = decided(&damaged, &accept(3_001, "x"), (&short, &claims)).expect_err("too much");
    assert_eq!(refused.facts[0].value, "3000");
    let claims = counted(&[&driver]);
    assert!(decided(&driver, &accept(2_000, ""), (&shipment(5_000), &claims)).is_ok());
}

#[test]
fn a_decision_stands() {
    let three = claim(ReclamationCause::Damaged, 3_000);
    let (whole, claims) = (shipment(5_000), counted(&[&three]));
    let first = decided(&three, &accept(3_000, ""), (&whole, &claims)).expect("decided");
    let of = |command: &DecideClaim| decided(&first.reclamation, command, (&whole, &first.claims));
    assert_eq!(of(&accept(3_000, "")), Ok(Staged { verdict: Verdict::nothing_to_do(), ..first.clone() }));
    assert_eq!(of(&accept(2_000, "x")).expect_err("it stands").reason, Reason::WrongState);
    let review = decide_review(&first.reclamation, &ReviewClaim::default(), 100);
    assert_eq!(review.expect_err("it stands").reason, Reason::WrongState);
}

#[test]
fn a_review_begins_once_and_passes_on() {
    let new = claim(ReclamationCause::Damaged, 1_000);
    let begun = decide_review(&new, &ReviewClaim::default(), 5).expect("reviewed").expect("changed");
    assert_eq!((begun.state(), begun.stage_since_us), (ReclamationState::InReview, 5));
    assert_eq!(decide_review(&begun, &ReviewClaim::default(), 6), Ok(None));
    let on = ReviewClaim { department: "warehouse".to_owned(), note: "look".to_owned(), ..ReviewClaim::default() };
    let passed = decide_review(&begun, &on, 7).expect("reviewed").expect("changed");
    assert_eq!((passed.department.as_str(), passed.review_note.as_str()), ("warehouse", "look"));
    assert_eq!(passed.stage_since_us, 5, "it is in the same stage");
}

#[test]
fn what_was_accepted_is_settled_once_and_never_more() {
    let three = claim(ReclamationCause::Damaged, 3_000);
    let claims = counted(&[&three]);
    let accepted = decided(&three, &accept(3_000, ""), (&shipment(5_000), &claims)).expect("decided").reclamation;
    let settle =
        |kind: SettlementKind, amount_minor| SettleClaim { kind: kind.into(), amount_minor, ..SettleClaim::default() };
    let of = |claim: &Reclamation, command: &SettleClaim| decide_settle(claim, None, command, ACTOR);
    let refused = |claim: &Reclamation, command: &SettleClaim| {
        let rejection = of(claim, command).expect_err("refused");
        (rejection.reason, rejection.field)
    };
    let note = settle(SettlementKind::CreditNote, 270);
    assert_eq!(refused(&three, &note).0, Reason::WrongState, "nobody has decided");
    let high = settle(SettlementKind::CreditNote, 271);
    assert_eq!(refused(&accepted, &high), (Reason::SettledTooHigh, "amount_minor".to_owned()));
    for (kind, amount_minor) in [(SettlementKind::Refund, 0), (SettlementKind::PickUp, 1)] {
        let wrong = refused(&accepted, &settle(kind, amount_minor));
        assert_eq!(wrong, (Reason::OutOfRange, "amount_minor".to_owned()));
    }
    let replaced = settle(SettlementKind::ReplacementOrder, 0);
    assert_eq!(refused(&accepted, &replaced), (Reason::MissingField, "order_id".to_owned()));
    let replaced = SettleClaim { order_id: id(40), ..replaced };
    assert_eq!(refused(&accepted, &replaced), (Reason::Mismatch, "order_id".to_owned()));
    let other = Order { outlet_id: id(2), ..Order::default() };
    assert!(decide_settle(&accepted, Some(&other), &replaced, ACTOR).is_err());
    let own = Order { outlet_id: id(1), ..Order::default() };
    assert!(decide_settle(&accepted, Some(&own), &replaced, ACTOR).is_ok());
    let settled = of(&accepted, &note).expect("settled").reclamation;
    assert_eq!((settled.state(), is_closed(&settled)), (ReclamationState::Settled, true));
    assert_eq!(of(&settled, &note).map(|again| again.verdict), Ok(Verdict::nothing_to_do()));
    assert_eq!(refused(&settled, &settle(SettlementKind::CreditNote, 1)).0, Reason::WrongState);
}

fn causes() -> impl Strategy<Value = ReclamationCause> {
    prop_oneof![Just(ReclamationCause::DeliveryDiscrepancy), Just(ReclamationCause::Damaged)]
}

proptest! {
    #[test]
    fn no_goods_are_accepted_twice(
        delivered in 0..=5_000_i64,
        reports in proptest::collection::vec((causes(), 1..7_000_i64, 0..7_000_i64), 1..8),
    ) {
        let shipment = shipment(delivered);
        let filed: Vec<(Reclamation, i64)> =
            reports.iter().map(|(cause, claimed, accepted)| (claim(*cause, *claimed), *accepted)).collect();
        let mut claims = counted(&filed.iter().map(|(claim, _)| claim).collect::<Vec<_>>());
        let (mut missing, mut arrived) = (0, 0);
        for (claim, accepted) in &filed {
            let Ok(staged) = decided(claim, &accept(*accepted, "x"), (&shipment, &claims)) else { continue };
            prop_assert!(*accepted <= claim.lines[0].claimed_milli);
            claims = staged.claims;
            let of = if claim.cause() == ReclamationCause::Damaged { &mut arrived } else { &mut missing };
            *of += accepted;
        }
        prop_assert_eq!(claims.accepted_milli(&id(10)), (missing + arrived, missing));
        prop_assert!(arrived <= delivered && missing + arrived <= 5_000);
        prop_assert!(delivered == 5_000 || missing <= 5_000 - delivered);
    }
}
