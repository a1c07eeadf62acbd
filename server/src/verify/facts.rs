//! What the pass over the records remembers of each: ids and small facts, never a document.

use std::collections::{BTreeMap, BTreeSet};

use chrono_tz::Tz;
use prost::Message;
use roundsman_proto::trade::{
    Agreement, Assignment, CashHandIn, Chain, ChangeRequest, ChangeRequestState, ClaimCause, Contract, GoodsReturn,
    Hold, HoldReason, LineDifference, LineQuota, Order, OrderLine, OrderStatus, Outlet, Payment, PaymentMethod, Price,
    PriceList, Promotion, Receivable, Reclamation, ReclamationCause, Rep, ReturnOrigin, ReturnState, Route, Shipment,
    ShipmentState, Stock, StockQuota, SurveyResponse, Task, TaskState, Territory, Visit, VisitState, Warehouse,
};
use roundsman_sync::kind::Kind;
use roundsman_sync::scope::Month;
use roundsman_sync::trade::credit::{Account, ContractCredit, Credit, HeldOrder};
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::reclamation::stages;
use uuid::Uuid;

use super::trips::Trips;
use crate::calendar;
use crate::internal::Debtor;
use crate::workspace::Stored;

/// Where a territory belongs.
pub(super) struct TerritoryFacts {
    pub(super) team: Option<Uuid>,
    pub(super) warehouse: Option<Uuid>,
    pub(super) zone: Tz,
}

/// Where an outlet is, and on what terms it buys.
pub(super) struct OutletFacts {
    pub(super) territory: Uuid,
    pub(super) customer: Option<Uuid>,
    /// By which it buys, as often as the outlet names them.
    pub(super) agreements: Vec<Uuid>,
    pub(super) chain: Option<Uuid>,
    /// It has no agreements of its own.
    pub(super) inherits: bool,
    /// What it is said to inherit.
    pub(super) inherited: Vec<Uuid>,
}

/// A chain.
pub(super) struct ChainFacts {
    pub(super) parent: Option<Uuid>,
    pub(super) agreements: Vec<Uuid>,
}

/// An agreement.
pub(super) struct AgreementFacts {
    pub(super) customer: Option<Uuid>,
    pub(super) price_list: Uuid,
}

/// An assignment.
pub(super) struct AssignmentFacts {
    pub(super) rep: Uuid,
    pub(super) territory: Uuid,
    pub(super) from_day: i32,
    pub(super) to_day: i32,
}

/// A visit.
pub(super) struct VisitFacts {
    pub(super) outlet: Uuid,
    pub(super) rep: Option<Uuid>,
    pub(super) day: i32,
    pub(super) state: VisitState,
    /// A route asked for it, and it was not imported.
    pub(super) by_route: bool,
    pub(super) imported: bool,
    pub(super) checked_in_day: i32,
}

/// Whether a document has to be stamped with a month.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Age {
    /// It is open.
    Open,
    /// It is closed.
    Closed,
    /// An import closes it in any state.
    Either,
}

/// A document that hangs on an outlet.
pub(super) struct DocumentFacts {
    pub(super) kind: Kind,
    pub(super) outlet: Uuid,
    pub(super) age: Age,
    /// The only territory in its stamps; `None`: there is none, or more than one, or something else is stamped.
    pub(super) territory: Option<Uuid>,
    pub(super) closed: bool,
}

/// What orders wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Awaited {
    /// Goods: warehouse and product.
    Goods(Uuid, Uuid),
    /// The budget of a promotion.
    Budget(Uuid),
    /// An agreement.
    Terms(Uuid),
    /// Another order.
    Order(Uuid),
}

/// What a document of the books is known by: its number, else its order, else its due day.
pub(super) type DocumentName = (String, Vec<u8>, i32);

/// A line of an order: the order's id, and the line's.
pub(super) type LineName = (Uuid, Vec<u8>);

/// What of an order's line has become of the goods; see the fields of `OrderLine`.
#[derive(Clone, Copy, Default, PartialEq)]
pub(super) struct Whereabouts {
    pub(super) assigned_milli: i64,
    pub(super) shipped_milli: i64,
    pub(super) delivered_milli: i64,
    pub(super) refused_milli: i64,
    pub(super) missing_milli: i64,
}

/// What was claimed of a line of a shipment.
#[derive(Default)]
pub(super) struct ClaimFacts {
    pub(super) claimed_milli: i64,
    pub(super) accepted_milli: i64,
    pub(super) accepted_missing_milli: i64,
    pub(super) reclamations: BTreeSet<Uuid>,
}

/// What has come back of a line of a shipment, and what is to.
#[derive(Default)]
pub(super) struct ReturnFacts {
    pub(super) not_taken_milli: i64,
    pub(super) given_back_milli: i64,
    pub(super) announced_milli: i64,
}

/// A share: warehouse and product, quota, and holder as it is stored.
pub(super) type ShareName = ((Uuid, Uuid), Uuid, Vec<u8>);

