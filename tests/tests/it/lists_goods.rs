//! The lists of goods that move without an order: what comes back, what is brought from warehouse to warehouse, and what is counted.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use roundsman::calendar;
use roundsman_proto::auth::Role;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{ListGoodsReturnsRequest, ListStockCountsRequest, ListStockTransfersRequest};
use roundsman_proto::sync::Status::Applied;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{CancelReturn, CountStock, GoodsReturn, ReturnOrigin, ReturnState};
use roundsman_sync::trade::goods_return::reported_at_us;
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::bytes;
use tonic::transport::Channel;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::claims::Arrived;
use crate::desk::{by, stranger};
use crate::returns::{announce, applied, receive};
use crate::vans::Yard;

on_both_databases!(
    returns_are_found_by_what_they_go_with,
    a_return_that_is_counted_while_pages_are_read_is_not_missed,
    transfers_and_counts_are_found_by_warehouse_and_day,
    nobody_else_sees_what_moves,
);

/// Where the same moment lies on three days.
const ZONES: [&str; 3] = ["", "Pacific/Kiritimati", "Pacific/Pago_Pago"];

fn client(app: &TestApp) -> LogisticsServiceClient<Channel> {
    LogisticsServiceClient::new(app.channel.clone())
}

fn id(bytes: &[u8]) -> Uuid {
    Uuid::from_slice(bytes).expect("an id")
}

/// Whether a moment lies on these days of a zone.
fn lies_within(at_us: i64, (from_day, through_day): (i32, i32), time_zone: &str) -> bool {
    let zone = calendar::zone(if time_zone.is_empty() { "UTC" } else { time_zone }).expect("a zone");
    let day = calendar::day(zone, at_us);
    (from_day == 0 || day >= from_day) && (through_day == 0 || day <= through_day)
}

/// From and through days: any, today alone, from tomorrow on, through yesterday.
const DAYS: [(i32, i32); 4] = [(0, 0), (TODAY, TODAY), (TODAY + 1, 0), (0, TODAY - 1)];

async fn returns(app: &TestApp, token: &str, request: ListGoodsReturnsRequest) -> Vec<(Uuid, GoodsReturn)> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListGoodsReturnsRequest { page_token, ..request.clone() };
        let answer = client(app).list_goods_returns(by(token, request)).await.expect("is answered").into_inner();
        let listed = answer.goods_returns.into_iter();
        found.extend(listed.map(|of| (id(&of.return_id), of.goods_return.expect("a document"))));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            return found;
        }
    }
}

/// One that was counted at once, and of three that were announced one that came, and one that was called off.
async fn some_returns(house: &Arrived) -> Vec<Uuid> {
    let mut announced = Vec::new();
    applied(house, receive(house, house.app.id(), ReturnOrigin::GivenBack, 0, 1_000)).await;
    for _ in 0..3 {
        house.app.pass(1);
        let command = announce(house, 1_000);
        announced.push(id(&command.return_id));
        applied(house, Command::AnnounceReturn(command)).await;
    }
    house.app.pass(1);
    applied(house, receive(house, announced[0], ReturnOrigin::Unspecified, 1_000, 0)).await;
    let cancel = CancelReturn { return_id: bytes(announced[1]), reason: "sold after all".to_owned() };
    applied(house, Command::CancelReturn(cancel)).await;
    announced
}

fn wanted(request: &ListGoodsReturnsRequest, back: &GoodsReturn) -> bool {
    let same = |wanted: &Vec<u8>, is: &Vec<u8>| wanted.is_empty() || wanted == is;
    (request.state == 0 || request.state == back.state)
        && same(&request.warehouse_id, &back.warehouse_id)
        && same(&request.outlet_id, &back.outlet_id)
        && same(&request.customer_id, &back.customer_id)
        && same(&request.shipment_id, &back.shipment_id)
        && lies_within(reported_at_us(back), (request.from_day, request.through_day), &request.time_zone)
}

