//! Files of outlets, products, prices, customers, contracts, chains and causes of claims: from bytes to records, or to everything that is wrong with them.
//!
//! A file is read as [`super::table`] says. Its columns, all of which must be there, are [`super::network::CUSTOMERS`],
//! [`super::network::CONTRACTS`], [`super::network::CHAINS`], [`super::network::CAUSES`], [`super::network::OUTLETS`], [`super::goods::PRODUCTS`] and
//! [`super::goods::PRICES`]; `roundsman import --help` lists them. A record is replaced whole by its row or rows: what no column holds, such as the opening hours of an outlet, is
//! empty afterwards.
//!
//! The id of a record is made of its kind and its key, and a reference names a code that came in a file, or the UUID of a
//! record that did not: see [`super::key`].

use std::collections::HashMap;
use std::collections::hash_map::Entry as Place;

use roundsman_proto::trade::RecordToImport;
use roundsman_proto::trade::record_to_import::Record;
use uuid::Uuid;

use super::fields::Fields;
use super::goods::{self, Clash};
use super::table::{self, Column, Errors, Row};
use super::{key, network};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// Places that reps visit.
    Outlets,
    /// What is sold, with its packagings.
    Products,
    /// Prices of products in price lists, with quantity breaks.
    Prices,
    /// Legal entities that buy and owe.
    Customers,
    /// Contracts with customers.
    Contracts,
    /// Chains of outlets, and their branches.
    Chains,
    /// Causes of claims, and groups of causes.
    Causes,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Outlets, Self::Products, Self::Prices, Self::Customers, Self::Contracts, Self::Chains, Self::Causes];

    /// Its name, in the plural.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Outlets => "outlets",
            Self::Products => "products",
            Self::Prices => "prices",
            Self::Customers => "customers",
            Self::Contracts => "contracts",
            Self::Chains => "chains",
            Self::Causes => "causes",
        }
    }

    /// The columns of such a file.
    #[must_use]
    pub fn columns(self) -> &'static [Column] {
        match self {
            Self::Outlets => network::OUTLETS,
            Self::Products => goods::PRODUCTS,
            Self::Prices => goods::PRICES,
            Self::Customers => network::CUSTOMERS,
            Self::Contracts => network::CONTRACTS,
            Self::Chains => network::CHAINS,
            Self::Causes => network::CAUSES,
        }
    }
}

/// A record of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The line on which its first row begins.
    pub line: u64,
    /// The record with its id.
    pub record: RecordToImport,
}

/// Reads a file. Prices are in a currency with so many `decimals`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse(kind: Kind, bytes: &[u8], decimals: u32) -> Result<Vec<Entry>, Errors> {
    let mut errors = Errors::default();
    let rows = table::read(bytes, kind.columns(), &mut errors);
    let mut entries: Vec<Entry> = Vec::with_capacity(rows.len());
    let mut places: HashMap<Uuid, usize> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let before = errors.count();
        let (id, record) = record(kind, row, decimals, &mut errors);
        if errors.count() > before {
            continue;
        }
        match places.entry(id) {
            Place::Vacant(place) => {
                place.insert(entries.len());
                let record =
                    RecordToImport { record_id: id.as_bytes().to_vec(), record: Some(record), closed_month: 0 };
                entries.push(Entry { line: row.line, record });
            }
            Place::Occupied(place) => {
                if let Err((column, wrong)) = add(&mut entries[*place.get()], record) {
                    Fields::new(row, kind.columns(), &mut errors).wrong_value(column, &wrong);
                }
            }
        }
    }
    errors.check(entries)
}

