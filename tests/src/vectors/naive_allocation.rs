//! Who gets what there is, once more, piece by piece: goods are taken off a heap, a thousandth at a time.

use std::collections::BTreeMap;

use roundsman_proto::trade::ShortageRule;

use super::allocation::{AllocatedLine, Allocation, Ware, Wish};

const NONE: &str = "LINE_DIFFERENCE_UNSPECIFIED";
const SHORT: &str = "LINE_DIFFERENCE_STOCK_SHORT";
const LATER: &str = "LINE_DIFFERENCE_BACK_ORDERED";
const WITHDRAWN: &str = "LINE_DIFFERENCE_WITHDRAWN";
const QUOTA: &str = "LINE_DIFFERENCE_QUOTA";
const INSTEAD: &str = "LINE_DIFFERENCE_SUBSTITUTED";

/// What is left of each product; of what nobody counts there is always more.
struct Heaps(BTreeMap<u128, Heap>);

#[derive(Clone, Copy)]
struct Heap {
    there: i64,
    /// What is left of the own share, and of those of others; `None`: it is not shared out.
    shares: Option<(i64, i64)>,
}

impl Heap {
    /// Takes one thousandth, if it may be taken.
    fn take_one(&mut self) -> bool {
        let may = match &mut self.shares {
            _ if self.there <= 0 => false,
            Some((own, _)) if *own > 0 => {
                *own -= 1;
                true
            }
            Some((_, of_others)) => self.there > *of_others,
            None => true,
        };
        self.there -= i64::from(may);
        may
    }
}

impl Heaps {
    fn of(wares: &[Ware]) -> Self {
        let heap = |ware: &Ware| {
            let (on_hand, reserved) = ware.stock?;
            let (mut own, mut of_others) = (0, 0);
            for share in ware.shares.iter().filter(|share| share.used_milli < share.quantity_milli) {
                *(if share.own { &mut own } else { &mut of_others }) += share.quantity_milli - share.used_milli;
            }
            let shares = (!ware.shares.is_empty()).then_some((own, of_others));
            Some((ware.product, Heap { there: on_hand - reserved, shares }))
        };
        Self(wares.iter().filter_map(heap).collect())
    }

    /// Takes up to so much off.
    fn take(&mut self, product: u128, wanted: i64) -> i64 {
        let Some(heap) = self.0.get_mut(&product) else { return wanted };
        let mut taken = 0;
        while taken < wanted && heap.take_one() {
            taken += 1;
        }
        taken
    }

    /// How much could be taken.
    fn takeable(&self, product: u128, wanted: i64) -> i64 {
        let heap = self.0.get(&product).map(|heap| (product, *heap));
        Self(heap.into_iter().collect()).take(product, wanted)
    }

    /// Whether something is left, even if others claim it.
    fn is_something_left(&self, product: u128) -> bool {
        self.0.get(&product).is_none_or(|heap| heap.there > 0)
    }
}

/// What nobody counts is not shared out.
fn has_own(ware: &Ware) -> bool {
    ware.stock.is_some() && ware.shares.iter().any(|share| share.own)
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
        let complete = wish.rule == ShortageRule::ShipComplete;
        waits |= lacks && complete;
        let (confirmed, difference) = if !lacks || complete {
            (*ordered, NONE)
        } else if ware.withdrawn {
            (taken, WITHDRAWN)
        } else if wish.rule == ShortageRule::BackOrder {
            (*ordered, LATER)
        } else if heaps.is_something_left(*product) {
            (taken, QUOTA)
        } else {
            (taken, SHORT)
        };
        lines.push(AllocatedLine {
            product: *product,
            confirmed_milli: confirmed,
            reserved_milli: taken,
            difference,
            price_minor: ware.price_minor,
            in_own_share: has_own(ware),
            instead_of: None,
        });
    }
    if wish.rule == ShortageRule::Substitute {
        for (place, (line, product, ordered)) in wish.lines.iter().enumerate() {
            let lacks = ordered - lines[place].confirmed_milli;
            let Some(successor) = ware(*product).successor.map(ware).filter(|successor| !successor.withdrawn) else {
                continue;
            };
            let mut taken = heaps.takeable(successor.product, lacks);
            while successor.multiple_milli > 0 && taken % successor.multiple_milli != 0 {
                taken -= 1;
            }
            if taken == 0 || taken < successor.price_from_milli {
                continue;
            }
            heaps.take(successor.product, taken);
            lines[place].difference = INSTEAD;
            lines.push(AllocatedLine {
                product: successor.product,
                confirmed_milli: taken,
                reserved_milli: taken,
                difference: INSTEAD,
                price_minor: successor.price_minor.min(ware(*product).price_minor),
                in_own_share: has_own(successor),
                instead_of: Some(*line),
            });
        }
    }
    finished(wish, lines, (withdrawn, waits))
}

/// What waits has nothing yet, and of what nobody counts nothing is set aside.
fn finished(wish: &Wish, mut lines: Vec<AllocatedLine>, (withdrawn, waits): (bool, bool)) -> Allocation {
    let ware = |product: u128| wish.wares.iter().find(|ware| ware.product == product).expect("known");
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
