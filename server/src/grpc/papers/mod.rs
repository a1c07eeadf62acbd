//! Papers of what the records say: reads what stands on one, and has it rendered.

mod collected;
mod returned;

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use roundsman_proto::logistics as proto;
use roundsman_proto::logistics::{PaperKind, PaperLanguage};
use roundsman_proto::trade::{
    Agreement, Customer, Order, OrderLine, Outlet, PriceList, Product, Reason, Rep, Shipment, ShipmentLine,
    ShipmentState, Trip, TripState, TripStop, Warehouse, Wave,
};
use roundsman_sync::trade::order::fulfil::order_of;
use roundsman_sync::trade::rejection::Rejection;
use roundsman_sync::trade::shipment::carried;
use roundsman_sync::trade::{check, delivery, money, order, price, trip};
use tonic::Status;
use uuid::Uuid;

use super::fields::Fields;
use super::records::{live, one};
use super::status;
use crate::commands::allocate_wave::shipment_id;
use crate::commands::shipping::order_ids;
use crate::papers::delivery_note::{DeliveryNote, NoteLine, NotePrice};
use crate::papers::pick_list::{PickLine, PickList};
use crate::papers::return_note::ReturnNote;
use crate::papers::route_sheet::{Money, RouteSheet, Stop};
use crate::papers::{Goods, Language, Party, short};
use crate::store::sql::{Db, Tx};

/// No pick list is of more lines of shipments, …
const LINES: usize = 50_000;
/// … or of more products.
const PRODUCTS: usize = 10_000;
/// No file is larger: clients take messages of 4 MiB.
const BYTES: usize = 4_000_000;

/// A paper that is asked for, checked.
#[derive(Clone, Copy, Debug)]
pub struct AskedPaper {
    kind: Kind,
    id: Uuid,
    language: Language,
    day: i32,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    PickList,
    DeliveryNote,
    RouteSheet,
    ReturnNote,
}

/// What stands on a paper.
#[derive(Debug)]
enum Paper {
    PickList(PickList),
    DeliveryNote(DeliveryNote),
    RouteSheet(RouteSheet),
    ReturnNote(ReturnNote),
}

impl AskedPaper {
    /// What was asked for.
    ///
    /// # Errors
    /// INVALID_ARGUMENT with all that is wrong.
    pub fn of(request: &proto::RenderPaperRequest) -> Result<Self, Status> {
        let mut fields = Fields::default();
        let mut wrong_kind = |reason, text| {
            fields.wrong("kind", reason, text);
            Kind::PickList
        };
        let kind = match PaperKind::try_from(request.kind) {
            Ok(PaperKind::PickList) => Kind::PickList,
            Ok(PaperKind::DeliveryNote) => Kind::DeliveryNote,
            Ok(PaperKind::RouteSheet) => Kind::RouteSheet,
            Ok(PaperKind::ReturnNote) => Kind::ReturnNote,
            Ok(PaperKind::Unspecified) => wrong_kind(Reason::MissingField, "is missing"),
            Err(_) => wrong_kind(Reason::UnknownValue, "is unknown"),
        };
        let id = fields.id("id", &request.id);
        let language = match PaperLanguage::try_from(request.language) {
            Ok(PaperLanguage::Unspecified | PaperLanguage::English) => Language::English,
            Ok(PaperLanguage::Russian) => Language::Russian,
            Err(_) => {
                fields.wrong("language", Reason::UnknownValue, "is unknown");
                Language::English
            }
        };
        if check::optional_day(request.day, "day").is_err() {
            fields.wrong("day", Reason::OutOfRange, "is no day");
        }
        fields.check()?;
        Ok(Self { kind, id, language, day: request.day })
    }