fn record(kind: Kind, row: &Row, decimals: u32, errors: &mut Errors) -> (Uuid, Record) {
    let mut fields = Fields::new(row, kind.columns(), errors);
    match kind {
        Kind::Outlets => {
            let id = key::id("outlet", &fields.required("code"));
            (id, network::outlet(&mut fields, id))
        }
        Kind::Chains => (key::id("chain", &fields.required("code")), network::chain(&mut fields)),
        Kind::Causes => (key::id("cause", &fields.required("code")), network::cause(&mut fields)),
        Kind::Customers => (key::id("customer", &fields.required("code")), network::customer(&mut fields)),
        Kind::Contracts => (key::id("contract", &fields.required("code")), network::contract(&mut fields, decimals)),
        Kind::Products => (key::id("product", &fields.required("code")), Record::Product(goods::product(&mut fields))),
        Kind::Prices => {
            let price = goods::price(&mut fields, decimals);
            (goods::price_id(&price), Record::Price(price))
        }
    }
}

/// Adds a row to the record that it belongs to.
fn add(entry: &mut Entry, row: Record) -> Result<(), Clash> {
    match (&mut entry.record.record, row) {
        (Some(Record::Product(product)), Record::Product(row)) => goods::add_packaging(product, row, entry.line),
        (Some(Record::Price(price)), Record::Price(row)) => goods::add_break(price, row, entry.line),
        _ => Err(("code", format!("stands on line {} already", entry.line))),
    }
}

#[cfg(test)]
mod tests {
    use roundsman_proto::trade::{Contract, Outlet, OutletClass, OutletStatus, Price, Product, ReclamationCause};

    use super::*;

    /// A file whose rows are given as `column=value` pairs; what is not given is empty.
    fn file(kind: Kind, rows: &[&[(&str, &str)]]) -> String {
        let names: Vec<&str> = kind.columns().iter().map(|column| column.name).collect();
        let mut text = names.join(",") + "\n";
        for row in rows {
            let cell = |name: &&str| row.iter().find(|(column, _)| column == name).map_or("", |(_, value)| value);
            text += &(names.iter().map(cell).collect::<Vec<_>>().join(",") + "\n");
        }
        text
    }

    fn good(kind: Kind, rows: &[&[(&str, &str)]]) -> Vec<Entry> {
        parse(kind, file(kind, rows).as_bytes(), 2).unwrap_or_else(|errors| panic!("{errors}"))
    }

    fn wrong(kind: Kind, rows: &[&[(&str, &str)]]) -> Vec<String> {
        let errors = parse(kind, file(kind, rows).as_bytes(), 2).expect_err("is wrong").to_string();
        errors.lines().map(str::to_owned).collect()
    }

    fn products(rows: &[&[(&str, &str)]]) -> Vec<Product> {
        let records = good(Kind::Products, rows).into_iter().filter_map(|entry| entry.record.record);
        records
            .map(|record| if let Record::Product(product) = record { product } else { panic!("{record:?}") })
            .collect()
    }

    fn prices(rows: &[&[(&str, &str)]]) -> Vec<Price> {
        let records = good(Kind::Prices, rows).into_iter().filter_map(|entry| entry.record.record);
        records.map(|record| if let Record::Price(price) = record { price } else { panic!("{record:?}") }).collect()
    }

    fn outlet(row: &[(&str, &str)]) -> Outlet {
        match good(Kind::Outlets, &[row]).remove(0).record.record {
            Some(Record::Outlet(outlet)) => outlet,
            other => panic!("{other:?}"),
        }
    }

    fn id(kind: &str, code: &str) -> Vec<u8> {
        key::id(kind, code).as_bytes().to_vec()
    }

