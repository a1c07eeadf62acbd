//! Stamps: what a record's placement takes from other records.

use roundsman_sync::kind::Kind;
use roundsman_sync::trade::placement::{CUSTOMER_TERRITORIES, Stamps};
use uuid::Uuid;

use super::facts::{Age, DocumentFacts, Facts};
use super::{Derived, Report, reach};
use crate::internal::Reaching;

/// Compares the stamps of all records.
pub(super) fn check(facts: &Facts, derived: &Derived, report: &mut Report) {
    let customers = reach::of_customers(facts);
    let of_customer = |customer: Uuid| {
        let territories = customers.get(&customer).map(|reached| reached.keys().copied().collect()).unwrap_or_default();
        let own_scope = derived.reach.of(&Reaching::Customer(customer)).own_scope;
        wide(territories, own_scope)
    };
    for (id, (kind, stored)) in &facts.stamps {
        let right = match kind {
            Kind::Customer => of_customer(*id),
            Kind::Agreement => {
                facts.agreements.get(id).and_then(|terms| terms.customer).map(of_customer).unwrap_or_default()
            }
            Kind::Contract => facts.contracts.get(id).copied().map(of_customer).unwrap_or_default(),
            Kind::Receivable => facts.receivables.get(id).copied().map(of_customer).unwrap_or_default(),
            Kind::Outlet => {
                facts.outlets.get(id).map(|outlet| Stamps::of_territory(outlet.territory)).unwrap_or_default()
            }
            Kind::Rep => of_team(facts, *id),
            Kind::Assignment => {
                facts.assignments.get(id).map(|assignment| of_team(facts, assignment.rep)).unwrap_or_default()
            }
            Kind::Product | Kind::PriceList | Kind::Price | Kind::Warehouse | Kind::Stock => Stamps::default(),
            Kind::Survey | Kind::Team | Kind::Territory | Kind::Route | Kind::Task | Kind::Promotion => {
                Stamps::default()
            }
            Kind::CashHandIn | Kind::Chain | Kind::StockQuota | Kind::MustSellList => Stamps::default(),
            Kind::ClaimCause | Kind::Wave | Kind::Vehicle | Kind::Trip => Stamps::default(),
            Kind::StockTransfer | Kind::StockCount => Stamps::default(),
            Kind::Visit | Kind::Order | Kind::Payment | Kind::Shipment | Kind::Reclamation => continue,
            Kind::SurveyResponse | Kind::ChangeRequest | Kind::GoodsReturn | Kind::Unspecified => continue,
        };
        if *stored != right {
            report.find(format!("{kind:?} {id} is placed by {}, and it should be by {}", words(stored), words(&right)));
        }
    }
    for (id, document) in &facts.documents {
        check_document(facts, derived, (*id, document), report);
    }
    report.count("stamps", facts.stamps.len() + facts.documents.len());
}

/// The stamps of what is placed with a customer.
fn wide(territories: Vec<Uuid>, own_scope: bool) -> Stamps {
    if own_scope || territories.len() > CUSTOMER_TERRITORIES {
        return Stamps { own_scope: true, ..Stamps::default() };
    }
    Stamps { territories: territories.iter().map(|id| id.as_bytes().to_vec()).collect(), ..Stamps::default() }
}

fn of_team(facts: &Facts, rep: Uuid) -> Stamps {
    facts.reps.get(&rep).copied().map(Stamps::of_team).unwrap_or_default()
}

fn check_document(facts: &Facts, derived: &Derived, (id, document): (Uuid, &DocumentFacts), report: &mut Report) {
    let DocumentFacts { kind, outlet, .. } = document;
    let right = territory(facts, derived, *outlet);
    if right.is_none() {
        report.find(format!("{kind:?} {id} hangs on {outlet}, which never was an outlet"));
    } else if document.territory != right && !is_left(derived, *outlet, id) {
        let words =
            |territory: Option<Uuid>| territory.map_or_else(|| "no one territory".to_owned(), |id| id.to_string());
        let (stored, right) = (words(document.territory), words(right));
        report.find(format!("{kind:?} {id} is placed by {stored}, and its outlet {outlet} is in {right}"));
    }
    match (document.age, document.closed) {
        (Age::Open, true) => report.find(format!("{kind:?} {id} is open, and is placed in a month")),
        (Age::Closed, false) => report.find(format!("{kind:?} {id} has ended, and is not placed in a month")),
        (Age::Open, false) | (Age::Closed, true) | (Age::Either, _) => {}
    }
}

/// Where an outlet is, or was last.
fn territory(facts: &Facts, derived: &Derived, outlet: Uuid) -> Option<Uuid> {
    if let Some(live) = facts.outlets.get(&outlet) {
        return Some(live.territory);
    }
    Uuid::from_slice(&derived.placed.of(&outlet).spans.last()?.territory).ok()
}

/// Whether the placement of a document is work that is left to be done.
fn is_left(derived: &Derived, outlet: Uuid, document: Uuid) -> bool {
    let notes = derived.restampings.of(&()).entries;
    notes.iter().any(|note| note.source_id == outlet.as_bytes() && document.as_bytes()[..] > note.after[..])
}

fn words(stamps: &Stamps) -> String {
    let ids = |ids: &[Vec<u8>]| -> Vec<String> {
        ids.iter().map(|id| Uuid::from_slice(id).unwrap_or_default().to_string()).collect()
    };
    let Stamps { territories, closed_month, team, own_scope } = stamps;
    if *own_scope {
        return "a scope of its own".to_owned();
    }
    let team =
        if team.is_empty() { String::new() } else { format!(" and team {}", ids(std::slice::from_ref(team)).join("")) };
    let month = closed_month.map_or_else(String::new, |month| format!(" and month {month}"));
    format!("territories [{}]{team}{month}", ids(territories).join(", "))
}
