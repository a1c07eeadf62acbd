//! The server's process is ended by SIGKILL amidst a wave, a trip of 60 shipments that departs, one that is closed, and a return that
//! is counted, at one moment after another until the answer has come before the kill. Whoever asks repeats the call, as an app
//! does that has heard nothing. In the end everything has happened once.

use std::time::Duration;

use prost::Message as _;
use roundsman::clock::Random;
use roundsman::device;
use roundsman::internal::Internal as _;
use roundsman::store::sql::Db;
use roundsman::verify;
use roundsman_proto::admin::ExecuteRequest;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::logistics::StartWaveRequest;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    self, DeliverShipment, DepartTrip, PlanTrip, ReceiveReturn, ReceivedReturnLine, ReturnOrigin, ReturnReason,
    Shipment, StartWave, Trip, TripState, Vehicle,
};
use roundsman_sync::kind;
use roundsman_sync::trade::stock::Available;
use roundsman_tests::app::{PASSWORD, START_US, TENANT};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{ON_HAND_MILLI, PRICE_MINOR, World, bytes};
use tonic::transport::Channel;
use uuid::Uuid;

use crate::desk::{by, entry, import};
use crate::processes::{PAUSE, Server};
use crate::trips::{Fleet, close, deliver, load};

on_both_databases!(what_a_kill_interrupts_happens_once);

/// As many as go with a trip.
const SHIPMENTS: usize = 60;
/// Between two moments of a kill.
const STEP: Duration = Duration::from_millis(4);
/// A command that takes longer than so many steps does not end.
const STEPS: u32 = 1_000;

/// Somebody of logistics, whose server is killed.
struct Desk {
    server: Server,
    token: String,
    db: Db,
    world: World,
    random: Random,
    /// How often a call was cut before its answer.
    cut: u32,
}

/// Asks for a command; a wave is asked for until all of its orders were looked at.
async fn ask(channel: Channel, token: String, id: Uuid, command: Command) -> Result<Outcome, tonic::Status> {
    let outcome = if let Command::StartWave(wave) = command {
        let request = StartWaveRequest { command_id: bytes(id), wave: Some(wave) };
        LogisticsServiceClient::new(channel).start_wave(by(&token, request)).await?.into_inner().outcome
    } else {
        let command = Some(trade::Command { command: Some(command) });
        let request = ExecuteRequest { command_id: bytes(id), command };
        OfficeServiceClient::new(channel).execute(by(&token, request)).await?.into_inner().outcome
    };
    Ok(outcome.expect("an outcome"))
}

fn is_done(outcome: &Outcome) -> bool {
    matches!(outcome.status(), Status::Applied | Status::Duplicate)
}

impl Desk {
    /// Asks, without a kill.
    async fn does(&self, command: Command) {
        let asked = ask(self.server.channel(), self.token.clone(), self.random.uuid(START_US), command).await;
        let outcome = asked.expect("is answered");
        assert!(is_done(&outcome), "{outcome:?}");
    }

    /// Asks, and kills the server; asks again, and kills it a little later; and so on, until the answer comes before.
    async fn insists(mut self, id: Uuid, command: Command) -> Self {
        for step in 0..STEPS {
            let asking = tokio::spawn(ask(self.server.channel(), self.token.clone(), id, command.clone()));
            tokio::time::sleep(STEP * step).await;
            let answered = asking.is_finished();
            self.server = self.server.again().await;
            match asking.await.expect("asks") {
                Ok(outcome) => {
                    assert!(is_done(&outcome), "{outcome:?}");
                    if answered {
                        return self;
                    }
                }
                Err(_) => self.cut += 1,
            }
            tokio::time::sleep(PAUSE).await;
        }
        panic!("the call does not end")
    }

    async fn stored<R: kind::Record>(&self) -> Vec<(Uuid, R)> {
        let mut tx = self.db.read().await.expect("reads");
        let kind = i64::from(R::KIND as i32);
        let page = roundsman::store::record::page(&mut tx, self.world.tenant, kind, Uuid::nil(), 1_000).await;
        tx.commit().await.expect("ends");
        let records = page.expect("answers").into_iter();
        records.map(|(id, stored)| (id, R::decode(stored.document).expect("a document of its kind"))).collect()
    }

    /// What lies in the warehouse of all articles, as orders are decided by it.
    async fn lies_there(&self) -> i64 {
        let mut tx = self.db.read().await.expect("reads");
        let figures = self.world.products.iter().map(|product| Available::id(&(self.world.warehouse, *product)));
        let figures: Vec<Uuid> = figures.collect();
        let found = roundsman::store::record::find(&mut tx, self.world.tenant, &figures).await.expect("is read");
        tx.commit().await.expect("ends");
        let figures = found.into_iter().map(|(_, stored)| Available::decode(stored.document).expect("figures"));
        figures.map(|figure| figure.on_hand_milli).sum()
    }

    /// How often something was told to other systems.
    async fn told(&self, topic: &str) -> i64 {
        let mut tx = self.db.read().await.expect("reads");
        let (told,): (i64,) = tx
            .query_as("SELECT CAST(COUNT(*) AS BIGINT) FROM outbox WHERE topic = $1")
            .bind(topic.to_owned())
            .one()
            .await
            .expect("is counted");
        tx.commit().await.expect("ends");
        told
    }

