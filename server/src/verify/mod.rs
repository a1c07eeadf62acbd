//! Verification: everything that is derived is computed anew from the records and compared with what is stored. The code
//! is naive on purpose and shares nothing with the code that keeps these figures up to date, command by command: one pass
//! over each kind of record, and sums over what that pass has seen.
//!
//! **Recomputed, and compared exactly**
//! - buckets: rows, their hashes and frames, counts, bytes, checksums (`buckets`); documents are compared by their 64-bit
//!   row hash, so that not all of them are in memory at once;
//! - projections ([`crate::projection`]);
//! - the last change of each record that logistics' apps watch (`watched`);
//! - stamps: the territories, the team and the own scope that a record is placed by (`stamps`);
//! - `granted{}` of territories and teams but for the months, `reach{}` but for the own scope (`grants`, `reach`);
//! - which documents hang on an outlet, whatever the month under which they are listed (`documents`);
//! - `outlets{}` and `branches{}` of chains, and what outlets inherit down their trees (`chains`);
//! - the quantities of orders' lines that are in shipments (`shipments`), and `returned{}`, what has come back of them (`returns`);
//!   which shipments trips bring, and what became of their goods (`trips`);
//! - `assignments{}`, `routes{}`, the ids in `prices{}`, `stocks{}`, the sums of `claims{}` (`people`, `calendars`, `goods`,
//!   `claims`);
//! - how `causes{}` hang together, and that nothing is due of a reclamation that is closed, and something of any other (`claims`);
//! - the dependents in `list{}`, what is spent in `promotion{}` (`goods`);
//! - what `quotas{}` says of each quota, and what orders have taken of its shares; which moments of quotas `allocations{}` has
//!   (`quotas`);
//! - `debts{}`, what of `in_hand{}` is still to be handed in, and that each payment was handed in once (`cash`);
//! - `credit{}`, what is promised in `available{}`, `waiting{}`, `demand{}`, and what devices are told to be free (`sums`).
//!
//! **Checked for consistency only**, because it depends on when something was decided, which records do not tell:
//! - `granted{rep}`: the assignments that ran when they were applied last. Where one begins or ends between the last time
//!   that they certainly were applied and the last commit, both answers are right.
//! - the months in `granted{territory}`: a run without gaps, not behind the month that was opened last;
//! - the own scope of a customer: there has to be one above the limit of territories; below it there may have been more once;
//! - the month under which a document is listed: the month of a decision, of a planned day or of an import. It has to be
//!   listed, under its outlet only, and `months{}` has to name exactly the lists that hold something.
//! - `assigned{rep}`: a span for each assignment, from its first day on and to its last, or to the moment at which it was cut
//!   off or was still running; and no other;
//! - `placed{outlet}`: without gaps, and open-ended in the outlet's territory; what it said before is history;
//! - `reps{territory}`: whoever has an assignment is named, and only reps are; who had one that was taken out is history;
//! - `planned{territory day}`: visits of that day, each under one territory; one that is still planned is named, and the
//!   calendar knows its day. Routes and stops were others when it was planned.
//! - `calendar{territory}`: its days ascend, and no plan knows a later revision;
//! - `rep_day{rep day}`: names the rep's visit in progress, and each visit in progress is named;
//! - what `prices{}` says of the last change: it is of this price, and not later than the last commit;
//! - `promotions{}`: of live ones, and as they are; which of them are long over is history, as is what `list{}` and
//!   `promotion{}` say of the last change;
//! - `quotas{}`: of quotas that are there; which of them are long over is history, and so is what an order got when its goods were
//!   shared out: all of them no more than was free;
//! - `survey{}`: is of a survey, and of versions before its own, one after the other; what they said is history;
//! - whether a document's month is stamped: what can only be open or closed in its state has to be. Which month is history;
//! - `customers{outlet}`: whoever is a customer there now is named; who was one once is history.
//! - `outlets{customer}`: each outlet is named at which the customer has documents; where there were some once is history.
//! - `former_terms{outlet}`: of agreements; which the outlet had, and until when, is history.
//! - `restampings{}`: outlets and chains. While one stands there its later documents may still be where it was, or its later
//!   outlets inherit what they did.
//!
//! **Only read**: `revoked{}`, which records that an administrator decided something, and what lies in a warehouse
//! (`available{}`), which was counted, and which shipments, returns and transfers have changed since; the simulation holds them to it command by command.

