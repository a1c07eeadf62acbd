//! Credit: what a customer owes or is about to owe, and which orders fit under the limit.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use roundsman_proto::trade::{
    Agreement, Contract, GoodsReturn, HoldReason, Order, OrderStatus, Payment, Receivable, ReturnState,
};
use uuid::Uuid;

use super::check::{self, out_of_range};
use super::contract::CONTRACTS;
use super::money;
use super::order::hold;
use super::rejection::Rejection;

/// So many held orders are released in the transaction of the command that made room; the next change of the same credit
/// goes on with the rest.
pub const RELEASED_AT_ONCE: usize = 100;

/// What is owed, by a customer or under a contract. All sums in minor units of one currency.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct Account {
    /// The booked debt, the sum of the receivables; negative: paid in advance.
    #[prost(sint64, tag = "1")]
    pub booked_debt_minor: i64,
    /// The part of it that is overdue.
    #[prost(sint64, tag = "2")]
    pub overdue_minor: i64,
    /// What orders will add to the debt: the sum of [`owed`].
    #[prost(sint64, tag = "3")]
    pub orders_minor: i64,
    /// What payments will take off the debt: the sum of [`unbooked`].
    #[prost(sint64, tag = "4")]
    pub payments_minor: i64,
    /// What goods that came back will take off the debt: the sum of [`returned`].
    #[prost(sint64, tag = "5")]
    pub returns_minor: i64,
}

/// The internal record `credit{customer, currency}`. It does not grow with the orders that are open: what each of them counts
/// for follows from the order ([`owed`]). Only those that wait are listed, since they are served in turn. It says what the
/// customer's contracts say, so that an order is decided without reading them.
#[derive(Clone, PartialEq, Message)]
pub struct Credit {
    /// What the customer owes in all.
    #[prost(message, required, tag = "1")]
    pub all: Account,
    /// Orders that wait for credit and for nothing else, oldest first.
    #[prost(message, repeated, tag = "5")]
    pub held: Vec<HeldOrder>,
    /// The customer's contracts in this currency, in ascending order of their ids.
    #[prost(message, repeated, tag = "6")]
    pub contracts: Vec<ContractCredit>,
    /// Orders that wait for an agreement or a contract to be valid, oldest first.
    #[prost(message, repeated, tag = "7")]
    pub expired: Vec<HeldOrder>,
}

/// A contract, and what is owed under it.
#[derive(Clone, PartialEq, Message)]
pub struct ContractCredit {
    /// The contract; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub contract_id: Vec<u8>,
    /// What it says.
    #[prost(message, required, tag = "2")]
    pub contract: Contract,
    /// What is owed under it: a part of what the customer owes in all.
    #[prost(message, required, tag = "3")]
    pub account: Account,
}

/// An order that waits for credit.
#[derive(Clone, PartialEq, Eq, Hash, Message)]
pub struct HeldOrder {
    /// The order; 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub order_id: Vec<u8>,
    /// When it was submitted, in microseconds since the Unix epoch.
    #[prost(sint64, tag = "2")]
    pub submitted_at_us: i64,
    /// The value that it would add.
    #[prost(sint64, tag = "3")]
    pub value_minor: i64,
    /// The agreement that limits it; 16 bytes.
    #[prost(bytes = "vec", tag = "4")]
    pub agreement_id: Vec<u8>,
    /// The contract that limits it as well; 16 bytes, or empty.
    #[prost(bytes = "vec", tag = "5")]
    pub contract_id: Vec<u8>,
}

/// What an agreement or a contract says about credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CreditTerms {
    /// The largest exposure; `None`: unlimited.
    pub limit_minor: Option<i64>,
    /// Nothing is sold while debt is overdue.
    pub overdue_ban: bool,
}

impl From<&Agreement> for CreditTerms {
    fn from(agreement: &Agreement) -> Self {
        Self { limit_minor: agreement.credit_limit_minor, overdue_ban: agreement.overdue_ban }
    }
}

