//! Files of products and prices. Several rows may belong to one record: a row for each packaging, a row for each break.

use roundsman_proto::trade::{Packaging, Price, PriceBreak, Product};
use roundsman_sync::trade::check;
use uuid::Uuid;

use super::fields::Fields;
use super::key;
use super::table::Column;
use super::value;

/// The columns of a file of products. `code` is the key; a product with several packagings has a row for each, with the
/// same values in all other columns.
pub const PRODUCTS: &[Column] = &[
    Column {
        name: "code",
        help: "the article number; required. Rows with the same code are packagings of one product",
    },
    Column { name: "name", help: "the name to show; required" },
    Column { name: "group", help: "the group for filters, from the widest to the narrowest, separated by |" },
    Column { name: "unit", help: "the unit in which quantities count, such as pcs or kg; required" },
    Column { name: "barcodes", help: "barcodes of the unit, separated by |" },
    Column { name: "vat_percent", help: "the rate of value added tax, such as 25.5; empty: none" },
    Column { name: "multiple", help: "the smallest step of an ordered quantity; empty: any" },
    Column { name: "weight_kg", help: "the weight of one unit with its packing; empty: unknown" },
    Column { name: "volume_l", help: "the room that one unit takes with its packing, in litres; empty: unknown" },
    Column { name: "withdrawn", help: "yes: no longer sold; no or empty" },
    Column { name: "successor", help: "the product that replaces it, as a reference" },
    Column { name: "supplier", help: "who supplies it; empty: unknown" },
    Column { name: "packaging", help: "a packaging's code, such as BOX; empty: sold in units only" },
    Column { name: "packaging_name", help: "its name to show, such as box of 12; empty: its code" },
    Column { name: "packaging_quantity", help: "how many units are in it; required with packaging" },
    Column { name: "packaging_barcodes", help: "barcodes of the packaging, separated by |" },
];

/// The columns of a file of prices. The key is price list, product, packaging and first day; a price with quantity breaks has
/// a row for each of them.
pub const PRICES: &[Column] = &[
    Column { name: "price_list", help: "the price list, as a reference; required" },
    Column { name: "product", help: "the product, as a reference; required" },
    Column { name: "valid_from", help: "the first day, as YYYY-MM-DD; empty: no beginning" },
    Column { name: "valid_to", help: "the last day, as YYYY-MM-DD; empty: no end" },
    Column { name: "min_quantity", help: "the quantity from which it counts; empty: any. One row for each break" },
    Column { name: "price", help: "the price, such as 12.50, with a decimal point; required" },
    Column { name: "per", help: "for how many units it is, such as 12; empty: one" },
    Column { name: "packaging", help: "the packaging for which it is, by its code; empty: for all of them" },
];

/// The columns of a packaging that need a code.
const PACKAGING: [&str; 3] = ["packaging_name", "packaging_quantity", "packaging_barcodes"];

/// A row of products: the product, with at most one packaging.
pub fn product(fields: &mut Fields<'_>) -> Product {
    let group_path = value::list(&fields.text("group", check::TEXT_CHARS));
    Product {
        name: fields.required("name"),
        code: fields.name("code"),
        group_path,
        base_unit: fields.required("unit"),
        packagings: packaging(fields).into_iter().collect(),
        barcodes: fields.value("barcodes", value::barcodes),
        vat_bp: fields.value("vat_percent", value::rate),
        multiple_milli: fields.value("multiple", value::quantity),
        weight_mg: fields.value("weight_kg", value::weight),
        volume_mm3: fields.value("volume_l", value::volume),
        withdrawn: fields.value("withdrawn", value::yes),
        successor_id: check::bytes(fields.reference("successor", "product")),
        supplier: fields.name("supplier"),
    }
}