mod buckets;
mod calendars;
mod cash;
mod chains;
mod claims;
mod documents;
mod facts;
mod goods;
mod grants;
mod internals;
mod people;
mod quotas;
mod reach;
mod returns;
mod shipments;
mod stamps;
mod sums;
mod trips;
mod watched;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use roundsman_sync::kind::{self, KINDS, Kind};
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::debt::Debts;
use roundsman_sync::trade::hand_in::InHand;
use roundsman_sync::trade::placement::{Stamps, place};
use roundsman_sync::trade::quota::Quotas;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::waiting::Waiting;
use uuid::Uuid;

use crate::auth::caller::Caller;
use crate::error::StoreError;
use crate::internal::Revoked;
use crate::projection;
use crate::store::sql::{Db, Tx};
use crate::store::tenant::Head;
use crate::store::{record, tenant};
use crate::workspace::{FIRST_INTERNAL_KIND, Stored};

use facts::Facts;
use internals::Internals;

/// Records in one read.
const PAGE: i64 = 1_000;

/// What buckets hold: by scope and kind, then by record.
pub type Content = BTreeMap<(String, u32), BTreeMap<Uuid, Bytes>>;

/// What was compared, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// One sentence for each difference.
    pub findings: Vec<String>,
    /// How many of what were compared, in the order in which they were.
    pub compared: Vec<(&'static str, usize)>,
}

impl Report {
    fn find(&mut self, finding: String) {
        self.findings.push(finding);
    }

    fn count(&mut self, what: &'static str, number: usize) {
        self.compared.push((what, number));
    }
}

/// What a caller should hold, placed anew from the records, past all buckets; what holds no record is left out.
///
/// # Errors
/// When the database does not answer, or a record can't be read.
pub async fn projection(db: &Db, caller: &Caller) -> Result<Content, StoreError> {
    let mut tx = db.read().await?;
    let holding = crate::grants::holding(&mut tx, caller).await?;
    let mut content = Content::new();
    for kind in KINDS {
        let mut pages = Pages::of(i64::from(*kind as i32));
        while let Some(page) = pages.next(&mut tx, caller.tenant).await? {
            for (id, stored) in page.into_iter().filter(|(_, stored)| stored.removed_at_us.is_none()) {
                let corrupt = |error: String| StoreError::Corrupt(format!("record {id}: {error}"));
                let scopes = scopes(*kind, id, &stored).map_err(corrupt)?;
                for scope in scopes.iter().filter(|scope| holding.scopes.contains(scope)) {
                    let bucket = content.entry((scope.to_string(), *kind as u32)).or_default();
                    bucket.insert(id, stored.document.clone());
                }
            }
        }
    }
    tx.commit().await?;
    Ok(content)
}

fn scopes(kind: Kind, id: Uuid, stored: &Stored) -> Result<Vec<Scope>, String> {
    let stamps = Stamps::decode(stored.stamps.clone()).map_err(|error| error.to_string())?;
    place(kind, id, &stored.document, &stamps).map_err(|error| error.to_string())
}

/// All records of a kind, page by page.
struct Pages {
    kind: i64,
    after: Uuid,
}

impl Pages {
    fn of(kind: i64) -> Self {
        Self { kind, after: Uuid::nil() }
    }

    async fn next(&mut self, tx: &mut Tx, tenant: i64) -> Result<Option<Vec<(Uuid, Stored)>>, StoreError> {
        let page = record::page(tx, tenant, self.kind, self.after, PAGE).await?;
        let Some((last, _)) = page.last() else { return Ok(None) };
        self.after = *last;
        Ok(Some(page))
    }
}

/// Looks for differences between the records and what is derived from them; returns one sentence for each.
///
/// # Errors
/// When the database does not answer.
pub async fn verify(db: &Db, tenant: i64) -> Result<Vec<String>, StoreError> {
    Ok(report(db, tenant, &mut |_| {}).await?.findings)
}

/// Hears how many records were read since the last time.
pub type Seen<'s> = dyn FnMut(usize) + Send + 's;

