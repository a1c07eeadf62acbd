use proptest::collection::vec;
use proptest::prelude::*;
use roundsman_proto::trade::{Order, ShortageRule};

use super::*;

const MOVER: Mover = Mover { by: Uuid::nil(), now_us: 50 };
const ORDER: Uuid = Uuid::from_u128(100);

fn id(number: u8) -> Vec<u8> {
    vec![number; 16]
}

/// Five pieces of 1.01 each were loaded, of which the customer took three; of another line two were loaded and taken.
fn shipment() -> Shipment {
    let line = |number, loaded_milli, delivered_milli| ShipmentLine {
        line_id: id(number),
        product_id: id(20 + number),
        loaded_milli,
        delivered_milli,
        ..ShipmentLine::default()
    };
    let lines = vec![line(1, 5_000, 3_000), line(2, 2_000, 2_000)];
    let order_id = ORDER.as_bytes().to_vec();
    let mut shipment = Shipment { lines, order_id, warehouse_id: id(7), ..Shipment::default() };
    shipment.set_state(ShipmentState::PartlyDelivered);
    shipment
}

fn orders() -> Vec<Ordered> {
    let line = |number, confirmed_milli| OrderLine {
        line_id: id(number),
        confirmed_milli,
        price_minor: 101,
        ..OrderLine::default()
    };
    let lines = vec![line(1, 3_000), line(2, 2_000)];
    let order = Order { lines, customer_id: id(8), currency: "EUR".to_owned(), contract_id: id(6), ..Order::default() };
    vec![Ordered { id: ORDER, order, vat_included: true, shortage_rule: ShortageRule::ConfirmPart }]
}

fn with<T>(shipment: &Shipment, returned: &Returned, rule: impl FnOnce(&Setting<'_>) -> T) -> T {
    let outlet_id = Uuid::from_u128(9);
    let setting = Setting { outlet_id, shipment, orders: &orders(), returned, reclamation: None, mover: MOVER };
    rule(&setting)
}

fn announce(lines: &[(u8, i64)]) -> AnnounceReturn {
    let line = |(number, quantity_milli): &(u8, i64)| AnnouncedReturnLine {
        shipment_line_id: id(*number),
        quantity_milli: *quantity_milli,
        reason: ReturnReason::Unsold.into(),
    };
    let lines = lines.iter().map(line).collect();
    AnnounceReturn { return_id: id(50), shipment_id: id(60), lines, ..AnnounceReturn::default() }
}

fn receive(origin: ReturnOrigin, lines: &[(u8, [i64; 3])]) -> ReceiveReturn {
    let line = |(number, [sellable_milli, damaged_milli, expired_milli]): &(u8, [i64; 3])| ReceivedReturnLine {
        shipment_line_id: id(*number),
        sellable_milli: *sellable_milli,
        damaged_milli: *damaged_milli,
        expired_milli: *expired_milli,
        reason: ReturnReason::Unsold.into(),
    };
    let (origin, lines) = (origin.into(), lines.iter().map(line).collect());
    ReceiveReturn { return_id: id(50), shipment_id: id(60), origin, lines, ..ReceiveReturn::default() }
}

fn fact<'a>(rejection: &'a Rejection, name: &str) -> Option<&'a str> {
    rejection.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.as_str())
}

