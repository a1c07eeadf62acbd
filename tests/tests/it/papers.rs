//! Papers as PDF: they say what the records say, to whoever may see them.

use roundsman::auth::Secret;
use roundsman::cli::client::Session;
use roundsman::cli::paper;
use roundsman::papers::delivery_note::{DeliveryNote, NoteLine, NotePrice};
use roundsman::papers::pick_list::{PickLine, PickList};
use roundsman::papers::return_note::{Condition, ReturnLine, ReturnNote, Why};
use roundsman::papers::route_sheet::{Money, RouteSheet, Stop};
use roundsman::papers::{Goods, Language, Party, short};
use roundsman_proto::auth::Role;
use roundsman_proto::logistics::{PaperKind, PaperLanguage, RenderPaperRequest, StartWaveRequest};
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, AnnounceReturn, AnnouncedReturnLine, CancelReturn, CancelShipment, CancelTrip, CollectPayment, Customer,
    DeliverShipment, DeliveredLine, PaymentMethod, PickShipment, PlanTrip, PrepareShipment, Product, ReceiveReturn,
    ReceivedReturnLine, RefusalReason, ReleaseOrder, Rep, ReturnOrigin, ReturnReason, ShipShipment, Shipment,
    ShippedLine, ShortReason, StartWave, SubmitOrder, Trip, Vehicle, Warehouse,
};
use roundsman_tests::app::{PASSWORD, TENANT, TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use tonic::Code;
use uuid::Uuid;

use crate::conflicts::{Lines, done, order, ready};
use crate::desk::{by, entry, import, stranger};
use crate::logistics::client;

on_both_databases!(
    papers_of_a_shipment_say_what_the_records_say,
    the_pick_list_of_a_wave_is_of_all_its_shipments,
    the_route_sheet_of_a_trip_says_where_it_goes,
    the_note_of_a_return_says_why_and_in_which_condition,
    the_note_of_what_was_not_taken_says_why_as_its_shipment_does,
    only_who_may_see_the_records_gets_papers_of_them,
);

const COMMENT: &str = "Со двора";

/// A warehouse whose first article has a group, a weight, and a tax of 20 % on top of its price.
struct House {
    app: TestApp,
    world: World,
    anna: TestDevice,
    lars: String,
}

impl House {
    async fn make(kind: Kind) -> Self {
        let (app, world, mut anna) = ready(kind).await;
        app.user("lars", Role::Logistics, None, None).await;
        let lars = app.token("lars").await;
        let article = Product {
            name: "Молоко".to_owned(),
            code: "A000".to_owned(),
            base_unit: "шт".to_owned(),
            group_path: vec!["Молочное".to_owned()],
            vat_bp: 2_000,
            weight_mg: 950_000,
            ..Product::default()
        };
        let warehouse =
            Warehouse { name: "Склад".to_owned(), address: "Гавань, 1".to_owned(), ..Warehouse::default() };
        let customer = Customer {
            name: "Берёзка".to_owned(),
            legal_name: "ООО «Берёзка»".to_owned(),
            tax_id: "7801234567".to_owned(),
            ..Customer::default()
        };
        let records = vec![
            entry(world.products[0], Record::Product(article)),
            entry(world.warehouse, Record::Warehouse(warehouse)),
            entry(world.customers[0], Record::Customer(customer)),
        ];
        import(&app, records).await;
        app.sync(&mut anna).await;
        Self { app, world, anna, lars }
    }

    async fn does(&self, command: Command) {
        let outcome = self.app.office_as(&self.lars, self.app.id(), command).await.expect("logistics is answered");
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }

    async fn released(&mut self, lines: Lines<'_>) -> Uuid {
        let (id, submit) = order(&self.app, &self.anna, &self.world, &self.world.anna, lines);
        let submit = SubmitOrder { comment: COMMENT.to_owned(), ..submit };
        let outcome = self.app.decide(&mut self.anna, Command::SubmitOrder(submit)).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
        self.does(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(id), partly: false })).await;
        id
    }

    async fn prepared(&self, order: Uuid) -> Uuid {
        let id = self.app.id();
        let (order_id, shipment_id) = (bytes(order), bytes(id));
        let prepare = PrepareShipment { order_id, shipment_id, ..PrepareShipment::default() };
        self.does(Command::PrepareShipment(prepare)).await;
        id
    }

    async fn wave(&self, orders: &[Uuid]) -> Uuid {
        let id = self.app.id();
        let wave = StartWave {
            wave_id: bytes(id),
            warehouse_id: bytes(self.world.warehouse),
            name: "Утро".to_owned(),
            order_ids: orders.iter().copied().map(bytes).collect(),
            ..StartWave::default()
        };
        let request = StartWaveRequest { command_id: bytes(self.app.id()), wave: Some(wave) };
        client(&self.app).start_wave(by(&self.lars, request)).await.expect("is answered");
        id
    }

    /// In Russian, of today.
    async fn paper(&self, kind: PaperKind, id: Uuid) -> Vec<u8> {
        let answer = client(&self.app).render_paper(by(&self.lars, asked(kind, id))).await.expect("is rendered");
        answer.into_inner().pdf
    }

    fn warehouse(&self) -> Party {
        Party { name: "Склад".to_owned(), address: "Гавань, 1".to_owned(), ..Party::default() }
    }

    fn recipient(&self) -> Party {
        Party { name: "Outlet 0 of anna".to_owned(), ..Party::default() }
    }

    fn customer(&self) -> Party {
        let (name, tax_id) = ("ООО «Берёзка»".to_owned(), "7801234567".to_owned());
        Party { name, tax_id, ..Party::default() }
    }

    /// The customer pays for an order when it is taken.
    async fn pays(&mut self, order: Uuid, amount_minor: i64) {
        let payment = CollectPayment {
            payment_id: bytes(self.app.id()),
            outlet_id: bytes(self.world.anna.outlets[0]),
            customer_id: bytes(self.world.customers[0]),
            order_id: bytes(order),
            amount_minor,
            currency: CURRENCY.to_owned(),
            method: PaymentMethod::Cash.into(),
            ..CollectPayment::default()
        };
        let outcome = self.app.decide(&mut self.anna, Command::CollectPayment(payment)).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }

    async fn closes(mut self) {
        done(self.app, &self.world, &mut self.anna).await;
    }
}

