//! What the commands about orders have in common: which records a decision rests on, what is stored of it, and which
//! held orders it lets go.

use std::collections::{BTreeMap, BTreeSet};

use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::{
    Agreement, ChangeOrder, HoldReason, Kind, Order, OrderStatus, Outlet, Price, PriceList, Product, Promotion,
    ShortageRule, Stock, SubmitOrder,
};
use roundsman_sync::trade::allocation::Demand;
use roundsman_sync::trade::capture::{Capture, Editor};
use roundsman_sync::trade::chain::agreements_of;
use roundsman_sync::trade::credit::{self, Credit, CreditTerms};
use roundsman_sync::trade::order::{self, Decision, Goods, Setting, Terms, hold};
use roundsman_sync::trade::price::{self, Known, List};
use roundsman_sync::trade::promotion::{self, Spent};
use roundsman_sync::trade::quota::{Quota, Quotas};
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::verdict::Verdict;
use roundsman_sync::trade::waiting::{SERVED_AT_ONCE, Scarce, Waiting};
use uuid::Uuid;

use super::chunk::Chunk;
use super::field::{self, Place};
use super::{Context, restamp_records};
use crate::budgets;
use crate::demand;
use crate::internal::{
    Debtor, FormerTerms, ListState, LivePromotion, PriceChange, ProductPrices, ProductStocks, PromotionState,
    Promotions, Restampings, debtor,
};
use crate::network::{self, optional_id, stored_id};
use crate::quotas;
use crate::waiting;
use crate::workspace::{Keys, Stop, Workspace};

/// The records on which the decision about an order rests, as far as order and command name them.
#[derive(Debug, Default)]
pub struct Needs {
    outlet: Vec<u8>,
    /// The order's warehouse; `None`: it is new, and its outlet's territory says which.
    warehouse: Option<Vec<u8>>,
    agreements: BTreeSet<Uuid>,
    /// The order that it may repeat.
    other: Option<Uuid>,
    /// By product, the price records that its lines name, each with the lowest version that a device held of it.
    products: BTreeMap<Uuid, BTreeMap<Uuid, i64>>,
    debtor: Option<Debtor>,
    /// Of a new order: whose credit it is follows from the agreement.
    currency: String,
    /// Prices are judged.
    priced: bool,
    /// The promotions that its lines name, each with the lowest version that a device held of it.
    shown: BTreeMap<Uuid, i64>,
    /// Promotions are computed, whatever lines name.
    promotes: bool,
    /// The order's day.
    day: i32,
}

/// A product that a decision needs.
struct Wanted<'a> {
    product: Uuid,
    /// The price records that lines name.
    prices: Option<&'a BTreeMap<Uuid, i64>>,
    /// Its prices are needed.
    priced: bool,
}

impl Needs {
    /// Of an order that is handed in. What the office hands in is promoted by the server.
    #[must_use]
    pub fn of_submit(command: &SubmitOrder, editor: Editor, business_day: i32) -> Self {
        let mut needs = Self {
            outlet: command.outlet_id.clone(),
            currency: command.currency.clone(),
            priced: true,
            promotes: editor == Editor::Office,
            day: order::order_day(command, business_day),
            ..Self::default()
        };
        needs.agreement(&command.agreement_id);
        for line in &command.lines {
            needs.line(&line.product_id, &line.price_id, line.price_version);
            needs.shown(line.promotions.iter().map(|shown| (&shown.promotion_id, shown.promotion_version)));
        }
        needs
    }

    /// The same, with another warehouse than that of the outlet's territory.
    #[must_use]
    pub fn served_by(self, warehouse: &[u8]) -> Self {
        Self { warehouse: Some(warehouse.to_vec()), ..self }
    }

    /// Of an order that is there.
    #[must_use]
    pub fn of_order(order: &Order) -> Self {
        let mut needs = Self {
            outlet: order.outlet_id.clone(),
            warehouse: Some(order.warehouse_id.clone()),
            debtor: debtor(order),
            currency: order.currency.clone(),
            day: order.order_day,
            // A price that nobody disputes is left as it is.
            priced: [HoldReason::Price, HoldReason::BelowFloor, HoldReason::TermsExpired]
                .iter()
                .any(|reason| hold::open(order, *reason).is_some()),
            ..Self::default()
        };
        needs.agreement(&order.agreement_id);
        let repeats = hold::open(order, HoldReason::DuplicateSuspect);
        needs.other = repeats.and_then(|hold| Uuid::from_slice(&hold.other_order_id).ok());
        for line in &order.lines {
            needs.line(&line.product_id, &line.price_id, line.price_version);
            needs.shown(line.promotions.iter().map(|part| (&part.promotion_id, part.promotion_version)));
        }
        needs
    }

    /// The same, and what an edit names. What the office edits is promoted by the server.
    #[must_use]
    pub fn with_change(mut self, command: &ChangeOrder, order: &Order, editor: Editor) -> Self {
        self.priced = true;
        self.promotes = editor == Editor::Office;
        if let Some(change) = &command.agreement_id {
            self.agreement(&change.value);
        }
        for edit in command.lines.iter().filter_map(|line| line.edit.as_ref()) {
            match edit {
                Edit::Add(line) => {
                    self.line(&line.product_id, &line.price_id, line.price_version);
                    self.shown(line.promotions.iter().map(|shown| (&shown.promotion_id, shown.promotion_version)));
                }
                Edit::Change(change) => {
                    let shown = change.promotions.iter().flat_map(|shown| &shown.promotions);
                    self.shown(shown.map(|shown| (&shown.promotion_id, shown.promotion_version)));
                    let line = order.lines.iter().find(|line| line.line_id == change.line_id);
                    if let Some(line) = line {
                        self.line(&line.product_id, &change.price_id, change.price_version);
                    }
                }
                Edit::Remove(_) => {}
            }
        }
        self
    }

    fn agreement(&mut self, id: &[u8]) {
        self.agreements.extend(Uuid::from_slice(id).ok());
    }

    fn line(&mut self, product: &[u8], price: &[u8], version: i64) {
        let Ok(product) = Uuid::from_slice(product) else {
            return;
        };
        note_lowest(self.products.entry(product).or_default(), price, version);
    }