#[test]
fn c33_no_more_comes_back_than_the_customer_took() {
    let (shipment, none) = (shipment(), Returned::default());
    let too_much = receive(ReturnOrigin::GivenBack, &[(1, [2_000, 1_000, 1_000])]);
    let refused = with(&shipment, &none, |setting| decide_receive(None, &too_much, setting)).expect_err("refused");
    assert_eq!((refused.reason, fact(&refused, "returnable_milli")), (Reason::ReturnExceedsDelivered, Some("3000")));
    let part = receive(ReturnOrigin::GivenBack, &[(1, [1_000, 1_000, 0])]);
    let first = with(&shipment, &none, |setting| decide_receive(None, &part, setting)).expect("received");
    assert_eq!((first.goods_return.value_minor, first.returned.of(&id(1)).given_back_milli), (202, 2_000));
    assert_eq!((&first.goods_return.contract_id, &first.goods_return.customer_id), (&id(6), &id(8)));
    let again = with(&shipment, &first.returned, |setting| {
        let other = ReceiveReturn { return_id: id(51), ..part.clone() };
        decide_receive(None, &other, setting)
    });
    assert_eq!(fact(&again.expect_err("refused"), "returnable_milli"), Some("1000"));
    let same = with(&shipment, &first.returned, |setting| decide_receive(Some(&first.goods_return), &part, setting));
    assert_eq!(same.expect("the same").verdict, Verdict::nothing_to_do());
    let other = receive(ReturnOrigin::GivenBack, &[(1, [2_000, 0, 0])]);
    let other = with(&shipment, &first.returned, |setting| decide_receive(Some(&first.goods_return), &other, setting));
    assert_eq!(other.expect_err("other counts").reason, Reason::WrongState);
}

#[test]
fn what_was_not_taken_was_never_owed() {
    let none = Returned::default();
    let two = receive(ReturnOrigin::NotTaken, &[(1, [2_000, 0, 0])]);
    let back = with(&shipment(), &none, |setting| decide_receive(None, &two, setting)).expect("received");
    assert_eq!((back.goods_return.value_minor, back.returned.of(&id(1)).not_taken_milli), (0, 2_000));
    let taken = receive(ReturnOrigin::NotTaken, &[(2, [1, 0, 0])]);
    let refused = with(&shipment(), &none, |setting| decide_receive(None, &taken, setting)).expect_err("all was taken");
    assert_eq!((refused.reason, fact(&refused, "returnable_milli")), (Reason::ReturnExceedsDelivered, Some("0")));
    for (state, most) in [(ShipmentState::Shipped, 0), (ShipmentState::NotAttempted, 2_000)] {
        let mut shipment = shipment();
        shipment.set_state(state);
        assert_eq!(returnable(&shipment, &shipment.lines[0], ReturnOrigin::NotTaken, &none, false), most, "{state:?}");
    }
}

#[test]
fn what_is_announced_is_announced_once_and_what_comes_is_what_counts() {
    let (shipment, none) = (shipment(), Returned::default());
    let announced = with(&shipment, &none, |setting| decide_announce(None, &announce(&[(1, 2_000)]), setting));
    let Decision { goods_return, returned, .. } = announced.expect("announced");
    let other = with(&shipment, &returned, |setting| decide_announce(None, &announce(&[(1, 2_000)]), setting));
    assert_eq!(fact(&other.expect_err("of the same"), "returnable_milli"), Some("1000"));
    let again =
        with(&shipment, &returned, |setting| decide_announce(Some(&goods_return), &announce(&[(1, 2_000)]), setting));
    assert_eq!(again.expect("the same").verdict, Verdict::nothing_to_do());
    let another =
        with(&shipment, &returned, |setting| decide_announce(Some(&goods_return), &announce(&[(1, 1_000)]), setting));
    assert_eq!(another.expect_err("another").reason, Reason::IdTaken);
    let more = receive(ReturnOrigin::Unspecified, &[(1, [3_000, 0, 0]), (2, [0, 0, 1_000])]);
    let came = with(&shipment, &returned, |setting| decide_receive(Some(&goods_return), &more, setting));
    let came = came.expect("more came than was announced");
    assert_eq!((came.goods_return.state(), came.goods_return.value_minor), (ReturnState::Received, 404));
    assert_eq!(came.goods_return.lines[0].announced_milli, 2_000);
    let line = came.returned.of(&id(1));
    assert_eq!((line.announced_milli, line.given_back_milli), (0, 3_000));
    let cancel = CancelReturn { return_id: id(50), reason: "sold after all".to_owned() };
    let off = decide_cancel(&goods_return, &cancel, &returned).expect("called off");
    assert_eq!((off.goods_return.state(), off.returned), (ReturnState::Cancelled, none));
    assert_eq!(
        decide_cancel(&came.goods_return, &cancel, &came.returned).expect_err("late").reason,
        Reason::WrongState
    );
}

