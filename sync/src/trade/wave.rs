//! Waves: what of an order goes with one, by what lies there.

use std::collections::BTreeMap;

use roundsman_proto::trade::{Order, PreparedLine, Reason, ShortageRule};
use uuid::Uuid;

use super::order::fulfil::{Short, can_be_shipped};

/// What of an order goes, and what does not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Allotment {
    /// What goes; empty: nothing.
    pub lines: Vec<PreparedLine>,
    /// What is promised, set aside, and not there.
    pub short: Vec<Short>,
}

/// Takes of what can be picked what an order can have, line by line. What the warehouse has no figures of is taken to be there.
///
/// # Errors
/// `REASON_STOCK_AWAITED` for an order that must be complete and can't be; nothing is taken then.
pub fn allot(order: &Order, rule: ShortageRule, pickable: &mut BTreeMap<Uuid, i64>) -> Result<Allotment, Reason> {
    let mut left = pickable.clone();
    let mut allotment = Allotment::default();
    for line in &order.lines {
        let wanted = can_be_shipped(line);
        let there = Uuid::from_slice(&line.product_id).ok().and_then(|product| left.get_mut(&product));
        let goes = there.as_ref().map_or(wanted, |there| wanted.min(**there).max(0));
        if let Some(there) = there {
            *there = there.saturating_sub(goes);
        }
        if goes > 0 {
            let line_id = line.line_id.clone();
            allotment.lines.push(PreparedLine { order_id: Vec::new(), line_id, quantity_milli: goes });
        }
        if goes < wanted {
            let line_id = line.line_id.clone();
            allotment.short.push(Short { line_id, quantity_milli: wanted.saturating_sub(goes), lost: false });
        }
    }
    if rule == ShortageRule::ShipComplete && !allotment.short.is_empty() {
        return Err(Reason::StockAwaited);
    }
    *pickable = left;
    Ok(allotment)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use roundsman_proto::trade::OrderLine;

    const TEA: Uuid = Uuid::from_u128(7);

    fn order(quantities: &[i64]) -> Order {
        let line = |(number, quantity): (u8, &i64)| OrderLine {
            line_id: vec![number; 16],
            product_id: TEA.as_bytes().to_vec(),
            confirmed_milli: *quantity,
            reserved_milli: *quantity,
            ..OrderLine::default()
        };
        Order { lines: (1..).zip(quantities).map(line).collect(), ..Order::default() }
    }

    fn there(quantity: i64) -> BTreeMap<Uuid, i64> {
        [(TEA, quantity)].into()
    }

    #[test]
    fn who_comes_first_is_served_first() {
        let mut tea = there(5_000);
        let first = allot(&order(&[3_000]), ShortageRule::ConfirmPart, &mut tea).expect("all of it");
        assert_eq!((first.lines[0].quantity_milli, first.short.len()), (3_000, 0));
        let second = allot(&order(&[3_000]), ShortageRule::ConfirmPart, &mut tea).expect("a part");
        assert_eq!((second.lines[0].quantity_milli, second.short[0].quantity_milli), (2_000, 1_000));
        let third = allot(&order(&[1_000]), ShortageRule::BackOrder, &mut tea).expect("nothing");
        assert_eq!((third.lines.len(), third.short[0].quantity_milli), (0, 1_000));
    }

    #[test]
    fn what_must_be_complete_takes_nothing_if_it_can_not_be() {
        let mut tea = there(2_000);
        assert_eq!(allot(&order(&[3_000]), ShortageRule::ShipComplete, &mut tea), Err(Reason::StockAwaited));
        assert_eq!(tea, there(2_000));
        let unknown = allot(&order(&[3_000]), ShortageRule::ShipComplete, &mut BTreeMap::new()).expect("who knows");
        assert_eq!(unknown.lines[0].quantity_milli, 3_000);
    }

    proptest! {
        #[test]
        fn no_more_goes_than_there_is_and_nothing_is_forgotten(
            orders in vec(vec(0..5_000_i64, 1..5), 1..8), quantity in -1_000..20_000_i64,
        ) {
            let mut tea = there(quantity);
            let mut gone = 0;
            for lines in &orders {
                let allotment = allot(&order(lines), ShortageRule::ConfirmPart, &mut tea).expect("parts are allowed");
                let goes: i64 = allotment.lines.iter().map(|line| line.quantity_milli).sum();
                let short: i64 = allotment.short.iter().map(|line| line.quantity_milli).sum();
                prop_assert_eq!(goes + short, lines.iter().sum::<i64>());
                gone += goes;
            }
            prop_assert!(gone <= quantity.max(0));
        }
    }
}
