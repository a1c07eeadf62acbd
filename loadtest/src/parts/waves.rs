//! From order to delivered: thousands of orders are put into shipments at once while others come in, and what the warehouse and
//! the driver tell reaches the rep's phone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use roundsman::device;
use roundsman_proto::logistics::logistics_service_client::LogisticsServiceClient;
use roundsman_proto::logistics::{ListOrdersRequest, ListShipmentsRequest, StartWaveRequest};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    DeliverShipment, DeliveredLine, Order, OrderStatus, PickShipment, RefusalReason, ReleaseOrder, ShipShipment,
    Shipment, ShippedLine, ShortReason, StartWave, WaveState,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::live::{Audience, Change, REPS};
use crate::bench::Bench;
use crate::database::Database;
use crate::drive;
use crate::goods::{self, bytes};
use crate::office::Caller;
use crate::rep::{LINES, Reps};
use crate::report::{Figure, Goal, Report};
use crate::stats::percentile_ms;
use crate::world::World;

/// Articles that are ordered.
const ARTICLES: usize = 1_000;
/// Outlets of each rep.
const OUTLETS: usize = 10;
/// Orders of a wave: as many as one may have.
const ORDERS: usize = 3_000;
/// How often a wave is measured.
const WAVES: usize = 3;
/// Reps who order as fast as they are answered while a wave goes on.
const ORDERING: usize = 10;
/// Orders that are released at a time, before a wave.
const RELEASED_AT_ONCE: usize = 64;
/// Orders or shipments of a page.
const PAGE: i32 = 1_000;
/// Shipments of which is told how they are picked, that they have left, and what the customer refused.
const TOLD: usize = 200;
/// Facts that are told at a time.
const TOLD_AT_ONCE: usize = 4;

/// Measures it.
pub async fn measure(bench: &Bench, database: &Database, report: &mut Report) -> anyhow::Result<()> {
    let (server, office) = super::claimed(bench, database).await?;
    let mut world = World::make(&office, (REPS, OUTLETS), true).await?;
    world.grow(&office, ARTICLES).await?;
    let mut reps = Reps::login(bench, server.address, &world, &world.reps).await?;
    let logistics = Arc::new(office.logistician("lars").await?);
    let (mut seconds, mut p99) = (Vec::new(), Vec::new());
    for number in 0..WAVES {
        let orders = released(bench, &mut reps, &logistics).await?;
        let bar = bench.progress(format!("wave {} of {WAVES}", number + 1), 1);
        let mut others = reps.callers.split_off(reps.callers.len() - ORDERING);
        let (round, took) = drive::during(&mut others, wave(bench, &logistics, orders)).await?;
        reps.callers.append(&mut others);
        bar.finish_and_clear();
        seconds.push(took.as_secs_f64());
        p99.push(round.p99_ms);
    }
    let name = |figure: &str| database.kind.named(figure);
    let what = format!("a wave of {ORDERS} orders of {LINES} lines, while {ORDERING} devices order");
    report.add(Figure::new(name("W1a"), what, "s", seconds).goal(Goal::Most(3.0)));
    let what = "meanwhile 99 % of their orders are answered within";
    report.add(Figure::new(name("W1b"), what, "ms", p99).goal(Goal::Most(100.0)));
    let mut audience = Audience::gather(bench, &server, &world, 1).await?;
    let told = tell(bench, &logistics).await?;
    let mut took = audience.latencies(&told, 1).await?;
    let what =
        format!("{} facts of {TOLD} shipments, told {TOLD_AT_ONCE} at a time, are on the rep's phone", told.len());
    let p50 = percentile_ms(&mut took, 0.5);
    report.add(Figure::new(name("W2a"), format!("{what}, p50"), "ms", vec![p50]));
    let p99 = percentile_ms(&mut took, 0.99);
    report.add(Figure::new(name("W2b"), format!("{what}, p99"), "ms", vec![p99]).goal(Goal::Most(1_000.0)));
    Ok(())
}