    #[test]
    fn an_outlet_names_what_it_belongs_to_by_code_or_uuid() {
        let agreement = "01920000-0000-7000-8000-000000000001";
        let agreements = format!("S1|{agreement}");
        let outlet = outlet(&[
            ("code", "O1"),
            ("name", "Kiosk"),
            ("latitude", "60.17"),
            ("longitude", "-24.94"),
            ("class", "B"),
            ("territory", "North"),
            ("customer", "C1"),
            ("agreements", &agreements),
            ("blocked", "yes"),
            ("blocked_reason", "debt"),
            ("contact_name", "Liisa"),
        ]);
        let point = outlet.point.expect("a point");
        assert_eq!((point.latitude_e7, point.longitude_e7), (601_700_000, -249_400_000));
        assert_eq!((outlet.outlet_class(), outlet.status()), (OutletClass::B, OutletStatus::Active));
        assert_eq!((outlet.territory_id, outlet.customer_id), (id("territory", "North"), id("customer", "C1")));
        let uuid = Uuid::try_parse(agreement).expect("a UUID").as_bytes().to_vec();
        assert_eq!(outlet.agreement_ids, [id("agreement", "S1"), uuid]);
        assert_eq!((outlet.blocked, outlet.blocked_reason.as_str()), (true, "debt"));
        assert_eq!(outlet.contacts[0].name, "Liisa");
    }

    #[test]
    fn a_chain_names_its_parent_and_an_outlet_its_chain() {
        let row = [("code", "B"), ("name", "Branch"), ("parent", "H"), ("agreements", "S1|S2")];
        let entry = good(Kind::Chains, &[&row]).remove(0).record;
        let Some(Record::Chain(chain)) = entry.record else { panic!("{entry:?}") };
        assert_eq!((entry.record_id, chain.parent_id), (id("chain", "B"), id("chain", "H")));
        assert_eq!(chain.agreement_ids, [id("agreement", "S1"), id("agreement", "S2")]);
        let outlet = outlet(&[("code", "O1"), ("name", "Kiosk"), ("territory", "North"), ("chain", "B")]);
        assert_eq!(outlet.chain_id, id("chain", "B"));
    }

    #[test]
    fn a_cause_names_its_group_and_leaves_open_what_that_says() {
        let row = [("code", "C"), ("name", "Crushed"), ("parent", "D"), ("decide_within_days", "2")];
        let entry = good(Kind::Causes, &[&row]).remove(0).record;
        let Some(Record::ClaimCause(cause)) = entry.record else { panic!("{entry:?}") };
        assert_eq!((entry.record_id, cause.parent_id.clone()), (id("cause", "C"), id("cause", "D")));
        assert_eq!((cause.cause(), cause.decide_within_days), (ReclamationCause::Unspecified, 2));
        let row = [("code", "D"), ("name", "Damaged"), ("counts_as", "damaged"), ("withdrawn_from", "2026-11-23")];
        let entry = good(Kind::Causes, &[&row]).remove(0).record;
        let Some(Record::ClaimCause(cause)) = entry.record else { panic!("{entry:?}") };
        assert_eq!((cause.cause(), cause.withdrawn_from_day), (ReclamationCause::Damaged, 20_780));
        let wrong =
            wrong(Kind::Causes, &[&[("code", "D"), ("name", "D"), ("counts_as", "bad"), ("settle_within_days", "x")]]);
        assert_eq!(wrong.len(), 2, "{wrong:?}");
    }

