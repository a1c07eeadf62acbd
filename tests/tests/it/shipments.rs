//! Orders in several shipments, and several orders in one: what is left of them, what goes on, what ends.

use std::sync::Arc;

use roundsman::jobs::Jobs;
use roundsman_proto::auth::Role;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{GetWaveRequest, StartWaveRequest};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    self as trade, Agreement, AnswerChangeRequest, CancelOrder, CancelShipment, CheckShipment, CloseOrder,
    DeliverShipment, DeliveredLine, Fulfilment, LineDifference, Order, OrderStatus, PassedOrder, PickShipment,
    PrepareShipment, PreparedLine, PromiseOutcome, Reason, ReceiveReturn, ReceivedReturnLine, RefusalReason,
    ReleaseOrder, ReturnOrigin, ReturnReason, Scan, ShipShipment, Shipment, ShipmentState, ShippedLine, ShortReason,
    ShortageRule, StartWave, Stock, Wave, WaveState,
};
use roundsman_sync::trade::order::fulfil::left_to_ship;
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::cash::announced;
use crate::conflicts::{Lines, counted, done, order, ready, status};
use crate::desk::{by, entry, import};
use crate::goods::exact;

on_both_databases!(
    an_order_is_shipped_in_parts_and_closed_with_the_last,
    orders_of_one_customer_go_together,
    who_is_called_off_leaves_the_shipment_to_the_others,
    c11_of_a_back_order_goes_what_is_there_and_the_rest_follows,
    c11_what_the_warehouse_does_not_find_follows_where_the_agreement_wants_it,
    c23_what_was_not_attempted_is_shipped_again_and_the_promise_is_broken,
    c23_what_comes_back_goes_to_who_was_promised_it_first,
    c11_who_refuses_a_part_still_waits_for_the_rest,
    what_nobody_counts_is_not_taken_for_nothing,
    what_is_being_picked_counts_from_the_first_figure_on,
    what_is_left_of_an_order_is_ended_with_a_reason,
    a_shipment_that_was_called_off_can_be_prepared_anew,
    a_wave_serves_orders_in_turn_with_what_there_is,
    a_wave_that_nobody_goes_on_with_is_finished_by_the_clock,
    what_is_picked_short_is_told_at_once,
    what_was_picked_is_counted_by_barcode_before_it_leaves,
    what_contradicts_is_refused_and_nothing_is_half_done,
    other_systems_hear_of_each_state,
);

/// The warehouse's side of a day.
pub(crate) struct Warehouse {
    pub(crate) app: TestApp,
    pub(crate) world: World,
    pub(crate) anna: TestDevice,
    pub(crate) lars: String,
}

impl Warehouse {
    pub(crate) async fn make(kind: Kind, shortage_rule: ShortageRule) -> Self {
        let (app, world, mut anna) = ready(kind).await;
        app.user("lars", Role::Logistics, None, None).await;
        let lars = app.token("lars").await;
        let terms = Agreement { shortage_rule: shortage_rule.into(), ..world.agreement(0) };
        import(&app, vec![entry(world.agreements[0], Record::Agreement(terms))]).await;
        app.sync(&mut anna).await;
        Self { app, world, anna, lars }
    }

    pub(crate) async fn submitted(&mut self, lines: Lines<'_>) -> Uuid {
        let (id, submit) = order(&self.app, &self.anna, &self.world, &self.world.anna, lines);
        let outcome = self.app.decide(&mut self.anna, Command::SubmitOrder(submit)).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
        id
    }

