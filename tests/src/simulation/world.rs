//! Who there is, and what there is to begin with: drawn from the seed.

use roundsman::auth::caller::Caller;
use roundsman_proto::auth::Role;
use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, Assignment, Chain, Customer, DueItem, FreeGoods, ImportRecords, Outlet, OutletStatus, Packaging, Price,
    PriceBreak, PriceList, Product, Promotion, QuestionType, Receivable, RecordToImport, Rep, RepStatus, Route,
    RouteStop, ShortageRule, Stacking, Stock, Survey, SurveyQuestion, SurveyState, Team, Territory, Vehicle, Warehouse,
};
use uuid::Uuid;

use super::dice::Dice;
use crate::app::TODAY;
use crate::world::{bytes, place};

/// The currency of everything.
pub const CURRENCY: &str = "EUR";
/// Records in one command.
const CHUNK: usize = 1_000;
/// Articles of a wide assortment: so many that a first pull does not fit into one cut.
const WIDE: usize = 2_000;

/// Who and what there is at the beginning.
#[derive(Clone, Debug)]
pub struct World {
    /// The tenant.
    pub tenant: i64,
    /// Those who go out: a caller for each user, without a device.
    pub users: Vec<Caller>,
    /// The reps.
    pub reps: Vec<Uuid>,
    /// Teams; the first has the supervisor.
    pub teams: Vec<Uuid>,
    /// Territories: one for each rep, by the same index, and one more.
    pub territories: Vec<Uuid>,
    /// The outlets of the beginning.
    pub outlets: Vec<Uuid>,
    /// Customers.
    pub customers: Vec<Uuid>,
    /// Warehouses.
    pub warehouses: Vec<Uuid>,
    /// A vehicle that carries whatever there is.
    pub vehicle: Uuid,
    /// The van of the first rep.
    pub van: Uuid,
    /// Price lists: two with prices of their own, of which the second has lowest prices, and one that is computed from the first.
    pub price_lists: Vec<Uuid>,
    /// The lowest prices.
    pub floor_list: Uuid,
    /// Promotions: one with a budget, one that excludes others, gifts.
    pub promotions: Vec<Uuid>,
    /// Articles that are ordered.
    pub products: Vec<Uuid>,
    /// Agreements; the last one is a standard agreement.
    pub agreements: Vec<Uuid>,
    /// Chains: one with terms, a branch of it, and a branch of that.
    pub chains: Vec<Uuid>,
    /// The survey.
    pub survey: Uuid,
    wide: bool,
}

impl World {
    /// Draws that of the first tenant. Every eighth seed has a wide assortment.
    #[must_use]
    pub fn draw(dice: &Dice, tenant: i64, seed: u64) -> Self {
        let wide = seed % 8 == 5;
        Self { wide, ..Self::of_size(dice, tenant, (3, 6)) }
    }

    /// Draws that of another tenant, which is smaller. Of every third seed it is made after the first one, and so are the
    /// ids of its records: as if somebody had copied a tenant to try things out.
    #[must_use]
    pub fn beside(first: &Self, dice: &Dice, tenant: i64, seed: u64) -> Self {
        let mut world = Self::of_size(dice, tenant, (1, 2));
        if seed.is_multiple_of(3) {
            let copy =
                |own: &mut Vec<Uuid>, from: &[Uuid]| own.iter_mut().zip(from).for_each(|(own, from)| *own = *from);
            copy(&mut world.teams, &first.teams);
            copy(&mut world.territories, &first.territories);
            copy(&mut world.outlets, &first.outlets);
            copy(&mut world.customers, &first.customers);
            copy(&mut world.warehouses, &first.warehouses);
            copy(&mut world.price_lists, &first.price_lists);
            copy(&mut world.promotions, &first.promotions);
            world.floor_list = first.floor_list;
            copy(&mut world.products, &first.products);
            copy(&mut world.agreements, &first.agreements);
            copy(&mut world.chains, &first.chains);
            world.survey = first.survey;
            for user in &mut world.users {
                user.team = user.team.and(world.teams.first().copied());
            }
        }
        world
    }

