//! The service of logistics: lists in pages, and the way of an order from release to delivery.

use std::collections::BTreeMap;

use roundsman_proto::auth::Role;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{
    DeliverShipmentRequest, ListOrdersRequest, ListOrdersResponse, ListShipmentsRequest, PrepareShipmentRequest,
    ReleaseOrderRequest, ShipShipmentRequest,
};
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    DeliverShipment, Fulfilment, Order, OrderLine, OrderStatus, PrepareShipment, ReleaseOrder, ShipShipment, Shipment,
    ShipmentState,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, World, bytes};
use tonic::Code;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::desk::{by, entry, import, stranger, submitted};

on_both_databases!(
    orders_come_once_each_whatever_the_page,
    orders_are_filtered_by_status_and_day,
    a_page_is_no_larger_than_a_client_takes,
    shipments_come_newest_first,
    an_order_goes_from_release_to_delivery,
    a_page_token_goes_with_its_filter_only,
    nobody_else_is_served,
);

pub(crate) fn client(app: &TestApp) -> LogisticsServiceClient<Channel> {
    LogisticsServiceClient::new(app.channel.clone())
}

/// A distributor with somebody in logistics, whose token comes back too.
async fn ready(kind: Kind) -> (TestApp, World, TestDevice, String) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    app.user("lars", Role::Logistics, None, None).await;
    let anna = app.device("anna").await;
    let lars = app.token("lars").await;
    (app, world, anna, lars)
}

fn finished(world: &World, delivery_day: i32, status: OrderStatus) -> Order {
    Order {
        outlet_id: bytes(world.anna.outlets[0]),
        customer_id: bytes(world.customers[0]),
        agreement_id: bytes(world.agreements[0]),
        rep_id: bytes(world.anna.rep),
        order_day: TODAY - 5,
        delivery_day,
        currency: CURRENCY.to_owned(),
        status: status.into(),
        lines: vec![OrderLine {
            line_id: bytes(Uuid::from_u128(1)),
            product_id: bytes(world.products[0]),
            coefficient_milli: 1_000,
            ordered_milli: 1_000,
            ..OrderLine::default()
        }],
        ..Order::default()
    }
}

/// Open orders for three days, "as soon as possible" among them, and two finished ones.
async fn some_orders(app: &TestApp, world: &World, anna: &mut TestDevice) -> BTreeMap<Uuid, Order> {
    for day in [TODAY + 3, 0, TODAY + 1, TODAY + 3, 0] {
        submitted(app, world, (anna, &world.anna), 1, day).await;
    }
    let records = [OrderStatus::Closed, OrderStatus::Cancelled]
        .map(|status| entry(app.id(), Record::Order(finished(world, TODAY - 1, status))));
    import(app, records.to_vec()).await;
    app.stored(world.tenant).await
}

async fn page(app: &TestApp, token: &str, request: ListOrdersRequest) -> ListOrdersResponse {
    client(app).list_orders(by(token, request)).await.expect("is answered").into_inner()
}

/// All pages of a list of orders, with the number of pages.
async fn listed(app: &TestApp, token: &str, request: ListOrdersRequest) -> (Vec<(Uuid, Order)>, usize) {
    let (mut orders, mut pages, mut page_token) = (Vec::new(), 0, String::new());
    loop {
        let answer = page(app, token, ListOrdersRequest { page_token, ..request.clone() }).await;
        if request.page_size > 0 {
            assert!(answer.orders.len() <= request.page_size.unsigned_abs() as usize);
        }
        orders.extend(
            answer
                .orders
                .into_iter()
                .map(|order| (Uuid::from_slice(&order.order_id).expect("an id"), order.order.expect("a document"))),
        );
        pages += 1;
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return (orders, pages);
        }
    }
}

async fn orders_come_once_each_whatever_the_page(kind: Kind) {
    let (app, world, mut anna, lars) = ready(kind).await;
    let stored = some_orders(&app, &world, &mut anna).await;
    let mut expected: Vec<(Uuid, Order)> = stored.into_iter().collect();
    expected.sort_by_key(|(id, order)| (order.delivery_day, *id));
    assert_eq!(expected.len(), 7);
    for (page_size, pages) in [(1, 7), (2, 4), (7, 1), (0, 1), (5_000, 1)] {
        let request = ListOrdersRequest { page_size, ..ListOrdersRequest::default() };
        assert_eq!(listed(&app, &lars, request).await, (expected.clone(), pages), "by {page_size}");
    }
    app.finish().await;
}

