//! Goods and what they cost: products, price lists, prices, promotions, stock.

use roundsman_proto::trade::{Price, PriceList, Product, Promotion, Reason, Rep, Stock, Warehouse};
use roundsman_sync::scope::Scope;
use roundsman_sync::trade::check;
use roundsman_sync::trade::placement::Stamps;
use roundsman_sync::trade::price;
use roundsman_sync::trade::promotion;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::stock_keeping::is_van;
use roundsman_sync::trade::waiting::Scarce;
use uuid::Uuid;

use crate::internal::{
    Granted, ListState, LivePromotion, ProductPrices, ProductStocks, PromotionState, Promotions, insert_id,
};
use crate::network;
use crate::waiting;
use crate::workspace::{Keys, Stop, Workspace};

/// The largest mark-up: ten times the price beside it.
const MARKUP_BP: i32 = 100_000;
/// So many promotions at most may apply at the same time.
const LIVE_PROMOTIONS: usize = 1_000;
/// For so many days after its end a promotion is still looked at, for orders of its days that come late.
const LATE_DAYS: i32 = 45;
const DAY_US: i64 = 24 * 3_600 * 1_000_000;

/// Asks for what [`put_price`] needs, beside the record itself.
pub fn price_keys(price: &Price, workspace: &Workspace, keys: &mut Keys) {
    let price_list = Uuid::from_slice(&price.price_list_id).unwrap_or_default();
    let product = Uuid::from_slice(&price.product_id).unwrap_or_default();
    keys.id(price_list);
    keys.id(product);
    keys.internal::<ProductPrices>(&(price_list, product));
    // One of the others may contradict it.
    for other in workspace.internal::<ProductPrices>(&(price_list, product)).iter().flat_map(ProductPrices::ids) {
        keys.id(other);
    }
}

/// Asks for what [`put_stock`] needs, beside the record itself.
pub fn stock_keys(stock: &Stock, keys: &mut Keys) {
    let warehouse = Uuid::from_slice(&stock.warehouse_id).unwrap_or_default();
    let product = Uuid::from_slice(&stock.product_id).unwrap_or_default();
    keys.id(warehouse);
    keys.id(product);
    keys.internal::<Available>(&(warehouse, product));
    keys.internal::<ProductStocks>(&product);
}

/// Writes a warehouse. The rep whose van it is holds its stock.
///
/// # Errors
/// See [`Stop`].
pub fn put_warehouse(workspace: &mut Workspace, id: Uuid, warehouse: &Warehouse) -> Result<(), Stop> {
    check::required_text(&warehouse.name, check::NAME_CHARS, "name")?;
    check::text(&warehouse.address, check::TEXT_CHARS, "address")?;
    check::point(warehouse.point.as_ref(), "point")?;
    let before = workspace.find::<Warehouse>(id)?;
    let was = before.map(|before| network::optional_id(&before.rep_id)).transpose()?.flatten();
    let is = check::optional_id(&warehouse.rep_id, "rep_id")?;
    if was != is {
        if is.is_some() {
            workspace.live::<Rep>(&warehouse.rep_id)?;
        }
        for (rep, by) in was.map(|rep| (rep, -1)).into_iter().chain(is.map(|rep| (rep, 1))) {
            network::grant(workspace, Scope::Rep(rep), Scope::Warehouse(id), by)?;
        }
    }
    workspace.put(id, warehouse, &Stamps::default())
}

/// Asks for what [`put_warehouse`] needs, beside the record itself.
pub fn warehouse_keys(own: Uuid, warehouse: &Warehouse, workspace: &Workspace, keys: &mut Keys) {
    keys.record(&warehouse.rep_id);
    let before = workspace.find::<Warehouse>(own).ok().flatten();
    for rep in before.iter().chain([warehouse]).filter_map(|of| Uuid::from_slice(&of.rep_id).ok()) {
        keys.internal::<Granted>(&Scope::Rep(rep));
    }
}

/// What a stock figure may set free.
#[must_use]
pub fn scarce(stock: &Stock) -> Option<Scarce> {
    let warehouse = Uuid::from_slice(&stock.warehouse_id).ok()?;
    let product = Uuid::from_slice(&stock.product_id).ok()?;
    Some(Scarce::Stock { warehouse, product })
}

