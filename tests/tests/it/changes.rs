//! What is wanted of an order that the warehouse has (C3, C4): it is asked, and says yes or no.

use roundsman_proto::auth::Role;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{ListChangeRequestsRequest, ListedChangeRequest};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::change_request::Wish;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::{
    AnswerChangeRequest, CancelOrder, ChangeOrder, ChangeRequest, ChangeRequestState, Fulfilment, Int64Change, Order,
    OrderLineChange, OrderLineEdit, OrderStatus, PrepareShipment, PromiseOutcome, Reason, ReleaseOrder, SetReceivable,
    ShipShipment, Shipment, ShipmentState,
};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::conflicts::{done, order, ready, status};
use crate::desk::happened;

on_both_databases!(
    c03_an_edit_after_the_release_is_asked_and_accepted,
    c03_an_edit_after_the_release_is_refused_with_a_reason,
    c03_an_order_that_the_books_contain_does_not_come_to_more,
    c04_a_picked_order_is_not_edited_and_what_to_offer_is_said,
    c04_a_picked_order_is_called_off_by_the_warehouse,
    c04_goods_that_leave_answer_what_was_wanted,
    who_does_not_answer_for_the_warehouse_is_refused,
);

/// An order that the warehouse has, and how to speak for the warehouse.
struct Released {
    app: TestApp,
    world: World,
    anna: TestDevice,
    order: Uuid,
    lars: String,
}

impl Released {
    async fn start(kind: Kind) -> Self {
        let (app, world, mut anna) = ready(kind).await;
        let lines = [(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)];
        let (id, submit) = order(&app, &anna, &world, &world.anna, &lines);
        app.decide(&mut anna, Command::SubmitOrder(submit)).await;
        app.user("lars", Role::Logistics, None, None).await;
        let lars = app.token("lars").await;
        let released = Self { app, world, anna, order: id, lars };
        released
            .warehouse(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), ..ReleaseOrder::default() }))
            .await;
        released
    }

    /// Logistics does something, which works.
    async fn warehouse(&self, command: Command) {
        let outcome = self.app.office_as(&self.lars, self.app.id(), command).await.expect("is answered");
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }

    async fn prepare(&self) -> Uuid {
        let shipment = self.app.id();
        let (shipment_id, order_id) = (bytes(shipment), bytes(self.order));
        let warehouse_id = bytes(self.world.warehouse);
        self.warehouse(Command::PrepareShipment(PrepareShipment {
            shipment_id,
            order_id,
            warehouse_id,
            ..PrepareShipment::default()
        }))
        .await;
        shipment
    }

    async fn ship(&self, shipment: Uuid) {
        let ship = ShipShipment { shipment_id: bytes(shipment), ..ShipShipment::default() };
        self.warehouse(Command::ShipShipment(ship)).await;
    }

    /// The rep wants another quantity of the first line.
    async fn edit(&mut self, pieces: i64) -> Outcome {
        self.app.pass(1);
        self.app.sync(&mut self.anna).await;
        let change = OrderLineChange {
            line_id: self.order().lines[0].line_id.clone(),
            quantity_milli: Some(Int64Change { base: 5_000, value: pieces * 1_000 }),
            ..OrderLineChange::default()
        };
        let lines = vec![OrderLineEdit { edit: Some(Edit::Change(change)) }];
        let edit = ChangeOrder { order_id: bytes(self.order), lines, ..ChangeOrder::default() };
        self.app.decide(&mut self.anna, Command::ChangeOrder(edit)).await
    }

    /// The rep does not want it any more.
    async fn cancel(&mut self) -> Outcome {
        self.app.pass(1);
        self.app.sync(&mut self.anna).await;
        let cancel = CancelOrder { order_id: bytes(self.order), reason: "the shop is closed".to_owned() };
        self.app.decide(&mut self.anna, Command::CancelOrder(cancel)).await
    }

    async fn answer(&self, request: Uuid, accept: bool) -> Outcome {
        let comment = if accept { String::new() } else { "it is packed".to_owned() };
        let answer = AnswerChangeRequest { change_request_id: bytes(request), accept, comment };
        let command = Command::AnswerChangeRequest(answer);
        self.app.office_as(&self.lars, self.app.id(), command).await.expect("is answered")
    }

    /// What the rep sees.
    fn order(&self) -> Order {
        self.app.shown(&self.anna, self.order).expect("the order")
    }

    fn request(&self, id: Uuid) -> ChangeRequest {
        self.app.shown(&self.anna, id).expect("the request")
    }

    /// What logistics has to answer.
    async fn listed(&self) -> Vec<ListedChangeRequest> {
        let mut client = LogisticsServiceClient::new(self.app.channel.clone());
        let request =
            roundsman::device::authorized(&self.lars, ListChangeRequestsRequest::default()).expect("a request");
        client.list_change_requests(request).await.expect("is answered").into_inner().change_requests
    }

    /// `roundsman explain order` says who wanted what, and what was answered.
    async fn tells(&self, expected: &[&str]) {
        let told = happened(&self.app, self.order).await;
        let wishes: Vec<&str> = told
            .iter()
            .map(String::as_str)
            .filter(|told| told.contains("the warehouse") || told.contains("the wish"))
            .collect();
        assert_eq!(wishes, expected, "{told:#?}");
    }

    async fn done(mut self) {
        done(self.app, &self.world, &mut self.anna).await;
    }
}

