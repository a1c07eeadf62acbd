//! What things cost: lists that are computed, lowest prices, promotions and their budgets, on the phone and at the server.

use roundsman::cli;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, ApprovalLimit, Audience, CancelOrder, ChangeOrder, HoldReason, ImportRecords, Int64Change,
    LineDifference, Order, OrderLineChange, OrderLineEdit, OrderStatus, Outlet, Price, PriceBreak, PriceList,
    PriceToSet, Promotion, Reason, RecordToImport, ReleaseHold, ReleaseReason, SetPrices, ShownPromotion, SubmitOrder,
    Team, order_line_edit::Edit,
};
use roundsman_sync::trade::money::gross;
use roundsman_sync::trade::price::{List, UnitPrice, Wanted, quote};
use roundsman_sync::trade::promotion::{Buyer, Line, entitle};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::conflicts::{done, held_version, open_holds, order, ready, status};
use crate::desk::{entry, import};

on_both_databases!(
    what_a_phone_computes_without_network_the_server_confirms,
    c06_a_list_that_computes_otherwise_is_honoured_and_then_held,
    c07_a_promotion_that_was_closed_long_ago_holds_the_order_with_its_value_without,
    c07_a_promotion_ends_on_the_day_that_the_office_says,
    c07_two_orders_racing_for_one_budget_do_not_both_pass,
    c06_an_order_with_a_price_of_the_former_base_is_judged_and_not_rejected,
    c07_what_the_office_edits_the_server_promotes,
    c07_what_the_office_hands_in_the_server_promotes,
    c08_a_price_below_the_lowest_waits_for_an_approver,
    c08_a_supervisor_approves_as_far_as_the_teams_limits_go,
    contradictions_are_refused_by_name,
);

/// Ten per cent off the first article.
fn promotion(world: &World) -> Promotion {
    Promotion {
        name: "Spring".to_owned(),
        currency: CURRENCY.to_owned(),
        product_ids: vec![bytes(world.products[0])],
        benefit: Some(Benefit::PercentBp(1_000)),
        ..Promotion::default()
    }
}

/// Imports a promotion, and the device hears of it.
async fn promoted(app: &TestApp, anna: &mut TestDevice, promotion: Promotion) -> Uuid {
    let id = app.id();
    import(app, vec![entry(id, Record::Promotion(promotion))]).await;
    app.sync(anna).await;
    id
}

/// An order of the first article that shows what a promotion takes off it.
fn showing(
    app: &TestApp,
    device: &TestDevice,
    world: &World,
    (promotion, pieces, discount_minor): (Uuid, i64, i64),
) -> (Uuid, SubmitOrder) {
    let (id, mut submit) = order(app, device, world, &world.anna, &[(0, pieces, PRICE_MINOR)]);
    let promotion_version = held_version(device, promotion);
    submit.lines[0].promotions =
        vec![ShownPromotion { promotion_id: bytes(promotion), promotion_version, discount_minor }];
    (id, submit)
}

/// A list that is computed from the world's, with two products of which one has a price of its own.
async fn computed_list(app: &TestApp, world: &World, markup_bp: i32) -> Uuid {
    let (list, own) = (app.id(), app.id());
    let record = PriceList {
        name: "Computed".to_owned(),
        currency: CURRENCY.to_owned(),
        base_list_id: bytes(world.price_list),
        markup_bp,
        round_to_minor: 5,
        ..PriceList::default()
    };
    let price = Price { price_list_id: bytes(list), ..world.price(1, 777) };
    import(app, vec![entry(own, Record::Price(price)), entry(list, Record::PriceList(record))]).await;
    let agreement = Agreement { price_list_id: bytes(list), ..world.agreement(0) };
    import(app, vec![entry(world.agreements[0], Record::Agreement(agreement))]).await;
    list
}