    fn shown<'a>(&mut self, promotions: impl Iterator<Item = (&'a Vec<u8>, i64)>) {
        for (id, version) in promotions {
            note_lowest(&mut self.shown, id, version);
        }
    }

    /// Whether promotions are looked at. Where nobody has shown any, there is nothing to judge.
    fn promoted(&self) -> bool {
        self.promotes || !self.shown.is_empty()
    }

    /// Asks for all of it that can be named by now.
    pub fn keys(&self, workspace: &Workspace, keys: &mut Keys) {
        let outlet = field::place_keys(&self.outlet, workspace, keys);
        for outlet in self.bought_otherwise(outlet.as_ref(), workspace) {
            keys.internal::<FormerTerms>(&outlet);
        }
        if let Some(other) = self.other {
            keys.id(other);
        }
        let wanted = self.wanted(workspace);
        for Wanted { product, prices, priced } in &wanted {
            keys.id(*product);
            keys.internal::<ProductStocks>(product);
            for price in prices.iter().flat_map(|prices| prices.keys()).filter(|_| *priced) {
                keys.id(*price);
            }
        }
        for id in self.with_successors(workspace) {
            keys.id(id);
            if let Ok(Some(agreement)) = workspace.find::<Agreement>(id) {
                list_keys(&agreement.price_list_id, &wanted, workspace, keys);
            }
        }
        if self.promoted() {
            self.promotion_keys(workspace, keys);
        }
        if let Ok(Some(debtor)) = self.debtor(workspace) {
            debtor_keys(&debtor, workspace, keys);
        }
        if let Ok(Some(warehouse)) = self.warehouse(workspace) {
            stock_keys(warehouse, wanted.iter().map(|wanted| wanted.product), workspace, keys);
            quota_keys(warehouse, wanted.iter().map(|wanted| wanted.product), workspace, keys);
            if self.may_wait(workspace) {
                for product in self.products.keys() {
                    keys.internal::<Waiting>(&Scarce::Stock { warehouse, product: *product });
                }
            }
        }
    }

    /// The agreements, and those that follow the ones that have ended on the order's day, as far as they are known by now.
    fn with_successors(&self, workspace: &Workspace) -> BTreeSet<Uuid> {
        let mut all = self.agreements.clone();
        for id in &self.agreements {
            let agreement = workspace.find::<Agreement>(*id).ok().flatten();
            let ended = agreement.filter(|agreement| (1..self.day).contains(&agreement.valid_to_day));
            all.extend(ended.and_then(|agreement| Uuid::from_slice(&agreement.successor_id).ok()));
        }
        all
    }

    /// The outlets whose former agreements may be the order's: the one that is named, and the one that stands for it, if this
    /// one does not list them all.
    fn bought_otherwise(&self, outlet: Option<&Outlet>, workspace: &Workspace) -> Vec<Uuid> {
        let lists =
            |id: &Uuid| outlet.is_none_or(|outlet| agreements_of(outlet).iter().any(|listed| listed == id.as_bytes()));
        if self.agreements.iter().all(lists) {
            return Vec::new();
        }
        field::named_and_remaining(&self.outlet, workspace).collect()
    }

    /// Whether it waits for goods if they do not suffice.
    fn may_wait(&self, workspace: &Workspace) -> bool {
        let waits = |id: &Uuid| {
            let agreement = workspace.find::<Agreement>(*id).ok().flatten();
            agreement.is_some_and(|agreement| match agreement.shortage_rule() {
                ShortageRule::ShipComplete | ShortageRule::BackOrder => true,
                ShortageRule::Unspecified | ShortageRule::ConfirmPart | ShortageRule::Substitute => false,
            })
        };
        self.agreements.iter().any(waits)
    }

    /// The products of the lines and, under an agreement that wants substitutes, their successors, as far as they are known
    /// by now. What replaces another is priced whenever it may.
    fn wanted(&self, workspace: &Workspace) -> Vec<Wanted<'_>> {
        let mut wanted = Vec::with_capacity(self.products.len());
        for (product, prices) in &self.products {
            wanted.push(Wanted { product: *product, prices: Some(prices), priced: self.priced });
        }
        let substitutes = |id: &Uuid| {
            let agreement = workspace.find::<Agreement>(*id);
            matches!(agreement, Ok(Some(agreement)) if agreement.shortage_rule() == ShortageRule::Substitute)
        };
        if self.agreements.iter().any(substitutes) {
            for product in self.products.keys() {
                let Ok(Some(found)) = workspace.find::<Product>(*product) else { continue };
                let Ok(successor) = Uuid::from_slice(&found.successor_id) else { continue };
                match wanted.iter_mut().find(|known| known.product == successor) {
                    Some(known) => known.priced = true,
                    None => wanted.push(Wanted { product: successor, prices: None, priced: true }),
                }
            }
        }
        wanted
    }

    /// The warehouse that serves the order.
    fn warehouse(&self, workspace: &Workspace) -> Result<Option<Uuid>, Stop> {
        match &self.warehouse {
            Some(id) => optional_id(id),
            None => optional_id(&field::place(workspace, &self.outlet)?.territory.warehouse_id),
        }
    }

    fn promotion_keys(&self, workspace: &Workspace, keys: &mut Keys) {
        keys.internal::<Promotions>(&());
        for id in self.shown.keys() {
            keys.id(*id);
            keys.internal::<PromotionState>(id);
        }
        let Ok(live) = workspace.internal::<Promotions>(&()) else { return };
        for (id, entry) in live.on(self.day, &self.currency) {
            keys.id(id);
            if entry.limited {
                keys.internal::<PromotionState>(&id);
                keys.internal::<Waiting>(&Scarce::Budget(id));
            }
        }
    }

    /// Whose credit it is; `None`: agreement and outlet don't say, and the rule refuses them.
    fn debtor(&self, workspace: &Workspace) -> Result<Option<Debtor>, Stop> {
        if self.debtor.is_some() {
            return Ok(self.debtor.clone());
        }
        let Some(id) = self.agreements.first() else {
            return Ok(None);
        };
        let Some(agreed) = agreed(workspace, *id)? else {
            return Ok(None);
        };
        let outlet = field::place(workspace, &self.outlet)?.outlet;
        let customer = order::customer(agreed.terms(), &outlet).ok().and_then(|id| Uuid::from_slice(id).ok());
        Ok(customer.map(|customer| (customer, self.currency.clone())))
    }

    /// Reads it. What is not there is left out: the rule says what is wrong then.
    ///
    /// # Errors
    /// [`Stop::Load`]; [`Stop::Corrupt`].
    pub fn read(&self, workspace: &Workspace, order_id: Uuid, place: Place, capture: Capture) -> Result<Ground, Stop> {
        let mut agreements = BTreeMap::new();
        for id in self.with_successors(workspace) {
            agreements.extend(agreed(workspace, id)?.map(|agreed| (id, agreed)));
        }
        let warehouse = self.warehouse(workspace)?;
        let mut goods = BTreeMap::new();
        let none = BTreeMap::new();
        for Wanted { product: id, prices: named, priced } in self.wanted(workspace) {
            let Some(product) = field::named::<Product>(workspace, Some(id))? else {
                continue;
            };
            let lists = agreements.values().flat_map(Agreed::lists);
            let prices = if priced { prices(workspace, id, lists, named.unwrap_or(&none))? } else { Vec::new() };
            let available = match warehouse {
                Some(warehouse) => workspace.internal::<Available>(&(warehouse, id))?.if_known(),
                None => None,
            };
            let shared_out = warehouse.filter(|_| available.is_some_and(|stock| stock.quotas > 0));
            let quotas = shared_out.map(|warehouse| workspace.internal(&(warehouse, id))).transpose()?;
            goods.insert(id, Ware { product, prices, available, quotas });
        }
        let debtor = self.debtor(workspace)?;
        let credit = match &debtor {
            Some(debtor) => workspace.internal(debtor)?,
            None => Credit::default(),
        };
        let promotions = if self.promoted() { self.promotions(workspace)? } else { Vec::new() };
        let mut former_agreements = Vec::new();
        let outlet = Some(&place.outlet).filter(|_| !place.archived);
        for outlet in self.bought_otherwise(outlet, workspace) {
            let former: FormerTerms = workspace.internal(&outlet)?;
            former_agreements.extend(former.agreements.into_iter().map(|former| former.agreement_id));
        }
        let other = field::named(workspace, self.other)?;
        Ok(Ground {
            order_id,
            place,
            former_agreements,
            other,
            capture,
            warehouse,
            agreements,
            goods,
            promotions,
            debtor,
            credit,
        })
    }

    /// The promotions that may apply on the order's day, and those that its lines name.
    fn promotions(&self, workspace: &Workspace) -> Result<Vec<Promoted>, Stop> {
        let live: Promotions = workspace.internal(&())?;
        let entries: BTreeMap<Uuid, &LivePromotion> = live.on(self.day, &self.currency).collect();
        let ids: BTreeSet<Uuid> = entries.keys().chain(self.shown.keys()).copied().collect();
        let mut found = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(promotion) = field::named::<Promotion>(workspace, Some(id))? else {
                continue;
            };
            let (held, entry) = (self.shown.get(&id), entries.get(&id));
            // Of one that nobody has shown and that has no budget, the list knows enough.
            let state = match (held, entry) {
                (None, Some(entry)) if !entry.limited => {
                    PromotionState { changed_at_us: entry.changed_at_us, ..PromotionState::default() }
                }
                _ => workspace.internal(&id)?,
            };
            let version = current_version(workspace, id)?;
            let spent = state.spent();
            let before = state.before.filter(|_| held.is_some_and(|held| *held >= state.before_version));
            found.push(Promoted { id, version, changed_at_us: state.changed_at_us, promotion, before, spent });
        }
        Ok(found)
    }
}

