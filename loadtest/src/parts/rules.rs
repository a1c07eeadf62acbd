//! The trade's rules by themselves, on one core: what a phone and a server pay to price an order, and to decide it.

use std::collections::BTreeMap;
use std::hint::black_box;

use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::{
    Agreement, NewOrderLine, Outlet, Price, PriceBreak, PriceList, Product, Promotion, ShownPromotion, Stacking,
    SubmitOrder,
};
use roundsman_sync::trade::capture::{Capture, Editor};
use roundsman_sync::trade::credit::Credit;
use roundsman_sync::trade::delivery::LocalTime;
use roundsman_sync::trade::money::{self, Rate};
use roundsman_sync::trade::order::{Decision, Goods, Setting, Terms, decide_submit};
use roundsman_sync::trade::price::{GRACE_US, Known, List, UnitPrice, Wanted, quote};
use roundsman_sync::trade::promotion::{self, Buyer, Line, Spent, entitle};
use roundsman_sync::trade::stock::Available;
use tokio::time::Instant;
use uuid::Uuid;

use crate::bench::REPETITIONS;
use crate::report::{Figure, Goal, Report};

/// Lines of an order.
const LINES: usize = 10;
/// Products that are priced one after another.
const PRODUCTS: usize = 1_000;
/// Promotions that may apply.
const PROMOTIONS: u32 = 200;
/// Orders in a repetition.
const ORDERS: u32 = 2_000;
/// Times that all products are priced in a repetition.
const ROUNDS: usize = 500;
const TODAY: i32 = 20_000;
const CURRENCY: &str = "EUR";

/// What an order is decided by.
struct Shop {
    agreement: Agreement,
    list: PriceList,
    outlet: Outlet,
    products: Vec<(Uuid, Product)>,
    prices: Vec<(Uuid, Price)>,
    promotions: Vec<(Uuid, Promotion)>,
}

fn id(number: usize) -> Uuid {
    Uuid::from_u128(0x0192_0000_0000_7000_8000_0000_0000_0000 | number as u128)
}

fn bytes(number: usize) -> Vec<u8> {
    id(number).as_bytes().to_vec()
}

const LIST: usize = 1;
const AGREEMENT: usize = 2;
const OUTLET: usize = 3;
const CUSTOMER: usize = 4;
const FIRST_PRODUCT: usize = 10_000;
const FIRST_PRICE: usize = 20_000;
const FIRST_PROMOTION: usize = 30_000;

impl Shop {
    fn open() -> Self {
        let product = |index: usize| {
            let group_path = vec![format!("Group {}", index % 20)];
            let product = Product { name: format!("Article {index}"), group_path, vat_bp: 2_000, ..Product::default() };
            (id(FIRST_PRODUCT + index), product)
        };
        let price = |index: usize| {
            let step = |min_quantity_milli, price_minor| PriceBreak { min_quantity_milli, price_minor };
            let breaks = vec![step(0, 1_000), step(12_000, 950), step(48_000, 900)];
            let price = Price {
                price_list_id: bytes(LIST),
                product_id: bytes(FIRST_PRODUCT + index),
                breaks,
                valid_from_day: TODAY - 100,
                ..Price::default()
            };
            (id(FIRST_PRICE + index), price)
        };
        Self {
            agreement: Agreement {
                price_list_id: bytes(LIST),
                currency: CURRENCY.to_owned(),
                manual_discount_limit_bp: 500,
                ..Agreement::default()
            },
            list: PriceList { currency: CURRENCY.to_owned(), ..PriceList::default() },
            outlet: Outlet { agreement_ids: vec![bytes(AGREEMENT)], customer_id: bytes(CUSTOMER), ..Outlet::default() },
            products: (0..PRODUCTS).map(product).collect(),
            prices: (0..PRODUCTS).map(price).collect(),
            promotions: (0..PROMOTIONS).map(promotion).collect(),
        }
    }

    /// An order as a phone hands it in: priced and promoted by the same rules.
    fn order(&self) -> SubmitOrder {
        let line = |index: usize| NewOrderLine {
            line_id: bytes(40_000 + index),
            product_id: bytes(FIRST_PRODUCT + index),
            coefficient_milli: 1_000,
            quantity_milli: 6_000,
            price_id: bytes(FIRST_PRICE + index),
            price_version: 5,
            shown_price_minor: 1_000,
            ..NewOrderLine::default()
        };
        let mut lines: Vec<NewOrderLine> = (0..LINES).map(line).collect();
        let rows: Vec<Line<'_>> = lines
            .iter()
            .zip(&self.products)
            .map(|(line, (_, product))| Line {
                line_id: &line.line_id,
                product_id: &line.product_id,
                group_path: &product.group_path,
                quantity_milli: line.quantity_milli,
                rate: UnitPrice::of_unit(line.shown_price_minor),
                gross_minor: 6 * line.shown_price_minor,
            })
            .collect();
        let agreement_id = bytes(AGREEMENT);
        let buyer = Buyer {
            outlet_id: id(OUTLET),
            outlet: &self.outlet,
            agreement_id: &agreement_id,
            currency: CURRENCY,
            day: TODAY,
        };
        let found = entitle(self.promotions.iter().map(|(id, promotion)| (*id, promotion)), &rows, &buyer);
        let shown = |part: &promotion::Part| ShownPromotion {
            promotion_id: part.promotion_id.as_bytes().to_vec(),
            promotion_version: 5,
            discount_minor: part.discount_minor,
        };
        let promotions: Vec<Vec<ShownPromotion>> =
            found.iter().map(|line| line.parts.iter().map(shown).collect()).collect();
        for (line, promotions) in lines.iter_mut().zip(promotions) {
            line.promotions = promotions;
        }
        SubmitOrder {
            order_id: bytes(50_000),
            outlet_id: bytes(OUTLET),
            agreement_id,
            currency: CURRENCY.to_owned(),
            lines,
            ..SubmitOrder::default()
        }
    }

