//! The proof: what the devices hold and were told, compared with the central store behind the server's back.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::auth::Role;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::{ChangeRequest, Order, Outlet, Payment, Reclamation, Shipment, Trip, Visit};
use roundsman_sync::kind::Record;
use uuid::Uuid;

use super::app::{Answered, Evening};
use super::day::Lived;
use super::deliveries;
use super::heard::{self, Decided, LIMIT, Places, Waits};
use super::shared::Shared;
use super::trade::Played;
use super::world::{TERRITORIES, rep_id, rep_name, user_id};
use crate::auth::caller::Caller;
use crate::store::sql::{Db, Tx};
use crate::store::{record, tenant};
use crate::verify::{self, Content};

/// Records in one read.
const PAGE: i64 = 1_000;
/// So many findings of one sort are told; the rest is counted.
const TOLD: usize = 5;

/// What was found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What was compared and is right, as sentences.
    pub right: Vec<String>,
    /// What is wrong, as sentences.
    pub wrong: Vec<String>,
    /// What the central store holds.
    pub stored: Stored,
    /// How long phones waited for what was decided about goods and claims, by what it was.
    pub waits: BTreeMap<&'static str, Waits>,
}

/// What the central store holds, for the report.
#[derive(Debug, Default)]
pub struct Stored {
    /// All orders.
    pub orders: BTreeMap<Uuid, Order>,
    /// All visits.
    pub visits: BTreeMap<Uuid, Visit>,
    /// All shipments.
    pub shipments: BTreeMap<Uuid, Shipment>,
    /// All outlets.
    pub outlets: BTreeMap<Uuid, Outlet>,
    /// What was wanted of orders that the warehouse has.
    pub requests: BTreeMap<Uuid, ChangeRequest>,
    /// All trips.
    pub trips: BTreeMap<Uuid, Trip>,
    /// All reclamations.
    pub reclamations: BTreeMap<Uuid, Reclamation>,
    /// All payments.
    pub payments: BTreeMap<Uuid, Payment>,
    /// The last committed version.
    pub version: i64,
}

impl Verdict {
    fn judge(&mut self, right: String, wrong: Vec<String>) {
        if wrong.is_empty() {
            self.right.push(right);
        }
        let more = wrong.len().saturating_sub(TOLD);
        self.wrong.extend(wrong.into_iter().take(TOLD));
        if more > 0 {
            self.wrong.push(format!("… and {more} more of the same sort"));
        }
    }
}

impl Verdict {
    /// Everything that was arranged has come about.
    fn judge_trade(&mut self, played: &[Played]) {
        let wrong = played.iter().filter(|played| played.times == 0);
        let wrong = wrong.map(|played| format!("the day had no {}", played.what)).collect();
        self.judge("contracts, chains, scarce goods, changes and a merge: each came about".to_owned(), wrong);
    }

    /// Whoever follows hears of goods and claims in time.
    fn judge_waits(&mut self) {
        let waits = heard::together(&self.waits);
        let Some(longest) = waits.percentile(99) else {
            return self.judge(String::new(), vec!["no phone followed while goods and claims were decided".to_owned()]);
        };
        let (number, longest_ms, limit_ms) = (waits.following.len(), longest.as_millis(), LIMIT.as_millis());
        let heard =
            format!("{number} times a phone followed what was decided about goods and claims: 99 % heard of it");
        let wrong = (longest > LIMIT).then(|| format!("{heard} within {longest_ms} ms, instead of {limit_ms} ms"));
        self.judge(format!("{heard} within {longest_ms} ms"), wrong.into_iter().collect());
    }

    /// The goods are where the trips say, and everything that can go wrong on the way has.
    fn judge_deliveries(&mut self) {
        let trips = self.stored.trips.len();
        let wrong = deliveries::wrong_trips(&self.stored);
        self.judge(
            format!(
                "{trips} trips: each is at its end, and what left is with a customer, came back or is told as missing"
            ),
            wrong,
        );
        let played = deliveries::played(&self.stored);
        let wrong = played.iter().filter(|played| played.times == 0);
        let wrong = wrong.map(|played| format!("the day had no {}", played.what)).collect();
        let told: Vec<String> = played.iter().map(|played| format!("{} {}", played.times, played.what)).collect();
        self.judge(told.join(", "), wrong);
    }
}

/// Judges the evenings of a day that passed so many times faster than real time, by the database of a server that has stopped.
///
/// # Errors
/// When the database does not answer.
pub async fn judge(database: &str, shared: &Shared, lived: &Lived, speed: i64) -> anyhow::Result<Verdict> {
    let db = Db::connect(database).await?;
    let phones: Vec<&Evening> = lived.phones().collect();
    let judged = judge_by(&db, &phones).await;
    db.close().await;
    let (mut verdict, decided) = judged?;
    verdict.waits = heard::waits(&decided, &verdict.stored.places(), (&shared.world, &lived.evenings), speed);
    verdict.judge_waits();
    verdict.judge_deliveries();
    verdict.judge_trade(&shared.day.trade.played(&shared.world, &verdict.stored));
    Ok(verdict)
}