/// Asks for what is needed of an order that is handed in beside [`Needs`]: where it hangs, and what it may repeat.
pub fn submit_keys(context: &Context<'_>, command: &SubmitOrder, workspace: &Workspace, keys: &mut Keys) {
    keys.record(&command.order_id);
    keys.record(&command.visit_id);
    field::keys(context, &command.outlet_id, workspace, keys);
    field::hang_keys(context, &command.outlet_id, workspace, keys);
    for outlet in field::named_and_remaining(&command.outlet_id, workspace) {
        let others = field::orders_of_others(context, workspace, outlet, own(context, command, context.business_day));
        others.into_iter().flatten().for_each(|other| keys.id(other));
    }
}

/// What an order that is handed in for an outlet, on a business day, may be suspected to repeat.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn others(
    context: &Context<'_>,
    workspace: &Workspace,
    outlet: Uuid,
    (command, business_day): (&SubmitOrder, i32),
) -> Result<Vec<(Uuid, Order)>, Stop> {
    let mut others = Vec::new();
    for other in field::orders_of_others(context, workspace, outlet, own(context, command, business_day))? {
        others.extend(workspace.find::<Order>(other)?.map(|order| (other, order)));
    }
    Ok(others)
}

/// The day of an order, and who takes it; nil: the office.
fn own(context: &Context<'_>, command: &SubmitOrder, business_day: i32) -> (i32, Uuid) {
    (order::order_day(command, business_day), context.issuer.rep().unwrap_or_default())
}

/// Asks for a debtor's credit and, if the customer was merged into another, for that one's.
fn debtor_keys((customer, currency): &Debtor, workspace: &Workspace, keys: &mut Keys) {
    keys.internal::<Credit>(&(*customer, currency.clone()));
    network::remaining_customer_keys(customer.as_bytes(), workspace, keys);
    if let Ok(remaining) = network::remaining_customer(workspace, *customer) {
        keys.internal::<Credit>(&(remaining, currency.clone()));
    }
}

/// An order of a customer that was merged into another is that one's from now on, with what it counts for, and returned as it is
/// then. Whatever decides an order anew begins with it: that goes by what the customer owes who remains, and by its contracts.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn follow_customer(workspace: &mut Workspace, id: Uuid, order: Order) -> Result<Order, Stop> {
    let Some(was) = debtor(&order) else { return Ok(order) };
    let remaining = network::remaining_customer(workspace, was.0)?;
    if remaining == was.0 {
        return Ok(order);
    }
    let credit: Credit = workspace.internal(&was)?;
    workspace.put_internal(&was, &credit.without_order(id, &order))?;
    let order = Order { customer_id: remaining.as_bytes().to_vec(), ..order };
    let is: Debtor = (remaining, was.1);
    let credit: Credit = workspace.internal(&is)?;
    workspace.put_internal(&is, &credit.with_order(id, None, &order)?)?;
    workspace.update(id, &order)?;
    Ok(order)
}

/// Notes a record that a line names: of several versions that a device held the lowest counts.
fn note_lowest(held: &mut BTreeMap<Uuid, i64>, id: &[u8], version: i64) {
    if let Ok(id) = Uuid::from_slice(id) {
        held.entry(id).and_modify(|lowest| *lowest = version.min(*lowest)).or_insert(version);
    }
}

