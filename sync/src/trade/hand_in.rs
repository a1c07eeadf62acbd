//! Cash that a rep hands in: what was collected against what is there.
//!
//! What a rep has collected and not handed in stands in a list, as it came to the server. A hand-in takes the whole list, or, if
//! it was not emptied for long, its oldest page. So each payment is in exactly one hand-in, however late it came.

use prost::Message;
use roundsman_proto::trade::{
    CashCount, CashHandIn, CashHandInState, ConfirmHandIn, CountedCash, HandInCash, Payment, PaymentMethod, Reason,
};
use uuid::Uuid;

use super::check;
use super::rejection::Rejection;
use super::verdict::Verdict;

/// A hand-in covers at most so many payments.
pub const PAYMENTS: usize = 500;

/// The ways of paying that leave something to be handed in.
const METHODS: [PaymentMethod; 2] = [PaymentMethod::Cash, PaymentMethod::Cheque];

/// The internal record `in_hand{rep, currency, page}`: what the rep has collected and not handed in. Page 0 is being filled;
/// whenever it is full, it becomes the next of the pages from 1 on.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct InHand {
    /// As they came; at most [`PAYMENTS`].
    #[prost(message, repeated, tag = "1")]
    pub payments: Vec<CollectedCash>,
    /// Of page 0: so many pages were ever filled.
    #[prost(sint32, tag = "2")]
    pub filled_pages: i32,
    /// Of page 0: so many of them were handed in.
    #[prost(sint32, tag = "3")]
    pub handed_in_pages: i32,
}

/// Cash or a cheque.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct CollectedCash {
    /// The payment; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub payment_id: Vec<u8>,
    /// How it was paid.
    #[prost(enumeration = "PaymentMethod", tag = "2")]
    pub method: i32,
    /// How much.
    #[prost(sint64, tag = "3")]
    pub amount_minor: i64,
}

/// What is to be handed in of a payment; `None`: nothing.
#[must_use]
pub fn collected(id: Uuid, payment: &Payment) -> Option<CollectedCash> {
    let Payment { method, amount_minor, .. } = *payment;
    let physical = METHODS.contains(&payment.method());
    physical.then(|| CollectedCash { payment_id: id.as_bytes().to_vec(), method, amount_minor })
}

impl InHand {
    /// With something more on page 0. If that is full, its payments go to a page of their own: which, and what it says.
    #[must_use]
    pub fn with(mut self, cash: CollectedCash) -> (Self, Option<(i32, Self)>) {
        let full = (self.payments.len() >= PAYMENTS).then(|| {
            self.filled_pages = self.filled_pages.saturating_add(1);
            (self.filled_pages, Self { payments: std::mem::take(&mut self.payments), ..Self::default() })
        });
        self.payments.push(cash);
        (self, full)
    }

    /// Of page 0: the page that is handed in next.
    #[must_use]
    pub fn next_page(&self) -> i32 {
        if self.handed_in_pages < self.filled_pages { self.handed_in_pages.saturating_add(1) } else { 0 }
    }

    /// Page 0 after the hand-in of [`InHand::next_page`].
    #[must_use]
    pub fn handed_in(mut self) -> Self {
        match self.next_page() {
            0 => self.payments.clear(),
            page => self.handed_in_pages = page,
        }
        self
    }

    /// Of page 0: so many payments there are on all pages.
    #[must_use]
    pub fn left_payments(&self) -> usize {
        let pages = usize::try_from(self.filled_pages.saturating_sub(self.handed_in_pages)).unwrap_or(0);
        pages.saturating_mul(PAYMENTS).saturating_add(self.payments.len())
    }
}

/// Whose cash it is, and when it is handed in.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The rep.
    pub rep_id: Uuid,
    /// The rep's team; empty: none.
    pub team_id: &'a [u8],
    /// The business date.
    pub day: i32,
    /// The moment of capture, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
}

/// What is to be stored of a hand-in.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The hand-in.
    pub hand_in: CashHandIn,
    /// The outcome.
    pub verdict: Verdict,
}