/// What the central store says, and what was decided about goods and claims.
async fn judge_by(db: &Db, evenings: &[&Evening]) -> anyhow::Result<(Verdict, Vec<Decided>)> {
    let mut verdict = Verdict::default();
    let mut tx = db.read().await?;
    let tenants = tenant::all(&mut tx).await?;
    let [(tenant, _)] = tenants[..] else { anyhow::bail!("there are {} tenants instead of one", tenants.len()) };
    verdict.stored = Stored {
        orders: all(&mut tx, tenant).await?,
        visits: all(&mut tx, tenant).await?,
        shipments: all(&mut tx, tenant).await?,
        outlets: all(&mut tx, tenant).await?,
        requests: all(&mut tx, tenant).await?,
        trips: all(&mut tx, tenant).await?,
        reclamations: all(&mut tx, tenant).await?,
        payments: all(&mut tx, tenant).await?,
        version: tenant::head(&mut tx, tenant).await?.map_or(0, |head| head.position.version),
    };
    let decided = heard::decided(&mut tx, tenant, &verdict.stored.places()).await?;
    commands(&mut tx, tenant, evenings, &mut verdict).await?;
    tx.commit().await?;
    replicas(db, tenant, evenings, &mut verdict).await?;
    let findings = verify::verify(db, tenant).await?;
    verdict.judge("the central store: everything derived is as computed anew from the records".to_owned(), findings);
    Ok((verdict, decided))
}

async fn all<R: Record>(tx: &mut Tx, tenant: i64) -> anyhow::Result<BTreeMap<Uuid, R>> {
    let mut records = BTreeMap::new();
    let mut after = Uuid::nil();
    loop {
        let page = record::page(tx, tenant, i64::from(R::KIND as i32), after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(records) };
        after = *last;
        for (id, stored) in page.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none()) {
            records.insert(id, R::decode(stored.document)?);
        }
    }
}

/// Each command that was acknowledged is decided once, and what it was to make is there.
async fn commands(tx: &mut Tx, tenant: i64, evenings: &[&Evening], verdict: &mut Verdict) -> anyhow::Result<()> {
    let rows: Vec<(Uuid, i64)> = tx
        .query_as(
            "SELECT id, CAST(COUNT(*) AS BIGINT) FROM command WHERE tenant = $1 AND device IS NOT NULL GROUP BY id",
        )
        .bind(tenant)
        .all()
        .await?;
    let stored: BTreeMap<Uuid, i64> = rows.into_iter().collect();
    let answered: Vec<&Answered> = evenings.iter().flat_map(|evening| &evening.answered).collect();
    let ids: BTreeSet<Uuid> = answered.iter().map(|answered| answered.id).collect();
    let mut wrong = Vec::new();
    if ids.len() != answered.len() {
        wrong.push(format!("{} commands were answered twice", answered.len() - ids.len()));
    }
    let count = |id: &Uuid| stored.get(id).copied().unwrap_or(0);
    wrong
        .extend(ids.iter().filter(|id| count(id) != 1).map(|id| format!("command {id} is stored {} times", count(id))));
    let unknown = stored.keys().filter(|id| !ids.contains(*id));
    wrong.extend(unknown.map(|id| format!("command {id} is stored, and no device has its answer")));
    let waiting: usize = evenings.iter().map(|evening| evening.waiting).sum();
    if waiting > 0 {
        wrong.push(format!("{waiting} commands still wait in outboxes"));
    }
    let right = format!("{} acknowledged commands of devices: each decided exactly once, none waits", ids.len());
    verdict.judge(right, wrong);

    let (quarantined,): (i64,) =
        tx.query_as("SELECT CAST(COUNT(*) AS BIGINT) FROM quarantine WHERE tenant = $1").bind(tenant).one().await?;
    let wrong = (quarantined > 0).then(|| format!("{quarantined} commands are in quarantine")).into_iter().collect();
    verdict.judge("no command is in quarantine".to_owned(), wrong);

    let taken =
        answered.iter().filter(|answered| answered.name == "SubmitOrder" && is_taken(answered.outcome.status()));
    let (taken, orders) = (taken.count(), verdict.stored.today().count());
    let wrong = (taken != orders).then(|| format!("{taken} orders were acknowledged, and {orders} are stored"));
    verdict.judge(format!("{taken} orders were acknowledged, and as many are stored"), wrong.into_iter().collect());
    Ok(())
}

