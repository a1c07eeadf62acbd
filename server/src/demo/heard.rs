//! How long it takes from what the server decides about goods and claims until the representative's phone shows it. What was
//! decided when is read from the history, and when a phone has reached which version, the phone notes itself. Both by the
//! day's clock, which all processes share.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use prost::Message as _;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{self, Reclamation, Shipment, Trip};
use roundsman_sync::trade::trip::shipment_ids;
use uuid::Uuid;

use super::app::{Evening, Journal};
use super::world::World;
use crate::store::sql::Tx;

/// Of a hundred phones 99 are to hear of a decision within this time.
pub const LIMIT: Duration = Duration::from_secs(1);

/// Something that the server has decided, and that a phone is to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decided {
    /// What.
    pub what: &'static str,
    /// The shipment or the reclamation that shows it.
    pub record: Uuid,
    /// The version that carries it.
    pub version: i64,
    /// When, in microseconds since the Unix epoch, by the day's clock.
    pub at_us: i64,
}

/// How long phones waited for decisions of one sort.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Those that had a connection all the time, by the machine's clock; the shortest first.
    pub following: Vec<Duration>,
    /// So many phones had none at first, and heard later.
    pub away: usize,
}

impl Waits {
    /// What so many of a hundred did not exceed; `None`: nobody followed.
    #[must_use]
    pub fn percentile(&self, percent: usize) -> Option<Duration> {
        let rank = (self.following.len() * percent).div_ceil(100);
        self.following.get(rank.saturating_sub(1)).copied()
    }
}

/// How long phones waited, whatever was decided.
#[must_use]
pub fn together(waits: &BTreeMap<&'static str, Waits>) -> Waits {
    let mut following: Vec<Duration> = waits.values().flat_map(|sort| sort.following.iter().copied()).collect();
    following.sort_unstable();
    Waits { following, away: waits.values().map(|sort| sort.away).sum() }
}

/// Where what is decided about is: the outlets of the shipments and reclamations.
#[derive(Debug)]
pub struct Places<'a> {
    /// All trips.
    pub trips: &'a BTreeMap<Uuid, Trip>,
    /// All shipments.
    pub shipments: &'a BTreeMap<Uuid, Shipment>,
    /// All reclamations.
    pub reclamations: &'a BTreeMap<Uuid, Reclamation>,
}

/// What was decided about goods and claims.
///
/// # Errors
/// When the database does not answer, or a command can't be read.
pub async fn decided(tx: &mut Tx, tenant: i64, places: &Places<'_>) -> anyhow::Result<Vec<Decided>> {
    let rows: Vec<(i64, i64, Vec<u8>)> = tx
        .query_as(
            "SELECT version, decided_at, body FROM history WHERE tenant = $1 AND body IS NOT NULL \
             AND command_name IN ('PickShipment', 'DepartTrip', 'DeliverShipment', 'DecideClaim') ORDER BY version, ordinal",
        )
        .bind(tenant)
        .all()
        .await?;
    let mut decided = Vec::new();
    for (version, at_us, body) in rows {
        let command = trade::Command::decode(body.as_slice())?.command;
        let told = command.map(|command| told(&command, places)).unwrap_or_default();
        decided.extend(told.into_iter().map(|(what, record)| Decided { what, record, version, at_us }));
    }
    Ok(decided)
}

/// What a command tells of which records.
fn told(command: &Command, places: &Places<'_>) -> Vec<(&'static str, Uuid)> {
    let about = |what, record: &[u8]| Uuid::from_slice(record).map(|record| (what, record)).into_iter().collect();
    if let Command::PickShipment(pick) = command
        && !pick.lines.is_empty()
    {
        return about("picked short", &pick.shipment_id);
    }
    if let Command::DepartTrip(depart) = command {
        let trip = Uuid::from_slice(&depart.trip_id).ok().and_then(|id| places.trips.get(&id));
        return trip.into_iter().flat_map(shipment_ids).map(|shipment| ("shipped", shipment)).collect();
    }
    if let Command::DeliverShipment(delivery) = command {
        let refused = delivery.lines.iter().any(|line| line.refused_milli > 0);
        let what = if delivery.not_attempted {
            "not attempted"
        } else if refused {
            "refused"
        } else {
            "delivered"
        };
        return about(what, &delivery.shipment_id);
    }
    if let Command::DecideClaim(decision) = command {
        return about("claim decided", &decision.reclamation_id);
    }
    Vec::new()
}