    pub(crate) async fn released(&mut self, lines: Lines<'_>) -> Uuid {
        let id = self.submitted(lines).await;
        self.does(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), partly: false })).await;
        id
    }

    pub(crate) async fn asks(&self, command: Command) -> Outcome {
        self.app.office_as(&self.lars, self.app.id(), command).await.expect("logistics is answered")
    }

    pub(crate) async fn does(&self, command: Command) {
        let outcome = self.asks(command).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }

    /// Prepares a shipment of an order, of all that can go.
    pub(crate) async fn prepares(&self, order: Uuid) -> Uuid {
        self.prepares_with(PrepareShipment { order_id: bytes(order), ..PrepareShipment::default() }).await
    }

    pub(crate) async fn prepares_with(&self, command: PrepareShipment) -> Uuid {
        let id = self.app.id();
        self.does(Command::PrepareShipment(PrepareShipment { shipment_id: bytes(id), ..command })).await;
        id
    }

    /// Puts orders into shipments together.
    pub(crate) async fn starts_wave(&self, orders: &[Uuid]) -> Uuid {
        let id = self.app.id();
        let wave = StartWave {
            wave_id: bytes(id),
            warehouse_id: bytes(self.world.warehouse),
            order_ids: orders.iter().copied().map(bytes).collect(),
            ..StartWave::default()
        };
        let request = StartWaveRequest { command_id: bytes(self.app.id()), wave: Some(wave) };
        let mut client = LogisticsServiceClient::new(self.app.channel.clone());
        client.start_wave(by(&self.lars, request)).await.expect("is answered");
        id
    }

    /// A shipment leaves, and arrives in full.
    pub(crate) async fn brings(&self, shipment: Uuid) {
        self.ships(shipment, Vec::new()).await;
        let deliver = DeliverShipment { shipment_id: bytes(shipment), ..DeliverShipment::default() };
        self.does(Command::DeliverShipment(deliver)).await;
    }

    pub(crate) async fn ships(&self, shipment: Uuid, lines: Vec<ShippedLine>) {
        let ship = ShipShipment { shipment_id: bytes(shipment), lines, comment: String::new() };
        self.does(Command::ShipShipment(ship)).await;
    }

    pub(crate) async fn order(&self, id: Uuid) -> Order {
        self.app.stored::<Order>(self.world.tenant).await.remove(&id).expect("the order")
    }

    pub(crate) async fn shipment(&self, id: Uuid) -> Shipment {
        self.app.stored::<Shipment>(self.world.tenant).await.remove(&id).expect("the shipment")
    }

    pub(crate) async fn closes(mut self) {
        done(self.app, &self.world, &mut self.anna).await;
    }
}

fn state(order: &Order) -> (OrderStatus, Fulfilment) {
    (order.status(), order.fulfilment())
}

fn part(line_id: &[u8], quantity_milli: i64) -> PreparedLine {
    PreparedLine { order_id: Vec::new(), line_id: line_id.to_vec(), quantity_milli }
}

async fn an_order_is_shipped_in_parts_and_closed_with_the_last(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)]).await;
    let line = house.order(id).await.lines[0].line_id.clone();
    let lines = vec![part(&line, 2_000)];
    let first = house.prepares_with(PrepareShipment { order_id: bytes(id), lines, ..PrepareShipment::default() }).await;
    let begun = house.order(id).await;
    assert_eq!((begun.lines[0].assigned_milli, left_to_ship(&begun.lines[0])), (2_000, 3_000));
    house.brings(first).await;
    let halfway = house.order(id).await;
    assert_eq!(state(&halfway), (OrderStatus::Released, Fulfilment::PartlyDelivered));
    assert_eq!(halfway.lines.iter().map(|line| line.reserved_milli).collect::<Vec<_>>(), [3_000, 3_000]);
    let second = house.prepares(id).await;
    let asked: Vec<i64> = house.shipment(second).await.lines.iter().map(|line| line.ordered_milli).collect();
    assert_eq!(asked, [3_000, 3_000]);
    house.brings(second).await;
    let delivered = house.order(id).await;
    assert_eq!(state(&delivered), (OrderStatus::Closed, Fulfilment::Delivered));
    assert_eq!((delivered.broken_promises, delivered.value_minor), (0, 8 * PRICE_MINOR));
    assert_eq!((delivered.earlier_shipment_ids, delivered.shipment_id), (vec![bytes(first)], bytes(second)));
    house.closes().await;
}

