//! What the report tells of deliveries: order by order what was promised and what came of it, how well customers are served,
//! what the trips brought back, and how fast representatives hear of it.

use std::collections::BTreeMap;

use roundsman_proto::trade::{Order, Reclamation, Shipment, ShipmentLine, ShipmentState, Trip, TripState};
use roundsman_sync::trade::money;
use roundsman_sync::trade::order::fulfil::order_of;
use roundsman_sync::trade::service_level::{Arrival, Served, ServiceLevel};
use uuid::Uuid;

use super::heard::{LIMIT, Waits};
use super::report::{Table, euros, grouped};
use super::trade::Played;
use super::verdict::Stored;
use super::world::{TIME_ZONE, TODAY};
use crate::calendar;

/// So many orders are told one by one.
const TOLD: usize = 15;

/// What became of an order, in thousandths of base units and in minor units.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Story {
    promised_milli: i64,
    shipped_milli: i64,
    delivered_milli: i64,
    claimed_milli: i64,
    promised_minor: i64,
    delivered_minor: i64,
    accepted_minor: i64,
    /// Why less came, or something was claimed: how often.
    because: BTreeMap<String, usize>,
}

impl Story {
    fn cells(&self, name: String) -> [String; 9] {
        let pieces = |milli: i64| grouped(milli / 1_000);
        let because = self.because.iter().map(|(reason, times)| format!("{reason} {times}"));
        [
            name,
            pieces(self.promised_milli),
            pieces(self.shipped_milli),
            pieces(self.delivered_milli),
            pieces(self.claimed_milli),
            euros(self.promised_minor),
            euros(self.delivered_minor),
            euros(self.accepted_minor),
            format!("  {}", because.collect::<Vec<_>>().join(", ")),
        ]
    }

    fn add(&mut self, other: &Self) {
        self.promised_milli += other.promised_milli;
        self.shipped_milli += other.shipped_milli;
        self.delivered_milli += other.delivered_milli;
        self.claimed_milli += other.claimed_milli;
        self.promised_minor += other.promised_minor;
        self.delivered_minor += other.delivered_minor;
        self.accepted_minor += other.accepted_minor;
        for (reason, times) in &other.because {
            *self.because.entry(reason.clone()).or_default() += times;
        }
    }
}

/// The lines of shipments and reclamations, by the order that they are about.
struct Movements<'a> {
    shipped: BTreeMap<&'a [u8], Vec<(&'a Shipment, &'a ShipmentLine)>>,
    claims: BTreeMap<&'a [u8], Vec<&'a Reclamation>>,
}

impl<'a> Movements<'a> {
    fn of(stored: &'a Stored) -> Self {
        let mut shipped: BTreeMap<&[u8], Vec<_>> = BTreeMap::new();
        for shipment in stored.shipments.values() {
            for line in &shipment.lines {
                shipped.entry(order_of(shipment, line)).or_default().push((shipment, line));
            }
        }
        let mut claims: BTreeMap<&[u8], Vec<_>> = BTreeMap::new();
        for reclamation in stored.reclamations.values() {
            claims.entry(&reclamation.order_id).or_default().push(reclamation);
        }
        Self { shipped, claims }
    }

    fn lines(&self, order: &Uuid) -> &[(&'a Shipment, &'a ShipmentLine)] {
        self.shipped.get(order.as_bytes().as_slice()).map_or(&[], Vec::as_slice)
    }

    /// What came of an order's promise by tonight.
    fn served(&self, (id, order): (&Uuid, &Order)) -> Option<Served> {
        let zone = calendar::zone(TIME_ZONE);
        let arrivals =
            self.lines(id).iter().filter(|(_, line)| line.delivered_milli > 0).map(|(shipment, line)| Arrival {
                line_id: &line.line_id,
                day: zone.map_or(0, |zone| calendar::day(zone, shipment.delivered_at_us)),
                quantity_milli: line.delivered_milli,
            });
        Served::of(order, &arrivals.collect::<Vec<_>>(), TODAY)
    }

    fn story(&self, (id, order): (&Uuid, &Order), served: &Served) -> Story {
        let mut story = Story::default();
        for line in &served.lines {
            let (quantity_milli, amount_minor) = priced(order, &line.line_id);
            let worth = |milli: i64| money::share(amount_minor, milli.min(quantity_milli), quantity_milli);
            story.promised_milli += line.promised_milli;
            story.delivered_milli += line.delivered_milli;
            story.promised_minor += worth(line.promised_milli);
            story.delivered_minor += worth(line.delivered_milli);
        }
        for (shipment, line) in self.lines(id) {
            if shipment.shipped_at_us > 0 {
                story.shipped_milli += line.loaded_milli;
            }
            for reason in reasons(shipment, line) {
                *story.because.entry(reason).or_default() += 1;
            }
        }
        for reclamation in self.claims.get(id.as_bytes().as_slice()).into_iter().flatten() {
            story.claimed_milli += reclamation.lines.iter().map(|line| line.claimed_milli).sum::<i64>();
            story.accepted_minor += reclamation.decision.as_ref().map_or(0, |decision| decision.accepted_minor);
            let state = words(reclamation.state().as_str_name(), "RECLAMATION_STATE_");
            *story.because.entry(format!("claim {state}")).or_default() += 1;
        }
        story
    }
}

