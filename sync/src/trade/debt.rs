//! Debts, document by document: what a payment pays, what is still open, and how old it is.
//!
//! The books of the office lag behind the field. So of each document that they tell counts what payments have allocated to it
//! that the books don't contain yet.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use roundsman_proto::trade::payment_share::Document;
use roundsman_proto::trade::{DueItem, Payment, PaymentAllocation, PaymentShare, Reason, Receivable};
use uuid::Uuid;

use super::check;
use super::money;
use super::rejection::Rejection;

/// The internal record `debts{customer, currency}`: where the books tell the customer's documents, and what payments have
/// allocated to them that the books don't contain.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Debts {
    /// The receivables, in ascending order; 16 bytes each.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub receivables: Vec<Vec<u8>>,
    /// In ascending order of the document.
    #[prost(message, repeated, tag = "2")]
    pub allocated: Vec<Allocated>,
}

/// What unbooked payments have allocated to a document. It is known by its number, else by its order, else by its due day:
/// whatever comes first is set, and the others are not.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Allocated {
    /// The document's number in the books.
    #[prost(string, tag = "1")]
    pub document_number: String,
    /// The document's order; 16 bytes, or empty.
    #[prost(bytes = "vec", tag = "2")]
    pub order_id: Vec<u8>,
    /// The day on which what has neither number nor order is due.
    #[prost(sint32, tag = "3")]
    pub due_day: i32,
    /// Above 0.
    #[prost(sint64, tag = "4")]
    pub amount_minor: i64,
}

/// What a document is known by.
type Name = (String, Vec<u8>, i32);

fn name(number: &str, order_id: &[u8], due_day: i32) -> Name {
    match (number, order_id) {
        ("", []) => (String::new(), Vec::new(), due_day),
        ("", order_id) => (String::new(), order_id.to_vec(), 0),
        (number, _) => (number.to_owned(), Vec::new(), 0),
    }
}

/// What a payment takes off documents until the books contain it.
fn unbooked(payment: &Payment) -> &[PaymentAllocation] {
    if payment.booked { &[] } else { &payment.allocations }
}

impl Debts {
    /// With a receivable of this debtor.
    #[must_use]
    pub fn with_receivable(mut self, id: Uuid) -> Self {
        if let Err(index) = self.receivables.binary_search_by(|known| known.as_slice().cmp(id.as_bytes())) {
            self.receivables.insert(index, id.as_bytes().to_vec());
        }
        self
    }

    /// Without a receivable: it is another debtor's.
    #[must_use]
    pub fn without_receivable(mut self, id: Uuid) -> Self {
        self.receivables.retain(|known| known != id.as_bytes());
        self
    }

    /// Without a payment that is counted as it stands here.
    #[must_use]
    pub fn without_payment(self, payment: &Payment) -> Self {
        self.with_payment(Some(payment), &Payment::default())
    }

    /// The receivables.
    pub fn receivable_ids(&self) -> impl Iterator<Item = Uuid> {
        self.receivables.iter().filter_map(|id| Uuid::from_slice(id).ok())
    }

    /// With a payment as it is now; `before`, as it was counted.
    #[must_use]
    pub fn with_payment(self, before: Option<&Payment>, payment: &Payment) -> Self {
        let mut sums = self.sums();
        for (payment, sign) in before.map(|before| (before, -1)).into_iter().chain([(payment, 1)]) {
            for part in unbooked(payment) {
                let sum = sums.entry(name(&part.document_number, &part.order_id, part.due_day)).or_default();
                *sum = sum.saturating_add(part.amount_minor.saturating_mul(sign));
            }
        }
        let allocated = sums.into_iter().filter(|(_, amount_minor)| *amount_minor > 0);
        let allocated = allocated.map(|((document_number, order_id, due_day), amount_minor)| Allocated {
            document_number,
            order_id,
            due_day,
            amount_minor,
        });
        Self { allocated: allocated.collect(), ..self }
    }

    fn sums(&self) -> BTreeMap<Name, i64> {
        let entry = |known: &Allocated| {
            ((known.document_number.clone(), known.order_id.clone(), known.due_day), known.amount_minor)
        };
        self.allocated.iter().map(entry).collect()
    }