/// A price list, those that it depends on, and their prices.
fn list_keys(id: &[u8], wanted: &[Wanted<'_>], workspace: &Workspace, keys: &mut Keys) {
    keys.record(id);
    let Ok(id) = Uuid::from_slice(id) else { return };
    keys.internal::<ListState>(&id);
    price_keys(id, wanted, workspace, keys);
    let Ok(Some(list)) = workspace.find::<PriceList>(id) else { return };
    if !list.base_list_id.is_empty() {
        keys.lead_on();
        if let Ok(base) = Uuid::from_slice(&list.base_list_id) {
            price_keys(base, wanted, workspace, keys);
        }
    }
    if !list.floor_list_id.is_empty() {
        keys.lead_on();
        // It has no lowest prices itself.
        list_keys(&list.floor_list_id, wanted, workspace, keys);
    }
}

fn price_keys(price_list: Uuid, wanted: &[Wanted<'_>], workspace: &Workspace, keys: &mut Keys) {
    for Wanted { product, .. } in wanted.iter().filter(|wanted| wanted.priced) {
        let key = (price_list, *product);
        keys.internal::<ProductPrices>(&key);
        for price in workspace.internal::<ProductPrices>(&key).iter().flat_map(ProductPrices::ids) {
            keys.id(price);
        }
    }
}

fn agreed(workspace: &Workspace, agreement: Uuid) -> Result<Option<Agreed>, Stop> {
    let Some(agreement) = field::named::<Agreement>(workspace, Some(agreement))? else {
        return Ok(None);
    };
    let Some(price_list) = listed(workspace, &agreement.price_list_id)? else {
        return Ok(None);
    };
    let floor = &price_list.list.floor_list_id;
    let floor_list = if floor.is_empty() { None } else { listed(workspace, floor)? };
    Ok(Some(Agreed { agreement, price_list, floor_list }))
}

fn listed(workspace: &Workspace, id: &[u8]) -> Result<Option<Listed>, Stop> {
    let id = stored_id(id)?;
    let Some(list) = workspace.find::<PriceList>(id)? else {
        return Ok(None);
    };
    let state: ListState = workspace.internal(&id)?;
    Ok(Some(Listed { id, list, before: state.before.map(|before| (before, state.changed_at_us)) }))
}

/// The version of a record; what this batch has written is newer than anything that a device can hold.
fn current_version(workspace: &Workspace, id: Uuid) -> Result<i64, Stop> {
    Ok(workspace.version(id)?.filter(|version| *version != 0).unwrap_or_else(|| workspace.committing()))
}

/// An agreement, with its lists.
#[derive(Debug)]
struct Agreed {
    agreement: Agreement,
    price_list: Listed,
    floor_list: Option<Listed>,
}

impl Agreed {
    fn terms(&self) -> Terms<'_> {
        Terms {
            agreement: &self.agreement,
            price_list: self.price_list.list(),
            floor_list: self.floor_list.as_ref().map(Listed::list),
        }
    }

    /// All lists that its prices may come from.
    fn lists(&self) -> impl Iterator<Item = &[u8]> {
        let all = std::iter::once(&self.price_list).chain(&self.floor_list);
        all.flat_map(|listed| [listed.id.as_bytes().as_slice(), &listed.list.base_list_id]).filter(|id| !id.is_empty())
    }
}

/// A price list, and how it computed its prices before.
#[derive(Debug)]
struct Listed {
    id: Uuid,
    list: PriceList,
    before: Option<(PriceList, i64)>,
}

impl Listed {
    fn list(&self) -> List<'_> {
        let before = self.before.as_ref().map(|(before, changed_at_us)| (before, *changed_at_us));
        List { id: self.id, list: &self.list, before }
    }
}

/// A promotion, and what is known of its last change and its budget.
#[derive(Debug)]
struct Promoted {
    id: Uuid,
    version: i64,
    changed_at_us: i64,
    promotion: Promotion,
    before: Option<Promotion>,
    spent: Spent,
}

/// All prices of a product in these lists, and those that its lines name.
fn prices<'a>(
    workspace: &Workspace,
    product: Uuid,
    lists: impl Iterator<Item = &'a [u8]>,
    named: &BTreeMap<Uuid, i64>,
) -> Result<Vec<Priced>, Stop> {
    let mut changes: BTreeMap<Uuid, PriceChange> = BTreeMap::new();
    for list in lists {
        let known: ProductPrices = workspace.internal(&(stored_id(list)?, product))?;
        for change in known.prices {
            changes.insert(stored_id(&change.price_id)?, change);
        }
    }
    let ids: BTreeSet<Uuid> = changes.keys().chain(named.keys()).copied().collect();
    let mut prices = Vec::new();
    for id in ids {
        let Some(price) = field::named::<Price>(workspace, Some(id))? else {
            continue;
        };
        let change = changes.remove(&id).unwrap_or_default();
        let version = current_version(workspace, id)?;
        let before_known = named.get(&id).is_some_and(|held| *held >= change.before_version);
        let before = change.before.filter(|_| before_known);
        prices.push(Priced { id, version, changed_at_us: change.changed_at_us, price, before });
    }
    Ok(prices)
}

/// Asks for the exact figures of products in a warehouse, and for the stock records that devices see.
pub fn stock_keys(warehouse: Uuid, products: impl Iterator<Item = Uuid>, workspace: &Workspace, keys: &mut Keys) {
    for product in products {
        keys.internal::<Available>(&(warehouse, product));
        keys.internal::<ProductStocks>(&product);
        let stocks = workspace.internal::<ProductStocks>(&product).ok();
        if let Some(stock) = stocks.and_then(|stocks| stocks.at(warehouse)) {
            keys.id(stock);
        }
    }
}

/// Goods that came back to a warehouse are stock there again, or in quarantine; where nobody knows what it has they are not counted.
/// [`back_keys`] asks for what it needs.
///
/// # Errors
/// See [`Stop`].
pub fn take_back(
    workspace: &mut Workspace,
    key: (Uuid, Uuid),
    (sellable_milli, quarantined_milli): (i64, i64),
) -> Result<(), Stop> {
    if (sellable_milli, quarantined_milli) == (0, 0) {
        return Ok(());
    }
    match workspace.internal::<Available>(&key)?.if_known() {
        Some(stock) => put_available(workspace, key, &stock.came_back(sellable_milli, quarantined_milli)),
        None => Ok(()),
    }
}

/// Asks for what is needed when goods come into a warehouse: figures, and the orders that wait for them.
pub fn back_keys(warehouse: Uuid, products: BTreeSet<Uuid>, workspace: &Workspace, keys: &mut Keys) {
    let scarce = products.iter().map(|product| Scarce::Stock { warehouse, product: *product });
    waiting_keys(scarce, workspace, keys);
    stock_keys(warehouse, products.into_iter(), workspace, keys);
}

/// Asks how products are shared out that are.
fn quota_keys(warehouse: Uuid, products: impl Iterator<Item = Uuid>, workspace: &Workspace, keys: &mut Keys) {
    for product in products {
        let available = workspace.internal::<Available>(&(warehouse, product));
        if available.is_ok_and(|available| available.quotas > 0) {
            keys.lead_on();
            keys.internal::<Quotas>(&(warehouse, product));
            let quotas = workspace.internal::<Quotas>(&(warehouse, product));
            if quotas.is_ok_and(|quotas| quotas.quotas.iter().any(Quota::is_to_be_shared_out)) {
                keys.internal::<Demand>(&(warehouse, product));
            }
        }
    }
}