/// Asks for what [`put_price_list`] needs, beside the record itself.
pub fn list_keys(own: Uuid, list: &PriceList, keys: &mut Keys) {
    keys.internal::<ListState>(&own);
    keys.internal::<Granted>(&Scope::PriceList(own));
    for other in [&list.base_list_id, &list.floor_list_id] {
        keys.record(other);
        if let Ok(other) = Uuid::from_slice(other) {
            keys.internal::<ListState>(&other);
        }
    }
}

/// Asks for what [`put_promotion`] needs, beside the record itself.
pub fn promotion_keys(own: Uuid, keys: &mut Keys) {
    keys.internal::<Promotions>(&());
    keys.internal::<PromotionState>(&own);
}

/// Writes a product.
///
/// # Errors
/// See [`Stop`].
pub fn put_product(workspace: &mut Workspace, id: Uuid, product: &Product) -> Result<(), Stop> {
    check_product(product)?;
    workspace.put(id, product, &Stamps::default())
}

fn check_product(product: &Product) -> Result<(), Rejection> {
    check::required_text(&product.name, check::NAME_CHARS, "name")?;
    check::text(&product.code, check::NAME_CHARS, "code")?;
    check::text(&product.supplier, check::NAME_CHARS, "supplier")?;
    check::basis_points(product.vat_bp, "vat_bp")?;
    check::count(product.packagings.len(), check::ENTRIES, "packagings")?;
    check::range(product.multiple_milli, 0..=check::QUANTITY_MILLI, "multiple_milli")?;
    for (index, packaging) in product.packagings.iter().enumerate() {
        check::quantity(packaging.coefficient_milli, "coefficient_milli").map_err(check::at("packagings", index))?;
    }
    Ok(())
}

/// Writes a price list, and what it is computed from. How it computed its prices until now stays known, since orders with
/// the old ones may still come.
///
/// # Errors
/// See [`Stop`].
pub fn put_price_list(workspace: &mut Workspace, id: Uuid, list: &PriceList, now_us: i64) -> Result<(), Stop> {
    check::required_text(&list.name, check::NAME_CHARS, "name")?;
    check::currency(&list.currency, "currency")?;
    check::range(list.markup_bp, -check::WHOLE_BP + 1..=MARKUP_BP, "markup_bp")?;
    check::money(list.round_to_minor, "round_to_minor")?;
    let before = workspace.find::<PriceList>(id)?;
    if before.as_ref() == Some(list) {
        return Ok(());
    }
    let mut state: ListState = workspace.internal(&id)?;
    let kept = |before: &PriceList| (&before.currency, before.vat_included) == (&list.currency, list.vat_included);
    let is_referred_to = !state.computed.is_empty() || !state.limited.is_empty();
    if is_referred_to && before.as_ref().is_some_and(|before| !kept(before)) {
        return Err(check::mismatch("currency").about(id).into());
    }
    if !list.base_list_id.is_empty() {
        if !state.computed.is_empty() {
            return Err(Rejection::new(Reason::BadBaseList).field("base_list_id").about(id).into());
        }
        refer_to_list(workspace, (id, list), &list.base_list_id, "base_list_id", |base| base.base_list_id.is_empty())?;
    }
    if !list.floor_list_id.is_empty() {
        if !state.limited.is_empty() {
            return Err(Rejection::new(Reason::BadBaseList).field("floor_list_id").about(id).into());
        }
        refer_to_list(workspace, (id, list), &list.floor_list_id, "floor_list_id", |floor| {
            floor.floor_list_id.is_empty()
        })?;
    }
    let none = PriceList::default();
    let (was, is) = (lists_of(before.as_ref().unwrap_or(&none))?, lists_of(list)?);
    for (lists, by) in [(&was, -1), (&is, 1)] {
        for other in lists {
            network::grant(workspace, Scope::PriceList(id), Scope::PriceList(*other), by)?;
        }
    }
    for other in was.iter().chain(is.iter().filter(|other| !was.contains(other))) {
        let mut state: ListState = workspace.internal(other)?;
        depend(&mut state.computed, id, list.base_list_id == other.as_bytes());
        depend(&mut state.limited, id, list.floor_list_id == other.as_bytes());
        workspace.put_internal(other, &state)?;
    }
    let computes = |list: &PriceList| (list.base_list_id.clone(), list.markup_bp, list.round_to_minor);
    if let Some(before) = before.filter(|before| computes(before) != computes(list)) {
        // Within a batch no device has seen what is between.
        if workspace.version(id)? != Some(0) {
            state = ListState { changed_at_us: now_us, before: Some(before), ..state };
        }
    }
    // Also when it says nothing: what is there stays in memory, and each order asks for it.
    workspace.put_internal(&id, &state)?;
    workspace.put(id, list, &Stamps::default())
}