    /// The documents of these receivables with what is still to be paid of them, oldest due day first and those without one
    /// last. Of a document in parts the oldest are paid first.
    #[must_use]
    pub fn open_items<'a>(&self, receivables: impl IntoIterator<Item = &'a Receivable>) -> Vec<OpenItem> {
        let mut allocated = self.sums();
        let mut open: Vec<OpenItem> = Vec::new();
        for receivable in receivables {
            for item in receivable.due_items.iter().filter(|item| item.amount_minor > 0) {
                open.push(OpenItem { contract_id: receivable.contract_id.clone(), item: item.clone() });
            }
        }
        open.sort_by_key(|OpenItem { item, .. }| (item.due_day == 0, item.due_day));
        for OpenItem { item, .. } in &mut open {
            if let Some(paid) = allocated.get_mut(&name(&item.document_number, &item.order_id, item.due_day)) {
                let part = item.amount_minor.min(*paid);
                *paid -= part;
                item.amount_minor -= part;
            }
        }
        open.retain(|open| open.item.amount_minor > 0);
        open
    }
}

/// A document of the books that is not paid, or not wholly.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenItem {
    /// The contract under which it is owed; empty: under none.
    pub contract_id: Vec<u8>,
    /// The document, with what is still to be paid of it.
    pub item: DueItem,
}

/// The form of the documents of a receivable.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`, `REASON_TOO_LONG`, `REASON_NUL_CHARACTER`, `REASON_BAD_ID`, `REASON_OUT_OF_RANGE`.
pub fn due_items_form(due_items: &[DueItem]) -> Result<(), Rejection> {
    check::count(due_items.len(), check::LINES, "due_items")?;
    for item in due_items {
        check::text(&item.document_number, check::NAME_CHARS, "document_number")?;
        check::optional_id(&item.order_id, "order_id")?;
        check::optional_day(item.due_day, "due_day")?;
        check::range(item.amount_minor, -check::MONEY_MINOR..=check::MONEY_MINOR, "amount_minor")?;
    }
    Ok(())
}

/// What a payment is to pay.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// The documents that were chosen.
    pub shares: &'a [PaymentShare],
    /// The order that it is for; empty: none in particular.
    pub order_id: &'a [u8],
    /// What that order will add to the debt: so much is kept for it.
    pub coming_minor: i64,
    /// The contract for whose debt it is; empty: whatever the customer owes.
    pub contract_id: &'a [u8],
}

/// The form of the documents that a payment of this amount is to pay.
///
/// # Errors
/// `REASON_LIMIT_EXCEEDED`, `REASON_MISSING_FIELD`, `REASON_BAD_ID`, `REASON_TOO_LONG`, `REASON_NUL_CHARACTER`,
/// `REASON_OUT_OF_RANGE`, `REASON_REPEATED_ID`.
pub fn shares_form(shares: &[PaymentShare], amount_minor: i64) -> Result<(), Rejection> {
    check::count(shares.len(), check::LINES, "shares")?;
    let mut seen = BTreeSet::new();
    let mut left_minor = amount_minor;
    for share in shares {
        let named = match &share.document {
            None => return Err(check::missing("shares")),
            Some(Document::DocumentNumber(number)) => {
                check::required_text(number, check::NAME_CHARS, "shares")?;
                number.as_bytes()
            }
            Some(Document::OrderId(order)) => {
                check::id(order, "shares")?;
                order
            }
        };
        if !seen.insert((matches!(share.document, Some(Document::OrderId(_))), named)) {
            return Err(Rejection::new(Reason::RepeatedId).field("shares"));
        }
        check::range(share.amount_minor, 1..=left_minor, "shares")?;
        left_minor -= share.amount_minor;
    }
    Ok(())
}

