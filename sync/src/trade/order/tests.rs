//! The cases of orders, by their numbers, and laws that hold for all of them.

use proptest::prelude::*;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::{
    BytesChange, ChangeOrder, Contract, Fulfilment, Hold, Int32Change, Int64Change, LineDifference, OrderLineChange,
    OrderLineEdit, OrderLineRemoval, Payment, Price, PriceBreak, PriceList, Promotion, QuotaHolder, Shipment,
    ShipmentLine, ShortageRule, ShownPromotions, StringChange,
};

use super::edit::decide_change;
use super::fulfil::{self, Books, Mover, Ordered};
use super::*;
use crate::trade::allocation::{SharedOut, demands};
use crate::trade::credit::{CreditTerms, releasable};
use crate::trade::delivery::LocalTime;
use crate::trade::promotion::{Spent, counted};
use crate::trade::quota::{Quota, Share};

const ORDER: Uuid = Uuid::from_u128(1);
const OUTLET: Uuid = Uuid::from_u128(2);
const AGREEMENT: Uuid = Uuid::from_u128(3);
const OTHER_AGREEMENT: Uuid = Uuid::from_u128(4);
const LIST: Uuid = Uuid::from_u128(5);
const FLOOR: Uuid = Uuid::from_u128(9);
const CUSTOMER: Uuid = Uuid::from_u128(6);
const REP: Uuid = Uuid::from_u128(7);
const WAREHOUSE: Uuid = Uuid::from_u128(8);
const TEA: Uuid = Uuid::from_u128(10);
const SUGAR: Uuid = Uuid::from_u128(11);
const TODAY: i32 = 20_000;
const HOUR_US: i64 = 3_600 * 1_000_000;
const NOW_US: i64 = 1_000 * HOUR_US;

fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn line_id(number: u8) -> Vec<u8> {
    vec![number; 16]
}

/// Everything that an order is decided by: tea at 100 and sugar at 50, of which there is plenty.
#[derive(Debug)]
struct World {
    outlet: Outlet,
    former_agreement_ids: Vec<Vec<u8>>,
    other: Option<Order>,
    agreement: Agreement,
    other_agreement: Agreement,
    list: PriceList,
    floor_list: Option<PriceList>,
    /// With version, moment of the last change, what was before, and what is spent.
    promotions: BTreeMap<Uuid, (Promotion, i64, i64, Option<Promotion>, Spent)>,
    products: BTreeMap<Uuid, (Product, Price, i64, i64)>,
    available: BTreeMap<Uuid, Available>,
    quotas: BTreeMap<Uuid, Quotas>,
    credit: Credit,
    capture: Capture,
}

impl World {
    fn new() -> Self {
        let agreement = Agreement {
            price_list_id: bytes(LIST),
            currency: "EUR".to_owned(),
            manual_discount_limit_bp: 500,
            overdue_ban: true,
            ..Agreement::default()
        };
        let price = |product: Uuid, price_minor| Price {
            price_list_id: bytes(LIST),
            product_id: bytes(product),
            breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor }],
            ..Price::default()
        };
        let tea = (Product::default(), price(TEA, 100), 5, 0);
        let sugar = (Product::default(), price(SUGAR, 50), 5, 0);
        let stock = Available::default().counted(1_000_000);
        let agreement_ids = vec![bytes(AGREEMENT), bytes(OTHER_AGREEMENT)];
        Self {
            outlet: Outlet { agreement_ids, customer_id: bytes(CUSTOMER), ..Outlet::default() },
            former_agreement_ids: vec![],
            other: None,
            other_agreement: agreement.clone(),
            agreement,
            list: PriceList { currency: "EUR".to_owned(), vat_included: true, ..PriceList::default() },
            floor_list: None,
            promotions: BTreeMap::new(),
            products: [(TEA, tea), (SUGAR, sugar)].into(),
            available: [(TEA, stock), (SUGAR, stock)].into(),
            quotas: BTreeMap::new(),
            credit: Credit::default(),
            capture: Capture {
                captured_at_us: NOW_US,
                decided_at_us: NOW_US + HOUR_US,
                business_day: TODAY,
                now: LocalTime { day: TODAY, second: 0 },
                ..Capture::default()
            },
        }
    }

    fn with<T>(&self, run: impl FnOnce(&Setting<'_>) -> T) -> T {
        let prices: Vec<Known<'_>> = self
            .products
            .iter()
            .map(|(id, row)| Known {
                id: price_id(*id),
                version: row.2,
                changed_at_us: row.3,
                price: &row.1,
                before: None,
            })
            .collect();
        let goods = self.products.iter().map(|(id, row)| {
            (
                *id,
                Goods {
                    product: &row.0,
                    prices: prices.clone(),
                    available: self.available.get(id).copied(),
                    quotas: self.quotas.get(id),
                },
            )
        });
        let floor_list = self.floor_list.as_ref().map(|list| List::new(FLOOR, list));
        let terms = |agreement| Terms { agreement, price_list: List::new(LIST, &self.list), floor_list };
        let promotions = self.promotions.iter().map(|(id, (promotion, version, changed_at_us, before, spent))| {
            let (version, changed_at_us, before, spent) = (*version, *changed_at_us, before.as_ref(), *spent);
            promotion::Known { id: *id, version, changed_at_us, promotion, before, spent }
        });
        run(&Setting {
            order_id: ORDER,
            outlet_id: OUTLET,
            outlet: &self.outlet,
            former_agreement_ids: &self.former_agreement_ids,
            other: self.other.as_ref(),
            warehouse_id: Some(WAREHOUSE),
            terms: &[(AGREEMENT, terms(&self.agreement)), (OTHER_AGREEMENT, terms(&self.other_agreement))].into(),
            goods: &goods.collect(),
            promotions: &promotions.collect::<Vec<_>>(),
            credit: &self.credit,
            capture: &self.capture,
            price_grace_us: price::GRACE_US,
        })
    }

    fn submit(&self, lines: &[NewOrderLine]) -> Result<Decision, Rejection> {
        self.with(|setting| decide_submit(None, None, Editor::Rep(REP), &submit(lines), &[], setting))
    }

    fn take(&mut self, decision: &Decision) -> Order {
        self.credit = decision.credit.clone();
        self.available.extend(decision.available.clone());
        decision.order.clone()
    }

    /// Hands in, and stores what was decided.
    fn submitted(&mut self, lines: &[NewOrderLine]) -> Order {
        let decision = self.submit(lines).expect("taken");
        self.take(&decision)
    }

    fn change(&self, order: &Order, editor: Editor, edits: Vec<Edit>) -> Result<Decision, Rejection> {
        let lines = edits.into_iter().map(|edit| OrderLineEdit { edit: Some(edit) }).collect();
        let command = ChangeOrder { order_id: bytes(ORDER), lines, ..ChangeOrder::default() };
        self.with(|setting| decide_change(order, editor, &command, setting))
    }

    fn release(&self, order: &Order, reason: HoldReason) -> Result<Decision, Rejection> {
        let command = ReleaseHold {
            order_id: bytes(ORDER),
            reason: reason.into(),
            comment: String::new(),
            ..ReleaseHold::default()
        };
        let releaser = Releaser { user_id: Uuid::from_u128(99), name: "Ada".to_owned(), limits: None };
        self.with(|setting| decide_release_hold(order, &command, &releaser, setting))
    }

    fn set_price(&mut self, product: Uuid, price_minor: i64, version: i64, changed_at_us: i64) {
        let row = self.products.get_mut(&product).expect("known");
        row.1.breaks[0].price_minor = price_minor;
        (row.2, row.3) = (version, changed_at_us);
    }
}

fn price_id(product: Uuid) -> Uuid {
    Uuid::from_u128(product.as_u128() + 100)
}

fn line(number: u8, product: Uuid, units: i64, price_minor: i64) -> NewOrderLine {
    NewOrderLine {
        line_id: line_id(number),
        product_id: bytes(product),
        coefficient_milli: 1_000,
        quantity_milli: units * 1_000,
        price_id: bytes(price_id(product)),
        price_version: 5,
        shown_price_minor: price_minor,
        ..NewOrderLine::default()
    }
}

fn tea(units: i64) -> NewOrderLine {
    line(1, TEA, units, 100)
}

fn sugar(units: i64) -> NewOrderLine {
    line(2, SUGAR, units, 50)
}

fn submit(lines: &[NewOrderLine]) -> SubmitOrder {
    SubmitOrder {
        order_id: bytes(ORDER),
        outlet_id: bytes(OUTLET),
        agreement_id: bytes(AGREEMENT),
        currency: "EUR".to_owned(),
        lines: lines.to_vec(),
        ..SubmitOrder::default()
    }
}

fn quantity(line: u8, base: i64, value: i64) -> Edit {
    let quantity_milli = Some(Int64Change { base: base * 1_000, value: value * 1_000 });
    Edit::Change(OrderLineChange { line_id: line_id(line), quantity_milli, ..OrderLineChange::default() })
}

fn discount(line: u8, base: i32, value: i32) -> Edit {
    let discount_bp = Some(Int32Change { base, value });
    Edit::Change(OrderLineChange { line_id: line_id(line), discount_bp, ..OrderLineChange::default() })
}

fn removal(line: u8, base: i64) -> Edit {
    Edit::Remove(OrderLineRemoval { line_id: line_id(line), base_quantity_milli: base * 1_000 })
}

fn holds(order: &Order) -> Vec<HoldReason> {
    hold::open_reasons(order)
}

fn paid(credit: Credit, amount_minor: i64) -> Credit {
    credit.with_payment(None, &Payment { amount_minor, ..Payment::default() }).expect("counted")
}

fn reason(result: Result<Decision, Rejection>) -> Reason {
    result.expect_err("rejected").reason
}

fn confirmed(order: &Order) -> Vec<i64> {
    order.lines.iter().map(|line| line.confirmed_milli / 1_000).collect()
}

#[test]
fn an_order_without_holds_is_confirmed_at_once() {
    let decision = World::new().submit(&[tea(3), sugar(2)]).expect("taken");
    let order = &decision.order;
    assert_eq!((order.status(), order.value_minor, order.ordered_value_minor), (OrderStatus::Confirmed, 400, 400));
    assert_eq!((order.customer_id.clone(), order.order_day, order.submitted_at_us), (bytes(CUSTOMER), TODAY, NOW_US));
    assert_eq!(decision.verdict, Verdict::done());
    assert_eq!(decision.credit.exposure_minor(), 400);
    assert_eq!((decision.available[&TEA].reserved_milli, reserved_by(order, TEA)), (3_000, 3_000));
}

#[test]
fn c01_the_same_order_again_changes_nothing() {
    let mut world = World::new();
    let order = world.submitted(&[tea(3)]);
    let again =
        world.with(|setting| decide_submit(Some(&order), None, Editor::Rep(REP), &submit(&[tea(3)]), &[], setting));
    let again = again.expect("taken");
    assert_eq!((again.verdict.reason, again.order), (Reason::NothingToDo, order));
    assert_eq!((again.credit, again.available), (world.credit, BTreeMap::new()));
}