impl From<&Contract> for CreditTerms {
    fn from(contract: &Contract) -> Self {
        Self { limit_minor: contract.credit_limit_minor, overdue_ban: contract.overdue_ban }
    }
}

/// Why an order does not fit (C9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OverLimit {
    /// The limit.
    pub limit_minor: i64,
    /// The exposure with the order.
    pub exposure_minor: i64,
}

/// What an order adds to the exposure: the value of its confirmed quantities, shipped or not, once it has no holds, and
/// until the booked debt contains it.
#[must_use]
pub fn owed(order: &Order) -> i64 {
    match order.status() {
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed if !order.booked => order.value_minor,
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed => 0,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => 0,
        OrderStatus::Cancelled | OrderStatus::Refused => 0,
    }
}

/// What a payment takes off the exposure: all of it, until the booked debt contains it.
#[must_use]
pub fn unbooked(payment: &Payment) -> i64 {
    if payment.booked { 0 } else { payment.amount_minor }
}

/// What goods that came back take off the exposure: what they cost, until the booked debt contains it.
#[must_use]
pub fn returned(goods_return: &GoodsReturn) -> i64 {
    match goods_return.state() {
        ReturnState::Received if !goods_return.booked => goods_return.value_minor,
        ReturnState::Received | ReturnState::Announced => 0,
        ReturnState::Cancelled | ReturnState::Unspecified => 0,
    }
}

/// Whether an order waits for credit and for nothing else.
#[must_use]
pub fn waits(order: &Order) -> bool {
    let open = hold::open_reasons(order);
    order.status() == OrderStatus::Submitted && !open.is_empty() && open.into_iter().all(hold::is_credit)
}

/// Whether an order waits for an agreement or a contract to be valid.
fn waits_for_terms(order: &Order) -> bool {
    order.status() == OrderStatus::Submitted && hold::open(order, HoldReason::TermsExpired).is_some()
}

impl Account {
    /// The credit exposure: booked debt, plus the confirmed value of orders without holds that is not yet in it, minus
    /// the payments and the returned goods that are not yet in it.
    #[must_use]
    pub fn exposure_minor(&self) -> i64 {
        self.exposure_with(0)
    }

    fn exposure_with(&self, value_minor: i64) -> i64 {
        let less = i128::from(self.payments_minor) + i128::from(self.returns_minor);
        let open = i128::from(self.orders_minor) - less;
        money::saturated(i128::from(self.booked_debt_minor) + open + i128::from(value_minor))
    }

    /// Whether a value fits under the limit, beside everything that counts already.
    ///
    /// # Errors
    /// With the numbers, when it does not.
    pub fn admit(&self, value_minor: i64, terms: CreditTerms) -> Result<(), OverLimit> {
        let Some(limit_minor) = terms.limit_minor else {
            return Ok(());
        };
        let exposure_minor = self.exposure_with(value_minor);
        if exposure_minor <= limit_minor { Ok(()) } else { Err(OverLimit { limit_minor, exposure_minor }) }
    }

    /// The overdue sum that forbids a sale (C10).
    #[must_use]
    pub fn banning_overdue(&self, terms: CreditTerms) -> Option<i64> {
        (terms.overdue_ban && self.overdue_minor > 0).then_some(self.overdue_minor)
    }

    fn takes(&self, value_minor: i64, terms: CreditTerms) -> bool {
        self.banning_overdue(terms).is_none() && self.admit(value_minor, terms).is_ok()
    }

    fn with(self, more: Self) -> Result<Self, Rejection> {
        Ok(Self {
            booked_debt_minor: sum(self.booked_debt_minor, more.booked_debt_minor)?,
            overdue_minor: sum(self.overdue_minor, more.overdue_minor)?,
            orders_minor: sum(self.orders_minor, more.orders_minor)?,
            payments_minor: sum(self.payments_minor, more.payments_minor)?,
            returns_minor: sum(self.returns_minor, more.returns_minor)?,
        })
    }

