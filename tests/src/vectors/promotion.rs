//! What promotions take off the lines of an order.

use prost::Message as _;
use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::{
    Audience, Bundle, BundleItem, FreeGoods, Outlet, OutletClass, ProductGroup, Promotion, SpecialPrice, Stacking,
};
use roundsman_sync::trade::money;
use roundsman_sync::trade::price::UnitPrice;
use roundsman_sync::trade::promotion::{Buyer, Line, entitle};
use serde_json::{Value, json};
use uuid::Uuid;

use super::dice::Dice;
use super::{Case, Family, hex, id, id_hex, naive, wide};

const ABOUT: &str = "Promotions as serialized roundsman.trade.v1.Promotion messages with their record ids; an order's outlet as \
                     a serialized roundsman.trade.v1.Outlet, its agreement, currency and day; and its lines, each with its \
                     quantity in thousandths of the base unit and the price for `per_milli` of it. Expected are, for each \
                     line in the order of the lines, the promotions that count, by their ids, and what each takes off. The \
                     expected values were worked out with exact fractions by code of its own, which shares nothing with the \
                     server's.";
/// So many orders are drawn beside those that show one thing each.
const DRAWN: u64 = 160;

const TEA: u128 = 11;
const SUGAR: u128 = 12;
const CUP: u128 = 13;
const CAKE: u128 = 14;
const TODAY: i32 = 20_000;

/// An order, as promotions see it.
#[derive(Clone, Debug)]
pub(super) struct Order {
    pub(super) outlet_id: Uuid,
    pub(super) outlet: Outlet,
    pub(super) agreement_id: Uuid,
    pub(super) currency: String,
    pub(super) day: i32,
    pub(super) lines: Vec<OrderLine>,
}

/// A line of it.
#[derive(Clone, Debug)]
pub(super) struct OrderLine {
    pub(super) line_id: Uuid,
    pub(super) product_id: Uuid,
    pub(super) group_path: Vec<String>,
    pub(super) quantity_milli: i64,
    pub(super) price_minor: i64,
    pub(super) per_milli: i64,
}

impl Order {
    /// What a line comes to before anything is off.
    pub(super) fn gross(&self, line: usize) -> i128 {
        let line = &self.lines[line];
        naive::Exact::of(i128::from(line.quantity_milli) * i128::from(line.price_minor), line.per_milli.into())
            .rounded()
    }
}

pub(super) fn family() -> Family {
    let mut cases = shown();
    for seed in 1..=DRAWN {
        cases.push(drawn(seed));
    }
    Family { name: "promotion", about: ABOUT, cases }
}

fn of(benefit: Benefit) -> Promotion {
    Promotion { name: "P".to_owned(), currency: "EUR".to_owned(), benefit: Some(benefit), ..Promotion::default() }
}

fn percent(percent_bp: i32) -> Promotion {
    of(Benefit::PercentBp(percent_bp))
}

fn of_products(products: &[u128], promotion: Promotion) -> Promotion {
    Promotion { product_ids: products.iter().map(|product| id(*product).as_bytes().to_vec()).collect(), ..promotion }
}

fn order(lines: &[(u128, u128, i64, i64)]) -> Order {
    let line = |(line, product, quantity_milli, price_minor): &(u128, u128, i64, i64)| OrderLine {
        line_id: id(*line),
        product_id: id(*product),
        group_path: group(*product),
        quantity_milli: *quantity_milli,
        price_minor: *price_minor,
        per_milli: 1_000,
    };
    Order {
        outlet_id: id(50),
        outlet: Outlet {
            labels: vec!["pharmacy".to_owned()],
            chain_id: vec![7; 16],
            outlet_class: OutletClass::A.into(),
            ..Outlet::default()
        },
        agreement_id: id(60),
        currency: "EUR".to_owned(),
        day: TODAY,
        lines: lines.iter().map(line).collect(),
    }
}

fn group(product: u128) -> Vec<String> {
    let path: &[&str] = match product {
        TEA => &["Food", "Drinks", "Tea"],
        SUGAR => &["Food", "Sugar"],
        CUP => &["Tableware"],
        _ => &[],
    };
    path.iter().map(|name| (*name).to_owned()).collect()
}

