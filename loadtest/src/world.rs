//! A distributor: one warehouse, one price list, reps with a territory and outlets each, every outlet with a customer
//! and an agreement of its own, and as many articles as a part asks for.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, Assignment, Customer, Order, OrderStatus, Outlet, OutletStatus, PriceList, PriceToSet, Receivable,
    RecordToImport, Rep, RepStatus, SetPrices, SetStock, Stock, StockToSet, Team, Territory, Visit, VisitState,
    Warehouse,
};
use roundsman_sync::scope::Month;
use tokio::time::Instant;
use uuid::Uuid;

use crate::goods::{self, CURRENCY, bytes, entry};
use crate::office::Office;

/// Records in a command of the import, at most.
const CHUNK: usize = 1_000;
/// Prices in a command: few enough that whoever orders meanwhile waits a moment only.
pub const PRICES_AT_ONCE: usize = 250;
/// What lies in the warehouse of every article, so that stock is judged and never runs out: a million pieces.
const ON_HAND_MILLI: i64 = 1_000_000_000;
/// What a customer may owe: enough for every order.
const CREDIT_LIMIT_MINOR: i64 = 1_000_000_000_000;

/// A rep.
#[derive(Clone, Debug)]
pub struct RepWorld {
    /// The tenant's name.
    pub tenant: Arc<str>,
    /// The login.
    pub login: String,
    /// The outlets of the rep's territory, each with its agreement.
    pub outlets: Vec<(Uuid, Uuid)>,
    /// The number of the price list that all their agreements name.
    pub price_list: usize,
}

/// How many of everything there are.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Reps, each with a territory.
    pub reps: usize,
    /// Of them, those who can log in.
    pub users: usize,
    /// Outlets of each rep.
    pub outlets: usize,
    /// Price lists; reps have them by turns.
    pub price_lists: usize,
}

impl From<(usize, usize)> for Size {
    /// Reps with so many outlets each, who can all log in, and one price list.
    fn from((reps, outlets): (usize, usize)) -> Self {
        Self { reps, users: reps, outlets, price_lists: 1 }
    }
}

/// What has happened at each of some outlets.
#[derive(Clone, Copy, Debug)]
pub struct Past {
    /// Finished visits.
    pub visits: usize,
    /// Delivered orders.
    pub orders: usize,
}

/// Who and what there is.
#[derive(Debug)]
pub struct World {
    /// The reps.
    pub reps: Vec<RepWorld>,
    /// By price list and article, the version of the price.
    pub price_versions: Vec<Vec<i64>>,
    users: usize,
    tenant: Arc<str>,
    warehouse: Uuid,
    stocked: bool,
}

