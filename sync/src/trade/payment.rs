//! Money that a rep took. Cash of a customer of the outlet, present or past, is never refused: what meets no debt is an
//! advance (C22), what is doubtful is flagged.

use roundsman_proto::trade::{CollectPayment, Order, Payment, PaymentMethod, Reason};
use uuid::Uuid;

use super::capture::Capture;
use super::check;
use super::credit::{self, Credit};
use super::debt::{self, OpenItem, Wish};
use super::rejection::Rejection;
use super::verdict::Verdict;

/// What is to be stored of a payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The payment.
    pub payment: Payment,
    /// The credit of its customer in its currency; held orders may fit now.
    pub credit: Credit,
    /// The outcome.
    pub verdict: Verdict,
}

/// The form of a payment.
///
/// # Errors
/// For its form.
pub fn collect_form(command: &CollectPayment) -> Result<(), Rejection> {
    check::id(&command.payment_id, "payment_id")?;
    check::id(&command.outlet_id, "outlet_id")?;
    check::id(&command.customer_id, "customer_id")?;
    check::optional_id(&command.order_id, "order_id")?;
    check::optional_id(&command.contract_id, "contract_id")?;
    check::range(command.amount_minor, 1..=check::MONEY_MINOR, "amount_minor")?;
    check::currency(&command.currency, "currency")?;
    check::choice::<PaymentMethod>(command.method, "method")?;
    check::text(&command.receipt_number, check::NAME_CHARS, "receipt_number")?;
    debt::shares_form(&command.shares, command.amount_minor)
}

/// What a customer owes in one currency.
#[derive(Clone, Copy, Debug)]
pub struct Owing<'a> {
    /// In all, with what is still to come.
    pub credit: &'a Credit,
    /// The documents of the books that are still open ([`super::debt::Debts::open_items`]).
    pub open: &'a [OpenItem],
}

/// For whom money was taken at an outlet: a customer that the outlet has or once had, since cash for an old debt may still
/// come. Of anybody else nothing is told, not even whether there is such a customer.
///
/// # Errors
/// `REASON_MISMATCH`.
pub fn customer(command: &CollectPayment, customers: &[Vec<u8>]) -> Result<Uuid, Rejection> {
    let id = check::id(&command.customer_id, "customer_id")?;
    if customers.contains(&command.customer_id) { Ok(id) } else { Err(check::mismatch("customer_id")) }
}

/// The contract for whose debt money was taken: the one that the command names, else that of its order, else that of the documents
/// that were chosen, if these are all of one. What is none of the customer's is dropped: money is not refused for it.
fn contract<'a>(command: &'a CollectPayment, order: Option<&'a Order>, owing: Owing<'a>) -> &'a [u8] {
    let of_order = order.map_or(&[][..], |order| &order.contract_id);
    let of_documents = debt::chosen_contract(owing.open, &command.shares);
    let known = |id: &&[u8]| owing.credit.contract(id).is_some();
    [command.contract_id.as_slice(), of_order, of_documents].into_iter().find(known).unwrap_or_default()
}