/// Prices an order with nothing but what the phone holds, by the same functions that the server uses.
fn priced(app: &TestApp, device: &TestDevice, world: &World, lines: &[(usize, i64)]) -> (Uuid, SubmitOrder) {
    let shown: Vec<(usize, i64, i64)> = lines.iter().map(|(article, pieces)| (*article, *pieces, 0)).collect();
    let (id, mut submit) = order(app, device, world, &world.anna, &shown);
    let agreement: Agreement = app.shown(device, world.agreements[0]).expect("the phone has the agreement");
    let list_id = Uuid::from_slice(&agreement.price_list_id).expect("an id");
    let list: PriceList = app.shown(device, list_id).expect("the phone has the list");
    let prices = all::<Price>(device);
    let promotions = all::<Promotion>(device);
    for line in &mut submit.lines {
        let wanted =
            Wanted { quantity_milli: line.quantity_milli, packaging_code: &line.packaging_code, day: submit.order_day };
        let of_product = prices.iter().filter(|(_, price)| price.product_id == line.product_id);
        let quote = quote(of_product.map(|(id, price)| (*id, price)), &List::new(list_id, &list), &wanted);
        let quote = quote.expect("the phone has a price");
        line.price_id = bytes(quote.price_id);
        line.price_version = held_version(device, quote.price_id);
        (line.shown_price_minor, line.price_per_milli) = (quote.rate.price_minor, quote.rate.per_milli);
    }
    let outlet: Outlet = app.shown(device, world.anna.outlets[0]).expect("the phone has the outlet");
    let buyer = Buyer {
        outlet_id: world.anna.outlets[0],
        outlet: &outlet,
        agreement_id: &submit.agreement_id,
        currency: CURRENCY,
        day: submit.order_day,
    };
    let line = |line: &'_ roundsman_proto::trade::NewOrderLine| {
        gross(line.quantity_milli, line.shown_price_minor, line.price_per_milli).expect("in range")
    };
    let rows: Vec<Line<'_>> = submit
        .lines
        .iter()
        .map(|entry| Line {
            line_id: &entry.line_id,
            product_id: &entry.product_id,
            group_path: &[],
            quantity_milli: entry.quantity_milli,
            rate: UnitPrice { price_minor: entry.shown_price_minor, per_milli: entry.price_per_milli },
            gross_minor: line(entry),
        })
        .collect();
    let entitled = entitle(promotions.iter().map(|(id, promotion)| (*id, promotion)), &rows, &buyer);
    let promotions: Vec<Vec<ShownPromotion>> = entitled
        .iter()
        .map(|line| {
            let shown = |part: &roundsman_sync::trade::promotion::Part| ShownPromotion {
                promotion_id: bytes(part.promotion_id),
                promotion_version: held_version(device, part.promotion_id),
                discount_minor: part.discount_minor,
            };
            line.parts.iter().map(shown).collect()
        })
        .collect();
    for (line, promotions) in submit.lines.iter_mut().zip(promotions) {
        line.promotions = promotions;
    }
    (id, submit)
}

/// All records of a kind that a device holds.
pub(crate) fn all<R: roundsman_sync::kind::Record>(device: &TestDevice) -> Vec<(Uuid, R)> {
    let documents = device.replica.records(R::KIND as u32).expect("reads");
    documents.into_iter().map(|(id, document)| (id, R::decode(document.bytes).expect("a document"))).collect()
}

async fn what_a_phone_computes_without_network_the_server_confirms(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    computed_list(&app, &world, 1_234).await;
    let labelled = Outlet { labels: vec!["pharmacy".to_owned()], ..world.outlet(&world.anna, 0) };
    import(&app, vec![entry(world.anna.outlets[0], Record::Outlet(labelled))]).await;
    let audience = Some(Audience { outlet_labels: vec!["pharmacy".to_owned()], ..Audience::default() });
    let amount = Promotion {
        audience,
        product_ids: vec![],
        min_sum_minor: 5_000,
        benefit: Some(Benefit::AmountMinor(501)),
        ..promotion(&world)
    };
    promoted(&app, &mut anna, amount).await;
    let (id, submit) = priced(&app, &anna, &world, &[(0, 5), (1, 3), (2, 1)]);
    let told: Vec<i64> = submit.lines.iter().map(|line| line.shown_price_minor).collect();
    assert_eq!(told, [1_125, 777, 1_125], "1123.4 in steps of five, and one of the list's own");
    let off: i64 = submit.lines.iter().flat_map(|line| &line.promotions).map(|shown| shown.discount_minor).sum();
    assert_eq!(off, 501);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Confirmed, 6 * 1_125 + 3 * 777 - 501));
    done(app, &world, &mut anna).await;
}

