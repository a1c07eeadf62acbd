//! Goods that come back: what a customer gives back, what was not taken, what is fit to be sold again, and what is owed less for it.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, AnnounceReturn, AnnouncedReturnLine, ArchiveOutlet, CancelReturn, GoodsReturn, MergeCustomers, Order,
    OrderStatus, QuarantineDecision, Reason, ReceiveReturn, ReceivedReturnLine, ReclamationCause, ReleaseQuarantine,
    ReturnOrigin, ReturnReason, ReturnState, SetReceivable, ShortageRule, Stock,
};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, bytes};
use uuid::Uuid;

use crate::cash::announced;
use crate::claims::{Arrived, fact};
use crate::conflicts::{counted, order, status};
use crate::desk::{entry, import};

on_both_databases!(
    what_a_customer_gives_back_is_stock_again_and_owed_no_more,
    a_return_makes_room_for_an_order_that_waits_for_credit,
    c11_what_was_not_taken_goes_to_who_waits_for_it,
    c33_no_more_comes_back_than_went_out,
    what_is_in_quarantine_is_nobodys_until_it_is_released,
    returns_follow_their_outlet_and_their_customer,
    who_may_not_see_a_shipment_announces_nothing_of_it,
);

pub(crate) fn announce(house: &Arrived, quantity_milli: i64) -> AnnounceReturn {
    let line = AnnouncedReturnLine {
        shipment_line_id: house.line.clone(),
        quantity_milli,
        reason: ReturnReason::Unsold.into(),
    };
    AnnounceReturn {
        return_id: bytes(house.app.id()),
        shipment_id: bytes(house.shipment),
        lines: vec![line],
        ..AnnounceReturn::default()
    }
}

pub(crate) fn receive(
    house: &Arrived,
    id: Uuid,
    origin: ReturnOrigin,
    sellable_milli: i64,
    damaged_milli: i64,
) -> Command {
    let line = ReceivedReturnLine {
        shipment_line_id: house.line.clone(),
        sellable_milli,
        damaged_milli,
        reason: ReturnReason::Quality.into(),
        ..ReceivedReturnLine::default()
    };
    Command::ReceiveReturn(ReceiveReturn {
        return_id: bytes(id),
        shipment_id: bytes(house.shipment),
        origin: origin.into(),
        lines: vec![line],
        ..ReceiveReturn::default()
    })
}

pub(crate) async fn applied(house: &Arrived, command: Command) -> Outcome {
    let outcome = house.logistics(command).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    outcome
}

async fn stored(house: &Arrived, id: Uuid) -> GoodsReturn {
    house.app.stored::<GoodsReturn>(house.world.tenant).await.remove(&id).expect("the return")
}

async fn stock(house: &Arrived) -> Stock {
    house.app.stored::<Stock>(house.world.tenant).await.remove(&house.world.stocks[0]).expect("the stock")
}

async fn what_a_customer_gives_back_is_stock_again_and_owed_no_more(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    counted(&house.app, &house.world, 0, 10_000).await;
    let (claim, _) = house.files(house.claim(ReclamationCause::Quality, 3_000)).await;
    let command = AnnounceReturn { reclamation_id: bytes(claim), ..announce(&house, 3_000) };
    let id = Uuid::from_slice(&command.return_id).expect("an id");
    let asked = house.app.decide(&mut house.anna, Command::AnnounceReturn(command.clone())).await;
    assert_eq!(status(&asked), (Status::Applied, Reason::Unspecified), "{asked:?}");
    let again = house.app.decide(&mut house.anna, Command::AnnounceReturn(command)).await;
    assert_eq!(status(&again), (Status::Applied, Reason::NothingToDo));
    let told: GoodsReturn = house.app.shown(&house.anna, id).expect("the rep sees it");
    assert_eq!((told.state(), told.value_minor), (ReturnState::Announced, 0));
    let came = receive(&house, id, ReturnOrigin::Unspecified, 1_000, 1_000);
    let received = applied(&house, came.clone()).await;
    assert_eq!(fact(&received, "value_minor"), (2 * PRICE_MINOR).to_string());
    assert_eq!(applied(&house, came).await.reason(), Reason::NothingToDo);
    house.app.sync(&mut house.anna).await;
    let told: GoodsReturn = house.app.shown(&house.anna, id).expect("the rep sees it in its month");
    assert_eq!((told.state(), told.lines[0].announced_milli), (ReturnState::Received, 3_000));
    let figures = stock(&house).await;
    assert_eq!((figures.on_hand_milli, figures.free_milli, figures.quarantined_milli), (11_000, 11_000, 1_000));
    for topic in ["return.announced", "return.received"] {
        assert_eq!(announced(&house.app, topic, id).await, 1, "{topic}");
    }
    let books = SetReceivable {
        receivable_id: bytes(house.world.receivables[0]),
        receivable: Some(house.world.receivable(0, 300)),
        booked_return_ids: vec![bytes(id)],
        ..SetReceivable::default()
    };
    assert_eq!(house.app.office(Command::SetReceivable(books)).await.status(), Status::Applied);
    assert!(stored(&house, id).await.booked);
    let early = announce(&house, 1_000);
    let early_id = early.return_id.clone();
    applied(&house, Command::AnnounceReturn(early)).await;
    let books = SetReceivable {
        receivable_id: bytes(house.world.receivables[0]),
        receivable: Some(house.world.receivable(0, 200)),
        booked_return_ids: vec![early_id.clone()],
        ..SetReceivable::default()
    };
    let refused = house.app.office(Command::SetReceivable(books)).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::WrongState), "{refused:?}");
    let cancel = CancelReturn { return_id: early_id, reason: "sold after all".to_owned() };
    let off = house.app.decide(&mut house.anna, Command::CancelReturn(cancel.clone())).await;
    assert_eq!(status(&off), (Status::Applied, Reason::Unspecified), "{off:?}");
    assert_eq!(house.logistics(Command::CancelReturn(cancel)).await.reason(), Reason::WrongState);
    house.closes().await;
}