async fn orders_are_filtered_by_status_and_day(kind: Kind) {
    let (app, world, mut anna, lars) = ready(kind).await;
    let stored = some_orders(&app, &world, &mut anna).await;
    for status in [OrderStatus::Unspecified, OrderStatus::Confirmed, OrderStatus::Closed, OrderStatus::Refused] {
        for through in [0, TODAY - 2, TODAY + 1, TODAY + 30] {
            let request = ListOrdersRequest {
                page_size: 1,
                status: status.into(),
                through_delivery_day: through,
                ..ListOrdersRequest::default()
            };
            let (found, _) = listed(&app, &lars, request).await;
            let wanted = |order: &Order| {
                (status == OrderStatus::Unspecified || order.status() == status)
                    && (through == 0 || order.delivery_day <= through)
            };
            let expected: BTreeMap<Uuid, Order> =
                stored.iter().filter(|(_, order)| wanted(order)).map(|(id, order)| (*id, order.clone())).collect();
            assert_eq!(found.len(), expected.len(), "{status:?} through {through}");
            assert_eq!(found.into_iter().collect::<BTreeMap<_, _>>(), expected);
        }
    }
    app.finish().await;
}

async fn a_page_is_no_larger_than_a_client_takes(kind: Kind) {
    let (app, world, _, lars) = ready(kind).await;
    let large = |_| {
        let mut order = finished(&world, TODAY, OrderStatus::Closed);
        let line = OrderLine { packaging_code: "x".repeat(100), ..order.lines[0].clone() };
        order.lines = (1..=400).map(|n| OrderLine { line_id: bytes(Uuid::from_u128(n)), ..line.clone() }).collect();
        entry(app.id(), Record::Order(order))
    };
    for _ in 0..5 {
        // Each below what one message may bring in; together more than what one page takes.
        import(&app, (0..10).map(large).collect()).await;
    }
    let request = ListOrdersRequest { page_size: 1_000, ..ListOrdersRequest::default() };
    let (orders, pages) = listed(&app, &lars, request).await;
    assert_eq!(orders.len(), 50);
    assert!(pages > 1, "a client with the usual limits takes each page");
    app.finish().await;
}

async fn release(app: &TestApp, token: &str, order: Uuid) -> Outcome {
    let request = ReleaseOrderRequest {
        command_id: bytes(app.id()),
        release: Some(ReleaseOrder { order_id: bytes(order), ..ReleaseOrder::default() }),
    };
    let answer = client(app).release_order(by(token, request)).await.expect("is answered");
    answer.into_inner().outcome.expect("an outcome")
}

/// A shipment of a fresh order.
async fn prepared(app: &TestApp, world: &World, anna: &mut TestDevice, lars: &str) -> (Uuid, Uuid) {
    let order = submitted(app, world, (anna, &world.anna), 1, TODAY + 1).await;
    assert_eq!(release(app, lars, order).await.status(), Status::Applied);
    let shipment = app.id();
    let prepare = PrepareShipment {
        shipment_id: bytes(shipment),
        order_id: bytes(order),
        warehouse_id: bytes(world.warehouse),
        ..PrepareShipment::default()
    };
    let request = PrepareShipmentRequest { command_id: bytes(app.id()), shipment: Some(prepare) };
    let answer = client(app).prepare_shipment(by(lars, request)).await.expect("is answered").into_inner();
    assert_eq!(answer.outcome.expect("an outcome").status(), Status::Applied);
    (order, shipment)
}

