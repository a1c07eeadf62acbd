//! What the outcome says of the lines of an order, so that the rep can tell the customer before the next pull.

use roundsman_proto::trade::{LineDifference, OrderLine};
use uuid::Uuid;

use super::decide::Item;
use super::shown_price;
use crate::trade::price::{self, UnitPrice};
use crate::trade::verdict::Verdict;

/// So many lines an outcome tells of at most, in the order of the lines. The order shows all of them.
const LINES: usize = 100;

/// Adds to a verdict what is otherwise than it was ordered, or shown, line by line.
pub(super) fn tell(items: &[Item<'_>], verdict: Verdict) -> Verdict {
    items.iter().filter_map(differing).take(LINES).fold(verdict, tell_line)
}

/// A line of which something is otherwise, with the price that is not as the rep saw it.
struct Differing<'a> {
    line: &'a OrderLine,
    price: Option<UnitPrice>,
}

fn differing<'a>(item: &'a Item<'_>) -> Option<Differing<'a>> {
    let line = &item.line;
    let counts = UnitPrice { price_minor: line.price_minor, per_milli: price::per(line.price_per_milli) };
    // A substitute shows a price that the rep has not seen.
    let is_substitute = !line.substitutes_line_id.is_empty();
    let price = match item.disputed {
        Some(in_force) => in_force,
        None => (is_substitute || counts != shown_price(line)).then_some(counts),
    };
    let differs = line.confirmed_milli != line.ordered_milli || line.difference() == LineDifference::BackOrdered;
    (differs || price.is_some()).then_some(Differing { line, price })
}

fn tell_line(verdict: Verdict, Differing { line, price }: Differing<'_>) -> Verdict {
    let id = Uuid::from_slice(&line.line_id).ok();
    let mut verdict = verdict.of_line(id, "confirmed_milli", line.confirmed_milli);
    if line.difference() != LineDifference::Unspecified {
        verdict = verdict.of_line(id, "difference", line.difference().as_str_name());
    }
    if let Some(UnitPrice { price_minor, per_milli }) = price {
        verdict = verdict.of_line(id, "price_minor", price_minor).of_line(id, "price_per_milli", per_milli);
    }
    if let (Ok(replaced), Ok(product)) =
        (Uuid::from_slice(&line.substitutes_line_id), Uuid::from_slice(&line.product_id))
    {
        verdict = verdict.of_line(id, "substitutes_line_id", replaced).of_line(id, "product_id", product);
    }
    verdict
}
