//! A small distributor: one team, two territories, two reps, two customers with an outlet each in either territory, ten
//! articles on one price list, in stock in one warehouse.

use roundsman::auth::caller::Caller;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, Assignment, CheckIn, Customer, GeoPoint, ImportRecords, Outlet, OutletStatus, Packaging, Price,
    PriceBreak, PriceList, Product, Receivable, RecordToImport, Rep, RepStatus, ShortageRule, Stock, Team, Territory,
    Warehouse,
};
use uuid::Uuid;

use crate::app::{TODAY, TestApp};

/// The currency of everything.
pub const CURRENCY: &str = "EUR";
/// The credit limit of every agreement: 1,000.00.
pub const CREDIT_LIMIT_MINOR: i64 = 100_000;
/// What one piece of every article costs, without VAT: 10.00.
pub const PRICE_MINOR: i64 = 1_000;
/// What lies in the warehouse of every article: 500 pieces.
pub const ON_HAND_MILLI: i64 = 500_000;

/// A rep with what is the rep's.
#[derive(Clone, Debug)]
pub struct RepWorld {
    /// The login.
    pub login: &'static str,
    /// The rep.
    pub rep: Uuid,
    /// The user that the rep is.
    pub user: Uuid,
    /// The territory.
    pub territory: Uuid,
    /// The assignment to it.
    pub assignment: Uuid,
    /// The outlets of the territory.
    pub outlets: Vec<Uuid>,
}

/// Who and what there is.
#[derive(Clone, Debug)]
pub struct World {
    /// The tenant.
    pub tenant: i64,
    /// The team of both reps.
    pub team: Uuid,
    /// The supervisor's user, with the login `sonja`.
    pub supervisor: Uuid,
    /// The warehouse.
    pub warehouse: Uuid,
    /// The price list.
    pub price_list: Uuid,
    /// The articles.
    pub products: Vec<Uuid>,
    /// Their prices, in the same order.
    pub prices: Vec<Uuid>,
    /// Their stock records, in the same order.
    pub stocks: Vec<Uuid>,
    /// The customers.
    pub customers: Vec<Uuid>,
    /// Their agreements, in the same order.
    pub agreements: Vec<Uuid>,
    /// Their receivables, in the same order.
    pub receivables: Vec<Uuid>,
    /// `anna`, in the north.
    pub anna: RepWorld,
    /// `boris`, in the south.
    pub boris: RepWorld,
}

/// The bytes of an id.
#[must_use]
pub fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

fn entry(id: Uuid, record: Record) -> RecordToImport {
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 }
}

impl World {
    /// Makes it.
    pub async fn make(app: &TestApp) -> Self {
        let (team, warehouse, price_list) = (app.id(), app.id(), app.id());
        let ids = |count: usize| (0..count).map(|_| app.id()).collect::<Vec<_>>();
        let (products, prices, stocks) = (ids(10), ids(10), ids(10));
        let (customers, agreements, receivables) = (ids(2), ids(2), ids(2));
        let rep = |login| RepWorld {
            login,
            rep: app.id(),
            user: Uuid::nil(),
            territory: app.id(),
            assignment: app.id(),
            outlets: ids(2),
        };
        let (anna, boris) = (rep("anna"), rep("boris"));
        let supervisor = app.user("sonja", Role::Supervisor, None, Some(team)).await;
        let mut world = Self {
            tenant: app.tenant().await,
            team,
            supervisor,
            warehouse,
            price_list,
            products,
            prices,
            stocks,
            customers,
            agreements,
            receivables,
            anna,
            boris,
        };
        let mut records = world.goods();
        records.extend(world.network());
        let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
        world.anna.user = app.user("anna", Role::Rep, Some(world.anna.rep), None).await;
        world.boris.user = app.user("boris", Role::Rep, Some(world.boris.rep), None).await;
        world
    }

    /// What the server takes a rep's device for.
    #[must_use]
    pub fn caller(&self, rep: &RepWorld) -> Caller {
        Caller { tenant: self.tenant, user: rep.user, role: Role::Rep, rep: Some(rep.rep), team: None, device: None }
    }

    /// What the server takes the supervisor's device for.
    #[must_use]
    pub fn supervisor_caller(&self) -> Caller {
        Caller {
            tenant: self.tenant,
            user: self.supervisor,
            role: Role::Supervisor,
            rep: None,
            team: Some(self.team),
            device: None,
        }
    }

    fn goods(&self) -> Vec<RecordToImport> {
        let mut records = vec![
            entry(self.warehouse, Record::Warehouse(Warehouse { name: "Main".to_owned(), ..Warehouse::default() })),
            entry(
                self.price_list,
                Record::PriceList(PriceList {
                    name: "A".to_owned(),
                    currency: CURRENCY.to_owned(),
                    vat_included: false,
                    ..PriceList::default()
                }),
            ),
        ];
        for index in 0..self.products.len() {
            records.push(entry(self.products[index], Record::Product(product(index))));
            records.push(entry(self.prices[index], Record::Price(self.price(index, PRICE_MINOR))));
            records.push(entry(self.stocks[index], Record::Stock(self.stock(index, ON_HAND_MILLI))));
        }
        records
    }