    /// Reads what stands on it, and renders it.
    ///
    /// # Errors
    /// NOT_FOUND; `REASON_WRONG_STATE`, `REASON_LIMIT_EXCEEDED`; when the database does not answer.
    pub async fn render(self, db: &Db, tenant: i64) -> Result<proto::RenderPaperResponse, Status> {
        let mut tx = db.read().await?;
        let paper = self.read(&mut tx, tenant).await?;
        tx.commit().await?;
        let language = self.language;
        let rendered = tokio::task::spawn_blocking(move || match paper {
            Paper::PickList(list) => list.render(language),
            Paper::DeliveryNote(note) => note.render(language),
            Paper::RouteSheet(sheet) => sheet.render(language),
            Paper::ReturnNote(note) => note.render(language),
        });
        let pdf = rendered.await.map_err(status::internal)?;
        limit(pdf.len(), BYTES)?;
        let name = match self.kind {
            Kind::PickList => "pick-list",
            Kind::DeliveryNote => "delivery-note",
            Kind::RouteSheet => "route-sheet",
            Kind::ReturnNote => "return-note",
        };
        Ok(proto::RenderPaperResponse { pdf, file_name: format!("{name}-{}.pdf", short(self.id)) })
    }

    async fn read(self, tx: &mut Tx, tenant: i64) -> Result<Paper, Status> {
        Ok(match self.kind {
            Kind::DeliveryNote => {
                let shipped = self.shipment(tx, tenant).await?;
                let shipped = shipped.ok_or_else(|| Status::not_found("there is no such shipment"))?;
                Paper::DeliveryNote(shipped.delivery_note(tx, tenant, self.day).await?)
            }
            Kind::PickList => Paper::PickList(match self.shipment(tx, tenant).await? {
                Some(shipped) => shipped.pick_list(self.day),
                None => self.of_wave(tx, tenant).await?,
            }),
            Kind::RouteSheet => Paper::RouteSheet(self.route_sheet(tx, tenant).await?),
            Kind::ReturnNote => Paper::ReturnNote(returned::note(self, tx, tenant).await?),
        })
    }

    /// The shipment that is asked for, if it is one.
    async fn shipment(self, tx: &mut Tx, tenant: i64) -> Result<Option<Shipped>, Status> {
        let Some(shipment) = one::<Shipment>(tx, tenant, self.id.as_bytes()).await? else { return Ok(None) };
        if shipment.state() == ShipmentState::Cancelled {
            return Err(self.wrong_state(shipment.state().as_str_name()));
        }
        Shipped::read(tx, tenant, (self.id, shipment)).await.map(Some)
    }

    fn wrong_state(self, state: &str) -> Status {
        status::rejected(&Rejection::new(Reason::WrongState).fact(Some(self.id), "state", state))
    }

    /// Where a trip goes.
    async fn route_sheet(self, tx: &mut Tx, tenant: i64) -> Result<RouteSheet, Status> {
        let trip = one::<Trip>(tx, tenant, self.id.as_bytes()).await?;
        let trip = trip.ok_or_else(|| Status::not_found("there is no such trip"))?;
        if trip.state() == TripState::Cancelled {
            return Err(self.wrong_state(trip.state().as_str_name()));
        }
        let driver = one::<Rep>(tx, tenant, &trip.driver_id).await?;
        let warehouse = one::<Warehouse>(tx, tenant, &trip.warehouse_id).await?;
        let ids: Vec<Uuid> = trip::shipment_ids(&trip).collect();
        let shipments = live::<Shipment>(tx, tenant, &ids).await?;
        let products = products(tx, tenant, shipments.values()).await?;
        let outlets = trip.stops.iter().filter_map(|stop| Uuid::from_slice(&stop.outlet_id).ok());
        let outlets = live::<Outlet>(tx, tenant, &outlets.collect::<Vec<_>>()).await?;
        let to_collect = collected::to_collect(tx, tenant, &trip, &shipments).await?;
        let stop = |(stop, to_collect): (&TripStop, Vec<Money>)| Stop {
            to_collect,
            ..stop_of(stop, trip.day, &outlets, (&shipments, &products))
        };
        Ok(RouteSheet {
            trip: self.id,
            day: if self.day == 0 { trip.day } else { self.day },
            vehicle: trip.vehicle_name.clone(),
            driver: driver.map(|driver| driver.name).unwrap_or_default(),
            warehouse: warehouse.map(place_of_warehouse).unwrap_or_default(),
            stops: trip.stops.iter().zip(to_collect).map(stop).collect(),
            comment: trip.comment.clone(),
        })
    }