/// How scarce goods are shared out.
pub(super) struct QuotaFacts {
    pub(super) days: (i32, i32),
    pub(super) return_at_us: i64,
    pub(super) share_out_at_us: i64,
    /// By holder, as it is stored.
    pub(super) shares: BTreeMap<Vec<u8>, i64>,
}

/// Cash or a cheque that a rep took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CashFacts {
    pub(super) rep: Uuid,
    pub(super) currency: String,
    pub(super) method: PaymentMethod,
    pub(super) amount_minor: i64,
}

/// What a rep handed in.
pub(super) struct HandInFacts {
    pub(super) rep: Uuid,
    pub(super) currency: String,
    pub(super) expected_minor: i64,
    pub(super) payments: Vec<Uuid>,
}

/// What is known of all records; live ones where nothing else is said.
#[derive(Default)]
pub(super) struct Facts {
    pub(super) territories: BTreeMap<Uuid, TerritoryFacts>,
    pub(super) outlets: BTreeMap<Uuid, OutletFacts>,
    /// Archived outlets, with those that took their place.
    pub(super) archived: BTreeMap<Uuid, Option<Uuid>>,
    /// Customers that were merged into others, with these.
    pub(super) merged: BTreeMap<Uuid, Uuid>,
    /// Which customers have documents at which outlets.
    pub(super) bought: BTreeSet<(Uuid, Uuid)>,
    pub(super) agreements: BTreeMap<Uuid, AgreementFacts>,
    pub(super) chains: BTreeMap<Uuid, ChainFacts>,
    /// By receivable, the customer.
    pub(super) receivables: BTreeMap<Uuid, Uuid>,
    /// By contract, the customer.
    pub(super) contracts: BTreeMap<Uuid, Uuid>,
    /// By price list and product.
    pub(super) prices: BTreeMap<(Uuid, Uuid), BTreeSet<Uuid>>,
    /// By price list, the lists that are computed from it.
    pub(super) computed_lists: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// By price list, the lists whose lowest prices it has.
    pub(super) limited_lists: BTreeMap<Uuid, BTreeSet<Uuid>>,
    /// Currency, first and last day.
    pub(super) promotions: BTreeMap<Uuid, (String, i32, i32)>,
    /// By survey, the version that wrote it.
    pub(super) surveys: BTreeMap<Uuid, i64>,
    /// What confirmed orders take of a promotion's budget: money, and quantity.
    pub(super) spent: BTreeMap<Uuid, (i64, i64)>,
    /// Requests that are not answered, with their orders.
    pub(super) open_requests: BTreeMap<Uuid, Uuid>,
    /// The same, by what the orders say.
    pub(super) awaited_requests: BTreeMap<Uuid, Uuid>,
    /// By product, then by warehouse.
    pub(super) stocks: BTreeMap<Uuid, BTreeMap<Uuid, BTreeSet<Uuid>>>,
    /// By warehouse and product, then by quota.
    pub(super) quotas: BTreeMap<(Uuid, Uuid), BTreeMap<Uuid, QuotaFacts>>,
    /// What orders count for in shares.
    pub(super) used: BTreeMap<ShareName, i64>,
    /// By warehouse, the rep whose van it is.
    pub(super) vans: BTreeMap<Uuid, Uuid>,
    /// By rep, the team.
    pub(super) reps: BTreeMap<Uuid, Uuid>,
    pub(super) assignments: BTreeMap<Uuid, AssignmentFacts>,
    /// By route, the territory.
    pub(super) routes: BTreeMap<Uuid, Uuid>,
    pub(super) visits: BTreeMap<Uuid, VisitFacts>,
    pub(super) documents: BTreeMap<Uuid, DocumentFacts>,
    /// What devices are told to be free and in quarantine, by stock record: with its warehouse and product.
    pub(super) free: BTreeMap<Uuid, (Uuid, Uuid, (i64, i64))>,
    /// What lines of orders have set aside, by warehouse and product.
    pub(super) reserved: BTreeMap<(Uuid, Uuid), i64>,
    /// What shipments that have not left are to bring, by warehouse and product.
    pub(super) picking: BTreeMap<(Uuid, Uuid), i64>,
    /// Which orders wait for what: by goods in a warehouse, or by promotion; each with when it was submitted.
    pub(super) waiting: BTreeMap<Awaited, BTreeSet<(i64, Uuid)>>,
    /// What orders want that wait until it is shared out, by warehouse and product, then by when they were submitted, and order.
    pub(super) demand: BTreeMap<(Uuid, Uuid), BTreeMap<(i64, Uuid), i64>>,
    /// What customers owe and are about to owe, by customer and currency.
    pub(super) credits: BTreeMap<Debtor, Credit>,
    /// The same of what is owed under contracts, by what receivables, orders and payments name.
    pub(super) accounts: BTreeMap<(Debtor, Vec<u8>), Account>,
    /// What payments that the books don't contain have allocated, by customer and currency, then by document.
    pub(super) allocated: BTreeMap<Debtor, BTreeMap<DocumentName, i64>>,
    /// The receivables of a customer in a currency.
    pub(super) debts: BTreeMap<Debtor, BTreeSet<Uuid>>,
    /// Payments in cash and by cheque.
    pub(super) cash: BTreeMap<Uuid, CashFacts>,
    pub(super) hand_ins: BTreeMap<Uuid, HandInFacts>,
    pub(super) trips: Trips,
    /// What the shipments say.
    pub(super) shipped: BTreeMap<LineName, Whereabouts>,
    /// What the orders say that have shipments.
    pub(super) ordered: BTreeMap<LineName, Whereabouts>,
    /// By shipment, then by its line.
    pub(super) claims: BTreeMap<Uuid, BTreeMap<Vec<u8>, ClaimFacts>>,
    /// By cause of claims, the parent.
    pub(super) claim_causes: BTreeMap<Uuid, Option<Uuid>>,
    /// Reclamations that are closed while something is due, or open while nothing is.
    pub(super) undue: BTreeSet<Uuid>,
    /// By shipment, then by its line.
    pub(super) returns: BTreeMap<Uuid, BTreeMap<Vec<u8>, ReturnFacts>>,
    /// What can have come back of a line of a shipment: what was not delivered, and what was.
    pub(super) went: BTreeMap<(Uuid, Vec<u8>), (i64, i64)>,
    /// Of everything but documents.
    pub(super) stamps: BTreeMap<Uuid, (Kind, Stamps)>,
}