    fn of_size(dice: &Dice, tenant: i64, (fewest, most): (usize, usize)) -> Self {
        let ids = |from, to| (0..dice.size(from, to)).map(|_| dice.id()).collect::<Vec<_>>();
        let reps = ids(fewest, most);
        let caller = |role, rep, team| Caller { tenant, user: dice.id(), role, rep, team, device: None };
        let teams = ids(2, 2);
        let mut users: Vec<Caller> = reps.iter().map(|rep| caller(Role::Rep, Some(*rep), None)).collect();
        if dice.chance(50) {
            // Two people who share a rep.
            users.push(caller(Role::Rep, reps.first().copied(), None));
        }
        users.push(caller(Role::Supervisor, None, teams.first().copied()));
        let territories = (0..=reps.len()).map(|_| dice.id()).collect::<Vec<_>>();
        let outlets = (0..territories.len() * 3).map(|_| dice.id()).collect();
        Self {
            tenant,
            users,
            reps,
            teams,
            territories,
            outlets,
            customers: ids(3, 5),
            warehouses: ids(2, 2),
            vehicle: dice.id(),
            van: dice.id(),
            price_lists: ids(3, 3),
            floor_list: dice.id(),
            promotions: ids(3, 3),
            products: ids(5, 8),
            agreements: ids(4, 7),
            chains: ids(3, 3),
            survey: dice.id(),
            wide: false,
        }
    }

    /// Somebody at a desk.
    #[must_use]
    pub fn desk(&self, role: Role) -> Caller {
        let user = Uuid::from_u128(0xde5c_0000 + u128::from((role as i32).unsigned_abs()));
        Caller { tenant: self.tenant, user, role, rep: None, team: None, device: None }
    }

    /// The territory's team.
    #[must_use]
    pub fn team_of(&self, territory: usize) -> Uuid {
        // Most are of the supervisor's team.
        self.teams[usize::from(territory % 4 == 3)]
    }

    /// What the office imports to begin with.
    #[must_use]
    pub fn imports(&self, dice: &Dice) -> Vec<ImportRecords> {
        let mut records = self.goods(dice);
        records.extend(self.people());
        records.extend(self.trade(dice));
        if self.wide {
            records.extend((0..WIDE).map(|_| entry(dice.id(), Record::Product(wide_product()))));
        }
        records.chunks(CHUNK).map(|chunk| ImportRecords { records: chunk.to_vec() }).collect()
    }

    fn goods(&self, dice: &Dice) -> Vec<RecordToImport> {
        let mut records = Vec::new();
        for warehouse in &self.warehouses {
            let name = "Warehouse".to_owned();
            records.push(entry(*warehouse, Record::Warehouse(Warehouse { name, ..Warehouse::default() })));
        }
        let truck = Vehicle { name: "Truck".to_owned(), ..Vehicle::default() };
        records.push(entry(self.vehicle, Record::Vehicle(truck)));
        let van = Warehouse { name: "Van".to_owned(), rep_id: bytes(self.reps[0]), ..Warehouse::default() };
        records.push(entry(self.van, Record::Warehouse(van)));
        let list = |index: usize| PriceList {
            name: format!("List {index}"),
            currency: CURRENCY.to_owned(),
            vat_included: index == 1,
            ..PriceList::default()
        };
        let floor_list_id = bytes(self.floor_list);
        let lists = [
            (self.floor_list, list(1)),
            (self.price_lists[0], list(0)),
            (self.price_lists[1], PriceList { floor_list_id, ..list(1) }),
            (self.price_lists[2], self.computed_list(500)),
        ];
        records.extend(lists.map(|(id, list)| entry(id, Record::PriceList(list))));
        for (index, promotion) in self.promotions.iter().enumerate() {
            records.push(entry(*promotion, Record::Promotion(self.promotion(dice, index))));
        }
        for (index, product) in self.products.iter().enumerate() {
            let successor_id = self.products.get(index + 1).copied().map(bytes).unwrap_or_default();
            records.push(entry(*product, Record::Product(Product { successor_id, ..article(index) })));
            for list in &self.price_lists[..2] {
                let price = price(*list, *product, dice.between(5, 20) * 100);
                records.push(entry(dice.id(), Record::Price(price)));
            }
            let lowest = price(self.floor_list, *product, 700);
            records.push(entry(dice.id(), Record::Price(lowest)));
            for warehouse in self.warehouses.iter().chain([&self.van]) {
                let stock = stock(*warehouse, *product, dice.between(0, 60) * 1_000);
                records.push(entry(dice.id(), Record::Stock(stock)));
            }
        }
        records.push(entry(self.survey, Record::Survey(self.survey_record(dice))));
        records
    }

    /// The list that is computed from the first one.
    #[must_use]
    pub fn computed_list(&self, markup_bp: i32) -> PriceList {
        PriceList {
            name: "Computed".to_owned(),
            currency: CURRENCY.to_owned(),
            base_list_id: bytes(self.price_lists[0]),
            markup_bp,
            round_to_minor: 10,
            ..PriceList::default()
        }
    }

