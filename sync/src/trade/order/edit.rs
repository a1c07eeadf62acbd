//! Edits of an order that is submitted or confirmed (C2, C3, C4).
//!
//! Head fields are merged one by one, lines by their ids; edits of different places both take effect. In the same place
//! the office's value stands, in every field (`agreement_id`, `delivery_day`, `comment`, and a line's `ordered_milli`,
//! `discount_bp` and `shown_price_minor`): what the office changes it has usually talked over with the customer or the
//! warehouse, while the rep edits what the phone happened to hold. A line that was taken out stays out; one whose
//! quantity changed meanwhile is taken out by the office only. Whoever loses is told, with both values.
//!
//! Then the order is decided anew, see [`super::decide`], unless only the day of delivery and the note changed. What the
//! office sets counts: a price or a discount of the office is not held.

use roundsman_proto::trade::order_line_edit::Edit;
use roundsman_proto::trade::{
    ChangeOrder, LineDifference, Order, OrderLine, OrderLineChange, OrderLineRemoval, Reason,
};
use uuid::Uuid;

use super::decide::{Touch, Touched, day_verdict, decide, promised_day};
use super::promise;
use super::{Decision, Setting, Terms, agreed, customer, delivery_day_form, new_line, new_line_form, open_for_edits};
use super::{price_belongs, shown_form, shown_promotions, unchanged};
use crate::trade::capture::{Capture, Editor};
use crate::trade::check;
use crate::trade::edit::{Edits, Place, Policy, show_id};
use crate::trade::rejection::Rejection;
use crate::trade::verdict::Verdict;

/// The form of an edit.
///
/// # Errors
/// For its form.
pub fn change_form(command: &ChangeOrder, order_day: i32, capture: &Capture) -> Result<(), Rejection> {
    check::id(&command.order_id, "order_id")?;
    if let Some(change) = &command.agreement_id {
        check::id(&change.value, "agreement_id")?;
    }
    if let Some(change) = &command.delivery_day {
        delivery_day_form(change.value, order_day, capture)?;
    }
    if let Some(change) = &command.comment {
        check::text(&change.value, check::TEXT_CHARS, "comment")?;
    }
    check::count(command.lines.len(), check::LINES, "lines")?;
    let mut ids = Vec::with_capacity(command.lines.len());
    for (index, line) in command.lines.iter().enumerate() {
        ids.push(line_form(line.edit.as_ref()).map_err(check::at("lines", index))?);
    }
    check::unique(ids, "line_id")
}

fn line_form(edit: Option<&Edit>) -> Result<Uuid, Rejection> {
    match edit {
        None => Err(check::missing("edit")),
        Some(Edit::Add(line)) => new_line_form(line),
        Some(Edit::Remove(removal)) => check::id(&removal.line_id, "line_id"),
        Some(Edit::Change(change)) => {
            if let Some(quantity) = &change.quantity_milli {
                check::quantity(quantity.value, "quantity_milli")?;
            }
            if let Some(discount) = &change.discount_bp {
                check::basis_points(discount.value, "discount_bp")?;
            }
            if let Some(price) = &change.shown_price_minor {
                check::money(price.value, "shown_price_minor")?;
                check::optional_id(&change.price_id, "price_id")?;
                check::range(change.price_version, 0..=i64::MAX, "price_version")?;
                check::range(change.price_per_milli, 0..=check::QUANTITY_MILLI, "price_per_milli")?;
            }
            if let Some(shown) = &change.promotions {
                shown_form(&shown.promotions)?;
            }
            check::id(&change.line_id, "line_id")
        }
    }
}