/// How long the phones of the territories' representatives waited, by what was decided. The clock runs `speed` times faster than
/// the machine's.
#[must_use]
pub fn waits(
    decided: &[Decided],
    places: &Places<'_>,
    (world, evenings): (&World, &[Evening]),
    speed: i64,
) -> BTreeMap<&'static str, Waits> {
    let outlets = world.city.outlets.iter().enumerate();
    let territories: BTreeMap<Vec<u8>, usize> =
        outlets.map(|(index, outlet)| (super::world::bytes(world.outlet_id(index)), outlet.territory)).collect();
    let held: Vec<BTreeSet<Uuid>> = evenings
        .iter()
        .map(|evening| evening.content.values().flat_map(|rows| rows.keys().copied()).collect())
        .collect();
    let mut waits: BTreeMap<&'static str, Waits> = BTreeMap::new();
    for decision in decided {
        let shipment = places.shipments.get(&decision.record).map(|shipment| &shipment.outlet_id);
        let reclamation = || places.reclamations.get(&decision.record).map(|reclamation| &reclamation.outlet_id);
        let territory = shipment.or_else(reclamation).and_then(|outlet| territories.get(outlet));
        let Some(place) = evenings.iter().position(|evening| Some(&evening.rep) == territory) else { continue };
        // A territory that was handed over is on another phone.
        if !held[place].contains(&decision.record) {
            continue;
        }
        let sort = waits.entry(decision.what).or_default();
        match waited_us(&evenings[place].journal, decision) {
            Some(us) => sort.following.push(Duration::from_micros(us / speed.unsigned_abs().max(1))),
            None => sort.away += 1,
        }
    }
    waits.values_mut().for_each(|sort| sort.following.sort_unstable());
    waits
}

/// How long a phone that had a connection from the decision on waited for it, by the day's clock; `None`: it had none.
fn waited_us(journal: &Journal, decision: &Decided) -> Option<u64> {
    let (_, heard_us) = journal.reached.iter().find(|(version, _)| *version >= decision.version)?;
    let through =
        |(from, until): &(i64, Option<i64>)| *from <= decision.at_us && until.is_none_or(|until| until >= *heard_us);
    journal.connected.iter().any(through).then(|| u64::try_from(heard_us - decision.at_us).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_that_had_a_connection_waited_from_the_decision_on() {
        let journal = Journal {
            reached: vec![(3, 100), (7, 500), (9, 900)],
            connected: vec![(0, Some(600)), (800, None)],
            ..Journal::default()
        };
        let decision = |version, at_us| Decided { what: "delivered", record: Uuid::nil(), version, at_us };
        assert_eq!(waited_us(&journal, &decision(5, 450)), Some(50));
        assert_eq!(waited_us(&journal, &decision(8, 580)), None, "it lost the connection before");
        assert_eq!(waited_us(&journal, &decision(9, 700)), None, "it had none");
        assert_eq!(waited_us(&journal, &decision(9, 820)), Some(80));
        assert_eq!(waited_us(&journal, &decision(10, 950)), None, "it has not heard");
    }

    #[test]
    fn percentiles_are_waits_that_somebody_had() {
        let waits = Waits { following: (1..=200).map(Duration::from_millis).collect(), away: 0 };
        let of = |percent| waits.percentile(percent).map(|wait| wait.as_millis());
        assert_eq!((of(50), of(99), of(100)), (Some(100), Some(198), Some(200)));
        assert_eq!(Waits::default().percentile(50), None);
    }
}