async fn returns_are_found_by_what_they_go_with(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    some_returns(&house).await;
    let (app, world) = (&house.app, &house.world);
    let stored: BTreeMap<Uuid, GoodsReturn> = app.stored(world.tenant).await;
    assert_eq!(stored.len(), 4);
    let (any, nowhere) = (ListGoodsReturnsRequest::default(), bytes(app.id()));
    let mut requests = Vec::new();
    for state in [ReturnState::Unspecified, ReturnState::Announced, ReturnState::Received, ReturnState::Cancelled] {
        for ((from_day, through_day), time_zone) in DAYS.into_iter().flat_map(|days| ZONES.map(|zone| (days, zone))) {
            let time_zone = time_zone.to_owned();
            requests.push(ListGoodsReturnsRequest {
                state: state.into(),
                from_day,
                through_day,
                time_zone,
                ..any.clone()
            });
        }
        let base = ListGoodsReturnsRequest { state: state.into(), ..any.clone() };
        for place in [bytes(world.warehouse), bytes(house.shipment), nowhere.clone()] {
            requests.extend([
                ListGoodsReturnsRequest { warehouse_id: place.clone(), ..base.clone() },
                ListGoodsReturnsRequest { shipment_id: place, ..base.clone() },
            ]);
        }
        for index in 0..2 {
            let (outlet_id, customer_id) = (bytes(world.anna.outlets[index]), bytes(world.customers[index]));
            requests.extend([
                ListGoodsReturnsRequest { outlet_id: outlet_id.clone(), ..base.clone() },
                ListGoodsReturnsRequest { customer_id: customer_id.clone(), ..base.clone() },
                ListGoodsReturnsRequest { outlet_id, customer_id, ..base.clone() },
            ]);
        }
    }
    let lars = app.token("lars").await;
    let mut numbers = BTreeSet::new();
    for request in requests {
        let mut expected: Vec<(Uuid, GoodsReturn)> = stored.clone().into_iter().collect();
        expected.retain(|(_, back)| wanted(&request, back));
        expected.sort_by_key(|(id, back)| (reported_at_us(back), *id));
        numbers.insert(expected.len());
        for page_size in [1, 0] {
            let request = ListGoodsReturnsRequest { page_size, ..request.clone() };
            assert_eq!(returns(app, &lars, request.clone()).await, expected, "{request:?}");
        }
    }
    assert!(numbers.len() > 3, "the filters tell returns apart: {numbers:?}");
    what_is_wrong_is_refused(&house, &lars).await;
    house.closes().await;
}

async fn what_is_wrong_is_refused(house: &Arrived, lars: &str) {
    let any = ListGoodsReturnsRequest::default();
    let first = ListGoodsReturnsRequest { page_size: 1, ..any.clone() };
    let first = client(&house.app).list_goods_returns(by(lars, first)).await.expect("is answered");
    let page_token = first.into_inner().next_page_token;
    let wrong = [
        ListGoodsReturnsRequest { page_token: page_token.clone(), from_day: TODAY, ..any.clone() },
        ListGoodsReturnsRequest { page_size: -1, ..any.clone() },
        ListGoodsReturnsRequest { state: 99, ..any.clone() },
        ListGoodsReturnsRequest { outlet_id: vec![7; 1 << 20], ..any.clone() },
        ListGoodsReturnsRequest { shipment_id: vec![0; 16], ..any.clone() },
        ListGoodsReturnsRequest { from_day: -1, ..any.clone() },
        ListGoodsReturnsRequest { through_day: i32::MAX, ..any.clone() },
        ListGoodsReturnsRequest { time_zone: "Mars/Olympus".to_owned(), ..any },
    ];
    for request in wrong {
        let refused = client(&house.app).list_goods_returns(by(lars, request)).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
    }
    // The page of one list is none of another.
    let other = ListStockCountsRequest { page_token, ..ListStockCountsRequest::default() };
    let refused = client(&house.app).list_stock_counts(by(lars, other)).await.expect_err("is refused");
    assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
}

async fn a_return_that_is_counted_while_pages_are_read_is_not_missed(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    let announced = some_returns(&house).await;
    let (app, lars) = (&house.app, house.app.token("lars").await);
    let first = ListGoodsReturnsRequest { page_size: 2, ..ListGoodsReturnsRequest::default() };
    let answer = client(app).list_goods_returns(by(&lars, first.clone())).await.expect("is answered").into_inner();
    let mut seen: BTreeSet<Uuid> = answer.goods_returns.iter().map(|of| id(&of.return_id)).collect();
    house.app.pass(1);
    // The last one that was announced comes while somebody reads, and so stands later than it did.
    applied(&house, receive(&house, announced[2], ReturnOrigin::Unspecified, 0, 1_000)).await;
    let next = ListGoodsReturnsRequest { page_token: answer.next_page_token, ..first };
    let rest = client(app).list_goods_returns(by(&lars, next)).await.expect("is answered").into_inner();
    let states: Vec<ReturnState> =
        rest.goods_returns.iter().map(|of| of.goods_return.as_ref().expect("a document").state()).collect();
    assert_eq!(states, [ReturnState::Received, ReturnState::Received]);
    seen.extend(rest.goods_returns.iter().map(|of| id(&of.return_id)));
    assert_eq!((seen.len(), rest.next_page_token.as_str()), (4, ""));
    house.closes().await;
}