#[test]
fn c02_the_same_id_with_other_content_is_refused() {
    let mut world = World::new();
    let order = world.submitted(&[tea(3)]);
    let other =
        world.with(|setting| decide_submit(Some(&order), None, Editor::Rep(REP), &submit(&[tea(4)]), &[], setting));
    assert_eq!(reason(other), Reason::IdTaken);
}

#[test]
fn c03_edits_of_different_lines_both_take_effect() {
    let mut world = World::new();
    let first = world.submitted(&[tea(3), sugar(2)]);
    let office = world.change(&first, Editor::Office, vec![quantity(2, 2, 5)]).expect("taken");
    let order = world.take(&office);
    assert_eq!(order.lines[1].difference(), LineDifference::OfficeChanged);
    let rep = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 4)]).expect("taken");
    assert_eq!((confirmed(&rep.order), rep.verdict), (vec![4, 5], Verdict::done()));
    assert_eq!(rep.credit.exposure_minor(), 650);
}

#[test]
fn c03_in_the_same_place_the_office_wins_and_both_are_told() {
    let mut world = World::new();
    let first = world.submitted(&[tea(3), sugar(2)]);
    let office = world.change(&first, Editor::Office, vec![quantity(1, 3, 5)]).expect("taken");
    let order = world.take(&office);
    let rep = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 4), quantity(2, 2, 1)]).expect("taken");
    assert_eq!(confirmed(&rep.order), [5, 1]);
    assert_eq!((rep.verdict.status, rep.verdict.reason), (Status::Merged, Reason::OfficeWins));
    let told = &rep.verdict.overrides[0];
    assert_eq!((told.field.as_str(), told.kept.as_str(), told.lost.as_str()), ("ordered_milli", "5000", "4000"));
    let late = world.change(&order, Editor::Office, vec![quantity(1, 3, 6)]).expect("taken");
    assert_eq!((confirmed(&late.order), late.verdict.overrides[0].lost.as_str()), (vec![6, 2], "5000"));
}

#[test]
fn c03_the_head_is_merged_field_by_field() {
    let mut world = World::new();
    let order = Order { comment: "by the office".to_owned(), ..world.submitted(&[tea(3)]) };
    let command = ChangeOrder {
        order_id: bytes(ORDER),
        comment: Some(StringChange { base: String::new(), value: "by the rep".to_owned() }),
        delivery_day: Some(Int32Change { base: 0, value: TODAY + 2 }),
        ..ChangeOrder::default()
    };
    let merged = world.with(|setting| decide_change(&order, Editor::Rep(REP), &command, setting)).expect("taken");
    assert_eq!((merged.order.comment.as_str(), merged.order.delivery_day), ("by the office", TODAY + 2));
    assert_eq!((merged.verdict.reason, merged.available.len()), (Reason::OfficeWins, 0));
}

#[test]
fn c03_lines_come_and_go() {
    let mut world = World::new();
    let first = world.submitted(&[tea(3), sugar(2)]);
    let less = world.change(&first, Editor::Rep(REP), vec![removal(2, 2)]).expect("taken");
    assert_eq!((confirmed(&less.order), less.available[&SUGAR].reserved_milli), (vec![3], 0));
    let order = world.take(&less);
    let gone = world.change(&order, Editor::Rep(REP), vec![quantity(2, 2, 9)]).expect("taken");
    assert_eq!((gone.verdict.reason, gone.order), (Reason::LineRemoved, order.clone()));
    let again = world.change(&order, Editor::Rep(REP), vec![removal(2, 2)]).expect("taken");
    assert_eq!(again.verdict.reason, Reason::StaleBase);
    let more = world.change(&order, Editor::Rep(REP), vec![Edit::Add(line(3, SUGAR, 1, 50))]).expect("taken");
    assert_eq!(confirmed(&more.order), [3, 1]);
    assert_eq!(reason(world.change(&order, Editor::Rep(REP), vec![removal(1, 3)])), Reason::NoLines);
    let changed = world.change(&first, Editor::Rep(REP), vec![removal(1, 4)]).expect("taken");
    assert_eq!((changed.verdict.reason, changed.order.lines.len()), (Reason::OfficeWins, 2));
}

#[test]
fn whoever_names_a_duplicate_is_not_told_which_outlet_stands_for_it() {
    let world = World::new();
    let order = SubmitOrder { agreement_id: bytes(LIST), ..submit(&[tea(3)]) };
    let refused =
        world.with(|setting| decide_submit(None, None, Editor::Rep(REP), &order, &[], setting)).expect_err("rejected");
    assert!(refused.facts.iter().all(|fact| fact.record_id.is_empty()), "{refused:?}");
}

#[test]
fn c04_the_warehouse_has_it() {
    let mut world = World::new();
    let mut order = world.submitted(&[tea(3)]);
    order.set_status(OrderStatus::Released);
    assert_eq!(reason(world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 4)])), Reason::OrderReleased);
    let command = CancelOrder { order_id: bytes(ORDER), reason: "no".to_owned() };
    let cancel = |order: &Order| world.with(|setting| decide_cancel(order, Editor::Office, &command, setting));
    order.shipment_id = bytes(LIST);
    let refused = cancel(&order).expect_err("rejected");
    assert_eq!(refused, Rejection::new(Reason::OrderReleased).fact(None, "status", "ORDER_STATUS_RELEASED"));
    order.set_status(OrderStatus::Closed);
    assert_eq!(reason(cancel(&order)), Reason::OrderClosed);
}

#[test]
fn c05_an_old_price_is_honoured_or_held() {
    let mut world = World::new();
    world.set_price(TEA, 110, 9, NOW_US - HOUR_US);
    let order = world.submit(&[tea(3), sugar(1)]).expect("taken").order;
    assert_eq!((order.status(), order.value_minor), (OrderStatus::Confirmed, 350), "changed an hour ago");
    world.agreement.price_grace_s = Some(0);
    let held = world.submit(&[tea(3), sugar(1)]).expect("taken");
    assert_eq!((held.verdict.status, held.verdict.reason), (Status::Held, Reason::HeldPrice));
    assert_eq!((held.order.status(), held.credit.exposure_minor()), (OrderStatus::Submitted, 0));
    let hold = &held.order.holds[0];
    assert_eq!((hold.shown_minor, hold.current_minor, &hold.line_ids), (Some(100), Some(110), &vec![line_id(1)]));
    assert_eq!(held.order.lines[0].confirmed_milli, 3_000, "what would be promised");
    world.set_price(SUGAR, 60, 9, 0);
    let several = world.submit(&[tea(3), sugar(1)]).expect("taken").order;
    assert_eq!((several.holds[0].shown_minor, several.holds[0].current_minor), (Some(350), Some(390)));
}

#[test]
fn c05_whoever_releases_a_price_honours_it() {
    let mut world = World::new();
    world.set_price(TEA, 110, 9, 0);
    let order = world.submitted(&[tea(3)]);
    assert_eq!(holds(&order), [HoldReason::Price]);
    let released = world.release(&order, HoldReason::Price).expect("released");
    assert_eq!((released.order.status(), released.order.value_minor), (OrderStatus::Confirmed, 300));
    assert_eq!((released.order.holds[0].released_by.as_str(), released.verdict), ("Ada", Verdict::done()));
    assert_eq!(released.available[&TEA].reserved_milli, 3_000);
    assert_eq!(reason(world.release(&released.order, HoldReason::Price)), Reason::HoldNotOpen);
    world.set_price(TEA, 100, 10, 0);
    let again = world.with(|setting| decide_again(&order, setting)).expect("decided");
    assert_eq!((again.order.status(), again.order.holds[0].released_by_id.len()), (OrderStatus::Confirmed, 0));
}

/// Ten per cent off everything, for orders of today, with the id 200, as of version 5.
const PROMOTION: Uuid = Uuid::from_u128(200);

impl World {
    fn promote(&mut self, promotion: Promotion) {
        self.promotions.insert(PROMOTION, (promotion, 5, 0, None, Spent::default()));
    }
}

fn ten_off() -> Promotion {
    Promotion {
        name: "Spring".to_owned(),
        currency: "EUR".to_owned(),
        valid_to_day: TODAY,
        benefit: Some(Benefit::PercentBp(1_000)),
        ..Promotion::default()
    }
}

fn showing(discount_minor: i64, line: NewOrderLine) -> NewOrderLine {
    let shown = ShownPromotion { promotion_id: bytes(PROMOTION), promotion_version: 5, discount_minor };
    NewOrderLine { promotions: vec![shown], ..line }
}

#[test]
fn c07_a_promotion_that_was_shown_rightly_counts() {
    let mut world = World::new();
    world.promote(ten_off());
    let order = world.submitted(&[showing(30, tea(3)), sugar(2)]);
    assert_eq!((order.status(), order.value_minor, order.ordered_value_minor), (OrderStatus::Confirmed, 370, 370));
    assert_eq!((order.lines[0].amount_minor, order.lines[1].amount_minor), (270, 100), "what was shown, and no more");
    assert_eq!(counted(&order)[&PROMOTION], Spent { minor: 30, milli: 3_000 });
    let again = world.with(|setting| {
        decide_submit(Some(&order), None, Editor::Rep(REP), &submit(&[showing(30, tea(3)), sugar(2)]), &[], setting)
    });
    assert_eq!(again.expect("taken").verdict.reason, Reason::NothingToDo);
}

#[test]
fn c07_what_is_off_is_off_before_the_discount_and_in_proportion_to_what_is_confirmed() {
    let mut world = World::new();
    world.promote(ten_off());
    world.available.insert(TEA, Available::default().counted(1_000));
    let line = NewOrderLine { discount_bp: 500, ..showing(30, tea(3)) };
    let order = world.submitted(&[line]);
    assert_eq!((order.ordered_value_minor, order.value_minor), (257, 86), "270 less 5 %; 90 less 5 %");
    assert_eq!(order.lines[0].promotions[0].counted_minor, 10);
}

#[test]
fn c07_a_promotion_that_has_ended_holds_the_order_with_its_value_without() {
    let mut world = World::new();
    world.promote(Promotion { valid_to_day: TODAY - 1, ..ten_off() });
    let held = world.submit(&[showing(30, tea(3)), sugar(2)]).expect("taken");
    assert_eq!((held.verdict.status, held.verdict.reason), (Status::Held, Reason::HeldPromotion));
    let hold = &held.order.holds[0];
    assert_eq!((hold.shown_minor, hold.current_minor, &hold.line_ids), (Some(370), Some(400), &vec![line_id(1)]));
    let released = world.release(&held.order, HoldReason::Promotion).expect("released").order;
    assert_eq!((released.status(), released.value_minor), (OrderStatus::Confirmed, 370));
    world.promote(ten_off());
    let again = world.with(|setting| decide_again(&held.order, setting)).expect("decided").order;
    assert_eq!((again.status(), again.holds[0].released_by_id.len()), (OrderStatus::Confirmed, 0), "it goes on");
}