    /// In how many versions a command has changed records.
    async fn versions(&self, command: Uuid) -> i64 {
        let mut tx = self.db.read().await.expect("reads");
        let (versions,): (i64,) = tx
            .query_as("SELECT CAST(COUNT(DISTINCT version) AS BIGINT) FROM history WHERE command = $1")
            .bind(command)
            .one()
            .await
            .expect("is counted");
        tx.commit().await.expect("ends");
        versions
    }
}

async fn what_a_kill_interrupts_happens_once(kind: Kind) {
    let mut fleet = Fleet::make(kind).await;
    let mut orders = Vec::new();
    for number in 0..SHIPMENTS {
        orders.push(fleet.house.released(&[(number % 10, 1, PRICE_MINOR)]).await);
    }
    let lorry =
        Vehicle { name: "Lorry".to_owned(), warehouse_id: bytes(fleet.house.world.warehouse), ..Vehicle::default() };
    import(&fleet.house.app, vec![entry(fleet.vans[0], Record::Vehicle(lorry))]).await;
    let ids: [Uuid; 5] = std::array::from_fn(|_| fleet.house.app.id());
    let [wave, trip, departed, closed, back] = ids;
    let plan = fleet.plan(trip, &fleet.dora, &[]);
    let world = fleet.house.world.clone();
    let wave_command = StartWave {
        wave_id: bytes(wave),
        warehouse_id: bytes(world.warehouse),
        order_ids: orders.into_iter().map(bytes).collect(),
        ..StartWave::default()
    };
    let database = fleet.house.app.hand_over().await;
    let server = Server::start(&database.url).await;
    let login = (TENANT, "lars", PASSWORD);
    let token =
        device::login(server.channel(), login, None).await.expect("logs in").tokens.expect("tokens").access_token;
    let db = Db::connect(&database.url).await.expect("connects");
    let desk = Desk { server, token, db, world, random: Random::seeded(1), cut: 0 };

    let desk = desk.insists(wave, Command::StartWave(wave_command)).await;
    let shipments: Vec<Uuid> = desk.stored::<Shipment>().await.into_iter().map(|(id, _)| id).collect();
    assert_eq!(shipments.len(), SHIPMENTS, "one for each order");
    let plan = PlanTrip { shipment_ids: shipments.iter().copied().map(bytes).collect(), ..plan };
    desk.does(Command::PlanTrip(plan)).await;
    for shipment in &shipments {
        desk.does(load(*shipment)).await;
    }
    let depart = Command::DepartTrip(DepartTrip { trip_id: bytes(trip) });
    let desk = desk.insists(departed, depart).await;
    let [nowhere, taken] = [shipments[0], shipments[1]];
    for shipment in &shipments {
        let not_attempted = *shipment == nowhere;
        desk.does(Command::DeliverShipment(DeliverShipment { not_attempted, ..deliver(*shipment) })).await;
    }
    let stored = desk.stored::<Shipment>().await;
    let goods = |id: Uuid| stored.iter().find(|(found, _)| *found == id).expect("the shipment").1.lines[0].clone();
    let brought = Uuid::from_slice(&goods(nowhere).product_id).expect("an id");
    let desk = desk.insists(closed, close(trip, &[(brought, 1_000, 0)])).await;
    let line = ReceivedReturnLine {
        shipment_line_id: goods(taken).line_id,
        sellable_milli: 1_000,
        reason: ReturnReason::Unsold.into(),
        ..ReceivedReturnLine::default()
    };
    let receive = ReceiveReturn {
        return_id: bytes(back),
        shipment_id: bytes(taken),
        origin: ReturnOrigin::GivenBack.into(),
        lines: vec![line],
        ..ReceiveReturn::default()
    };
    let desk = desk.insists(back, Command::ReceiveReturn(receive)).await;
    everything_once(&desk, (trip, &ids)).await;
    let Desk { server, db, .. } = desk;
    drop(server);
    db.close().await;
    database.remove().await;
}

async fn everything_once(desk: &Desk, (trip, commands): (Uuid, &[Uuid])) {
    assert!(desk.cut >= 4, "{} calls were cut", desk.cut);
    let all = i64::try_from(SHIPMENTS).expect("is small");
    for (topic, times) in [
        ("wave.started", 1),
        ("wave.allocated", 1),
        ("shipment.prepared", all),
        ("trip.departed", 1),
        ("shipment.shipped", all),
        ("trip.closed", 1),
        ("return.received", 1),
    ] {
        assert_eq!(desk.told(topic).await, times, "{topic}");
    }
    for command in commands.iter().filter(|command| **command != trip) {
        assert_eq!(desk.versions(*command).await, 1, "{command} has changed records");
    }
    let (_, brought) = desk.stored::<Trip>().await.into_iter().find(|(id, _)| *id == trip).expect("the trip");
    let shipped: i64 = brought.goods.iter().map(|goods| goods.shipped_milli).sum();
    assert_eq!((brought.state(), shipped), (TripState::Closed, all * 1_000));
    let lies_there = desk.lies_there().await;
    let articles = i64::try_from(desk.world.products.len()).expect("is small");
    assert_eq!(lies_there, articles * ON_HAND_MILLI - all * 1_000 + 2_000, "60 have left, and two came back");
    let findings = verify::verify(&desk.db, desk.world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
}