/// Notes whether a list is among these.
fn depend(lists: &mut Vec<Vec<u8>>, list: Uuid, is_one: bool) {
    if is_one {
        insert_id(lists, list);
    } else {
        lists.retain(|known| known != list.as_bytes());
    }
}

/// The lists on which a list depends, each once.
fn lists_of(list: &PriceList) -> Result<Vec<Uuid>, Stop> {
    let mut lists = Vec::new();
    for other in [&list.base_list_id, &list.floor_list_id] {
        lists.extend(network::optional_id(other)?.filter(|other| !lists.contains(other)));
    }
    Ok(lists)
}

fn refer_to_list(
    workspace: &Workspace,
    (id, list): (Uuid, &PriceList),
    other: &[u8],
    field: &str,
    may_be: impl Fn(&PriceList) -> bool,
) -> Result<(), Stop> {
    check::id(other, field)?;
    let (other_id, other) = workspace.live::<PriceList>(other)?;
    if other_id == id || !may_be(&other) {
        return Err(Rejection::new(Reason::BadBaseList).field(field).about(id).into());
    }
    if (&other.currency, other.vat_included) != (&list.currency, list.vat_included) {
        return Err(Rejection::new(Reason::CurrencyMismatch).field(field).about(id).into());
    }
    Ok(())
}

/// Writes a promotion. What it said before, and until when, stays known, since orders that show it may still come.
///
/// # Errors
/// See [`Stop`].
pub fn put_promotion(workspace: &mut Workspace, id: Uuid, promotion: &Promotion, now_us: i64) -> Result<(), Stop> {
    promotion::form(promotion)?;
    let before = workspace.find::<Promotion>(id)?;
    if before.as_ref() == Some(promotion) {
        return Ok(());
    }
    let mut state: PromotionState = workspace.internal(&id)?;
    state.note(now_us, before.zip(workspace.version(id)?));
    workspace.put_internal(&id, &state)?;
    if state.waiting > 0 {
        workspace.free(Scarce::Budget(id));
    }
    let mut live: Promotions = workspace.internal(&())?;
    let today = i32::try_from(now_us.div_euclid(DAY_US)).unwrap_or(i32::MAX);
    let late = today.saturating_sub(LATE_DAYS);
    live.promotions.retain(|entry| {
        let closed_long_ago = entry.closed && entry.changed_at_us.div_euclid(DAY_US) < i64::from(late);
        (entry.to_day == 0 || entry.to_day >= late) && !closed_long_ago
    });
    live.note(LivePromotion {
        promotion_id: id.as_bytes().to_vec(),
        currency: promotion.currency.clone(),
        from_day: promotion.valid_from_day,
        to_day: promotion.valid_to_day,
        changed_at_us: state.changed_at_us,
        closed: promotion.closed,
        limited: promotion.budget_minor.is_some() || promotion.budget_milli.is_some(),
    });
    check::count(live.promotions.len(), LIVE_PROMOTIONS, "promotion")?;
    workspace.put_internal(&(), &live)?;
    workspace.put(id, promotion, &Stamps::default())
}

