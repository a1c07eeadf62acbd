//! Holds: the causes for which an order waits, and how a list of holds follows them.

use roundsman_proto::trade::{Hold, HoldReason, Order, Reason};

/// A cause to hold an order, found now.
#[derive(Clone, Debug, PartialEq)]
pub struct Cause {
    /// Which.
    pub reason: HoldReason,
    /// The lines it concerns; empty: the whole order.
    pub line_ids: Vec<Vec<u8>>,
    /// In words.
    pub facts: String,
    /// The limit that counted.
    pub limit_minor: Option<i64>,
    /// What was held against the limit.
    pub exposure_minor: Option<i64>,
    /// What the rep saw.
    pub shown_minor: Option<i64>,
    /// What the server computes.
    pub current_minor: Option<i64>,
    /// What takes the place of what it is about; empty: nothing.
    pub successor_id: Vec<u8>,
    /// The order that it may repeat; empty: none.
    pub other_order_id: Vec<u8>,
}

impl Cause {
    /// One that concerns the whole order and no number.
    #[must_use]
    pub fn new(reason: HoldReason, facts: String) -> Self {
        let (limit_minor, exposure_minor, shown_minor, current_minor) = (None, None, None, None);
        let (line_ids, successor_id, other_order_id) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            reason,
            line_ids,
            facts,
            limit_minor,
            exposure_minor,
            shown_minor,
            current_minor,
            successor_id,
            other_order_id,
        }
    }

    /// The one for which a hold was opened.
    #[must_use]
    pub fn of(hold: &Hold) -> Self {
        Self {
            line_ids: hold.line_ids.clone(),
            limit_minor: hold.limit_minor,
            exposure_minor: hold.exposure_minor,
            shown_minor: hold.shown_minor,
            current_minor: hold.current_minor,
            successor_id: hold.successor_id.clone(),
            other_order_id: hold.other_order_id.clone(),
            ..Self::new(hold.reason(), hold.facts.clone())
        }
    }

    /// One that concerns these lines.
    #[must_use]
    pub fn lines(self, line_ids: Vec<Vec<u8>>) -> Self {
        Self { line_ids, ..self }
    }

    /// One about a sum and its limit.
    #[must_use]
    pub fn limit(self, limit_minor: i64, exposure_minor: i64) -> Self {
        Self { limit_minor: Some(limit_minor), exposure_minor: Some(exposure_minor), ..self }
    }

    fn hold(&self, opened_at_us: i64) -> Hold {
        Hold {
            reason: self.reason.into(),
            line_ids: self.line_ids.clone(),
            facts: self.facts.clone(),
            limit_minor: self.limit_minor,
            exposure_minor: self.exposure_minor,
            shown_minor: self.shown_minor,
            current_minor: self.current_minor,
            successor_id: self.successor_id.clone(),
            other_order_id: self.other_order_id.clone(),
            opened_at_us,
            ..Hold::default()
        }
    }
}

/// Whether a hold still waits for somebody.
#[must_use]
pub fn is_open(hold: &Hold) -> bool {
    hold.released_at_us == 0
}

/// The open hold of a reason.
#[must_use]
pub fn open(order: &Order, reason: HoldReason) -> Option<&Hold> {
    order.holds.iter().find(|hold| is_open(hold) && hold.reason() == reason)
}

/// The last hold of a reason that a person released.
#[must_use]
pub fn agreed(order: &Order, reason: HoldReason) -> Option<&Hold> {
    all_agreed(order, reason).next_back()
}

/// All holds of a reason that persons released.
pub fn all_agreed(order: &Order, reason: HoldReason) -> impl DoubleEndedIterator<Item = &Hold> {
    let released = move |hold: &&Hold| !is_open(hold) && !hold.released_by_id.is_empty() && hold.reason() == reason;
    order.holds.iter().filter(released)
}

/// The reasons of the open holds, in the order of opening.
#[must_use]
pub fn open_reasons(order: &Order) -> Vec<HoldReason> {
    order.holds.iter().filter(|hold| is_open(hold)).map(Hold::reason).collect()
}