fn euros(minor: i64) -> Vec<Money> {
    vec![Money { currency: CURRENCY.to_owned(), minor }]
}

fn asked(kind: PaperKind, id: Uuid) -> RenderPaperRequest {
    RenderPaperRequest { kind: kind.into(), id: bytes(id), language: PaperLanguage::Russian.into(), day: TODAY }
}

fn milk() -> Goods {
    Goods { name: "Молоко".to_owned(), code: "A000".to_owned(), unit: "шт".to_owned(), weight_mg: 950_000 }
}

fn article() -> Goods {
    Goods { name: "Article 1".to_owned(), code: "A001".to_owned(), unit: "piece".to_owned(), weight_mg: 0 }
}

/// Pieces at the usual price, and the tax on top.
fn priced(goods: Goods, pieces: i64, vat_bp: i32) -> NoteLine {
    let net = pieces * PRICE_MINOR;
    let vat_minor = net * i64::from(vat_bp) / 10_000;
    let price = NotePrice {
        price_minor: PRICE_MINOR,
        per_milli: 1_000,
        off_minor: 0,
        vat_bp,
        vat_minor,
        amount_minor: net + vat_minor,
    };
    NoteLine { goods, quantity_milli: pieces * 1_000, price: Some(price) }
}

fn picks(house: &House, shipment: Uuid, (milk_milli, article_milli): (i64, i64)) -> Vec<PickLine> {
    let milk = PickLine {
        shipment,
        product: house.world.products[0],
        goods: milk(),
        group_path: vec!["Молочное".to_owned()],
        packages: Vec::new(),
        quantity_milli: milk_milli,
    };
    let article = PickLine {
        shipment,
        product: house.world.products[1],
        goods: article(),
        quantity_milli: article_milli,
        ..PickLine::default()
    };
    vec![article, milk]
}