async fn c06_a_list_that_computes_otherwise_is_honoured_and_then_held(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let list = computed_list(&app, &world, 1_000).await;
    app.sync(&mut anna).await;
    let (first, submit_first) = priced(&app, &anna, &world, &[(0, 1)]);
    let (second, submit_second) = priced(&app, &anna, &world, &[(0, 1)]);
    app.pass(30);
    let dearer = PriceList { markup_bp: 2_000, ..app.stored::<PriceList>(world.tenant).await[&list].clone() };
    import(&app, vec![entry(list, Record::PriceList(dearer))]).await;
    app.pass(60);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_first)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    assert_eq!(app.shown::<Order>(&anna, first).expect("the order").value_minor, 1_100);
    app.pass(24 * 60);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_second)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldPrice), "{outcome:?}");
    let held: Order = app.shown(&anna, second).expect("the order");
    assert_eq!((held.holds[0].shown_minor, held.holds[0].current_minor), (Some(1_100), Some(1_200)));
    done(app, &world, &mut anna).await;
}

async fn c07_a_promotion_that_was_closed_long_ago_holds_the_order_with_its_value_without(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = promoted(&app, &mut anna, promotion(&world)).await;
    let (first, submit_first) = showing(&app, &anna, &world, (id, 5, 500));
    let (second, submit_second) = showing(&app, &anna, &world, (id, 5, 500));
    app.pass(30);
    let closed = Promotion { closed: true, ..promotion(&world) };
    import(&app, vec![entry(id, Record::Promotion(closed))]).await;
    app.pass(60);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_first)).await;
    assert_eq!(outcome.status(), Status::Applied, "within the grace: {outcome:?}");
    assert_eq!(app.shown::<Order>(&anna, first).expect("the order").value_minor, 4_500);
    app.pass(24 * 60);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_second)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldPromotion), "{outcome:?}");
    let held: Order = app.shown(&anna, second).expect("the order");
    assert_eq!((held.holds[0].shown_minor, held.holds[0].current_minor), (Some(4_500), Some(5_000)));
    released(&app, second, HoldReason::Promotion).await;
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, second).expect("the order");
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Confirmed, 4_500), "what was promised");
    explained(&app, second).await;
    done(app, &world, &mut anna).await;
}

async fn c07_a_promotion_ends_on_the_day_that_the_office_says(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = promoted(&app, &mut anna, promotion(&world)).await;
    let mut session = crate::import::session(&app).await;
    let mut close = async |from_day| cli::promotion::close(&mut session, app.id(), id, from_day).await;
    let until = close(Some(TODAY + 3)).await.expect("is closed from then on");
    let expected = Promotion { valid_to_day: TODAY + 2, ..promotion(&world) };
    assert_eq!(until, expected);
    assert_eq!(app.stored::<Promotion>(world.tenant).await[&id], expected, "and nothing else has changed");
    let late = close(Some(TODAY + 4)).await.expect_err("it has ended");
    assert_eq!(late.to_string(), "Spring has ended by then anyhow");
    let (_, submit) = showing(&app, &anna, &world, (id, 5, 500));
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(outcome.status(), Status::Applied, "today it is still there: {outcome:?}");
    assert!(close(None).await.expect("is closed at once").closed);
    app.sync(&mut anna).await;
    assert!(app.shown::<Promotion>(&anna, id).expect("the promotion").closed);
    done(app, &world, &mut anna).await;
}

/// `roundsman explain order` tells all of it, in the order in which it happened.
async fn explained(app: &TestApp, order: Uuid) {
    let tables = crate::desk::explained(app, order).await;
    let [lines, events] = tables.as_slice() else { panic!("{tables:?}") };
    let line: Vec<&str> = lines[0].iter().map(String::as_str).collect();
    assert_eq!(line[..5], ["Article 0", "5", "5", "5", "10.00"]);
    assert!(line[5].starts_with("A, version "), "the list, and which record of it: {line:?}");
    assert_eq!(line[6..], ["Spring 5.00", "", "45.00", ""]);
    let told: Vec<String> = events.iter().map(|event| event[1..].join(": ")).collect();
    let expected = [
        "anna: SubmitOrder: held, held promotion",
        "rule: held for promotion (1 lines): a promotion has ended, or takes less off than was shown; shown 4500",
        "admin: ReleaseHold: applied",
        "admin: the hold for promotion is released, price agreed: as agreed",
        "admin: promised as it stands, 45.00 in all",
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, expected) in told.iter().zip(expected) {
        assert!(told.starts_with(expected), "{told}, and not {expected}");
    }
}

