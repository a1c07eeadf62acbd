use proptest::prelude::*;
use roundsman_proto::trade::{BundleItem, LinePromotion, Order, OrderLine, OrderStatus, OutletClass, Reason};

use super::*;

const TEA: u8 = 1;
const SUGAR: u8 = 2;
const CUP: u8 = 3;
const DAY: i32 = 100;
const HOUR_US: i64 = 3_600 * 1_000_000;

fn id(number: u8) -> Vec<u8> {
    vec![number; 16]
}

fn uuid(number: u8) -> Uuid {
    Uuid::from_bytes([number; 16])
}

fn promotion(benefit: Benefit) -> Promotion {
    Promotion { name: "Spring".to_owned(), currency: "EUR".to_owned(), benefit: Some(benefit), ..Promotion::default() }
}

fn percent(percent_bp: i32) -> Promotion {
    promotion(Benefit::PercentBp(percent_bp))
}

fn stacking(stacking: Stacking, promotion: Promotion) -> Promotion {
    Promotion { stacking: stacking.into(), ..promotion }
}

/// A line of so many whole units at a price.
struct Row {
    line: Vec<u8>,
    product: Vec<u8>,
    units: i64,
    price_minor: i64,
}

fn row(line: u8, product: u8, units: i64, price_minor: i64) -> Row {
    Row { line: id(line), product: id(product), units, price_minor }
}

fn lines<'a>(rows: &'a [Row], groups: &'a [String]) -> Vec<Line<'a>> {
    rows.iter()
        .map(|row| Line {
            line_id: &row.line,
            product_id: &row.product,
            group_path: groups,
            quantity_milli: row.units * 1_000,
            rate: UnitPrice::of_unit(row.price_minor),
            gross_minor: row.units * row.price_minor,
        })
        .collect()
}

fn buyer(outlet: &Outlet) -> Buyer<'_> {
    Buyer { outlet_id: uuid(50), outlet, agreement_id: &[60; 16], currency: "EUR", day: DAY }
}

fn entitled(promotions: &[&Promotion], rows: &[Row]) -> Vec<Entitled> {
    let numbered = promotions.iter().enumerate().map(|(index, promotion)| (uuid(index as u8 + 1), *promotion));
    entitle(numbered, &lines(rows, &[]), &buyer(&Outlet::default()))
}

/// What is off each line.
fn off(promotions: &[&Promotion], rows: &[Row]) -> Vec<i64> {
    entitled(promotions, rows).iter().map(Entitled::total_minor).collect()
}

fn numbers(line: &Entitled) -> Vec<u8> {
    line.parts.iter().map(|part| part.promotion_id.as_bytes()[0]).collect()
}

#[test]
fn per_cent_are_rounded_by_the_line() {
    assert_eq!(off(&[&percent(1_000)], &[row(1, TEA, 1, 995), row(2, SUGAR, 3, 333)]), [100, 100]);
    assert_eq!(off(&[&percent(10_000)], &[row(1, TEA, 1, 995)]), [995]);
}

#[test]
fn a_sum_is_shared_out_to_the_last_unit() {
    let ten = promotion(Benefit::AmountMinor(1_000));
    assert_eq!(off(&[&ten], &[row(1, TEA, 1, 1_000), row(2, SUGAR, 1, 1_000), row(3, CUP, 1, 1_000)]), [334, 333, 333]);
    assert_eq!(off(&[&ten], &[row(3, TEA, 1, 1_000), row(2, SUGAR, 1, 1_000), row(1, CUP, 1, 1_000)]), [333, 333, 334]);
    assert_eq!(off(&[&ten], &[row(1, TEA, 1, 300), row(2, SUGAR, 1, 200)]), [300, 200], "never more than there is");
    assert_eq!(off(&[&ten], &[row(1, TEA, 1, 0)]), [0]);
}