async fn papers_of_a_shipment_say_what_the_records_say(kind: Kind) {
    let mut house = House::make(kind).await;
    let order = house.released(&[(0, 5, PRICE_MINOR), (1, 3, PRICE_MINOR)]).await;
    let shipment = house.prepared(order).await;
    let list = PickList {
        id: shipment,
        wave: String::new(),
        day: TODAY,
        warehouse: house.warehouse(),
        recipient: house.recipient(),
        comment: COMMENT.to_owned(),
        lines: picks(&house, shipment, (5_000, 3_000)),
    };
    assert!(house.paper(PaperKind::PickList, shipment).await == list.render(Language::Russian));
    let note = DeliveryNote {
        shipment,
        day: TODAY,
        delivery_day: TODAY + 2,
        warehouse: house.warehouse(),
        recipient: house.recipient(),
        customer: house.customer(),
        orders: vec![order],
        currency: CURRENCY.to_owned(),
        lines: vec![priced(milk(), 5, 2_000), priced(article(), 3, 0)],
        comment: COMMENT.to_owned(),
    };
    let paper = house.paper(PaperKind::DeliveryNote, shipment).await;
    assert!(paper == note.render(Language::Russian) && paper.starts_with(b"%PDF-1.7"));
    assert!(paper == house.paper(PaperKind::DeliveryNote, shipment).await, "the same bytes again");
    // The same from the command line, in English and without a day.
    let login = (TENANT, "lars");
    let mut session = Session::open(house.app.channel.clone(), login, &Secret::new(PASSWORD)).await.expect("logs in");
    let english = (paper::Language::En, None);
    let answer = paper::render(&mut session, PaperKind::DeliveryNote, shipment, english).await.expect("is rendered");
    session.close().await;
    assert_eq!(answer.file_name, format!("delivery-note-{}.pdf", short(shipment)));
    assert!(answer.pdf == DeliveryNote { day: 0, ..note.clone() }.render(Language::English));
    // One is not found: the note says what comes.
    let line = &house.app.stored::<Shipment>(house.world.tenant).await[&shipment].lines[0];
    let found =
        ShippedLine { line_id: line.line_id.clone(), picked_milli: 4_000, short_reason: ShortReason::NotFound.into() };
    let pick =
        PickShipment { shipment_id: bytes(shipment), lines: vec![found], finished: true, ..PickShipment::default() };
    house.does(Command::PickShipment(pick)).await;
    let note = DeliveryNote { lines: vec![priced(milk(), 4, 2_000), priced(article(), 3, 0)], ..note };
    assert!(house.paper(PaperKind::DeliveryNote, shipment).await == note.render(Language::Russian));
    house.closes().await;
}

async fn the_pick_list_of_a_wave_is_of_all_its_shipments(kind: Kind) {
    let mut house = House::make(kind).await;
    let mut orders = Vec::new();
    for pieces in [2, 3, 4] {
        orders.push(house.released(&[(0, pieces, PRICE_MINOR), (1, 1, PRICE_MINOR)]).await);
    }
    let wave = house.wave(&orders).await;
    let shipments = house.app.stored::<Shipment>(house.world.tenant).await;
    let shipment = |order: Uuid| {
        let found = shipments.iter().find(|(_, shipment)| shipment.order_id == bytes(order));
        *found.expect("each order has one").0
    };
    let [first, second, third] = [orders[0], orders[1], orders[2]].map(shipment);
    let both = [picks(&house, first, (2_000, 1_000)), picks(&house, second, (3_000, 1_000))].concat();
    let list = PickList {
        id: wave,
        wave: "Утро".to_owned(),
        day: TODAY,
        warehouse: house.warehouse(),
        lines: [both.clone(), picks(&house, third, (4_000, 1_000))].concat(),
        ..PickList::default()
    };
    assert!(house.paper(PaperKind::PickList, wave).await == list.render(Language::Russian));
    let cancel = CancelShipment { shipment_id: bytes(third), reason: "closed".to_owned() };
    house.does(Command::CancelShipment(cancel)).await;
    let list = PickList { lines: both, ..list };
    assert!(house.paper(PaperKind::PickList, wave).await == list.render(Language::Russian));
    let refused = client(&house.app).render_paper(by(&house.lars, asked(PaperKind::PickList, third))).await;
    assert_eq!(refused.expect_err("was called off").code(), Code::FailedPrecondition);
    house.closes().await;
}