async fn released(app: &TestApp, order: Uuid, reason: HoldReason) {
    let release = ReleaseHold {
        order_id: bytes(order),
        reason: reason.into(),
        comment: "as agreed".to_owned(),
        release_reason: ReleaseReason::PriceAgreed.into(),
    };
    let outcome = app.office(Command::ReleaseHold(release)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

async fn c07_two_orders_racing_for_one_budget_do_not_both_pass(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let limited = Promotion { budget_minor: Some(900), ..promotion(&world) };
    let id = promoted(&app, &mut anna, limited).await;
    let (first, submit) = showing(&app, &anna, &world, (id, 5, 500));
    app.capture(&mut anna, Command::SubmitOrder(submit));
    let (second, submit) = showing(&app, &anna, &world, (id, 5, 500));
    app.capture(&mut anna, Command::SubmitOrder(submit));
    app.sync(&mut anna).await;
    let of = |id| app.shown::<Order>(&anna, id).expect("the order");
    assert_eq!((of(first).status(), open_holds(&of(second))), (OrderStatus::Confirmed, vec![HoldReason::Promotion]));
    let facts = of(second).holds[0].facts.clone();
    assert!(facts.contains("Spring 400 are left, and the order takes 500"), "{facts}");
    let cancel = CancelOrder { order_id: bytes(first), reason: "by mistake".to_owned() };
    app.decide(&mut anna, Command::CancelOrder(cancel)).await;
    let order: Order = app.shown(&anna, second).expect("the order");
    assert_eq!(
        (order.status(), order.value_minor),
        (OrderStatus::Confirmed, 4_500),
        "what one gives back the next one gets"
    );
    done(app, &world, &mut anna).await;
}

fn of_line(app: &TestApp, device: &TestDevice, order: Uuid) -> Vec<u8> {
    app.shown::<Order>(device, order).expect("the order").lines[0].line_id.clone()
}

async fn c07_what_the_office_edits_the_server_promotes(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = promoted(&app, &mut anna, Promotion { min_quantity_milli: 5_000, ..promotion(&world) }).await;
    let (order_id, submit) = showing(&app, &anna, &world, (id, 5, 500));
    app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    let to = |value| {
        let change = OrderLineChange {
            line_id: of_line(&app, &anna, order_id),
            quantity_milli: Some(Int64Change { base: 5_000, value }),
            ..OrderLineChange::default()
        };
        let lines = vec![OrderLineEdit { edit: Some(Edit::Change(change)) }];
        Command::ChangeOrder(ChangeOrder { order_id: bytes(order_id), lines, ..ChangeOrder::default() })
    };
    let outcome = app.office(to(4_000)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, order_id).expect("the order");
    assert_eq!((order.value_minor, order.lines[0].difference()), (4_000, LineDifference::OfficeChanged));
    done(app, &world, &mut anna).await;
}

async fn c07_what_the_office_hands_in_the_server_promotes(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = promoted(&app, &mut anna, promotion(&world)).await;
    let (order_id, mut submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, 0)]);
    (submit.lines[0].price_id, submit.lines[0].price_version) = (Vec::new(), 0);
    let outcome = app.office(Command::SubmitOrder(submit)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, order_id).expect("the order");
    assert_eq!((order.value_minor, &order.lines[0].promotions[0].promotion_id), (4_500, &bytes(id)));
    done(app, &world, &mut anna).await;
}