#[test]
fn a_special_price_counts_where_it_is_lower() {
    let special = promotion(Benefit::SpecialPrice(SpecialPrice { price_minor: 5_000, per_milli: 6_000 }));
    assert_eq!(off(&[&special], &[row(1, TEA, 3, 1_000), row(2, SUGAR, 3, 800)]), [500, 0]);
}

#[test]
fn of_each_so_and_so_much_of_a_product_some_is_free() {
    let third = promotion(Benefit::FreeGoods(FreeGoods { every_milli: 2_000, free_milli: 1_000, product_id: vec![] }));
    assert_eq!(off(&[&third], &[row(1, TEA, 2, 100)]), [0]);
    assert_eq!(off(&[&third], &[row(1, TEA, 3, 100), row(2, SUGAR, 7, 10)]), [100, 20]);
    let tea_twice = [row(2, TEA, 2, 100), row(1, TEA, 1, 90)];
    assert_eq!(off(&[&third], &tea_twice), [0, 90], "the line with the smallest id comes first");
}

#[test]
fn a_gift_is_free_as_far_as_the_order_has_it() {
    let gift = FreeGoods { every_milli: 10_000, free_milli: 1_000, product_id: id(CUP) };
    let gift = Promotion { product_ids: vec![id(TEA)], ..promotion(Benefit::FreeGoods(gift)) };
    assert_eq!(off(&[&gift], &[row(1, TEA, 25, 100), row(2, CUP, 5, 70)]), [0, 140]);
    assert_eq!(off(&[&gift], &[row(1, TEA, 25, 100), row(2, CUP, 1, 70)]), [0, 70]);
    assert_eq!(off(&[&gift], &[row(1, TEA, 9, 100), row(2, CUP, 1, 70)]), [0, 0]);
    let of_all = Promotion { product_ids: vec![], ..gift };
    assert_eq!(off(&[&of_all], &[row(2, CUP, 100, 70)]), [0], "gifts earn no gifts");
}

#[test]
fn what_is_in_whole_bundles_is_cheaper() {
    let item = |product, units: i64| BundleItem { product_id: id(product), quantity_milli: units * 1_000 };
    let bundle = Bundle { items: vec![item(TEA, 2), item(CUP, 1)], percent_bp: 5_000 };
    let bundle = promotion(Benefit::Bundle(bundle));
    assert_eq!(off(&[&bundle], &[row(1, TEA, 5, 100), row(2, CUP, 9, 70), row(3, SUGAR, 1, 10)]), [200, 70, 0]);
    assert_eq!(off(&[&bundle], &[row(1, TEA, 5, 100)]), [0]);
}

#[test]
fn thresholds_are_of_all_the_goods_together() {
    let enough = Promotion { min_quantity_milli: 5_000, product_ids: vec![id(TEA), id(SUGAR)], ..percent(1_000) };
    assert_eq!(off(&[&enough], &[row(1, TEA, 2, 100), row(2, SUGAR, 3, 10), row(3, CUP, 1, 70)]), [20, 3, 0]);
    assert_eq!(off(&[&enough], &[row(1, TEA, 2, 100), row(2, SUGAR, 2, 10), row(3, CUP, 9, 70)]), [0, 0, 0]);
    let dear = Promotion { min_sum_minor: 230, ..enough };
    assert_eq!(off(&[&dear], &[row(1, TEA, 2, 100), row(2, SUGAR, 3, 10)]), [20, 3]);
    assert_eq!(off(&[&dear], &[row(1, TEA, 2, 99), row(2, SUGAR, 3, 10)]), [0, 0]);
}

#[test]
fn groups_hold_what_is_below_them() {
    let groups = ["Food".to_owned(), "Tea".to_owned()];
    let of = |path: &[&str]| {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        let promotion = Promotion { product_groups: vec![ProductGroup { path }], ..percent(1_000) };
        let rows = [row(1, TEA, 1, 100)];
        entitle([(uuid(1), &promotion)], &lines(&rows, &groups), &buyer(&Outlet::default()))[0].total_minor()
    };
    assert_eq!([of(&["Food"]), of(&["Food", "Tea"]), of(&["Tea"]), of(&["Food", "Tea", "Green"])], [10, 10, 0, 0]);
}