async fn a_return_makes_room_for_an_order_that_waits_for_credit(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let credit_limit_minor = Some(7 * PRICE_MINOR);
    let terms = Agreement { credit_limit_minor, ..house.world.agreement(0) };
    import(&house.app, vec![entry(house.world.agreements[0], Record::Agreement(terms))]).await;
    house.app.sync(&mut house.anna).await;
    let (id, submit) = order(&house.app, &house.anna, &house.world, &house.world.anna, &[(1, 4, PRICE_MINOR)]);
    let held = house.app.decide(&mut house.anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&held), (Status::Held, Reason::HeldCreditLimit), "{held:?}");
    applied(&house, receive(&house, house.app.id(), ReturnOrigin::GivenBack, 0, 2_000)).await;
    let released = house.app.stored::<Order>(house.world.tenant).await.remove(&id).expect("the order");
    assert_eq!(released.status(), OrderStatus::Confirmed, "5 were owed, and 3 are");
    house.closes().await;
}

async fn c11_what_was_not_taken_goes_to_who_waits_for_it(kind: Kind) {
    let mut house = Arrived::with(kind, 3_000).await;
    counted(&house.app, &house.world, 0, 0).await;
    let terms = Agreement { shortage_rule: ShortageRule::BackOrder.into(), ..house.world.agreement(0) };
    import(&house.app, vec![entry(house.world.agreements[0], Record::Agreement(terms))]).await;
    house.app.sync(&mut house.anna).await;
    let (id, submit) = order(&house.app, &house.anna, &house.world, &house.world.anna, &[(0, 4, PRICE_MINOR)]);
    house.app.decide(&mut house.anna, Command::SubmitOrder(submit)).await;
    let back = house.app.id();
    applied(&house, receive(&house, back, ReturnOrigin::NotTaken, 1_000, 1_000)).await;
    let waited = house.app.stored::<Order>(house.world.tenant).await.remove(&id).expect("the order");
    assert_eq!(waited.lines[0].reserved_milli, 1_000, "what can be sold");
    assert_eq!(stored(&house, back).await.value_minor, 0, "it was never owed");
    let release = Command::ReleaseQuarantine(ReleaseQuarantine {
        warehouse_id: bytes(house.world.warehouse),
        product_id: bytes(house.world.products[0]),
        quantity_milli: 1_000,
        decision: QuarantineDecision::ToStock.into(),
    });
    applied(&house, release).await;
    let waited = house.app.stored::<Order>(house.world.tenant).await.remove(&id).expect("the order");
    assert_eq!(waited.lines[0].reserved_milli, 2_000);
    house.closes().await;
}

async fn c33_no_more_comes_back_than_went_out(kind: Kind) {
    let house = Arrived::with(kind, 3_000).await;
    let before = stock(&house).await;
    for (origin, milli, most) in [(ReturnOrigin::GivenBack, 3_001, "3000"), (ReturnOrigin::NotTaken, 2_001, "2000")] {
        let refused = house.logistics(receive(&house, house.app.id(), origin, milli, 0)).await;
        assert_eq!(status(&refused), (Status::Rejected, Reason::ReturnExceedsDelivered), "{refused:?}");
        assert_eq!(fact(&refused, "returnable_milli"), most);
    }
    let refused = house.logistics(Command::AnnounceReturn(announce(&house, 4_000))).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::ReturnExceedsDelivered));
    assert_eq!(house.app.stored::<GoodsReturn>(house.world.tenant).await.len(), 0);
    assert_eq!(stock(&house).await, before, "nothing is half done");
    let id = house.app.id();
    applied(&house, receive(&house, id, ReturnOrigin::GivenBack, 2_000, 0)).await;
    let twice = house.logistics(receive(&house, house.app.id(), ReturnOrigin::GivenBack, 2_000, 0)).await;
    assert_eq!((twice.reason(), fact(&twice, "returnable_milli")), (Reason::ReturnExceedsDelivered, "1000".to_owned()));
    let otherwise = house.logistics(receive(&house, id, ReturnOrigin::GivenBack, 1_000, 0)).await;
    assert_eq!(status(&otherwise), (Status::Rejected, Reason::WrongState));
    house.closes().await;
}