async fn the_route_sheet_of_a_trip_says_where_it_goes(kind: Kind) {
    let mut house = House::make(kind).await;
    let (light, unknown) = (house.released(&[(0, 5, PRICE_MINOR)]).await, house.released(&[(1, 3, PRICE_MINOR)]).await);
    let shipments = [house.prepared(light).await, house.prepared(unknown).await];
    let (trip, vehicle, driver) = (house.app.id(), house.app.id(), house.app.id());
    let dora = Rep { name: "Дора".to_owned(), team_id: bytes(house.world.team), ..Rep::default() };
    let van = Vehicle { name: "Газель".to_owned(), plate: "A 123 BC".to_owned(), ..Vehicle::default() };
    import(&house.app, vec![entry(vehicle, Record::Vehicle(van)), entry(driver, Record::Rep(dora))]).await;
    house.app.user("dora", Role::Driver, Some(driver), None).await;
    let plan = PlanTrip {
        trip_id: bytes(trip),
        vehicle_id: bytes(vehicle),
        driver_id: bytes(driver),
        warehouse_id: bytes(house.world.warehouse),
        day: TODAY + 1,
        shipment_ids: vec![bytes(shipments[0])],
        comment: "Ключи у охраны".to_owned(),
        ..PlanTrip::default()
    };
    house.does(Command::PlanTrip(plan.clone())).await;
    let vehicle_name = house.app.stored::<Trip>(house.world.tenant).await[&trip].vehicle_name.clone();
    assert!(vehicle_name.contains("Газель"), "{vehicle_name}");
    let stop = Stop {
        outlet: "Outlet 0 of anna".to_owned(),
        shipments: vec![shipments[0]],
        weight_g: 4_750,
        to_collect: euros(6 * PRICE_MINOR),
        ..Stop::default()
    };
    let sheet = RouteSheet {
        trip,
        day: TODAY,
        vehicle: vehicle_name,
        driver: "Дора".to_owned(),
        warehouse: house.warehouse(),
        stops: vec![stop.clone()],
        comment: "Ключи у охраны".to_owned(),
    };
    assert!(house.paper(PaperKind::RouteSheet, trip).await == sheet.render(Language::Russian));
    // What nobody has weighed has no weight, and the day is the trip's if no other was asked for.
    let shipment_ids = shipments.map(bytes).to_vec();
    house.does(Command::PlanTrip(PlanTrip { shipment_ids, ..plan })).await;
    // Of the first order 2 were paid when it was taken; of the other nothing was.
    house.pays(light, 2 * PRICE_MINOR).await;
    let to_collect = euros((4 + 3) * PRICE_MINOR);
    let stops = vec![Stop { shipments: shipments.to_vec(), weight_g: 0, to_collect, ..stop }];
    let sheet = RouteSheet { day: TODAY + 1, stops, ..sheet };
    let login = (TENANT, "lars");
    let mut session = Session::open(house.app.channel.clone(), login, &Secret::new(PASSWORD)).await.expect("logs in");
    let english = (paper::Language::En, None);
    let answer = paper::render(&mut session, PaperKind::RouteSheet, trip, english).await.expect("is rendered");
    session.close().await;
    assert_eq!(answer.file_name, format!("route-sheet-{}.pdf", short(trip)));
    assert!(answer.pdf == sheet.render(Language::English));
    // What is not to be paid on delivery the driver does not collect.
    let terms = Agreement { payment_due_days: 14, ..house.world.agreement(0) };
    import(&house.app, vec![entry(house.world.agreements[0], Record::Agreement(terms))]).await;
    let stops = sheet.stops.iter().map(|stop| Stop { to_collect: Vec::new(), ..stop.clone() });
    let sheet = RouteSheet { day: TODAY, stops: stops.collect(), ..sheet };
    assert!(house.paper(PaperKind::RouteSheet, trip).await == sheet.render(Language::Russian));
    house.does(Command::CancelTrip(CancelTrip { trip_id: bytes(trip), reason: "a flood".to_owned() })).await;
    let refused = client(&house.app).render_paper(by(&house.lars, asked(PaperKind::RouteSheet, trip))).await;
    assert_eq!(refused.expect_err("was called off").code(), Code::FailedPrecondition);
    house.closes().await;
}