/// Writes a price; its list and its product never change. What it said before, and until when, stays known, since orders
/// with the old price may still come. `now_us` is the moment of the decision, in microseconds since the Unix epoch.
///
/// # Errors
/// See [`Stop`].
pub fn put_price(workspace: &mut Workspace, id: Uuid, price: &Price, now_us: i64) -> Result<(), Stop> {
    check::count(price.breaks.len(), check::ENTRIES, "breaks")?;
    if price.breaks.is_empty() {
        return Err(check::missing("breaks").about(id).into());
    }
    for (index, step) in price.breaks.iter().enumerate() {
        check::money(step.price_minor, "price_minor").map_err(check::at("breaks", index))?;
        check::range(step.min_quantity_milli, 0..=check::QUANTITY_MILLI, "min_quantity_milli")
            .map_err(check::at("breaks", index))?;
    }
    check::optional_day(price.valid_from_day, "valid_from_day")?;
    check::optional_day(price.valid_to_day, "valid_to_day")?;
    check::text(&price.packaging_code, check::NAME_CHARS, "packaging_code")?;
    check::range(price.per_milli, 0..=check::QUANTITY_MILLI, "per_milli")?;
    let (price_list, _) = workspace.live::<PriceList>(&price.price_list_id)?;
    let (product, _) = workspace.live::<Product>(&price.product_id)?;
    let before = workspace.find::<Price>(id)?;
    if before.as_ref() == Some(price) {
        return Ok(());
    }
    if let Some(before) = &before
        && (&before.price_list_id, &before.product_id) != (&price.price_list_id, &price.product_id)
    {
        return Err(check::mismatch("product_id").about(id).into());
    }
    let mut prices: ProductPrices = workspace.internal(&(price_list, product))?;
    for other in prices.ids().filter(|other| *other != id) {
        if workspace.find::<Price>(other)?.is_some_and(|found| price::contradict(&found, price)) {
            let conflict = Rejection::new(Reason::PriceConflict).field("valid_from_day").about(id);
            return Err(conflict.fact(Some(other), "price_id", other).into());
        }
    }
    prices.note(id, now_us, before.zip(workspace.version(id)?));
    workspace.put_internal(&(price_list, product), &prices)?;
    workspace.put(id, price, &Stamps::default())
}

/// Writes a stock figure: what lies there is told, what is free is computed from what is promised, and published in coarse
/// steps, or every order would travel to every phone. A figure that was counted before the one that is known says nothing.
///
/// # Errors
/// See [`Stop`].
pub fn put_stock(workspace: &mut Workspace, id: Uuid, stock: &Stock) -> Result<(), Stop> {
    check::range(stock.on_hand_milli, 0..=check::QUANTITY_MILLI, "on_hand_milli")?;
    check::range(stock.expected_milli, 0..=check::QUANTITY_MILLI, "expected_milli")?;
    check::optional_day(stock.expected_day, "expected_day")?;
    if stock.expected_day != 0 && stock.expected_milli == 0 {
        return Err(check::missing("expected_milli").about(id).into());
    }
    let (warehouse, place) = workspace.live::<Warehouse>(&stock.warehouse_id)?;
    let (product, _) = workspace.live::<Product>(&stock.product_id)?;
    if let Some(before) = workspace.find::<Stock>(id)? {
        if (&before.warehouse_id, &before.product_id) != (&stock.warehouse_id, &stock.product_id) {
            return Err(check::mismatch("product_id").about(id).into());
        }
        let kept: Available = workspace.internal(&(warehouse, product))?;
        let is_older = stock.as_of_us != 0 && stock.as_of_us < kept.as_of_us;
        if is_older || stock.as_of_us < before.as_of_us {
            return Ok(());
        }
    }
    let key = (warehouse, product);
    let mut stocks: ProductStocks = workspace.internal(&product)?;
    if let Some(other) = stocks.at(warehouse).filter(|other| *other != id) {
        // Two figures of the same goods, of which devices would believe either.
        return Err(check::mismatch("product_id").about(id).fact(Some(other), "stock_id", other).into());
    }
    let before: Available = workspace.internal(&key)?;
    let available = Available { exact: is_van(&place), ..before.counted(stock.on_hand_milli) };
    waiting::put_available(workspace, key, (&before, available))?;
    stocks.note(warehouse, id);
    workspace.put_internal(&product, &stocks)?;
    let (free_milli, quarantined_milli) = (available.told_free_milli(), available.quarantined_milli);
    let published = Stock { free_milli, quarantined_milli, ..stock.clone() };
    workspace.put(id, &published, &Stamps::default())
}