    /// What is collected for all shipments of a wave.
    async fn of_wave(self, tx: &mut Tx, tenant: i64) -> Result<PickList, Status> {
        let wave = one::<Wave>(tx, tenant, self.id.as_bytes()).await?;
        let wave = wave.ok_or_else(|| Status::not_found("there is no such shipment or wave"))?;
        let orders = wave.order_ids.iter().filter_map(|id| Uuid::from_slice(id).ok());
        let ids: Vec<Uuid> = orders.map(|order| shipment_id(self.id, order)).collect();
        let mut shipments = live::<Shipment>(tx, tenant, &ids).await?;
        shipments.retain(|_, shipment| shipment.state() != ShipmentState::Cancelled);
        limit(shipments.values().map(|shipment| shipment.lines.len()).sum(), LINES)?;
        let products = products(tx, tenant, shipments.values()).await?;
        let lines = shipments.iter().flat_map(|(id, shipment)| pick_lines(*id, shipment, &products)).collect();
        let warehouse = one::<Warehouse>(tx, tenant, &wave.warehouse_id).await?;
        let warehouse = warehouse.map(place_of_warehouse).unwrap_or_default();
        let (id, day) = (self.id, self.day);
        Ok(PickList { id, wave: wave.name, day, warehouse, lines, ..PickList::default() })
    }
}

/// A shipment with what its papers name.
#[derive(Debug)]
struct Shipped {
    id: Uuid,
    shipment: Shipment,
    orders: HashMap<Uuid, Order>,
    products: HashMap<Uuid, Product>,
    warehouse: Party,
    recipient: Party,
}

impl Shipped {
    async fn read(tx: &mut Tx, tenant: i64, (id, shipment): (Uuid, Shipment)) -> Result<Self, Status> {
        let ids: Vec<Uuid> = order_ids(&shipment).into_iter().collect();
        let orders = live::<Order>(tx, tenant, &ids).await?;
        let products = products(tx, tenant, [&shipment]).await?;
        let warehouse = one::<Warehouse>(tx, tenant, &shipment.warehouse_id).await?;
        let outlet = one::<Outlet>(tx, tenant, &shipment.outlet_id).await?;
        let recipient = outlet.map(|outlet| Party { name: outlet.name, address: outlet.address, ..Party::default() });
        let warehouse = warehouse.map(place_of_warehouse).unwrap_or_default();
        Ok(Self { id, shipment, orders, products, warehouse, recipient: recipient.unwrap_or_default() })
    }

    /// Its first order: of several, they have the same customer and currency.
    fn order(&self) -> Option<&Order> {
        self.orders.get(&Uuid::from_slice(&self.shipment.order_id).ok()?)
    }

    /// What was noted at it and at its orders.
    fn comment(&self) -> String {
        let orders: BTreeSet<&str> = self.orders.values().map(|order| order.comment.as_str()).collect();
        let notes = std::iter::once(self.shipment.comment.as_str()).chain(orders);
        notes.filter(|note| !note.trim().is_empty()).collect::<Vec<_>>().join(" · ")
    }

    fn pick_list(self, day: i32) -> PickList {
        let (id, comment) = (self.id, self.comment());
        let lines = pick_lines(id, &self.shipment, &self.products).collect();
        let Self { warehouse, recipient, .. } = self;
        PickList { id, wave: String::new(), day, warehouse, recipient, comment, lines }
    }

    async fn delivery_note(self, tx: &mut Tx, tenant: i64, day: i32) -> Result<DeliveryNote, Status> {
        let order = self.order().cloned().unwrap_or_default();
        let customer = one::<Customer>(tx, tenant, &order.customer_id).await?;
        let terms = terms(tx, tenant, &self.orders).await?;
        let comment = self.comment();
        let lines = self.shipment.lines.iter().filter_map(|line| self.note_line(line, &terms)).collect();
        Ok(DeliveryNote {
            shipment: self.id,
            day,
            delivery_day: if order.promised_day == 0 { order.delivery_day } else { order.promised_day },
            warehouse: self.warehouse,
            recipient: self.recipient,
            customer: customer.map(party_of_customer).unwrap_or_default(),
            orders: self.orders.into_keys().collect(),
            currency: order.currency,
            lines,
            comment,
        })
    }