/// Whether the hold is about the customer's credit, which is its own approver's business.
#[must_use]
pub fn is_credit(reason: HoldReason) -> bool {
    match reason {
        HoldReason::CreditLimit | HoldReason::Overdue => true,
        HoldReason::Unspecified | HoldReason::Price | HoldReason::Promotion | HoldReason::Discount => false,
        HoldReason::BelowFloor | HoldReason::ProductWithdrawn | HoldReason::Stock | HoldReason::MinimumSum => false,
        HoldReason::TermsExpired | HoldReason::OutletBlocked | HoldReason::DuplicateSuspect => false,
        HoldReason::Allocation => false,
    }
}

/// Whether [`super::decide`] finds this cause; holds for others are left to those who opened them.
fn is_decided(reason: HoldReason) -> bool {
    match reason {
        HoldReason::CreditLimit | HoldReason::Overdue | HoldReason::Price | HoldReason::Discount => true,
        HoldReason::ProductWithdrawn | HoldReason::Stock | HoldReason::MinimumSum | HoldReason::Allocation => true,
        HoldReason::TermsExpired | HoldReason::OutletBlocked | HoldReason::Promotion | HoldReason::BelowFloor => true,
        HoldReason::DuplicateSuspect => true,
        HoldReason::Unspecified => false,
    }
}

/// What the outcome says of open holds; `None`: there is none.
#[must_use]
pub fn outcome(open: &[HoldReason]) -> Option<Reason> {
    let only = match open {
        [] => return None,
        [only] => only,
        [_, _, ..] => return Some(Reason::HeldSeveral),
    };
    Some(match only {
        HoldReason::CreditLimit => Reason::HeldCreditLimit,
        HoldReason::Overdue => Reason::HeldOverdue,
        HoldReason::Price => Reason::HeldPrice,
        HoldReason::Promotion => Reason::HeldPromotion,
        HoldReason::Discount => Reason::HeldDiscount,
        HoldReason::BelowFloor => Reason::HeldBelowFloor,
        HoldReason::ProductWithdrawn => Reason::HeldProductWithdrawn,
        HoldReason::Stock => Reason::HeldStock,
        HoldReason::MinimumSum => Reason::HeldMinimumSum,
        HoldReason::TermsExpired => Reason::HeldTermsExpired,
        HoldReason::OutletBlocked => Reason::HeldOutletBlocked,
        HoldReason::DuplicateSuspect => Reason::HeldDuplicateSuspect,
        HoldReason::Allocation => Reason::HeldAllocation,
        HoldReason::Unspecified => Reason::HeldSeveral,
    })
}

/// The list of holds that follows from the causes found now: an open hold whose cause persists keeps its moment of
/// opening and gets the new numbers; one whose cause has gone is released by the rule; a new cause opens a new one.
#[must_use]
pub fn follow(holds: &[Hold], causes: &[Cause], now_us: i64) -> Vec<Hold> {
    let mut followed = Vec::with_capacity(holds.len() + causes.len());
    for hold in holds {
        let cause = causes.iter().find(|cause| cause.reason == hold.reason());
        followed.push(match (is_open(hold) && is_decided(hold.reason()), cause) {
            (false, _) => hold.clone(),
            (true, Some(cause)) => cause.hold(hold.opened_at_us),
            (true, None) => released(hold, now_us, "rule: its cause has gone"),
        });
    }
    for cause in causes {
        let open = holds.iter().any(|hold| is_open(hold) && hold.reason() == cause.reason);
        if !open {
            followed.push(cause.hold(now_us));
        }
    }
    followed
}

/// Releases what is open, by a rule.
pub fn release_all(order: &mut Order, now_us: i64, rule: &str) {
    for hold in order.holds.iter_mut().filter(|hold| is_open(hold)) {
        *hold = released(hold, now_us, rule);
    }
}

fn released(hold: &Hold, now_us: i64, rule: &str) -> Hold {
    // Moment 0 would mean "still open".
    Hold { released_at_us: now_us.max(1), released_by: rule.to_owned(), ..hold.clone() }
}