async fn orders_of_one_customer_go_together(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let first = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let second = house.released(&[(1, 3, PRICE_MINOR)]).await;
    let more_order_ids = vec![bytes(second)];
    let together = PrepareShipment { order_id: bytes(first), more_order_ids, ..PrepareShipment::default() };
    let shipment = house.prepares_with(together).await;
    let of: Vec<Vec<u8>> = house.shipment(shipment).await.lines.into_iter().map(|line| line.order_id).collect();
    assert_eq!(of, [bytes(first), bytes(second)]);
    house.brings(shipment).await;
    for id in [first, second] {
        assert_eq!(state(&house.order(id).await), (OrderStatus::Closed, Fulfilment::Delivered));
    }
    house.closes().await;
}

async fn who_is_called_off_leaves_the_shipment_to_the_others(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let first = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let second = house.released(&[(1, 3, PRICE_MINOR)]).await;
    let more_order_ids = vec![bytes(second)];
    let together = PrepareShipment { order_id: bytes(first), more_order_ids, ..PrepareShipment::default() };
    let shipment = house.prepares_with(together).await;
    let cancel = CancelOrder { order_id: bytes(first), reason: "changed their mind".to_owned() };
    let asked = house.app.decide(&mut house.anna, Command::CancelOrder(cancel)).await;
    assert_eq!(status(&asked), (Status::Held, Reason::ChangeRequested), "{asked:?}");
    let change_request_id = house.order(first).await.change_request_id;
    let accept = AnswerChangeRequest { change_request_id, accept: true, comment: String::new() };
    house.does(Command::AnswerChangeRequest(accept)).await;
    let left = house.shipment(shipment).await;
    assert_eq!((left.state(), left.lines.len(), left.order_id), (ShipmentState::Prepared, 1, bytes(second)));
    house.brings(shipment).await;
    assert_eq!(house.order(first).await.status(), OrderStatus::Cancelled);
    assert_eq!(state(&house.order(second).await), (OrderStatus::Closed, Fulfilment::Delivered));
    house.closes().await;
}

async fn c11_of_a_back_order_goes_what_is_there_and_the_rest_follows(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::BackOrder).await;
    counted(&house.app, &house.world, 0, 3_000).await;
    let id = house.submitted(&[(0, 5, PRICE_MINOR)]).await;
    let release = |partly| Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), partly });
    let refused = house.asks(release(false)).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::StockAwaited));
    house.does(release(true)).await;
    let first = house.prepares(id).await;
    assert_eq!(house.shipment(first).await.lines[0].ordered_milli, 3_000, "what is set aside");
    let more =
        PrepareShipment { shipment_id: bytes(house.app.id()), order_id: bytes(id), ..PrepareShipment::default() };
    let nothing = house.asks(Command::PrepareShipment(more)).await;
    assert_eq!(status(&nothing), (Status::Rejected, Reason::StockAwaited));
    house.brings(first).await;
    assert_eq!(state(&house.order(id).await), (OrderStatus::Released, Fulfilment::PartlyDelivered));
    counted(&house.app, &house.world, 0, 9_000).await;
    let filled = house.order(id).await;
    let line = &filled.lines[0];
    assert_eq!((line.reserved_milli, line.difference()), (2_000, LineDifference::Unspecified), "it waited for them");
    let second = house.prepares(id).await;
    house.brings(second).await;
    let delivered = house.order(id).await;
    assert_eq!(state(&delivered), (OrderStatus::Closed, Fulfilment::Delivered));
    assert_eq!(delivered.broken_promises, 0);
    house.closes().await;
}

async fn c11_what_the_warehouse_does_not_find_follows_where_the_agreement_wants_it(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::BackOrder).await;
    counted(&house.app, &house.world, 0, 5_000).await;
    let id = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let shipment = house.prepares(id).await;
    let line_id = house.shipment(shipment).await.lines[0].line_id.clone();
    let short = ShippedLine { line_id, picked_milli: 4_000, short_reason: ShortReason::NotFound.into() };
    house.ships(shipment, vec![short]).await;
    let order = house.order(id).await;
    let line = &order.lines[0];
    assert_eq!((line.confirmed_milli, line.difference()), (5_000, LineDifference::BackOrdered));
    assert_eq!(order.fulfilment(), Fulfilment::PartlyShipped);
    // What was not found is not promised to others.
    let (_, other) = order_of(&house, &[(0, 1, PRICE_MINOR)]);
    let outcome = house.app.decide(&mut house.anna, Command::SubmitOrder(other)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::PartlyConfirmed), "{outcome:?}");
    counted(&house.app, &house.world, 0, 2_000).await;
    assert_eq!(house.order(id).await.lines[0].reserved_milli, 1_000, "who waited longer is served first");
    house.closes().await;
}