/// A price record, and what is known of its last change.
#[derive(Debug)]
struct Priced {
    id: Uuid,
    version: i64,
    changed_at_us: i64,
    price: Price,
    before: Option<Price>,
}

/// A product of an order.
#[derive(Debug)]
struct Ware {
    product: Product,
    prices: Vec<Priced>,
    available: Option<Available>,
    quotas: Option<Quotas>,
}

/// What an order's decision rests on, read.
#[derive(Debug)]
pub struct Ground {
    order_id: Uuid,
    place: Place,
    former_agreements: Vec<Vec<u8>>,
    other: Option<Order>,
    capture: Capture,
    warehouse: Option<Uuid>,
    agreements: BTreeMap<Uuid, Agreed>,
    goods: BTreeMap<Uuid, Ware>,
    promotions: Vec<Promoted>,
    debtor: Option<Debtor>,
    credit: Credit,
}

impl Ground {
    /// Lets a rule decide on it.
    ///
    /// # Errors
    /// Those of the rule.
    pub fn decide<T>(&self, rule: impl FnOnce(&Setting<'_>) -> Result<T, Rejection>) -> Result<T, Rejection> {
        let terms = self.agreements.iter().map(|(id, agreed)| (*id, agreed.terms()));
        let promotions = self.promotions.iter().map(|promoted| promotion::Known {
            id: promoted.id,
            version: promoted.version,
            changed_at_us: promoted.changed_at_us,
            promotion: &promoted.promotion,
            before: promoted.before.as_ref(),
            spent: promoted.spent,
        });
        let goods = self.goods.iter().map(|(id, ware)| {
            let prices = ware.prices.iter().map(|priced| Known {
                id: priced.id,
                version: priced.version,
                changed_at_us: priced.changed_at_us,
                price: &priced.price,
                before: priced.before.as_ref(),
            });
            let (available, quotas) = (ware.available, ware.quotas.as_ref());
            let goods = Goods { product: &ware.product, prices: prices.collect(), available, quotas };
            (*id, goods)
        });
        rule(&Setting {
            order_id: self.order_id,
            outlet_id: self.place.outlet_id,
            outlet: &self.place.outlet,
            former_agreement_ids: &self.former_agreements,
            other: self.other.as_ref(),
            warehouse_id: self.warehouse,
            terms: &terms.collect(),
            goods: &goods.collect(),
            promotions: &promotions.collect::<Vec<_>>(),
            credit: &self.credit,
            capture: &self.capture,
            price_grace_us: price::GRACE_US,
        })
    }

    /// Stores what was decided. `before` is the order as it was, if it was there.
    ///
    /// # Errors
    /// See [`Stop`].
    pub fn store(
        &self,
        context: &Context<'_>,
        workspace: &mut Workspace,
        before: Option<&Order>,
        decision: Decision,
    ) -> Result<Verdict, Stop> {
        let Decision { order, credit, available, verdict } = decision;
        put_order(context, workspace, &self.place, (self.order_id, before, &order))?;
        if let Some(debtor) = &self.debtor {
            workspace.put_internal(debtor, &credit)?;
        }
        if let Some(warehouse) = self.warehouse {
            for (product, available) in &available {
                put_available(workspace, (warehouse, *product), available)?;
            }
        }
        Ok(verdict)
    }
}

/// Writes an order, and tells others what has become of it. An order that has come to its end is placed in the month of
/// this decision.
///
/// # Errors
/// See [`Stop`].
pub fn put_order(
    context: &Context<'_>,
    workspace: &mut Workspace,
    place: &Place,
    (id, before, order): (Uuid, Option<&Order>, &Order),
) -> Result<(), Stop> {
    if before == Some(order) {
        return Ok(());
    }
    let stamps = match order.status() {
        OrderStatus::Closed | OrderStatus::Cancelled | OrderStatus::Refused => place.closed(context),
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => place.open(),
        OrderStatus::Confirmed | OrderStatus::Released => place.open(),
    };
    workspace.put(id, order, &stamps)?;
    budgets::put(workspace, before, order)?;
    quotas::put(workspace, id, before, order)?;
    demand::put(workspace, id, before, order)?;
    waiting::put(workspace, id, before, order)?;
    if before.is_none() {
        field::hang_order(context, workspace, place, (id, order))?;
    }
    if order.status() == OrderStatus::Cancelled {
        workspace.free(Scarce::Order(id));
    }
    if let Some(topic) = topic(before, order) {
        workspace.announce(topic, id);
    }
    if order.broken_promises > before.map_or(0, |before| before.broken_promises) {
        workspace.announce("order.promise_broken", id);
    }
    Ok(())
}

/// What others are told of an order that has changed. A confirmed order is told again after every change: it is another
/// promise. A held one is told when it waits for something else than before.
fn topic(before: Option<&Order>, order: &Order) -> Option<&'static str> {
    let was = before.map(Order::status);
    match order.status() {
        OrderStatus::Submitted => {
            let waited = before.filter(|order| order.status() == OrderStatus::Submitted).map(hold::open_reasons);
            (waited != Some(hold::open_reasons(order))).then_some("order.held")
        }
        OrderStatus::Confirmed => Some("order.confirmed"),
        OrderStatus::Released => (was != Some(OrderStatus::Released)).then_some("order.released"),
        OrderStatus::Cancelled => Some("order.cancelled"),
        OrderStatus::Closed => (was != Some(OrderStatus::Closed)).then_some("order.closed"),
        // No command turns an order down: those that are, were imported so.
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Refused => None,
    }
}

/// Writes the exact figures of a product in a warehouse. Devices hear of it when what is free has changed by a step
/// that is large enough to matter, or something was put into quarantine, or taken out.
///
/// # Errors
/// See [`Stop`].
pub fn put_available(workspace: &mut Workspace, key: (Uuid, Uuid), available: &Available) -> Result<(), Stop> {
    let before: Available = workspace.internal(&key)?;
    waiting::put_available(workspace, key, (&before, *available))?;
    let told = |of: &Available| (of.told_free_milli(), of.quarantined_milli);
    let (free_milli, quarantined_milli) = told(available);
    if told(available) == told(&before) {
        return Ok(());
    }
    let (warehouse, product) = key;
    let Some(id) = workspace.internal::<ProductStocks>(&product)?.at(warehouse) else {
        return Ok(());
    };
    let Some(stock) = workspace.find::<Stock>(id)? else {
        return Ok(());
    };
    let on_hand_milli = available.on_hand_milli;
    workspace.update(id, &Stock { free_milli, on_hand_milli, quarantined_milli, ..stock })
}