fn is_taken(status: Status) -> bool {
    match status {
        Status::Applied | Status::Merged | Status::Held => true,
        Status::Rejected | Status::Quarantined | Status::Duplicate | Status::Unspecified => false,
    }
}

impl Stored {
    /// Where what is decided about is.
    #[must_use]
    pub fn places(&self) -> Places<'_> {
        Places { trips: &self.trips, shipments: &self.shipments, reclamations: &self.reclamations }
    }

    /// The orders that representatives took today.
    pub fn today(&self) -> impl Iterator<Item = (&Uuid, &Order)> {
        self.orders.iter().filter(|(_, order)| order.order_day == super::world::TODAY)
    }
}

/// Each replica is what the server's records say that the representative should hold, byte for byte.
async fn replicas(db: &Db, tenant: i64, evenings: &[&Evening], verdict: &mut Verdict) -> anyhow::Result<()> {
    let (mut records, mut bytes, mut wrong) = (0, 0, Vec::new());
    for evening in evenings {
        let name = rep_name(evening.rep);
        let (rep, user) = (Some(rep_id(evening.rep)), user_id(name));
        let role = if evening.rep < TERRITORIES { Role::Rep } else { Role::Driver };
        let caller = Caller { tenant, user, role, rep, team: None, device: None };
        let expected = verify::projection(db, &caller).await?;
        for rows in expected.values() {
            records += rows.len();
            bytes += rows.values().map(bytes::Bytes::len).sum::<usize>();
        }
        wrong.extend(differences(&evening.content, &expected).into_iter().map(|finding| format!("{name}: {finding}")));
        if evening.journal.traffic.damaged > 0 {
            wrong.push(format!("{name}: {} buckets had a wrong sum", evening.journal.traffic.damaged));
        }
    }
    let (devices, records, kilobytes) = (evenings.len(), super::report::grouped(records as i64), bytes / 1_000);
    let right =
        format!("{devices} replicas ({records} records, {kilobytes} kB): each equals the server's, byte for byte");
    verdict.judge(right, wrong);
    Ok(())
}

fn differences(held: &Content, expected: &Content) -> Vec<String> {
    let mut findings = Vec::new();
    let names: BTreeSet<_> = held.keys().chain(expected.keys()).collect();
    for name in names {
        let (scope, kind) = name;
        let (Some(held), Some(expected)) = (held.get(name), expected.get(name)) else {
            let who = if held.contains_key(name) { "device" } else { "server" };
            findings.push(format!("only the {who} has the bucket {scope}, kind {kind}"));
            continue;
        };
        if held != expected {
            let ids: BTreeSet<_> = held.keys().chain(expected.keys()).collect();
            let differ = ids.into_iter().filter(|id| held.get(*id) != expected.get(*id));
            let differ: Vec<String> = differ.map(Uuid::to_string).collect();
            let first = differ.first().cloned().unwrap_or_default();
            findings.push(format!("{scope}, kind {kind}: {} records differ, {first} among them", differ.len()));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_day_without_what_was_arranged_is_wrong() {
        let judged = |times| {
            let mut verdict = Verdict::default();
            verdict.judge_trade(&[Played { what: "change requests", times: 1 }, Played { what: "merges", times }]);
            (verdict.right.len(), verdict.wrong)
        };
        assert_eq!(judged(1), (1, Vec::new()));
        assert_eq!(judged(0), (0, vec!["the day had no merges".to_owned()]));
    }

    #[test]
    fn whoever_hears_of_goods_and_claims_too_late_is_told() {
        let judged = |late: usize| {
            let times = |ms, number| std::iter::repeat_n(Duration::from_millis(ms), number);
            let delivered = Waits { following: times(20, 99).chain(times(1_001, late)).collect(), away: 3 };
            let waits = BTreeMap::from([("delivered", delivered), ("refused", Waits::default())]);
            let mut verdict = Verdict { waits, ..Verdict::default() };
            verdict.judge_waits();
            (verdict.right.len(), verdict.wrong.len())
        };
        assert_eq!([judged(0), judged(1), judged(2)], [(1, 0), (1, 0), (0, 1)]);
        let mut verdict = Verdict::default();
        verdict.judge_waits();
        assert_eq!((verdict.right.len(), verdict.wrong.len()), (0, 1), "nobody heard anything");
    }

    #[test]
    fn a_difference_is_named() {
        let one: Content = [(("tenant".to_owned(), 4), [(Uuid::from_u128(1), bytes::Bytes::from("a"))].into())].into();
        let other: Content =
            [(("tenant".to_owned(), 4), [(Uuid::from_u128(1), bytes::Bytes::from("b"))].into())].into();
        assert_eq!(differences(&one, &one), Vec::<String>::new());
        assert_eq!(differences(&one, &other).len(), 1);
        assert!(differences(&one, &Content::new())[0].contains("only the device"));
    }
}