    #[test]
    fn a_contract_names_its_customer_its_agreements_and_what_follows_it() {
        let row = [
            ("code", "K1"),
            ("customer", "C1"),
            ("currency", "EUR"),
            ("valid_from", "2026-11-23"),
            ("credit_limit", "5000.50"),
            ("overdue_ban", "yes"),
            ("agreements", "S1|S2"),
            ("successor", "K2"),
        ];
        let short = [("code", "K2"), ("number", "12/26"), ("customer", "C1"), ("currency", "EUR"), ("closed", "yes")];
        let contracts: Vec<(Vec<u8>, Contract)> = good(Kind::Contracts, &[&row, &short])
            .into_iter()
            .map(|entry| match entry.record.record {
                Some(Record::Contract(contract)) => (entry.record.record_id, contract),
                other => panic!("{other:?}"),
            })
            .collect();
        let first = Contract {
            number: "K1".to_owned(),
            customer_id: id("customer", "C1"),
            currency: "EUR".to_owned(),
            valid_from_day: 20_780,
            valid_to_day: 0,
            credit_limit_minor: Some(500_050),
            overdue_ban: true,
            agreement_ids: vec![id("agreement", "S1"), id("agreement", "S2")],
            successor_id: id("contract", "K2"),
            closed: false,
        };
        let second = Contract {
            number: "12/26".to_owned(),
            customer_id: id("customer", "C1"),
            currency: "EUR".to_owned(),
            closed: true,
            ..Contract::default()
        };
        assert_eq!(contracts, [(id("contract", "K1"), first), (id("contract", "K2"), second)]);

        let bad = [
            ("currency", "euro"),
            ("valid_from", "2026-11-23"),
            ("valid_to", "2026-11-22"),
            ("credit_limit", "-1"),
            ("overdue_ban", "maybe"),
            ("closed", "2026-11-23"),
        ];
        let expected = [
            "code: is empty",
            "valid_to: \"2026-11-22\" is before valid_from",
            "customer: is empty",
            "currency: \"euro\" is not a currency such as EUR",
            "credit_limit: \"-1\" is not a sum of money",
            "overdue_ban: \"maybe\" is not `yes` or `no`",
            "closed: \"2026-11-23\" is not `yes` or `no`",
        ];
        assert_eq!(wrong(Kind::Contracts, &[&bad]), expected.map(|error| format!("line 2, column {error}")));
    }

    #[test]
    fn everything_wrong_with_an_outlet_is_told() {
        let long = "x".repeat(201);
        let row = [
            ("name", long.as_str()),
            ("latitude", "91"),
            ("visit_radius_m", "-1"),
            ("class", "D"),
            ("status", "new"),
            ("agreements", "S1|S1"),
            ("blocked", "maybe"),
            ("blocked_reason", "debt"),
            ("contact_phone", "1"),
            ("comment", "a\0b"),
        ];
        let expected = [
            "code: is empty",
            "blocked: \"maybe\" is not `yes` or `no`",
            "blocked_reason: is given, but the outlet is not blocked",
            &format!("name: \"{}…\" has more than 200 characters", "x".repeat(40)),
            "longitude: is empty, but there is a latitude",
            "latitude: \"91\" is not a latitude from -90 to 90 with at most 7 decimals",
            "visit_radius_m: \"-1\" is not a number of metres up to 100000",
            "class: \"D\" is not a class: `A`, `B` or `C`",
            "status: \"new\" is not a status: `active` or `candidate`",
            "territory: is empty",
            "agreements: \"S1|S1\" names `S1` twice",
            "contact_name: is empty, but there is a contact_phone",
            "comment: contains the character U+0000",
        ];
        assert_eq!(wrong(Kind::Outlets, &[&row]), expected.map(|error| format!("line 2, column {error}")));
    }

    #[test]
    fn a_product_has_a_row_for_each_packaging() {
        let row = |packaging, quantity| {
            [
                ("code", "A1"),
                ("name", "Juice"),
                ("group", "Drinks | Juice"),
                ("unit", "pcs"),
                ("vat_percent", "13.5"),
                ("weight_kg", "1.05"),
                ("packaging", packaging),
                ("packaging_quantity", quantity),
            ]
        };
        let one =
            products(&[&row("BOX", "12"), &[("code", "A2"), ("name", "Tea"), ("unit", "kg")], &row("PAL", "480")]);
        assert_eq!((one.len(), one[0].code.as_str(), one[1].packagings.len()), (2, "A1", 0));
        assert_eq!(one[0].group_path, ["Drinks", "Juice"]);
        assert_eq!((one[0].vat_bp, one[0].weight_mg), (1_350, 1_050_000));
        let packagings: Vec<(&str, i64)> =
            one[0].packagings.iter().map(|packaging| (packaging.name.as_str(), packaging.coefficient_milli)).collect();
        assert_eq!(packagings, [("BOX", 12_000), ("PAL", 480_000)]);

        let renamed =
            [("code", "A1"), ("name", "Other"), ("unit", "pcs"), ("packaging", "P"), ("packaging_quantity", "2")];
        let twice = "rows of one product differ in their packaging, and in nothing else";
        let expected = [
            "line 3, column packaging: \"BOX\" is one that the product has already".to_owned(),
            format!("line 4, column code: \"A1\" stands on line 2 already; {twice}"),
            "line 5, column packaging: is empty, but there is a packaging_name".to_owned(),
            "line 6, column packaging_quantity: is empty".to_owned(),
        ];
        let headless = [("code", "A3"), ("name", "x"), ("unit", "kg"), ("packaging_name", "box")];
        let empty = [("code", "A4"), ("name", "x"), ("unit", "kg"), ("packaging", "BOX")];
        assert_eq!(
            wrong(Kind::Products, &[&row("BOX", "12"), &row("BOX", "6"), &renamed, &headless, &empty]),
            expected
        );
    }