#[test]
fn a_form_says_what_is_wrong_with_it() {
    let (shipment, none) = (shipment(), Returned::default());
    let given_back = ReturnOrigin::GivenBack;
    let unsaid =
        ReceivedReturnLine { reason: 0, sellable_milli: 1, ..receive(given_back, &[(1, [0; 3])]).lines[0].clone() };
    for (command, field) in [
        (receive(ReturnOrigin::Unspecified, &[(1, [1, 0, 0])]), "origin"),
        (receive(given_back, &[]), "lines"),
        (receive(given_back, &[(1, [1, 0, 0]), (1, [1, 0, 0])]), "shipment_line_id"),
        (receive(given_back, &[(3, [1, 0, 0])]), "shipment_line_id"),
        (receive(given_back, &[(1, [0, -1, 0])]), "damaged_milli"),
        (ReceiveReturn { lines: vec![unsaid], ..receive(given_back, &[]) }, "reason"),
    ] {
        let refused = with(&shipment, &none, |setting| decide_receive(None, &command, setting)).expect_err("refused");
        assert_eq!(refused.field, field, "{refused:?}");
    }
    let of_none = AnnounceReturn { reclamation_id: id(70), ..announce(&[(1, 1_000)]) };
    let refused = with(&shipment, &none, |setting| decide_announce(None, &of_none, setting)).expect_err("refused");
    assert_eq!((refused.reason, refused.field.as_str()), (Reason::Mismatch, "reclamation_id"));
}

#[test]
fn what_is_in_quarantine_is_sold_or_written_off_and_never_more_than_that() {
    let stock = Available::default().counted(5_000).came_back(1_000, 3_000);
    assert_eq!((stock.on_hand_milli, stock.quarantined_milli), (6_000, 3_000));
    let release = |quantity_milli, decision: QuarantineDecision| {
        let command = ReleaseQuarantine { quantity_milli, decision: decision.into(), ..ReleaseQuarantine::default() };
        decide_release(stock, &command).map(|stock| (stock.on_hand_milli, stock.quarantined_milli))
    };
    assert_eq!(release(2_000, QuarantineDecision::ToStock), Ok((8_000, 1_000)));
    assert_eq!(release(2_000, QuarantineDecision::WrittenOff), Ok((6_000, 1_000)));
    let refused = release(4_000, QuarantineDecision::WrittenOff).expect_err("refused");
    assert_eq!((refused.reason, fact(&refused, "quarantined_milli")), (Reason::QuarantineExceeded, Some("3000")));
    assert_eq!(release(1, QuarantineDecision::Unspecified).expect_err("unsaid").field, "decision");
}

proptest! {
    #[test]
    fn all_that_is_given_back_is_worth_what_was_taken(parts in vec(1..1_500_i64, 1..8), price in 0..1_000_i64) {
        let shipment = shipment();
        let mut orders = orders();
        orders[0].order.lines[0].price_minor = price;
        let whole = worth(&orders[0].order.lines[0], 3_000, true).expect("small");
        let (mut returned, mut value_minor, mut came) = (Returned::default(), 0, 0);
        for part in parts {
            let part = part.min(3_000 - came);
            let command = receive(ReturnOrigin::GivenBack, &[(1, [part, 0, 0])]);
            let outlet_id = Uuid::from_u128(9);
            let setting =
                Setting { outlet_id, shipment: &shipment, orders: &orders, returned: &returned, reclamation: None, mover: MOVER };
            let done = decide_receive(None, &command, &setting).expect("no more than was taken");
            (came, value_minor) = (came + part, value_minor + done.goods_return.value_minor);
            prop_assert!(done.goods_return.value_minor >= 0);
            returned = done.returned;
        }
        prop_assert_eq!(value_minor, worth(&orders[0].order.lines[0], came, true).expect("small"));
        prop_assert!(came < 3_000 || value_minor == whole);
    }
}
