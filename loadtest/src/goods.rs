//! Articles: a product with its price, as an ERP would import them. The same number gives the same article in every
//! run.

use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Packaging, Price, PriceBreak, Product, RecordToImport};
use uuid::Uuid;

/// The currency of everything.
pub const CURRENCY: &str = "EUR";
/// Records of an article that every phone holds: product and price.
pub const ROWS_AN_ARTICLE: usize = 2;

/// Ids of what comes from another system are made of its keys.
const NAMESPACE: Uuid = Uuid::from_u128(0x2d0c_44d1_7a2b_4f7e_9a55_0b7c_13e8_6f21);
/// Steps of a price by quantity.
const BREAKS: i64 = 9;

/// The id of what another system knows by this key.
#[must_use]
pub fn id(key: &str) -> Uuid {
    Uuid::new_v5(&NAMESPACE, key.as_bytes())
}

/// The bytes of an id.
#[must_use]
pub fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// A record with its id, as it is imported.
#[must_use]
pub fn entry(id: Uuid, record: Record) -> RecordToImport {
    RecordToImport { record_id: bytes(id), record: Some(record), closed_month: 0 }
}

/// The product of an article.
#[must_use]
pub fn product_id(article: usize) -> Uuid {
    id(&format!("product {article}"))
}

/// The price record of an article in a price list, by the list's number.
#[must_use]
pub fn price_id(list: usize, article: usize) -> Uuid {
    id(&format!("price {list}/{article}"))
}

/// The price of one piece, at first.
#[must_use]
pub fn price_minor(article: usize) -> i64 {
    1_000 + i64::try_from(article % 9_000).unwrap_or_default()
}

/// What is sold: about 150 bytes, which compress as well as real catalogues do.
#[must_use]
pub fn product(article: usize) -> Product {
    const GOODS: [&str; 8] =
        ["Nectar", "Chocolate", "Rye bread", "Coffee", "Detergent", "Yoghurt", "Crisps", "Candles"];
    const SORTS: [&str; 7] = ["peach", "dark, 72 %", "sliced", "ground", "lavender", "with salt", "large"];
    let varied = id(&format!("barcode {article}")).as_u64_pair().0;
    let of = |names: &[&'static str], by: u64| names[usize::try_from(varied / by).unwrap_or_default() % names.len()];
    let (good, sort) = (of(&GOODS, 1), of(&SORTS, 8));
    Product {
        name: format!("{good} {sort} {} {} g", varied / 64 % 100_000, varied / 1024 % 2_000),
        code: format!("N-{article:06}"),
        group_path: vec!["Food and household".to_owned(), format!("{good} and the like")],
        base_unit: "pcs".to_owned(),
        packagings: vec![Packaging {
            code: "box".to_owned(),
            name: "Box of 12".to_owned(),
            coefficient_milli: 12_000,
            barcodes: vec![format!("1482{:09}", varied % 1_000_000_000)],
        }],
        barcodes: vec![format!("4820{:09}", varied / 1_000_000_000 % 1_000_000_000)],
        vat_bp: 1_400,
        multiple_milli: 1_000,
        weight_mg: i64::try_from(varied / 1024 % 2_000).unwrap_or_default() * 1_000,
        ..Product::default()
    }
}

/// What it costs, by quantity: about 120 bytes.
#[must_use]
pub fn price(article: usize, price_list: Uuid, price_minor: i64) -> Price {
    let step = |step| PriceBreak { min_quantity_milli: step * 240_000, price_minor: price_minor - step * 10 };
    Price {
        price_list_id: bytes(price_list),
        product_id: bytes(product_id(article)),
        breaks: (0..BREAKS).map(step).collect(),
        valid_from_day: 20_000,
        ..Price::default()
    }
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn documents_have_the_size_that_is_claimed() {
        let (product, price) = (product(4_711), price(4_711, id("list"), price_minor(4_711)));
        assert!((120..=170).contains(&product.encoded_len()), "{}", product.encoded_len());
        assert!((110..=170).contains(&price.encoded_len()), "{}", price.encoded_len());
    }
}