    /// The price record of an article.
    #[must_use]
    pub fn price(&self, index: usize, price_minor: i64) -> Price {
        Price {
            price_list_id: bytes(self.price_list),
            product_id: bytes(self.products[index]),
            breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor }],
            valid_from_day: TODAY - 100,
            ..Price::default()
        }
    }

    /// The stock record of an article.
    #[must_use]
    pub fn stock(&self, index: usize, on_hand_milli: i64) -> Stock {
        Stock {
            warehouse_id: bytes(self.warehouse),
            product_id: bytes(self.products[index]),
            on_hand_milli,
            ..Stock::default()
        }
    }

    fn network(&self) -> Vec<RecordToImport> {
        let mut records = vec![entry(self.team, Record::Team(Team { name: "City".to_owned(), ..Team::default() }))];
        for index in 0..self.customers.len() {
            let customer = Customer { name: format!("Customer {index}"), ..Customer::default() };
            records.push(entry(self.customers[index], Record::Customer(customer)));
            records.push(entry(self.agreements[index], Record::Agreement(self.agreement(index))));
            records.push(entry(self.receivables[index], Record::Receivable(self.receivable(index, 0))));
        }
        for rep in [&self.anna, &self.boris] {
            records.extend(self.rep(rep));
        }
        records
    }

    /// The receivable of a customer.
    #[must_use]
    pub fn receivable(&self, index: usize, debt_minor: i64) -> Receivable {
        Receivable {
            customer_id: bytes(self.customers[index]),
            currency: CURRENCY.to_owned(),
            debt_minor,
            ..Receivable::default()
        }
    }

    /// The agreement of a customer.
    #[must_use]
    pub fn agreement(&self, index: usize) -> Agreement {
        Agreement {
            name: format!("Agreement {index}"),
            customer_id: bytes(self.customers[index]),
            price_list_id: bytes(self.price_list),
            currency: CURRENCY.to_owned(),
            credit_limit_minor: Some(CREDIT_LIMIT_MINOR),
            shortage_rule: ShortageRule::ConfirmPart.into(),
            overdue_ban: true,
            ..Agreement::default()
        }
    }

    fn rep(&self, rep: &RepWorld) -> Vec<RecordToImport> {
        let mut records = vec![
            entry(
                rep.territory,
                Record::Territory(Territory {
                    name: format!("Territory of {}", rep.login),
                    team_id: bytes(self.team),
                    time_zone: "Europe/Helsinki".to_owned(),
                    warehouse_id: bytes(self.warehouse),
                    ..Territory::default()
                }),
            ),
            entry(
                rep.rep,
                Record::Rep(Rep {
                    name: rep.login.to_owned(),
                    team_id: bytes(self.team),
                    status: RepStatus::Active.into(),
                    ..Rep::default()
                }),
            ),
            entry(
                rep.assignment,
                Record::Assignment(Assignment {
                    rep_id: bytes(rep.rep),
                    territory_id: bytes(rep.territory),
                    from_day: TODAY - 30,
                    to_day: 0,
                }),
            ),
        ];
        for (index, outlet) in rep.outlets.iter().enumerate() {
            records.push(entry(*outlet, Record::Outlet(self.outlet(rep, index))));
        }
        records
    }

    /// The outlet record of a rep.
    #[must_use]
    pub fn outlet(&self, rep: &RepWorld, index: usize) -> Outlet {
        Outlet {
            name: format!("Outlet {index} of {}", rep.login),
            territory_id: bytes(rep.territory),
            customer_id: bytes(self.customers[index]),
            agreement_ids: vec![bytes(self.agreements[index])],
            status: OutletStatus::Active.into(),
            point: Some(place()),
            ..Outlet::default()
        }
    }
}

/// Where every outlet is, as a good fix says.
#[must_use]
pub fn place() -> GeoPoint {
    GeoPoint { latitude_e7: 601_700_000, longitude_e7: 249_400_000, accuracy_m: 10, mocked: false }
}

/// An unplanned visit begins.
#[must_use]
pub fn check_in(visit: Uuid, outlet: Uuid) -> Command {
    Command::CheckIn(CheckIn { visit_id: bytes(visit), outlet_id: bytes(outlet), planned_day: 0, point: Some(place()) })
}

fn product(index: usize) -> Product {
    Product {
        name: format!("Article {index}"),
        code: format!("A{index:03}"),
        base_unit: "piece".to_owned(),
        barcodes: vec![format!("40000000{index:05}")],
        packagings: vec![Packaging {
            code: "piece".to_owned(),
            name: "piece".to_owned(),
            coefficient_milli: 1_000,
            barcodes: vec![format!("41000000{index:05}")],
        }],
        vat_bp: 0,
        multiple_milli: 1_000,
        ..Product::default()
    }
}