    /// Decides it, as the server does once it has read what it needs.
    fn decide(&self, command: &SubmitOrder) -> anyhow::Result<Decision> {
        let prices: Vec<Known<'_>> = self.prices[..LINES]
            .iter()
            .map(|(id, price)| Known { id: *id, version: 5, changed_at_us: 0, price, before: None })
            .collect();
        let goods: BTreeMap<Uuid, Goods<'_>> = self.products[..LINES]
            .iter()
            .zip(&prices)
            .map(|((id, product), price)| {
                let available = Some(Available::default().counted(1_000_000_000));
                (*id, Goods { product, prices: vec![*price], available, quotas: None })
            })
            .collect();
        let promotions: Vec<promotion::Known<'_>> = self
            .promotions
            .iter()
            .map(|(id, promotion)| {
                let spent = Spent::default();
                promotion::Known { id: *id, version: 5, changed_at_us: 0, promotion, before: None, spent }
            })
            .collect();
        let price_list = List::new(id(LIST), &self.list);
        let terms = Terms { agreement: &self.agreement, price_list, floor_list: None };
        let capture = Capture { business_day: TODAY, now: LocalTime { day: TODAY, second: 0 }, ..Capture::default() };
        let setting = Setting {
            order_id: id(50_000),
            outlet_id: id(OUTLET),
            outlet: &self.outlet,
            former_agreement_ids: &[],
            other: None,
            warehouse_id: Some(id(5)),
            terms: &[(id(AGREEMENT), terms)].into(),
            goods: &goods,
            promotions: &promotions,
            credit: &Credit::default(),
            capture: &capture,
            price_grace_us: GRACE_US,
        };
        decide_submit(None, None, Editor::Rep(id(6)), command, &[], &setting)
            .map_err(|rejection| anyhow::anyhow!("the order is refused: {rejection:?}"))
    }

    /// Prices a line of each product: which price, and what it comes to.
    fn price_all(&self) -> i64 {
        let mut sum = 0_i64;
        let list = List::new(id(LIST), &self.list);
        for (index, (_, product)) in self.products.iter().enumerate() {
            let wanted = Wanted { quantity_milli: 6_000, packaging_code: "", day: TODAY };
            let price = &self.prices[index];
            let Some(found) = quote([(price.0, &price.1)], &list, &wanted) else { continue };
            let rate = Rate {
                price_minor: found.rate.price_minor,
                per_milli: found.rate.per_milli,
                promotions_minor: 0,
                discount_bp: 250,
                vat_bp: product.vat_bp,
                vat_included: false,
            };
            sum += money::line(wanted.quantity_milli, rate).map_or(0, |line| line.amount_minor);
        }
        sum
    }
}

/// Two thirds are about groups, the others about single products; some add up, some exclude.
fn promotion(number: u32) -> (Uuid, Promotion) {
    let index = number as usize;
    let promotion = Promotion {
        name: format!("Promotion {index}"),
        currency: CURRENCY.to_owned(),
        valid_to_day: TODAY + 10,
        product_ids: if index.is_multiple_of(3) { vec![bytes(FIRST_PRODUCT + index)] } else { Vec::new() },
        product_groups: if index.is_multiple_of(3) {
            Vec::new()
        } else {
            vec![roundsman_proto::trade::ProductGroup { path: vec![format!("Group {}", index % 20)] }]
        },
        min_quantity_milli: if index.is_multiple_of(4) { 3_000 } else { 0 },
        benefit: Some(match index % 4 {
            0 => Benefit::AmountMinor(100),
            _ => Benefit::PercentBp(100 + i32::try_from(index % 9).unwrap_or(0) * 50),
        }),
        stacking: if index.is_multiple_of(5) { Stacking::Sum } else { Stacking::Best }.into(),
        ..Promotion::default()
    };
    (id(FIRST_PROMOTION + index), promotion)
}

/// Measures them.
///
/// # Errors
/// When an order is not decided as it should be.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let shop = Shop::open();
    let command = shop.order();
    let shown: usize = command.lines.iter().map(|line| line.promotions.len()).sum();
    let decision = shop.decide(&command)?;
    anyhow::ensure!(shown > 0 && decision.order.holds.is_empty(), "{:?}", decision.order.holds);
    let (mut lines, mut decided) = (Vec::new(), Vec::new());
    for repetition in 0..=REPETITIONS {
        let begun = Instant::now();
        for _ in 0..ROUNDS {
            black_box(shop.price_all());
        }
        let priced = (ROUNDS * PRODUCTS) as f64 / begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        for _ in 0..ORDERS {
            black_box(shop.decide(black_box(&command))?);
        }
        let each_us = begun.elapsed().as_secs_f64() * 1e6 / f64::from(ORDERS);
        // The first one warms up.
        if repetition > 0 {
            lines.push(priced);
            decided.push(each_us);
        }
    }
    let what = "lines are priced by one core: which price, discount, tax";
    report.add(Figure::new("T1".to_owned(), what, "lines/s", lines).goal(Goal::Least(1_000_000.0)));
    let what =
        format!("an order of {LINES} lines is decided beside {PROMOTIONS} live promotions, {shown} on its lines");
    report.add(Figure::new("T2".to_owned(), what, "µs", decided).goal(Goal::Most(150.0)));
    Ok(())
}