fn order_of(house: &Warehouse, lines: Lines<'_>) -> (Uuid, trade::SubmitOrder) {
    order(&house.app, &house.anna, &house.world, &house.world.anna, lines)
}

async fn c23_what_was_not_attempted_is_shipped_again_and_the_promise_is_broken(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let first = house.prepares(id).await;
    house.ships(first, Vec::new()).await;
    let not_attempted = true;
    let told = DeliverShipment { shipment_id: bytes(first), not_attempted, ..DeliverShipment::default() };
    house.does(Command::DeliverShipment(told)).await;
    let waiting = house.order(id).await;
    assert_eq!(state(&waiting), (OrderStatus::Released, Fulfilment::None));
    assert_eq!(waiting.value_minor, 5 * PRICE_MINOR, "the customer still gets it");
    let past = &waiting.past_promises[0];
    assert_eq!((past.outcome(), past.reason()), (PromiseOutcome::Broken, LineDifference::NotAttempted));
    assert_eq!(house.shipment(first).await.state(), ShipmentState::NotAttempted);
    let second = house.prepares(id).await;
    house.brings(second).await;
    let delivered = house.order(id).await;
    assert_eq!((state(&delivered).0, delivered.broken_promises), (OrderStatus::Closed, 1), "late, and not twice");
    house.closes().await;
}

async fn c23_what_comes_back_goes_to_who_was_promised_it_first(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::BackOrder).await;
    counted(&house.app, &house.world, 0, 5_000).await;
    let first = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let shipment = house.prepares(first).await;
    house.ships(shipment, Vec::new()).await;
    let second = house.submitted(&[(0, 5, PRICE_MINOR)]).await;
    assert_eq!(house.order(second).await.lines[0].reserved_milli, 0, "nothing is there");
    let told = DeliverShipment { shipment_id: bytes(shipment), not_attempted: true, ..DeliverShipment::default() };
    house.does(Command::DeliverShipment(told)).await;
    let line = house.order(first).await.lines[0].clone();
    assert_eq!((line.reserved_milli, line.difference()), (0, LineDifference::BackOrdered), "it is in the vehicle");
    let again =
        PrepareShipment { shipment_id: bytes(house.app.id()), order_id: bytes(first), ..PrepareShipment::default() };
    let again = house.asks(Command::PrepareShipment(again)).await;
    assert_eq!(status(&again), (Status::Rejected, Reason::StockAwaited));
    let line = house.shipment(shipment).await.lines[0].line_id.clone();
    let back = ReceivedReturnLine {
        shipment_line_id: line,
        sellable_milli: 5_000,
        reason: ReturnReason::Quality.into(),
        ..ReceivedReturnLine::default()
    };
    let back = ReceiveReturn {
        return_id: bytes(house.app.id()),
        shipment_id: bytes(shipment),
        origin: ReturnOrigin::NotTaken.into(),
        lines: vec![back],
        ..ReceiveReturn::default()
    };
    house.does(Command::ReceiveReturn(back)).await;
    assert_eq!(house.order(first).await.lines[0].reserved_milli, 5_000);
    assert_eq!(house.order(second).await.lines[0].reserved_milli, 0, "who came later waits on");
    let again = house.prepares(first).await;
    house.brings(again).await;
    assert_eq!(state(&house.order(first).await), (OrderStatus::Closed, Fulfilment::Delivered));
    house.closes().await;
}