/// The same, with what was compared. `seen` hears of each record once, those of the server's own too.
///
/// # Errors
/// When the database does not answer.
pub async fn report(db: &Db, tenant: i64, seen: &mut Seen<'_>) -> Result<Report, StoreError> {
    let mut tx = db.read().await?;
    let mut report = Report::default();
    let head = tenant::head(&mut tx, tenant).await?.unwrap_or_default();
    let facts = records(&mut tx, (tenant, &head), &mut report, seen).await?;
    let derived = Derived::read(&mut tx, (tenant, head.at_us), &mut report, seen).await?;
    let (rows, findings) = projection::verify(&mut tx, tenant).await?;
    report.count("projected rows", rows);
    report.findings.extend(findings);
    // A large tenant's facts are compared for longer than a database lets a transaction be silent.
    tx.commit().await?;
    chains::check(&facts, &derived, &mut report);
    reach::check(&facts, &derived, &mut report);
    grants::check(&facts, &derived, &mut report);
    documents::check(&facts, &derived, &mut report);
    people::check(&facts, &derived, &mut report);
    calendars::check(&facts, &derived, &mut report);
    goods::check(&facts, &derived, &mut report);
    claims::check(&facts, &derived, &mut report);
    shipments::check(&facts, &mut report);
    facts.trips.check(&mut report);
    returns::check(&facts, &derived, &mut report);
    cash::check(&facts, &derived, &mut report);
    sums::check(&facts, &derived, &mut report);
    quotas::check(&facts, &derived, &mut report);
    stamps::check(&facts, &derived, &mut report);
    Ok(report)
}

/// One pass over all records: buckets are compared kind by kind, and the facts for everything else are collected.
async fn records(
    tx: &mut Tx,
    (tenant, head): (i64, &Head),
    report: &mut Report,
    seen: &mut Seen<'_>,
) -> Result<Facts, StoreError> {
    let version = head.position.version;
    let mut facts = Facts::default();
    let mut watched = watched::Watched::default();
    let mut buckets = buckets::Buckets::read(tx, tenant).await?;
    let (mut live, mut removed) = (0, 0);
    for kind in KINDS {
        let mut expected = buckets::Expected::default();
        let mut pages = Pages::of(i64::from(*kind as i32));
        while let Some(page) = pages.next(tx, tenant).await? {
            seen(page.len());
            for (id, stored) in page {
                if stored.version > version {
                    report
                        .find(format!("{kind:?} {id} has version {}, after the last commit {version}", stored.version));
                }
                watched.note(id, &stored);
                if stored.removed_at_us.is_some() {
                    removed += 1;
                    facts.note_removed(*kind, id, &stored);
                    continue;
                }
                live += 1;
                match scopes(*kind, id, &stored) {
                    Ok(scopes) => expected.add(scopes, id, &stored),
                    Err(error) => report.find(format!("{kind:?} {id} can't be placed: {error}")),
                }
                if let Err(error) = facts.note(*kind, id, &stored) {
                    report.find(format!("{kind:?} {id} can't be read: {error}"));
                }
            }
        }
        buckets.compare((tx, tenant, version), *kind, expected, report).await?;
    }
    report.count("live records", live);
    report.count("removed records", removed);
    buckets.finish(tx, tenant, report).await?;
    watched.compare(tx, (tenant, head.horizon), report).await?;
    for (number, count) in record::kinds(tx, tenant).await? {
        if number < FIRST_INTERNAL_KIND && kind::from_number(number).is_none() {
            report.find(format!("{count} records are of kind {number}, which this program does not know"));
        }
    }
    Ok(facts)
}