    /// `None`: nothing of it comes.
    fn note_line(&self, line: &ShipmentLine, terms: &HashMap<Uuid, Terms>) -> Option<NoteLine> {
        let quantity_milli = carried(&self.shipment, line);
        let product = Uuid::from_slice(&line.product_id).ok();
        let goods = goods(product.and_then(|id| self.products.get(&id)), product.unwrap_or_default());
        let ordered = Uuid::from_slice(order_of(&self.shipment, line)).ok();
        let price = ordered.and_then(|id| {
            let order = self.orders.get(&id)?;
            let ordered = order.lines.iter().find(|ordered| ordered.line_id == line.line_id)?;
            note_price(ordered, quantity_milli, terms.get(&id)?.vat_included)
        });
        (quantity_milli > 0).then_some(NoteLine { goods, quantity_milli, price })
    }
}

/// A stop of a trip as its sheet names it.
fn stop_of(
    stop: &TripStop,
    day: i32,
    outlets: &HashMap<Uuid, Outlet>,
    (shipments, products): (&HashMap<Uuid, Shipment>, &HashMap<Uuid, Product>),
) -> Stop {
    let outlet = Uuid::from_slice(&stop.outlet_id).ok().and_then(|id| outlets.get(&id));
    let hours = outlet.into_iter().flat_map(|outlet| &outlet.opening_hours);
    let open = hours.filter(|hours| delivery::is_among(hours.weekdays, day));
    let ids: Vec<Uuid> = stop.shipment_ids.iter().filter_map(|id| Uuid::from_slice(id).ok()).collect();
    Stop {
        outlet: stop.outlet_name.clone(),
        address: stop.address.clone(),
        windows: open.map(|hours| (hours.from_s, hours.to_s)).collect(),
        weight_g: weight_g(ids.iter().filter_map(|id| shipments.get(id)), products).unwrap_or(0),
        shipments: ids,
        to_collect: Vec::new(),
    }
}

/// What comes with these shipments, in grams, rounded up. `None`: not all of it is known.
fn weight_g<'a>(shipments: impl Iterator<Item = &'a Shipment>, products: &HashMap<Uuid, Product>) -> Option<i64> {
    let mut ug = 0_i128;
    for shipment in shipments {
        for line in &shipment.lines {
            let product = products.get(&Uuid::from_slice(&line.product_id).ok()?)?;
            let quantity_milli = carried(shipment, line);
            if quantity_milli > 0 && product.weight_mg == 0 {
                return None;
            }
            ug += i128::from(quantity_milli) * i128::from(product.weight_mg);
        }
    }
    i64::try_from((ug + 999_999) / 1_000_000).ok()
}

/// What a part of an order's line costs. `None`: more than there is money.
fn note_price(line: &OrderLine, quantity_milli: i64, vat_included: bool) -> Option<NotePrice> {
    let sum = order::part(line, quantity_milli, vat_included).ok()?;
    let per_milli = price::per(line.price_per_milli);
    let before = money::gross(quantity_milli, line.price_minor, per_milli).ok()?;
    let after = if vat_included { sum.amount_minor } else { sum.amount_minor - sum.vat_minor };
    Some(NotePrice {
        price_minor: line.price_minor,
        per_milli,
        off_minor: before - after,
        vat_bp: line.vat_bp,
        vat_minor: sum.vat_minor,
        amount_minor: sum.amount_minor,
    })
}

