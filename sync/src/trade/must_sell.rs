//! Must-sell lists: what outlets are to have.

use std::collections::BTreeMap;

use roundsman_proto::trade::MustSellList;
use uuid::Uuid;

use super::check;
use super::promotion::{self, Buyer};
use super::rejection::Rejection;

/// The form of a list that is set.
///
/// # Errors
/// For its form.
pub fn form(list: &MustSellList) -> Result<(), Rejection> {
    check::required_text(&list.name, check::NAME_CHARS, "name")?;
    check::optional_day(list.valid_from_day, "valid_from_day")?;
    check::optional_day(list.valid_to_day, "valid_to_day")?;
    if list.valid_to_day != 0 && list.valid_to_day < list.valid_from_day {
        return Err(check::out_of_range("valid_to_day"));
    }
    if let Some(audience) = &list.audience {
        promotion::audience_form(audience)?;
    }
    if list.items.is_empty() {
        return Err(check::missing("items"));
    }
    check::count(list.items.len(), check::LINES, "items")?;
    let mut products = Vec::with_capacity(list.items.len());
    for (index, item) in list.items.iter().enumerate() {
        products.push(check::id(&item.product_id, "product_id").map_err(check::at("items", index))?);
        check::quantity(item.quantity_milli, "quantity_milli").map_err(check::at("items", index))?;
    }
    check::unique(products, "product_id")
}

/// What an outlet is to have at least of which product, in thousandths of the base unit: the greatest of the lists that are
/// for it.
#[must_use]
pub fn minimums<'a>(lists: impl IntoIterator<Item = &'a MustSellList>, buyer: &Buyer<'_>) -> BTreeMap<Uuid, i64> {
    let mut minimums = BTreeMap::new();
    for list in lists.into_iter().filter(|list| is_for(list, buyer)) {
        for item in &list.items {
            let Ok(product_id) = Uuid::from_slice(&item.product_id) else { continue };
            let least: &mut i64 = minimums.entry(product_id).or_default();
            *least = item.quantity_milli.max(*least);
        }
    }
    minimums
}

fn is_for(list: &MustSellList, buyer: &Buyer<'_>) -> bool {
    let (from, to) = (list.valid_from_day, list.valid_to_day);
    let valid = (from == 0 || from <= buyer.day) && (to == 0 || buyer.day <= to);
    valid && list.audience.as_ref().is_none_or(|audience| promotion::invites(audience, buyer))
}

#[cfg(test)]
mod tests {
    use super::*;
    use roundsman_proto::trade::{Audience, MustSellItem, Outlet, OutletClass, Reason};

    const TEA: Uuid = Uuid::from_u128(1);
    const SUGAR: Uuid = Uuid::from_u128(2);

    fn item(product: Uuid, quantity_milli: i64) -> MustSellItem {
        MustSellItem { product_id: product.as_bytes().to_vec(), quantity_milli }
    }

    fn list(items: &[MustSellItem]) -> MustSellList {
        MustSellList { name: "Shelf".to_owned(), items: items.to_vec(), ..MustSellList::default() }
    }

    #[test]
    fn of_the_lists_that_are_for_an_outlet_the_greatest_minimum_counts() {
        let outlet = Outlet { outlet_class: OutletClass::A.into(), ..Outlet::default() };
        let buyer =
            Buyer { outlet_id: Uuid::from_u128(9), outlet: &outlet, agreement_id: &[], currency: "EUR", day: 10 };
        let classes = |class: OutletClass| Some(Audience { outlet_classes: vec![class.into()], ..Audience::default() });
        let lists = [
            list(&[item(TEA, 3_000), item(SUGAR, 1_000)]),
            MustSellList { audience: classes(OutletClass::A), ..list(&[item(TEA, 5_000)]) },
            MustSellList { audience: classes(OutletClass::B), ..list(&[item(TEA, 9_000)]) },
            MustSellList { valid_to_day: 9, ..list(&[item(SUGAR, 9_000)]) },
            MustSellList { valid_from_day: 11, ..list(&[item(SUGAR, 9_000)]) },
        ];
        assert_eq!(minimums(&lists, &buyer), BTreeMap::from([(TEA, 5_000), (SUGAR, 1_000)]));
    }

    #[test]
    fn a_list_that_says_nothing_or_two_things_is_refused() {
        let refused = |list: &MustSellList| form(list).map_err(|refused| (refused.reason, refused.field));
        let sound = list(&[item(TEA, 1)]);
        assert_eq!(refused(&sound), Ok(()));
        let named = MustSellList { name: " ".to_owned(), ..sound.clone() };
        let days = MustSellList { valid_from_day: 5, valid_to_day: 4, ..sound.clone() };
        let audience = Some(Audience { outlet_ids: vec![vec![1]], ..Audience::default() });
        let wrong = [
            (named, Reason::MissingField, "name"),
            (days, Reason::OutOfRange, "valid_to_day"),
            (MustSellList { audience, ..sound }, Reason::BadId, "outlet_ids"),
            (list(&[]), Reason::MissingField, "items"),
            (list(&[item(TEA, 0)]), Reason::OutOfRange, "quantity_milli"),
            (list(&[item(Uuid::nil(), 1)]), Reason::BadId, "product_id"),
            (list(&[item(TEA, 1), item(TEA, 2)]), Reason::RepeatedId, "product_id"),
        ];
        for (list, reason, field) in wrong {
            assert_eq!(refused(&list), Err((reason, field.to_owned())), "{list:?}");
        }
    }
}
