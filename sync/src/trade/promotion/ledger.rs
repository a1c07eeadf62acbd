//! Budgets: what promotions have taken off confirmed orders.

use std::collections::BTreeMap;

use roundsman_proto::trade::{LinePromotion, Order, OrderLine, OrderStatus, Promotion};
use uuid::Uuid;

/// What a promotion has taken off confirmed orders.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// In minor units.
    pub minor: i64,
    /// Of which quantity, in thousandths of base units.
    pub milli: i64,
}

impl Spent {
    /// With what an order spends now, which had spent `before`.
    #[must_use]
    pub fn with(self, before: Self, after: Self) -> Self {
        Self {
            minor: self.minor.saturating_sub(before.minor).saturating_add(after.minor),
            milli: self.milli.saturating_sub(before.milli).saturating_add(after.milli),
        }
    }
}

/// What an order spends of which promotions' budgets: what counts in its confirmed quantities, once it has no holds. A
/// cancelled one spends nothing.
#[must_use]
pub fn counted(order: &Order) -> BTreeMap<Uuid, Spent> {
    match order.status() {
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed => spends(&order.lines),
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => BTreeMap::new(),
        OrderStatus::Cancelled | OrderStatus::Refused => BTreeMap::new(),
    }
}

/// What lines spend if they are confirmed.
#[must_use]
pub fn spends<'a>(lines: impl IntoIterator<Item = &'a OrderLine>) -> BTreeMap<Uuid, Spent> {
    let mut spends: BTreeMap<Uuid, Spent> = BTreeMap::new();
    for line in lines {
        for LinePromotion { promotion_id, counted_minor, .. } in &line.promotions {
            let Ok(promotion) = Uuid::from_slice(promotion_id) else { continue };
            let spent = spends.entry(promotion).or_default();
            *spent = spent.with(Spent::default(), Spent { minor: *counted_minor, milli: line.confirmed_milli });
        }
    }
    spends
}

/// What is left of a budget that does not suffice, and what would be spent of it (C7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverBudget {
    /// What others have left of it, never below 0: minor units, or thousandths of base units.
    pub left: i64,
    /// What the order would spend.
    pub wanted: i64,
}

/// Whether an order that has spent `before` so far may spend `after` of a promotion of which `spent` is gone in all. What
/// it has spent already it may always spend.
#[must_use]
pub fn over_budget(promotion: &Promotion, spent: Spent, before: Spent, after: Spent) -> Option<OverBudget> {
    let over = |budget: Option<i64>, spent: i64, before: i64, after: i64| {
        let left = budget?.saturating_sub(spent.saturating_sub(before)).max(0);
        (after > left.max(before)).then_some(OverBudget { left, wanted: after })
    };
    over(promotion.budget_minor, spent.minor, before.minor, after.minor)
        .or_else(|| over(promotion.budget_milli, spent.milli, before.milli, after.milli))
}