/// The rep who took the order, or the office, edits it.
///
/// # Errors
/// For its form; `REASON_ROLE_NOT_ALLOWED`, `REASON_ORDER_RELEASED`, `REASON_ORDER_CLOSED`, `REASON_NO_LINES`,
/// `REASON_MISMATCH`, `REASON_CURRENCY_MISMATCH`, `REASON_NOT_FOUND`.
pub fn decide_change(
    current: &Order,
    editor: Editor,
    command: &ChangeOrder,
    setting: &Setting<'_>,
) -> Result<Decision, Rejection> {
    change_form(command, current.order_day, setting.capture)?;
    editor.may_touch(&current.rep_id)?;
    open_for_edits(current)?;
    let touched = Touched { by_office: editor == Editor::Office, ..Touched::default() };
    let mut draft = Draft { order: current.clone(), touched, editor, setting };
    let mut edits = Edits::new(setting.order_id, editor);
    draft.head(command, &mut edits)?;
    let terms = draft.terms(current)?;
    for (index, line) in command.lines.iter().enumerate() {
        let done = match &line.edit {
            None => Err(check::missing("edit")),
            Some(Edit::Add(line)) => draft.add(new_line(line, terms, setting), &mut edits),
            Some(Edit::Remove(removal)) => draft.remove(removal, &mut edits),
            Some(Edit::Change(change)) => draft.change(change, terms, &mut edits),
        };
        done.map_err(check::at("lines", index))?;
    }
    let Draft { order, mut touched, .. } = draft;
    if !edits.changed {
        let verdict = Verdict::nothing_to_do().merged(edits.overrides, edits.stale);
        return Ok(unchanged(current, setting, verdict));
    }
    if order.lines.is_empty() {
        return Err(Rejection::new(Reason::NoLines).field("lines"));
    }
    check::count(order.lines.len(), check::LINES, "lines")?;
    let decision = if touched.any() {
        if touched.terms {
            let touch = Touch { price_at_us: Some(setting.capture.captured_at_us), discount: true, ..Touch::default() };
            for line in &order.lines {
                touched.lines.entry(line.line_id.clone()).or_insert(touch);
            }
        }
        decide(order, Some(current), &touched, setting)?
    } else {
        let mut order = order;
        order.promised_day = promised_day(&order, Some(current), terms, setting);
        promise::keep(Some(current), &mut order, setting.change(editor.into()));
        let verdict = day_verdict(&order, Some(current));
        Decision { order, ..unchanged(current, setting, verdict) }
    };
    let verdict = decision.verdict.merged(edits.overrides, edits.stale);
    Ok(Decision { verdict, ..decision })
}

/// An order while it is edited.
struct Draft<'a> {
    order: Order,
    touched: Touched,
    editor: Editor,
    setting: &'a Setting<'a>,
}

impl<'a> Draft<'a> {
    fn head(&mut self, command: &ChangeOrder, edits: &mut Edits) -> Result<(), Rejection> {
        let place = |field| Place { line_id: &[], field };
        let policy = Policy::OfficeWins;
        let order = &mut self.order;
        if let Some(change) = &command.agreement_id {
            let (change, current) = ((&change.base, &change.value), &order.agreement_id);
            let agreement_id = edits.settle(place("agreement_id"), policy, change, current, |id| show_id(id));
            self.touched.terms = agreement_id != order.agreement_id;
            order.agreement_id = agreement_id;
            if self.touched.terms {
                // Under which contract it is made now follows from the agreement.
                order.contract_id.clear();
            }
        }
        if let Some(change) = &command.delivery_day {
            let (change, current) = ((&change.base, &change.value), order.delivery_day);
            order.delivery_day = edits.settle(place("delivery_day"), policy, change, &current, i32::to_string);
        }
        if let Some(change) = &command.comment {
            let (change, current) = ((&change.base, &change.value), order.comment.clone());
            order.comment = edits.settle(place("comment"), policy, change, &current, String::clone);
        }
        Ok(())
    }