#[test]
fn c07_a_promotion_that_was_closed_meanwhile_is_honoured_within_the_grace() {
    let mut world = World::new();
    let closed = Promotion { closed: true, ..ten_off() };
    world.promotions.insert(PROMOTION, (closed, 9, NOW_US - HOUR_US, Some(ten_off()), Spent::default()));
    assert_eq!(world.submitted(&[showing(30, tea(3))]).value_minor, 270);
    world.agreement.price_grace_s = Some(0);
    assert_eq!(holds(&world.submit(&[showing(30, tea(3))]).expect("taken").order), [HoldReason::Promotion]);
}

#[test]
fn c07_a_budget_is_never_overspent_but_by_a_person() {
    let mut world = World::new();
    world.promote(Promotion { budget_minor: Some(50), ..ten_off() });
    world.promotions.get_mut(&PROMOTION).expect("there").4 = Spent { minor: 21, milli: 0 };
    let held = world.submit(&[showing(30, tea(3))]).expect("taken").order;
    assert_eq!(holds(&held), [HoldReason::Promotion]);
    assert!(held.holds[0].facts.contains("29 are left, and the order takes 30"), "{}", held.holds[0].facts);
    assert!(counted(&held).is_empty());
    let agreed = world.release(&held, HoldReason::Promotion).expect("released").order;
    assert_eq!((agreed.status(), agreed.value_minor), (OrderStatus::Confirmed, 270));
    world.promotions.get_mut(&PROMOTION).expect("there").4 = Spent { minor: 20, milli: 0 };
    let freed = world.with(|setting| decide_again(&held, setting)).expect("decided").order;
    assert_eq!(freed.status(), OrderStatus::Confirmed, "another order was cancelled");
}

#[test]
fn c07_who_has_agreed_to_less_has_not_agreed_to_more() {
    let mut world = World::new();
    world.promote(Promotion { budget_minor: Some(20), ..ten_off() });
    let held = world.submit(&[showing(30, tea(3))]).expect("taken").order;
    let agreed = world.release(&held, HoldReason::Promotion).expect("released").order;
    let shown = ShownPromotion { promotion_id: bytes(PROMOTION), promotion_version: 5, discount_minor: 90 };
    let Edit::Change(change) = quantity(1, 3, 9) else { panic!("a change") };
    let promotions = Some(ShownPromotions { promotions: vec![shown] });
    let more = Edit::Change(OrderLineChange { promotions, ..change });
    world.promotions.get_mut(&PROMOTION).expect("there").4 = counted(&agreed)[&PROMOTION];
    let again = world.change(&agreed, Editor::Rep(REP), vec![more]).expect("taken").order;
    assert_eq!(holds(&again), [HoldReason::Promotion]);
    let later = world.with(|setting| decide_again(&again, setting)).expect("decided").order;
    assert_eq!(holds(&later), [HoldReason::Promotion], "the budget is still spent");
}

#[test]
fn c07_what_is_missing_of_an_untouched_line_is_missing_without_its_promotion_too() {
    let mut world = World::new();
    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    world.available.insert(TEA, Available::default().counted(1_000));
    world.promote(Promotion { min_sum_minor: 400, ..ten_off() });
    let order = world.submitted(&[showing(30, tea(3)), showing(10, sugar(2))]);
    let less = world.change(&order, Editor::Office, vec![removal(2, 2)]).expect("taken").order;
    let line = &less.lines[0];
    assert_eq!((less.value_minor, line.reserved_milli, line.difference()), (300, 1_000, LineDifference::BackOrdered));
}

#[test]
fn c07_an_order_that_waits_for_another_reason_asks_the_budget_when_its_turn_comes() {
    let mut world = World::new();
    world.promote(Promotion { budget_minor: Some(50), ..ten_off() });
    world.outlet.blocked = true;
    let held = world.submitted(&[showing(30, tea(3))]);
    assert_eq!(holds(&held), [HoldReason::OutletBlocked]);
    world.outlet.blocked = false;
    world.promotions.get_mut(&PROMOTION).expect("there").4 = Spent { minor: 30, milli: 0 };
    let again = world.with(|setting| decide_again(&held, setting)).expect("decided").order;
    assert_eq!(holds(&again), [HoldReason::Promotion]);
}

#[test]
fn c07_a_threshold_that_an_edit_misses_takes_the_promotion_away() {
    let mut world = World::new();
    world.promote(Promotion { min_sum_minor: 400, ..ten_off() });
    let order = world.submitted(&[showing(30, tea(3)), showing(10, sugar(2))]);
    assert_eq!(order.value_minor, 360);
    let less = world.change(&order, Editor::Rep(REP), vec![removal(2, 2)]).expect("taken").order;
    assert_eq!((holds(&less), less.holds[0].current_minor), (vec![HoldReason::Promotion], Some(300)));
    let shown = Edit::Change(OrderLineChange {
        line_id: line_id(1),
        promotions: Some(ShownPromotions::default()),
        ..OrderLineChange::default()
    });
    let honest = world.change(&order, Editor::Rep(REP), vec![removal(2, 2), shown]).expect("taken").order;
    assert_eq!((honest.status(), honest.value_minor), (OrderStatus::Confirmed, 300));
    let office = world.change(&order, Editor::Office, vec![removal(2, 2)]).expect("taken").order;
    assert_eq!((office.status(), office.value_minor), (OrderStatus::Confirmed, 300), "computed by the server");
    assert_eq!(office.lines[0].difference(), LineDifference::OfficeChanged);
}

#[test]
fn c08_a_price_below_the_lowest_waits_and_the_approver_sees_both() {
    let mut world = World::new();
    world.agreement.manual_discount_limit_bp = 10_000;
    world.floor_list = Some(PriceList { base_list_id: bytes(LIST), markup_bp: -500, ..world.list.clone() });
    let line = |discount_bp| NewOrderLine { discount_bp, ..tea(3) };
    assert_eq!(holds(&world.submit(&[line(500)]).expect("taken").order), []);
    let low = world.submitted(&[line(501), sugar(1)]);
    assert_eq!((holds(&low), &low.holds[0].line_ids), (vec![HoldReason::BelowFloor], &vec![line_id(1)]));
    assert_eq!((low.holds[0].shown_minor, low.holds[0].current_minor), (Some(95), Some(95)), "94.99 and 95, rounded");
    assert_eq!(world.release(&low, HoldReason::BelowFloor).expect("released").order.status(), OrderStatus::Confirmed);
    world.promote(ten_off());
    let promoted = world.submit(&[showing(30, tea(3))]).expect("taken").order;
    assert_eq!(holds(&promoted), [], "what the office takes off it takes off");
    let office = world.change(&low, Editor::Office, vec![discount(1, 501, 600)]).expect("taken").order;
    assert_eq!(holds(&office), []);
}

#[test]
fn c12_a_price_for_a_packaging_is_a_price_for_what_is_in_it() {
    let mut world = World::new();
    let row = world.products.get_mut(&TEA).expect("known");
    row.1 = Price { packaging_code: "dozen".to_owned(), per_milli: 12_000, ..row.1.clone() };
    row.1.breaks[0].price_minor = 1_000;
    let dozen = NewOrderLine {
        packaging_code: "dozen".to_owned(),
        coefficient_milli: 12_000,
        price_per_milli: 12_000,
        ..line(1, TEA, 24, 1_000)
    };
    world.available.insert(TEA, Available::default().counted(7_000));
    let order = world.submitted(std::slice::from_ref(&dozen));
    assert_eq!((order.status(), order.ordered_value_minor, order.value_minor), (OrderStatus::Confirmed, 2_000, 583));
    let wrong = world.submit(&[NewOrderLine { price_per_milli: 24_000, ..dozen }]).expect("taken").order;
    assert_eq!(holds(&wrong), [HoldReason::Price]);
}

#[test]
fn c08_a_discount_above_the_limit_waits() {
    let mut world = World::new();
    let order = world.submitted(&[NewOrderLine { discount_bp: 501, ..tea(10) }]);
    assert_eq!((holds(&order), order.value_minor), (vec![HoldReason::Discount], 950));
    let released = world.release(&order, HoldReason::Discount).expect("released");
    assert_eq!((released.order.status(), released.order.value_minor), (OrderStatus::Confirmed, 950));
    let order = world.take(&released);
    let more = world.change(&order, Editor::Rep(REP), vec![discount(1, 501, 600)]).expect("taken").order;
    assert_eq!(holds(&more), [HoldReason::Discount], "what was agreed to was another discount");
    let office = world.change(&order, Editor::Office, vec![discount(1, 501, 600)]).expect("taken").order;
    assert_eq!((holds(&office), office.value_minor), (vec![], 940));
}

#[test]
fn c09_a_limit_holds_and_a_payment_releases() {
    let mut world = World::new();
    world.agreement.credit_limit_minor = Some(500);
    world.credit.all.booked_debt_minor = 300;
    let held = world.submit(&[tea(3)]).expect("taken");
    assert_eq!((held.verdict.status, held.verdict.reason), (Status::Held, Reason::HeldCreditLimit));
    let hold = &held.order.holds[0];
    assert_eq!((hold.limit_minor, hold.exposure_minor), (Some(500), Some(600)));
    assert_eq!((held.credit.exposure_minor(), held.credit.held.len()), (300, 1), "a held order is no exposure");
    let order = world.take(&held);
    world.credit = paid(world.credit.clone(), 100);
    let terms = CreditTerms::from(&world.agreement);
    assert_eq!(releasable(&world.credit, |_| Some(terms)).orders, [ORDER]);
    let freed = world.with(|setting| decide_again(&order, setting)).expect("decided");
    assert_eq!((freed.order.status(), freed.credit.exposure_minor()), (OrderStatus::Confirmed, 500));
    assert!(freed.credit.held.is_empty() && freed.order.holds[0].released_by.starts_with("rule: "));
}

#[test]
fn c09_releasing_another_hold_decides_credit_again() {
    let mut world = World::new();
    world.agreement.credit_limit_minor = Some(500);
    let order = world.submitted(&[NewOrderLine { discount_bp: 600, ..tea(5) }]);
    assert_eq!((holds(&order), world.credit.held.len()), (vec![HoldReason::Discount], 0));
    world.credit.all.booked_debt_minor = 100;
    let released = world.release(&order, HoldReason::Discount).expect("released");
    assert_eq!((released.verdict.status, released.verdict.reason), (Status::Held, Reason::HeldCreditLimit));
    let order = world.take(&released);
    let agreed = world.release(&order, HoldReason::CreditLimit).expect("released");
    assert_eq!((agreed.order.status(), agreed.credit.exposure_minor()), (OrderStatus::Confirmed, 570));
}