async fn shipments_come_newest_first(kind: Kind) {
    let (app, world, mut anna, lars) = ready(kind).await;
    let mut made = Vec::new();
    for _ in 0..3 {
        made.push(prepared(&app, &world, &mut anna, &lars).await.1);
    }
    made.reverse();
    for page_size in [1, 2, 0] {
        let (mut found, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = ListShipmentsRequest { page_size, page_token, ..ListShipmentsRequest::default() };
            let answer = client(&app).list_shipments(by(&lars, request)).await.expect("is answered").into_inner();
            for listed in answer.shipments {
                assert_eq!(listed.shipment.expect("a document").state(), ShipmentState::Prepared);
                found.push(Uuid::from_slice(&listed.shipment_id).expect("an id"));
            }
            page_token = answer.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(found, made, "by {page_size}");
    }
    app.finish().await;
}

async fn an_order_goes_from_release_to_delivery(kind: Kind) {
    let (app, world, mut anna, lars) = ready(kind).await;
    let (order, shipment) = prepared(&app, &world, &mut anna, &lars).await;
    let ship = ShipShipment { shipment_id: bytes(shipment), ..ShipShipment::default() };
    let request = ShipShipmentRequest { command_id: bytes(app.id()), departure: Some(ship) };
    let first = client(&app).ship_shipment(by(&lars, request.clone())).await.expect("is answered").into_inner();
    assert_eq!(first.outcome.clone().expect("an outcome").status(), Status::Applied);
    let second = client(&app).ship_shipment(by(&lars, request)).await.expect("is answered").into_inner();
    assert_eq!(first, second, "a repeated call gets the first outcome");
    let deliver = DeliverShipment { shipment_id: bytes(shipment), ..DeliverShipment::default() };
    let request = DeliverShipmentRequest { command_id: bytes(app.id()), delivery: Some(deliver) };
    let answer = client(&app).deliver_shipment(by(&lars, request)).await.expect("is answered").into_inner();
    assert_eq!(answer.outcome.expect("an outcome").status(), Status::Applied);
    let orders: BTreeMap<Uuid, Order> = app.stored(world.tenant).await;
    assert_eq!((orders[&order].status(), orders[&order].fulfilment()), (OrderStatus::Closed, Fulfilment::Delivered));
    let shipments: BTreeMap<Uuid, Shipment> = app.stored(world.tenant).await;
    assert_eq!(shipments[&shipment].state(), ShipmentState::Delivered);
    let nothing = release(&app, &lars, app.id()).await;
    assert_eq!(nothing.status(), Status::Rejected, "an order that is not there");
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn a_page_token_goes_with_its_filter_only(kind: Kind) {
    let (app, world, mut anna, lars) = ready(kind).await;
    some_orders(&app, &world, &mut anna).await;
    let first = ListOrdersRequest { page_size: 1, ..ListOrdersRequest::default() };
    let page_token = page(&app, &lars, first.clone()).await.next_page_token;
    let wrong = [
        ListOrdersRequest { page_token: page_token.clone(), through_delivery_day: TODAY, ..first.clone() },
        ListOrdersRequest { page_token: page_token.clone(), status: OrderStatus::Closed.into(), ..first.clone() },
        ListOrdersRequest { page_token: page_token[2..].to_owned(), ..first.clone() },
        ListOrdersRequest { page_token: "nonsense".to_owned(), ..first.clone() },
        ListOrdersRequest { page_token: "0".repeat(1_000_000), ..first.clone() },
        ListOrdersRequest { page_size: -1, ..first.clone() },
        ListOrdersRequest { status: 99, ..first.clone() },
        ListOrdersRequest { through_delivery_day: -1, ..first.clone() },
    ];
    for request in wrong {
        let status = client(&app).list_orders(by(&lars, request)).await.expect_err("is refused");
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    }
    let request =
        ListShipmentsRequest { page_size: 1, page_token: page_token.clone(), ..ListShipmentsRequest::default() };
    let status = client(&app).list_shipments(by(&lars, request)).await.expect_err("is refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status}");
    let larger = ListOrdersRequest { page_size: 3, page_token, ..first };
    assert_eq!(page(&app, &lars, larger).await.orders.len(), 3, "the size may change");
    app.finish().await;
}

async fn nobody_else_is_served(kind: Kind) {
    let (app, world, mut anna, lars) = ready(kind).await;
    let (order, _) = prepared(&app, &world, &mut anna, &lars).await;
    let eve = stranger(&app, world.supervisor).await;
    assert_eq!(page(&app, &eve, ListOrdersRequest::default()).await, ListOrdersResponse::default());
    let shipments = client(&app).list_shipments(by(&eve, ListShipmentsRequest::default())).await;
    assert_eq!(shipments.expect("is answered").into_inner().shipments, []);
    assert_eq!(release(&app, &eve, order).await.status(), Status::Rejected, "it is not there for another tenant");
    for token in [app.device_token("anna").await, app.token("sonja").await] {
        let status = client(&app).list_orders(by(&token, ListOrdersRequest::default())).await.expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
        let request = ReleaseOrderRequest {
            command_id: bytes(app.id()),
            release: Some(ReleaseOrder { order_id: bytes(order), ..ReleaseOrder::default() }),
        };
        let status = client(&app).release_order(by(&token, request)).await.expect_err("refused");
        assert_eq!(status.code(), Code::PermissionDenied, "{status}");
    }
    let empty = [
        client(&app).release_order(by(&lars, ReleaseOrderRequest::default())).await.map(drop),
        client(&app).ship_shipment(by(&lars, ShipShipmentRequest::default())).await.map(drop),
        client(&app).deliver_shipment(by(&lars, DeliverShipmentRequest::default())).await.map(drop),
        client(&app).prepare_shipment(by(&lars, PrepareShipmentRequest::default())).await.map(drop),
    ];
    for answer in empty {
        assert_eq!(answer.expect_err("is refused").code(), Code::InvalidArgument);
    }
    app.finish().await;
}