/// The form of a hand-in.
///
/// # Errors
/// For its form.
pub fn hand_in_form(command: &HandInCash) -> Result<(), Rejection> {
    check::id(&command.hand_in_id, "hand_in_id")?;
    check::currency(&command.currency, "currency")?;
    check::optional_day(command.day, "day")?;
    check::count(command.counted.len(), METHODS.len(), "counted")?;
    for (place, counted) in command.counted.iter().enumerate() {
        let method: PaymentMethod = check::choice(counted.method, "method")?;
        if !METHODS.contains(&method) {
            return Err(Rejection::new(Reason::UnknownValue).field("method").fact(None, "value", counted.method));
        }
        if command.counted[..place].iter().any(|other| other.method == counted.method) {
            return Err(Rejection::new(Reason::RepeatedId).field("counted"));
        }
        check::money(counted.amount_minor, "amount_minor")?;
    }
    check::text(&command.note, check::TEXT_CHARS, "note")
}

/// A rep hands cash in. `current` is the hand-in of this id, if there is one; `page` what is handed in, `left_payments` how many
/// are left then.
///
/// # Errors
/// For its form; `REASON_NOTHING_TO_HAND_IN`, `REASON_ID_TAKEN`.
pub fn decide_hand_in(
    current: Option<&CashHandIn>,
    (page, left_payments): (&[CollectedCash], usize),
    setting: &Setting<'_>,
    command: &HandInCash,
) -> Result<Decision, Rejection> {
    hand_in_form(command)?;
    if let Some(current) = current {
        return if same_content(current, setting.rep_id, command) {
            Ok(Decision { hand_in: current.clone(), verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("hand_in_id"))
        };
    }
    let counts = METHODS.map(|method| CashCount {
        method: method.into(),
        expected_minor: page.iter().filter(|cash| cash.method() == method).map(|cash| cash.amount_minor).sum(),
        counted_minor: counted(command, method),
    });
    let expected_minor: i64 = counts.iter().map(|count| count.expected_minor).sum();
    let counted_minor: i64 = counts.iter().map(|count| count.counted_minor).sum();
    if page.is_empty() && counted_minor == 0 {
        return Err(Rejection::new(Reason::NothingToHandIn).field("counted"));
    }
    let differs = counts.iter().any(|count| count.expected_minor != count.counted_minor);
    let hand_in = CashHandIn {
        rep_id: setting.rep_id.as_bytes().to_vec(),
        team_id: setting.team_id.to_vec(),
        currency: command.currency.clone(),
        day: setting.day,
        state: CashHandInState::HandedIn.into(),
        counts: counts.into_iter().filter(|count| (count.expected_minor, count.counted_minor) != (0, 0)).collect(),
        expected_minor,
        counted_minor,
        difference_minor: counted_minor - expected_minor,
        payment_ids: page.iter().map(|cash| cash.payment_id.clone()).collect(),
        left_payments: i32::try_from(left_payments).unwrap_or(i32::MAX),
        note: command.note.clone(),
        handed_in_at_us: setting.captured_at_us,
        ..CashHandIn::default()
    };
    Ok(Decision { hand_in, verdict: verdict(differs, expected_minor) })
}

/// The office has counted.
///
/// # Errors
/// For its form; `REASON_WRONG_STATE` when it was confirmed with another sum.
pub fn decide_confirm(
    current: &CashHandIn,
    by: Uuid,
    command: &ConfirmHandIn,
    now_us: i64,
) -> Result<Decision, Rejection> {
    check::money(command.counted_minor, "counted_minor")?;
    check::text(&command.note, check::TEXT_CHARS, "note")?;
    match current.state() {
        CashHandInState::HandedIn => {}
        CashHandInState::Confirmed if current.confirmed_minor == Some(command.counted_minor) => {
            return Ok(Decision { hand_in: current.clone(), verdict: Verdict::nothing_to_do() });
        }
        CashHandInState::Confirmed | CashHandInState::Unspecified => {
            let state = current.state().as_str_name();
            return Err(Rejection::new(Reason::WrongState).fact(None, "state", state));
        }
    }
    let difference_minor = command.counted_minor - current.expected_minor;
    let hand_in = CashHandIn {
        state: CashHandInState::Confirmed.into(),
        confirmed_minor: Some(command.counted_minor),
        office_difference_minor: Some(difference_minor),
        office_note: command.note.clone(),
        confirmed_at_us: now_us,
        confirmed_by_id: by.as_bytes().to_vec(),
        ..current.clone()
    };
    Ok(Decision { hand_in, verdict: verdict(difference_minor != 0, current.expected_minor) })
}

fn verdict(differs: bool, expected_minor: i64) -> Verdict {
    if !differs {
        return Verdict::done();
    }
    Verdict::applied(Reason::CashDiffers).fact(None, "expected_minor", expected_minor)
}

fn counted(command: &HandInCash, method: PaymentMethod) -> i64 {
    let of_method = |counted: &&CountedCash| counted.method() == method;
    command.counted.iter().find(of_method).map_or(0, |counted| counted.amount_minor)
}

/// Whether a hand-in says what the one that is reported says, whatever the server has added.
fn same_content(current: &CashHandIn, rep_id: Uuid, command: &HandInCash) -> bool {
    let was = |method: PaymentMethod| {
        current.counts.iter().find(|count| count.method() == method).map_or(0, |count| count.counted_minor)
    };
    current.rep_id == rep_id.as_bytes()
        && (&current.currency, &current.note) == (&command.currency, &command.note)
        && METHODS.into_iter().all(|method| was(method) == counted(command, method))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const REP: Uuid = Uuid::from_u128(5);

    fn cash(number: u128, method: PaymentMethod, amount_minor: i64) -> CollectedCash {
        let payment = Payment { method: method.into(), amount_minor, ..Payment::default() };
        collected(Uuid::from_u128(number), &payment).expect("it is to be handed in")
    }

    fn counted_cash(method: PaymentMethod, amount_minor: i64) -> CountedCash {
        CountedCash { method: method.into(), amount_minor }
    }

    fn command(counted: Vec<CountedCash>) -> HandInCash {
        HandInCash { hand_in_id: vec![1; 16], currency: "EUR".to_owned(), counted, ..HandInCash::default() }
    }

    fn hand_in(
        current: Option<&CashHandIn>,
        page: &[CollectedCash],
        counted: Vec<CountedCash>,
    ) -> Result<Decision, Rejection> {
        let setting = Setting { rep_id: REP, team_id: &[6; 16], day: 9, captured_at_us: 70 };
        decide_hand_in(current, (page, 0), &setting, &command(counted))
    }

    #[test]
    fn what_was_collected_is_compared_with_what_was_counted() {
        let page =
            [cash(1, PaymentMethod::Cash, 50), cash(2, PaymentMethod::Cheque, 30), cash(3, PaymentMethod::Cash, 20)];
        let right = vec![counted_cash(PaymentMethod::Cheque, 30), counted_cash(PaymentMethod::Cash, 70)];
        let Decision { hand_in: done, verdict } = hand_in(None, &page, right).expect("handed in");
        assert_eq!((done.expected_minor, done.counted_minor, done.difference_minor), (100, 100, 0));
        assert_eq!((done.payment_ids.len(), verdict, done.state()), (3, Verdict::done(), CashHandInState::HandedIn));
        assert_eq!((done.team_id, done.day, done.handed_in_at_us), (vec![6; 16], 9, 70));
        let less = hand_in(None, &page, vec![counted_cash(PaymentMethod::Cash, 60)]).expect("handed in");
        assert_eq!((less.hand_in.difference_minor, less.verdict.reason), (-40, Reason::CashDiffers));
        let expected = CashCount { method: PaymentMethod::Cheque.into(), expected_minor: 30, counted_minor: 0 };
        assert_eq!(less.hand_in.counts[1], expected);
    }

    #[test]
    fn one_kind_of_money_does_not_make_up_for_the_other() {
        let page = [cash(1, PaymentMethod::Cash, 50)];
        let cheque = hand_in(None, &page, vec![counted_cash(PaymentMethod::Cheque, 50)]).expect("handed in");
        assert_eq!((cheque.hand_in.difference_minor, cheque.verdict.reason), (0, Reason::CashDiffers));
    }

    #[test]
    fn nothing_is_not_handed_in_but_a_surplus_or_a_loss_is() {
        assert_eq!(hand_in(None, &[], Vec::new()).expect_err("nothing").reason, Reason::NothingToHandIn);
        let surplus = hand_in(None, &[], vec![counted_cash(PaymentMethod::Cash, 5)]).expect("handed in");
        assert_eq!(surplus.hand_in.difference_minor, 5);
        let lost = hand_in(None, &[cash(1, PaymentMethod::Cash, 50)], Vec::new()).expect("handed in");
        assert_eq!(lost.hand_in.difference_minor, -50);
    }

    #[test]
    fn c01_the_same_hand_in_counts_once() {
        let counted = |amount_minor| vec![counted_cash(PaymentMethod::Cash, amount_minor)];
        let first = hand_in(None, &[cash(1, PaymentMethod::Cash, 50)], counted(50)).expect("handed in").hand_in;
        let again = hand_in(Some(&first), &[cash(2, PaymentMethod::Cash, 7)], counted(50)).expect("again");
        assert_eq!((&again.hand_in, again.verdict.reason), (&first, Reason::NothingToDo));
        assert_eq!(hand_in(Some(&first), &[], counted(51)).expect_err("other").reason, Reason::IdTaken);
        let others = CashHandIn { rep_id: vec![8; 16], ..first };
        assert_eq!(hand_in(Some(&others), &[], counted(50)).expect_err("another's").reason, Reason::IdTaken);
    }

    #[test]
    fn the_office_confirms_once() {
        let handed_in = hand_in(None, &[cash(1, PaymentMethod::Cash, 50)], Vec::new()).expect("handed in").hand_in;
        let confirm = |current: &CashHandIn, counted_minor| {
            let command = ConfirmHandIn { counted_minor, note: "one is torn".to_owned(), ..ConfirmHandIn::default() };
            decide_confirm(current, Uuid::from_u128(9), &command, 80)
        };
        let done = confirm(&handed_in, 45).expect("confirmed");
        assert_eq!((done.hand_in.office_difference_minor, done.verdict.reason), (Some(-5), Reason::CashDiffers));
        assert_eq!((done.hand_in.state(), done.hand_in.confirmed_at_us), (CashHandInState::Confirmed, 80));
        assert_eq!(confirm(&done.hand_in, 45).expect("again").verdict, Verdict::nothing_to_do());
        assert_eq!(confirm(&done.hand_in, 50).expect_err("too late").reason, Reason::WrongState);
        assert_eq!(confirm(&handed_in, 50).expect("confirmed").verdict, Verdict::done());
        assert_eq!(confirm(&handed_in, -1).expect_err("less than nothing").field, "counted_minor");
    }

    #[test]
    fn only_what_is_in_the_hand_is_counted_and_each_kind_once() {
        let no = |counted: Vec<CountedCash>| {
            hand_in_form(&command(counted)).map_err(|no| (no.reason, no.field)).expect_err("refused")
        };
        assert_eq!(no(vec![counted_cash(PaymentMethod::Card, 1)]), (Reason::UnknownValue, "method".to_owned()));
        assert_eq!(no(vec![counted_cash(PaymentMethod::Cash, -1)]), (Reason::OutOfRange, "amount_minor".to_owned()));
        let twice = vec![counted_cash(PaymentMethod::Cash, 1), counted_cash(PaymentMethod::Cash, 1)];
        assert_eq!(no(twice), (Reason::RepeatedId, "counted".to_owned()));
        let card = Payment { method: PaymentMethod::Card.into(), ..Payment::default() };
        assert_eq!(collected(REP, &card), None);
    }

    proptest! {
        /// Whatever comes between two hand-ins, and however much, is handed in once, the oldest first.
        #[test]
        fn each_payment_is_handed_in_once(runs in proptest::collection::vec(0..1_300_u128, 1..5)) {
            let mut pages = std::collections::BTreeMap::new();
            let mut front = InHand::default();
            let (mut number, mut handed_in) = (0_u128, Vec::new());
            for run in runs {
                for _ in 0..run {
                    number += 1;
                    let (now, full) = front.with(cash(number, PaymentMethod::Cash, 1));
                    front = now;
                    pages.extend(full);
                }
                let page = front.next_page();
                let payments = if page == 0 { front.payments.clone() } else { pages.remove(&page).unwrap_or_default().payments };
                prop_assert!(payments.len() <= PAYMENTS);
                handed_in.extend(payments.iter().map(|cash| cash.payment_id.clone()));
                front = front.handed_in();
                prop_assert_eq!(handed_in.len() + front.left_payments(), usize::try_from(number).expect("small"));
            }
            let right: Vec<Vec<u8>> = (1..=handed_in.len()).map(|number| Uuid::from_u128(number as u128).as_bytes().to_vec()).collect();
            prop_assert_eq!(handed_in, right);
        }
    }
}