/// What is wrong with a document that can't be read.
pub(super) type Unreadable = String;

fn read<M: Message + Default>(stored: &Stored) -> Result<M, Unreadable> {
    M::decode(stored.document.clone()).map_err(|error| error.to_string())
}

pub(super) fn id(bytes: &[u8], field: &str) -> Result<Uuid, Unreadable> {
    Uuid::from_slice(bytes).map_err(|_| format!("{field} is no id"))
}

pub(super) fn optional(bytes: &[u8], field: &str) -> Result<Option<Uuid>, Unreadable> {
    if bytes.is_empty() { Ok(None) } else { id(bytes, field).map(Some) }
}

fn ids(bytes: &[Vec<u8>], field: &str) -> Result<Vec<Uuid>, Unreadable> {
    bytes.iter().map(|bytes| id(bytes, field)).collect()
}

impl Facts {
    /// A removed record.
    pub(super) fn note_removed(&mut self, kind: Kind, id: Uuid, stored: &Stored) {
        if kind == Kind::Outlet {
            self.archived.insert(id, stored.survivor);
        }
        if let (Kind::Customer, Some(survivor)) = (kind, stored.survivor) {
            self.merged.insert(id, survivor);
        }
    }

    /// The customer that stands for this one.
    pub(super) fn remaining(&self, customer: Uuid) -> Uuid {
        let mut id = customer;
        while let Some(survivor) = self.merged.get(&id) {
            id = *survivor;
        }
        id
    }

    /// Notes that a document of an outlet names a customer.
    fn note_bought(&mut self, outlet: &[u8], customer: &[u8]) -> Result<(), Unreadable> {
        if let Some(customer) = optional(customer, "customer_id")? {
            self.bought.insert((customer, id(outlet, "outlet_id")?));
        }
        Ok(())
    }

    /// A live record.
    pub(super) fn note(&mut self, kind: Kind, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        match kind {
            Kind::Visit | Kind::Order | Kind::Shipment | Kind::Payment | Kind::Reclamation | Kind::SurveyResponse => {
                self.note_document(kind, record, stored)
            }
            Kind::Task | Kind::ChangeRequest | Kind::GoodsReturn => self.note_document(kind, record, stored),
            Kind::Customer | Kind::Outlet | Kind::Agreement | Kind::Receivable => self.note_trade(kind, record, stored),
            Kind::Chain | Kind::Contract => self.note_trade(kind, record, stored),
            Kind::Rep | Kind::Team | Kind::Territory | Kind::Assignment | Kind::Route => {
                self.note_people(kind, record, stored)
            }
            Kind::Product | Kind::PriceList | Kind::Price | Kind::Warehouse | Kind::Stock | Kind::Survey => {
                self.note_goods(kind, record, stored)
            }
            Kind::Promotion | Kind::MustSellList | Kind::StockQuota => self.note_goods(kind, record, stored),
            Kind::CashHandIn => self.note_hand_in(record, stored),
            Kind::Trip => {
                self.note_stamps(kind, record, stored)?;
                self.trips.note_trip(record, &read(stored)?)
            }
            Kind::ClaimCause => {
                let cause: ClaimCause = read(stored)?;
                self.claim_causes.insert(record, optional(&cause.parent_id, "parent_id")?);
                self.note_stamps(kind, record, stored)
            }
            Kind::Wave | Kind::Vehicle | Kind::StockTransfer | Kind::StockCount => {
                self.note_stamps(kind, record, stored)
            }
            Kind::Unspecified => Err("it has no kind".to_owned()),
        }
    }