/// All internal records, by kind and name.
struct Derived {
    granted: Internals<crate::internal::Granted>,
    reach: Internals<crate::internal::Reach>,
    documents: Internals<crate::internal::OutletDocuments>,
    months: Internals<crate::internal::OutletMonths>,
    territory_reps: Internals<crate::internal::TerritoryReps>,
    assigned: Internals<roundsman_sync::trade::assignment::Assigned>,
    placed: Internals<roundsman_sync::trade::assignment::Placed>,
    rep_assignments: Internals<crate::internal::RepAssignments>,
    routes: Internals<crate::internal::TerritoryRoutes>,
    planned: Internals<crate::internal::TerritoryDay>,
    calendars: Internals<crate::internal::TerritoryCalendar>,
    restampings: Internals<crate::internal::Restampings>,
    rep_days: Internals<roundsman_sync::trade::visit::RepDay>,
    prices: Internals<crate::internal::ProductPrices>,
    lists: Internals<crate::internal::ListState>,
    live_promotions: Internals<crate::internal::Promotions>,
    promotions: Internals<crate::internal::PromotionState>,
    surveys: Internals<crate::internal::FormerSurveys>,
    stocks: Internals<crate::internal::ProductStocks>,
    claims: Internals<roundsman_sync::trade::reclamation::Claims>,
    causes: Internals<roundsman_sync::trade::reclamation::cause::Causes>,
    returned: Internals<roundsman_sync::trade::goods_return::Returned>,
    available: Internals<Available>,
    quotas: Internals<Quotas>,
    allocations: Internals<crate::internal::AllocationCalendar>,
    demand: Internals<roundsman_sync::trade::allocation::Demand>,
    waiting: Internals<Waiting>,
    credit: Internals<Credit>,
    debts: Internals<Debts>,
    in_hand: Internals<InHand>,
    customers: Internals<crate::internal::OutletCustomers>,
    customer_outlets: Internals<crate::internal::CustomerOutlets>,
    former_terms: Internals<crate::internal::FormerTerms>,
    chain_outlets: Internals<crate::internal::ChainOutlets>,
    chain_branches: Internals<crate::internal::ChainBranches>,
    /// When assignments were put into `assigned{}`, by version; what is below the horizon is not known any more.
    moments: BTreeMap<i64, i64>,
    /// The last commit, in microseconds since the Unix epoch.
    at_us: i64,
}

impl Derived {
    async fn read(
        tx: &mut Tx,
        (tenant, at_us): (i64, i64),
        report: &mut Report,
        seen: &mut Seen<'_>,
    ) -> Result<Self, StoreError> {
        let mut reader = internals::Reader { tx, tenant, report, seen, kinds: BTreeSet::new() };
        let mut derived = Self {
            granted: reader.read("granted{}").await?,
            reach: reader.read("reach{}").await?,
            documents: reader.read("documents{}").await?,
            months: reader.read("months{}").await?,
            territory_reps: reader.read("reps{}").await?,
            assigned: reader.read("assigned{}").await?,
            placed: reader.read("placed{}").await?,
            rep_assignments: reader.read("assignments{}").await?,
            routes: reader.read("routes{}").await?,
            planned: reader.read("planned{}").await?,
            calendars: reader.read("calendar{}").await?,
            restampings: reader.read("restampings{}").await?,
            rep_days: reader.read("rep_day{}").await?,
            prices: reader.read("prices{}").await?,
            lists: reader.read("list{}").await?,
            live_promotions: reader.read("promotions{}").await?,
            promotions: reader.read("promotion{}").await?,
            surveys: reader.read("survey{}").await?,
            stocks: reader.read("stocks{}").await?,
            claims: reader.read("claims{}").await?,
            causes: reader.read("causes{}").await?,
            returned: reader.read("returned{}").await?,
            available: reader.read("available{}").await?,
            quotas: reader.read("quotas{}").await?,
            allocations: reader.read("allocations{}").await?,
            demand: reader.read("demand{}").await?,
            waiting: reader.read("waiting{}").await?,
            credit: reader.read("credit{}").await?,
            debts: reader.read("debts{}").await?,
            in_hand: reader.read("in_hand{}").await?,
            customers: reader.read("customers{}").await?,
            customer_outlets: reader.read("outlets{customer}").await?,
            former_terms: reader.read("former_terms{}").await?,
            chain_outlets: reader.read("outlets{}").await?,
            chain_branches: reader.read("branches{}").await?,
            moments: BTreeMap::new(),
            at_us,
        };
        reader.read::<Revoked>("revoked{}").await?;
        let known = reader.kinds;
        let versions: Vec<i64> = derived.assigned.versions().collect();
        derived.moments = tenant::moments(tx, tenant, &versions).await?.into_iter().collect();
        for (number, count) in record::kinds(tx, tenant).await? {
            if number >= FIRST_INTERNAL_KIND && !known.contains(&number) {
                report.find(format!("{count} internal records are of kind {number}, which this program does not know"));
            }
        }
        Ok(derived)
    }
}