    /// What a promotion says, now.
    #[must_use]
    pub fn promotion(&self, dice: &Dice, index: usize) -> Promotion {
        let some = |dice: &Dice| dice.pick(&self.products).copied().map(bytes).into_iter().collect();
        let promotion = Promotion {
            name: format!("Promotion {index}"),
            currency: CURRENCY.to_owned(),
            closed: dice.chance(10),
            ..Promotion::default()
        };
        match index {
            0 => Promotion {
                benefit: Some(Benefit::PercentBp(i32::try_from(dice.between(1, 20)).unwrap_or(1) * 100)),
                budget_minor: Some(dice.between(1, 20) * 100),
                ..promotion
            },
            1 => Promotion {
                benefit: Some(Benefit::AmountMinor(dice.between(1, 9) * 100)),
                stacking: Stacking::Exclusive.into(),
                product_ids: some(dice),
                min_quantity_milli: 3_000,
                ..promotion
            },
            _ => Promotion {
                benefit: Some(Benefit::FreeGoods(FreeGoods {
                    every_milli: dice.between(2, 5) * 1_000,
                    free_milli: 1_000,
                    product_id: Vec::new(),
                })),
                stacking: Stacking::Sum.into(),
                budget_milli: Some(dice.between(5, 40) * 1_000),
                ..promotion
            },
        }
    }

    fn survey_record(&self, dice: &Dice) -> Survey {
        let question = |kind: QuestionType, required| SurveyQuestion {
            question_id: bytes(dice.id()),
            text: "How many?".to_owned(),
            r#type: kind.into(),
            required,
            ..SurveyQuestion::default()
        };
        Survey {
            title: "Shelf".to_owned(),
            state: SurveyState::Published.into(),
            from_day: TODAY - 10,
            questions: vec![question(QuestionType::YesNo, true), question(QuestionType::Number, false)],
            ..Survey::default()
        }
    }

    fn people(&self) -> Vec<RecordToImport> {
        let mut records = Vec::new();
        for (index, team) in self.teams.iter().enumerate() {
            records.push(entry(*team, Record::Team(Team { name: format!("Team {index}"), ..Team::default() })));
        }
        for (index, territory) in self.territories.iter().enumerate() {
            let zone = ["Europe/Helsinki", "Europe/London", "Asia/Tokyo"][index % 3];
            let record = Territory {
                name: format!("Territory {index}"),
                team_id: bytes(self.team_of(index)),
                time_zone: zone.to_owned(),
                warehouse_id: bytes(self.warehouses[index % 2]),
                ..Territory::default()
            };
            records.push(entry(*territory, Record::Territory(record)));
        }
        for (index, rep) in self.reps.iter().enumerate() {
            let record = Rep {
                name: format!("Rep {index}"),
                team_id: bytes(self.team_of(index)),
                status: RepStatus::Active.into(),
                ..Rep::default()
            };
            records.push(entry(*rep, Record::Rep(record)));
            let record = Assignment {
                rep_id: bytes(*rep),
                territory_id: bytes(self.territories[index]),
                from_day: TODAY - 30,
                to_day: 0,
            };
            // Its id follows from whose it is, so that whoever ends it needs no list.
            records.push(entry(first_assignment(*rep), Record::Assignment(record)));
        }
        records
    }

    fn trade(&self, dice: &Dice) -> Vec<RecordToImport> {
        let mut records = Vec::new();
        for (index, customer) in self.customers.iter().enumerate() {
            let record = Customer { name: format!("Customer {index}"), ..Customer::default() };
            records.push(entry(*customer, Record::Customer(record)));
            let record = receivable(*customer, dice.between(0, 3));
            records.push(entry(dice.id(), Record::Receivable(record)));
        }
        for (index, agreement) in self.agreements.iter().enumerate() {
            records.push(entry(*agreement, Record::Agreement(self.agreement(dice, index))));
        }
        for (index, chain) in self.chains.iter().enumerate() {
            let parent_id = index.checked_sub(1).map(|above| bytes(self.chains[above])).unwrap_or_default();
            let agreement_ids = if index == 0 { vec![bytes(self.agreements[0])] } else { Vec::new() };
            let record = Chain { name: format!("Chain {index}"), parent_id, agreement_ids };
            records.push(entry(*chain, Record::Chain(record)));
        }
        for (index, outlet) in self.outlets.iter().enumerate() {
            let territory = self.territories[index / 3];
            let agreement = dice.size(0, self.agreements.len() - 1);
            let standard = agreement == self.agreements.len() - 1;
            let customer = if standard { dice.pick(&self.customers).copied() } else { Some(self.buyer(agreement)) };
            let record = Outlet {
                name: format!("Outlet {index}"),
                territory_id: bytes(territory),
                customer_id: customer.map(bytes).unwrap_or_default(),
                agreement_ids: if index % 4 == 3 { Vec::new() } else { vec![bytes(self.agreements[agreement])] },
                chain_id: if index % 2 == 1 { bytes(self.chains[index % 3]) } else { Vec::new() },
                status: OutletStatus::Active.into(),
                point: Some(place()),
                ..Outlet::default()
            };
            records.push(entry(*outlet, Record::Outlet(record)));
        }
        for (index, territory) in self.territories.iter().enumerate() {
            records.push(entry(dice.id(), Record::Route(self.route(*territory, index))));
        }
        records
    }

