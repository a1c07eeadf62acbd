//! Goods that change their place without an order: brought from one warehouse into another, or found to be more or fewer.

use std::collections::BTreeMap;

use roundsman_proto::trade::{
    CountStock, Reason, StockCount, StockCountLine, StockTransfer, TransferLine, TransferStock, Warehouse,
};
use uuid::Uuid;

use super::check;
use super::order::fulfil::Mover;
use super::rejection::Rejection;
use super::stock::Available;
use super::verdict::Verdict;

/// The figures of products in a warehouse, by product.
pub type Figures = BTreeMap<Uuid, Available>;

/// What is to be stored of a transfer.
#[derive(Clone, Debug, PartialEq)]
pub struct Transferred {
    /// The transfer.
    pub transfer: StockTransfer,
    /// What the warehouse that the goods left has now.
    pub from: Figures,
    /// What the other one has now.
    pub to: Figures,
    /// The outcome.
    pub verdict: Verdict,
}

/// What is to be stored of a count.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// The count.
    pub count: StockCount,
    /// What the warehouse has now.
    pub figures: Figures,
    /// The outcome.
    pub verdict: Verdict,
}

fn lines_form<'a>(products: impl ExactSizeIterator<Item = &'a Vec<u8>>) -> Result<Vec<Uuid>, Rejection> {
    check::count(products.len(), check::LINES, "lines")?;
    if products.len() == 0 {
        return Err(check::missing("lines"));
    }
    let ids: Vec<Uuid> = products
        .enumerate()
        .map(|(index, id)| check::id(id, "product_id").map_err(check::at("lines", index)))
        .collect::<Result<_, _>>()?;
    check::unique(ids.iter().copied(), "product_id")?;
    Ok(ids)
}

/// Whether what devices are told of a warehouse is exact.
#[must_use]
pub fn is_van(warehouse: &Warehouse) -> bool {
    !warehouse.rep_id.is_empty()
}

/// Goods are brought from one warehouse into another. `current` is the transfer of this id, if there is one; `to_van`: they go into
/// a van.
///
/// # Errors
/// For its form; `REASON_STOCK_NOT_FREE`, `REASON_MISMATCH`, `REASON_ID_TAKEN`.
pub fn decide_transfer(
    current: Option<&StockTransfer>,
    command: &TransferStock,
    (mut from, mut to): (Figures, Figures),
    to_van: bool,
    mover: Mover,
) -> Result<Transferred, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    let products = lines_form(command.lines.iter().map(|line| &line.product_id))?;
    if command.from_warehouse_id == command.to_warehouse_id {
        return Err(check::mismatch("to_warehouse_id"));
    }
    let transfer = StockTransfer {
        from_warehouse_id: command.from_warehouse_id.clone(),
        to_warehouse_id: command.to_warehouse_id.clone(),
        lines: command.lines.clone(),
        moved_at_us: mover.now_us,
        moved_by_id: mover.by.as_bytes().to_vec(),
        comment: command.comment.clone(),
    };
    if let Some(current) = current {
        let (moved_at_us, moved_by_id) = (current.moved_at_us, current.moved_by_id.clone());
        return if (StockTransfer { moved_at_us, moved_by_id, ..transfer }) == *current {
            Ok(Transferred { transfer: current.clone(), from, to, verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("transfer_id"))
        };
    }
    for (index, (line, product)) in command.lines.iter().zip(products).enumerate() {
        check::quantity(line.quantity_milli, "quantity_milli").map_err(check::at("lines", index))?;
        if let Some(stock) = from.get_mut(&product).filter(|stock| stock.known) {
            let left = taken(*stock, (product, line), command.promised).map_err(check::at("lines", index))?;
            *stock = Available { as_of_us: mover.now_us, ..left };
        }
        if to_van {
            to.entry(product).or_default().known = true;
        }
        if let Some(stock) = to.get_mut(&product).filter(|stock| stock.known) {
            let came = stock.came_back(line.quantity_milli, 0);
            *stock = Available { exact: to_van, as_of_us: mover.now_us, ..came };
        }
    }
    Ok(Transferred { transfer, from, to, verdict: Verdict::done() })
}

