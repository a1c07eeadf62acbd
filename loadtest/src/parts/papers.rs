//! Ten thousand delivery notes, on all cores: how long they take, and how large they are.

use std::thread;

use roundsman::papers::delivery_note::{DeliveryNote, NoteLine, NotePrice};
use roundsman::papers::{Goods, Language, Party};
use tokio::time::Instant;
use uuid::Uuid;

use crate::bench::REPETITIONS;
use crate::report::{Figure, Goal, Report};

/// Papers of a day.
const PAPERS: u32 = 10_000;
/// Lines of each.
const LINES: u32 = 15;
/// What the goods are called: each by five of these words.
const WORDS: [&str; 24] = [
    "Молоко",
    "Кефир",
    "Сыр",
    "Масло",
    "Сметана",
    "Творог",
    "Ряженка",
    "Йогурт",
    "Хлеб",
    "Батон",
    "Печенье",
    "Шоколад",
    "топлёное",
    "пастеризованное",
    "весовой",
    "сливочное",
    "ржаной",
    "отборное",
    "ГОСТ",
    "3,2 %",
    "450 г",
    "1,5 л",
    "12 шт",
    "«Деревенское»",
];

/// Measures them.
///
/// # Errors
/// When a thread that renders panics, or a paper is none.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let threads = u32::try_from(thread::available_parallelism()?.get())?;
    let (mut seconds, mut sizes) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let begun = Instant::now();
        let begin = |thread| thread::spawn(move || (thread..PAPERS).step_by(threads as usize).map(size).sum::<usize>());
        let running: Vec<_> = (0..threads).map(begin).collect();
        let mut bytes = 0;
        for thread in running {
            bytes += thread.join().map_err(|_| anyhow::anyhow!("a thread has panicked"))?;
        }
        seconds.push(begun.elapsed().as_secs_f64());
        anyhow::ensure!(bytes > 0, "the papers are empty");
        sizes.push(bytes as f64 / f64::from(PAPERS));
    }
    let what = format!("{PAPERS} delivery notes of {LINES} lines are rendered as PDF, on {threads} cores");
    report.add(Figure::new("P1a", what, "s", seconds).goal(Goal::Most(60.0)));
    report.add(Figure::new("P1b", "such a file has so many bytes", "bytes", sizes));
    Ok(())
}

fn size(number: u32) -> usize {
    note(number).render(Language::Russian).len()
}

/// No two are alike.
fn note(number: u32) -> DeliveryNote {
    let party = |name: &str| Party {
        name: format!("{name} № {number}"),
        address: "Санкт-Петербург, ул. Садовая, д. 12, вход со двора".to_owned(),
        tax_id: format!("78{number:08}"),
    };
    DeliveryNote {
        shipment: Uuid::from_u128(u128::from(number) << 64 | u128::from(number)),
        day: 20_780,
        delivery_day: 20_781,
        warehouse: party("Склад"),
        recipient: party("Магазин"),
        customer: party("ООО «Берёзка»"),
        orders: vec![Uuid::from_u128(number.into())],
        currency: "RUB".to_owned(),
        lines: (0..LINES).map(|line| note_line(number * LINES + line)).collect(),
        comment: "Позвонить за час до приезда".to_owned(),
    }
}

fn note_line(number: u32) -> NoteLine {
    let word = |turn: u32| WORDS[((number + turn) * (2 * turn + 1)) as usize % WORDS.len()];
    let (pieces, price_minor) = (i64::from(number % 40 + 1), i64::from(number % 9_000 + 1_000));
    let amount_minor = pieces * price_minor;
    let price = NotePrice {
        price_minor,
        per_milli: 1_000,
        off_minor: if number.is_multiple_of(4) { amount_minor / 10 } else { 0 },
        vat_bp: 2_000,
        vat_minor: amount_minor / 6,
        amount_minor,
    };
    let name = [0, 1, 2, 3, 4].map(word).join(" ");
    let goods = Goods { name, code: format!("A-{number:06}"), unit: "шт".to_owned(), weight_mg: 500_000 };
    NoteLine { goods, quantity_milli: pieces * 1_000, price: Some(price) }
}