#[test]
fn c09_an_approval_covers_what_was_approved() {
    let mut world = World::new();
    world.agreement.credit_limit_minor = Some(100);
    let order = world.submitted(&[NewOrderLine { discount_bp: 600, ..tea(5) }]);
    let agreed = world.release(&order, HoldReason::CreditLimit).expect("released");
    let order = world.take(&agreed);
    assert_eq!(holds(&order), [HoldReason::Discount]);
    let same = world.release(&order, HoldReason::Discount).expect("released");
    assert_eq!(same.order.status(), OrderStatus::Confirmed);
    world.credit.all.booked_debt_minor = 1;
    let more = world.release(&order, HoldReason::Discount).expect("released");
    assert_eq!(holds(&more.order), [HoldReason::CreditLimit], "the exposure has grown since");
}

#[test]
fn c09_a_confirmed_order_that_shrinks_is_not_held() {
    let mut world = World::new();
    let order = world.submitted(&[tea(5)]);
    world.agreement.credit_limit_minor = Some(100);
    world.outlet.blocked = true;
    let less = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 4)]).expect("taken");
    assert_eq!((less.order.status(), less.credit.exposure_minor()), (OrderStatus::Confirmed, 400));
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 6)]).expect("taken");
    assert_eq!(holds(&more.order), [HoldReason::OutletBlocked, HoldReason::CreditLimit]);
    assert_eq!(more.verdict.reason, Reason::HeldSeveral);
    assert_eq!(more.credit.exposure_minor(), 0);
    let kept = (world.available[&TEA].reserved_milli, reserved_by(&more.order, TEA));
    assert_eq!((more.available.is_empty(), kept), (true, (5_000, 5_000)), "what was promised stays reserved");
}

#[test]
fn whoever_releases_a_hold_says_why_and_for_another_reason_in_words() {
    let mut world = World::new();
    let order = world.submitted(&[NewOrderLine { discount_bp: 600, ..tea(5) }]);
    let release = |release_reason: ReleaseReason, comment: &str| {
        let releaser = Releaser { user_id: Uuid::from_u128(99), name: "Bo".to_owned(), limits: None };
        let command = ReleaseHold {
            order_id: bytes(ORDER),
            reason: HoldReason::Discount.into(),
            comment: comment.to_owned(),
            release_reason: release_reason.into(),
        };
        world.with(|setting| decide_release_hold(&order, &command, &releaser, setting))
    };
    let kept = release(ReleaseReason::Goodwill, "").expect("released").order.holds[0].clone();
    assert_eq!((kept.release_reason(), kept.release_comment.as_str()), (ReleaseReason::Goodwill, ""));
    let refused = release(ReleaseReason::Other, " ").expect_err("without words");
    assert_eq!((refused.reason, refused.field.as_str()), (Reason::MissingField, "comment"));
    let kept = release(ReleaseReason::Other, "his birthday").expect("released").order.holds[0].clone();
    assert_eq!((kept.release_reason(), kept.release_comment.as_str()), (ReleaseReason::Other, "his birthday"));
    let unsaid = release(ReleaseReason::Unspecified, "").expect("as older apps do").order.holds[0].clone();
    assert_eq!(unsaid.release_reason(), ReleaseReason::Unspecified);
}

#[test]
fn who_approves_has_limits() {
    let mut world = World::new();
    world.agreement.credit_limit_minor = Some(400);
    let order = world.submitted(&[NewOrderLine { discount_bp: 600, ..tea(5) }]);
    assert_eq!(holds(&order), [HoldReason::Discount, HoldReason::CreditLimit]);
    let release = |reason: HoldReason, limit: Option<(HoldReason, i64)>| {
        let limits = limit.map(|(reason, limit_minor)| ApprovalLimit { reason: reason.into(), limit_minor });
        let limits = Some(limits.into_iter().collect());
        let releaser = Releaser { user_id: Uuid::from_u128(99), name: "Bo".to_owned(), limits };
        let command = ReleaseHold {
            order_id: bytes(ORDER),
            reason: reason.into(),
            comment: String::new(),
            ..ReleaseHold::default()
        };
        world.with(|setting| decide_release_hold(&order, &command, &releaser, setting))
    };
    let (discount, credit) = (HoldReason::Discount, HoldReason::CreditLimit);
    assert!(release(discount, None).is_ok(), "without a limit");
    assert!(release(discount, Some((discount, 470))).is_ok(), "the order's value");
    assert_eq!(reason(release(discount, Some((discount, 469)))), Reason::ApprovalLimit);
    assert_eq!(reason(release(credit, None)), Reason::RoleNotAllowed);
    assert!(release(credit, Some((credit, 70))).is_ok(), "what is above the limit");
    let refused = release(credit, Some((credit, 69))).expect_err("too much");
    assert_eq!(refused.facts.iter().map(|fact| fact.value.as_str()).collect::<Vec<_>>(), ["70", "69"]);
    let twice = vec![ApprovalLimit { reason: credit.into(), limit_minor: 1 }; 2];
    assert_eq!(limits_form(&twice).expect_err("twice").reason, Reason::RepeatedId);
    let unknown = [ApprovalLimit { reason: 99, limit_minor: 1 }];
    assert_eq!(limits_form(&unknown).expect_err("unknown").reason, Reason::UnknownValue);
}

/// A contract with the customer; its limit and ban are its own.
fn sign(world: &mut World, number: u128, contract: Contract) {
    let contract = Contract { number: number.to_string(), ..contract };
    world.credit = world.credit.clone().with_contract(Uuid::from_u128(number), &contract).expect("not many");
}

#[test]
fn c09_two_limits_are_told_in_one_hold_and_each_is_approved_by_what_is_above_it() {
    let mut world = World::new();
    world.agreement.credit_limit_minor = Some(790);
    world.credit.all.booked_debt_minor = 300;
    sign(&mut world, 41, Contract { credit_limit_minor: Some(100), ..Contract::default() });
    let order = world.submitted(&[tea(5)]);
    let [hold] = order.holds.as_slice() else { panic!("{order:?}") };
    assert_eq!((hold.limit_minor, hold.exposure_minor), (Some(100), Some(500)), "what is exceeded by most");
    assert_eq!(hold.facts.matches("is above the limit").count(), 2, "{}", hold.facts);
    // Whoever agrees to 500 under the contract has not agreed to 800 in all.
    let agreed = world.release(&order, HoldReason::CreditLimit).expect("released");
    let order = world.take(&agreed);
    let again = hold::open(&order, HoldReason::CreditLimit).expect("the other limit");
    assert_eq!((again.limit_minor, again.exposure_minor), (Some(790), Some(800)));
    let agreed = world.release(&order, HoldReason::CreditLimit).expect("released");
    assert_eq!(agreed.order.status(), OrderStatus::Confirmed);
    let under = agreed.credit.contract(&agreed.order.contract_id).expect("the contract");
    assert_eq!((under.account.exposure_minor(), agreed.credit.exposure_minor()), (500, 800));
}

#[test]
fn c15_an_order_gets_its_contract_when_it_gets_its_terms() {
    let mut world = World::new();
    let of = |agreement| Contract { agreement_ids: vec![bytes(agreement)], ..Contract::default() };
    sign(&mut world, 41, of(AGREEMENT));
    sign(&mut world, 42, of(OTHER_AGREEMENT));
    let order = world.submitted(&[tea(3)]);
    assert_eq!(order.contract_id, bytes(Uuid::from_u128(41)));
    // Another one begins later: what is made stays where it is.
    sign(&mut world, 43, Contract { valid_from_day: 1, ..of(AGREEMENT) });
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 4)]).expect("taken").order;
    assert_eq!(more.contract_id, order.contract_id);
    let agreement_id = Some(BytesChange { base: bytes(AGREEMENT), value: bytes(OTHER_AGREEMENT) });
    let command = ChangeOrder { order_id: bytes(ORDER), agreement_id, ..ChangeOrder::default() };
    let moved = world.with(|setting| decide_change(&order, Editor::Rep(REP), &command, setting)).expect("taken");
    assert_eq!(moved.order.contract_id, bytes(Uuid::from_u128(42)));
    let under =
        |number: u128| moved.credit.contract(&bytes(Uuid::from_u128(number))).map(|known| known.account.orders_minor);
    assert_eq!((under(41), under(42)), (Some(0), Some(300)), "it counts once");
}

#[test]
fn c10_overdue_debt_has_a_hold_of_its_own() {
    let mut world = World::new();
    world.credit.all.overdue_minor = 70;
    let order = world.submitted(&[tea(5)]);
    assert_eq!((holds(&order), order.holds[0].exposure_minor), (vec![HoldReason::Overdue], Some(70)));
    let command = ReleaseHold {
        order_id: bytes(ORDER),
        reason: HoldReason::Overdue.into(),
        comment: String::new(),
        ..ReleaseHold::default()
    };
    let releaser = Releaser { user_id: Uuid::from_u128(99), name: "Bo".to_owned(), limits: Some(Vec::new()) };
    let refused = world.with(|setting| decide_release_hold(&order, &command, &releaser, setting));
    assert_eq!(reason(refused), Reason::RoleNotAllowed);
    world.credit.all.overdue_minor = 0;
    let paid = world.with(|setting| decide_again(&order, setting)).expect("decided").order;
    assert_eq!(paid.status(), OrderStatus::Confirmed);
}

#[test]
fn an_order_is_promised_for_the_first_day_that_the_agreement_has_and_keeps_it() {
    let mut world = World::new();
    (world.agreement.delivery_lead_days, world.agreement.cut_off_s) = (1, 15 * 3_600);
    let wanted = |world: &World, day| {
        let command = SubmitOrder { delivery_day: day, ..submit(&[tea(1)]) };
        world.with(|setting| decide_submit(None, None, Editor::Rep(REP), &command, &[], setting)).expect("taken")
    };
    let order = wanted(&world, TODAY + 1);
    assert_eq!((order.order.promised_day, order.verdict.reason), (TODAY + 1, Reason::Unspecified));
    world.capture.now.second = 15 * 3_600;
    let late = wanted(&world, TODAY + 1);
    assert_eq!((late.order.promised_day, late.verdict.reason), (TODAY + 2, Reason::DeliveryLater));
    assert_eq!(wanted(&world, 0).verdict, Verdict::done(), "nobody wanted another day");
    let order = world.take(&order);
    let edited = world.change(&order, Editor::Rep(REP), vec![quantity(1, 1, 2)]).expect("taken").order;
    assert_eq!((edited.promised_day, edited.broken_promises), (TODAY + 1, 0), "what is promised stays");
}