async fn c11_who_refuses_a_part_still_waits_for_the_rest(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::BackOrder).await;
    counted(&house.app, &house.world, 0, 4_000).await;
    let id = house.submitted(&[(0, 10, PRICE_MINOR)]).await;
    house.does(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), partly: true })).await;
    let shipment = house.prepares(id).await;
    house.ships(shipment, Vec::new()).await;
    let refused = DeliveredLine {
        line_id: house.shipment(shipment).await.lines[0].line_id.clone(),
        delivered_milli: 3_000,
        refused_milli: 1_000,
        refusal_reason: RefusalReason::TooMuch.into(),
    };
    let told = DeliverShipment {
        shipment_id: bytes(shipment),
        lines: vec![refused],
        reclamation_id: bytes(house.app.id()),
        ..DeliverShipment::default()
    };
    house.does(Command::DeliverShipment(told)).await;
    let line = house.order(id).await.lines[0].clone();
    assert_eq!((line.confirmed_milli, line.reserved_milli), (9_000, 0));
    assert_eq!(line.difference(), LineDifference::BackOrdered, "six are still to come");
    counted(&house.app, &house.world, 0, 6_000).await;
    assert_eq!(house.order(id).await.lines[0].reserved_milli, 6_000);
    house.closes().await;
}

/// A shipment of an order from a warehouse of which nobody has said what it has.
async fn uncounted(house: &Warehouse, order: Uuid) -> (Uuid, Uuid) {
    let elsewhere = house.app.id();
    let warehouse = trade::Warehouse { name: "Yard".to_owned(), ..trade::Warehouse::default() };
    import(&house.app, vec![entry(elsewhere, Record::Warehouse(warehouse))]).await;
    let (shipment_id, order_id) = (bytes(house.app.id()), bytes(order));
    let warehouse_id = bytes(elsewhere);
    let command = PrepareShipment { shipment_id, order_id, warehouse_id, ..PrepareShipment::default() };
    (house.prepares_with(command).await, elsewhere)
}

async fn what_nobody_counts_is_not_taken_for_nothing(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::BackOrder).await;
    let (first, second) = (house.released(&[(0, 5, PRICE_MINOR)]).await, house.released(&[(0, 2, PRICE_MINOR)]).await);
    let (shipment, elsewhere) = uncounted(&house, first).await;
    let line_id = house.shipment(shipment).await.lines[0].line_id.clone();
    let short = ShippedLine { line_id, picked_milli: 4_000, short_reason: ShortReason::NotFound.into() };
    house.ships(shipment, vec![short]).await;
    let line = house.order(first).await.lines[0].clone();
    assert_eq!(
        (line.confirmed_milli, line.difference()),
        (4_000, LineDifference::PickedShort),
        "nobody would tell when it comes"
    );
    let (shipment_id, order_id, warehouse_id) = (bytes(house.app.id()), bytes(second), bytes(elsewhere));
    let command = PrepareShipment { shipment_id, order_id, warehouse_id, ..PrepareShipment::default() };
    let shipment = house.prepares_with(command).await;
    assert_eq!(house.shipment(shipment).await.lines[0].ordered_milli, 2_000, "what is there is still not known");
    house.closes().await;
}

async fn what_is_being_picked_counts_from_the_first_figure_on(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let order = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let (shipment, elsewhere) = uncounted(&house, order).await;
    let product = house.world.products[0];
    let stock =
        Stock { warehouse_id: bytes(elsewhere), product_id: bytes(product), on_hand_milli: 5_000, ..Stock::default() };
    import(&house.app, vec![entry(house.app.id(), Record::Stock(stock))]).await;
    let figures = exact(&house.app, &house.world, (elsewhere, product)).await;
    assert_eq!((figures.on_hand_milli, figures.picking_milli, figures.pickable_milli()), (5_000, 5_000, 0));
    house.ships(shipment, Vec::new()).await;
    let figures = exact(&house.app, &house.world, (elsewhere, product)).await;
    assert_eq!((figures.on_hand_milli, figures.picking_milli), (0, 0));
    house.closes().await;
}

