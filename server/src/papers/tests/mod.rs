//! Papers, read back.

mod reader;

use std::collections::BTreeSet;
use std::process::Command;

use roundsman_proto::trade::{RefusalReason, ReturnReason};
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use self::reader::{Page, pages};
use super::barcode::{Bar, scan};
use super::delivery_note::{DeliveryNote, NoteLine, NotePrice};
use super::pick_list::{PickLine, PickList};
use super::return_note::{Condition, ReturnLine, ReturnNote, Why};
use super::route_sheet::{Money, RouteSheet, Stop};
use super::{Goods, Language, Party};

const SHIPMENT: Uuid = Uuid::from_u128(0x0190_a1b2_c3d4_7e8f_9a0b_1c2d_3e4f_5061);
const DAY: i32 = 20_780;
const NAMES: [&str; 5] = [
    "Молоко пастеризованное «Деревенское» 3,2 %, 930 мл",
    "Сыр «Российский»",
    "Масло сливочное «Крестьянское» 72,5 %, пачка 180 г, высший сорт, без заменителя молочного жира",
    "Coca-Cola (0.5 l)",
    "Қазақстан шоколады",
];

fn party(name: &str) -> Party {
    Party {
        name: name.to_owned(),
        address: "Санкт-Петербург, ул. Садовая, 12".to_owned(),
        tax_id: "7801234567".to_owned(),
    }
}

fn goods(index: usize) -> Goods {
    let name = NAMES[index % NAMES.len()].to_owned();
    Goods { name, code: format!("A-{index}"), unit: "шт".to_owned(), weight_mg: 500_000 }
}

/// Each line costs 100.00, 20.00 of which are tax.
fn note(lines: usize) -> DeliveryNote {
    let price = NotePrice {
        price_minor: 5_000,
        per_milli: 1_000,
        off_minor: 0,
        vat_bp: 2_500,
        vat_minor: 2_000,
        amount_minor: 10_000,
    };
    let line = |index| NoteLine { goods: goods(index), quantity_milli: 2_000, price: Some(price) };
    DeliveryNote {
        shipment: SHIPMENT,
        day: DAY,
        delivery_day: DAY + 1,
        warehouse: party("Склад «Северный»"),
        recipient: party("Магазин «Берёзка»"),
        customer: party("ООО «Берёзка Плюс»"),
        orders: vec![Uuid::from_u128(2), Uuid::from_u128(1)],
        currency: "RUB".to_owned(),
        lines: (0..lines).map(line).collect(),
        comment: "Разгрузка со двора.".to_owned(),
    }
}

/// So many lines of three shipments and ten products in two groups and none.
fn list(lines: usize) -> PickList {
    let group = |index| match index % 3 {
        0 => vec!["Молочное".to_owned(), "Сыры".to_owned()],
        1 => vec!["Напитки".to_owned()],
        _ => Vec::new(),
    };
    let line = |index: usize| PickLine {
        shipment: Uuid::from_u128(index as u128 % 3),
        product: Uuid::from_u128(index as u128 % 10),
        goods: goods(index % 10),
        group_path: group(index % 10),
        packages: vec![("коробка 12".to_owned(), 12_000)],
        quantity_milli: 7_000,
    };
    PickList {
        id: SHIPMENT,
        wave: "Утро".to_owned(),
        day: DAY,
        warehouse: party("Склад «Северный»"),
        recipient: Party::default(),
        comment: String::new(),
        lines: (0..lines).map(line).collect(),
    }
}

fn route() -> RouteSheet {
    let stop = |index: u32| Stop {
        outlet: format!("Магазин № {index}"),
        address: "ул. Садовая, 12".to_owned(),
        windows: vec![(32_400, 43_200), (50_400, 64_800)],
        shipments: (0..7).map(|number| Uuid::from_u128(u128::from(index * 16 + number))).collect(),
        weight_g: 12_500,
        to_collect: vec![Money { currency: "RUB".to_owned(), minor: 100_050 }],
    };
    RouteSheet {
        trip: SHIPMENT,
        day: DAY,
        driver: "Иванов Пётр".to_owned(),
        stops: (1..=30).map(stop).collect(),
        ..RouteSheet::default()
    }
}

fn returned() -> ReturnNote {
    let line = |index| ReturnLine {
        goods: goods(index),
        quantity_milli: 1_500,
        why: Why::GivenBack(ReturnReason::Expired),
        condition: Some(Condition::Fit),
    };
    ReturnNote {
        id: SHIPMENT,
        day: DAY,
        sender: party("Магазин «Берёзка»"),
        lines: (0..3).map(line).collect(),
        ..ReturnNote::default()
    }
}