#[test]
fn a_held_order_is_promised_for_a_day_that_is_possible_when_it_is_released() {
    let mut world = World::new();
    world.agreement.delivery_lead_days = 1;
    world.agreement.credit_limit_minor = Some(50);
    let held = world.submitted(&[tea(1)]);
    assert_eq!((holds(&held), held.promised_day), (vec![HoldReason::CreditLimit], TODAY + 1));
    world.capture.now.day = TODAY + 4;
    let released = world.release(&held, HoldReason::CreditLimit).expect("released").order;
    assert_eq!((released.status(), released.promised_day), (OrderStatus::Confirmed, TODAY + 5));
    assert_eq!(released.broken_promises, 0, "nothing was promised before");
}

#[test]
fn a_promise_is_broken_once_however_long_the_order_waits_then() {
    let mut world = World::new();
    world.agreement.delivery_lead_days = 1;
    world.agreement.set_shortage_rule(ShortageRule::ShipComplete);
    world.available.insert(TEA, Available::default().counted(5_000));
    let order = world.submit(&[tea(5)]).expect("taken");
    let order = world.take(&order);
    let promised = order.promised_day;
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 8)]).expect("taken");
    assert_eq!(promised, TODAY + 1);
    let mut waiting = world.take(&more);
    assert_eq!((holds(&waiting), waiting.promised_day), (vec![HoldReason::Stock], promised));
    for day in 1..4 {
        world.capture.now.day = TODAY + day;
        waiting = world.with(|setting| decide_again(&waiting, setting)).expect("decided").order;
        assert_eq!((waiting.promised_day, waiting.broken_promises), (promised, 0), "another day is not promised yet");
    }
    let available = world.available[&TEA].counted(9_000);
    world.available.insert(TEA, available);
    let late = world.with(|setting| decide_again(&waiting, setting)).expect("decided").order;
    assert_eq!((late.status(), late.promised_day, late.broken_promises), (OrderStatus::Confirmed, TODAY + 4, 1));
}

/// What an outcome tells of a line, by name.
fn told(decision: &Decision, line_id: &[u8]) -> Vec<(String, String)> {
    let of_line = decision.verdict.lines.iter().filter(|fact| fact.record_id == line_id);
    of_line.map(|fact| (fact.name.clone(), fact.value.clone())).collect()
}

fn pairs<const N: usize>(told: [(&str, &str); N]) -> Vec<(String, String)> {
    told.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

#[test]
fn c11_the_outcome_tells_what_becomes_of_each_line_that_differs() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(4_000));
    let decision = world.submit(&[tea(3), line(3, TEA, 3, 100), sugar(1)]).expect("taken");
    let short = pairs([("confirmed_milli", "1000"), ("difference", "LINE_DIFFERENCE_STOCK_SHORT")]);
    assert_eq!(told(&decision, &line_id(3)), short);
    assert_eq!(decision.verdict.lines.len(), 2, "what is as it was ordered is not told");

    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    let decision = world.submit(&[tea(5)]).expect("taken");
    let later = pairs([("confirmed_milli", "5000"), ("difference", "LINE_DIFFERENCE_BACK_ORDERED")]);
    assert_eq!(told(&decision, &line_id(1)), later);

    world.agreement.set_shortage_rule(ShortageRule::Substitute);
    world.products.get_mut(&TEA).expect("there").0.successor_id = bytes(SUGAR);
    let decision = world.submit(&[tea(5)]).expect("taken");
    let substituted = "LINE_DIFFERENCE_SUBSTITUTED";
    assert_eq!(told(&decision, &line_id(1)), pairs([("confirmed_milli", "4000"), ("difference", substituted)]));
    let (replaced, sugar) = (Uuid::from_bytes([1; 16]).to_string(), SUGAR.to_string());
    let instead = pairs([
        ("confirmed_milli", "1000"),
        ("difference", substituted),
        ("price_minor", "50"),
        ("price_per_milli", "1000"),
        ("substitutes_line_id", &replaced),
        ("product_id", &sugar),
    ]);
    assert_eq!(told(&decision, &decision.order.lines[1].line_id), instead);
}

#[test]
fn c05_the_outcome_tells_the_price_in_force_of_a_line_that_shows_another() {
    let world = World::new();
    let decision = world.submit(&[line(1, TEA, 3, 90), sugar(1)]).expect("taken");
    assert_eq!(decision.verdict.reason, Reason::HeldPrice);
    let price = pairs([("confirmed_milli", "3000"), ("price_minor", "100"), ("price_per_milli", "1000")]);
    assert_eq!(told(&decision, &line_id(1)), price);
    assert_eq!(decision.verdict.lines.len(), 3);
}

#[test]
fn the_outcome_tells_of_a_hundred_lines_at_most() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default());
    let lines: Vec<NewOrderLine> = (1..=120).map(|number| line(number, TEA, 1, 100)).collect();
    let decision = world.submit(&lines).expect("taken");
    assert_eq!(decision.verdict.lines.len(), 2 * 100);
    assert_eq!((told(&decision, &line_id(100)).len(), told(&decision, &line_id(101)).len()), (2, 0));
}

#[test]
fn c11_what_is_there_is_confirmed() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(4_000));
    let decision = world.submit(&[tea(3), line(3, TEA, 3, 100), sugar(1)]).expect("taken");
    assert_eq!(confirmed(&decision.order), [3, 1, 1]);
    assert_eq!((decision.verdict.status, decision.verdict.reason), (Status::Applied, Reason::PartlyConfirmed));
    assert_eq!(decision.order.lines[1].difference(), LineDifference::StockShort);
    assert_eq!((decision.order.value_minor, decision.order.ordered_value_minor), (450, 650));
    world.available.remove(&TEA);
    assert_eq!(
        confirmed(&world.submit(&[tea(3)]).expect("taken").order),
        [3],
        "stock that nobody knows is not checked"
    );
}

#[test]
fn c11_a_promise_is_kept_when_stock_goes() {
    let mut world = World::new();
    let order = world.submitted(&[tea(3), sugar(2)]);
    let lost = world.available[&TEA].counted(0);
    world.available.insert(TEA, lost);
    let edited = world.change(&order, Editor::Rep(REP), vec![quantity(2, 2, 3)]).expect("taken").order;
    assert_eq!(confirmed(&edited), [3, 3]);
    let less = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 2)]).expect("taken").order;
    assert_eq!(confirmed(&less), [2, 2]);
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 9)]).expect("taken").order;
    assert_eq!(confirmed(&more), [3, 2]);
}

#[test]
fn c11_what_one_line_was_promised_is_not_given_to_another() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(7_000));
    let order = world.submitted(&[tea(3), line(3, TEA, 3, 100)]);
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 9)]).expect("taken").order;
    assert_eq!(confirmed(&more), [4, 3]);
}

#[test]
fn c11_an_agreement_may_want_the_order_complete() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(2_000));
    world.agreement.set_shortage_rule(ShortageRule::ShipComplete);
    let order = world.submitted(&[tea(3), sugar(1)]);
    assert_eq!((holds(&order), confirmed(&order)), (vec![HoldReason::Stock], vec![3, 1]));
    assert_eq!(world.available[&TEA].reserved_milli, 0);
    let agreed = world.release(&order, HoldReason::Stock).expect("released").order;
    assert_eq!((agreed.status(), confirmed(&agreed)), (OrderStatus::Confirmed, vec![2, 1]));
    world.available.insert(TEA, Available::default().counted(3_000));
    let arrived = world.with(|setting| decide_again(&order, setting)).expect("decided").order;
    assert_eq!((arrived.status(), confirmed(&arrived)), (OrderStatus::Confirmed, vec![3, 1]));
}

#[test]
fn c11_who_has_agreed_to_a_part_has_not_agreed_to_any_part() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(2_000));
    world.agreement.set_shortage_rule(ShortageRule::ShipComplete);
    let order = world.submitted(&[tea(3)]);
    let agreed = world.release(&order, HoldReason::Stock).expect("released");
    let agreed = world.take(&agreed);
    let more = world.change(&agreed, Editor::Rep(REP), vec![quantity(1, 3, 9)]).expect("taken");
    let more = world.take(&more);
    assert_eq!(holds(&more), [HoldReason::Stock]);
    let later = world.with(|setting| decide_again(&more, setting)).expect("decided").order;
    assert_eq!(holds(&later), [HoldReason::Stock], "nothing has come");
}

#[test]
fn c11_a_back_order_is_promised_whole_and_gets_what_comes() {
    let mut world = World::new();
    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    world.available.insert(TEA, Available::default().counted(2_000));
    let decision = world.submit(&[tea(5), sugar(1)]).expect("taken");
    assert_eq!((decision.verdict.status, decision.verdict.reason), (Status::Applied, Reason::PartlyConfirmed));
    let order = world.take(&decision);
    assert_eq!((order.status(), confirmed(&order), order.value_minor), (OrderStatus::Confirmed, vec![5, 1], 550));
    assert_eq!((order.lines[0].difference(), order.lines[0].reserved_milli), (LineDifference::BackOrdered, 2_000));
    assert_eq!(world.available[&TEA].free_milli(), 0, "what is there is set aside, and nothing beyond");
    let release = ReleaseOrder { order_id: bytes(ORDER), ..ReleaseOrder::default() };
    assert_eq!(decide_release_order(&order, &release).expect_err("waits").reason, Reason::StockAwaited);

    world.available.insert(TEA, world.available[&TEA].counted(4_000));
    let some = world.with(|setting| decide_again(&order, setting)).expect("decided");
    assert_eq!((some.order.lines[0].reserved_milli, some.available[&TEA].free_milli()), (4_000, 0));
    let order = world.take(&some);
    world.available.insert(TEA, world.available[&TEA].counted(9_000));
    let all = world.with(|setting| decide_again(&order, setting)).expect("decided");
    assert_eq!(
        (all.order.lines[0].difference(), all.available[&TEA].free_milli()),
        (LineDifference::Unspecified, 4_000)
    );
    assert_eq!(all.credit.exposure_minor(), 550, "it was promised before");
    assert!(decide_release_order(&all.order, &release).expect("nothing is awaited").is_some());
}

/// Ten units of tea are shared out: so many are the rep's, who has taken some of them, and so many another's.
fn share_out(world: &mut World, (own, taken): (i64, i64), other: i64) {
    let share = |rep: Uuid, units: i64, taken: i64| Share {
        holder: Some(QuotaHolder { holder: Some(Holder::RepId(bytes(rep))) }),
        quantity_milli: units * 1_000,
        used_milli: taken * 1_000,
    };
    let shares = vec![share(REP, own, taken), share(CUSTOMER, other, 0)];
    world.quotas.insert(
        TEA,
        Quotas { quotas: vec![Quota { quota_id: bytes(LIST), shares, ..Quota::default() }], ..Quotas::default() },
    );
}