/// So much of a product is taken away: of what is free and in no shipment or, if what is promised may be taken as well, of what lies
/// there.
fn taken(stock: Available, (product, line): (Uuid, &TransferLine), promised: bool) -> Result<Available, Rejection> {
    let free_milli = stock.free_milli().min(stock.pickable_milli());
    let most = if promised { stock.on_hand_milli } else { free_milli };
    if line.quantity_milli > most {
        let rejection = Rejection::new(Reason::StockNotFree).field("quantity_milli");
        let rejection = rejection.fact(Some(product), "free_milli", free_milli.max(0));
        return Err(rejection.fact(Some(product), "on_hand_milli", stock.on_hand_milli));
    }
    Ok(stock.came_back(-line.quantity_milli, 0))
}

/// What lies in a warehouse was counted. `current` is the count of this id, if there is one.
///
/// # Errors
/// For its form; `REASON_ID_TAKEN`.
pub fn decide_count(
    current: Option<&StockCount>,
    command: &CountStock,
    warehouse: &Warehouse,
    mut figures: Figures,
    mover: Mover,
) -> Result<Counted, Rejection> {
    check::text(&command.comment, check::TEXT_CHARS, "comment")?;
    let products = lines_form(command.lines.iter().map(|line| &line.product_id))?;
    if let Some(current) = current {
        let told = |line: &StockCountLine| (line.product_id.clone(), line.counted_milli);
        let same = current.warehouse_id == command.warehouse_id
            && current.comment == command.comment
            && current.lines.iter().map(told).eq(command.lines.iter().map(told));
        return if same {
            Ok(Counted { count: current.clone(), figures, verdict: Verdict::nothing_to_do() })
        } else {
            Err(Rejection::new(Reason::IdTaken).field("count_id"))
        };
    }
    let mut count = StockCount {
        warehouse_id: command.warehouse_id.clone(),
        rep_id: warehouse.rep_id.clone(),
        counted_at_us: mover.now_us,
        counted_by_id: mover.by.as_bytes().to_vec(),
        comment: command.comment.clone(),
        ..StockCount::default()
    };
    let mut verdict = Verdict::done();
    for (index, (line, product)) in command.lines.iter().zip(products).enumerate() {
        check::range(line.counted_milli, 0..=check::QUANTITY_MILLI, "counted_milli")
            .map_err(check::at("lines", index))?;
        let expected_milli = figures.get(&product).filter(|stock| stock.known).map(|stock| stock.on_hand_milli);
        if let Some(expected_milli) = expected_milli.filter(|expected| *expected != line.counted_milli) {
            verdict.reason = Reason::StockDiffers;
            verdict = verdict.fact(Some(product), "expected_milli", expected_milli);
        }
        let stock = figures.entry(product).or_default();
        let counted = stock.counted(line.counted_milli);
        *stock = Available { exact: is_van(warehouse), as_of_us: mover.now_us, ..counted };
        count.lines.push(StockCountLine { expected_milli, ..line.clone() });
    }
    Ok(Counted { count, figures, verdict })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEA: Uuid = Uuid::from_u128(20);
    const MOVER: Mover = Mover { by: Uuid::nil(), now_us: 50 };

    fn id(number: u8) -> Vec<u8> {
        vec![number; 16]
    }

    fn of(stock: Option<Available>) -> Figures {
        stock.into_iter().map(|stock| (TEA, stock)).collect()
    }

    fn transfer(quantity_milli: i64) -> TransferStock {
        let lines = vec![TransferLine { product_id: TEA.as_bytes().to_vec(), quantity_milli }];
        TransferStock {
            transfer_id: id(1),
            from_warehouse_id: id(2),
            to_warehouse_id: id(3),
            lines,
            ..TransferStock::default()
        }
    }

    #[test]
    fn what_is_promised_stays_unless_somebody_says_otherwise() {
        let stock = Available::default().counted(10_000).reserving(0, 7_000);
        let brought = |quantity_milli, promised| {
            let command = TransferStock { promised, ..transfer(quantity_milli) };
            decide_transfer(None, &command, (of(Some(stock)), Figures::new()), true, MOVER)
        };
        let done = brought(3_000, false).expect("free");
        assert_eq!((done.from[&TEA].on_hand_milli, done.to[&TEA].on_hand_milli), (7_000, 3_000));
        assert!(done.to[&TEA].exact && !done.from[&TEA].exact, "it went into a van");
        let refused = brought(4_000, false).expect_err("promised");
        assert_eq!((refused.reason, refused.facts[0].value.as_str()), (Reason::StockNotFree, "3000"));
        assert_eq!(brought(10_000, true).expect("all").from[&TEA].on_hand_milli, 0);
        assert_eq!(brought(10_001, true).expect_err("more than there is").reason, Reason::StockNotFree);
    }

    #[test]
    fn what_nobody_knows_is_not_counted_but_in_a_van() {
        let done = |to_van| decide_transfer(None, &transfer(5_000), Default::default(), to_van, MOVER).expect("done");
        assert_eq!((done(false).from, done(false).to), Default::default());
        assert_eq!(done(true).to[&TEA].on_hand_milli, 5_000);
        let again = decide_transfer(Some(&done(true).transfer), &transfer(5_000), Default::default(), true, MOVER);
        assert_eq!(again.expect("the same").verdict, Verdict::nothing_to_do());
        let other = decide_transfer(Some(&done(true).transfer), &transfer(4_000), Default::default(), true, MOVER);
        assert_eq!(other.expect_err("another").reason, Reason::IdTaken);
        let within = TransferStock { to_warehouse_id: id(2), ..transfer(1) };
        let refused = decide_transfer(None, &within, Default::default(), true, MOVER).expect_err("refused");
        assert_eq!(refused.field, "to_warehouse_id");
    }

    #[test]
    fn a_count_says_what_should_have_been_there() {
        let van = Warehouse { rep_id: id(9), ..Warehouse::default() };
        let line = |product: Uuid, counted_milli| StockCountLine {
            product_id: product.as_bytes().to_vec(),
            counted_milli,
            expected_milli: None,
        };
        let lines = vec![line(TEA, 4_000), line(Uuid::from_u128(21), 2_000)];
        let command = CountStock { count_id: id(1), warehouse_id: id(3), lines, ..CountStock::default() };
        let stock = Available::default().counted(5_000);
        let done = decide_count(None, &command, &van, of(Some(stock)), MOVER).expect("counted");
        let expected: Vec<Option<i64>> = done.count.lines.iter().map(|line| line.expected_milli).collect();
        assert_eq!((expected, &done.count.rep_id), (vec![Some(5_000), None], &van.rep_id));
        assert_eq!((done.verdict.reason, done.verdict.facts.len()), (Reason::StockDiffers, 1));
        assert_eq!((done.figures[&TEA].on_hand_milli, done.figures.len()), (4_000, 2));
        let again = decide_count(Some(&done.count), &command, &van, of(Some(stock)), MOVER).expect("the same");
        assert_eq!(again.verdict, Verdict::nothing_to_do());
    }

    proptest! {
        #[test]
        fn nothing_is_lost_on_the_way(here in 0..9_000_i64, reserved in 0..9_000_i64, there in -9_000..9_000_i64, moved in 1..9_000_i64) {
            let from = of(Some(Available::default().counted(here).reserving(0, reserved)));
            let to = of(Some(Available::default().counted(there)));
            if let Ok(done) = decide_transfer(None, &transfer(moved), (from, to), false, MOVER) {
                prop_assert_eq!(done.from[&TEA].on_hand_milli + done.to[&TEA].on_hand_milli, here + there);
                prop_assert!(done.from[&TEA].free_milli() >= 0);
            }
        }
    }
}