/// Asks for what [`release_held`] needs when the credit will be `after`.
pub fn held_keys(after: &Credit, workspace: &Workspace, keys: &mut Keys) {
    let mut known = BTreeMap::new();
    for held in &after.held {
        keys.record(&held.agreement_id);
        if let Ok(id) = Uuid::from_slice(&held.agreement_id)
            && let Ok(Some(agreement)) = workspace.find::<Agreement>(id)
        {
            known.insert(id, CreditTerms::from(&agreement));
        }
    }
    // What an agreement says that is not loaded yet may be anything.
    let unlimited = CreditTerms { limit_minor: None, overdue_ban: false };
    let terms = |id: Uuid| Some(known.get(&id).copied().unwrap_or(unlimited));
    let orders = credit::releasable(after, terms).orders;
    if !orders.is_empty() {
        keys.internal::<Restampings>(&());
    }
    orders.into_iter().for_each(|id| again_keys(id, workspace, keys));
}

/// Decides the held orders again that now fit the customer's credit, oldest first, and says whether there are others. At most
/// [`credit::RELEASED_AT_ONCE`] of them: the next change of this credit goes on with the rest.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn release_held(context: &Context<'_>, workspace: &mut Workspace, debtor: &Debtor) -> Result<bool, Stop> {
    let orders = fitting(workspace, debtor)?;
    let first = orders.get(..credit::RELEASED_AT_ONCE).unwrap_or(&orders);
    decide_all_again(context, workspace, first)?;
    Ok(orders.len() > first.len())
}

/// The held orders that now fit the customer's credit, oldest first.
fn fitting(workspace: &Workspace, debtor: &Debtor) -> Result<Vec<Uuid>, Stop> {
    let credit: Credit = workspace.internal(debtor)?;
    let mut keys = Keys::default();
    credit.held.iter().for_each(|held| keys.record(&held.agreement_id));
    keys.load(workspace)?;
    let mut terms = BTreeMap::new();
    for held in &credit.held {
        let id = stored_id(&held.agreement_id)?;
        terms.extend(workspace.find::<Agreement>(id)?.map(|agreement| (id, CreditTerms::from(&agreement))));
    }
    let fitting = credit::fitting(&credit, |id| terms.get(&id).copied());
    if fitting.is_empty() || is_gathering(workspace, debtor)? { Ok(Vec::new()) } else { Ok(fitting) }
}