/// The request that an outcome tells of.
fn requested(outcome: &Outcome) -> Uuid {
    assert_eq!(status(outcome), (Status::Held, Reason::ChangeRequested), "{outcome:?}");
    let fact = outcome.facts.iter().find(|fact| fact.name == "change_request_id").expect("the request");
    fact.value.parse().expect("an id")
}

fn offers(outcome: &Outcome) -> Vec<&str> {
    outcome.facts.iter().filter(|fact| fact.name == "offer").map(|fact| fact.value.as_str()).collect()
}

async fn c03_an_edit_after_the_release_is_asked_and_accepted(kind: Kind) {
    let mut world = Released::start(kind).await;
    let request = requested(&world.edit(2).await);
    let order = world.order();
    assert_eq!(
        (order.lines[0].ordered_milli, &order.change_request_id),
        (5_000, &bytes(request)),
        "nothing is changed"
    );
    let listed = world.listed().await;
    let [ListedChangeRequest { change_request: Some(open), .. }] = listed.as_slice() else { panic!("{listed:?}") };
    assert!(matches!(&open.wish, Some(Wish::Change(_))), "{open:?}");
    let again = world.edit(1).await;
    assert_eq!(status(&again), (Status::Rejected, Reason::ChangePending), "one after the other");

    assert_eq!(world.answer(request, true).await.status(), Status::Applied);
    world.app.sync(&mut world.anna).await;
    let order = world.order();
    assert_eq!(
        (order.status(), order.lines[0].confirmed_milli),
        (OrderStatus::Released, 2_000),
        "it is not taken back"
    );
    assert!(order.change_request_id.is_empty(), "the next wish may come");
    assert_eq!(order.past_promises.iter().map(|past| past.outcome()).collect::<Vec<_>>(), [PromiseOutcome::Changed]);
    let answered = world.request(request);
    assert_eq!(answered.state(), ChangeRequestState::Accepted);
    assert!(!answered.answered_by_id.is_empty() && answered.answered_at_us > answered.asked_at_us, "{answered:?}");
    assert_eq!(world.listed().await, []);
    let late = world.answer(request, false).await;
    assert_eq!(status(&late), (Status::Rejected, Reason::WrongState), "it is answered once");
    world.tells(&["anna: asks the warehouse for a change: 2 and not 5 of Article 0", "lars: accepts the wish"]).await;
    world.done().await;
}

async fn c03_an_order_that_the_books_contain_does_not_come_to_more(kind: Kind) {
    let mut world = Released::start(kind).await;
    let more = requested(&world.edit(500).await);
    let booked = SetReceivable {
        receivable_id: bytes(world.world.receivables[0]),
        receivable: Some(world.world.receivable(0, 1_000)),
        booked_order_ids: vec![bytes(world.order)],
        ..SetReceivable::default()
    };
    assert_eq!(world.app.office(Command::SetReceivable(booked)).await.status(), Status::Applied);
    let refused = world.answer(more, true).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::OrderReleased), "no limit would hold it: {refused:?}");
    assert_eq!(offers(&refused), ["add_on_order"]);
    assert_eq!(world.answer(more, false).await.status(), Status::Applied);
    let less = requested(&world.edit(2).await);
    assert_eq!(world.answer(less, true).await.status(), Status::Applied);
    world.app.sync(&mut world.anna).await;
    assert_eq!((world.order().lines[0].ordered_milli, world.order().booked), (2_000, true));
    world.done().await;
}

