//! The laws of the trade, said without its rules: whatever one command has changed, nobody was promised what there was not,
//! and no limit was passed that nobody had lifted.

use std::collections::{BTreeMap, BTreeSet};

use prost::Message;
use roundsman::internal::{FormerSurveys, Internal, PromotionState, debtor, server_id};
use roundsman::workspace::{Change, Stored};
use roundsman_proto::sync::Outcome;
use roundsman_proto::trade::change_request::Wish;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    Agreement, CashHandIn, ChangeRequest, ChangeRequestState, Contract, GoodsReturn, Hold, HoldReason, Kind, Order,
    OrderStatus, Payment, PaymentMethod, Promotion, QuarantineDecision, Reason, Receivable, Reclamation,
    ReclamationCause, ReturnOrigin, ReturnState, Shipment, ShipmentState, Survey, SurveyAnswer, SurveyResponse, Trip,
};
use roundsman_sync::trade::allocation::Demand;
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::quota::{Quota, Quotas, Share};
use roundsman_sync::trade::stock::Available;
use roundsman_sync::trade::van_sale::HANDED_OVER;
use uuid::Uuid;

use super::journal::{Checked, Journal, Law};

/// What a command has changed, and what there was before.
pub struct Changed<'a> {
    /// The command's name.
    pub command: &'static str,
    /// What it said, and what became of it.
    pub told: (&'a Command, &'a Outcome),
    /// Each with what it is now.
    pub changes: &'a [Change],
    /// All records before it.
    pub records: &'a BTreeMap<Uuid, Stored>,
}

/// Checks them.
///
/// # Errors
/// When one is broken.
pub fn check(changed: &Changed<'_>, journal: &mut Journal) -> Checked<()> {
    changed.refusal(journal)?;
    let orders = changed.orders();
    for (before, after) in &orders {
        sums(after, journal)?;
        promises(before.as_ref(), after, journal)?;
        changed.day(before.as_ref(), after, journal)?;
        changed.credit(before.as_ref(), after, journal)?;
        changed.contract(before.as_ref(), after, journal)?;
    }
    let [was_taken, was_handed_in] = [Kind::Payment, Kind::CashHandIn].map(|kind| {
        move |change: &&Change| change.after.kind == kind as i64 && !changed.records.contains_key(&change.id)
    });
    for change in changed.changes.iter().filter(was_taken) {
        read(&change.after).map_or(Ok(()), |payment| changed.payment(&payment, journal))?;
    }
    for change in changed.changes.iter().filter(was_handed_in) {
        read(&change.after).map_or(Ok(()), |hand_in| changed.hand_in(&hand_in, journal))?;
    }
    for change in changed.changes {
        if change.after.kind == PromotionState::KIND {
            changed.budget(change, &orders, journal)?;
        } else if change.after.kind == Available::KIND {
            changed.stock(change, journal)?;
            changed.conserved(change, journal)?;
            changed.shares(change, &orders, journal)?;
        } else if change.after.kind == Kind::Order as i64 || change.after.kind == Kind::ChangeRequest as i64 {
            changed.requests(change, journal)?;
        } else if change.after.kind == Quotas::KIND {
            changed.allocation(change, journal)?;
        } else if change.after.kind == Kind::Reclamation as i64 {
            changed.claim(change, journal)?;
        } else if change.after.kind == Kind::GoodsReturn as i64 {
            changed.came_back(change, journal)?;
        } else if change.after.kind == i64::from(Kind::SurveyResponse as i32) {
            changed.answers(change, journal)?;
        }
    }
    Ok(())
}

/// What a command has moved of a product in a warehouse.
#[derive(Debug, Default)]
struct Moved {
    /// What came in, and can be sold.
    came: i64,
    /// What went out.
    left: i64,
    /// At most so much was found to be gone.
    lost: i64,
    /// So much more is in quarantine.
    quarantined: i64,
}

/// Whether these are answers to questions of a survey.
fn are_asked(answers: &[SurveyAnswer], survey: &Survey) -> bool {
    answers.iter().all(|answer| survey.questions.iter().any(|question| question.question_id == answer.question_id))
}

fn read<M: Message + Default>(stored: &Stored) -> Option<M> {
    M::decode(stored.document.clone()).ok()
}