    fn note_stamps(&mut self, kind: Kind, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        let stamps = Stamps::decode(stored.stamps.clone()).map_err(|error| error.to_string())?;
        self.stamps.insert(record, (kind, stamps));
        Ok(())
    }

    fn note_trade(&mut self, kind: Kind, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        self.note_stamps(kind, record, stored)?;
        if kind == Kind::Outlet {
            let outlet: Outlet = read(stored)?;
            let own = ids(&outlet.agreement_ids, "agreement_ids")?;
            let inherited = ids(&outlet.inherited_agreement_ids, "inherited_agreement_ids")?;
            let inherits = own.is_empty();
            let facts = OutletFacts {
                territory: id(&outlet.territory_id, "territory_id")?,
                customer: optional(&outlet.customer_id, "customer_id")?,
                agreements: if inherits { inherited.clone() } else { own },
                chain: optional(&outlet.chain_id, "chain_id")?,
                inherits,
                inherited,
            };
            self.outlets.insert(record, facts);
        } else if kind == Kind::Agreement {
            let agreement: Agreement = read(stored)?;
            let customer = optional(&agreement.customer_id, "customer_id")?;
            let price_list = id(&agreement.price_list_id, "price_list_id")?;
            self.agreements.insert(record, AgreementFacts { customer, price_list });
        } else if kind == Kind::Chain {
            let chain: Chain = read(stored)?;
            let parent = optional(&chain.parent_id, "parent_id")?;
            let agreements = ids(&chain.agreement_ids, "agreement_ids")?;
            self.chains.insert(record, ChainFacts { parent, agreements });
        } else if kind == Kind::Receivable {
            let receivable: Receivable = read(stored)?;
            self.receivables.insert(record, id(&receivable.customer_id, "customer_id")?);
            self.note_receivable(record, &receivable)?;
        } else if kind == Kind::Contract {
            let contract: Contract = read(stored)?;
            self.contracts.insert(record, id(&contract.customer_id, "customer_id")?);
            let credit = self.credit(&contract.customer_id, &contract.currency)?;
            let (contract_id, account) = (record.as_bytes().to_vec(), Account::default());
            credit.contracts.push(ContractCredit { contract_id, contract, account });
        }
        Ok(())
    }

    fn note_people(&mut self, kind: Kind, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        self.note_stamps(kind, record, stored)?;
        if kind == Kind::Rep {
            let rep: Rep = read(stored)?;
            self.reps.insert(record, id(&rep.team_id, "team_id")?);
        } else if kind == Kind::Territory {
            let territory: Territory = read(stored)?;
            let zone = calendar::zone(&territory.time_zone).ok_or("it has no time zone")?;
            let facts = TerritoryFacts {
                team: optional(&territory.team_id, "team_id")?,
                warehouse: optional(&territory.warehouse_id, "warehouse_id")?,
                zone,
            };
            self.territories.insert(record, facts);
        } else if kind == Kind::Assignment {
            let assignment: Assignment = read(stored)?;
            let facts = AssignmentFacts {
                rep: id(&assignment.rep_id, "rep_id")?,
                territory: id(&assignment.territory_id, "territory_id")?,
                from_day: assignment.from_day,
                to_day: assignment.to_day,
            };
            self.assignments.insert(record, facts);
        } else if kind == Kind::Route {
            let route: Route = read(stored)?;
            self.routes.insert(record, id(&route.territory_id, "territory_id")?);
        }
        Ok(())
    }

    fn note_goods(&mut self, kind: Kind, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        // There are many goods, and nothing is stamped on them: what is has to be remembered, nothing else.
        if !stored.stamps.is_empty() {
            self.note_stamps(kind, record, stored)?;
        }
        if kind == Kind::Price {
            let price: Price = read(stored)?;
            let key = (id(&price.price_list_id, "price_list_id")?, id(&price.product_id, "product_id")?);
            self.prices.entry(key).or_default().insert(record);
        } else if kind == Kind::Stock {
            let stock: Stock = read(stored)?;
            let (warehouse, product) = (id(&stock.warehouse_id, "warehouse_id")?, id(&stock.product_id, "product_id")?);
            self.stocks.entry(product).or_default().entry(warehouse).or_default().insert(record);
            self.free.insert(record, (warehouse, product, (stock.free_milli, stock.quarantined_milli)));
        } else if kind == Kind::Warehouse {
            let warehouse: Warehouse = read(stored)?;
            self.vans.extend(optional(&warehouse.rep_id, "rep_id")?.map(|rep| (record, rep)));
        } else if kind == Kind::PriceList {
            let list: PriceList = read(stored)?;
            if let Some(base) = optional(&list.base_list_id, "base_list_id")? {
                self.computed_lists.entry(base).or_default().insert(record);
            }
            if let Some(floor) = optional(&list.floor_list_id, "floor_list_id")? {
                self.limited_lists.entry(floor).or_default().insert(record);
            }
        } else if kind == Kind::Promotion {
            let promotion: Promotion = read(stored)?;
            self.promotions.insert(record, (promotion.currency, promotion.valid_from_day, promotion.valid_to_day));
        } else if kind == Kind::StockQuota {
            self.note_quota(record, &read(stored)?)?;
        } else if kind == Kind::Survey {
            self.surveys.insert(record, stored.version);
        }
        Ok(())
    }