async fn c03_an_edit_after_the_release_is_refused_with_a_reason(kind: Kind) {
    let mut world = Released::start(kind).await;
    let request = requested(&world.edit(2).await);
    let silent = AnswerChangeRequest { change_request_id: bytes(request), ..AnswerChangeRequest::default() };
    let silent = world.app.office_as(&world.lars, world.app.id(), Command::AnswerChangeRequest(silent)).await;
    assert_eq!(status(&silent.expect("is answered")), (Status::Rejected, Reason::MissingField), "why, is to be said");
    assert_eq!(world.answer(request, false).await.status(), Status::Applied);
    world.app.sync(&mut world.anna).await;
    let (order, answered) = (world.order(), world.request(request));
    assert_eq!((order.lines[0].ordered_milli, order.past_promises.len()), (5_000, 0));
    assert_eq!((answered.state(), answered.comment.as_str()), (ChangeRequestState::Refused, "it is packed"));
    requested(&world.edit(4).await);
    world
        .tells(&[
            "anna: asks the warehouse for a change: 2 and not 5 of Article 0",
            "lars: refuses the wish: it is packed",
            "anna: asks the warehouse for a change: 4 and not 5 of Article 0",
        ])
        .await;
    world.done().await;
}

async fn c04_a_picked_order_is_not_edited_and_what_to_offer_is_said(kind: Kind) {
    let mut world = Released::start(kind).await;
    let shipment = world.prepare().await;
    let refused = world.edit(2).await;
    assert_eq!(status(&refused), (Status::Rejected, Reason::OrderReleased), "{refused:?}");
    assert_eq!(offers(&refused), ["cancel_request", "add_on_order"]);
    assert_eq!(world.order().shipment_id, bytes(shipment), "the rep sees by which shipment");
    world.ship(shipment).await;
    let gone = world.cancel().await;
    assert_eq!(status(&gone), (Status::Rejected, Reason::OrderReleased), "{gone:?}");
    assert_eq!(offers(&gone), ["add_on_order", "return"]);
    world.done().await;
}

async fn c04_a_picked_order_is_called_off_by_the_warehouse(kind: Kind) {
    let mut world = Released::start(kind).await;
    let shipment = world.prepare().await;
    let request = requested(&world.cancel().await);
    assert_eq!(world.order().status(), OrderStatus::Released, "until the warehouse says so");
    assert_eq!(world.answer(request, true).await.status(), Status::Applied);
    world.app.sync(&mut world.anna).await;
    let order = world.order();
    assert_eq!((order.status(), order.fulfilment()), (OrderStatus::Cancelled, Fulfilment::None));
    assert_eq!(order.status_reason, "the shop is closed");
    assert_eq!(order.past_promises.iter().filter(|past| past.outcome() == PromiseOutcome::Changed).count(), 2);
    let shipment: Shipment = world.app.shown(&world.anna, shipment).expect("the shipment");
    assert_eq!(shipment.state(), ShipmentState::Cancelled);
    // That its goods are free again, verify sees.
    world.done().await;
}

async fn c04_goods_that_leave_answer_what_was_wanted(kind: Kind) {
    let mut world = Released::start(kind).await;
    let edit = requested(&world.edit(2).await);
    let shipment = world.prepare().await;
    world.app.sync(&mut world.anna).await;
    let refused = world.request(edit);
    assert_eq!((refused.state(), refused.answered_by_id.len()), (ChangeRequestState::Refused, 0), "{refused:?}");
    assert!(refused.comment.starts_with("rule:") && world.order().change_request_id.is_empty());
    let cancellation = requested(&world.cancel().await);
    world.ship(shipment).await;
    world.app.sync(&mut world.anna).await;
    assert_eq!(world.request(cancellation).state(), ChangeRequestState::Refused, "it is on its way");
    assert_eq!((world.order().status(), world.order().fulfilment()), (OrderStatus::Released, Fulfilment::Shipped));
    let by_rules =
        [&refused, &world.request(cancellation)].map(|request| format!("rule: refuses the wish: {}", request.comment));
    let asked = ["change: 2 and not 5 of Article 0", "warehouse to call it off: the shop is closed"];
    let asked = [format!("anna: asks the warehouse for a {}", asked[0]), format!("anna: asks the {}", asked[1])];
    let told = [&asked[0], &by_rules[0], &asked[1], &by_rules[1]].map(String::as_str);
    world.tells(&told).await;
    world.done().await;
}

async fn who_does_not_answer_for_the_warehouse_is_refused(kind: Kind) {
    let mut world = Released::start(kind).await;
    let request = requested(&world.edit(2).await);
    let answer = AnswerChangeRequest { change_request_id: bytes(request), accept: true, comment: String::new() };
    let by_the_rep = world.app.decide(&mut world.anna, Command::AnswerChangeRequest(answer)).await;
    assert_eq!(status(&by_the_rep), (Status::Rejected, Reason::RoleNotAllowed));
    let unknown = world.answer(world.app.id(), true).await;
    assert_eq!(status(&unknown), (Status::Rejected, Reason::NotFound));
    assert_eq!(world.request(request).state(), ChangeRequestState::Open);
    world.done().await;
}