async fn what_is_left_of_an_order_is_ended_with_a_reason(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::BackOrder).await;
    counted(&house.app, &house.world, 0, 3_000).await;
    let id = house.submitted(&[(0, 5, PRICE_MINOR)]).await;
    house.does(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), partly: true })).await;
    let shipment = house.prepares(id).await;
    house.ships(shipment, Vec::new()).await;
    let close = |reason: &str| Command::CloseOrder(CloseOrder { order_id: bytes(id), reason: reason.to_owned() });
    let unsaid = house.asks(close("")).await;
    assert_eq!((unsaid.status(), unsaid.reason()), (Status::Rejected, Reason::MissingField));
    house.does(close("the factory has burnt down")).await;
    let ended = house.order(id).await;
    assert_eq!((ended.status(), ended.value_minor, ended.broken_promises), (OrderStatus::Released, 3 * PRICE_MINOR, 1));
    assert_eq!(status(&house.asks(close("again")).await), (Status::Applied, Reason::NothingToDo));
    let deliver = DeliverShipment { shipment_id: bytes(shipment), ..DeliverShipment::default() };
    house.does(Command::DeliverShipment(deliver)).await;
    assert_eq!(house.order(id).await.status(), OrderStatus::Closed);
    house.closes().await;
}

async fn a_shipment_that_was_called_off_can_be_prepared_anew(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let first = house.prepares(id).await;
    let off = || {
        let reason = "the van broke down".to_owned();
        Command::CancelShipment(CancelShipment { shipment_id: bytes(first), reason })
    };
    house.does(off()).await;
    assert_eq!(status(&house.asks(off()).await), (Status::Rejected, Reason::WrongState));
    assert_eq!(house.shipment(first).await.state(), ShipmentState::Cancelled);
    assert_eq!(state(&house.order(id).await), (OrderStatus::Released, Fulfilment::None));
    let second = house.prepares(id).await;
    house.brings(second).await;
    assert_eq!(state(&house.order(id).await), (OrderStatus::Closed, Fulfilment::Delivered));
    house.closes().await;
}

async fn a_wave_serves_orders_in_turn_with_what_there_is(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let mut orders = Vec::new();
    for packs in [3, 3, 2] {
        orders.push(house.released(&[(0, packs, PRICE_MINOR), (1, 1, PRICE_MINOR)]).await);
    }
    let held = house.submitted(&[(2, 1, PRICE_MINOR)]).await;
    // There is less than was promised: two pieces have gone the way of all things.
    counted(&house.app, &house.world, 0, 6_000).await;
    let wave_id = house.app.id();
    let order_ids = [orders[2], held, orders[0], orders[1]].map(bytes).to_vec();
    let start = StartWave {
        wave_id: bytes(wave_id),
        warehouse_id: bytes(house.world.warehouse),
        order_ids,
        ..StartWave::default()
    };
    let request = StartWaveRequest { command_id: bytes(house.app.id()), wave: Some(start) };
    let mut client = LogisticsServiceClient::new(house.app.channel.clone());
    let answer = client.start_wave(by(&house.lars, request)).await.expect("is answered").into_inner();
    let wave = answer.wave.expect("a wave");
    assert_eq!((wave.state(), wave.done_orders, wave.lines, wave.short_lines), (WaveState::Allocated, 4, 6, 1));
    assert_eq!(wave.passed_orders, [PassedOrder { order_id: bytes(held), reason: Reason::WrongState.into() }]);
    let mut goes = Vec::new();
    for id in &orders {
        let order = house.order(*id).await;
        goes.push((order.lines[0].assigned_milli, order.broken_promises));
    }
    assert_eq!(goes, [(3_000, 0), (1_000, 1), (2_000, 0)], "who is named first is served first");
    for shipment in house.app.stored::<Shipment>(house.world.tenant).await.into_values() {
        assert_eq!(shipment.wave_id, bytes(wave_id));
    }
    let asked = GetWaveRequest { wave_id: bytes(wave_id) };
    let again = client.get_wave(by(&house.lars, asked)).await.expect("is there").into_inner();
    assert_eq!(again.wave, Some(wave));
    house.closes().await;
}