    fn note_quota(&mut self, record: Uuid, quota: &StockQuota) -> Result<(), Unreadable> {
        let goods = (id(&quota.warehouse_id, "warehouse_id")?, id(&quota.product_id, "product_id")?);
        let mut shares = BTreeMap::new();
        for entry in &quota.entries {
            let holder = entry.holder.as_ref().ok_or("a share is nobody's")?;
            shares.insert(holder.encode_to_vec(), entry.quantity_milli);
        }
        let days = (quota.valid_from_day, quota.valid_to_day);
        let StockQuota { return_at_us, share_out_at_us, .. } = *quota;
        let facts = QuotaFacts { days, return_at_us, share_out_at_us, shares };
        self.quotas.entry(goods).or_default().insert(record, facts);
        Ok(())
    }

    /// In which shares the lines of an order count, and for how much.
    fn note_shares(&mut self, order: &Order) -> Result<(), Unreadable> {
        let confirmed = matches!(order.status(), OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed);
        for line in &order.lines {
            let Some(LineQuota { quota_id, holder: Some(holder) }) = &line.quota else { continue };
            let promised = confirmed && line.difference() != LineDifference::BackOrdered;
            let gone = line.shipped_milli.saturating_sub(line.refused_milli).saturating_sub(line.missing_milli);
            let counted = if promised { line.confirmed_milli } else { line.reserved_milli.saturating_add(gone) };
            let goods = (id(&order.warehouse_id, "warehouse_id")?, id(&line.product_id, "product_id")?);
            let share = (goods, id(quota_id, "quota_id")?, holder.encode_to_vec());
            let used = self.used.entry(share).or_default();
            *used = used.saturating_add(counted);
        }
        Ok(())
    }

    fn note_document(&mut self, kind: Kind, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        let stamps = Stamps::decode(stored.stamps.clone()).map_err(|error| error.to_string())?;
        let closed = stamps.closed_month.is_some();
        let (outlet, age) = match kind {
            Kind::Visit => self.note_visit(record, &read(stored)?, closed)?,
            Kind::Order => self.note_order(record, &read(stored)?)?,
            Kind::Shipment => {
                let shipment = read(stored)?;
                self.trips.note_shipment(record, &shipment)?;
                self.note_shipment(record, &shipment)?
            }
            Kind::GoodsReturn => self.note_return(&read(stored)?)?,
            Kind::Payment => self.note_payment(record, &read(stored)?)?,
            Kind::Reclamation => self.note_claim(record, &read(stored)?)?,
            Kind::SurveyResponse => (read::<SurveyResponse>(stored)?.outlet_id, Age::Closed),
            Kind::Task => task(&read(stored)?),
            Kind::ChangeRequest => self.note_request(record, &read(stored)?)?,
            Kind::Customer | Kind::Outlet | Kind::Agreement | Kind::Receivable | Kind::Rep | Kind::Team => {
                return Ok(());
            }
            Kind::Territory | Kind::Assignment | Kind::Route | Kind::Product | Kind::PriceList => return Ok(()),
            Kind::Price | Kind::Warehouse | Kind::Stock | Kind::Survey | Kind::Promotion => return Ok(()),
            Kind::StockQuota | Kind::CashHandIn | Kind::Chain | Kind::MustSellList | Kind::Contract => return Ok(()),
            Kind::ClaimCause | Kind::Wave | Kind::Vehicle | Kind::Trip | Kind::Unspecified => return Ok(()),
            Kind::StockTransfer | Kind::StockCount => return Ok(()),
        };
        let Some(outlet) = optional(&outlet, "outlet_id")? else {
            // A task that is to be done at no outlet.
            self.stamps.insert(record, (kind, stamps));
            return Ok(());
        };
        let plain = stamps.team.is_empty() && !stamps.own_scope;
        let known_month = stamps.closed_month.is_none_or(|month| Month::from_number(month).is_some());
        let territory = stamps.territory().filter(|_| plain && known_month);
        self.documents.insert(record, DocumentFacts { kind, outlet, age, territory, closed });
        Ok(())
    }

    fn note_visit(&mut self, record: Uuid, visit: &Visit, closed: bool) -> Result<(Vec<u8>, Age), Unreadable> {
        let state = visit.state();
        let age = match state {
            VisitState::Unspecified | VisitState::Planned | VisitState::InProgress => Age::Open,
            VisitState::Completed | VisitState::Missed | VisitState::Cancelled => Age::Closed,
            VisitState::Skipped | VisitState::Rescheduled => Age::Either,
        };
        let facts = VisitFacts {
            outlet: id(&visit.outlet_id, "outlet_id")?,
            rep: optional(&visit.rep_id, "rep_id")?,
            day: visit.day,
            state,
            by_route: visit.planned && !visit.route_id.is_empty() && !closed,
            imported: closed && age == Age::Either,
            checked_in_day: visit.checked_in_day,
        };
        self.visits.insert(record, facts);
        Ok((visit.outlet_id.clone(), age))
    }