/// One of each.
fn papers() -> Vec<Vec<u8>> {
    let language = Language::Russian;
    vec![note(40).render(language), list(60).render(language), route().render(language), returned().render(language)]
}

/// All that the pages say, spaces as spaces.
fn text(pages: &[Page]) -> String {
    pages.iter().map(Page::text).collect::<Vec<_>>().join("\n").replace('\u{A0}', " ")
}

#[test]
fn cyrillic_can_be_searched_and_all_that_counts_is_there() {
    let note = text(&pages(&note(4).render(Language::Russian)));
    for words in [
        "Товарная накладная",
        "№ 3E4F-5061",
        "23.11.2026",
        "24.11.2026",
        "Склад «Северный»",
        "Магазин «Берёзка»",
        "ООО «Берёзка Плюс»",
        "ИНН 7801234567",
        "0000-0001, 0000-0002",
        "Разгрузка со двора.",
        "50,00",
        "Coca-Cola (0.5 l)",
        "100,00",
        "25 %",
        "Всего с НДС",
        "400,00 RUB",
        "80,00 RUB",
        "4 кг",
        "Страница 1 из 1",
        "Отпустил",
    ] {
        assert!(note.contains(words), "{words} is missing:\n{note}");
    }
    let english = text(&pages(&self::note(1).render(Language::English)));
    assert!(
        english.contains("Delivery note") && english.contains("Page 1 of 1") && english.contains("100.00 RUB"),
        "{english}"
    );
    let route = text(&pages(&route().render(Language::Russian)));
    assert!(route.contains("09:00–12:00") && route.contains("30 015,00 RUB") && route.contains("375 кг"), "{route}");
    // All seven shipments of the thirtieth stop.
    assert!((0..7).all(|number| route.contains(&format!("0000-{:04X}", 30 * 16 + number))), "{route}");
    let returned = text(&pages(&returned().render(Language::Russian)));
    assert!(returned.contains("Истёк срок") && returned.contains("1,5"), "{returned}");
}

/// In both languages each reason and each condition has words, and only what is the same has the same.
#[test]
fn a_return_note_says_why_and_in_which_condition() {
    let given_back = (1..=6).filter_map(|number| ReturnReason::try_from(number).ok()).map(Why::GivenBack);
    let not_taken = (0..=9).filter_map(|number| RefusalReason::try_from(number).ok()).map(Why::NotTaken);
    let whys: Vec<Why> = given_back.chain(not_taken).collect();
    assert_eq!(whys.len(), 16);
    for (language, said) in [(Language::English, "Fit for sale"), (Language::Russian, "Годен")] {
        let texts = |why: Why, condition: Option<Condition>| {
            let line = ReturnLine { goods: goods(0), quantity_milli: 1_000, why, condition };
            text(&pages(&ReturnNote { lines: vec![line], ..returned() }.render(language)))
        };
        let silent = texts(Why::default(), None);
        assert!(!silent.contains(said));
        let each: BTreeSet<String> = whys.iter().map(|why| texts(*why, None)).collect();
        assert!(!each.contains(&silent));
        // Damaged, out of date, another product and anything else are given back, and not taken, for the same.
        assert_eq!(each.len(), 12);
        assert!(texts(Why::default(), Some(Condition::Fit)).contains(said));
        for condition in [Condition::Damaged, Condition::OutOfDate] {
            assert_ne!(texts(Why::default(), Some(condition)), silent);
        }
    }
}

#[test]
fn the_barcode_is_the_id() {
    for paper in papers() {
        let pages = pages(&paper);
        // In modules; other black areas are wider than a bar, or rules.
        let module = 0.25 * 72.0 / 25.4;
        let modules = |length: f32| (length / module).round() as u32;
        let bars: Vec<Bar> = pages[0]
            .bars
            .iter()
            .filter(|(_, _, height)| *height > 10.0)
            .map(|(at, width, _)| Bar { at: modules(*at), width: modules(*width) })
            .collect();
        assert_eq!(scan(&bars), Some(SHIPMENT.simple().to_string()));
    }
}