    fn route(&self, territory: Uuid, index: usize) -> Route {
        let stop = |(order, outlet): (usize, &Uuid)| RouteStop {
            outlet_id: bytes(*outlet),
            weekdays: 0b111_1111,
            cycle_weeks: 1,
            sequence: i32::try_from(order).unwrap_or(i32::MAX),
            ..RouteStop::default()
        };
        Route {
            name: format!("Route {index}"),
            territory_id: bytes(territory),
            cycle_start_day: TODAY - 28,
            valid_from_day: TODAY - 28,
            stops: self.outlets.iter().skip(index * 3).take(2).enumerate().map(stop).collect(),
            ..Route::default()
        }
    }

    /// The customer of an agreement.
    fn buyer(&self, agreement: usize) -> Uuid {
        self.customers[agreement % self.customers.len()]
    }

    fn agreement(&self, dice: &Dice, index: usize) -> Agreement {
        let standard = index == self.agreements.len() - 1;
        let rules =
            [ShortageRule::ConfirmPart, ShortageRule::BackOrder, ShortageRule::Substitute, ShortageRule::ShipComplete];
        Agreement {
            name: format!("Agreement {index}"),
            customer_id: if standard { Vec::new() } else { bytes(self.buyer(index)) },
            price_list_id: bytes(self.price_lists[index % 3]),
            currency: CURRENCY.to_owned(),
            credit_limit_minor: dice.chance(70).then_some(100_000),
            overdue_ban: dice.chance(50),
            manual_discount_limit_bp: 500,
            shortage_rule: dice.pick(&rules).copied().unwrap_or_default().into(),
            delivery_weekdays: if dice.chance(50) { 0b001_0101 } else { 0 },
            cut_off_s: if dice.chance(50) { 15 * 3_600 } else { 0 },
            delivery_lead_days: dice.size(0, 2).try_into().unwrap_or_default(),
            ..Agreement::default()
        }
    }
}

/// The assignment with which a rep begins.
#[must_use]
pub fn first_assignment(rep: Uuid) -> Uuid {
    Uuid::from_u128(rep.as_u128() ^ 0xa551)
}

/// A record to be imported.
#[must_use]
pub fn entry(id: Uuid, record: Record) -> RecordToImport {
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 }
}

/// A price of an article in a list.
#[must_use]
pub fn price(list: Uuid, product: Uuid, price_minor: i64) -> Price {
    Price {
        price_list_id: bytes(list),
        product_id: bytes(product),
        breaks: vec![PriceBreak { min_quantity_milli: 0, price_minor }],
        valid_from_day: TODAY - 100,
        ..Price::default()
    }
}

/// What lies in a warehouse of an article.
#[must_use]
pub fn stock(warehouse: Uuid, product: Uuid, on_hand_milli: i64) -> Stock {
    Stock { warehouse_id: bytes(warehouse), product_id: bytes(product), on_hand_milli, ..Stock::default() }
}

/// What a customer owes: documents of 100.00 each.
fn receivable(customer: Uuid, documents: i64) -> Receivable {
    let item = |number: i64| DueItem {
        document_number: format!("D{number}"),
        due_day: TODAY + 2 - i32::try_from(number).unwrap_or(0),
        amount_minor: 10_000,
        ..DueItem::default()
    };
    Receivable {
        customer_id: bytes(customer),
        currency: CURRENCY.to_owned(),
        debt_minor: documents * 10_000,
        due_items: (0..documents).map(item).collect(),
        ..Receivable::default()
    }
}

fn article(index: usize) -> Product {
    Product {
        name: format!("Article {index}"),
        code: format!("A{index:03}"),
        base_unit: "piece".to_owned(),
        barcodes: vec![format!("40000000{index:05}")],
        packagings: vec![Packaging {
            code: "box".to_owned(),
            name: "box of 6".to_owned(),
            coefficient_milli: 6_000,
            barcodes: Vec::new(),
        }],
        vat_bp: 2_400,
        multiple_milli: 1_000,
        ..Product::default()
    }
}

fn wide_product() -> Product {
    let barcodes = (0..20).map(|number| format!("64001234{number:05}")).collect();
    Product { name: "Another article".to_owned(), base_unit: "piece".to_owned(), barcodes, ..Product::default() }
}