async fn a_wave_that_nobody_goes_on_with_is_finished_by_the_clock(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let wave_id = house.app.id();
    let start = |order_ids| {
        let (wave_id, warehouse_id) = (bytes(wave_id), bytes(house.world.warehouse));
        Command::StartWave(StartWave { wave_id, warehouse_id, order_ids, ..StartWave::default() })
    };
    house.does(start(vec![bytes(id)])).await;
    assert_eq!(status(&house.asks(start(vec![bytes(id)])).await), (Status::Applied, Reason::NothingToDo));
    assert_eq!(status(&house.asks(start(vec![bytes(wave_id)])).await), (Status::Rejected, Reason::IdTaken));
    let twice = house.asks(start(vec![bytes(id), bytes(id)])).await;
    assert_eq!(status(&twice), (Status::Rejected, Reason::RepeatedId));
    assert_eq!(house.order(id).await.lines[0].assigned_milli, 0);
    Jobs::new(Arc::clone(&house.app.core)).run_due(house.world.tenant).await.expect("runs");
    assert_eq!(house.order(id).await.lines[0].assigned_milli, 5_000);
    let wave = house.app.stored::<Wave>(house.world.tenant).await.remove(&wave_id).expect("the wave");
    assert_eq!(wave.state(), WaveState::Allocated);
    house.closes().await;
}

pub(crate) fn picks(shipment: Uuid, lines: Vec<ShippedLine>, finished: bool) -> Command {
    Command::PickShipment(PickShipment { shipment_id: bytes(shipment), lines, finished, comment: String::new() })
}

async fn what_is_picked_short_is_told_at_once(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)]).await;
    let shipment = house.prepares(id).await;
    let line_id = house.shipment(shipment).await.lines[0].line_id.clone();
    let so_far = ShippedLine { line_id: line_id.clone(), picked_milli: 2_000, short_reason: 0 };
    house.does(picks(shipment, vec![so_far], false)).await;
    assert_eq!(house.shipment(shipment).await.state(), ShipmentState::Picking);
    assert_eq!(house.order(id).await.value_minor, 8 * PRICE_MINOR, "nobody says yet that there is no more");
    let unsaid = house.asks(picks(shipment, Vec::new(), true)).await;
    assert_eq!(status(&unsaid), (Status::Rejected, Reason::MissingField), "{unsaid:?}");
    let short = ShippedLine { line_id, picked_milli: 4_000, short_reason: ShortReason::Expired.into() };
    house.does(picks(shipment, vec![short], true)).await;
    house.app.sync(&mut house.anna).await;
    let told: Order = house.app.shown(&house.anna, id).expect("the order");
    assert_eq!((told.fulfilment(), told.value_minor), (Fulfilment::Picking, 7 * PRICE_MINOR));
    assert_eq!((told.broken_promises, told.lines[0].difference()), (1, LineDifference::PickedShort));
    assert_eq!((told.lines[0].assigned_milli, told.lines[0].reserved_milli), (4_000, 4_000));
    house.brings(shipment).await;
    let delivered = house.order(id).await;
    assert_eq!(state(&delivered), (OrderStatus::Closed, Fulfilment::PartlyDelivered));
    assert_eq!(delivered.lines.iter().map(|line| line.delivered_milli).collect::<Vec<_>>(), [4_000, 3_000]);
    house.closes().await;
}

async fn what_was_picked_is_counted_by_barcode_before_it_leaves(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)]).await;
    let shipment = house.prepares(id).await;
    let check = |scans: &[(&str, i64)]| {
        let scans = scans.iter().map(|(barcode, count)| Scan { barcode: (*barcode).to_owned(), count: *count });
        Command::CheckShipment(CheckShipment { shipment_id: bytes(shipment), scans: scans.collect() })
    };
    let all = [("4000000000000", 2), ("4100000000000", 3), ("4000000000001", 3)];
    assert_eq!(status(&house.asks(check(&all)).await), (Status::Rejected, Reason::WrongState), "nothing is picked");
    house.does(picks(shipment, Vec::new(), true)).await;
    let unknown = house.asks(check(&[("4000000000002", 1)])).await;
    assert_eq!(status(&unknown), (Status::Rejected, Reason::UnknownBarcode), "of another product: {unknown:?}");
    let less = house.asks(check(&all[..2])).await;
    assert_eq!(status(&less), (Status::Rejected, Reason::CountDiffers));
    let facts: Vec<(&str, &str)> = less.facts.iter().map(|fact| (fact.name.as_str(), fact.value.as_str())).collect();
    assert_eq!(facts, [("picked_milli", "3000"), ("counted_milli", "0")], "of the other product");
    assert_eq!(house.shipment(shipment).await.state(), ShipmentState::Checking, "nothing is half done");
    house.does(check(&all)).await;
    assert_eq!(house.shipment(shipment).await.state(), ShipmentState::Checked);
    assert_eq!(status(&house.asks(check(&all)).await), (Status::Rejected, Reason::WrongState));
    house.brings(shipment).await;
    assert_eq!(state(&house.order(id).await), (OrderStatus::Closed, Fulfilment::Delivered));
    house.closes().await;
}