#[test]
fn five_hundred_lines_go_over_pages_and_add_up() {
    let pages = pages(&note(500).render(Language::Russian));
    let text = text(&pages);
    assert!(pages.len() > 10, "{}", pages.len());
    for (index, page) in pages.iter().enumerate() {
        let number = format!("Страница {} из {}", index + 1, pages.len());
        assert!(page.text().contains(&number), "{number}");
        // The line above the foot is not drawn over.
        let lowest = page.texts.iter().filter(|text| text.size > 8.0).map(|text| text.at.1).fold(f32::MAX, f32::min);
        assert!(lowest > 50.0, "page {}: {lowest}", index + 1);
    }
    // The last page need not have lines.
    let headings = pages.iter().filter(|page| page.text().contains("Товар\n")).count();
    assert!(headings >= pages.len() - 1, "{headings}");
    assert!(text.contains("50 000,00 RUB") && text.contains("10 000,00 RUB") && text.contains("500 кг"), "{text}");
    assert_eq!(text.matches("A-").count(), 500);
}

#[test]
fn what_is_picked_for_a_wave_is_added_up_by_product_in_the_order_of_the_shelves() {
    let text = text(&pages(&list(60).render(Language::Russian)));
    // Six lines of each product, in two shipments or in all.
    assert!(text.contains("42\n") && text.contains("3 × коробка 12 + 6"), "{text}");
    let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words} is missing:\n{text}"));
    let places = ["Молочное › Сыры", "Напитки", "Прочие товары", "Отгрузки\n3"].map(place);
    assert!(places.is_sorted(), "{places:?}");
}

#[test]
fn the_order_in_which_data_was_found_does_not_matter() {
    let (mut list, before) = (list(60), list(60).render(Language::Russian));
    list.lines.reverse();
    list.lines.swap(3, 40);
    assert!(list.render(Language::Russian) == before);
    let (mut note, before) = (note(5), note(5).render(Language::Russian));
    note.orders.reverse();
    assert!(note.render(Language::Russian) == before);
    note.lines.reverse();
    assert!(note.render(Language::Russian) != before, "lines of a note have their order");
}

#[test]
fn the_same_data_gives_the_same_bytes_twice_and_in_another_process() {
    assert!(papers() == papers());
    let program = std::env::current_exe().expect("a program");
    let arguments = ["--exact", "--ignored", "--nocapture", "papers::tests::tells_another_process"];
    let output = Command::new(program).args(arguments).output().expect("runs");
    let output = String::from_utf8_lossy(&output.stdout);
    assert!(output.contains(&fingerprint()), "{output}");
}

#[test]
#[ignore = "another test runs it in a process of its own"]
#[expect(clippy::print_stdout, reason = "the other process reads it")]
fn tells_another_process() {
    println!("{}", fingerprint());
}

fn fingerprint() -> String {
    format!("papers {:016x}", xxh3_64(&papers().concat()))
}

#[test]
fn no_text_and_no_number_breaks_a_paper() {
    let mut odd = note(3);
    odd.comment = "long ".repeat(800);
    odd.orders = (0..50).map(Uuid::from_u128).collect();
    odd.currency = "💶".to_owned();
    odd.day = i32::MAX;
    odd.recipient = Party { name: "Ж".repeat(4_000), address: "\0\u{1b}[31m\n".to_owned(), tax_id: String::new() };
    odd.lines[0].goods =
        Goods { name: "漢字 🦀\r\n\t\u{202e}abc".to_owned(), weight_mg: i64::MAX, ..Goods::default() };
    odd.lines[0].quantity_milli = i64::MAX;
    let most = NotePrice {
        price_minor: i64::MIN,
        per_milli: 0,
        off_minor: i64::MAX,
        vat_bp: i32::MIN,
        vat_minor: i64::MAX,
        amount_minor: i64::MAX,
    };
    odd.lines[1].price = Some(most);
    odd.lines[2].price = Some(most);
    let text = text(&pages(&odd.render(Language::English)));
    assert!(text.contains("\u{FFFD}\u{FFFD} \u{FFFD} abc") && text.contains("9,223,372,036,854,775.807"), "{text}");
    assert!(text.contains("184,467,440,737,095,616.14"), "sums are wider than their parts: {text}");
    let nothing = [
        DeliveryNote::default().render(Language::English),
        PickList::default().render(Language::English),
        RouteSheet::default().render(Language::English),
        ReturnNote::default().render(Language::English),
    ];
    assert!(nothing.iter().all(|paper| pages(paper).len() == 1));
    let mut hours = RouteSheet { stops: vec![Stop::default()], ..RouteSheet::default() };
    hours.stops[0].windows = vec![(i32::MIN, i32::MAX)];
    assert_eq!(pages(&hours.render(Language::English)).len(), 1);
}

#[test]
fn where_a_price_is_unknown_no_total_is_told() {
    let mut note = note(3);
    note.lines[1].price = None;
    let text = text(&pages(&note.render(Language::Russian)));
    assert!(!text.contains("Всего с НДС") && text.contains("100,00"), "{text}");
}