/// A line never comes to less than nothing, and an order to what its lines come to.
fn sums(order: &Order, journal: &mut Journal) -> Checked<()> {
    let lines: i128 = order.lines.iter().map(|line| i128::from(line.amount_minor)).sum();
    let right = lines == i128::from(order.value_minor) && order.lines.iter().all(|line| line.amount_minor >= 0);
    journal.check(Law::Trade, right, || format!("lines come to {lines}: {order:?}"))
}

/// Whatever takes something of a promise away is written down beside the order, with what was promised.
fn promises(before: Option<&Order>, after: &Order, journal: &mut Journal) -> Checked<()> {
    let Some(before) =
        before.filter(|before| before.status() == OrderStatus::Confirmed || before.status() == OrderStatus::Released)
    else {
        return Ok(());
    };
    let ended = matches!(after.status(), OrderStatus::Cancelled | OrderStatus::Refused);
    for line in before.lines.iter().filter(|line| line.confirmed_milli > 0) {
        let now = after.lines.iter().find(|now| now.line_id == line.line_id).filter(|_| !ended);
        let less = now.is_none_or(|now| now.confirmed_milli < line.confirmed_milli);
        let written = |order: &Order| {
            let past = order.past_promises.iter().filter(|past| past.line_id == line.line_id);
            past.filter(|past| past.quantity_milli == line.confirmed_milli).count()
        };
        let kept = !less || written(after) > written(before) || after.past_promises.len() >= 500;
        journal.check(Law::Trade, kept, || format!("{line:?} was promised, and nobody knows: {after:?}"))?;
    }
    Ok(())
}

/// Whether a person has lifted this limit for the order, or it was not asked since the goods were with the customer already.
fn lifted(order: &Order, reason: HoldReason) -> bool {
    let is_lifted = |hold: &Hold| !hold.released_by_id.is_empty() || hold.released_by == HANDED_OVER;
    order.holds.iter().any(|hold| hold.reason() == reason && is_lifted(hold))
}

/// What an order will add to the customer's debt.
fn owed(order: &Order) -> i64 {
    match order.status() {
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed if !order.booked => order.value_minor,
        OrderStatus::Confirmed | OrderStatus::Released | OrderStatus::Closed => 0,
        OrderStatus::Unspecified | OrderStatus::Draft | OrderStatus::Submitted => 0,
        OrderStatus::Cancelled | OrderStatus::Refused => 0,
    }
}