/// Five pieces that left, of which the customer took four; and the line of their shipment.
async fn arrived(house: &mut House) -> (Uuid, Vec<u8>) {
    let order = house.released(&[(0, 5, PRICE_MINOR)]).await;
    let shipment = house.prepared(order).await;
    house.does(Command::ShipShipment(ShipShipment { shipment_id: bytes(shipment), ..ShipShipment::default() })).await;
    let line_id = house.app.stored::<Shipment>(house.world.tenant).await[&shipment].lines[0].line_id.clone();
    let refused = DeliveredLine {
        line_id: line_id.clone(),
        delivered_milli: 4_000,
        refused_milli: 1_000,
        refusal_reason: RefusalReason::Late.into(),
    };
    let arrived = DeliverShipment {
        shipment_id: bytes(shipment),
        reclamation_id: bytes(house.app.id()),
        lines: vec![refused],
        ..DeliverShipment::default()
    };
    house.does(Command::DeliverShipment(arrived)).await;
    (shipment, line_id)
}

fn announce(id: Uuid, (shipment, line): &(Uuid, Vec<u8>), quantity_milli: i64) -> Command {
    let reason = ReturnReason::Unsold.into();
    let line = AnnouncedReturnLine { shipment_line_id: line.clone(), quantity_milli, reason };
    Command::AnnounceReturn(AnnounceReturn {
        return_id: bytes(id),
        shipment_id: bytes(*shipment),
        lines: vec![line],
        comment: "До обеда".to_owned(),
        ..AnnounceReturn::default()
    })
}

fn receive(id: Uuid, shipment: Uuid, origin: ReturnOrigin, line: ReceivedReturnLine) -> Command {
    Command::ReceiveReturn(ReceiveReturn {
        return_id: bytes(id),
        shipment_id: bytes(shipment),
        origin: origin.into(),
        lines: vec![line],
        ..ReceiveReturn::default()
    })
}

async fn the_note_of_a_return_says_why_and_in_which_condition(kind: Kind) {
    let mut house = House::make(kind).await;
    let goods = arrived(&mut house).await;
    let back = house.app.id();
    house.does(announce(back, &goods, 3_000)).await;
    let why = Why::GivenBack(ReturnReason::Unsold);
    let of = |quantity_milli, condition| ReturnLine { goods: milk(), quantity_milli, why, condition };
    let note = ReturnNote {
        id: back,
        day: TODAY,
        sender: house.recipient(),
        customer: house.customer(),
        warehouse: house.warehouse(),
        shipment: Some(goods.0),
        lines: vec![of(3_000, None)],
        comment: "До обеда".to_owned(),
        ..ReturnNote::default()
    };
    assert!(house.paper(PaperKind::ReturnNote, back).await == note.render(Language::Russian));
    let counted = ReceivedReturnLine {
        shipment_line_id: goods.1.clone(),
        sellable_milli: 1_000,
        damaged_milli: 2_000,
        reason: ReturnReason::Unsold.into(),
        ..ReceivedReturnLine::default()
    };
    house.does(receive(back, goods.0, ReturnOrigin::Unspecified, counted)).await;
    let lines = vec![of(1_000, Some(Condition::Fit)), of(2_000, Some(Condition::Damaged))];
    let note = ReturnNote { lines, ..note };
    assert!(house.paper(PaperKind::ReturnNote, back).await == note.render(Language::Russian));
    let off = house.app.id();
    house.does(announce(off, &goods, 1_000)).await;
    let cancel = CancelReturn { return_id: bytes(off), reason: "sold after all".to_owned() };
    house.does(Command::CancelReturn(cancel)).await;
    let refused = client(&house.app).render_paper(by(&house.lars, asked(PaperKind::ReturnNote, off))).await;
    assert_eq!(refused.expect_err("was called off").code(), Code::FailedPrecondition);
    house.closes().await;
}