/// A quantity of a line and what it costs: the most that was ever promised of it.
fn priced(order: &Order, line_id: &[u8]) -> (i64, i64) {
    let now = order.lines.iter().find(|line| line.line_id == line_id);
    let past = order.past_promises.iter().filter(|past| past.line_id == line_id);
    let known = now.map(|line| (line.confirmed_milli, line.amount_minor)).into_iter();
    known.chain(past.map(|past| (past.quantity_milli, past.amount_minor))).max().unwrap_or_default()
}

/// Why less of a shipment's line came than was asked for.
fn reasons(shipment: &Shipment, line: &ShipmentLine) -> Vec<String> {
    let mut reasons = Vec::new();
    let is_picked = line.picked_milli > 0 || shipment.shipped_at_us > 0;
    if is_picked && line.picked_milli < line.ordered_milli {
        reasons.push(words(line.short_reason().as_str_name(), "SHORT_REASON_"));
    }
    match shipment.state() {
        ShipmentState::NotAttempted => reasons.push("not attempted".to_owned()),
        ShipmentState::Delivered | ShipmentState::PartlyDelivered | ShipmentState::Refused => {
            if line.refused_milli > 0 {
                let why = words(line.refusal_reason().as_str_name(), "REFUSAL_REASON_");
                reasons.push(format!("refused as {why}"));
            }
            if line.delivered_milli + line.refused_milli < line.loaded_milli {
                reasons.push("missing".to_owned());
            }
        }
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking | ShipmentState::Checking => {}
        ShipmentState::Checked | ShipmentState::Loaded | ShipmentState::Shipped | ShipmentState::Cancelled => {}
    }
    reasons
}

/// The name of a code, in words.
fn words(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_lowercase().replace('_', " ")
}

/// Order by order what came of what was promised: those that lost most, and the sum of all of which something left; then how
/// many were served on time and in full.
pub fn orders(stored: &Stored) -> String {
    let movements = Movements::of(stored);
    let served: Vec<(&Uuid, &Order, Served)> =
        stored.today().filter_map(|(id, order)| Some((id, order, movements.served((id, order))?))).collect();
    let has_left = |id: &Uuid| movements.lines(id).iter().any(|(shipment, _)| shipment.shipped_at_us > 0);
    let moved = served.iter().filter(|(id, _, _)| has_left(id));
    let mut stories: Vec<(&Uuid, Story)> =
        moved.map(|(id, order, served)| (*id, movements.story((id, order), served))).collect();
    stories.sort_by_key(|(id, story)| (story.delivered_minor - story.promised_minor, **id));
    let mut table = Table::new(
        1,
        [
            "order",
            "promised",
            "shipped",
            "delivered",
            "claimed",
            "promised €",
            "delivered €",
            "accepted €",
            "  because",
        ],
    );
    let mut sum = Story::default();
    for (place, (id, story)) in stories.iter().enumerate() {
        sum.add(story);
        if place < TOLD {
            table.row(story.cells(id.to_string()));
        }
    }
    table.row(sum.cells(format!("all {} of which something left", stories.len())));
    table.align_last();
    table.text() + &service(&ServiceLevel::of(served.iter().map(|(_, _, served)| served)))
}

fn service(level: &ServiceLevel) -> String {
    let percent = |bp: Option<u64>| bp.map_or_else(|| "–".to_owned(), |bp| format!("{}.{} %", bp / 100, bp / 10 % 10));
    format!(
        "  On time in full: {} of {} orders that are due, {}; of their lines {} of {}, {}.\n",
        level.full_orders,
        level.orders,
        percent(level.on_time_in_full_bp()),
        level.full_lines,
        level.lines,
        percent(level.fill_rate_bp()),
    )
}