/// A rep took money. `current` is the payment of this id, if there is one; `order` the one that the command names. A
/// name of an order that is unknown, or another customer's, is dropped: the money pays the oldest debt.
///
/// What goes beyond the exposure is an advance, since the exposure knows all payments, also those that were taken when the books told
/// no documents; the rest is allocated to open documents.
///
/// # Errors
/// For its form; `REASON_ID_TAKEN`.
pub fn decide_collect(
    current: Option<&Payment>,
    order: Option<&Order>,
    outlet_id: Uuid,
    rep_id: Uuid,
    command: &CollectPayment,
    owing: Owing<'_>,
    capture: &Capture,
) -> Result<Decision, Rejection> {
    let Owing { credit, open } = owing;
    collect_form(command)?;
    let id = check::id(&command.payment_id, "payment_id")?;
    let order = order.filter(|order| order.customer_id == command.customer_id);
    let order_id = if order.is_some() { command.order_id.clone() } else { Vec::new() };
    let advance_minor = credit.advance_minor(command.amount_minor);
    let contract_id = contract(command, order, owing);
    let coming_minor = order.map_or(0, credit::owed);
    let wish = Wish { shares: &command.shares, order_id: &order_id, coming_minor, contract_id };
    let allocations = debt::allocate(open, command.amount_minor - advance_minor, &wish);
    let payment = Payment {
        outlet_id: outlet_id.as_bytes().to_vec(),
        customer_id: command.customer_id.clone(),
        rep_id: rep_id.as_bytes().to_vec(),
        order_id,
        amount_minor: command.amount_minor,
        currency: command.currency.clone(),
        method: command.method,
        receipt_number: command.receipt_number.clone(),
        taken_at_us: capture.captured_at_us,
        advance_minor,
        booked: false,
        flags: capture.fact_flags(),
        allocations,
        contract_id: contract_id.to_vec(),
        trip_id: command.trip_id.clone(),
    };
    if let Some(current) = current {
        return if same_content(current, &payment) {
            Ok(Decision { payment: current.clone(), credit: credit.clone(), verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("payment_id"))
        };
    }
    let verdict = if advance_minor > 0 {
        Verdict::applied(Reason::TakenAsAdvance).fact(Some(id), "advance_minor", advance_minor)
    } else {
        Verdict::fact_taken(!payment.flags.is_empty())
    };
    let credit = credit.clone().with_payment(None, &payment)?;
    Ok(Decision { payment, credit, verdict })
}

/// Whether a payment says what the one that is reported says, whatever the server has added.
fn same_content(current: &Payment, new: &Payment) -> bool {
    let own = |payment: &Payment| Payment {
        advance_minor: 0,
        booked: false,
        flags: Vec::new(),
        allocations: Vec::new(),
        order_id: Vec::new(),
        contract_id: Vec::new(),
        taken_at_us: 0,
        ..payment.clone()
    };
    own(current) == own(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::payment_share::Document;
    use roundsman_proto::trade::{Contract, DueItem, FactFlag, PaymentShare};

    use crate::trade::credit::Account;

    const CUSTOMER: [u8; 16] = [3; 16];

    fn command() -> CollectPayment {
        CollectPayment {
            payment_id: vec![1; 16],
            outlet_id: vec![2; 16],
            customer_id: CUSTOMER.to_vec(),
            order_id: vec![4; 16],
            amount_minor: 100,
            currency: "EUR".to_owned(),
            method: PaymentMethod::Cash.into(),
            receipt_number: String::new(),
            shares: Vec::new(),
            contract_id: Vec::new(),
            trip_id: Vec::new(),
        }
    }

    fn collect(current: Option<&Payment>, credit: &Credit, capture: &Capture) -> Result<Decision, Rejection> {
        collect_for(current, &command(), Owing { credit, open: &[] }, capture)
    }

    fn collect_for(
        current: Option<&Payment>,
        command: &CollectPayment,
        owing: Owing<'_>,
        capture: &Capture,
    ) -> Result<Decision, Rejection> {
        let order = Order { customer_id: CUSTOMER.to_vec(), ..Order::default() };
        let (outlet, rep) = (Uuid::from_bytes([2; 16]), Uuid::from_bytes([5; 16]));
        decide_collect(current, Some(&order), outlet, rep, command, owing, capture)
    }

    fn owing(debt: i64) -> Credit {
        Credit { all: Account { booked_debt_minor: debt, ..Account::default() }, ..Credit::default() }
    }

    fn owed_under(contract_id: &[u8], amount_minor: i64) -> OpenItem {
        OpenItem {
            contract_id: contract_id.to_vec(),
            item: DueItem {
                document_number: contract_id.len().to_string(),
                due_day: 1,
                amount_minor,
                ..DueItem::default()
            },
        }
    }

    #[test]
    fn c22_money_counts_under_the_contract_that_is_named_or_that_of_its_order_or_of_its_documents() {
        let [one, other] = [[6; 16], [7; 16]];
        let credit = [one, other].iter().fold(owing(500), |credit, id| {
            credit.with_contract(Uuid::from_bytes(*id), &Contract::default()).expect("not many")
        });
        let open = [owed_under(&one, 80)];
        let share = |number: &str| PaymentShare {
            document: Some(Document::DocumentNumber(number.to_owned())),
            amount_minor: 1,
        };
        let taken = |command: &CollectPayment, of_order: &[u8]| {
            let order = Order { customer_id: CUSTOMER.to_vec(), contract_id: of_order.to_vec(), ..Order::default() };
            let (owing, capture) = (Owing { credit: &credit, open: &open }, Capture::default());
            let taken =
                decide_collect(None, Some(&order), Uuid::nil(), Uuid::nil(), command, owing, &capture).expect("taken");
            let paid =
                taken.credit.contract(&taken.payment.contract_id).map_or(0, |known| known.account.payments_minor);
            assert_eq!((paid == 100, taken.credit.all.payments_minor), (!taken.payment.contract_id.is_empty(), 100));
            taken.payment.contract_id
        };
        let chosen = CollectPayment { shares: vec![share("16")], ..command() };
        let named = CollectPayment { contract_id: one.to_vec(), ..chosen.clone() };
        assert_eq!(taken(&named, &other), one);
        assert_eq!(
            taken(&CollectPayment { contract_id: vec![9; 16], ..named }, &other),
            other,
            "it is none of the customer's"
        );
        assert_eq!(taken(&chosen, &[]), one);
        assert_eq!(taken(&chosen, &[9; 16]), one);
        assert_eq!(taken(&CollectPayment { shares: vec![share("gone")], ..chosen }, &[]), Vec::<u8>::new());
    }

    #[test]
    fn a_payment_lowers_the_exposure() {
        let taken = collect(None, &owing(300), &Capture::default()).expect("taken");
        assert_eq!((taken.credit.exposure_minor(), taken.verdict), (200, Verdict::done()));
        assert_eq!((taken.payment.advance_minor, taken.payment.order_id), (0, vec![4; 16]));
    }

    #[test]
    fn c22_cash_beyond_the_debt_is_an_advance() {
        let taken = collect(None, &owing(60), &Capture::default()).expect("taken");
        assert_eq!((taken.payment.advance_minor, taken.verdict.reason), (40, Reason::TakenAsAdvance));
        let closed = collect(None, &owing(-10), &Capture::default()).expect("taken");
        assert_eq!((closed.payment.advance_minor, closed.credit.exposure_minor()), (100, -110));
    }

    #[test]
    fn c22_what_is_an_advance_is_not_allocated_and_the_rest_is() {
        let open = [80, 30].map(|amount_minor| owed_under(&[], amount_minor));
        let share =
            |amount_minor| PaymentShare { document: Some(Document::DocumentNumber("x".to_owned())), amount_minor };
        let parts = |debt, shares| {
            let credit = owing(debt);
            let owing = Owing { credit: &credit, open: &open };
            let taken = collect_for(None, &CollectPayment { shares, ..command() }, owing, &Capture::default())?;
            let parts = taken.payment.allocations.iter().map(|part| part.amount_minor).collect::<Vec<_>>();
            Ok((parts, taken.payment.advance_minor))
        };
        assert_eq!(parts(500, Vec::new()), Ok((vec![80, 20], 0)));
        assert_eq!(parts(60, vec![share(100)]), Ok((vec![60], 40)), "others have paid, and nobody knows what");
        assert_eq!(parts(500, vec![share(101)]).map_err(|no: Rejection| no.field), Err("shares".to_owned()));
    }

    #[test]
    fn c22_doubtful_cash_is_flagged_and_taken() {
        let capture = Capture { outside_assignment: true, ..Capture::default() };
        let taken = collect(None, &owing(300), &capture).expect("taken");
        assert_eq!(taken.payment.flags, [i32::from(FactFlag::OutsideAssignment)]);
        assert_eq!(taken.verdict.reason, Reason::Flagged);
    }

    #[test]
    fn c01_the_same_payment_counts_once() {
        let first = collect(None, &owing(300), &Capture::default()).expect("taken");
        let again = collect(Some(&first.payment), &first.credit, &Capture::default()).expect("taken");
        assert_eq!((again.verdict.reason, again.credit.exposure_minor()), (Reason::NothingToDo, 200));
        let other = Payment { amount_minor: 99, ..first.payment };
        assert_eq!(collect(Some(&other), &owing(0), &Capture::default()).expect_err("other").reason, Reason::IdTaken);
    }

    #[test]
    fn money_is_for_a_customer_of_the_outlet() {
        assert_eq!(customer(&command(), &[vec![1; 16], CUSTOMER.to_vec()]), Ok(Uuid::from_bytes(CUSTOMER)));
        let refused = customer(&command(), &[vec![1; 16]]).expect_err("another's");
        assert_eq!((refused.reason, refused.field.as_str(), refused.facts.len()), (Reason::Mismatch, "customer_id", 0));
    }

    #[test]
    fn only_the_form_is_refused() {
        assert_eq!(
            collect_form(&CollectPayment { amount_minor: 0, ..command() }).expect_err("0").field,
            "amount_minor"
        );
        assert_eq!(collect_form(&CollectPayment { method: 0, ..command() }).expect_err("no").field, "method");
    }
}