#[test]
fn c11_an_edit_takes_of_the_own_share_again() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(10_000));
    share_out(&mut world, (4, 0), 5);
    let order = world.submitted(&[tea(3)]);
    assert_eq!((confirmed(&order), order.lines[0].quota.is_some()), (vec![3], true));
    share_out(&mut world, (4, 3), 5);
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 8)]).expect("taken").order;
    assert_eq!((confirmed(&more), more.lines[0].difference()), (vec![5], LineDifference::Quota), "one is nobody's");
    share_out(&mut world, (1, 3), 9);
    let kept = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 8)]).expect("taken").order;
    assert_eq!((confirmed(&kept), kept.broken_promises), (vec![3], 0), "what was promised is kept");
}

#[test]
fn c11_who_waits_gets_no_more_than_the_own_share() {
    let mut world = World::new();
    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    world.available.insert(TEA, Available::default().counted(10_000));
    share_out(&mut world, (2, 0), 8);
    let order = world.submitted(&[tea(5)]);
    let late = |order: &Order| (order.lines[0].reserved_milli, order.lines[0].difference());
    assert_eq!((confirmed(&order), late(&order)), (vec![5], (2_000, LineDifference::BackOrdered)));
    share_out(&mut world, (2, 2), 7);
    let decision = world.with(|setting| decide_again(&order, setting)).expect("decided");
    assert_eq!(late(&decision.order), (3_000, LineDifference::BackOrdered));
    world.quotas.clear();
    let decision = world.with(|setting| decide_again(&order, setting)).expect("decided");
    assert_eq!(late(&decision.order), (5_000, LineDifference::Unspecified));
}

#[test]
fn c11_a_back_order_that_outlives_its_quota_counts_in_the_next_one() {
    let mut world = World::new();
    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    world.available.insert(TEA, Available::default().counted(10_000));
    share_out(&mut world, (2, 0), 8);
    let order = world.submitted(&[tea(5)]);
    assert_eq!(order.lines[0].quota.as_ref().map(|quota| quota.quota_id.clone()), Some(bytes(LIST)));
    share_out(&mut world, (4, 0), 6);
    let next = world.quotas.get_mut(&TEA).and_then(|quotas| quotas.quotas.first_mut()).expect("a quota");
    next.quota_id = bytes(TEA);
    let decision = world.with(|setting| decide_again(&order, setting)).expect("decided");
    let line = &decision.order.lines[0];
    assert_eq!(line.quota.as_ref().map(|quota| quota.quota_id.clone()), Some(bytes(TEA)), "it took of that one");
    assert_eq!(line.reserved_milli, 5_000);
}

/// Tea is shared out later, or was just now: the order has got so many units then.
fn share_out_later(world: &mut World, got: Option<i64>) {
    let share = |units: i64| Share {
        holder: Some(QuotaHolder { holder: Some(Holder::OrderId(bytes(ORDER))) }),
        quantity_milli: units * 1_000,
        used_milli: 0,
    };
    let quota = Quota {
        quota_id: bytes(LIST),
        share_out_at_us: NOW_US + 5,
        shares: got.into_iter().map(share).collect(),
        shared_out: got.map(|_| SharedOut { going_on: true, ..SharedOut::default() }),
        ..Quota::default()
    };
    world.quotas.insert(TEA, Quotas { quotas: vec![quota], ..Quotas::default() });
}

#[test]
fn c11_an_order_waits_whole_until_the_product_is_shared_out_and_then_by_its_agreement() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(10_000));
    share_out_later(&mut world, None);
    let decision = world.submit(&[tea(5), sugar(1)]).expect("taken");
    let held = world.take(&decision);
    assert_eq!((holds(&held), decision.verdict.reason), (vec![HoldReason::Allocation], Reason::HeldAllocation));
    assert_eq!((&held.holds[0].line_ids, decision.available.len()), (&vec![line_id(1)], 0), "nothing is set aside");
    let told = decision.verdict.facts.iter().find(|fact| fact.name == "share_out_at_us").expect("when");
    assert_eq!((told.value.clone(), confirmed(&held)), ((NOW_US + 5).to_string(), vec![5, 1]));
    let again = world.with(|setting| decide_again(&held, setting)).expect("decided").order;
    assert_eq!(again, held, "that it is asked again changes nothing");
    share_out_later(&mut world, Some(3));
    let by = |world: &World| world.with(|setting| decide_again(&held, setting)).expect("decided").order;
    let part = by(&world);
    assert_eq!((part.status(), confirmed(&part)), (OrderStatus::Confirmed, vec![3, 1]));
    assert_eq!((part.lines[0].difference(), part.lines[0].quota.is_some()), (LineDifference::Quota, true));
    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    assert_eq!((by(&world).lines[0].reserved_milli, by(&world).lines[0].confirmed_milli), (3_000, 5_000));
    world.agreement.set_shortage_rule(ShortageRule::ShipComplete);
    assert_eq!(holds(&by(&world)), [HoldReason::Stock]);
    world.agreement.credit_limit_minor = Some(0);
    assert_eq!(holds(&by(&world)), [HoldReason::Stock, HoldReason::CreditLimit], "it has its share all the same");
    assert!(by(&world).lines[0].quota.is_some());
}

#[test]
fn c11_whom_a_person_lets_out_takes_of_what_is_free_now() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(4_000));
    share_out_later(&mut world, None);
    let held = world.submitted(&[tea(5)]);
    let decision = world.release(&held, HoldReason::Allocation).expect("released");
    let order = world.take(&decision);
    assert_eq!((order.status(), confirmed(&order)), (OrderStatus::Confirmed, vec![4]));
    assert_eq!((order.lines[0].difference(), order.lines[0].quota.clone()), (LineDifference::StockShort, None));
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 6)]).expect("taken").order;
    assert_eq!(holds(&more), [HoldReason::Allocation], "that is another wish");
    assert_eq!((more.lines[0].reserved_milli, more.broken_promises), (4_000, 0), "what it has it keeps");
}

#[test]
fn c11_what_was_promised_before_is_kept_beside_the_share() {
    let mut world = World::new();
    world.available.insert(TEA, Available::default().counted(10_000));
    let order = world.submitted(&[tea(3)]);
    share_out_later(&mut world, None);
    let fewer = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 2)]).expect("taken").order;
    assert_eq!((fewer.status(), confirmed(&fewer)), (OrderStatus::Confirmed, vec![2]), "that is there");
    let decision = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 8)]).expect("taken");
    let more = world.take(&decision);
    assert_eq!((holds(&more), more.lines[0].reserved_milli), (vec![HoldReason::Allocation], 3_000));
    assert_eq!(demands(&more).values().copied().collect::<Vec<_>>(), [5_000]);
    share_out_later(&mut world, Some(2));
    let after = world.with(|setting| decide_again(&more, setting)).expect("decided").order;
    assert_eq!((after.status(), confirmed(&after), after.broken_promises), (OrderStatus::Confirmed, vec![5], 0));
}

#[test]
fn c11_an_edit_of_a_back_order_asks_the_stock_again() {
    let mut world = World::new();
    world.agreement.set_shortage_rule(ShortageRule::BackOrder);
    world.available.insert(TEA, Available::default().counted(2_000));
    let order = world.submitted(&[tea(5), sugar(1)]);
    let other = world.change(&order, Editor::Rep(REP), vec![quantity(2, 1, 2)]).expect("taken").order;
    assert_eq!((other.lines[0].reserved_milli, confirmed(&other)), (2_000, vec![5, 2]), "untouched");
    let less = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 2)]).expect("taken").order;
    assert_eq!((less.lines[0].difference(), confirmed(&less)), (LineDifference::Unspecified, vec![2, 1]));
    world.products.get_mut(&TEA).expect("known").0.withdrawn = true;
    let gone = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 4)]).expect("taken").order;
    assert_eq!((gone.lines[0].difference(), confirmed(&gone)[0]), (LineDifference::Withdrawn, 2), "it will not come");
}

#[test]
fn c11_what_is_missing_is_taken_from_the_successor_at_no_higher_price() {
    let mut world = World::new();
    world.agreement.set_shortage_rule(ShortageRule::Substitute);
    world.available.insert(TEA, Available::default().counted(2_000));
    let tea_row = world.products.get_mut(&TEA).expect("known");
    tea_row.0.successor_id = bytes(SUGAR);
    let sugar_row = world.products.get_mut(&SUGAR).expect("known");
    sugar_row.0.multiple_milli = 2_000;
    let order = world.submitted(&[NewOrderLine { discount_bp: 500, ..tea(5) }]);
    let [short, instead] = order.lines.as_slice() else { panic!("{order:?}") };
    assert_eq!((short.confirmed_milli, short.difference()), (2_000, LineDifference::Substituted));
    assert_eq!((instead.ordered_milli, instead.confirmed_milli, instead.reserved_milli), (0, 2_000, 2_000));
    assert_eq!((instead.price_minor, instead.discount_bp, &instead.substitutes_line_id), (50, 500, &line_id(1)));
    assert_eq!((order.value_minor, order.ordered_value_minor), (190 + 95, 475));
    assert_eq!(world.available[&SUGAR].reserved_milli, 2_000);
    let again = world.with(|setting| {
        decide_submit(
            Some(&order),
            None,
            Editor::Rep(REP),
            &submit(&[NewOrderLine { discount_bp: 500, ..tea(5) }]),
            &[],
            setting,
        )
    });
    assert_eq!(again.expect("taken").verdict.reason, Reason::NothingToDo, "the server's line is not the rep's");

    let less = world.change(&order, Editor::Rep(REP), vec![quantity(1, 5, 2)]).expect("taken");
    assert_eq!((less.order.lines.len(), less.available[&SUGAR].reserved_milli), (1, 0), "nothing is missing now");
    let Edit::Change(cheaper) = discount(1, 500, 600) else { panic!("a change") };
    let cheaper = Edit::Change(OrderLineChange { line_id: instead.line_id.clone(), ..cheaper });
    let refused = world.change(&order, Editor::Office, vec![cheaper]).expect_err("it follows its line");
    assert_eq!(refused.reason, Reason::Mismatch);
    world.set_price(SUGAR, 150, 5, 0);
    let dearer = world.submit(&[tea(5)]).expect("taken").order;
    assert_eq!(dearer.lines[1].price_minor, 100, "the customer was told 100");
    world.products.get_mut(&SUGAR).expect("known").0.withdrawn = true;
    let none = world.submit(&[tea(5)]).expect("taken").order;
    assert_eq!((none.lines.len(), none.lines[0].difference()), (1, LineDifference::StockShort));
}