/// Orders that show one thing each.
fn shown() -> Vec<Case> {
    let mut cases = benefits();
    cases.extend(conditions());
    cases.extend(together());
    let case = |(name, promotions, order): Shown| case(name, &numbered(promotions), &order);
    cases.into_iter().map(case).collect()
}

/// What a case shows, its promotions, and its order.
type Shown = (&'static str, Vec<Promotion>, Order);

fn two() -> Order {
    order(&[(1, TEA, 3_000, 995), (2, SUGAR, 2_500, 333)])
}

fn equal() -> Order {
    order(&[(3, TEA, 1_000, 1_000), (1, SUGAR, 1_000, 1_000), (2, CUP, 1_000, 1_000)])
}

fn benefits() -> Vec<Shown> {
    let third = |product: Option<u128>| {
        let product_id = product.map(|product| id(product).as_bytes().to_vec()).unwrap_or_default();
        of(Benefit::FreeGoods(FreeGoods { every_milli: 2_000, free_milli: 1_000, product_id }))
    };
    let item =
        |product: u128, quantity_milli| BundleItem { product_id: id(product).as_bytes().to_vec(), quantity_milli };
    let bundle = Bundle { items: vec![item(TEA, 2_000), item(CUP, 1_000)], percent_bp: 3_333 };
    let special = |price_minor, per_milli| of(Benefit::SpecialPrice(SpecialPrice { price_minor, per_milli }));
    let amount = |amount_minor| of(Benefit::AmountMinor(amount_minor));
    let gifts = || order(&[(1, TEA, 5_000, 300), (3, CUP, 1_000, 70), (2, CUP, 2_000, 80)]);
    vec![
        ("no promotion", vec![], two()),
        ("per cent are rounded by the line", vec![percent(1_250)], two()),
        ("everything is off", vec![percent(10_000)], two()),
        ("a sum in proportion", vec![amount(1_000)], two()),
        ("of equal rests the smallest id comes first", vec![amount(1_000)], equal()),
        ("a sum that is larger than the order", vec![amount(1_000_000)], two()),
        ("a special price", vec![special(900, 0)], two()),
        ("a special price for half a dozen", vec![special(5_000, 6_000)], two()),
        ("a special price that is none", vec![special(996, 0)], two()),
        ("a third is free", vec![third(None)], two()),
        ("gifts, the line with the smallest id first", vec![third(Some(CUP))], gifts()),
        ("gifts of a product that is not ordered", vec![third(Some(CAKE))], gifts()),
        ("goods that are cheaper together", vec![of(Benefit::Bundle(bundle))], gifts()),
    ]
}

fn conditions() -> Vec<Shown> {
    let only = |audience| vec![Promotion { audience: Some(audience), ..percent(1_000) }];
    let days = |valid_from_day, valid_to_day| vec![Promotion { valid_from_day, valid_to_day, ..percent(1_000) }];
    let path = |path: &[&str]| {
        let path = path.iter().map(|name| (*name).to_owned()).collect();
        vec![Promotion { product_groups: vec![ProductGroup { path }], ..percent(1_000) }]
    };
    let quantity = |min_quantity_milli| vec![Promotion { min_quantity_milli, ..percent(1_000) }];
    let sum = |min_sum_minor| vec![Promotion { min_sum_minor, ..percent(1_000) }];
    let another = Audience { outlet_ids: vec![vec![9; 16]], ..Audience::default() };
    let label = Audience { outlet_labels: vec!["pharmacy".to_owned()], ..Audience::default() };
    let class = Audience { outlet_classes: vec![OutletClass::B.into()], ..Audience::default() };
    let chain = |number: u8| Audience { chain_ids: vec![vec![number; 16]], ..Audience::default() };
    let agreement = Audience { agreement_ids: vec![id(60).as_bytes().to_vec()], ..another.clone() };
    let cases = [
        ("only these products", vec![of_products(&[SUGAR], percent(1_000))]),
        ("a group and what is below it", path(&["Food"])),
        ("a group that begins otherwise", path(&["Drinks"])),
        ("enough of the goods", quantity(5_500)),
        ("not enough of the goods", quantity(5_501)),
        ("goods for enough", sum(3_818)),
        ("goods for too little", sum(3_819)),
        ("on the first day", days(TODAY, 0)),
        ("on the last day", days(0, TODAY)),
        ("before the first day", days(TODAY + 1, 0)),
        ("behind the last day", days(0, TODAY - 1)),
        ("closed before its time", vec![Promotion { closed: true, ..percent(1_000) }]),
        ("in another currency", vec![Promotion { currency: "SEK".to_owned(), ..percent(1_000) }]),
        ("for nobody in particular", only(Audience::default())),
        ("for another outlet", only(another)),
        ("for outlets with a label", only(label)),
        ("for outlets of another class", only(class)),
        ("for outlets of the chain", only(chain(7))),
        ("for outlets of another chain", only(chain(8))),
        ("for an agreement, or an outlet that is another", only(agreement)),
    ];
    cases.into_iter().map(|(name, promotions)| (name, promotions, two())).collect()
}

fn together() -> Vec<Shown> {
    let stacked = |stacking: Stacking, priority, percent_bp| Promotion {
        stacking: stacking.into(),
        priority,
        ..percent(percent_bp)
    };
    let sum = |percent_bp| stacked(Stacking::Sum, 0, percent_bp);
    let exclusive = |priority, percent_bp| stacked(Stacking::Exclusive, priority, percent_bp);
    vec![
        ("the best of two", vec![percent(1_000), percent(1_100)], two()),
        ("two that add up to more than the best", vec![percent(1_000), sum(600), sum(500)], two()),
        ("the best takes more off than those that add up", vec![percent(1_200), sum(600), sum(500)], two()),
        ("as much as the best", vec![percent(1_000), sum(500), sum(500)], equal()),
        (
            "more than the price, by priority",
            vec![stacked(Stacking::Sum, 1, 7_000), stacked(Stacking::Sum, 2, 6_000)],
            two(),
        ),
        (
            "an exclusive one displaces a better one",
            vec![percent(5_000), of_products(&[TEA], exclusive(0, 100))],
            two(),
        ),
        ("of exclusive ones the greatest priority", vec![exclusive(1, 5_000), exclusive(2, 100)], two()),
        (
            "of exclusive ones with the same priority the better one",
            vec![exclusive(1, 100), exclusive(1, 5_000)],
            two(),
        ),
    ]
}

fn numbered(promotions: Vec<Promotion>) -> Vec<(Uuid, Promotion)> {
    promotions.into_iter().enumerate().map(|(index, promotion)| (id(100 + index as u128), promotion)).collect()
}

/// An order that was drawn, with up to five promotions.
fn drawn(seed: u64) -> Case {
    let mut dice = Dice(seed);
    let products = [TEA, SUGAR, CUP, CAKE];
    let mut lines = Vec::new();
    for line in 0..1 + dice.below(5) {
        let number = u128::from(dice.below(1_000)) * 10 + u128::from(line);
        lines.push((number, dice.of(&products), 1 + dice.small(9_000), dice.small(2_000)));
    }
    let mut order = order(&lines);
    for line in &mut order.lines {
        line.per_milli = if dice.one_in(4) { 1 + dice.small(12_000) } else { 1_000 };
    }
    let mut promotions = Vec::new();
    for _ in 0..1 + dice.below(5) {
        let promotion = Promotion {
            min_quantity_milli: if dice.one_in(3) { dice.small(12_000) } else { 0 },
            min_sum_minor: if dice.one_in(3) { dice.small(12_000) } else { 0 },
            stacking: dice.of(&[Stacking::Best, Stacking::Sum, Stacking::Sum, Stacking::Exclusive]).into(),
            priority: i32::try_from(dice.small(4)).expect("a small number") - 1,
            ..drawn_benefit(&mut dice)
        };
        let bundle = matches!(promotion.benefit, Some(Benefit::Bundle(_)));
        let some = [dice.of(&products), dice.of(&products)];
        promotions.push(if bundle || dice.one_in(2) { promotion } else { of_products(&some, promotion) });
    }
    case(format!("drawn, {seed}"), &numbered(promotions), &order)
}

fn drawn_benefit(dice: &mut Dice) -> Promotion {
    let products = [TEA, SUGAR, CUP, CAKE];
    of(match dice.below(5) {
        0 => Benefit::PercentBp(1 + i32::try_from(dice.small(10_000)).expect("a small number")),
        1 => Benefit::AmountMinor(1 + dice.small(3_000)),
        2 => Benefit::SpecialPrice(SpecialPrice { price_minor: dice.small(1_500), per_milli: dice.small(3) * 1_000 }),
        3 => Benefit::FreeGoods(FreeGoods {
            every_milli: 1 + dice.small(4_000),
            free_milli: 1 + dice.small(2_000),
            product_id: if dice.one_in(2) { id(dice.of(&products)).as_bytes().to_vec() } else { Vec::new() },
        }),
        _ => {
            let item = |product: u128, quantity_milli| BundleItem {
                product_id: id(product).as_bytes().to_vec(),
                quantity_milli,
            };
            let items = vec![item(TEA, 1 + dice.small(3_000)), item(dice.of(&products[1..]), 1 + dice.small(3_000))];
            Benefit::Bundle(Bundle {
                items,
                percent_bp: 1 + i32::try_from(dice.small(10_000)).expect("a small number"),
            })
        }
    })
}

fn case(name: impl Into<String>, promotions: &[(Uuid, Promotion)], order: &Order) -> Case {
    let name = name.into();
    let expected = naive::promotions(promotions, order);
    assert_eq!(by_the_code(promotions, order), expected, "{name}: {promotions:?} {order:?}");
    let written: Vec<Value> = promotions
        .iter()
        .map(|(id, promotion)| json!({ "record_id": id_hex(*id), "document": hex(promotion.encode_to_vec()) }))
        .collect();
    let lines: Vec<Value> = order
        .lines
        .iter()
        .map(|line| {
            json!({
                "line_id": id_hex(line.line_id),
                "product_id": id_hex(line.product_id),
                "group_path": line.group_path,
                "quantity_milli": wide(line.quantity_milli),
                "price_minor": wide(line.price_minor),
                "per_milli": wide(line.per_milli),
            })
        })
        .collect();
    let part = |(id, off): &(Uuid, i128)| json!({ "promotion_id": id_hex(*id), "discount_minor": wide(off) });
    let off: Vec<Vec<Value>> = expected.iter().map(|line| line.iter().map(part).collect()).collect();
    Case::new(
        name,
        json!({
            "promotions": written,
            "outlet_id": id_hex(order.outlet_id),
            "outlet": hex(order.outlet.encode_to_vec()),
            "agreement_id": id_hex(order.agreement_id),
            "currency": order.currency,
            "day": order.day,
            "lines": lines,
        }),
        json!({ "lines": off }),
    )
}

fn by_the_code(promotions: &[(Uuid, Promotion)], order: &Order) -> Vec<Vec<(Uuid, i128)>> {
    let lines: Vec<Line<'_>> = order
        .lines
        .iter()
        .map(|line| Line {
            line_id: line.line_id.as_bytes(),
            product_id: line.product_id.as_bytes(),
            group_path: &line.group_path,
            quantity_milli: line.quantity_milli,
            rate: UnitPrice { price_minor: line.price_minor, per_milli: line.per_milli },
            gross_minor: money::gross(line.quantity_milli, line.price_minor, line.per_milli).expect("in range"),
        })
        .collect();
    let buyer = Buyer {
        outlet_id: order.outlet_id,
        outlet: &order.outlet,
        agreement_id: order.agreement_id.as_bytes(),
        currency: &order.currency,
        day: order.day,
    };
    let found = entitle(promotions.iter().map(|(id, promotion)| (*id, promotion)), &lines, &buyer);
    let parts = |line: &roundsman_sync::trade::promotion::Entitled| {
        line.parts.iter().map(|part| (part.promotion_id, i128::from(part.discount_minor))).collect()
    };
    found.iter().map(parts).collect()
}