    fn without(self, less: Self) -> Self {
        Self {
            booked_debt_minor: self.booked_debt_minor.saturating_sub(less.booked_debt_minor),
            overdue_minor: self.overdue_minor.saturating_sub(less.overdue_minor),
            orders_minor: self.orders_minor.saturating_sub(less.orders_minor),
            payments_minor: self.payments_minor.saturating_sub(less.payments_minor),
            returns_minor: self.returns_minor.saturating_sub(less.returns_minor),
        }
    }
}

/// What a document counts for, and under which contract.
#[derive(Clone, Copy)]
struct Counted<'a> {
    contract_id: &'a [u8],
    account: Account,
}

impl<'a> From<&'a Order> for Counted<'a> {
    fn from(order: &'a Order) -> Self {
        let account = Account { orders_minor: owed(order), ..Account::default() };
        Self { contract_id: &order.contract_id, account }
    }
}

impl<'a> From<&'a Payment> for Counted<'a> {
    fn from(payment: &'a Payment) -> Self {
        let account = Account { payments_minor: unbooked(payment), ..Account::default() };
        Self { contract_id: &payment.contract_id, account }
    }
}

impl<'a> From<&'a GoodsReturn> for Counted<'a> {
    fn from(goods_return: &'a GoodsReturn) -> Self {
        let account = Account { returns_minor: returned(goods_return), ..Account::default() };
        Self { contract_id: &goods_return.contract_id, account }
    }
}

impl<'a> From<&'a Receivable> for Counted<'a> {
    fn from(receivable: &'a Receivable) -> Self {
        let (booked_debt_minor, overdue_minor) = (receivable.debt_minor, receivable.overdue_minor);
        let account = Account { booked_debt_minor, overdue_minor, ..Account::default() };
        Self { contract_id: &receivable.contract_id, account }
    }
}

impl Credit {
    /// The credit exposure of the customer; see [`Account::exposure_minor`].
    #[must_use]
    pub fn exposure_minor(&self) -> i64 {
        self.all.exposure_minor()
    }

    /// One of the customer's contracts, by its id as it came.
    #[must_use]
    pub fn contract(&self, id: &[u8]) -> Option<&ContractCredit> {
        let found = self.contracts.binary_search_by(|known| known.contract_id.as_slice().cmp(id));
        found.ok().and_then(|index| self.contracts.get(index))
    }

    /// What the customer's contracts say.
    pub fn contracts(&self) -> impl Iterator<Item = (Uuid, &Contract)> {
        self.contracts.iter().filter_map(|known| Some((Uuid::from_slice(&known.contract_id).ok()?, &known.contract)))
    }

    /// With a contract as it is now.
    ///
    /// # Errors
    /// `REASON_LIMIT_EXCEEDED` when the customer has enough of them.
    pub fn with_contract(mut self, id: Uuid, contract: &Contract) -> Result<Self, Rejection> {
        match self.contracts.binary_search_by(|known| known.contract_id.as_slice().cmp(id.as_bytes())) {
            Ok(index) => self.contracts[index].contract = contract.clone(),
            Err(index) => {
                check::count(self.contracts.len() + 1, CONTRACTS, "customer_id")?;
                let account = Account::default();
                let contract_id = id.as_bytes().to_vec();
                self.contracts.insert(index, ContractCredit { contract_id, contract: contract.clone(), account });
            }
        }
        Ok(self)
    }

    /// Without a contract. What documents count for under it is known no more; for the customer it counts as before.
    #[must_use]
    pub fn without_contract(mut self, id: Uuid) -> Self {
        self.contracts.retain(|known| known.contract_id != id.as_bytes());
        self
    }

    /// Without a payment that is counted as it stands here.
    #[must_use]
    pub fn without_payment(self, payment: &Payment) -> Self {
        self.discounting(payment.into())
    }

    /// Without a return that is counted as it stands here.
    #[must_use]
    pub fn without_return(self, goods_return: &GoodsReturn) -> Self {
        self.discounting(goods_return.into())
    }

    /// Without a receivable that is counted as it stands here.
    #[must_use]
    pub fn without_receivable(self, receivable: &Receivable) -> Self {
        self.discounting(receivable.into())
    }