impl Changed<'_> {
    fn orders(&self) -> Vec<(Option<Order>, Order)> {
        let order = |change: &Change| {
            let before = self.records.get(&change.id).and_then(read);
            (change.after.kind == Kind::Order as i64).then(|| Some((before, read(&change.after)?))).flatten()
        };
        self.changes.iter().filter_map(order).collect()
    }

    /// What a record says now.
    fn now<M: Message + Default>(&self, id: Uuid) -> Option<M> {
        let changed = self.changes.iter().find(|change| change.id == id).map(|change| &change.after);
        changed.or_else(|| self.records.get(&id)).and_then(read)
    }

    /// What is promised anew is promised for a day that was wanted, or a later one, on which the agreement delivers.
    fn day(&self, before: Option<&Order>, after: &Order, journal: &mut Journal) -> Checked<()> {
        let is_new = after.status() == OrderStatus::Confirmed
            && before.is_none_or(|before| before.promised_day != after.promised_day);
        let agreement = Uuid::from_slice(&after.agreement_id).ok().and_then(|id| self.now::<Agreement>(id));
        let Some(agreement) = agreement.filter(|_| is_new) else { return Ok(()) };
        let day = after.promised_day;
        let weekday = [8, 16, 32, 64, 1, 2, 4][usize::try_from(day.rem_euclid(7)).unwrap_or_default()];
        let agreed = day == 0 || agreement.delivery_weekdays == 0 || agreement.delivery_weekdays & weekday != 0;
        let possible = agreed && day >= after.delivery_day;
        journal.check(Law::Trade, possible, || format!("{} promises day {day}: {after:?}", self.command))
    }

    /// An order that adds to a debt fits under the limit of its agreement, unless somebody has lifted it.
    fn credit(&self, before: Option<&Order>, after: &Order, journal: &mut Journal) -> Checked<()> {
        let held = after.holds.iter().any(|hold| hold.released_at_us == 0);
        journal.check(Law::Trade, !held || owed(after) == 0, || format!("a held order counts: {after:?}"))?;
        if owed(after) <= before.map_or(0, owed) || lifted(after, HoldReason::CreditLimit) {
            return Ok(());
        }
        let agreement = Uuid::from_slice(&after.agreement_id).ok().and_then(|id| self.now::<Agreement>(id));
        let Some(limit) = agreement.and_then(|agreement| agreement.credit_limit_minor) else { return Ok(()) };
        let exposure = self.exposure(after, &[]);
        journal.check(Law::Trade, exposure <= i128::from(limit), || {
            format!("{} takes an exposure to {exposure} over the limit of {limit}: {after:?}", self.command)
        })
    }

    /// The same of the limit of its contract; and that contract is the customer's and covers the agreement.
    fn contract(&self, before: Option<&Order>, after: &Order, journal: &mut Journal) -> Checked<()> {
        let contract = Uuid::from_slice(&after.contract_id).ok().and_then(|id| self.now::<Contract>(id));
        let Some(contract) = contract else {
            return journal
                .check(Law::Trade, after.contract_id.is_empty(), || format!("it is under nothing: {after:?}"));
        };
        if before.is_none_or(|before| before.contract_id != after.contract_id) {
            let covers = contract.agreement_ids.is_empty() || contract.agreement_ids.contains(&after.agreement_id);
            let day = after.order_day;
            let (from, to) = (contract.valid_from_day, contract.valid_to_day);
            let valid = !contract.closed && from <= day && (to == 0 || day <= to);
            let judged = after.holds.iter().any(|hold| hold.reason() == HoldReason::TermsExpired);
            let own = (&contract.customer_id, &contract.currency) == (&after.customer_id, &after.currency);
            // What hangs on a customer is another one's when these are merged, and stays as it was agreed.
            journal.check(Law::Trade, own && covers && (valid || judged), || {
                format!("{} puts {after:?} under {contract:?}", self.command)
            })?;
        }
        let under = before.filter(|before| before.contract_id == after.contract_id).map_or(0, owed);
        let Some(limit) = contract.credit_limit_minor else { return Ok(()) };
        if owed(after) <= under || lifted(after, HoldReason::CreditLimit) {
            return Ok(());
        }
        let exposure = self.exposure(after, &after.contract_id);
        journal.check(Law::Trade, exposure <= i128::from(limit), || {
            format!("{} takes an exposure to {exposure} over the contract's limit of {limit}: {after:?}", self.command)
        })
    }

    /// The exposure of an order's customer now, under one contract or, if none is named, in all.
    fn exposure(&self, order: &Order, contract: &[u8]) -> i128 {
        let credit = debtor(order).and_then(|debtor| self.now::<Credit>(Credit::id(&debtor))).unwrap_or_default();
        let under = credit.contracts.iter().find(|known| known.contract_id == contract).map(|known| known.account);
        let account = if contract.is_empty() { credit.all } else { under.unwrap_or_default() };
        let owed = i128::from(account.booked_debt_minor) + i128::from(account.orders_minor);
        owed - i128::from(account.payments_minor) - i128::from(account.returns_minor)
    }

    /// All live records of a kind, as they were.
    fn were<M: Message + Default>(&self, kind: Kind) -> impl Iterator<Item = (Uuid, M)> {
        let of_kind = move |stored: &Stored| stored.kind == kind as i64 && stored.removed_at_us.is_none();
        let records = self.records.iter().filter(move |(_, stored)| of_kind(stored));
        records.filter_map(|(id, stored)| Some((*id, read(stored)?)))
    }

    /// No document is paid beyond what the books want for it, by all payments together that the books don't contain; and no
    /// payment pays more than it is.
    fn payment(&self, payment: &Payment, journal: &mut Journal) -> Checked<()> {
        let known_by = |number: &str, order: &[u8], day: i32| {
            if !number.is_empty() {
                format!("number {number}")
            } else if !order.is_empty() {
                format!("order {order:?}")
            } else {
                format!("day {day}")
            }
        };
        let debtor = (&payment.customer_id, &payment.currency);
        let mut open: BTreeMap<String, i64> = BTreeMap::new();
        // Money for a contract pays nothing that is owed under another one, unless that was chosen.
        let mut others_own: BTreeSet<String> = BTreeSet::new();
        let receivables = self.were::<Receivable>(Kind::Receivable).map(|(_, owes)| owes);
        for owes in receivables.filter(|owes| (&owes.customer_id, &owes.currency) == debtor) {
            let is_others = [&payment.contract_id, &owes.contract_id].into_iter().all(|id| !id.is_empty())
                && payment.contract_id != owes.contract_id;
            for item in owes.due_items.iter().filter(|item| item.amount_minor > 0) {
                if is_others {
                    others_own.insert(known_by(&item.document_number, &item.order_id, item.due_day));
                }
                *open.entry(known_by(&item.document_number, &item.order_id, item.due_day)).or_default() +=
                    item.amount_minor;
            }
        }
        let others = self.were::<Payment>(Kind::Payment).map(|(_, other)| other);
        let others: Vec<Payment> =
            others.filter(|other| (&other.customer_id, &other.currency) == debtor && !other.booked).collect();
        for part in others.iter().chain([payment]).flat_map(|other| &other.allocations) {
            *open.entry(known_by(&part.document_number, &part.order_id, part.due_day)).or_default() -=
                part.amount_minor;
        }
        for part in &payment.allocations {
            let left = open[&known_by(&part.document_number, &part.order_id, part.due_day)];
            journal.check(Law::Trade, left >= 0 && part.amount_minor > 0, || {
                format!("{part:?} is too much by {left}: {payment:?}")
            })?;
        }
        let sum: i64 = payment.allocations.iter().map(|part| part.amount_minor).sum();
        let left = payment.amount_minor - payment.advance_minor - sum;
        journal.check(Law::Trade, left >= 0, || format!("{payment:?} pays more than it is"))?;
        // Unless it is for an order that is still to come into the books, nothing is left beside an open document.
        let open_left = open.iter().find(|(name, open)| **open > 0 && !others_own.contains(*name));
        journal.check(Law::Trade, left == 0 || open_left.is_none() || !payment.order_id.is_empty(), || {
            format!("{left} of {payment:?} is not allocated, and there is {open_left:?}")
        })
    }

    /// Each payment is handed in once, and what is expected is what its payments come to. If none is left, all of them were.
    fn hand_in(&self, hand_in: &CashHandIn, journal: &mut Journal) -> Checked<()> {
        let mut in_hand: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        for (id, payment) in self.were::<Payment>(Kind::Payment) {
            let physical = matches!(payment.method(), PaymentMethod::Cash | PaymentMethod::Cheque);
            if physical && (&payment.rep_id, &payment.currency) == (&hand_in.rep_id, &hand_in.currency) {
                in_hand.insert(id.as_bytes().to_vec(), payment.amount_minor);
            }
        }
        for (_, other) in self.were::<CashHandIn>(Kind::CashHandIn) {
            other.payment_ids.iter().for_each(|payment| {
                in_hand.remove(payment);
            });
        }
        let mut expected = 0;
        for payment in &hand_in.payment_ids {
            let amount = in_hand.remove(payment);
            expected += amount.unwrap_or_default();
            journal
                .check(Law::Trade, amount.is_some(), || format!("{payment:?} is not to be handed in: {hand_in:?}"))?;
        }
        let difference = hand_in.counted_minor - expected;
        let sums = (hand_in.expected_minor, hand_in.difference_minor) == (expected, difference);
        journal.check(Law::Trade, sums, || format!("its payments come to {expected}: {hand_in:?}"))?;
        let left = usize::try_from(hand_in.left_payments).unwrap_or_default();
        journal.check(Law::Trade, in_hand.len() == left, || format!("{} are left: {hand_in:?}", in_hand.len()))
    }

    /// What is wanted of an order that the warehouse has stands at the order as long as nobody has answered, and no longer.
    fn requests(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let named = |order: &Order| Uuid::from_slice(&order.change_request_id).ok();
        let is_open =
            |request: Option<ChangeRequest>| request.is_some_and(|found| found.state() == ChangeRequestState::Open);
        if change.after.kind == Kind::Order as i64 {
            let Some(order) = read::<Order>(&change.after) else { return Ok(()) };
            let before: Option<Order> = self.records.get(&change.id).and_then(read);
            let left = before.as_ref().and_then(named).filter(|left| named(&order) != Some(*left));
            journal.check(Law::Trade, !left.is_some_and(|left| is_open(self.now(left))), || {
                format!("nobody has answered what was wanted of it: {before:?} became {order:?}")
            })?;
            let waits =
                order.status() == OrderStatus::Released && named(&order).is_some_and(|id| is_open(self.now(id)));
            return journal.check(Law::Trade, named(&order).is_none() || waits, || {
                format!("what is wanted of it is answered, or too late: {order:?}")
            });
        }
        let Some(request) = read::<ChangeRequest>(&change.after) else { return Ok(()) };
        let order: Option<Order> = Uuid::from_slice(&request.order_id).ok().and_then(|id| self.now(id));
        let names_it = order.as_ref().is_some_and(|order| named(order) == Some(change.id));
        let done = match (request.state(), &request.wish) {
            (ChangeRequestState::Open, _) => names_it,
            (ChangeRequestState::Accepted, Some(Wish::Cancellation(_))) => {
                order.as_ref().is_some_and(|order| order.status() == OrderStatus::Cancelled)
            }
            _ => !names_it,
        };
        journal.check(Law::Trade, done, || format!("{request:?} is not what became of {order:?}"))
    }

    /// Answers are not refused because of a question that was asked.
    fn refusal(&self, journal: &mut Journal) -> Checked<()> {
        let (Command::AnswerSurvey(answer), outcome) = self.told else { return Ok(()) };
        if outcome.reason() != Reason::Mismatch {
            return Ok(());
        }
        let survey = self.survey(&answer.survey_id, answer.survey_version);
        let unfit = survey.as_ref().is_none_or(|survey| !are_asked(&answer.answers, survey));
        journal.check(Law::Trade, unfit, || format!("answers are refused to what was asked: {answer:?}, of {survey:?}"))
    }

    /// What a version of a survey said, as far as it is known.
    fn survey(&self, id: &[u8], version: i64) -> Option<Survey> {
        let id = Uuid::from_slice(id).ok()?;
        let former: FormerSurveys = self.now(FormerSurveys::id(&id)).unwrap_or_default();
        let of_version = former.versions.into_iter().find(|former| former.version == version);
        let current = || self.records.get(&id).filter(|stored| stored.version == version).and_then(read);
        of_version.map(|former| former.survey).or_else(current)
    }

    /// Answers are to questions of the version of the survey that they name.
    fn answers(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let Some(response) = read::<SurveyResponse>(&change.after).filter(|_| change.before.is_none()) else {
            return Ok(());
        };
        let survey = self.survey(&response.survey_id, response.survey_version);
        let fit = survey.as_ref().is_none_or(|survey| are_asked(&response.answers, survey));
        journal.check(Law::Trade, fit, || format!("answers to what was not asked: {response:?}, of {survey:?}"))
    }

    /// A budget is not overspent, but by an order for which somebody has lifted it.
    fn budget(&self, change: &Change, orders: &[(Option<Order>, Order)], journal: &mut Journal) -> Checked<()> {
        let before: PromotionState = self.records.get(&change.id).and_then(read).unwrap_or_default();
        let Some(after) = read::<PromotionState>(&change.after) else { return Ok(()) };
        let name = String::from_utf8_lossy(&change.after.stamps).into_owned();
        let promotion = name.trim_start_matches("promotion{").trim_end_matches('}').parse().ok();
        let promotion: Option<Promotion> = promotion.and_then(|id| self.now(id));
        let Some(promotion) = promotion else { return Ok(()) };
        let over = |budget: Option<i64>, before: i64, after: i64| {
            budget.is_some_and(|budget| after > before && after > budget)
        };
        let overspent = over(promotion.budget_minor, before.spent_minor, after.spent_minor)
            || over(promotion.budget_milli, before.spent_milli, after.spent_milli);
        let by_a_person = orders.iter().any(|(_, order)| lifted(order, HoldReason::Promotion));
        journal.check(Law::Trade, !overspent || by_a_person, || {
            format!("{} overspends {name}: {after:?}, of {promotion:?}", self.command)
        })
    }

    /// A new order takes nothing of what others' shares of scarce goods claim, where these bind at any time.
    fn shares(&self, change: &Change, orders: &[(Option<Order>, Order)], journal: &mut Journal) -> Checked<()> {
        let before: Available = self.records.get(&change.id).and_then(read).unwrap_or_default();
        let Some(after) = read::<Available>(&change.after).filter(|_| self.command == "SubmitOrder") else {
            return Ok(());
        };
        let name = String::from_utf8_lossy(&change.after.stamps).replacen("available", "quotas", 1);
        // As it was before.
        let quotas: Quotas = self.records.get(&server_id(&name)).and_then(read).unwrap_or_default();
        let quota = quotas.quotas.iter().find(|quota| (quota.from_day, quota.to_day, quota.return_at_us) == (0, 0, 0));
        let Some(quota) = quota else { return Ok(()) };
        let is_own = |share: &Share| {
            let lines = orders.iter().flat_map(|(_, order)| &order.lines);
            let mut counted = lines.filter_map(|line| line.quota.as_ref());
            counted.any(|named| named.quota_id == quota.quota_id && named.holder == share.holder)
        };
        let left = |own: bool| -> i64 {
            let shares = quota.shares.iter().filter(|share| is_own(share) == own);
            shares.map(|share| (share.quantity_milli - share.used_milli).max(0)).sum()
        };
        let taken = after.reserved_milli - before.reserved_milli;
        journal.check(Law::Trade, taken <= 0 || !quota.is_to_be_shared_out(), || {
            format!("{taken} are taken of {name} before it is shared out: {quota:?}, {orders:?}")
        })?;
        let unclaimed = (before.free_milli() - left(true) - left(false)).max(0);
        journal.check(Law::Trade, taken <= left(true) + unclaimed, || {
            format!("{taken} are taken of {name}, {unclaimed} are unclaimed: {quota:?}, {orders:?}")
        })
    }

    /// When a product is shared out, all orders together get no more than was free, and none more than it wanted.
    fn allocation(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let before: Quotas = self.records.get(&change.id).and_then(read).unwrap_or_default();
        let after: Quotas = read(&change.after).unwrap_or_default();
        let was_shared_out = |quota: &Quota| {
            let mut known = before.quotas.iter().filter(|before| before.quota_id == quota.quota_id);
            known.any(|before| before.shared_out.is_some())
        };
        let is_now = |quota: &&Quota| quota.shared_out.is_some() && !was_shared_out(quota);
        for quota in after.quotas.iter().filter(is_now) {
            let key = String::from_utf8_lossy(&change.after.stamps).into_owned();
            let stock: Option<Available> =
                self.records.get(&server_id(key.replacen("quotas", "available", 1))).and_then(read);
            let demand: Option<Demand> =
                self.records.get(&server_id(key.replacen("quotas", "demand", 1))).and_then(read);
            let wanted = demand.unwrap_or_default().orders;
            let shares: Vec<(Uuid, i64)> =
                quota.shares.iter().filter_map(|share| Some((share.order()?, share.quantity_milli))).collect();
            let given: i64 = shares.iter().map(|(_, given)| given).sum();
            let wants = |id: Uuid| {
                wanted.iter().find(|of| of.order.order_id == id.as_bytes()).map_or(0, |of| of.quantity_milli)
            };
            let free = stock.unwrap_or_default().free_milli().max(0);
            let right = given <= free && shares.iter().all(|(id, given)| *given <= wants(*id));
            journal.check(Law::Trade, right, || {
                format!("{free} of {key} are shared out as {shares:?} among {wanted:?}: {quota:?}")
            })?;
        }
        Ok(())
    }

    /// In all reports of a shipment's line together no more is accepted than was loaded, and of what is not said to be missing no more
    /// than was delivered; nobody gets more money than that is worth.
    fn claim(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let Some(claim) = read::<Reclamation>(&change.after) else { return Ok(()) };
        let worth = claim.decision.as_ref().map_or(0, |decision| decision.accepted_minor);
        let paid = claim.settlement.as_ref().map_or(0, |settlement| settlement.amount_minor);
        journal.check(Law::Trade, paid <= worth, || format!("{paid} were paid for {worth}: {claim:?}"))?;
        let told = claim.escalation_level == 0 || claim.escalated_at_us >= claim.due_at_us;
        journal.check(Law::Trade, told && claim.escalation_level <= 3, || {
            format!("told too early, or too often: {claim:?}")
        })?;
        let shipment = Uuid::from_slice(&claim.shipment_id).ok().and_then(|id| self.now::<Shipment>(id));
        let of_others = self.were::<Reclamation>(Kind::Reclamation).filter(|(id, _)| *id != change.id);
        let reports: Vec<Reclamation> = of_others
            .map(|(_, other)| other)
            .filter(|other| other.shipment_id == claim.shipment_id)
            .chain([claim.clone()])
            .collect();
        for line in shipment.iter().flat_map(|shipment| &shipment.lines) {
            let (mut all, mut delivered) = (0, 0);
            for report in &reports {
                let own = report.lines.iter().filter(|own| own.shipment_line_id == line.line_id);
                let accepted: i64 = own.map(|own| own.accepted_milli).sum();
                all += accepted;
                if report.cause() != ReclamationCause::DeliveryDiscrepancy {
                    delivered += accepted;
                }
            }
            let right = all <= line.loaded_milli && delivered <= line.delivered_milli;
            journal.check(Law::Trade, right, || {
                format!("{all}, {delivered} of them as delivered, accepted of {line:?}")
            })?;
        }
        Ok(())
    }

    /// No more of a line has come back than went out, in all returns together, and nobody is given more for it than it cost.
    fn came_back(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let Some(own) = read::<GoodsReturn>(&change.after) else { return Ok(()) };
        let of_others = self.were::<GoodsReturn>(Kind::GoodsReturn).filter(|(id, _)| *id != change.id);
        let returns: Vec<GoodsReturn> = of_others
            .map(|(_, other)| other)
            .chain([own.clone()])
            .filter(|of| of.shipment_id == own.shipment_id && of.state() == ReturnState::Received)
            .collect();
        let shipment = Uuid::from_slice(&own.shipment_id).ok().and_then(|id| self.now::<Shipment>(id));
        for line in shipment.iter().flat_map(|shipment| &shipment.lines) {
            let came = |origin: ReturnOrigin| -> i64 {
                let of_origin = returns.iter().filter(|of| of.origin() == origin).flat_map(|of| &of.lines);
                let of_line = of_origin.filter(|back| back.shipment_line_id == line.line_id);
                of_line.map(|back| back.sellable_milli + back.damaged_milli + back.expired_milli).sum()
            };
            let right = came(ReturnOrigin::GivenBack) <= line.delivered_milli
                && came(ReturnOrigin::NotTaken) <= line.loaded_milli - line.delivered_milli;
            journal.check(Law::Trade, right, || format!("more of {line:?} came back than went out: {returns:?}"))?;
            let back = returns.iter().flat_map(|of| &of.lines).filter(|back| back.shipment_line_id == line.line_id);
            let given: i64 = back.map(|back| back.value_minor).sum();
            let order = Uuid::from_slice(&line.order_id).ok().and_then(|id| self.now::<Order>(id));
            let cost = order.and_then(|order| order.lines.into_iter().find(|ordered| ordered.line_id == line.line_id));
            let cost = cost.map_or(i64::MAX, |ordered| ordered.amount_minor);
            journal
                .check(Law::Trade, given <= cost, || format!("{given} are given for what cost {cost}: {returns:?}"))?;
        }
        Ok(())
    }

    /// What lies in a warehouse, and what is in quarantine there, changes by what a command has moved, to the unit.
    fn conserved(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let before: Available = self.records.get(&change.id).and_then(read).unwrap_or_default();
        let Some(after) = read::<Available>(&change.after) else { return Ok(()) };
        let name = String::from_utf8_lossy(&change.after.stamps).into_owned();
        let is_counted = matches!(self.command, "SetStock" | "ImportRecords" | "CountStock");
        let (least, most, quarantined) = if is_counted {
            (i64::MIN, i64::MAX, 0)
        } else {
            let moved = self.moved(&name);
            (moved.came - moved.left - moved.lost, moved.came - moved.left, moved.quarantined)
        };
        let by = after.on_hand_milli - before.on_hand_milli;
        let right = (least..=most).contains(&by)
            && after.quarantined_milli - before.quarantined_milli == quarantined
            && after.quarantined_milli >= 0;
        journal.check(Law::Trade, right, || {
            format!("{} moves {least} to {most} and {quarantined} of {name}: {before:?} became {after:?}", self.command)
        })
    }

    /// What the command has moved of the goods of `available{…}`, by the documents that it changed.
    fn moved(&self, name: &str) -> Moved {
        let is_it = |warehouse: &[u8], product: &[u8]| {
            let ids = Uuid::from_slice(warehouse).ok().zip(Uuid::from_slice(product).ok());
            ids.is_some_and(|ids| Available::name(&ids) == name)
        };
        let mut moved = Moved::default();
        for change in self.changes {
            if change.after.kind == Kind::Shipment as i64 {
                let Some(now) = read::<Shipment>(&change.after) else { continue };
                let was: Shipment = self.records.get(&change.id).and_then(read).unwrap_or_default();
                for line in now.lines.iter().filter(|line| is_it(&now.warehouse_id, &line.product_id)) {
                    let leaves = has_left(&now) && !has_left(&was);
                    moved.left += if leaves { line.loaded_milli } else { 0 };
                    moved.lost += line.ordered_milli - line.picked_milli;
                }
            } else if change.after.kind == Kind::Trip as i64 && self.command == "CloseTrip" {
                let Some(trip) = read::<Trip>(&change.after) else { continue };
                for goods in trip.goods.iter().filter(|goods| is_it(&trip.warehouse_id, &goods.product_id)) {
                    moved.came += goods.sellable_milli;
                    moved.quarantined += goods.unsellable_milli;
                }
            } else if change.after.kind == Kind::GoodsReturn as i64 {
                let Some(now) = read::<GoodsReturn>(&change.after) else { continue };
                let is_new = now.state() == ReturnState::Received && self.command == "ReceiveReturn";
                for line in now.lines.iter().filter(|line| is_new && is_it(&now.warehouse_id, &line.product_id)) {
                    moved.came += line.sellable_milli;
                    moved.quarantined += line.damaged_milli + line.expired_milli;
                }
            }
        }
        if let (Command::TransferStock(transfer), _) = self.told {
            for line in &transfer.lines {
                let at = |warehouse: &[u8]| if is_it(warehouse, &line.product_id) { line.quantity_milli } else { 0 };
                moved.left += at(&transfer.from_warehouse_id);
                moved.came += at(&transfer.to_warehouse_id);
            }
        }
        if let (Command::ReleaseQuarantine(release), _) = self.told
            && is_it(&release.warehouse_id, &release.product_id)
        {
            moved.quarantined -= release.quantity_milli;
            moved.came += if release.decision() == QuarantineDecision::ToStock { release.quantity_milli } else { 0 };
        }
        moved
    }

    /// Nothing more is set aside than lies there. A shipment may be prepared in a warehouse that does not have it all.
    fn stock(&self, change: &Change, journal: &mut Journal) -> Checked<()> {
        let before: Available = self.records.get(&change.id).and_then(read).unwrap_or_default();
        let Some(after) = read::<Available>(&change.after) else { return Ok(()) };
        let more = after.reserved_milli > before.reserved_milli && self.command != "PrepareShipment";
        journal.check(Law::Trade, !more || after.reserved_milli <= after.on_hand_milli, || {
            let name = String::from_utf8_lossy(&change.after.stamps);
            format!("{} promises more of {name} than there is: {before:?} became {after:?}", self.command)
        })
    }
}
/// Whether the goods are no longer in the warehouse; out of a van they are with the customer at once.
fn has_left(shipment: &Shipment) -> bool {
    match shipment.state() {
        ShipmentState::Shipped | ShipmentState::Delivered | ShipmentState::PartlyDelivered => true,
        ShipmentState::Refused | ShipmentState::NotAttempted => true,
        ShipmentState::Unspecified | ShipmentState::Prepared | ShipmentState::Picking => false,
        ShipmentState::Checking | ShipmentState::Checked | ShipmentState::Loaded | ShipmentState::Cancelled => false,
    }
}