    fn credit(&mut self, customer: &[u8], currency: &str) -> Result<&mut Credit, Unreadable> {
        Ok(self.credits.entry((id(customer, "customer_id")?, currency.to_owned())).or_default())
    }

    /// Counts something for a customer, and under a contract if one is named.
    fn count(&mut self, debtor: &Debtor, contract: &[u8], add: impl Fn(&mut Account)) {
        add(&mut self.credits.entry(debtor.clone()).or_default().all);
        if !contract.is_empty() {
            add(self.accounts.entry((debtor.clone(), contract.to_vec())).or_default());
        }
    }

    fn note_receivable(&mut self, record: Uuid, receivable: &Receivable) -> Result<(), Unreadable> {
        let debtor = (id(&receivable.customer_id, "customer_id")?, receivable.currency.clone());
        self.count(&debtor, &receivable.contract_id, |account| {
            account.booked_debt_minor = account.booked_debt_minor.saturating_add(receivable.debt_minor);
            account.overdue_minor = account.overdue_minor.saturating_add(receivable.overdue_minor);
        });
        self.debts.entry(debtor).or_default().insert(record);
        Ok(())
    }

    fn note_payment(&mut self, record: Uuid, payment: &Payment) -> Result<(Vec<u8>, Age), Unreadable> {
        let debtor = (id(&payment.customer_id, "customer_id")?, payment.currency.clone());
        self.note_bought(&payment.outlet_id, &payment.customer_id)?;
        if !payment.booked {
            self.count(&debtor, &payment.contract_id, |account| {
                account.payments_minor = account.payments_minor.saturating_add(payment.amount_minor);
            });
            let documents = self.allocated.entry(debtor).or_default();
            for part in &payment.allocations {
                let name = if !part.document_number.is_empty() {
                    (part.document_number.clone(), Vec::new(), 0)
                } else if !part.order_id.is_empty() {
                    (String::new(), part.order_id.clone(), 0)
                } else {
                    (String::new(), Vec::new(), part.due_day)
                };
                let sum = documents.entry(name).or_default();
                *sum = sum.saturating_add(part.amount_minor);
            }
        }
        let (method, amount_minor) = (payment.method(), payment.amount_minor);
        if matches!(method, PaymentMethod::Cash | PaymentMethod::Cheque) {
            let rep = id(&payment.rep_id, "rep_id")?;
            let currency = payment.currency.clone();
            self.cash.insert(record, CashFacts { rep, currency, method, amount_minor });
        }
        Ok((payment.outlet_id.clone(), Age::Closed))
    }

    fn note_hand_in(&mut self, record: Uuid, stored: &Stored) -> Result<(), Unreadable> {
        self.note_stamps(Kind::CashHandIn, record, stored)?;
        let hand_in: CashHandIn = read(stored)?;
        let payments: Result<_, _> = hand_in.payment_ids.iter().map(|payment| id(payment, "payment_ids")).collect();
        let facts = HandInFacts {
            rep: id(&hand_in.rep_id, "rep_id")?,
            currency: hand_in.currency,
            expected_minor: hand_in.expected_minor,
            payments: payments?,
        };
        self.hand_ins.insert(record, facts);
        Ok(())
    }