    /// Counts a document in, for the customer and under its contract.
    fn counting(mut self, document: Counted<'_>) -> Result<Self, Rejection> {
        for account in self.accounts(document.contract_id) {
            *account = account.with(document.account)?;
        }
        Ok(self)
    }

    /// Counts a document out again.
    fn discounting(mut self, document: Counted<'_>) -> Self {
        for account in self.accounts(document.contract_id) {
            *account = account.without(document.account);
        }
        self
    }

    fn accounts(&mut self, contract_id: &[u8]) -> impl Iterator<Item = &mut Account> {
        let found = self.contracts.binary_search_by(|known| known.contract_id.as_slice().cmp(contract_id));
        let contract = found.ok().and_then(|index| self.contracts.get_mut(index));
        std::iter::once(&mut self.all).chain(contract.map(|contract| &mut contract.account))
    }

    /// Without an order that is counted as it stands here.
    #[must_use]
    pub fn without_order(self, id: Uuid, order: &Order) -> Self {
        let mut credit = self.discounting(order.into());
        credit.held.retain(|entry| entry.order_id != id.as_bytes());
        credit.expired.retain(|entry| entry.order_id != id.as_bytes());
        credit
    }

    /// With an order as it is now; `before`, as it was counted.
    ///
    /// # Errors
    /// `REASON_OUT_OF_RANGE` when the sum is too large to be counted.
    pub fn with_order(self, id: Uuid, before: Option<&Order>, order: &Order) -> Result<Self, Rejection> {
        let credit = match before {
            Some(before) => self.without_order(id, before),
            None => self,
        };
        let mut credit = credit.counting(order.into())?;
        if waits(order) {
            queue(&mut credit.held, HeldOrder::new(id, order));
        }
        if waits_for_terms(order) {
            queue(&mut credit.expired, HeldOrder::new(id, order));
        }
        Ok(credit)
    }

    /// With a payment as it is now; `before`, as it was counted.
    ///
    /// # Errors
    /// `REASON_OUT_OF_RANGE` when the sum is too large to be counted.
    pub fn with_payment(self, before: Option<&Payment>, payment: &Payment) -> Result<Self, Rejection> {
        self.replacing(before.map(Counted::from), payment.into())
    }

    /// With a return as it is now; `before`, as it was counted.
    ///
    /// # Errors
    /// `REASON_OUT_OF_RANGE` when the sum is too large to be counted.
    pub fn with_return(self, before: Option<&GoodsReturn>, goods_return: &GoodsReturn) -> Result<Self, Rejection> {
        self.replacing(before.map(Counted::from), goods_return.into())
    }

    /// With a receivable as the books have it now; `before`, as it was counted.
    ///
    /// # Errors
    /// `REASON_OUT_OF_RANGE` when the sum is too large to be counted.
    pub fn with_receivable(self, before: Option<&Receivable>, receivable: &Receivable) -> Result<Self, Rejection> {
        self.replacing(before.map(Counted::from), receivable.into())
    }

    fn replacing(self, before: Option<Counted<'_>>, now: Counted<'_>) -> Result<Self, Rejection> {
        let credit = match before {
            Some(before) => self.discounting(before),
            None => self,
        };
        credit.counting(now)
    }

    /// The part of an amount for which there is no debt, not even a coming one (C22).
    #[must_use]
    pub fn advance_minor(&self, amount_minor: i64) -> i64 {
        amount_minor.saturating_sub(self.exposure_minor().max(0)).max(0)
    }
}

impl HeldOrder {
    fn new(id: Uuid, order: &Order) -> Self {
        Self {
            order_id: id.as_bytes().to_vec(),
            submitted_at_us: order.submitted_at_us,
            value_minor: order.value_minor,
            agreement_id: order.agreement_id.clone(),
            contract_id: order.contract_id.clone(),
        }
    }
}

/// Puts an order in its place among those that wait.
fn queue(waiting: &mut Vec<HeldOrder>, entry: HeldOrder) {
    let age = |entry: &HeldOrder| (entry.submitted_at_us, entry.order_id.clone());
    let at = waiting.partition_point(|other| age(other) < age(&entry));
    waiting.insert(at, entry);
}