impl World {
    /// Makes reps with outlets, and no articles yet. With `stocked`, articles have a stock figure each.
    pub async fn make(office: &Office<'_>, size: impl Into<Size>, stocked: bool) -> anyhow::Result<Self> {
        let Size { reps, users, outlets, price_lists } = size.into();
        let (team, warehouse) = (goods::id("team"), goods::id("warehouse"));
        let mut records = vec![
            entry(team, Record::Team(Team { name: "City".to_owned(), ..Team::default() })),
            entry(warehouse, Record::Warehouse(Warehouse { name: "Main".to_owned(), ..Warehouse::default() })),
        ];
        for number in 0..price_lists {
            let list = PriceList {
                name: format!("Retail {number}"),
                currency: CURRENCY.to_owned(),
                vat_included: false,
                ..PriceList::default()
            };
            records.push(entry(price_list_id(number), Record::PriceList(list)));
        }
        let tenant = office.tenant.as_str().into();
        let price_versions = vec![Vec::new(); price_lists];
        let mut world = Self { reps: Vec::new(), price_versions, users, tenant, warehouse, stocked };
        let bar = office.bench.progress("reps with their outlets".to_owned(), reps);
        for number in 0..reps {
            records.extend(world.rep(number, team, outlets, office.bench.today()));
            bar.inc(1);
            // A rep's records refer to one another, so a chunk ends between two reps.
            if records.len() + CHUNK / 2 > CHUNK {
                office.import(std::mem::take(&mut records)).await?;
            }
        }
        if !records.is_empty() {
            office.import(records).await?;
        }
        bar.finish_and_clear();
        let bar = office.bench.progress("users".to_owned(), users);
        for (number, rep) in world.users().enumerate() {
            office.user(&rep.login, goods::id(&format!("rep {number}"))).await?;
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(world)
    }

    fn rep(&mut self, number: usize, team: Uuid, outlets: usize, today: i32) -> Vec<RecordToImport> {
        let (rep, territory) = (goods::id(&format!("rep {number}")), goods::id(&format!("territory {number}")));
        let (login, team_id) = (format!("rep{number}"), bytes(team));
        let document = Territory {
            name: format!("Territory {number}"),
            team_id: team_id.clone(),
            time_zone: "Europe/Helsinki".to_owned(),
            warehouse_id: bytes(self.warehouse),
            ..Territory::default()
        };
        let assignment =
            Assignment { rep_id: bytes(rep), territory_id: bytes(territory), from_day: today - 30, to_day: 0 };
        let person = Rep { name: login.clone(), team_id, status: RepStatus::Active.into(), ..Rep::default() };
        let mut records = vec![
            entry(territory, Record::Territory(document)),
            entry(rep, Record::Rep(person)),
            entry(goods::id(&format!("assignment {number}")), Record::Assignment(assignment)),
        ];
        let (mut own, price_list) = (Vec::with_capacity(outlets), number % self.price_versions.len());
        for outlet in 0..outlets {
            let key = format!("{number}/{outlet}");
            records.extend(self.outlet(&key, territory, price_list));
            own.push((goods::id(&format!("outlet {key}")), goods::id(&format!("agreement {key}"))));
        }
        self.reps.push(RepWorld { tenant: Arc::clone(&self.tenant), login, outlets: own, price_list });
        records
    }

    /// One more territory, which all reps hold; a name again and again makes it a record that changes for all.
    #[must_use]
    pub fn common_territory(&self, name: &str) -> RecordToImport {
        let territory = Territory {
            name: name.to_owned(),
            team_id: bytes(goods::id("team")),
            time_zone: "Europe/Helsinki".to_owned(),
            warehouse_id: bytes(self.warehouse),
            ..Territory::default()
        };
        entry(goods::id("common territory"), Record::Territory(territory))
    }

    /// Gives it to all reps.
    pub async fn hold_in_common(&self, office: &Office<'_>) -> anyhow::Result<()> {
        let today = office.bench.today();
        let assignment = |number: usize| {
            let assignment = Assignment {
                rep_id: bytes(goods::id(&format!("rep {number}"))),
                territory_id: bytes(goods::id("common territory")),
                from_day: today - 30,
                to_day: 0,
            };
            entry(goods::id(&format!("common assignment {number}")), Record::Assignment(assignment))
        };
        let territory = [self.common_territory("Common")];
        office.import(territory.into_iter().chain((0..self.reps.len()).map(assignment)).collect()).await?;
        Ok(())
    }

    fn outlet(&self, key: &str, territory: Uuid, price_list: usize) -> [RecordToImport; 3] {
        let customer = goods::id(&format!("customer {key}"));
        let agreement = goods::id(&format!("agreement {key}"));
        let terms = Agreement {
            name: format!("Agreement {key}"),
            customer_id: bytes(customer),
            price_list_id: bytes(price_list_id(price_list)),
            currency: CURRENCY.to_owned(),
            credit_limit_minor: Some(CREDIT_LIMIT_MINOR),
            overdue_ban: true,
            ..Agreement::default()
        };
        let outlet = Outlet {
            name: format!("Outlet {key}"),
            address: format!("Esplanadi {key}, Helsinki"),
            territory_id: bytes(territory),
            customer_id: bytes(customer),
            agreement_ids: vec![bytes(agreement)],
            status: OutletStatus::Active.into(),
            ..Outlet::default()
        };
        [
            entry(customer, Record::Customer(Customer { name: format!("Customer {key}"), ..Customer::default() })),
            entry(agreement, Record::Agreement(terms)),
            entry(goods::id(&format!("outlet {key}")), Record::Outlet(outlet)),
        ]
    }

    /// Imports articles, with their prices in the first list, until there are so many; returns how many records that took, and
    /// how long.
    pub async fn grow(&mut self, office: &Office<'_>, articles: usize) -> anyhow::Result<(u64, Duration)> {
        let each = goods::ROWS_AN_ARTICLE + usize::from(self.stocked);
        let bar = office.bench.progress("articles".to_owned(), articles);
        bar.set_position(self.articles() as u64);
        let (begun, mut records) = (Instant::now(), 0);
        while self.articles() < articles {
            let end = articles.min(self.articles() + CHUNK / each);
            let chunk: Vec<RecordToImport> = (self.articles()..end).flat_map(|article| self.article(article)).collect();
            records += chunk.len() as u64;
            let version = office.import(chunk).await?;
            self.price_versions[0].resize(end, version);
            bar.set_position(end as u64);
        }
        bar.finish_and_clear();
        Ok((records, begun.elapsed()))
    }

    fn article(&self, article: usize) -> Vec<RecordToImport> {
        let product = goods::product_id(article);
        let price = goods::price(article, price_list_id(0), goods::price_minor(article));
        let mut records = vec![
            entry(product, Record::Product(goods::product(article))),
            entry(goods::price_id(0, article), Record::Price(price)),
        ];
        if self.stocked {
            records.push(entry(stock_id(article), Record::Stock(self.stock(article, ON_HAND_MILLI, 0))));
        }
        records
    }

    /// Imports finished visits, delivered orders and a debt for some outlets of each of some reps.
    pub async fn past(
        &self,
        office: &Office<'_>,
        reps: Range<usize>,
        outlets: Range<usize>,
        past: Past,
    ) -> anyhow::Result<()> {
        let bar = office.bench.progress("visits, orders and debts".to_owned(), reps.len() * outlets.len());
        let places = reps.flat_map(|rep| outlets.clone().map(move |outlet| (rep, outlet))).collect::<Vec<_>>();
        // Of each visits, orders and a debt.
        for chunk in places.chunks(CHUNK / (past.visits + past.orders + 1)) {
            office.import(chunk.iter().flat_map(|place| self.past_of_outlet(office, *place, past)).collect()).await?;
            bar.inc(chunk.len() as u64);
        }
        bar.finish_and_clear();
        Ok(())
    }

    /// Imports the prices of all articles in the other lists; returns how many, and how long that took.
    pub async fn fill_lists(&mut self, office: &Office<'_>) -> anyhow::Result<(u64, Duration)> {
        let (lists, articles) = (self.price_versions.len(), self.articles());
        let bar = office.bench.progress("prices".to_owned(), (lists - 1) * articles);
        let begun = Instant::now();
        for list in 1..lists {
            while self.price_versions[list].len() < articles {
                let first = self.price_versions[list].len();
                let end = articles.min(first + PRICES_AT_ONCE);
                let price = |article| {
                    let price = goods::price(article, price_list_id(list), goods::price_minor(article));
                    entry(goods::price_id(list, article), Record::Price(price))
                };
                let version = office.import((first..end).map(price).collect()).await?;
                self.price_versions[list].resize(end, version);
                bar.inc((end - first) as u64);
            }
        }
        bar.finish_and_clear();
        Ok((((lists - 1) * articles) as u64, begun.elapsed()))
    }

    /// The reps who can log in.
    pub fn users(&self) -> impl Iterator<Item = &RepWorld> {
        self.reps.iter().take(self.users)
    }

    /// The versions of prices, for those who order.
    #[must_use]
    pub fn shared_versions(&self) -> Vec<Arc<[i64]>> {
        self.price_versions.iter().map(|versions| versions.as_slice().into()).collect()
    }

    /// How many articles there are.
    #[must_use]
    pub fn articles(&self) -> usize {
        self.price_versions[0].len()
    }

    /// Gives the prices of these articles in the first list a value that lies so far above their first one.
    pub async fn reprice(&self, office: &Office<'_>, articles: &[usize], above: i64) -> anyhow::Result<()> {
        let price = |article: &usize| {
            let price = goods::price(*article, price_list_id(0), goods::price_minor(*article) + above);
            PriceToSet { price_id: bytes(goods::price_id(0, *article)), price: Some(price) }
        };
        for chunk in articles.chunks(PRICES_AT_ONCE) {
            let prices = chunk.iter().map(price).collect();
            office.execute(Command::SetPrices(SetPrices { prices })).await?;
        }
        Ok(())
    }

    /// Has these articles counted: so much more lies there than at first.
    pub async fn restock(&self, office: &Office<'_>, articles: &[usize], more: i64) -> anyhow::Result<()> {
        let stock = |article: &usize| {
            let stock = self.stock(*article, ON_HAND_MILLI + more, office.bench.now_us());
            StockToSet { stock_id: bytes(stock_id(*article)), stock: Some(stock) }
        };
        for chunk in articles.chunks(CHUNK) {
            let stocks = chunk.iter().map(stock).collect();
            office.execute(Command::SetStock(SetStock { stocks })).await?;
        }
        Ok(())
    }

    fn stock(&self, article: usize, on_hand_milli: i64, as_of_us: i64) -> Stock {
        let (warehouse_id, product_id) = (bytes(self.warehouse), bytes(goods::product_id(article)));
        Stock { warehouse_id, product_id, on_hand_milli, as_of_us, ..Stock::default() }
    }

    fn past_of_outlet(&self, office: &Office<'_>, (rep, outlet): (usize, usize), past: Past) -> Vec<RecordToImport> {
        let key = format!("{rep}/{outlet}");
        let (outlet_id, agreement_id) = self.reps[rep].outlets[outlet];
        let (rep_id, customer_id) =
            (bytes(goods::id(&format!("rep {rep}"))), bytes(goods::id(&format!("customer {key}"))));
        let day = office.bench.today();
        let finished = |name: String, record| RecordToImport {
            closed_month: Month::of_day(day).map_or(0, |month| month.number() / 12 * 100 + month.number() % 12 + 1),
            ..entry(goods::id(&name), record)
        };
        let visit = |number| {
            let visit = Visit {
                outlet_id: bytes(outlet_id),
                rep_id: rep_id.clone(),
                day,
                state: VisitState::Skipped.into(),
                ..Visit::default()
            };
            finished(format!("visit {key}/{number}"), Record::Visit(visit))
        };
        let order = |number| {
            let order = Order {
                outlet_id: bytes(outlet_id),
                customer_id: customer_id.clone(),
                agreement_id: bytes(agreement_id),
                rep_id: rep_id.clone(),
                order_day: day,
                delivery_day: day,
                currency: CURRENCY.to_owned(),
                status: OrderStatus::Closed.into(),
                booked: true,
                ..Order::default()
            };
            finished(format!("order {key}/{number}"), Record::Order(order))
        };
        let debt = Receivable {
            customer_id: customer_id.clone(),
            currency: CURRENCY.to_owned(),
            debt_minor: 100_000,
            as_of_us: office.bench.now_us(),
            ..Receivable::default()
        };
        let debt = entry(goods::id(&format!("receivable {key}")), Record::Receivable(debt));
        (0..past.visits).map(visit).chain((0..past.orders).map(order)).chain([debt]).collect()
    }

    /// The price list that all agreements use.
    #[must_use]
    pub fn price_list(&self) -> Uuid {
        price_list_id(0)
    }
}

fn price_list_id(number: usize) -> Uuid {
    goods::id(&format!("price list {number}"))
}

fn stock_id(article: usize) -> Uuid {
    goods::id(&format!("stock {article}"))
}