/// From the command line, in English and without a day.
async fn the_note_of_what_was_not_taken_says_why_as_its_shipment_does(kind: Kind) {
    let mut house = House::make(kind).await;
    let (shipment, line) = arrived(&mut house).await;
    let found = house.app.id();
    let counted = ReceivedReturnLine { shipment_line_id: line, sellable_milli: 1_000, ..ReceivedReturnLine::default() };
    house.does(receive(found, shipment, ReturnOrigin::NotTaken, counted)).await;
    let line = ReturnLine {
        goods: milk(),
        quantity_milli: 1_000,
        why: Why::NotTaken(RefusalReason::Late),
        condition: Some(Condition::Fit),
    };
    let note = ReturnNote {
        id: found,
        sender: house.recipient(),
        customer: house.customer(),
        warehouse: house.warehouse(),
        shipment: Some(shipment),
        lines: vec![line],
        ..ReturnNote::default()
    };
    let login = (TENANT, "lars");
    let mut session = Session::open(house.app.channel.clone(), login, &Secret::new(PASSWORD)).await.expect("logs in");
    let english = (paper::Language::En, None);
    let answer = paper::render(&mut session, PaperKind::ReturnNote, found, english).await.expect("is rendered");
    session.close().await;
    assert_eq!(answer.file_name, format!("return-note-{}.pdf", short(found)));
    assert!(answer.pdf == note.render(Language::English));
    let eve = stranger(&house.app, house.world.supervisor).await;
    let refused = client(&house.app).render_paper(by(&eve, asked(PaperKind::ReturnNote, found))).await;
    assert_eq!(refused.expect_err("is not hers").code(), Code::NotFound);
    house.closes().await;
}

async fn only_who_may_see_the_records_gets_papers_of_them(kind: Kind) {
    let mut house = House::make(kind).await;
    let order = house.released(&[(0, 1, PRICE_MINOR)]).await;
    let shipment = house.prepared(order).await;
    let request = asked(PaperKind::DeliveryNote, shipment);
    let (eve, admin) = (stranger(&house.app, house.world.supervisor).await, house.app.token("admin").await);
    let anna = house.app.device_token("anna").await;
    let sonja = house.app.token("sonja").await;
    let refusals = [(&eve, Code::NotFound), (&anna, Code::PermissionDenied), (&sonja, Code::PermissionDenied)];
    for (token, code) in refusals {
        let refused = client(&house.app).render_paper(by(token, request.clone())).await.expect_err("is refused");
        assert_eq!(refused.code(), code, "{refused}");
    }
    assert!(client(&house.app).render_paper(by(&admin, request.clone())).await.is_ok());
    let nowhere = house.app.id();
    let wrong = [
        (RenderPaperRequest { id: bytes(nowhere), ..request.clone() }, Code::NotFound),
        (asked(PaperKind::PickList, nowhere), Code::NotFound),
        (asked(PaperKind::PickList, order), Code::NotFound),
        (asked(PaperKind::RouteSheet, shipment), Code::NotFound),
        (asked(PaperKind::ReturnNote, shipment), Code::NotFound),
        (RenderPaperRequest { id: vec![1], ..request.clone() }, Code::InvalidArgument),
        (RenderPaperRequest { kind: 0, ..request.clone() }, Code::InvalidArgument),
        (RenderPaperRequest { kind: 99, ..request.clone() }, Code::InvalidArgument),
        (RenderPaperRequest { language: 99, ..request.clone() }, Code::InvalidArgument),
        (RenderPaperRequest { day: -1, ..request }, Code::InvalidArgument),
    ];
    for (request, code) in wrong {
        let refused = client(&house.app).render_paper(by(&house.lars, request)).await.expect_err("is refused");
        assert_eq!(refused.code(), code, "{refused}");
    }
    house.closes().await;
}