/// A list is computed from another base, or from none, while a phone is offline with prices of the old one.
async fn c06_an_order_with_a_price_of_the_former_base_is_judged_and_not_rejected(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let list = computed_list(&app, &world, 1_000).await;
    app.sync(&mut anna).await;
    let ((first, submit_first), (second, submit_second)) =
        (priced(&app, &anna, &world, &[(0, 1)]), priced(&app, &anna, &world, &[(0, 1)]));
    let (third, submit_third) = priced(&app, &anna, &world, &[(0, 1)]);
    let other = app.id();
    let base = PriceList { name: "B".to_owned(), currency: CURRENCY.to_owned(), ..PriceList::default() };
    let price = Price { price_list_id: bytes(other), ..world.price(0, 2_000) };
    let before = app.stored::<PriceList>(world.tenant).await[&list].clone();
    let now = PriceList { base_list_id: bytes(other), ..before.clone() };
    import(
        &app,
        vec![
            entry(other, Record::PriceList(base)),
            entry(app.id(), Record::Price(price)),
            entry(list, Record::PriceList(now)),
        ],
    )
    .await;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_first)).await;
    assert_eq!(outcome.status(), Status::Applied, "within the grace: {outcome:?}");
    assert_eq!(app.shown::<Order>(&anna, first).expect("the order").value_minor, 1_100);
    app.pass(24 * 60 + 1);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_second)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldPrice), "{outcome:?}");
    let held: Order = app.shown(&anna, second).expect("the order");
    assert_eq!((held.holds[0].shown_minor, held.holds[0].current_minor), (Some(1_100), Some(2_200)));
    import(&app, vec![entry(list, Record::PriceList(before.clone()))]).await;
    let none = PriceList { base_list_id: Vec::new(), markup_bp: 0, round_to_minor: 0, ..before };
    import(&app, vec![entry(list, Record::PriceList(none))]).await;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit_third)).await;
    assert_eq!(outcome.status(), Status::Applied, "the list has none any more, since a moment ago: {outcome:?}");
    assert_eq!(app.shown::<Order>(&anna, third).expect("the order").value_minor, 1_100);
    done(app, &world, &mut anna).await;
}

async fn c08_a_price_below_the_lowest_waits_for_an_approver(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (cost, lowest) = (app.id(), app.id());
    let list = |name: &str, base: Vec<u8>, floor_list_id: Vec<u8>| PriceList {
        name: name.to_owned(),
        currency: CURRENCY.to_owned(),
        base_list_id: base,
        markup_bp: 1_000,
        floor_list_id,
        ..PriceList::default()
    };
    let costs = Price { price_list_id: bytes(cost), ..world.price(0, 800) };
    let agreement = Agreement { manual_discount_limit_bp: 5_000, ..world.agreement(0) };
    let records = vec![
        entry(world.price_list, Record::PriceList(PriceList { markup_bp: 0, ..list("A", vec![], bytes(lowest)) })),
        entry(lowest, Record::PriceList(list("Lowest", bytes(cost), vec![]))),
        entry(cost, Record::PriceList(list("Cost", vec![], vec![]))),
        entry(app.id(), Record::Price(costs)),
        entry(world.agreements[0], Record::Agreement(agreement)),
    ];
    import(&app, records).await;
    app.sync(&mut anna).await;
    let discounted = |discount_bp| {
        let (id, mut submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
        submit.lines[0].discount_bp = discount_bp;
        (id, submit)
    };
    let ((_, allowed), (id, submit)) = (discounted(1_200), discounted(1_201));
    let outcome = app.decide(&mut anna, Command::SubmitOrder(allowed)).await;
    assert_eq!(outcome.status(), Status::Applied, "880 is the lowest: {outcome:?}");
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldBelowFloor), "{outcome:?}");
    // Whatever else becomes of it, the lowest price stays the lowest.
    let blocked = Outlet { blocked: true, ..world.outlet(&world.anna, 0) };
    import(&app, vec![entry(world.anna.outlets[0], Record::Outlet(blocked))]).await;
    import(&app, vec![entry(world.anna.outlets[0], Record::Outlet(world.outlet(&world.anna, 0)))]).await;
    app.sync(&mut anna).await;
    assert_eq!(open_holds(&app.shown(&anna, id).expect("the order")), [HoldReason::BelowFloor]);
    released(&app, id, HoldReason::BelowFloor).await;
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Confirmed, 4_400));
    done(app, &world, &mut anna).await;
}

async fn refused(app: &TestApp, records: Vec<RecordToImport>) -> Reason {
    let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(outcome.status(), Status::Rejected, "{outcome:?}");
    outcome.reason()
}