/// Whether the debtor's account is not complete: orders, payments or returns are still to come to it from customers that were merged into
/// this one, or what was its own goes over to another. Whoever waits for it waits on: the merge decides that with the last of them.
fn is_gathering(workspace: &Workspace, (customer, currency): &Debtor) -> Result<bool, Stop> {
    let notes: Restampings = workspace.internal(&())?;
    for note in notes.entries.iter().filter(|note| note.source_kind == i32::from(Kind::Customer)) {
        let left = stored_id(&note.source_id)?;
        if left == *customer {
            return Ok(true);
        }
        if network::remaining_customer(workspace, left)? == *customer {
            let account = workspace.internal::<Credit>(&(left, currency.clone()))?.all;
            if (account.orders_minor, account.payments_minor, account.returns_minor) != (0, 0, 0) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// The orders that wait for an agreement or a contract to be valid, as many as one command decides.
fn expired(credit: &Credit, after: &[u8]) -> Result<Chunk, Stop> {
    let ids: BTreeSet<Uuid> =
        credit.expired.iter().filter_map(|order| Uuid::from_slice(&order.order_id).ok()).collect();
    Ok(Chunk::of(ids, after, credit::RELEASED_AT_ONCE, "after_record_id")?)
}

/// Asks for what [`release_expired`] needs.
pub fn expired_keys(credit: &Credit, after: &[u8], workspace: &Workspace, keys: &mut Keys) {
    for id in expired(credit, after).map(|chunk| chunk.ids).unwrap_or_default() {
        keys.internal::<Restampings>(&());
        again_keys(id, workspace, keys);
    }
}

/// Decides the orders again that waited for an agreement or a contract to be valid: those with ids above `after`, as many as one
/// command decides, the oldest of these first.
///
/// # Errors
/// `REASON_BAD_ID`; [`Stop::Load`]; [`Stop::Corrupt`].
pub fn release_expired(
    context: &Context<'_>,
    workspace: &mut Workspace,
    debtor: &Debtor,
    after: &[u8],
) -> Result<Chunk, Stop> {
    let credit: Credit = workspace.internal(debtor)?;
    let chunk = expired(&credit, after)?;
    if chunk.ids.is_empty() || is_gathering(workspace, debtor)? {
        return Ok(Chunk { ids: Vec::new(), more: false });
    }
    let by_age = credit.expired.iter().filter_map(|order| Uuid::from_slice(&order.order_id).ok());
    let orders: Vec<Uuid> = by_age.filter(|id| chunk.ids.contains(id)).collect();
    decide_all_again(context, workspace, &orders)?;
    Ok(chunk)
}

/// Sees that everything is there that it takes to decide these orders again: what is missing is asked for at once, and not one
/// record after the other.
fn load(workspace: &Workspace, orders: &[Uuid]) -> Result<(), Stop> {
    let mut keys = Keys::default();
    orders.iter().for_each(|id| again_keys(*id, workspace, &mut keys));
    keys.load(workspace)
}

/// The orders of an outlet that wait for the same, oldest first, as many as one command decides.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn held_at(workspace: &Workspace, outlet: Uuid, reason: HoldReason) -> Result<Vec<(Uuid, Order)>, Stop> {
    let mut orders = field::documents::<Order>(workspace, outlet)?;
    orders.retain(|(_, order)| hold::open(order, reason).is_some());
    orders.sort_by_key(|(id, order)| (order.submitted_at_us, *id));
    orders.truncate(credit::RELEASED_AT_ONCE);
    Ok(orders)
}

/// Asks for what [`held_at`] needs, and for what it takes to decide these orders again.
///
/// # Errors
/// [`Stop::Load`] when it can't ask for more yet.
pub fn held_at_keys(outlet: Uuid, reason: HoldReason, workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    network::move_keys(outlet, workspace, keys)?;
    for (_, order) in held_at(workspace, outlet, reason)? {
        Needs::of_order(&order).keys(workspace, keys);
    }
    Ok(())
}

/// Asks for what [`serve`] needs if so much is set free.
pub fn waiting_keys(scarce: impl Iterator<Item = Scarce>, workspace: &Workspace, keys: &mut Keys) {
    let mut asked = BTreeSet::new();
    // In the order in which they are served.
    for scarce in scarce.collect::<BTreeSet<_>>() {
        let waiting = match scarce {
            Scarce::Stock { warehouse, product } => {
                workspace.internal::<Available>(&(warehouse, product)).map(|available| available.waiting)
            }
            Scarce::Budget(promotion) => workspace.internal::<PromotionState>(&promotion).map(|state| state.waiting),
            Scarce::Terms(_) | Scarce::Order(_) => {
                keys.internal::<Waiting>(&scarce);
                workspace.internal::<Waiting>(&scarce).map(|waiting| i64::from(!waiting.orders.is_empty()))
            }
        };
        if !waiting.is_ok_and(|waiting| waiting > 0) {
            continue;
        }
        keys.lead_on();
        keys.internal::<Waiting>(&scarce);
        let Ok(waiting) = workspace.internal::<Waiting>(&scarce) else { continue };
        for id in waiting.in_turn() {
            if asked.len() >= SERVED_AT_ONCE {
                return;
            }
            if !asked.insert(id) {
                continue;
            }
            again_keys(id, workspace, keys);
        }
    }
}

/// Asks for what it takes to decide an order again that waits.
pub fn again_keys(id: Uuid, workspace: &Workspace, keys: &mut Keys) {
    keys.id(id);
    if let Ok(Some(order)) = workspace.find::<Order>(id) {
        waiting::keys(&order, keys);
        demand::keys(&order, keys);
        Needs::of_order(&order).keys(workspace, keys);
    }
}

/// Asks for those who may get what an order gives back when it is edited or called off: for what waits for its goods and
/// budgets, and for its customer's orders that wait for credit. How much it gives is not known yet: at most all of it.
///
/// # Errors
/// [`Stop::Load`].
pub fn giving_keys((id, order): (Uuid, &Order), workspace: &Workspace, keys: &mut Keys) -> Result<(), Stop> {
    waiting::keys(order, keys);
    demand::keys(order, keys);
    quotas::keys(order, keys);
    waiting_keys(given_back(order).chain([Scarce::Order(id)]), workspace, keys);
    if let Some(debtor) = debtor(order) {
        let credit: Credit = workspace.internal(&debtor)?;
        held_keys(&credit.without_order(id, order), workspace, keys);
    }
    Ok(())
}

/// What an order gives back when it is called off, edited or shipped.
pub fn given_back(order: &Order) -> impl Iterator<Item = Scarce> {
    let warehouse = Uuid::from_slice(&order.warehouse_id).ok();
    let products = order.lines.iter().filter_map(|line| Uuid::from_slice(&line.product_id).ok());
    let goods = products.filter_map(move |product| Some(Scarce::Stock { warehouse: warehouse?, product }));
    let parts = order.lines.iter().flat_map(|line| &line.promotions);
    goods.chain(parts.filter_map(|part| Uuid::from_slice(&part.promotion_id).ok()).map(Scarce::Budget))
}

/// Lets those who wait have what the command has set free, whoever waited longest first: as many as one command asks. What it can't
/// ask for is left to a command of the server's own ([`restamp_records`]).
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn serve(context: &Context<'_>, workspace: &mut Workspace) -> Result<(), Stop> {
    let mut asked = BTreeSet::new();
    loop {
        let freed = workspace.take_freed();
        if freed.is_empty() {
            return Ok(());
        }
        let mut keys = Keys::default();
        freed.iter().for_each(|scarce| keys.internal::<Waiting>(scarce));
        keys.load(workspace)?;
        let mut turns = Vec::new();
        for scarce in freed {
            let waiting: Waiting = workspace.internal(&scarce)?;
            let turn: Vec<Uuid> = waiting.in_turn().filter(|id| !asked.contains(id)).collect();
            if !asked.is_empty() && asked.len() + turn.len() > SERVED_AT_ONCE {
                leave(context, workspace, scarce)?;
                continue;
            }
            asked.extend(turn.iter().copied());
            turns.push((scarce, waiting, turn));
        }
        let all: Vec<Uuid> = turns.iter().flat_map(|(_, _, turn)| turn).copied().collect();
        load(workspace, &all)?;
        for (scarce, waiting, turn) in turns {
            serve_turn(context, workspace, scarce, (&waiting, &turn))?;
        }
    }
}

/// Lets those whose turn it is have something, as long as there is any.
fn serve_turn(
    context: &Context<'_>,
    workspace: &mut Workspace,
    scarce: Scarce,
    (waiting, turn): (&Waiting, &[Uuid]),
) -> Result<(), Stop> {
    if let Scarce::Terms(_) = scarce {
        decide_by_terms_again(context, workspace, turn)?;
    } else {
        for id in turn {
            if let Scarce::Stock { warehouse, product } = scarce
                && workspace.internal::<Available>(&(warehouse, product))?.free_milli() <= 0
            {
                return Ok(());
            }
            decide_again(context, workspace, *id)?;
        }
    }
    if waiting.is_long() {
        match scarce {
            // Of terms there is enough for all.
            Scarce::Terms(_) => leave(context, workspace, scarce)?,
            Scarce::Stock { .. } | Scarce::Budget(_) | Scarce::Order(_) => {
                let still: Waiting = workspace.internal(&scarce)?;
                workspace.put_internal(&scarce, &still.asked(waiting))?;
            }
        }
    }
    Ok(())
}

/// Notes that orders wait for something that is free, and that nobody has asked them all.
fn leave(context: &Context<'_>, workspace: &mut Workspace, scarce: Scarce) -> Result<(), Stop> {
    let source = match scarce {
        Scarce::Stock { warehouse, product } => {
            workspace.internal::<ProductStocks>(&product)?.at(warehouse).map(|stock| (Kind::Stock, stock))
        }
        Scarce::Budget(promotion) => Some((Kind::Promotion, promotion)),
        Scarce::Terms(agreement) => Some((Kind::Agreement, agreement)),
        Scarce::Order(order) => Some((Kind::Order, order)),
    };
    match source {
        Some(source) => restamp_records::note(workspace, source, Some(Vec::new()), context.now_us),
        None => Ok(()),
    }
}

/// Asks for the orders that wait for an agreement, the part that one command decides again, and for what it takes.
pub fn terms_keys(agreement: Uuid, after: &[u8], workspace: &Workspace, keys: &mut Keys) {
    keys.internal::<Waiting>(&Scarce::Terms(agreement));
    if let Ok(chunk) = waiting_for_terms(workspace, agreement, after) {
        chunk.ids.into_iter().for_each(|id| again_keys(id, workspace, keys));
    }
}

/// Decides a part of the orders again that wait for an agreement.
///
/// # Errors
/// `REASON_BAD_ID`; [`Stop::Load`]; [`Stop::Corrupt`].
pub fn decide_terms_again(
    context: &Context<'_>,
    workspace: &mut Workspace,
    agreement: Uuid,
    after: &[u8],
) -> Result<Chunk, Stop> {
    let chunk = waiting_for_terms(workspace, agreement, after)?;
    load(workspace, &chunk.ids)?;
    decide_by_terms_again(context, workspace, &chunk.ids)?;
    Ok(chunk)
}

/// Decides orders again that wait for terms. Of those that wait for credit only the ones that fit: a customer's later order does not
/// overtake an earlier one that is too large.
fn decide_by_terms_again(context: &Context<'_>, workspace: &mut Workspace, orders: &[Uuid]) -> Result<(), Stop> {
    for id in orders {
        let Some(order) = workspace.find::<Order>(*id)? else { continue };
        if let Some(debtor) = debtor(&order)
            && credit::waits(&order)
            && !fitting(workspace, &debtor)?.contains(id)
        {
            continue;
        }
        decide_again(context, workspace, *id)?;
    }
    Ok(())
}

fn waiting_for_terms(workspace: &Workspace, agreement: Uuid, after: &[u8]) -> Result<Chunk, Stop> {
    let waiting: Waiting = workspace.internal(&Scarce::Terms(agreement))?;
    let ids: BTreeSet<Uuid> =
        waiting.orders.iter().filter_map(|entry| Uuid::from_slice(&entry.order_id).ok()).collect();
    Ok(Chunk::of(ids, after, SERVED_AT_ONCE, "after_record_id")?)
}

/// Decides orders that wait once more, one after the other.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn decide_all_again(context: &Context<'_>, workspace: &mut Workspace, orders: &[Uuid]) -> Result<(), Stop> {
    load(workspace, orders)?;
    orders.iter().try_for_each(|id| decide_again(context, workspace, *id))
}

/// Decides an order that waits once more, because something has changed on which it waits. One that can't be decided
/// stays held: the command that led here has another purpose, and is not rejected for it.
///
/// # Errors
/// [`Stop::Load`]; [`Stop::Corrupt`].
pub fn decide_again(context: &Context<'_>, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
    match try_again(context, workspace, id) {
        Err(Stop::Rejected(rejection)) => {
            tracing::warn!(order = %id, ?rejection, "a held order can't be decided again");
            Ok(())
        }
        done => done,
    }
}

fn try_again(context: &Context<'_>, workspace: &mut Workspace, id: Uuid) -> Result<(), Stop> {
    let Some(order) = workspace.find::<Order>(id)? else {
        return Ok(());
    };
    let order = follow_customer(workspace, id, order)?;
    let place = field::place(workspace, &order.outlet_id)?;
    let now = place.local(context.now_us);
    let capture = Capture { decided_at_us: context.now_us, now, ..Capture::default() };
    let ground = Needs::of_order(&order).read(workspace, id, place, capture)?;
    let decision = ground.decide(|setting| order::decide_again(&order, setting))?;
    ground.store(context, workspace, Some(&order), decision)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::Hold;
    use roundsman_sync::trade::placement::Stamps;

    use super::*;
    use crate::internal::Internal as _;

    fn order(status: OrderStatus, holds: &[HoldReason]) -> Order {
        let holds = holds.iter().map(|reason| Hold { reason: (*reason).into(), ..Hold::default() }).collect();
        let mut order = Order { holds, ..Order::default() };
        order.set_status(status);
        order
    }

    #[test]
    fn others_hear_of_an_order_when_it_is_their_turn() {
        let held = order(OrderStatus::Submitted, &[HoldReason::Price]);
        let confirmed = order(OrderStatus::Confirmed, &[]);
        let released = order(OrderStatus::Released, &[]);
        assert_eq!(topic(None, &held), Some("order.held"));
        assert_eq!(topic(Some(&held), &held), None, "it waits for the same as before");
        let other = order(OrderStatus::Submitted, &[HoldReason::Stock]);
        assert_eq!(topic(Some(&held), &other), Some("order.held"));
        assert_eq!(topic(Some(&confirmed), &held), Some("order.held"));
        assert_eq!(topic(Some(&held), &confirmed), Some("order.confirmed"));
        assert_eq!(topic(Some(&confirmed), &confirmed), Some("order.confirmed"), "another promise");
        assert_eq!(topic(Some(&confirmed), &released), Some("order.released"));
        assert_eq!(topic(Some(&released), &released), None, "the shipment is told of");
        assert_eq!(topic(Some(&confirmed), &order(OrderStatus::Cancelled, &[])), Some("order.cancelled"));
    }

    #[test]
    fn what_the_batch_has_written_has_the_version_that_it_will_have() {
        let (id, mut workspace) = (Uuid::from_u128(1), Workspace::of_batch(8));
        workspace.load(&[id], Vec::new());
        workspace.put(id, &Promotion::default(), &Stamps::default()).expect("written");
        assert_eq!(current_version(&workspace, id).expect("known"), 8, "an order that it computes keeps it");
    }

    #[test]
    fn the_agreements_of_all_held_orders_are_asked_for_at_once() {
        let (debtor, mut workspace): (Debtor, _) = ((Uuid::from_u128(1), "EUR".to_owned()), Workspace::of_batch(8));
        let held = order(OrderStatus::Submitted, &[HoldReason::CreditLimit]);
        let credit = (11..=13).map(Uuid::from_u128).try_fold(Credit::default(), |credit, id| {
            credit.with_order(id, None, &Order { agreement_id: id.as_bytes().to_vec(), ..held.clone() })
        });
        workspace.load(&[Credit::id(&debtor)], Vec::new());
        workspace.put_internal(&debtor, &credit.expect("they count for nothing")).expect("written");
        let Err(Stop::Load(ids)) = fitting(&workspace, &debtor) else { panic!("no agreement is loaded") };
        assert_eq!(ids, [11, 12, 13].map(Uuid::from_u128));
    }

    #[test]
    fn of_a_price_that_several_lines_name_the_oldest_version_counts() {
        let [product, price] = [1, 2].map(Uuid::from_u128);
        let mut needs = Needs::default();
        for version in [7, 5, 9] {
            needs.line(product.as_bytes(), price.as_bytes(), version);
        }
        needs.line(product.as_bytes(), &[], 0);
        needs.line(&[1], price.as_bytes(), 1);
        assert_eq!(needs.products, BTreeMap::from([(product, BTreeMap::from([(price, 5)]))]));
    }
}
