//! Who gets what there is, once more, piece by piece: goods are taken off a heap, a thousandth at a time.

use std::collections::BTreeMap;

use roundsman_proto::trade::ShortageRule;

use super::allocation::{AllocatedLine, Allocation, Ware, Wish};

const NONE: &str = "LINE_DIFFERENCE_UNSPECIFIED";
const SHORT: &str = "LINE_DIFFERENCE_STOCK_SHORT";
const LATER: &str = "LINE_DIFFERENCE_BACK_ORDERED";
const WITHDRAWN: &str = "LINE_DIFFERENCE_WITHDRAWN";
const INSTEAD: &str = "LINE_DIFFERENCE_SUBSTITUTED";

/// What is left of each product; of what nobody counts there is always more.
struct Heaps(BTreeMap<u128, i64>);

impl Heaps {
    fn of(wares: &[Ware]) -> Self {
        let heap = |ware: &Ware| ware.stock.map(|(on_hand, reserved)| (ware.product, on_hand - reserved));
        Self(wares.iter().filter_map(heap).collect())
    }

    /// Takes up to so much off.
    fn take(&mut self, product: u128, wanted: i64) -> i64 {
        let Some(heap) = self.0.get_mut(&product) else { return wanted };
        let mut taken = 0;
        while taken < wanted && *heap > 0 {
            *heap -= 1;
            taken += 1;
        }
        taken
    }

    fn put_back(&mut self, product: u128, milli: i64) {
        if let Some(heap) = self.0.get_mut(&product) {
            *heap += milli;
        }
    }
}

pub(super) fn allocate(wish: &Wish) -> Allocation {
    let ware = |product: u128| wish.wares.iter().find(|ware| ware.product == product).expect("known");
    let mut heaps = Heaps::of(&wish.wares);
    let mut lines = Vec::new();
    let (mut waits, mut withdrawn) = (false, false);
    for (_, product, ordered) in &wish.lines {
        let ware = ware(*product);
        let taken = heaps.take(*product, *ordered);
        let lacks = taken < *ordered;
        withdrawn |= ware.withdrawn;
        let (confirmed, difference) = match wish.rule {
            _ if !lacks => (*ordered, NONE),
            ShortageRule::ShipComplete => {
                waits = true;
                (*ordered, NONE)
            }
            _ if ware.withdrawn => (taken, WITHDRAWN),
            ShortageRule::BackOrder => (*ordered, LATER),
            _ => (taken, SHORT),
        };
        lines.push(AllocatedLine {
            product: *product,
            confirmed_milli: confirmed,
            reserved_milli: taken,
            difference,
            price_minor: ware.price_minor,
            instead_of: None,
        });
    }
    if wish.rule == ShortageRule::Substitute {
        for (place, (line, product, ordered)) in wish.lines.iter().enumerate() {
            let lacks = ordered - lines[place].confirmed_milli;
            let Some(successor) = ware(*product).successor.map(ware).filter(|successor| !successor.withdrawn) else {
                continue;
            };
            let mut taken = heaps.take(successor.product, lacks);
            while successor.multiple_milli > 0 && taken % successor.multiple_milli != 0 {
                heaps.put_back(successor.product, 1);
                taken -= 1;
            }
            if taken == 0 || taken < successor.price_from_milli {
                heaps.put_back(successor.product, taken);
                continue;
            }
            lines[place].difference = INSTEAD;
            lines.push(AllocatedLine {
                product: successor.product,
                confirmed_milli: taken,
                reserved_milli: taken,
                difference: INSTEAD,
                price_minor: successor.price_minor.min(ware(*product).price_minor),
                instead_of: Some(*line),
            });
        }
    }
    let mut holds = Vec::new();
    if withdrawn {
        holds.push("HOLD_REASON_PRODUCT_WITHDRAWN");
    }
    if waits {
        holds.push("HOLD_REASON_STOCK");
    }
    if !holds.is_empty() {
        // A new order that waits has nothing yet.
        lines.iter_mut().for_each(|line| line.reserved_milli = 0);
    }
    for line in lines.iter_mut().filter(|line| ware(line.product).stock.is_none()) {
        line.reserved_milli = 0;
    }
    let reserved = wish.wares.iter().filter_map(|ware| {
        let own: i64 = lines.iter().filter(|line| line.product == ware.product).map(|line| line.reserved_milli).sum();
        Some((ware.product, ware.stock?.1 + own))
    });
    let reserved = reserved.collect();
    Allocation { holds, lines, reserved }
}