    #[test]
    fn a_price_has_a_row_for_each_break() {
        let row = |from, quantity, price| {
            [("price_list", "A"), ("product", "A1"), ("valid_from", from), ("min_quantity", quantity), ("price", price)]
        };
        let two = prices(&[&row("2026-11-23", "10", "9.50"), &row("", "", "11"), &row("2026-11-23", "", "10")]);
        let breaks: Vec<Vec<(i64, i64)>> = two
            .iter()
            .map(|price| price.breaks.iter().map(|step| (step.min_quantity_milli, step.price_minor)).collect())
            .collect();
        assert_eq!(breaks, [vec![(0, 1_000), (10_000, 950)], vec![(0, 1_100)]]);
        assert_eq!((two[0].valid_from_day, two[1].valid_from_day), (20_780, 0));
        let dozen = [("price_list", "A"), ("product", "A1"), ("price", "10"), ("per", "12"), ("packaging", "BOX")];
        let both = prices(&[&dozen, &row("", "", "1")]);
        let of = |price: &Price| (price.packaging_code.clone(), price.per_milli);
        assert_eq!((of(&both[0]), of(&both[1])), (("BOX".to_owned(), 12_000), (String::new(), 0)), "two records");

        let short =
            [("price_list", "A"), ("product", "A1"), ("valid_to", "2026-01-01"), ("min_quantity", "9"), ("price", "1")];
        let rows = [&row("", "", "11")[..], &row("", "0", "12"), &short, &row("yesterday", "", "")];
        let mut text = file(Kind::Prices, &rows);
        text += "A,A2,2026-01-02,2026-01-01,,\"12,x\",,\n";
        let errors = parse(Kind::Prices, text.as_bytes(), 2).expect_err("is wrong").to_string();
        let expected = [
            "line 3, column min_quantity: \"0\" is one for which there is a price already",
            "line 4, column valid_to: \"2026-01-01\" is another than on line 2, for the same price",
            "line 5, column valid_from: \"yesterday\" is not a day such as 2026-01-31",
            "line 5, column price: is empty",
            "line 6, column valid_to: \"2026-01-01\" is before valid_from",
            "line 6, column price: \"12,x\" is not a sum of money",
        ];
        assert_eq!(errors.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_same_code_is_the_same_record_and_stands_once() {
        let row: &[(&str, &str)] = &[("code", "C1"), ("name", "Customer")];
        let entries = good(Kind::Customers, &[row]);
        assert_eq!((entries[0].line, &entries[0].record.record_id), (2, &id("customer", "C1")));
        assert_eq!(wrong(Kind::Customers, &[row, row]), ["line 3, column code: \"C1\" stands on line 2 already"]);
        assert_eq!(good(Kind::Customers, &[]), []);
    }

    #[test]
    fn all_lines_of_a_file_are_checked() {
        let bad: &[(&str, &str)] = &[("code", "C"), ("name", "")];
        let errors = wrong(Kind::Customers, &vec![bad; 250]);
        assert_eq!((errors.len(), errors[100].as_str()), (101, "and 150 more"));
    }
}