async fn contradictions_are_refused_by_name(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let twin = PriceToSet { price_id: bytes(app.id()), price: Some(world.price(0, 1_111)) };
    let outcome = app.office(Command::SetPrices(SetPrices { prices: vec![twin.clone()] })).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::PriceConflict), "{outcome:?}");
    let named = outcome.facts.iter().any(|fact| fact.name == "price_id" && fact.value == world.prices[0].to_string());
    assert!(named, "which one it contradicts: {outcome:?}");
    let both = vec![twin.clone(), PriceToSet { price_id: bytes(app.id()), ..twin }];
    let apart = |mut twin: PriceToSet| {
        twin.price = twin.price.map(|price| Price { valid_from_day: TODAY, ..price });
        twin
    };
    let outcome = app.office(Command::SetPrices(SetPrices { prices: both.into_iter().map(apart).collect() })).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::PriceConflict), "two of one command: {outcome:?}");

    let list = |base: Uuid, currency: &str| {
        let base_list_id = bytes(base);
        Record::PriceList(PriceList {
            name: "L".to_owned(),
            currency: currency.to_owned(),
            base_list_id,
            ..PriceList::default()
        })
    };
    let (own, computed) = (app.id(), app.id());
    assert_eq!(refused(&app, vec![entry(own, list(own, CURRENCY))]).await, Reason::NotFound, "it is not there yet");
    assert_eq!(refused(&app, vec![entry(own, list(world.price_list, "SEK"))]).await, Reason::CurrencyMismatch);
    import(&app, vec![entry(computed, list(world.price_list, CURRENCY))]).await;
    assert_eq!(refused(&app, vec![entry(computed, list(computed, CURRENCY))]).await, Reason::BadBaseList);
    assert_eq!(refused(&app, vec![entry(own, list(computed, CURRENCY))]).await, Reason::BadBaseList);
    let turned = vec![entry(world.price_list, list(computed, CURRENCY))];
    assert_eq!(refused(&app, turned).await, Reason::BadBaseList, "no cycle");
    let floor = |floor: Uuid| {
        let Record::PriceList(plain) = list(world.price_list, CURRENCY) else { panic!("a list") };
        Record::PriceList(PriceList { base_list_id: Vec::new(), floor_list_id: bytes(floor), ..plain })
    };
    let (upper, lower) = (app.id(), app.id());
    import(&app, vec![entry(lower, list(world.price_list, CURRENCY)), entry(upper, floor(lower))]).await;
    assert_eq!(
        refused(&app, vec![entry(lower, floor(computed))]).await,
        Reason::BadBaseList,
        "no chain of lowest prices"
    );
    assert_eq!(refused(&app, vec![entry(app.id(), floor(upper))]).await, Reason::BadBaseList, "from no end");
    let negative = Promotion { benefit: Some(Benefit::PercentBp(10_001)), ..promotion(&world) };
    assert_eq!(refused(&app, vec![entry(app.id(), Record::Promotion(negative))]).await, Reason::OutOfRange);
    let largest = Price {
        breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor: 1_000_000_000_000_000 }],
        valid_from_day: TODAY,
        ..world.price(0, 0)
    };
    let dear = PriceToSet { price_id: bytes(app.id()), price: Some(largest) };
    app.office(Command::SetPrices(SetPrices { prices: vec![dear] })).await;
    let lines = [(0, 1_000_000_000, 1_000_000_000_000_000)];
    let (_, submit) = order(&app, &anna, &world, &world.anna, &lines);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::OutOfRange), "the largest of both: {outcome:?}");
    done(app, &world, &mut anna).await;
}

async fn c08_a_supervisor_approves_as_far_as_the_teams_limits_go(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let limit = |limit_minor| ApprovalLimit { reason: HoldReason::Discount.into(), limit_minor };
    let team =
        |limit_minor| Team { name: "City".to_owned(), approval_limits: vec![limit(limit_minor)], ..Team::default() };
    let value_minor = 5 * PRICE_MINOR * 9 / 10;
    import(&app, vec![entry(world.team, Record::Team(team(value_minor - 1)))]).await;
    let (id, mut submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    submit.lines[0].discount_bp = 1_000;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldDiscount), "{outcome:?}");
    let release = || {
        let (order_id, comment) = (bytes(id), "a good customer".to_owned());
        Command::ReleaseHold(ReleaseHold {
            order_id,
            reason: HoldReason::Discount.into(),
            comment,
            ..ReleaseHold::default()
        })
    };
    let sonja = app.token("sonja").await;
    let refused = app.office_as(&sonja, app.id(), release()).await.expect("is answered");
    assert_eq!(status(&refused), (Status::Rejected, Reason::ApprovalLimit), "{refused:?}");
    import(&app, vec![entry(world.team, Record::Team(team(value_minor)))]).await;
    let released = app.office_as(&sonja, app.id(), release()).await.expect("is answered");
    assert_eq!(status(&released), (Status::Applied, Reason::Unspecified), "{released:?}");
    app.sync(&mut anna).await;
    assert_eq!(app.shown::<Order>(&anna, id).expect("the order").status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}