async fn what_is_in_quarantine_is_nobodys_until_it_is_released(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    counted(&house.app, &house.world, 0, 10_000).await;
    applied(&house, receive(&house, house.app.id(), ReturnOrigin::GivenBack, 0, 3_000)).await;
    let release = |quantity_milli, decision: QuarantineDecision| {
        let (warehouse_id, product_id) = (bytes(house.world.warehouse), bytes(house.world.products[0]));
        let decision = decision.into();
        Command::ReleaseQuarantine(ReleaseQuarantine { warehouse_id, product_id, quantity_milli, decision })
    };
    let too_much = house.logistics(release(4_000, QuarantineDecision::ToStock)).await;
    assert_eq!(status(&too_much), (Status::Rejected, Reason::QuarantineExceeded));
    assert_eq!(fact(&too_much, "quarantined_milli"), "3000");
    applied(&house, release(2_000, QuarantineDecision::WrittenOff)).await;
    applied(&house, release(1_000, QuarantineDecision::ToStock)).await;
    let figures = stock(&house).await;
    assert_eq!((figures.on_hand_milli, figures.quarantined_milli), (11_000, 0));
    let none = house.logistics(release(1, QuarantineDecision::WrittenOff)).await;
    assert_eq!((none.reason(), fact(&none, "quarantined_milli")), (Reason::QuarantineExceeded, "0".to_owned()));
    house.closes().await;
}

async fn returns_follow_their_outlet_and_their_customer(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let id = house.app.id();
    applied(&house, receive(&house, id, ReturnOrigin::GivenBack, 1_000, 0)).await;
    let command = announce(&house, 1_000);
    let open = Uuid::from_slice(&command.return_id).expect("an id");
    applied(&house, Command::AnnounceReturn(command)).await;
    let [duplicate_id, survivor_id] = [0, 1].map(|index| bytes(house.world.customers[index]));
    let merge = MergeCustomers { duplicate_id, survivor_id: survivor_id.clone() };
    assert_eq!(house.app.office(Command::MergeCustomers(merge)).await.status(), Status::Applied);
    let [outlet_id, remaining] = [0, 1].map(|index| bytes(house.world.anna.outlets[index]));
    let archive = ArchiveOutlet { outlet_id, survivor_id: remaining.clone() };
    assert_eq!(house.app.office(Command::ArchiveOutlet(archive)).await.status(), Status::Applied);
    for id in [id, open] {
        let followed = stored(&house, id).await;
        assert_eq!((&followed.customer_id, &followed.outlet_id), (&survivor_id, &remaining));
    }
    applied(&house, receive(&house, open, ReturnOrigin::Unspecified, 1_000, 0)).await;
    house.app.sync(&mut house.anna).await;
    let told: GoodsReturn = house.app.shown(&house.anna, open).expect("the rep sees it");
    assert_eq!(told.state(), ReturnState::Received);
    house.closes().await;
}

async fn who_may_not_see_a_shipment_announces_nothing_of_it(kind: Kind) {
    let mut house = Arrived::with(kind, 5_000).await;
    let mut boris = house.app.device("boris").await;
    house.app.sync(&mut boris).await;
    let of_another = house.app.decide(&mut boris, Command::AnnounceReturn(announce(&house, 1_000))).await;
    assert_eq!(status(&of_another), (Status::Rejected, Reason::NotFound), "{of_another:?}");
    let command = announce(&house, 1_000);
    let return_id = command.return_id.clone();
    applied(&house, Command::AnnounceReturn(command)).await;
    let cancel = CancelReturn { return_id, reason: "no".to_owned() };
    let off = house.app.decide(&mut boris, Command::CancelReturn(cancel)).await;
    assert_eq!(status(&off), (Status::Rejected, Reason::NotFound), "{off:?}");
    let counted = receive(&house, house.app.id(), ReturnOrigin::GivenBack, 1_000, 0);
    let trespass = house.app.decide(&mut house.anna, counted.clone()).await;
    assert_eq!(status(&trespass), (Status::Rejected, Reason::RoleNotAllowed));
    house.app.user("olga", Role::Office, None, None).await;
    let olga = house.app.token("olga").await;
    let refused = house.app.office_as(&olga, house.app.id(), counted).await.expect("is answered");
    assert_eq!(status(&refused), (Status::Rejected, Reason::RoleNotAllowed));
    assert_eq!(house.app.stored::<GoodsReturn>(house.world.tenant).await.len(), 1);
    house.closes().await;
}