#[test]
fn a_promotion_is_for_its_audience_its_days_and_its_currency() {
    let outlet = Outlet {
        labels: vec!["pharmacy".to_owned()],
        outlet_class: OutletClass::A.into(),
        chain_id: id(70),
        ..Outlet::default()
    };
    let is_for = |promotion: Promotion| applies(&promotion, &buyer(&outlet));
    let only = |audience: Audience| Promotion { audience: Some(audience), ..percent(1) };
    assert!(is_for(percent(1)) && is_for(only(Audience::default())));
    assert!(is_for(only(Audience { outlet_ids: vec![id(50)], ..Audience::default() })));
    assert!(!is_for(only(Audience { outlet_ids: vec![id(51)], ..Audience::default() })));
    let labels = |label: &str| Audience { outlet_labels: vec![label.to_owned()], ..Audience::default() };
    assert!(is_for(only(labels("pharmacy"))) && !is_for(only(labels("kiosk"))));
    let classes = |class: OutletClass| Audience { outlet_classes: vec![class.into()], ..Audience::default() };
    assert!(is_for(only(classes(OutletClass::A))) && !is_for(only(classes(OutletClass::B))));
    let chains = |chain: u8| Audience { chain_ids: vec![id(chain)], ..Audience::default() };
    assert!(is_for(only(chains(70))) && !is_for(only(chains(71))));
    assert!(is_for(only(Audience { agreement_ids: vec![id(60)], outlet_ids: vec![id(51)], ..Audience::default() })));
    let days = |valid_from_day, valid_to_day| Promotion { valid_from_day, valid_to_day, ..percent(1) };
    assert!(is_for(days(DAY, DAY)) && !is_for(days(DAY + 1, 0)) && !is_for(days(0, DAY - 1)));
    assert!(!is_for(Promotion { closed: true, ..percent(1) }));
    assert!(!is_for(Promotion { currency: "SEK".to_owned(), ..percent(1) }));
}

#[test]
fn the_best_counts_or_those_that_add_up() {
    let (ten, twelve) = (percent(1_000), percent(1_200));
    let sum = |promotion: &Promotion| stacking(Stacking::Sum, promotion.clone());
    let rows = [row(1, TEA, 1, 1_000)];
    let found = entitled(&[&ten, &twelve], &rows);
    assert_eq!((numbers(&found[0]), found[0].total_minor(), found[0].candidates.len()), (vec![2], 120, 2));
    let found = entitled(&[&twelve, &sum(&ten), &sum(&percent(300))], &rows);
    assert_eq!((numbers(&found[0]), found[0].total_minor()), (vec![2, 3], 130), "together they are more");
    let found = entitled(&[&percent(1_300), &sum(&ten), &sum(&percent(300))], &rows);
    assert_eq!(numbers(&found[0]), [2, 3], "as much");
    let found = entitled(&[&percent(1_310), &sum(&ten), &sum(&percent(300))], &rows);
    assert_eq!(numbers(&found[0]), [1]);
    assert_eq!(off(&[&sum(&percent(6_000)), &sum(&percent(7_000))], &rows), [1_000], "not more than the price");
}

#[test]
fn an_exclusive_one_displaces_all_others_where_it_applies() {
    let exclusive = |priority, percent_bp| Promotion {
        priority,
        product_ids: vec![id(TEA)],
        ..stacking(Stacking::Exclusive, percent(percent_bp))
    };
    let rows = [row(1, TEA, 1, 1_000), row(2, SUGAR, 1, 1_000)];
    let found = entitled(&[&percent(5_000), &exclusive(1, 300), &exclusive(2, 100)], &rows);
    assert_eq!((numbers(&found[0]), numbers(&found[1])), (vec![3], vec![1]));
    let found = entitled(&[&exclusive(1, 300), &exclusive(1, 400)], &rows);
    assert_eq!(numbers(&found[0]), [2], "of the same priority the better one");
}