/// As many confirmed orders as a wave has, released.
async fn released(bench: &Bench, reps: &mut Reps, logistics: &Arc<Caller>) -> anyhow::Result<Vec<Uuid>> {
    let bar = bench.progress("orders".to_owned(), 1);
    let mut confirmed = Vec::new();
    while confirmed.len() < ORDERS {
        drive::round(&mut reps.callers, Duration::from_secs(2)).await?;
        confirmed = orders(logistics).await?.into_iter().map(|(id, _)| id).collect();
    }
    confirmed.truncate(ORDERS);
    let release = |order: Uuid| async move {
        logistics.execute(Command::ReleaseOrder(ReleaseOrder { order_id: bytes(order), partly: false })).await
    };
    stream::iter(confirmed.iter().copied().map(release))
        .buffer_unordered(RELEASED_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    bar.finish_and_clear();
    Ok(confirmed)
}

/// All confirmed orders.
async fn orders(logistics: &Caller) -> anyhow::Result<Vec<(Uuid, Order)>> {
    let mut client = LogisticsServiceClient::new(logistics.channel.clone());
    let (mut found, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListOrdersRequest {
            page_size: PAGE,
            page_token,
            status: OrderStatus::Confirmed.into(),
            ..ListOrdersRequest::default()
        };
        let page = client.list_orders(device::authorized(&logistics.token, request)?).await?.into_inner();
        for listed in page.orders {
            found.push((Uuid::from_slice(&listed.order_id)?, listed.order.context("an order without one")?));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(found);
        }
    }
}

/// Puts orders into shipments; returns how long that took.
async fn wave(bench: &Bench, logistics: &Caller, orders: Vec<Uuid>) -> anyhow::Result<Duration> {
    let wave = StartWave {
        wave_id: bytes(bench.id()),
        warehouse_id: bytes(goods::id("warehouse")),
        order_ids: orders.into_iter().map(bytes).collect(),
        ..StartWave::default()
    };
    let request = StartWaveRequest { command_id: bytes(bench.id()), wave: Some(wave) };
    let request = device::authorized(&logistics.token, request)?;
    let begun = Instant::now();
    let answer = LogisticsServiceClient::new(logistics.channel.clone()).start_wave(request).await?.into_inner();
    let took = begun.elapsed();
    let wave = answer.wave.context("a wave that was not started")?;
    let done = (wave.state(), wave.lines, wave.passed_orders.len());
    let lines = i32::try_from(ORDERS * LINES).unwrap_or(i32::MAX);
    anyhow::ensure!(done == (WaveState::Allocated, lines, 0), "the wave came to {done:?}");
    Ok(took)
}

/// Tells of some shipments how they are picked, that they have left, and what became of them. Each fact is measured from the
/// moment at which it is sent.
async fn tell(bench: &Bench, logistics: &Arc<Caller>) -> anyhow::Result<Vec<Change>> {
    let bar = bench.progress("facts".to_owned(), TOLD);
    let request = ListShipmentsRequest { page_size: i32::try_from(TOLD)?, ..ListShipmentsRequest::default() };
    let request = device::authorized(&logistics.token, request)?;
    let page = LogisticsServiceClient::new(logistics.channel.clone()).list_shipments(request).await?.into_inner();
    let outlets = outlets();
    let facts = page.shipments.into_iter().map(|listed| {
        let (bar, outlets) = (&bar, &outlets);
        async move {
            let shipment = listed.shipment.context("a shipment without one")?;
            let rep = *outlets.get(&shipment.outlet_id).context("a shipment for nobody's outlet")?;
            let mut changes = Vec::new();
            for command in facts_of(logistics, listed.shipment_id, &shipment) {
                let at = Instant::now();
                let version = logistics.execute(command).await?;
                changes.push(Change { version, at, rep: Some(rep) });
            }
            bar.inc(1);
            anyhow::Ok(changes)
        }
    });
    let told: Vec<Vec<Change>> = stream::iter(facts).buffer_unordered(TOLD_AT_ONCE).try_collect().await?;
    bar.finish_and_clear();
    Ok(told.into_iter().flatten().collect())
}

/// Whose each outlet is, by the rep's number.
fn outlets() -> HashMap<Vec<u8>, usize> {
    let all = (0..REPS).flat_map(|rep| (0..OUTLETS).map(move |outlet| (rep, outlet)));
    all.map(|(rep, outlet)| (bytes(goods::id(&format!("outlet {rep}/{outlet}"))), rep)).collect()
}

/// Of the first line half is not found, and of the second the customer refuses half.
fn facts_of(logistics: &Caller, shipment_id: Vec<u8>, shipment: &Shipment) -> Vec<Command> {
    let half = |index: usize| {
        let line = &shipment.lines[index % shipment.lines.len()];
        (line.line_id.clone(), line.ordered_milli / 2)
    };
    let (line_id, picked_milli) = half(0);
    let short = ShippedLine { line_id, picked_milli, short_reason: ShortReason::NotFound.into() };
    let (line_id, delivered_milli) = half(1);
    let refused = DeliveredLine {
        line_id,
        delivered_milli,
        refused_milli: delivered_milli,
        refusal_reason: RefusalReason::TooMuch.into(),
    };
    let pick =
        PickShipment { shipment_id: shipment_id.clone(), lines: vec![short], finished: true, comment: String::new() };
    let ship = ShipShipment { shipment_id: shipment_id.clone(), ..ShipShipment::default() };
    let deliver = DeliverShipment {
        shipment_id,
        lines: vec![refused],
        reclamation_id: bytes(logistics.id()),
        ..DeliverShipment::default()
    };
    vec![Command::PickShipment(pick), Command::ShipShipment(ship), Command::DeliverShipment(deliver)]
}