#[test]
fn c32_an_order_that_looks_like_another_ones_waits_until_somebody_says_it_is_none() {
    let mut world = World::new();
    let reps = world.submitted(&[tea(3), sugar(2)]);
    let by_phone = |world: &World| {
        let command = submit(&[NewOrderLine { price_id: vec![], price_version: 0, shown_price_minor: 0, ..tea(4) }]);
        let others = [(Uuid::from_u128(500), reps.clone())];
        world.with(|setting| decide_submit(None, None, Editor::Office, &command, &others, setting))
    };
    let held = by_phone(&world).expect("taken").order;
    assert_eq!((holds(&held), held.rep_id.len()), (vec![HoldReason::DuplicateSuspect], 0));
    assert_eq!((held.lines[0].shown_price_minor, held.value_minor), (100, 400), "the list's price");
    assert!(held.holds[0].facts.contains("has 1 of its 1 products"), "{}", held.holds[0].facts);
    let again = world.with(|setting| decide_again(&held, setting)).expect("decided").order;
    assert_eq!(holds(&again), [HoldReason::DuplicateSuspect], "the other one stands");
    world.other = Some(Order { status: OrderStatus::Cancelled.into(), ..reps.clone() });
    let alone = world.with(|setting| decide_again(&held, setting)).expect("decided").order;
    assert_eq!(alone.status(), OrderStatus::Confirmed, "there is no other one any more");
    world.other = None;
    let released = world.release(&held, HoldReason::DuplicateSuspect).expect("released").order;
    assert_eq!(released.status(), OrderStatus::Confirmed);
    world.set_price(TEA, 120, 6, NOW_US);
    let unpriced = submit(&[NewOrderLine { price_id: vec![], price_version: 0, shown_price_minor: 0, ..tea(4) }]);
    let again =
        world.with(|setting| decide_submit(Some(&held), None, Editor::Office, &unpriced, &[], setting)).expect("taken");
    assert_eq!(again.verdict.reason, Reason::NothingToDo, "it has its price");
    world.set_price(TEA, 100, 7, NOW_US);
    world.promote(ten_off());
    let promoted = by_phone(&world).expect("taken").order;
    assert_eq!(promoted.value_minor, 360, "the server computes what is off");
}

#[test]
fn c12_only_the_line_of_a_withdrawn_product_is_held() {
    let mut world = World::new();
    world.products.get_mut(&TEA).expect("known").0.withdrawn = true;
    let order = world.submitted(&[tea(3), sugar(1)]);
    assert_eq!((holds(&order), &order.holds[0].line_ids), (vec![HoldReason::ProductWithdrawn], &vec![line_id(1)]));
    let without = world.change(&order, Editor::Rep(REP), vec![removal(1, 3)]).expect("taken").order;
    assert_eq!(without.status(), OrderStatus::Confirmed);
    assert_eq!(world.release(&order, HoldReason::ProductWithdrawn).expect("released").order.value_minor, 350);
}

#[test]
fn c13_a_blocked_outlet_holds_until_it_is_unblocked() {
    let mut world = World::new();
    world.outlet.blocked = true;
    let order = world.submitted(&[tea(3)]);
    assert_eq!(holds(&order), [HoldReason::OutletBlocked]);
    world.outlet.blocked = false;
    let freed = world.with(|setting| decide_again(&order, setting)).expect("decided").order;
    assert_eq!(freed.status(), OrderStatus::Confirmed);

    world.outlet.blocked = true;
    let released = world.release(&order, HoldReason::OutletBlocked).expect("released").order;
    let more = world.change(&released, Editor::Rep(REP), vec![quantity(1, 3, 300)]).expect("taken").order;
    assert_eq!(holds(&more), [HoldReason::OutletBlocked], "nobody has agreed to as much");
    let less = world.change(&released, Editor::Rep(REP), vec![quantity(1, 3, 2)]).expect("taken").order;
    let again = world.change(&less, Editor::Rep(REP), vec![quantity(1, 2, 3)]).expect("taken").order;
    assert_eq!(again.status(), OrderStatus::Confirmed, "as much as was agreed to");
}

#[test]
fn c13_an_order_by_the_terms_of_a_duplicate_waits_for_a_person_or_for_the_terms() {
    let mut world = World::new();
    world.outlet.agreement_ids = vec![bytes(OTHER_AGREEMENT)];
    let refused = world.submit(&[tea(3)]).expect_err("nobody ever listed it");
    assert_eq!((refused.reason, refused.field.as_str()), (Reason::Mismatch, "agreement_id"));
    world.former_agreement_ids = vec![bytes(AGREEMENT)];
    let order = world.submitted(&[tea(3)]);
    assert_eq!(holds(&order), [HoldReason::TermsExpired]);
    assert!(order.holds[0].facts.contains("does not list"), "{:?}", order.holds);

    // Nobody names the duplicate from now on.
    world.former_agreement_ids.clear();
    let again = world.with(|setting| decide_again(&order, setting)).expect("decided").order;
    assert_eq!(again, order, "nothing has changed");
    let released = world.release(&order, HoldReason::TermsExpired).expect("released").order;
    assert_eq!(released.status(), OrderStatus::Confirmed);
    let less = world.change(&released, Editor::Rep(REP), vec![quantity(1, 3, 2)]).expect("taken").order;
    assert_eq!(less.status(), OrderStatus::Confirmed, "what a person has agreed to");
    let more = world.change(&released, Editor::Rep(REP), vec![quantity(1, 3, 4)]).expect("taken").order;
    assert_eq!(holds(&more), [HoldReason::TermsExpired], "nobody has agreed to as much");
    world.outlet.agreement_ids.push(bytes(AGREEMENT));
    let listed = world.with(|setting| decide_again(&order, setting)).expect("decided").order;
    assert_eq!(listed.status(), OrderStatus::Confirmed);

    // Both at once are one hold.
    world.outlet.agreement_ids.clear();
    world.former_agreement_ids = vec![bytes(AGREEMENT)];
    world.agreement.valid_to_day = TODAY - 1;
    let both = world.submitted(&[tea(3)]);
    assert_eq!(holds(&both), [HoldReason::TermsExpired]);
    assert!(["is valid", "does not list"].iter().all(|part| both.holds[0].facts.contains(part)), "{:?}", both.holds);
}

#[test]
fn c15_terms_and_minimum_are_those_of_the_orders_day() {
    let mut world = World::new();
    world.agreement.valid_to_day = TODAY - 1;
    world.agreement.minimum_order_minor = 1_000;
    let order = world.submitted(&[tea(3)]);
    assert_eq!(holds(&order), [HoldReason::MinimumSum, HoldReason::TermsExpired]);
    let more = world.change(&order, Editor::Rep(REP), vec![quantity(1, 3, 10)]).expect("taken").order;
    assert_eq!(holds(&more), [HoldReason::TermsExpired]);
    let agreement_id = Some(BytesChange { base: bytes(AGREEMENT), value: bytes(OTHER_AGREEMENT) });
    let command = ChangeOrder { order_id: bytes(ORDER), agreement_id, ..ChangeOrder::default() };
    let moved = world.with(|setting| decide_change(&order, Editor::Rep(REP), &command, setting)).expect("taken");
    assert_eq!((moved.order.status(), moved.order.agreement_id), (OrderStatus::Confirmed, bytes(OTHER_AGREEMENT)));
}

type Spoil = dyn Fn(&mut SubmitOrder);

#[test]
fn what_does_not_belong_together_is_refused() {
    let world = World::new();
    let try_with = |change: &Spoil| {
        let mut command = submit(&[tea(3)]);
        change(&mut command);
        let rejected = world.with(|setting| decide_submit(None, None, Editor::Rep(REP), &command, &[], setting));
        let rejected = rejected.expect_err("rejected");
        (rejected.reason, rejected.field)
    };
    let cases: [(&Spoil, Reason, &str); 12] = [
        (&|c| c.agreement_id = bytes(LIST), Reason::Mismatch, "agreement_id"),
        (&|c| c.currency = "USD".to_owned(), Reason::CurrencyMismatch, "currency"),
        (&|c| c.visit_id = bytes(LIST), Reason::Mismatch, "visit_id"),
        (&|c| c.lines[0].price_id = bytes(price_id(SUGAR)), Reason::Mismatch, "price_id"),
        (&|c| c.lines[0].product_id = bytes(LIST), Reason::NotFound, "product_id"),
        (&|c| c.lines.clear(), Reason::MissingField, "lines"),
        (&|c| c.lines.push(tea(1)), Reason::RepeatedId, "line_id"),
        (&|c| c.lines[0].quantity_milli = 0, Reason::OutOfRange, "quantity_milli"),
        (&|c| c.order_day = TODAY - 40, Reason::OutOfRange, "order_day"),
        (&|c| c.order_day = TODAY - 1, Reason::OutOfRange, "order_day"),
        (&|c| (c.order_day, c.delivery_day) = (TODAY + 1, 0), Reason::MissingField, "delivery_day"),
        (&|c| c.delivery_day = TODAY - 1, Reason::OutOfRange, "delivery_day"),
    ];
    for (change, reason, field) in cases {
        assert_eq!(try_with(change), (reason, field.to_owned()));
    }
    assert_eq!(reason(world.change(&Order::default(), Editor::Rep(REP), vec![])), Reason::RoleNotAllowed);
}

#[test]
fn calling_off_ends_all_promises() {
    let mut world = World::new();
    let order = world.submitted(&[tea(3)]);
    let command = CancelOrder { order_id: bytes(ORDER), reason: "changed their mind".to_owned() };
    let off = world.with(|setting| decide_cancel(&order, Editor::Rep(REP), &command, setting)).expect("done");
    assert_eq!((off.order.status(), off.credit.exposure_minor()), (OrderStatus::Cancelled, 0));
    assert_eq!((off.available[&TEA].reserved_milli, reserved_by(&off.order, TEA)), (0, 0));
}

#[test]
fn only_a_confirmed_order_goes_to_the_warehouse() {
    let mut world = World::new();
    let command = ReleaseOrder { order_id: bytes(ORDER), ..ReleaseOrder::default() };
    let order = world.submitted(&[tea(3)]);
    let released = decide_release_order(&order, &command).expect("allowed").expect("changed");
    assert_eq!(released.status(), OrderStatus::Released);
    assert_eq!(decide_release_order(&released, &command), Ok(None));
    world.outlet.blocked = true;
    let held = world.submit(&[tea(3)]).expect("taken").order;
    assert_eq!(decide_release_order(&held, &command).expect_err("held").reason, Reason::OrderHeld);
    let mut empty = order;
    empty.lines[0].confirmed_milli = 0;
    assert_eq!(decide_release_order(&empty, &command).expect_err("empty").reason, Reason::NoLines);
}

fn shipment(order: &Order, loaded: &[i64], delivered: &[i64], refused: &[i64]) -> Shipment {
    let lines = order.lines.iter().enumerate().map(|(index, line)| ShipmentLine {
        line_id: line.line_id.clone(),
        product_id: line.product_id.clone(),
        ordered_milli: 3_000,
        picked_milli: loaded[index] * 1_000,
        loaded_milli: loaded[index] * 1_000,
        delivered_milli: delivered[index] * 1_000,
        refused_milli: refused[index] * 1_000,
        ..ShipmentLine::default()
    });
    Shipment { order_id: bytes(ORDER), lines: lines.collect(), ..Shipment::default() }
}