#[test]
fn what_could_make_a_price_negative_is_no_promotion() {
    let refused = |promotion: Promotion| form(&promotion).map_err(|rejection| (rejection.reason, rejection.field));
    let out_of = |field: &str| Err((Reason::OutOfRange, field.to_owned()));
    assert_eq!(refused(percent(10_000)), Ok(()));
    assert_eq!((refused(percent(10_001)), refused(percent(0))), (out_of("percent_bp"), out_of("percent_bp")));
    assert_eq!(refused(promotion(Benefit::AmountMinor(0))), out_of("amount_minor"));
    let special = |price_minor| promotion(Benefit::SpecialPrice(SpecialPrice { price_minor, per_milli: 0 }));
    assert_eq!((refused(special(0)), refused(special(-1))), (Ok(()), out_of("price_minor")));
    let free = |every_milli| FreeGoods { every_milli, free_milli: 1, product_id: vec![] };
    assert_eq!(refused(promotion(Benefit::FreeGoods(free(0)))), out_of("every_milli"));
    let item = |product| BundleItem { product_id: id(product), quantity_milli: 1 };
    let bundle = |items| promotion(Benefit::Bundle(Bundle { items, percent_bp: 1 }));
    assert_eq!(refused(bundle(vec![item(TEA)])), out_of("items"));
    assert_eq!(refused(bundle(vec![item(TEA), item(TEA)])), Err((Reason::RepeatedId, "product_id".to_owned())));
    let days = Promotion { valid_from_day: 5, valid_to_day: 4, ..percent(1) };
    assert_eq!(refused(days), out_of("valid_to_day"));
    assert_eq!(refused(Promotion { benefit: None, ..percent(1) }), Err((Reason::MissingField, "benefit".to_owned())));
}

fn claim(number: u8, promotion_version: i64, discount_minor: i64) -> LinePromotion {
    LinePromotion { promotion_id: id(number), promotion_version, discount_minor, counted_minor: 0 }
}

fn known(number: u8, promotion: &Promotion, version: i64, changed_h: i64) -> Known<'_> {
    let (changed_at_us, spent) = (changed_h * HOUR_US, Spent::default());
    Known { id: uuid(number), version, changed_at_us, promotion, before: None, spent }
}