/// A sum that stays exact, so that what was counted in can be counted out again.
fn sum(minor: i64, more_minor: i64) -> Result<i64, Rejection> {
    minor.checked_add(more_minor).ok_or_else(|| out_of_range("amount_minor"))
}

/// The held orders that now fit: oldest first, each on top of those before it, and at most [`RELEASED_AT_ONCE`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Releasable {
    /// To be decided again, in this order.
    pub orders: Vec<Uuid>,
    /// There are more that would fit.
    pub more: bool,
}

/// Those of the orders that now [fit](fitting) that one command decides.
pub fn releasable(credit: &Credit, terms: impl Fn(Uuid) -> Option<CreditTerms>) -> Releasable {
    let mut orders = fitting(credit, terms);
    let more = orders.len() > RELEASED_AT_ONCE;
    orders.truncate(RELEASED_AT_ONCE);
    Releasable { orders, more }
}

/// Which held orders now fit, oldest first, each on top of those before it. `terms` knows what the agreements of the held orders
/// say; an order whose agreement it does not know does not fit.
///
/// The first that does not fit the customer's exposure ends it. One that does not fit its contract keeps only later ones of
/// that contract waiting: what is owed under one contract bans nothing under another.
pub fn fitting(credit: &Credit, terms: impl Fn(Uuid) -> Option<CreditTerms>) -> Vec<Uuid> {
    let mut found = Vec::new();
    let mut ahead_minor = 0_i64;
    let mut under: BTreeMap<&[u8], i64> = BTreeMap::new();
    let mut full: BTreeSet<&[u8]> = BTreeSet::new();
    for held in &credit.held {
        let ids = Uuid::from_slice(&held.order_id).ok().zip(Uuid::from_slice(&held.agreement_id).ok());
        let Some((order, terms)) = ids.and_then(|(order, agreement)| Some((order, terms(agreement)?))) else {
            break;
        };
        let contract_id = held.contract_id.as_slice();
        let under_minor = under.get(contract_id).copied().unwrap_or_default().saturating_add(held.value_minor);
        let contract = credit.contract(contract_id);
        let takes = |known: &ContractCredit| known.account.takes(under_minor, CreditTerms::from(&known.contract));
        if full.contains(contract_id) || !contract.is_none_or(takes) {
            full.insert(contract_id);
            continue;
        }
        let with_minor = ahead_minor.saturating_add(held.value_minor);
        if !credit.all.takes(with_minor, terms) {
            break;
        }
        ahead_minor = with_minor;
        under.insert(contract_id, under_minor);
        found.push(order);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use roundsman_proto::trade::{Hold, HoldReason, Reason};

    const AGREEMENT: Uuid = Uuid::from_u128(77);

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn limit(limit_minor: i64) -> CreditTerms {
        CreditTerms { limit_minor: Some(limit_minor), overdue_ban: true }
    }

    fn order(status: OrderStatus, value_minor: i64) -> Order {
        Order { status: status.into(), value_minor, ..Order::default() }
    }

    fn confirmed(credit: Credit, number: u128, value_minor: i64) -> Credit {
        credit.with_order(id(number), None, &order(OrderStatus::Confirmed, value_minor)).expect("a small sum")
    }

    fn waiting(submitted_at_us: i64, value_minor: i64) -> Order {
        let holds = vec![Hold { reason: HoldReason::CreditLimit.into(), ..Hold::default() }];
        let agreement_id = AGREEMENT.as_bytes().to_vec();
        Order { submitted_at_us, agreement_id, holds, ..order(OrderStatus::Submitted, value_minor) }
    }

    fn held(credit: Credit, number: u128, submitted_at_us: i64, value_minor: i64) -> Credit {
        credit.with_order(id(number), None, &waiting(submitted_at_us, value_minor)).expect("nothing is added")
    }

    #[test]
    fn c09_the_exposure_is_debt_and_open_orders_less_open_payments() {
        let credit = Credit { all: Account { booked_debt_minor: 500, ..Account::default() }, ..Credit::default() };
        let credit = confirmed(confirmed(credit, 2, 300), 1, 50);
        let payment = Payment { amount_minor: 200, ..Payment::default() };
        let credit = credit.with_payment(None, &payment).expect("counted");
        assert_eq!(credit.exposure_minor(), 650);
        let (before, after) = (order(OrderStatus::Confirmed, 300), order(OrderStatus::Confirmed, 100));
        let less = credit.clone().with_order(id(2), Some(&before), &after).expect("counted");
        assert_eq!(less.exposure_minor(), 450, "an order counts once");
        let booked = Order { booked: true, ..before.clone() };
        let paid = Payment { booked: true, ..payment.clone() };
        let books = Receivable { debt_minor: 100, ..Receivable::default() };
        let credit = credit.with_order(id(2), Some(&before), &booked).expect("counted");
        let credit = credit.with_payment(Some(&payment), &paid).expect("counted");
        let credit = credit.with_receivable(None, &books).expect("counted");
        assert_eq!(credit.exposure_minor(), 650, "what moved into the books");
    }

    #[test]
    fn c09_what_counts_follows_from_the_order() {
        let counts = |status| owed(&order(status, 7)) == 7;
        assert!(counts(OrderStatus::Confirmed) && counts(OrderStatus::Released) && counts(OrderStatus::Closed));
        assert!(!counts(OrderStatus::Submitted) && !counts(OrderStatus::Cancelled) && !counts(OrderStatus::Refused));
        assert!(waits(&waiting(0, 7)) && !waits(&order(OrderStatus::Submitted, 7)));
        let mut several = waiting(0, 7);
        several.holds.push(Hold { reason: HoldReason::Price.into(), ..Hold::default() });
        assert!(!waits(&several), "it waits for something else as well");
    }

    #[test]
    fn c09_a_debt_of_several_receivables_is_their_sum() {
        let books = |debt_minor, overdue_minor| Receivable { debt_minor, overdue_minor, ..Receivable::default() };
        let credit = Credit::default().with_receivable(None, &books(100, 10)).expect("counted");
        let credit = credit.with_receivable(None, &books(50, 5)).expect("counted");
        let credit = credit.with_receivable(Some(&books(100, 10)), &books(30, 0)).expect("counted");
        assert_eq!((credit.all.booked_debt_minor, credit.all.overdue_minor), (80, 5));
    }

    #[test]
    fn c09_two_orders_do_not_pass_one_limit() {
        let credit = Credit::default();
        assert_eq!(credit.all.admit(60, limit(100)), Ok(()));
        let credit = confirmed(credit, 1, 60);
        let over = OverLimit { limit_minor: 100, exposure_minor: 120 };
        assert_eq!(credit.all.admit(60, limit(100)), Err(over));
        let others = credit.clone().without_order(id(1), &order(OrderStatus::Confirmed, 60));
        assert_eq!(others.all.admit(100, limit(100)), Ok(()), "its own former value does not count");
        assert_eq!(credit.all.admit(60, CreditTerms { limit_minor: None, overdue_ban: true }), Ok(()));
    }

    #[test]
    fn c09_what_can_not_be_counted_is_refused() {
        let credit = confirmed(Credit::default(), 1, i64::MAX);
        let more = credit.with_order(id(2), None, &order(OrderStatus::Confirmed, 1));
        assert_eq!(more.expect_err("too large").reason, Reason::OutOfRange);
    }

    #[test]
    fn c09_held_orders_go_oldest_first_and_stop_at_the_first_that_does_not_fit() {
        let credit = held(held(held(Credit::default(), 3, 30, 10), 1, 10, 40), 2, 20, 60);
        assert_eq!(releasable(&credit, |_| Some(limit(100))).orders, [id(1), id(2)]);
        assert_eq!(releasable(&credit, |_| Some(limit(90))).orders, [id(1)], "3 would fit, but 2 is older");
        assert_eq!(releasable(&credit, |_| None), Releasable::default());
        let overdue = Credit { all: Account { overdue_minor: 1, ..credit.all }, ..credit };
        assert_eq!(releasable(&overdue, |_| Some(limit(100))), Releasable::default());
    }

    fn under(contract: u128, order: Order) -> Order {
        Order { contract_id: id(contract).as_bytes().to_vec(), ..order }
    }

    fn with_contracts(limits: [i64; 2]) -> Credit {
        limits.iter().zip(91..).fold(Credit::default(), |credit, (limit_minor, number)| {
            let contract =
                Contract { credit_limit_minor: Some(*limit_minor), overdue_ban: true, ..Contract::default() };
            credit.with_contract(id(number), &contract).expect("not many")
        })
    }

    #[test]
    fn c09_what_is_under_a_contract_counts_there_and_for_the_customer() {
        let account = |credit: &Credit, number| {
            credit.contract(id(number).as_bytes()).map(|known| known.account.exposure_minor())
        };
        let one = under(91, order(OrderStatus::Confirmed, 300));
        let credit = with_contracts([0, 0]).with_order(id(1), None, &one).expect("counted");
        let books = Receivable { debt_minor: 70, contract_id: id(92).as_bytes().to_vec(), ..Receivable::default() };
        let credit = credit.with_receivable(None, &books).expect("counted");
        assert_eq!((account(&credit, 91), account(&credit, 92), credit.exposure_minor()), (Some(300), Some(70), 370));
        // It goes over to the other one.
        let credit =
            credit.with_order(id(1), Some(&one), &under(92, order(OrderStatus::Confirmed, 200))).expect("counted");
        let payment = Payment { amount_minor: 30, contract_id: id(92).as_bytes().to_vec(), ..Payment::default() };
        let credit = credit.with_payment(None, &payment).expect("counted");
        assert_eq!((account(&credit, 91), account(&credit, 92), credit.exposure_minor()), (Some(0), Some(240), 240));
        let elsewhere =
            credit.clone().with_receivable(Some(&books), &Receivable { contract_id: Vec::new(), ..books.clone() });
        let elsewhere = elsewhere.expect("counted");
        assert_eq!((account(&elsewhere, 92), elsewhere.exposure_minor()), (Some(170), 240));
        assert_eq!(account(&credit, 93), None);
    }

    #[test]
    fn c09_who_waits_for_one_contract_keeps_nobody_of_another_waiting() {
        let wait = |credit: Credit, number: u128, contract, value_minor| {
            let order = under(contract, waiting(number as i64, value_minor));
            credit.with_order(id(number), None, &order).expect("nothing is added")
        };
        let credit = wait(with_contracts([50, 100]), 1, 91, 60);
        let credit = wait(wait(wait(credit, 2, 92, 60), 3, 91, 40), 4, 92, 40);
        assert_eq!(releasable(&credit, |_| Some(limit(1_000))).orders, [id(2), id(4)], "3 would fit, but 1 is older");
        assert_eq!(
            releasable(&credit, |_| Some(limit(70))).orders,
            [id(2)],
            "4 fits its contract, and not the customer"
        );
        let overdue = Receivable { overdue_minor: 1, contract_id: id(92).as_bytes().to_vec(), ..Receivable::default() };
        let lenient = |_| Some(CreditTerms { limit_minor: None, overdue_ban: false });
        let banned = credit.with_receivable(None, &overdue).expect("counted");
        assert_eq!(releasable(&banned, lenient), Releasable::default());
    }

    #[test]
    fn who_waits_for_terms_is_listed_whatever_else_it_waits_for() {
        let mut order = waiting(5, 10);
        order.holds.push(Hold { reason: HoldReason::TermsExpired.into(), ..Hold::default() });
        let credit = Credit::default().with_order(id(1), None, &order).expect("counted");
        assert_eq!((credit.held.len(), credit.expired.len()), (0, 1));
        assert_eq!(credit.without_order(id(1), &order), Credit::default());
    }

    #[test]
    fn a_customer_has_not_too_many_contracts() {
        let sign = |credit: Credit, number| credit.with_contract(id(number), &Contract::default());
        let full = (1..=50).try_fold(Credit::default(), sign).expect("fifty");
        assert!(sign(full.clone(), 50).is_ok(), "it is known");
        assert_eq!(sign(full, 51).map_err(|no| no.reason), Err(Reason::LimitExceeded));
    }

    #[test]
    fn c09_a_hundred_orders_at_once() {
        let credit = (1..=101).fold(Credit::default(), |credit, number| held(credit, number, 0, 1));
        let found = releasable(&credit, |_| Some(limit(1_000)));
        assert_eq!((found.orders.len(), found.more), (RELEASED_AT_ONCE, true));
        assert!(!releasable(&credit, |_| Some(limit(100))).more, "the last does not fit");
    }

    #[test]
    fn c10_overdue_debt_bans_where_the_agreement_says_so() {
        let credit = Credit { all: Account { overdue_minor: 5, ..Account::default() }, ..Credit::default() };
        assert_eq!(credit.all.banning_overdue(limit(0)), Some(5));
        assert_eq!(credit.all.banning_overdue(CreditTerms { limit_minor: None, overdue_ban: false }), None);
    }

    #[test]
    fn c22_what_meets_no_debt_is_an_advance() {
        let credit = Credit { all: Account { booked_debt_minor: 100, ..Account::default() }, ..Credit::default() };
        assert_eq!((credit.advance_minor(80), credit.advance_minor(130)), (0, 30));
        let paid = credit.with_payment(None, &Payment { amount_minor: 150, ..Payment::default() }).expect("counted");
        assert_eq!(paid.advance_minor(20), 20);
    }

    proptest! {
        #[test]
        fn what_is_released_together_fits(values in proptest::collection::vec(0..50_i64, 0..20), limit_minor in -10..300_i64) {
            let credit = values.iter().zip(1_u128..).fold(Credit::default(), |credit, (value, number)| {
                held(credit, number, 0, *value)
            });
            let found = releasable(&credit, |_| Some(limit(limit_minor)));
            let after = found.orders.iter().fold(credit.clone(), |after, order_id| {
                let value = credit.held.iter().find(|held| held.order_id == order_id.as_bytes()).map_or(0, |held| held.value_minor);
                let now = order(OrderStatus::Confirmed, value);
                after.with_order(*order_id, Some(&waiting(0, value)), &now).expect("a small sum")
            });
            prop_assert!(found.orders.is_empty() || after.exposure_minor() <= limit_minor);
            prop_assert_eq!(releasable(&after, |_| Some(limit(limit_minor))).orders, Vec::<Uuid>::new());
        }

        #[test]
        fn the_order_of_events_does_not_matter(values in proptest::collection::vec((0..5_u128, 1..50_i64), 0..8)) {
            let mut counted = BTreeMap::new();
            let credit = values.iter().fold(Credit::default(), |credit, (number, value)| {
                let now = order(OrderStatus::Confirmed, *value);
                let before = counted.insert(*number, now.clone());
                credit.with_order(id(*number), before.as_ref(), &now).expect("a small sum")
            });
            let again = counted.iter().rev().fold(Credit::default(), |credit, (number, now)| {
                credit.with_order(id(*number), None, now).expect("a small sum")
            });
            prop_assert_eq!(credit, again);
        }

        #[test]
        fn no_input_panics(debt in any::<i64>(), overdue in any::<i64>(), a in any::<i64>(), b in any::<i64>()) {
            let credit = Credit { all: Account { booked_debt_minor: debt, overdue_minor: overdue, ..Account::default() }, ..Credit::default() };
            let (one, other) = (order(OrderStatus::Confirmed, a), Payment { amount_minor: b, ..Payment::default() });
            let credit = credit.with_order(id(1), Some(&order(OrderStatus::Closed, b)), &one).unwrap_or_default();
            let credit = credit.with_payment(None, &other).unwrap_or_default();
            let credit = held(credit, 3, a, b);
            let _ = (releasable(&credit, |_| Some(limit(b))), credit.advance_minor(a), credit.all.admit(b, limit(a)));
        }
    }
}