/// Which of the open documents ([`Debts::open_items`]) a payment pays: those that were chosen, then those of its order, then –
/// less what that order will add to the debt – the oldest due first. What a share names and is not open falls to the others. For a
/// contract these are its documents, and then those that are owed under none: what is owed under another one is another matter.
#[must_use]
pub fn allocate(open: &[OpenItem], amount_minor: i64, wish: &Wish<'_>) -> Vec<PaymentAllocation> {
    let mut paying = Paying { open, paid: vec![0; open.len()], left_minor: amount_minor.max(0) };
    for share in wish.shares {
        paying.pay(share.amount_minor, |open| chooses(share, &open.item));
    }
    if !wish.order_id.is_empty() {
        paying.pay(i64::MAX, |open| open.item.order_id == wish.order_id);
        paying.left_minor = paying.left_minor.saturating_sub(wish.coming_minor.max(0)).max(0);
    }
    if !wish.contract_id.is_empty() {
        paying.pay(i64::MAX, |open| open.contract_id == wish.contract_id);
    }
    paying.pay(i64::MAX, |open| wish.contract_id.is_empty() || open.contract_id.is_empty());
    let paid = open.iter().zip(paying.paid).filter(|(_, amount_minor)| *amount_minor > 0);
    let paid = paid.map(|(OpenItem { item, .. }, amount_minor)| PaymentAllocation {
        document_number: item.document_number.clone(),
        order_id: item.order_id.clone(),
        due_day: item.due_day,
        amount_minor,
    });
    paid.collect()
}

/// Whether a share names a document.
fn chooses(share: &PaymentShare, item: &DueItem) -> bool {
    match &share.document {
        Some(Document::DocumentNumber(number)) => item.document_number == *number,
        Some(Document::OrderId(order)) => item.order_id == *order,
        None => false,
    }
}

/// The contract under which all documents are owed that these shares choose; empty: there is none, or several.
#[must_use]
pub fn chosen_contract<'a>(open: &'a [OpenItem], shares: &[PaymentShare]) -> &'a [u8] {
    let chosen = open.iter().filter(|open| shares.iter().any(|share| chooses(share, &open.item)));
    let mut contracts = chosen.map(|open| open.contract_id.as_slice());
    let first = contracts.next().unwrap_or_default();
    if contracts.all(|other| other == first) { first } else { &[] }
}

/// A payment on its way to the documents.
struct Paying<'a> {
    open: &'a [OpenItem],
    paid: Vec<i64>,
    left_minor: i64,
}

impl Paying<'_> {
    fn pay(&mut self, at_most_minor: i64, which: impl Fn(&OpenItem) -> bool) {
        let mut left_minor = self.left_minor.min(at_most_minor.max(0));
        self.left_minor -= left_minor;
        for (open, paid) in self.open.iter().zip(&mut self.paid).filter(|(open, _)| which(open)) {
            let part = left_minor.min(open.item.amount_minor - *paid);
            *paid += part;
            left_minor -= part;
        }
        self.left_minor += left_minor;
    }
}

/// How long a debt is overdue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// It is not: it is due on the day or later.
    NotDue,
    /// 1 to 7 days.
    Week,
    /// 8 to 14 days.
    Fortnight,
    /// 15 to 30 days.
    Month,
    /// 31 to 60 days.
    TwoMonths,
    /// More than 60 days.
    Older,
    /// Nobody knows: of a document without a due day, and of what the books tell no documents of.
    Unknown,
}

impl Age {
    /// All, from the youngest to the oldest; what nobody knows comes last.
    pub const ALL: [Self; 7] =
        [Self::NotDue, Self::Week, Self::Fortnight, Self::Month, Self::TwoMonths, Self::Older, Self::Unknown];

    /// Of what is due on a day, seen from another.
    #[must_use]
    pub fn of(due_day: i32, day: i32) -> Self {
        if due_day == 0 {
            return Self::Unknown;
        }
        match day.saturating_sub(due_day) {
            ..=0 => Self::NotDue,
            1..=7 => Self::Week,
            8..=14 => Self::Fortnight,
            15..=30 => Self::Month,
            31..=60 => Self::TwoMonths,
            61.. => Self::Older,
        }
    }
}