    /// Lines in a hold for stock, for promotions, or until something is shared out; what a confirmed order still lacks; the
    /// agreement of a hold for terms, and the order that one may repeat.
    fn note_waiting(&mut self, record: Uuid, order: &Order) -> Result<(), Unreadable> {
        let held = |reason: HoldReason, line: &OrderLine| {
            let mut open = order.holds.iter().filter(|hold| hold.released_at_us == 0 && hold.reason() == reason);
            order.status() == OrderStatus::Submitted && open.any(|hold| hold.line_ids.contains(&line.line_id))
        };
        let lacks = |line: &OrderLine| {
            let promised = matches!(order.status(), OrderStatus::Confirmed | OrderStatus::Released);
            promised && line.difference() == LineDifference::BackOrdered
        };
        let entry = (order.submitted_at_us, record);
        let is_open = |hold: &&Hold| order.status() == OrderStatus::Submitted && hold.released_at_us == 0;
        let of_credit = |hold: Hold| matches!(hold.reason(), HoldReason::CreditLimit | HoldReason::Overdue);
        let only_credit = order.holds.iter().filter(is_open).all(|hold| of_credit(hold.clone()));
        for hold in order.holds.iter().filter(is_open) {
            let awaited = if hold.reason() == HoldReason::TermsExpired || only_credit {
                Awaited::Terms(id(&order.agreement_id, "agreement_id")?)
            } else if hold.reason() == HoldReason::DuplicateSuspect {
                Awaited::Order(id(&hold.other_order_id, "other_order_id")?)
            } else {
                continue;
            };
            self.waiting.entry(awaited).or_default().insert(entry);
        }
        for line in &order.lines {
            if !order.warehouse_id.is_empty() && (held(HoldReason::Stock, line) || lacks(line)) {
                let (warehouse, product) =
                    (id(&order.warehouse_id, "warehouse_id")?, id(&line.product_id, "product_id")?);
                self.waiting.entry(Awaited::Goods(warehouse, product)).or_default().insert(entry);
            }
            let wants = line.ordered_milli.saturating_sub(line.reserved_milli);
            if held(HoldReason::Allocation, line) && wants > 0 {
                let goods = (id(&order.warehouse_id, "warehouse_id")?, id(&line.product_id, "product_id")?);
                let wanted = self.demand.entry(goods).or_default().entry(entry).or_default();
                *wanted = wanted.saturating_add(wants);
            }
            for part in line.promotions.iter().filter(|_| held(HoldReason::Promotion, line)) {
                let promotion = id(&part.promotion_id, "promotion_id")?;
                self.waiting.entry(Awaited::Budget(promotion)).or_default().insert(entry);
            }
        }
        Ok(())
    }

    fn note_order(&mut self, record: Uuid, order: &Order) -> Result<(Vec<u8>, Age), Unreadable> {
        self.note_waiting(record, order)?;
        self.note_bought(&order.outlet_id, &order.customer_id)?;
        self.note_shares(order)?;
        for line in order.lines.iter().filter(|line| line.assigned_milli != 0) {
            let key = (id(&order.warehouse_id, "warehouse_id")?, id(&line.product_id, "product_id")?);
            let picking = self.picking.entry(key).or_default();
            *picking = picking.saturating_add(line.assigned_milli);
        }
        for line in order.lines.iter().filter(|line| line.reserved_milli != 0) {
            let key = (id(&order.warehouse_id, "warehouse_id")?, id(&line.product_id, "product_id")?);
            let reserved = self.reserved.entry(key).or_default();
            *reserved = reserved.saturating_add(line.reserved_milli);
        }
        for line in order.lines.iter().filter(|_| !order.shipment_id.is_empty()) {
            let OrderLine { assigned_milli, shipped_milli, delivered_milli, refused_milli, missing_milli, .. } = *line;
            let stands = Whereabouts { assigned_milli, shipped_milli, delivered_milli, refused_milli, missing_milli };
            self.ordered.insert((record, line.line_id.clone()), stands);
        }
        let (age, promised) = match order.status() {
            OrderStatus::Cancelled | OrderStatus::Refused => (Age::Closed, false),
            OrderStatus::Closed => (Age::Closed, true),
            OrderStatus::Confirmed | OrderStatus::Released => (Age::Open, true),
            OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => (Age::Open, false),
        };
        for (line, part) in order.lines.iter().flat_map(|line| line.promotions.iter().map(move |part| (line, part))) {
            if promised {
                let spent = self.spent.entry(id(&part.promotion_id, "promotion_id")?).or_default();
                spent.0 = spent.0.saturating_add(part.counted_minor);
                spent.1 = spent.1.saturating_add(line.confirmed_milli);
            }
        }
        let open: Vec<HoldReason> =
            order.holds.iter().filter(|hold| hold.released_at_us == 0).map(Hold::reason).collect();
        let of_credit = |reason: &HoldReason| *reason == HoldReason::CreditLimit || *reason == HoldReason::Overdue;
        if promised && !order.booked {
            let debtor = (id(&order.customer_id, "customer_id")?, order.currency.clone());
            self.count(&debtor, &order.contract_id, |account| {
                account.orders_minor = account.orders_minor.saturating_add(order.value_minor);
            });
        }
        let credit = self.credit(&order.customer_id, &order.currency)?;
        let entry = HeldOrder {
            order_id: record.as_bytes().to_vec(),
            submitted_at_us: order.submitted_at_us,
            value_minor: order.value_minor,
            agreement_id: order.agreement_id.clone(),
            contract_id: order.contract_id.clone(),
        };
        let waits = order.status() == OrderStatus::Submitted;
        if waits && open.contains(&HoldReason::TermsExpired) {
            credit.expired.push(entry.clone());
        }
        if waits && !open.is_empty() && open.iter().all(of_credit) {
            credit.held.push(entry);
        }
        if let Some(request) = optional(&order.change_request_id, "change_request_id")? {
            self.awaited_requests.insert(request, record);
        }
        Ok((order.outlet_id.clone(), age))
    }

    fn note_request(&mut self, record: Uuid, request: &ChangeRequest) -> Result<(Vec<u8>, Age), Unreadable> {
        if request.state() != ChangeRequestState::Open {
            return Ok((request.outlet_id.clone(), Age::Closed));
        }
        self.open_requests.insert(record, id(&request.order_id, "order_id")?);
        Ok((request.outlet_id.clone(), Age::Open))
    }

