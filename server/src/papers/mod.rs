//! Papers as PDF: pick list, delivery note, route sheet, return note.
//!
//! Each is a function from data to bytes: no clock, no database. The same data gives the same bytes on every machine, in whatever
//! order its parts were found. Texts are of any length and content: what is too long is cut, and an ellipsis says so; what the font
//! lacks is shown by a sign. No number is ever cut.

mod barcode;
pub mod delivery_note;
mod font;
mod number;
mod parts;
pub mod pick_list;
pub mod return_note;
pub mod route_sheet;
mod sheet;
mod table;
#[cfg(test)]
mod tests;
mod text;
mod words;

pub use number::short;

/// In which language a paper is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Russian.
    Russian,
}

/// Who or where: a warehouse, an outlet, a customer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Party {
    /// The name. Empty: unknown, and the party is not on the paper.
    pub name: String,
    /// The address. May be empty.
    pub address: String,
    /// The tax number. May be empty.
    pub tax_id: String,
}

/// A product, as papers name it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Goods {
    /// The name.
    pub name: String,
    /// The article number. May be empty.
    pub code: String,
    /// The unit in which its quantities count.
    pub unit: String,
    /// What one unit weighs, in milligrams. 0: unknown.
    pub weight_mg: i64,
}

/// Packs bytes as PDF wants it.
fn deflate(bytes: &[u8]) -> Vec<u8> {
    const LEVEL: u8 = 6;
    miniz_oxide::deflate::compress_to_vec_zlib(bytes, LEVEL)
}