/// How old a debt is on a day, as the books tell it: what is of which age, in the order of [`Age::ALL`]. Together that is the
/// debt, also where documents and debt don't agree: the difference is of no known age.
#[must_use]
pub fn aging(receivable: &Receivable, day: i32) -> [(Age, i64); 7] {
    let mut sums = Age::ALL.map(|age| (age, 0_i128));
    let mut add =
        |age: Age, minor: i128| sums.iter_mut().filter(|(own, _)| *own == age).for_each(|(_, sum)| *sum += minor);
    add(Age::Unknown, receivable.debt_minor.into());
    for item in &receivable.due_items {
        add(Age::of(item.due_day, day), item.amount_minor.into());
        add(Age::Unknown, -i128::from(item.amount_minor));
    }
    sums.map(|(age, sum)| (age, money::saturated(sum)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ORDER: [u8; 16] = [4; 16];

    fn item(number: &str, due_day: i32, amount_minor: i64) -> DueItem {
        DueItem { document_number: number.to_owned(), due_day, amount_minor, ..DueItem::default() }
    }

    fn of_order(item: DueItem) -> DueItem {
        DueItem { order_id: ORDER.to_vec(), ..item }
    }

    fn books(due_items: Vec<DueItem>) -> Receivable {
        Receivable {
            debt_minor: due_items.iter().map(|item| item.amount_minor).sum(),
            due_items,
            ..Receivable::default()
        }
    }

    fn share(number: &str, amount_minor: i64) -> PaymentShare {
        PaymentShare { document: Some(Document::DocumentNumber(number.to_owned())), amount_minor }
    }

    fn paid(allocations: &[PaymentAllocation]) -> Vec<(&str, i64)> {
        allocations.iter().map(|part| (part.document_number.as_str(), part.amount_minor)).collect()
    }

    fn payment(allocations: Vec<PaymentAllocation>) -> Payment {
        Payment { allocations, ..Payment::default() }
    }

    #[test]
    fn the_oldest_debt_is_paid_first_and_one_without_a_day_last() {
        let books =
            books(vec![item("undated", 0, 10), item("new", 20, 10), item("old", 10, 10), item("credit", 5, -3)]);
        let open = Debts::default().open_items([&books]);
        assert_eq!(paid(&allocate(&open, 25, &Wish::default())), [("old", 10), ("new", 10), ("undated", 5)]);
        assert_eq!(paid(&allocate(&open, 99, &Wish::default())), [("old", 10), ("new", 10), ("undated", 10)]);
    }

    #[test]
    fn what_was_chosen_is_paid_and_the_rest_falls_to_the_oldest() {
        let open = Debts::default().open_items([&books(vec![item("a", 1, 10), item("b", 2, 10), item("c", 3, 10)])]);
        let shares = [share("c", 4), share("gone", 7), share("b", 12)];
        let wish = Wish { shares: &shares, ..Wish::default() };
        assert_eq!(paid(&allocate(&open, 23, &wish)), [("a", 9), ("b", 10), ("c", 4)]);
    }

    #[test]
    fn money_for_a_contract_pays_its_documents_then_those_of_none_and_no_others() {
        let under = |contract: u8, due_item| Receivable { contract_id: vec![contract; 16], ..books(vec![due_item]) };
        let (own, other) = (under(1, item("own", 3, 10)), under(2, item("other", 1, 10)));
        let open = Debts::default().open_items([&books(vec![item("none", 2, 10)]), &other, &own]);
        let wish = Wish { contract_id: &[1; 16], ..Wish::default() };
        assert_eq!(paid(&allocate(&open, 14, &wish)), [("none", 4), ("own", 10)]);
        assert_eq!(paid(&allocate(&open, 99, &wish)), [("none", 10), ("own", 10)]);
        let chosen = [share("other", 4)];
        let wish = Wish { shares: &chosen, ..wish };
        assert_eq!(paid(&allocate(&open, 14, &wish)), [("other", 4), ("own", 10)], "what the customer wants is paid");
        assert_eq!(paid(&allocate(&open, 14, &Wish::default())), [("other", 10), ("none", 4)]);
        assert_eq!(chosen_contract(&open, &chosen), [2; 16]);
        assert_eq!(chosen_contract(&open, &[share("other", 4), share("gone", 1)]), [2; 16]);
        for mixed in [share("own", 1), share("none", 1)] {
            assert!(chosen_contract(&open, &[share("other", 4), mixed]).is_empty());
        }
    }

    #[test]
    fn money_for_an_order_is_kept_for_it() {
        let open = Debts::default().open_items([&books(vec![item("a", 1, 10), of_order(item("b", 2, 10))])]);
        let wish = Wish { order_id: &ORDER, coming_minor: 5, ..Wish::default() };
        assert_eq!(paid(&allocate(&open, 18, &wish)), [("a", 3), ("b", 10)]);
        assert_eq!(paid(&allocate(&open, 14, &wish)), [("b", 10)], "it will owe more");
        let by_order = [PaymentShare { document: Some(Document::OrderId(ORDER.to_vec())), amount_minor: 6 }];
        let wish = Wish { shares: &by_order, ..Wish::default() };
        assert_eq!(paid(&allocate(&open, 6, &wish)), [("b", 6)]);
    }

    #[test]
    fn what_another_payment_has_paid_is_open_no_more_until_the_books_know() {
        let books = books(vec![item("a", 1, 10), item("b", 2, 10)]);
        let pay = |debts: &Debts, minor| payment(allocate(&debts.open_items([&books]), minor, &Wish::default()));
        let first = pay(&Debts::default(), 14);
        let debts = Debts::default().with_payment(None, &first);
        assert_eq!(paid(&pay(&debts, 99).allocations), [("b", 6)]);
        let booked = Payment { booked: true, ..first.clone() };
        assert_eq!(debts.with_payment(Some(&first), &booked), Debts::default());
    }

    #[test]
    fn a_document_in_parts_is_paid_part_by_part() {
        let books = books(vec![item("a", 1, 10), item("b", 2, 10), item("a", 3, 10)]);
        let part = PaymentAllocation {
            document_number: "a".to_owned(),
            due_day: 3,
            amount_minor: 12,
            ..PaymentAllocation::default()
        };
        let open = Debts::default().with_payment(None, &payment(vec![part])).open_items([&books]);
        let items: Vec<DueItem> = open.into_iter().map(|open| open.item).collect();
        assert_eq!(items, [item("b", 2, 10), item("a", 3, 8)]);
    }

    #[test]
    fn a_document_is_known_by_its_number_then_by_its_order_then_by_its_day() {
        let of = |due_item: &DueItem| {
            let (document_number, order_id, due_day) =
                (due_item.document_number.clone(), due_item.order_id.clone(), due_item.due_day);
            let part = PaymentAllocation { document_number, order_id, due_day, amount_minor: due_item.amount_minor };
            Debts::default().with_payment(None, &payment(vec![part]))
        };
        let open = |debts: &Debts, due_item: DueItem| !debts.open_items([&books(vec![due_item])]).is_empty();
        let numbered = of(&item("a", 1, 10));
        assert!(!open(&numbered, of_order(item("a", 2, 10))) && open(&numbered, of_order(item("", 1, 10))));
        let ordered = of(&of_order(item("", 1, 10)));
        assert!(!open(&ordered, of_order(item("", 2, 10))) && open(&ordered, item("", 1, 10)));
        let nameless = of(&item("", 1, 10));
        assert!(!open(&nameless, item("", 1, 10)) && open(&nameless, item("", 2, 10)));
    }

    #[test]
    fn shares_name_each_document_once_and_are_no_more_than_the_amount() {
        let order = |amount_minor| PaymentShare { document: Some(Document::OrderId(ORDER.to_vec())), amount_minor };
        let reason = |shares: &[PaymentShare]| shares_form(shares, 10).map_err(|no| (no.reason, no.field));
        let no = |reason| Err((reason, "shares".to_owned()));
        assert_eq!(reason(&[share("a", 4), share("b", 4), order(2)]), Ok(()));
        assert_eq!(reason(&[share("a", 4), share("a", 4)]), no(Reason::RepeatedId));
        assert_eq!(reason(&[order(4), order(4)]), no(Reason::RepeatedId));
        assert_eq!(reason(&[share("a", 6), share("b", 5)]), no(Reason::OutOfRange));
        assert_eq!(reason(&[share("a", 0)]), no(Reason::OutOfRange));
        assert_eq!(reason(&[share(" ", 1)]), no(Reason::MissingField));
        assert_eq!(reason(&[PaymentShare { document: None, amount_minor: 1 }]), no(Reason::MissingField));
    }

    #[test]
    fn documents_of_the_books_have_a_form() {
        let field = |due_item: DueItem| due_items_form(&[due_item]).map_err(|no| no.field);
        let no = |field: &str| Err(field.to_owned());
        assert_eq!(field(item("a", 0, -5)), Ok(()), "a credit note");
        assert_eq!(field(item("\0", 0, 5)), no("document_number"));
        assert_eq!(field(item("a", -1, 5)), no("due_day"));
        assert_eq!(field(item("a", 1, check::MONEY_MINOR + 1)), no("amount_minor"));
        assert_eq!(field(DueItem { order_id: vec![1], ..item("a", 1, 5) }), no("order_id"));
        assert_eq!(due_items_form(&vec![item("a", 1, 5); 501]).map_err(|no| no.field), no("due_items"));
    }

    #[test]
    fn a_debt_ages_day_by_day() {
        let ages = [
            (100, Age::NotDue),
            (101, Age::NotDue),
            (99, Age::Week),
            (93, Age::Week),
            (92, Age::Fortnight),
            (86, Age::Fortnight),
            (85, Age::Month),
            (70, Age::Month),
            (69, Age::TwoMonths),
            (40, Age::TwoMonths),
            (39, Age::Older),
            (0, Age::Unknown),
        ];
        for (due_day, age) in ages {
            assert_eq!(Age::of(due_day, 100), age, "{due_day}");
        }
        let receivable =
            Receivable { debt_minor: 50, ..books(vec![item("a", 99, 10), item("b", 92, 30), item("c", 0, 4)]) };
        let expected = [0, 10, 30, 0, 0, 0, 10];
        assert_eq!(aging(&receivable, 100).map(|(_, sum)| sum), expected, "6 are not known in detail");
    }

    fn due_items() -> impl Strategy<Value = Vec<DueItem>> {
        let one =
            ("[a-c]?", any::<bool>(), 0..4_i32, -5..30_i64).prop_map(|(number, ordered, due_day, amount_minor)| {
                let item = item(&number, due_day, amount_minor);
                if ordered { of_order(item) } else { item }
            });
        proptest::collection::vec(one, 0..8)
    }

    proptest! {
        #[test]
        fn nothing_is_paid_twice_and_no_more_than_there_is(due in due_items(), amounts in proptest::collection::vec((1..40_i64, any::<bool>(), 0..9_i64), 1..6)) {
            let books = books(due);
            let mut debts = Debts::default();
            let mut all_paid = 0;
            let owed: i64 = debts.open_items([&books]).iter().map(|open| open.item.amount_minor).sum();
            for (amount, for_order, coming_minor) in amounts {
                let wish = Wish { order_id: if for_order { &ORDER } else { &[] }, coming_minor, ..Wish::default() };
                let open = debts.open_items([&books]);
                let allocations = allocate(&open, amount, &wish);
                let sum: i64 = allocations.iter().map(|part| part.amount_minor).sum();
                let left: i64 = open.iter().map(|open| open.item.amount_minor).sum();
                prop_assert!(sum <= amount && allocations.iter().all(|part| part.amount_minor > 0));
                let kept = if for_order { coming_minor } else { 0 };
                prop_assert!(sum >= left.min((amount - kept).max(0)), "money is left beside open debt");
                all_paid += sum;
                debts = debts.with_payment(None, &payment(allocations));
            }
            prop_assert!(all_paid <= owed);
            let open: i64 = debts.open_items([&books]).iter().map(|open| open.item.amount_minor).sum();
            prop_assert_eq!(open, owed - all_paid);
        }

        #[test]
        fn ages_add_up_to_the_debt(due in due_items(), debt_minor in -50..200_i64, day in 0..90_i32) {
            let receivable = Receivable { debt_minor, ..books(due) };
            prop_assert_eq!(aging(&receivable, day).iter().map(|(_, sum)| sum).sum::<i64>(), debt_minor);
        }

        #[test]
        fn no_input_panics(amounts in proptest::collection::vec((any::<i32>(), any::<i64>()), 0..6), amount in any::<i64>(), coming_minor in any::<i64>(), day in any::<i32>()) {
            let due_items = amounts.iter().map(|(due_day, minor)| item("", *due_day, *minor)).collect();
            let books = Receivable { due_items, debt_minor: amount, ..Receivable::default() };
            let shares = [share("", amount), share("x", coming_minor)];
            let wish = Wish { shares: &shares, order_id: &ORDER, coming_minor, contract_id: &[9] };
            let open = Debts::default().open_items([&books]);
            let debts = Debts::default().with_payment(None, &payment(allocate(&open, amount, &wish)));
            let _ = (debts.open_items([&books]), aging(&books, day), shares_form(&shares, amount));
        }
    }
}