    fn note_return(&mut self, back: &GoodsReturn) -> Result<(Vec<u8>, Age), Unreadable> {
        self.note_bought(&back.outlet_id, &back.customer_id)?;
        let lines = self.returns.entry(id(&back.shipment_id, "shipment_id")?).or_default();
        for line in &back.lines {
            let facts = lines.entry(line.shipment_line_id.clone()).or_default();
            let came = line.sellable_milli.saturating_add(line.damaged_milli).saturating_add(line.expired_milli);
            match (back.state(), back.origin()) {
                (ReturnState::Announced, _) => facts.announced_milli += line.announced_milli,
                (ReturnState::Received, ReturnOrigin::NotTaken) => facts.not_taken_milli += came,
                (ReturnState::Received, _) => facts.given_back_milli += came,
                (ReturnState::Cancelled | ReturnState::Unspecified, _) => {}
            }
        }
        if back.state() == ReturnState::Received && !back.booked && back.value_minor != 0 {
            let debtor = (id(&back.customer_id, "customer_id")?, back.currency.clone());
            self.count(&debtor, &back.contract_id, |account| {
                account.returns_minor = account.returns_minor.saturating_add(back.value_minor);
            });
        }
        let is_open = matches!(back.state(), ReturnState::Announced | ReturnState::Unspecified);
        Ok((back.outlet_id.clone(), if is_open { Age::Open } else { Age::Closed }))
    }

    fn note_shipment(&mut self, record: Uuid, shipment: &Shipment) -> Result<(Vec<u8>, Age), Unreadable> {
        if !matches!(shipment.state(), ShipmentState::Shipped | ShipmentState::Cancelled) {
            for line in shipment.lines.iter().filter(|line| line.loaded_milli > 0) {
                let went = (line.loaded_milli - line.delivered_milli, line.delivered_milli);
                self.went.insert((record, line.line_id.clone()), went);
            }
        }
        let (age, has_left) = match shipment.state() {
            ShipmentState::NotAttempted | ShipmentState::Cancelled => {
                return Ok((shipment.outlet_id.clone(), Age::Closed));
            }
            ShipmentState::Delivered | ShipmentState::PartlyDelivered | ShipmentState::Refused => (Age::Closed, true),
            ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking => (Age::Open, false),
            ShipmentState::Checking | ShipmentState::Checked | ShipmentState::Loaded => (Age::Open, false),
            ShipmentState::Shipped => (Age::Open, true),
        };
        let is_picked = !matches!(shipment.state(), ShipmentState::Prepared | ShipmentState::Picking);
        for line in &shipment.lines {
            let order = if line.order_id.is_empty() { &shipment.order_id } else { &line.order_id };
            let of = self.shipped.entry((id(order, "order_id")?, line.line_id.clone())).or_default();
            if !has_left {
                of.assigned_milli += if is_picked { line.picked_milli } else { line.ordered_milli };
                continue;
            }
            of.shipped_milli += line.loaded_milli;
            if age == Age::Closed {
                of.delivered_milli += line.delivered_milli;
                of.refused_milli += line.refused_milli;
                of.missing_milli += line.loaded_milli - line.delivered_milli - line.refused_milli;
            }
        }
        Ok((shipment.outlet_id.clone(), age))
    }

    fn note_claim(&mut self, record: Uuid, claim: &Reclamation) -> Result<(Vec<u8>, Age), Unreadable> {
        self.note_bought(&claim.outlet_id, &claim.customer_id)?;
        if let Some(shipment) = optional(&claim.shipment_id, "shipment_id")? {
            for line in claim.lines.iter().filter(|line| !line.shipment_line_id.is_empty()) {
                let lines = self.claims.entry(shipment).or_default();
                let claimed = lines.entry(line.shipment_line_id.clone()).or_default();
                claimed.claimed_milli = claimed.claimed_milli.saturating_add(line.claimed_milli);
                claimed.accepted_milli = claimed.accepted_milli.saturating_add(line.accepted_milli);
                if claim.cause() == ReclamationCause::DeliveryDiscrepancy {
                    claimed.accepted_missing_milli = claimed.accepted_missing_milli.saturating_add(line.accepted_milli);
                }
                claimed.reclamations.insert(record);
            }
        }
        let age = if stages::is_closed(claim) { Age::Closed } else { Age::Open };
        if (claim.due_at_us == 0) != (age == Age::Closed) {
            self.undue.insert(record);
        }
        Ok((claim.outlet_id.clone(), age))
    }
}

fn task(task: &Task) -> (Vec<u8>, Age) {
    let age = match task.state() {
        TaskState::Done | TaskState::Verified => Age::Closed,
        TaskState::Unspecified | TaskState::Issued | TaskState::Accepted | TaskState::Returned => Age::Open,
    };
    (task.outlet_id.clone(), age)
}