/// What vans brought and brought back, in pieces, by who drove.
pub fn trips(stored: &Stored) -> String {
    let mut drivers: BTreeMap<&str, Vec<&Trip>> = BTreeMap::new();
    for trip in stored.trips.values() {
        drivers.entry(&trip.vehicle_name).or_default().push(trip);
    }
    let mut table = Table::new(
        1,
        [
            "van",
            "trips",
            "closed",
            "stops",
            "kg",
            "shipped",
            "delivered",
            "refused",
            "missing",
            "not attempted",
            "back",
            "cash €",
        ],
    );
    for (van, trips) in drivers {
        let of = |figure: &dyn Fn(&Trip) -> i64| trips.iter().map(|trip| figure(trip)).sum::<i64>();
        let goods = |figure: fn(&roundsman_proto::trade::TripGoods) -> i64| {
            grouped(of(&|trip| trip.goods.iter().map(figure).sum()) / 1_000)
        };
        let driver = trips.first().map(|trip| trip.driver_id.as_slice());
        let cash = stored.payments.values().filter(|payment| driver == Some(payment.rep_id.as_slice()));
        table.row([
            van.to_owned(),
            trips.len().to_string(),
            of(&|trip| i64::from(trip.state() == TripState::Closed)).to_string(),
            of(&|trip| trip.stops.len().try_into().unwrap_or(0)).to_string(),
            grouped(of(&|trip| trip.weight_g) / 1_000),
            goods(|goods| goods.shipped_milli),
            goods(|goods| goods.delivered_milli),
            goods(|goods| goods.refused_milli),
            goods(|goods| goods.missing_milli),
            goods(|goods| goods.not_attempted_milli),
            goods(|goods| goods.sellable_milli + goods.unsellable_milli),
            euros(cash.map(|payment| payment.amount_minor).sum()),
        ]);
    }
    table.text()
}

/// How fast representatives hear what was decided about goods and claims.
pub fn waits(waits: &BTreeMap<&'static str, Waits>) -> String {
    let mut table =
        Table::new(1, ["decision", "followed", "p50 ms", "p99 ms", "longest ms", "p99 at most", "", "away"]);
    for (what, waits) in waits {
        let of = |percent| waits.percentile(percent).map_or_else(String::new, |wait| wait.as_millis().to_string());
        let kept = match waits.percentile(99) {
            None => "",
            Some(wait) if wait <= LIMIT => "kept",
            Some(_) => "EXCEEDED",
        };
        table.row([
            (*what).to_owned(),
            waits.following.len().to_string(),
            of(50),
            of(99),
            of(100),
            grouped(i64::try_from(LIMIT.as_millis()).unwrap_or(i64::MAX)),
            kept.to_owned(),
            waits.away.to_string(),
        ]);
    }
    table.text()
}

/// What goes wrong on the way, and what is done about it: each has to come about.
pub fn played(stored: &Stored) -> Vec<Played> {
    let lines = || stored.shipments.values().flat_map(|of| of.lines.iter().map(move |line| (of, line)));
    let told = |reason: &str| {
        lines().filter(|(of, line)| reasons(of, line).iter().any(|told| told.starts_with(reason))).count()
    };
    let claims =
        |which: &dyn Fn(&Reclamation) -> bool| stored.reclamations.values().filter(|claim| which(claim)).count();
    let closed = stored.trips.values().filter(|trip| trip.state() == TripState::Closed).count();
    let cash = stored.payments.values().filter(|payment| !payment.trip_id.is_empty()).count();
    let played = |what, times| Played { what, times };
    vec![
        played("closed trips", closed),
        played("lines that were picked short", told("not found")),
        played("lines that customers refused", told("refused")),
        played("lines that were missing at the door", told("missing")),
        played("lines that were not brought", told("not attempted")),
        played("payments at the door", cash),
        played(
            "reclamations with a cause and a deadline",
            claims(&|claim| !claim.cause_id.is_empty() && claim.decide_within_days > 0),
        ),
        played("reclamations that were decided", claims(&|claim| claim.decision.is_some())),
        played("reclamations that were settled", claims(&|claim| claim.settlement.is_some())),
    ]
}

/// What contradicts the trips: each has to be at its end, and all that left has to be somewhere.
pub fn wrong_trips(stored: &Stored) -> Vec<String> {
    let mut wrong = Vec::new();
    for (id, trip) in &stored.trips {
        match trip.state() {
            TripState::Closed => wrong.extend(wrong_goods(stored, id, trip)),
            TripState::Cancelled => {}
            TripState::Unspecified | TripState::Forming | TripState::Loading | TripState::Departed => {
                wrong.push(format!("trip {id} is still {}", words(trip.state().as_str_name(), "TRIP_STATE_")));
            }
        }
    }
    wrong
}