fn pick_lines<'a>(
    id: Uuid,
    shipment: &'a Shipment,
    products: &'a HashMap<Uuid, Product>,
) -> impl Iterator<Item = PickLine> + 'a {
    shipment.lines.iter().map(move |line| {
        let product_id = Uuid::from_slice(&line.product_id).unwrap_or_default();
        let product = products.get(&product_id);
        let packages = product.into_iter().flat_map(|product| &product.packagings);
        PickLine {
            shipment: id,
            product: product_id,
            goods: goods(product, product_id),
            group_path: product.map(|product| product.group_path.clone()).unwrap_or_default(),
            packages: packages.map(|package| (package.name.clone(), package.coefficient_milli)).collect(),
            quantity_milli: line.ordered_milli,
        }
    })
}

/// A product as papers name it: one that is gone by its number.
fn goods(product: Option<&Product>, id: Uuid) -> Goods {
    match product {
        Some(Product { name, code, base_unit, weight_mg, .. }) => {
            Goods { name: name.clone(), code: code.clone(), unit: base_unit.clone(), weight_mg: *weight_mg }
        }
        None => Goods { name: short(id), ..Goods::default() },
    }
}

fn place_of_warehouse(warehouse: Warehouse) -> Party {
    Party { name: warehouse.name, address: warehouse.address, ..Party::default() }
}

fn party_of_customer(customer: Customer) -> Party {
    let Customer { name, legal_name, tax_id, legal_address, .. } = customer;
    Party { name: if legal_name.is_empty() { name } else { legal_name }, address: legal_address, tax_id }
}

async fn products(
    tx: &mut Tx,
    tenant: i64,
    shipments: impl IntoIterator<Item = &Shipment>,
) -> Result<HashMap<Uuid, Product>, Status> {
    let lines = shipments.into_iter().flat_map(|shipment| &shipment.lines);
    named_products(tx, tenant, lines.map(|line| line.product_id.as_slice())).await
}

async fn named_products(
    tx: &mut Tx,
    tenant: i64,
    ids: impl Iterator<Item = &[u8]>,
) -> Result<HashMap<Uuid, Product>, Status> {
    let ids: BTreeSet<Uuid> = ids.filter_map(|id| Uuid::from_slice(id).ok()).collect();
    limit(ids.len(), PRODUCTS)?;
    Ok(live(tx, tenant, &ids.into_iter().collect::<Vec<_>>()).await?)
}

/// What of the terms of an order counts on papers.
#[derive(Clone, Copy, Debug)]
struct Terms {
    /// Its prices contain value added tax.
    vat_included: bool,
    /// It is to be paid on delivery.
    on_delivery: bool,
}

/// By order, its terms, as far as they are known.
async fn terms(tx: &mut Tx, tenant: i64, orders: &HashMap<Uuid, Order>) -> Result<HashMap<Uuid, Terms>, Status> {
    let named: HashMap<Uuid, Uuid> = by(orders, |order| &order.agreement_id);
    let agreements = live::<Agreement>(tx, tenant, &distinct(&named)).await?;
    let of_agreements: HashMap<Uuid, Uuid> = by(&agreements, |agreement| &agreement.price_list_id);
    let lists = live::<PriceList>(tx, tenant, &distinct(&of_agreements)).await?;
    let terms = |(order, agreement): (Uuid, Uuid)| {
        let vat_included = lists.get(of_agreements.get(&agreement)?)?.vat_included;
        Some((order, Terms { vat_included, on_delivery: agreements.get(&agreement)?.payment_due_days == 0 }))
    };
    Ok(named.into_iter().filter_map(terms).collect())
}

/// By record, the one that it names.
fn by<K: Copy + Eq + Hash, R>(records: &HashMap<K, R>, id: impl Fn(&R) -> &[u8]) -> HashMap<K, Uuid> {
    records.iter().filter_map(|(key, record)| Some((*key, Uuid::from_slice(id(record)).ok()?))).collect()
}

fn distinct<K>(ids: &HashMap<K, Uuid>) -> Vec<Uuid> {
    ids.values().copied().collect::<BTreeSet<_>>().into_iter().collect()
}

fn limit(count: usize, limit: usize) -> Result<(), Status> {
    check::count(count, limit, "id").map_err(|rejection| status::rejected(&rejection))
}