/// Whether what is shown on one line of 1,000 counts, captured after so many hours.
fn counts(shown: &[LinePromotion], known: &[Known<'_>], captured_h: i64) -> bool {
    let rows = [row(1, TEA, 1, 1_000)];
    let claims = [Claims { promotions: shown, captured_at_us: captured_h * HOUR_US }];
    claims_that_count(&claims, known, &lines(&rows, &[]), &buyer(&Outlet::default()), 24 * HOUR_US)[0]
}

#[test]
fn c07_what_was_shown_counts_as_far_as_the_line_is_entitled_to_it() {
    let ten = percent(1_000);
    assert!(counts(&[claim(1, 5, 100)], &[known(1, &ten, 5, 0)], 500));
    assert!(counts(&[claim(1, 5, 99)], &[known(1, &ten, 5, 0)], 500) && counts(&[], &[known(1, &ten, 5, 0)], 500));
    assert!(!counts(&[claim(1, 5, 101)], &[known(1, &ten, 5, 0)], 500));
    assert!(!counts(&[claim(2, 5, 100)], &[known(1, &ten, 5, 0)], 500), "unknown, or another one's");
    let twenty = percent(2_000);
    let both = [known(1, &ten, 5, 0), known(2, &twenty, 5, 0)];
    assert!(!counts(&[claim(1, 5, 100), claim(2, 5, 200)], &both, 500), "they don't add up");
}

#[test]
fn c07_one_that_has_ended_is_honoured_within_the_grace() {
    let was = percent(1_000);
    let closed = Promotion { closed: true, ..was.clone() };
    let ended = [Known { before: Some(&was), ..known(1, &closed, 7, 48) }];
    assert!(counts(&[claim(1, 5, 100)], &ended, 40) && counts(&[claim(1, 5, 100)], &ended, 72));
    assert!(!counts(&[claim(1, 5, 100)], &ended, 73), "too late");
    assert!(!counts(&[claim(1, 7, 100)], &ended, 40), "the device knew");
    assert!(!counts(&[claim(1, 5, 101)], &ended, 40), "never so much");
    assert!(!counts(&[claim(1, 5, 100)], &[known(1, &closed, 7, 48)], 40), "nobody knows what it was");
}

#[test]
fn c07_one_that_came_meanwhile_displaces_nothing_within_the_grace() {
    let ten = percent(1_000);
    let exclusive = stacking(Stacking::Exclusive, percent(100));
    let both = [known(1, &ten, 5, 0), known(2, &exclusive, 7, 48)];
    assert!(counts(&[claim(1, 5, 100)], &both, 72));
    assert!(!counts(&[claim(1, 5, 100)], &both, 73));
}

#[test]
fn c07_a_budget_is_spent_by_confirmed_orders_and_given_back() {
    let limited = Promotion { budget_minor: Some(1_000), budget_milli: Some(5_000), ..percent(1_000) };
    let spent = |minor, milli| Spent { minor, milli };
    let over = |gone, before, after| over_budget(&limited, gone, before, after).map(|over| (over.left, over.wanted));
    let none = Spent::default();
    assert_eq!(over(spent(900, 0), none, spent(100, 0)), None);
    assert_eq!(over(spent(901, 0), none, spent(100, 0)), Some((99, 100)));
    assert_eq!(over(spent(1_000, 0), spent(100, 0), spent(100, 0)), None, "its own");
    assert_eq!(over(spent(5_000, 0), spent(100, 0), spent(100, 0)), None, "what it has it keeps");
    assert_eq!(over(spent(0, 4_000), none, spent(1, 2_000)), Some((1_000, 2_000)));
    let part = |counted_minor| LinePromotion { counted_minor, ..claim(1, 5, 100) };
    let line = |promotions| OrderLine { confirmed_milli: 2_000, promotions, ..OrderLine::default() };
    let lines = vec![line(vec![part(70)]), line(vec![part(30)])];
    let order = |status: OrderStatus| Order { status: status.into(), lines: lines.clone(), ..Order::default() };
    assert_eq!(counted(&order(OrderStatus::Confirmed)), [(uuid(1), spent(100, 4_000))].into());
    assert!(counted(&order(OrderStatus::Submitted)).is_empty() && counted(&order(OrderStatus::Cancelled)).is_empty());
}

fn benefits() -> impl Strategy<Value = Benefit> {
    let items = proptest::collection::btree_map(0..4_u8, 1..3_000_i64, 2..4).prop_map(|items| {
        let item = |(product, quantity_milli)| BundleItem { product_id: id(product), quantity_milli };
        items.into_iter().map(item).collect::<Vec<_>>()
    });
    prop_oneof![
        (1..=10_000).prop_map(Benefit::PercentBp),
        (1..5_000_i64).prop_map(Benefit::AmountMinor),
        (0..1_500_i64, 0..3_000_i64)
            .prop_map(|(price_minor, per_milli)| Benefit::SpecialPrice(SpecialPrice { price_minor, per_milli })),
        (1..5_000_i64, 1..3_000_i64, proptest::option::of(0..4_u8)).prop_map(|(every_milli, free_milli, product)| {
            Benefit::FreeGoods(FreeGoods { every_milli, free_milli, product_id: product.map(id).unwrap_or_default() })
        }),
        (items, 1..=10_000).prop_map(|(items, percent_bp)| Benefit::Bundle(Bundle { items, percent_bp })),
    ]
}

fn promotions() -> impl Strategy<Value = Vec<Promotion>> {
    let one = (benefits(), 0..4, -2..3, 0..4_000_i64, 0..4_000_i64, proptest::collection::vec(0..4_u8, 0..3)).prop_map(
        |(benefit, stacking, priority, min_quantity_milli, min_sum_minor, products)| Promotion {
            stacking,
            priority,
            min_quantity_milli,
            min_sum_minor,
            product_ids: products.into_iter().map(id).collect(),
            ..promotion(benefit)
        },
    );
    proptest::collection::vec(one, 0..6)
}

proptest! {
    #[test]
    fn nothing_costs_less_than_nothing_and_no_order_of_anything_matters(
        promotions in promotions(),
        rows in proptest::collection::vec((0..4_u8, 0..9_000_i64, 0..2_000_i64), 1..6),
        turn in any::<u8>(),
    ) {
        let rows: Vec<(u8, u8, i64, i64)> = rows.iter().enumerate().map(|(line, row)| (line as u8, row.0, row.1, row.2)).collect();
        let run = |rows: &[(u8, u8, i64, i64)], promotions: &[(Uuid, &Promotion)]| -> Vec<(u8, Entitled)> {
            let ids: Vec<(Vec<u8>, Vec<u8>)> = rows.iter().map(|row| (id(row.0), id(row.1))).collect();
            let lines: Vec<Line<'_>> = rows.iter().zip(&ids).map(|(row, ids)| Line {
                line_id: &ids.0,
                product_id: &ids.1,
                group_path: &[],
                quantity_milli: row.2,
                rate: UnitPrice::of_unit(row.3),
                gross_minor: money::gross(row.2, row.3, 1_000).expect("in range"),
            }).collect();
            let found = entitle(promotions.iter().copied(), &lines, &buyer(&Outlet::default()));
            for (line, found) in lines.iter().zip(&found) {
                assert!(found.total_minor() <= line.gross_minor, "{found:?}");
                assert!(found.parts.iter().all(|part| part.discount_minor > 0));
                for part in &found.parts {
                    let by_itself = found.candidates.iter().find(|candidate| candidate.promotion_id == part.promotion_id);
                    assert!(by_itself.is_some_and(|candidate| part.discount_minor <= candidate.discount_minor));
                }
            }
            let mut found: Vec<(u8, Entitled)> = rows.iter().map(|row| row.0).zip(found).collect();
            found.sort_by_key(|(line, _)| *line);
            found
        };
        let numbered: Vec<(Uuid, &Promotion)> =
            promotions.iter().enumerate().map(|(index, promotion)| (uuid(index as u8), promotion)).collect();
        let first = run(&rows, &numbered);
        let (mut turned_rows, mut turned) = (rows.clone(), numbered.clone());
        turned_rows.rotate_left(usize::from(turn) % rows.len());
        turned_rows.reverse();
        turned.reverse();
        prop_assert_eq!(run(&turned_rows, &turned), first);
    }

    #[test]
    fn no_input_panics(promotions in promotions(), quantity in any::<i64>(), price in any::<i64>(), per in any::<i64>(), gross in any::<i64>()) {
        let row = row(1, TEA, 0, 0);
        let line = Line {
            line_id: &row.line,
            product_id: &row.product,
            group_path: &[],
            quantity_milli: quantity,
            rate: UnitPrice { price_minor: price, per_milli: per },
            gross_minor: gross.saturating_abs(),
        };
        let numbered = promotions.iter().enumerate().map(|(index, promotion)| (uuid(index as u8), promotion));
        let _ = entitle(numbered, &[line, line], &buyer(&Outlet::default()));
    }
}