fn packaging(fields: &mut Fields<'_>) -> Option<Packaging> {
    let code = fields.name("packaging");
    if code.is_empty() {
        for column in PACKAGING {
            if !fields.raw(column).is_empty() {
                fields.wrong("packaging", format!("is empty, but there is a {column}"));
            }
        }
        return None;
    }
    let name = fields.name("packaging_name");
    Some(Packaging {
        name: if name.is_empty() { code.clone() } else { name },
        code,
        coefficient_milli: fields.required_value("packaging_quantity", value::content),
        barcodes: fields.value("packaging_barcodes", value::barcodes),
    })
}

/// A row of prices in a currency with so many decimals: the price, with one break.
pub fn price(fields: &mut Fields<'_>, decimals: u32) -> Price {
    let price_list = fields.required_reference("price_list", "price-list");
    let product = fields.required_reference("product", "product");
    let (valid_from_day, valid_to_day) = fields.days();
    Price {
        price_list_id: price_list.as_bytes().to_vec(),
        product_id: product.as_bytes().to_vec(),
        breaks: vec![step(fields, decimals)],
        valid_from_day,
        valid_to_day,
        packaging_code: fields.name("packaging"),
        per_milli: fields.optional("per", value::content).unwrap_or(0),
    }
}

/// A price from some quantity on, of the columns `min_quantity` and `price`.
pub fn step(fields: &mut Fields<'_>, decimals: u32) -> PriceBreak {
    PriceBreak {
        min_quantity_milli: fields.value("min_quantity", value::quantity),
        price_minor: fields.required_value("price", |text| value::money(text, decimals)),
    }
}

/// The id of a price: what never changes about it is its key.
#[must_use]
pub fn price_id(price: &Price) -> Uuid {
    let ids = [&price.price_list_id, &price.product_id].map(hex::encode);
    let mut key = format!("{}/{}/{}", ids[0], ids[1], price.valid_from_day);
    if !price.packaging_code.is_empty() {
        key = format!("{key}/{}", price.packaging_code);
    }
    key::id("price", &key)
}

/// What is wrong with a row that belongs to a record of an earlier row.
pub type Clash = (&'static str, String);

/// Adds a row to the product that it belongs to.
///
/// # Errors
/// The column, and what is wrong about it.
pub fn add_packaging(product: &mut Product, row: Product, first_line: u64) -> Result<(), Clash> {
    let alike =
        Product { packagings: Vec::new(), ..row.clone() } == Product { packagings: Vec::new(), ..product.clone() };
    let Some(packaging) = row.packagings.into_iter().next().filter(|_| alike && !product.packagings.is_empty()) else {
        let text = "rows of one product differ in their packaging, and in nothing else";
        return Err(("code", format!("stands on line {first_line} already; {text}")));
    };
    if product.packagings.iter().any(|other| other.code == packaging.code) {
        return Err(("packaging", "is one that the product has already".to_owned()));
    }
    product.packagings.push(packaging);
    if product.packagings.len() > check::ENTRIES {
        return Err(("packaging", format!("is one more than {}", check::ENTRIES)));
    }
    Ok(())
}

/// Adds a row to the price that it belongs to.
///
/// # Errors
/// The column, and what is wrong about it.
pub fn add_break(price: &mut Price, row: Price, first_line: u64) -> Result<(), Clash> {
    if price.valid_to_day != row.valid_to_day {
        return Err(("valid_to", format!("is another than on line {first_line}, for the same price")));
    }
    if price.per_milli != row.per_milli {
        return Err(("per", format!("is another than on line {first_line}, for the same price")));
    }
    for step in row.breaks {
        match price.breaks.binary_search_by_key(&step.min_quantity_milli, |other| other.min_quantity_milli) {
            Ok(_) => return Err(("min_quantity", "is one for which there is a price already".to_owned())),
            Err(place) => price.breaks.insert(place, step),
        }
    }
    if price.breaks.len() > check::ENTRIES {
        return Err(("min_quantity", format!("is one more than {}", check::ENTRIES)));
    }
    Ok(())
}