    /// The terms that count now. Another agreement has to be one of the same customer and currency.
    fn terms(&self, current: &Order) -> Result<Terms<'a>, Rejection> {
        let id = check::id(&self.order.agreement_id, "agreement_id")?;
        if !self.touched.terms {
            let found = self.setting.terms.get(&id).copied();
            return found.ok_or_else(|| Rejection::new(Reason::NotFound).field("agreement_id"));
        }
        let terms = agreed(id, self.setting)?;
        if terms.agreement.currency != current.currency {
            return Err(Rejection::new(Reason::CurrencyMismatch).field("agreement_id"));
        }
        if customer(terms, self.setting.outlet)? != current.customer_id {
            return Err(check::mismatch("agreement_id"));
        }
        Ok(terms)
    }

    fn position(&self, line_id: &[u8]) -> Option<usize> {
        self.order.lines.iter().position(|line| line.line_id == line_id)
    }

    fn add(&mut self, line: Result<OrderLine, Rejection>, edits: &mut Edits) -> Result<(), Rejection> {
        let line = line?;
        if self.position(&line.line_id).is_some() {
            edits.stale = true;
            return Ok(());
        }
        self.touch(&line.line_id, true, true);
        edits.changed = true;
        self.order.lines.push(line);
        Ok(())
    }

    fn remove(&mut self, removal: &OrderLineRemoval, edits: &mut Edits) -> Result<(), Rejection> {
        let Some(index) = self.position(&removal.line_id) else {
            edits.stale = true;
            return Ok(());
        };
        let ordered = self.order.lines.get(index).map_or(0, |line| line.ordered_milli);
        let place = Place { line_id: &removal.line_id, field: "ordered_milli" };
        let (base, gone) = (Some(removal.base_quantity_milli), None);
        let show = |quantity: &Option<i64>| quantity.map_or_else(String::new, |quantity| quantity.to_string());
        let left = edits.settle(place, Policy::OfficeWins, (&base, &gone), &Some(ordered), show);
        if left.is_none() {
            self.order.lines.remove(index);
            self.touched.fewer = true;
        }
        Ok(())
    }

    fn change(&mut self, change: &OrderLineChange, terms: Terms<'_>, edits: &mut Edits) -> Result<(), Rejection> {
        let Some(index) = self.position(&change.line_id) else {
            let wanted = change.quantity_milli.as_ref().map_or_else(String::new, |quantity| quantity.value.to_string());
            let place = Place { line_id: &change.line_id, field: "ordered_milli" };
            edits.met(place, Reason::LineRemoved, String::new(), wanted);
            return Ok(());
        };
        let Some(before) = self.order.lines.get(index).cloned() else {
            return Ok(());
        };
        if !before.substitutes_line_id.is_empty() {
            return Err(check::mismatch("line_id").fact(None, "substitutes_line_id", "not empty"));
        }
        let mut line = before.clone();
        let place = |field| Place { line_id: &change.line_id, field };
        let policy = Policy::OfficeWins;
        if let Some(quantity) = &change.quantity_milli {
            let edit = (&quantity.base, &quantity.value);
            line.ordered_milli =
                edits.settle(place("ordered_milli"), policy, edit, &line.ordered_milli, i64::to_string);
        }
        if let Some(discount) = &change.discount_bp {
            let edit = (&discount.base, &discount.value);
            line.discount_bp = edits.settle(place("discount_bp"), policy, edit, &line.discount_bp, i32::to_string);
        }
        if let Some(price) = &change.shown_price_minor {
            let edit = (&price.base, &price.value);
            let current = line.shown_price_minor;
            line.shown_price_minor = edits.settle(place("shown_price_minor"), policy, edit, &current, i64::to_string);
            if line.shown_price_minor == price.value {
                self.price_belongs(&change.price_id, &line, terms)?;
                line.price_id.clone_from(&change.price_id);
                line.price_version = change.price_version;
                line.price_per_milli = change.price_per_milli;
            }
        }
        // They say what the rep sees on the line as it becomes; the office's are computed.
        if let (Some(shown), Editor::Rep(_)) = (&change.promotions, self.editor) {
            line.promotions = shown_promotions(&shown.promotions);
        }
        if line != before {
            let of_list = |line: &OrderLine| (line.shown_price_minor, line.price_per_milli, line.price_id.clone());
            let priced = of_list(&line) != of_list(&before);
            edits.changed = true;
            self.touch(&change.line_id, priced, line.discount_bp != before.discount_bp);
            line.set_difference(self.difference());
            if let Some(stored) = self.order.lines.get_mut(index) {
                *stored = line;
            }
        }
        Ok(())
    }

    fn price_belongs(&self, price_id: &[u8], line: &OrderLine, terms: Terms<'_>) -> Result<(), Rejection> {
        let product = Uuid::from_slice(&line.product_id).ok();
        match product.and_then(|product| self.setting.goods.get(&product)) {
            Some(goods) => price_belongs(price_id, &line.product_id, terms, goods),
            None => Err(Rejection::new(Reason::NotFound).field("product_id")),
        }
    }

    /// A rep's line is judged: a price that was edited as of now, one that was not as of the day it was handed in. The
    /// office's own price and discount count.
    fn touch(&mut self, line_id: &[u8], priced: bool, discounted: bool) {
        let captured_at_us = if priced { self.setting.capture.captured_at_us } else { self.order.submitted_at_us };
        let touch = match self.editor {
            Editor::Rep(_) => Touch { price_at_us: Some(captured_at_us), discount: true, ..Touch::default() },
            Editor::Office => Touch { price_settled: priced, discount_settled: discounted, ..Touch::default() },
        };
        self.touched.lines.insert(line_id.to_vec(), touch);
    }

    fn difference(&self) -> LineDifference {
        match self.editor {
            Editor::Rep(_) => LineDifference::Unspecified,
            Editor::Office => LineDifference::OfficeChanged,
        }
    }
}