/// What of a closed trip's goods is not as its shipments say, or is nowhere.
fn wrong_goods(stored: &Stored, id: &Uuid, trip: &Trip) -> Vec<String> {
    // Shipped, delivered, and brought to nobody, by product.
    let mut sums: BTreeMap<&[u8], [i64; 3]> = BTreeMap::new();
    let own = stored.shipments.values().filter(|shipment| shipment.trip_id == id.as_bytes());
    for (shipment, line) in own.flat_map(|of| of.lines.iter().map(move |line| (of, line))) {
        let sum = sums.entry(&line.product_id).or_default();
        let unreached = shipment.state() == ShipmentState::NotAttempted;
        sum[0] += line.loaded_milli;
        sum[1] += line.delivered_milli;
        sum[2] += if unreached { line.loaded_milli } else { 0 };
    }
    let mut wrong = Vec::new();
    if sums.len() != trip.goods.len() {
        wrong.push(format!("trip {id} tells of {} products, and brought {}", trip.goods.len(), sums.len()));
    }
    for goods in &trip.goods {
        let told = [goods.shipped_milli, goods.delivered_milli, goods.not_attempted_milli];
        let stays = goods.refused_milli + goods.missing_milli;
        let back = goods.sellable_milli + goods.unsellable_milli;
        let is_right = sums.get(goods.product_id.as_slice()) == Some(&told)
            && goods.shipped_milli == goods.delivered_milli + stays + goods.not_attempted_milli
            && back == goods.refused_milli + goods.not_attempted_milli;
        if !is_right {
            wrong.push(format!("trip {id}: {goods:?} is not what its shipments say"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::{OrderLine, PastPromise, RefusalReason, TripGoods};

    use super::*;

    fn stored() -> (Stored, Uuid) {
        let (id, trip_id, line_id) = (Uuid::from_u128(1), Uuid::from_u128(2), vec![3; 16]);
        let line = OrderLine {
            line_id: line_id.clone(),
            confirmed_milli: 3_000,
            amount_minor: 30_000,
            delivered_milli: 3_000,
            ..OrderLine::default()
        };
        let past = PastPromise {
            line_id: line_id.clone(),
            quantity_milli: 5_000,
            amount_minor: 50_000,
            outcome: roundsman_proto::trade::PromiseOutcome::Changed.into(),
            reason: roundsman_proto::trade::LineDifference::Refused.into(),
            ..PastPromise::default()
        };
        let order = Order {
            order_day: TODAY,
            promised_day: TODAY + 1,
            status: roundsman_proto::trade::OrderStatus::Closed.into(),
            lines: vec![line],
            past_promises: vec![past],
            ..Order::default()
        };
        let brought = ShipmentLine {
            line_id,
            product_id: vec![4; 16],
            ordered_milli: 5_000,
            picked_milli: 5_000,
            loaded_milli: 5_000,
            delivered_milli: 3_000,
            refused_milli: 2_000,
            refusal_reason: RefusalReason::Damaged.into(),
            ..ShipmentLine::default()
        };
        let shipment = Shipment {
            order_id: id.as_bytes().to_vec(),
            trip_id: trip_id.as_bytes().to_vec(),
            state: ShipmentState::PartlyDelivered.into(),
            shipped_at_us: 1,
            delivered_at_us: 2,
            lines: vec![brought],
            ..Shipment::default()
        };
        let goods = TripGoods {
            product_id: vec![4; 16],
            shipped_milli: 5_000,
            delivered_milli: 3_000,
            refused_milli: 2_000,
            unsellable_milli: 2_000,
            ..TripGoods::default()
        };
        let trip = Trip { state: TripState::Closed.into(), goods: vec![goods], ..Trip::default() };
        let stored = Stored {
            orders: [(id, order)].into(),
            shipments: [(Uuid::from_u128(5), shipment)].into(),
            trips: [(trip_id, trip)].into(),
            ..Stored::default()
        };
        (stored, id)
    }

    #[test]
    fn an_order_is_told_from_the_promise_to_what_was_refused() {
        let (stored, id) = stored();
        let text = orders(&stored);
        let row: Vec<&str> = text.lines().nth(1).expect("a row").split_whitespace().collect();
        let id = id.to_string();
        assert_eq!(row, [id.as_str(), "5", "5", "3", "0", "500", "300", "0", "refused", "as", "damaged", "1"]);
        assert!(text.contains("On time in full: 0 of 1 orders that are due, 0.0 %"), "{text}");
    }

    #[test]
    fn a_trip_that_lost_something_is_wrong() {
        let (mut stored, _) = stored();
        assert_eq!(wrong_trips(&stored), Vec::<String>::new());
        stored.trips.values_mut().for_each(|trip| trip.goods[0].unsellable_milli = 1_000);
        assert_eq!(wrong_trips(&stored).len(), 1);
        stored.trips.values_mut().for_each(|trip| trip.set_state(TripState::Departed));
        assert!(wrong_trips(&stored)[0].ends_with("is still departed"));
    }
}