async fn transfers_and_counts_are_found_by_warehouse_and_day(kind: Kind) {
    let yard = Yard::make(kind).await;
    let (here, nowhere) = (yard.world.warehouse, yard.app.id());
    let (mut moved, mut counted) = (Vec::new(), Vec::new());
    for round in 0..3 {
        yard.app.pass(1);
        let load = if round == 1 { yard.transfer(yard.van, here, 1_000) } else { yard.loads(5_000) };
        moved.insert(0, (id(&load.transfer_id), yard.app.now_us()));
        yard.moves(load).await;
        let count = yard.count(50_000);
        // Every other one is not of the van.
        let warehouse = if round == 1 { here } else { yard.van };
        counted.insert(0, (id(&count.count_id), yard.app.now_us(), warehouse));
        let outcome = yard.asks(Command::CountStock(CountStock { warehouse_id: bytes(warehouse), ..count })).await;
        assert_eq!(outcome.status(), Applied, "{outcome:?}");
    }
    let lars = yard.app.token("lars").await;
    for ((from_day, through_day), zone) in DAYS.into_iter().flat_map(|days| ZONES.map(|zone| (days, zone))) {
        for warehouse in [None, Some(here), Some(yard.van), Some(nowhere)] {
            let is_within = |at_us: i64| lies_within(at_us, (from_day, through_day), zone);
            let warehouse_id = warehouse.map(bytes).unwrap_or_default();
            for page_size in [1, 0] {
                let (time_zone, warehouse_id) = (zone.to_owned(), warehouse_id.clone());
                let request = ListStockTransfersRequest {
                    page_size,
                    warehouse_id,
                    from_day,
                    through_day,
                    time_zone,
                    page_token: String::new(),
                };
                let mut expected = moved.clone();
                // Each left one of the two, and came into the other.
                expected.retain(|(_, at_us)| is_within(*at_us) && warehouse != Some(nowhere));
                let expected: Vec<Uuid> = expected.into_iter().map(|(id, _)| id).collect();
                assert_eq!(transfers(&yard, &lars, &request).await, expected, "{request:?}");
                let ListStockTransfersRequest { warehouse_id, time_zone, .. } = request;
                let request = ListStockCountsRequest {
                    page_size,
                    warehouse_id,
                    from_day,
                    through_day,
                    time_zone,
                    page_token: String::new(),
                };
                let mut expected = counted.clone();
                expected.retain(|(_, at_us, at)| is_within(*at_us) && warehouse.is_none_or(|wanted| wanted == *at));
                let expected: Vec<Uuid> = expected.into_iter().map(|(id, ..)| id).collect();
                assert_eq!(counts(&yard, &lars, &request).await, expected, "{request:?}");
            }
        }
    }
    yard.closes().await;
}

/// The transfers that are listed, page by page; the newest come first.
async fn transfers(yard: &Yard, token: &str, request: &ListStockTransfersRequest) -> Vec<Uuid> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListStockTransfersRequest { page_token, ..request.clone() };
        let answer = client(&yard.app).list_stock_transfers(by(token, request)).await.expect("is answered");
        let answer = answer.into_inner();
        found.extend(answer.stock_transfers);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let moments = found.iter().map(|of| Reverse(of.stock_transfer.as_ref().expect("a document").moved_at_us));
    assert!(moments.is_sorted());
    found.iter().map(|of| id(&of.transfer_id)).collect()
}

/// The counts that are listed, page by page; the newest come first.
async fn counts(yard: &Yard, token: &str, request: &ListStockCountsRequest) -> Vec<Uuid> {
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListStockCountsRequest { page_token, ..request.clone() };
        let answer = client(&yard.app).list_stock_counts(by(token, request)).await.expect("is answered");
        let answer = answer.into_inner();
        found.extend(answer.stock_counts);
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    let moments = found.iter().map(|of| Reverse(of.stock_count.as_ref().expect("a document").counted_at_us));
    assert!(moments.is_sorted());
    found.iter().map(|of| id(&of.count_id)).collect()
}

async fn nobody_else_sees_what_moves(kind: Kind) {
    let house = Arrived::with(kind, 5_000).await;
    some_returns(&house).await;
    let (app, world) = (&house.app, &house.world);
    app.user("dora", Role::Driver, Some(world.boris.rep), None).await;
    let others = [app.device_token("anna").await, app.token("sonja").await, app.device_token("dora").await];
    for token in others {
        let code = |status: Status| status.code();
        let refused = [
            client(app).list_goods_returns(by(&token, ListGoodsReturnsRequest::default())).await.map(drop),
            client(app).list_stock_transfers(by(&token, ListStockTransfersRequest::default())).await.map(drop),
            client(app).list_stock_counts(by(&token, ListStockCountsRequest::default())).await.map(drop),
        ];
        assert_eq!(refused.map(|answer| answer.map_err(code)), [Err(Code::PermissionDenied); 3]);
    }
    // Another tenant's administrator finds nothing, whatever she names.
    let eve = stranger(app, world.supervisor).await;
    for shipment_id in [Vec::new(), bytes(house.shipment)] {
        let request = ListGoodsReturnsRequest { shipment_id, ..ListGoodsReturnsRequest::default() };
        assert_eq!(returns(app, &eve, request).await, []);
    }
    app.user("olga", Role::Office, None, None).await;
    for token in [app.token("olga").await, app.admin_token().await] {
        assert_eq!(returns(app, &token, ListGoodsReturnsRequest::default()).await.len(), 4);
    }
    house.closes().await;
}