#[test]
fn c23_what_does_not_arrive_is_not_owed() {
    let mut world = World::new();
    let order = world.submitted(&[tea(3), line(2, SUGAR, 3, 50)]);
    let mover = Mover { by: REP, now_us: NOW_US };
    let ordered = |order: &Order| {
        let shortage_rule = ShortageRule::ConfirmPart;
        Ordered { id: ORDER, order: order.clone(), vat_included: true, shortage_rule }
    };
    let books = Books { credit: world.credit.clone(), available: world.available.clone() };
    let gone = shipment(&order, &[3, 2], &[0, 0], &[0, 0]);
    let (picked, books) = fulfil::picked(&ordered(&order), (&gone, &gone), books, mover).expect("picked");
    let (shipped, books) = fulfil::shipped(&ordered(&picked), &gone, books, mover).expect("shipped");
    assert_eq!((shipped.fulfilment(), shipped.value_minor), (Fulfilment::PartlyShipped, 400));
    assert_eq!(shipped.lines[1].difference(), LineDifference::PickedShort);
    assert_eq!(books.credit.exposure_minor(), 400);
    let sugar = books.available[&SUGAR];
    assert_eq!((sugar.on_hand_milli, sugar.reserved_milli), (998_000, 0));
    let arrived = shipment(&order, &[3, 2], &[2, 1], &[1, 0]);
    let (done, after) = fulfil::delivered(&ordered(&shipped), &arrived, true, books.clone(), mover).expect("done");
    assert_eq!((done.status(), done.fulfilment()), (OrderStatus::Closed, Fulfilment::PartlyDelivered));
    let differences: Vec<_> = done.lines.iter().map(OrderLine::difference).collect();
    assert_eq!(differences, [LineDifference::Refused, LineDifference::DeliveredShort]);
    assert_eq!((done.value_minor, after.credit.exposure_minor()), (250, 250));
    let booked = Order { booked: true, ..shipped.clone() };
    let credit = books.credit.clone().with_order(ORDER, Some(&shipped), &booked).expect("counted");
    let (_, after) =
        fulfil::delivered(&ordered(&booked), &arrived, true, Books { credit, ..books }, mover).expect("done");
    assert_eq!(after.credit.exposure_minor(), 0, "the books have it");
}

/// Mostly lines that nothing is wrong with, so that the rare causes meet all others.
fn new_lines() -> impl Strategy<Value = Vec<NewOrderLine>> {
    let often = |usual: i64, range: std::ops::Range<i64>| prop_oneof![9 => Just(usual), 1 => range];
    let one = (any::<bool>(), 1..20_i64, often(0, -9..9), often(0, 0..900), often(5, 4..7));
    proptest::collection::vec(one, 1..5).prop_map(|lines| {
        let build = |(number, (tea, units, off, discount, price_version))| {
            let (product, price) = if tea { (TEA, 105) } else { (SUGAR, 50) };
            let discount_bp = i32::try_from(discount).expect("small");
            NewOrderLine { discount_bp, price_version, ..line(number, product, units, price + off) }
        };
        (1_u8..).zip(lines).map(build).collect()
    })
}

fn worlds() -> impl Strategy<Value = World> {
    let rarely = || proptest::bool::weighted(0.2);
    let numbers = (0..60_000_i64, proptest::option::of(0..3_000_i64), -500..500_i64, rarely());
    let flags = (rarely(), any::<bool>(), rarely());
    (numbers, 0..5_i32, flags).prop_map(|((on_hand, limit, debt, overdue), rule, (minimum, vat, blocked))| {
        let mut world = World::new();
        world.available.insert(TEA, Available::default().counted(on_hand));
        world.agreement.credit_limit_minor = limit;
        world.agreement.shortage_rule = rule;
        world.agreement.minimum_order_minor = if minimum { 1_000 } else { 0 };
        world.list.vat_included = vat;
        world.outlet.blocked = blocked;
        world.credit.all.booked_debt_minor = debt;
        world.credit.all.overdue_minor = overdue.into();
        world.set_price(TEA, 105, 6, NOW_US - 30 * HOUR_US);
        world
    })
}

/// What holds for every decision about an order.
fn lawful(world: &World, before: Option<&Order>, decision: &Decision) -> Result<(), TestCaseError> {
    let order = &decision.order;
    let open = holds(order);
    prop_assert_eq!(order.value_minor, order.lines.iter().map(|line| line.amount_minor).sum::<i64>());
    prop_assert_eq!(open.is_empty(), order.status() == OrderStatus::Confirmed);
    prop_assert_eq!(open.is_empty(), decision.verdict.status != Status::Held);
    let distinct: std::collections::BTreeSet<i32> = open.iter().map(|reason| i32::from(*reason)).collect();
    prop_assert_eq!(distinct.len(), open.len(), "at most one open hold for each reason");
    prop_assert!(order.lines.iter().all(|line| (0..=line.ordered_milli).contains(&line.confirmed_milli)));
    let others = match before {
        Some(before) => world.credit.clone().without_order(ORDER, before),
        None => world.credit.clone(),
    };
    let own = if open.is_empty() { order.value_minor } else { 0 };
    prop_assert_eq!(decision.credit.exposure_minor(), others.exposure_minor() + own);
    for (product, stock) in &world.available {
        let changed = decision.available.get(product).unwrap_or(stock).reserved_milli - stock.reserved_milli;
        let own = before.map_or(0, |before| reserved_by(before, *product));
        prop_assert_eq!(changed, reserved_by(order, *product) - own, "what is set aside stands in the lines");
    }
    prop_assert!(order.lines.iter().all(|line| (0..=line.confirmed_milli).contains(&line.reserved_milli)));
    if let (true, Some(stock)) = (open.is_empty(), decision.available.get(&TEA)) {
        prop_assert!(stock.free_milli() >= 0);
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_decision_is_lawful_and_the_same_when_repeated(world in worlds(), lines in new_lines()) {
        let mut world = world;
        let decision = world.submit(&lines).expect("taken");
        lawful(&world, None, &decision)?;
        let order = world.take(&decision);
        let again = world.with(|setting| decide_again(&order, setting)).expect("decided");
        prop_assert_eq!(&again.order, &order);
        prop_assert_eq!(again.credit, decision.credit);
        prop_assert!(again.available.is_empty());
    }

    #[test]
    fn edits_of_different_lines_come_to_the_same_in_any_order(
        world in worlds(), lines in new_lines(), first in 1..20_i64, second in 1..20_i64,
    ) {
        let mut world = world;
        // Stock is given to whoever comes first; here there is enough.
        world.available.clear();
        let mut lines = lines;
        lines.push(line(9, SUGAR, 5, 50));
        let order = world.submitted(&lines);
        let one = quantity(1, order.lines[0].ordered_milli / 1_000, first);
        let two = quantity(9, 5, second);
        let run = |edits: [&Edit; 2]| {
            let mut world = World { credit: world.credit.clone(), available: BTreeMap::new(), ..World::new() };
            edits.into_iter().fold(order.clone(), |order, edit| {
                let decision = world.change(&order, Editor::Rep(REP), vec![edit.clone()]).expect("taken");
                world.take(&decision)
            })
        };
        let (a, b) = (run([&one, &two]), run([&two, &one]));
        prop_assert_eq!(a.lines, b.lines);
        prop_assert_eq!(a.value_minor, b.value_minor);
    }

    #[test]
    fn whatever_is_edited_the_decision_is_lawful(
        world in worlds(), lines in new_lines(), fresh in any::<bool>(), value in 1..20_i64, office in any::<bool>(),
        lost in 0..60_000_i64,
    ) {
        let mut world = world;
        let order = world.submitted(&lines);
        if let Some(stock) = world.available.get_mut(&TEA) {
            *stock = stock.counted(lost.max(stock.reserved_milli));
        }
        let editor = if office { Editor::Office } else { Editor::Rep(REP) };
        let base = if fresh { order.lines[0].ordered_milli / 1_000 } else { 20 };
        let edits = vec![quantity(1, base, value), discount(2, 0, 700)];
        let decision = world.change(&order, editor, edits).expect("taken");
        if decision.order != order {
            lawful(&world, Some(&order), &decision)?;
        }
    }

    #[test]
    fn no_input_panics(
        numbers in any::<[i64; 6]>(), small in any::<[i32; 4]>(), limit in any::<i64>(), debt in any::<i64>(),
        stock in any::<i64>(), hold in any::<(i32, i64, bool)>(),
    ) {
        let mut world = World::new();
        world.agreement.credit_limit_minor = Some(limit);
        world.agreement.minimum_order_minor = limit;
        world.agreement.price_grace_s = Some(small[0]);
        world.agreement.valid_to_day = small[1];
        world.credit.all.booked_debt_minor = debt;
        world.available.insert(TEA, Available::default().counted(stock).reserving(0, numbers[0]));
        world.set_price(TEA, numbers[1], numbers[2], numbers[3]);
        let new = NewOrderLine {
            quantity_milli: numbers[4], shown_price_minor: numbers[5], discount_bp: small[2], ..tea(1)
        };
        let _ = world.submit(&[new]);
        // A stored order may hold what no form would let in.
        let line = OrderLine {
            line_id: line_id(1), product_id: bytes(TEA), ordered_milli: numbers[4], confirmed_milli: numbers[0],
            shown_price_minor: numbers[5], price_minor: numbers[3], discount_bp: small[2], vat_bp: small[3],
            ..OrderLine::default()
        };
        let hold = Hold { reason: hold.0, released_at_us: hold.1, released_by_id: vec![1; usize::from(hold.2)], ..Hold::default() };
        let mut order = Order {
            agreement_id: bytes(AGREEMENT), lines: vec![line.clone(), line], holds: vec![hold], order_day: small[1],
            ..Order::default()
        };
        order.set_status(OrderStatus::Submitted);
        let _ = world.with(|setting| decide_again(&order, setting));
        order.set_status(OrderStatus::Confirmed);
        let _ = world.change(&order, Editor::Office, vec![quantity(1, 1, 2), discount(2, small[2], 100)]);
        let gone = shipment(&order, &[small[0].into(), small[1].into()], &[0, 0], &[0, 0]);
        let ordered = Ordered { id: ORDER, order, vat_included: false, shortage_rule: ShortageRule::BackOrder };
        let books = || Books { credit: world.credit.clone(), available: world.available.clone() };
        let mover = Mover { by: REP, now_us: NOW_US };
        let _ = fulfil::picked(&ordered, (&gone, &gone), books(), mover);
        let _ = fulfil::shipped(&ordered, &gone, books(), mover);
        let _ = fulfil::delivered(&ordered, &gone, true, books(), mover);
    }
}