async fn what_contradicts_is_refused_and_nothing_is_half_done(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let id = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let held = house.submitted(&[(1, 3, PRICE_MINOR)]).await;
    let before = house.order(id).await;
    let line = before.lines[0].line_id.clone();
    let new =
        || PrepareShipment { shipment_id: bytes(house.app.id()), order_id: bytes(id), ..PrepareShipment::default() };
    for (command, reason, field) in [
        (PrepareShipment { lines: vec![part(&line, 5_001)], ..new() }, Reason::OutOfRange, "quantity_milli"),
        (PrepareShipment { lines: vec![part(&line, 0)], ..new() }, Reason::OutOfRange, "quantity_milli"),
        (PrepareShipment { lines: vec![part(&[9; 16], 1)], ..new() }, Reason::Mismatch, "line_id"),
        (PrepareShipment { lines: vec![part(&line, 1), part(&line, 1)], ..new() }, Reason::RepeatedId, "line_id"),
        (PrepareShipment { more_order_ids: vec![bytes(id)], ..new() }, Reason::RepeatedId, "more_order_ids"),
        (PrepareShipment { more_order_ids: vec![bytes(held)], ..new() }, Reason::WrongState, ""),
    ] {
        let refused = house.asks(Command::PrepareShipment(command)).await;
        assert_eq!(status(&refused), (Status::Rejected, reason), "{refused:?}");
        assert!(refused.text.starts_with(field), "{refused:?}");
    }
    assert_eq!(house.order(id).await, before);
    assert_eq!(house.app.stored::<Shipment>(house.world.tenant).await.len(), 0);
    house.closes().await;
}

/// Each state that an order, its shipments and a wave come to is announced once, when it is reached.
async fn other_systems_hear_of_each_state(kind: Kind) {
    let mut house = Warehouse::make(kind, ShortageRule::ConfirmPart).await;
    let order = house.released(&[(0, 2, PRICE_MINOR)]).await;
    let shipment = house.prepares(order).await;
    let pick = |finished| {
        let shipment_id = bytes(shipment);
        Command::PickShipment(PickShipment { shipment_id, finished, ..PickShipment::default() })
    };
    for finished in [false, false, true] {
        house.does(pick(finished)).await;
    }
    house.brings(shipment).await;
    let ended = house.released(&[(0, 1, PRICE_MINOR)]).await;
    house.does(Command::CloseOrder(CloseOrder { order_id: bytes(ended), reason: "a flood".to_owned() })).await;
    let waved = house.released(&[(0, 1, PRICE_MINOR)]).await;
    let wave = house.starts_wave(&[waved]).await;
    let of_wave = Uuid::from_slice(&house.order(waved).await.shipment_id).expect("has one");
    let called_off = house.submitted(&[(0, 1, PRICE_MINOR)]).await;
    let cancel = CancelOrder { order_id: bytes(called_off), reason: "a flood".to_owned() };
    assert_eq!(house.app.office(Command::CancelOrder(cancel)).await.status(), Status::Applied);
    let told = [
        ("order.confirmed", order),
        ("order.released", order),
        ("order.closed", order),
        ("shipment.prepared", shipment),
        ("shipment.picking", shipment),
        ("shipment.picked", shipment),
        ("shipment.shipped", shipment),
        ("shipment.delivered", shipment),
        ("order.closed", ended),
        ("wave.started", wave),
        ("wave.allocated", wave),
        ("shipment.prepared", of_wave),
        ("order.cancelled", called_off),
    ];
    for (topic, record) in told {
        assert_eq!(announced(&house.app, topic, record).await, 1, "{topic}");
    }
    assert_eq!(announced(&house.app, "order.closed", waved).await, 0, "it goes on");
    house.closes().await;
}
