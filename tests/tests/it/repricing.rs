//! Many prices that change at once, from a day on.

use roundsman::cli::prices::{self, Preview, Wanted};
use roundsman::exchange::key;
use roundsman::exchange::reprice::{Selection, Spread, Terms, parse};
use roundsman::store::bucket;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{CountPriceListHoldersRequest, ListPricesRequest};
use roundsman_proto::auth::Role;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{Kind as RecordKind, Price, PriceList, Product};
use roundsman_sync::page::Cursor;
use roundsman_sync::trade::price::{List, Wanted as Ordered, quote};
use roundsman_sync::trade::reprice::{By, Rule};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use tonic::Code;

use crate::conflicts::{done, ready};
use crate::desk::{by, entry, import, stranger};
use crate::import::session;
use crate::pricing::all;

on_both_databases!(
    prices_change_by_a_rule_from_a_day_on_and_the_preview_says_what_that_does,
    prices_become_those_of_a_file,
    nobody_but_the_office_of_the_tenant_lists_prices,
);

fn wanted(world: &World, terms: Terms) -> Wanted {
    Wanted { list: world.price_list, selection: Selection::default(), terms, from_day: TODAY + 5 }
}

fn raise(percent_bp: i32) -> Terms {
    Terms::Rule(Rule { by: By::Share(percent_bp), round_to_minor: 0 })
}

async fn preview(app: &TestApp, wanted: &Wanted) -> Preview {
    let mut session = session(app).await;
    let preview = prices::preview(&mut session, wanted).await.expect("previews");
    session.close().await;
    preview
}

async fn applied(app: &TestApp, preview: &Preview) -> prices::Report {
    let mut session = session(app).await;
    let mut heard = 0;
    let report = prices::apply(&mut session, &preview.plan, |prices| heard += prices).await.expect("is sent");
    session.close().await;
    assert_eq!(heard, preview.plan.prices(), "the bar is full at the end");
    report
}

/// What an article costs on a day, by what a phone holds.
fn costs(app: &TestApp, device: &TestDevice, world: &World, article: usize, day: i32) -> Option<i64> {
    let list: PriceList = app.shown(device, world.price_list).expect("the phone has the list");
    let prices = all::<Price>(device);
    let of_product = prices.iter().filter(|(_, price)| price.product_id == bytes(world.products[article]));
    let ordered = Ordered { quantity_milli: 1_000, packaging_code: "", day };
    let quote = quote(of_product.map(|(id, price)| (*id, price)), &List::new(world.price_list, &list), &ordered);
    quote.map(|quote| quote.rate.price_minor)
}

/// The frames of the list's prices, as they are stored: how many came after a version, and their bytes.
async fn frames(app: &TestApp, world: &World, after: i64) -> (usize, usize) {
    let mut tx = app.core.db.read().await.expect("reads");
    let scope = format!("price_list:{}", world.price_list);
    let kind = i64::from(RecordKind::Price as i32);
    let found = bucket::find(&mut tx, world.tenant, &scope, kind).await.expect("answers").expect("a bucket");
    let rows =
        bucket::stored_rows(&mut tx, (world.tenant, found.id), Cursor::after(after), 1_000).await.expect("answers");
    (rows.len(), rows.iter().map(|row| row.frame.len()).sum())
}

async fn prices_change_by_a_rule_from_a_day_on_and_the_preview_says_what_that_does(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let boris = app.device("boris").await;
    let lowest = app.id();
    let list = |floor_list_id| PriceList {
        name: "A".to_owned(),
        currency: CURRENCY.to_owned(),
        floor_list_id,
        ..PriceList::default()
    };
    // The first article must not become cheaper than 10.50; the second has a price of which the last day is the one before.
    let least = Price { price_list_id: bytes(lowest), ..world.price(0, 1_050) };
    let until = Price { valid_to_day: TODAY + 4, ..world.price(1, 900) };
    let records = vec![
        entry(lowest, Record::PriceList(PriceList { name: "Lowest".to_owned(), ..list(Vec::new()) })),
        entry(app.id(), Record::Price(least)),
        entry(app.id(), Record::Price(until)),
        entry(world.price_list, Record::PriceList(list(bytes(lowest)))),
    ];
    import(&app, records).await;
    let wanted = wanted(&world, raise(350));
    let before = app.version(world.tenant).await;
    let first = preview(&app, &wanted).await;
    assert_eq!(app.version(world.tenant).await, before, "a look changes nothing");
    assert_eq!((first.plan.prices(), first.prices.prices.len()), (9, 11));
    assert_eq!(first.plan.conflicts.len(), 1, "the second article: {:?}", first.plan);
    assert_eq!((first.below_floor, first.devices), (Some(1), 2));
    assert_eq!(first.plan.spread(), Some(Spread { smallest_bp: 350, largest_bp: 350, mean_bp: 350 }));
    let said = prices::summary(&first, wanted.from_day);
    assert_eq!(said[0], "A (EUR), from 2026-11-28 on");
    assert_eq!(said[1], "9 of 11 prices change: from +3.50 % to +3.50 %, +3.50 % in the mean");

    let report = applied(&app, &first).await;
    assert_eq!((report.prices, report.rejected), (9, Vec::new()));
    let (records, weight) = first.plan.weight();
    let (written, bytes_written) = frames(&app, &world, before).await;
    assert_eq!((records, written), (18, 18));
    assert!(weight.abs_diff(bytes_written) <= 2 * records, "{weight} were expected, {bytes_written} are sent");
    app.sync(&mut anna).await;
    let on = |day| [0, 1, 2].map(|article| costs(&app, &anna, &world, article, day).expect("has a price"));
    assert_eq!(on(TODAY + 4)[0], PRICE_MINOR);
    assert_eq!(on(TODAY + 5), [1_035, PRICE_MINOR, 1_035]);

    // What was sent before is not done again, and what is done is not found again.
    assert_eq!(applied(&app, &first).await.prices, 9, "each command has its first answer");
    let again = preview(&app, &wanted).await;
    assert_eq!((again.plan.prices(), again.plan.later), (0, 9));
    assert_eq!(frames(&app, &world, before).await.0, 18);
    drop(boris);
    done(app, &world, &mut anna).await;
}

async fn prices_become_those_of_a_file(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let file = |price: &str| {
        let rows = format!("A000;;{price};;\nA000;10;8.00;;\n{};;20;12;\n", world.products[1]);
        Terms::File(parse(format!("product;min_quantity;price;per;packaging\n{rows}").as_bytes(), 2).expect("is right"))
    };
    let first = preview(&app, &wanted(&world, file("9.50"))).await;
    let changes: Vec<Option<i64>> =
        first.plan.steps().map(|step| step.after.above_bp(step.before.expect("a price"))).collect();
    assert_eq!(changes, [Some(-500), Some(-2_000), Some(-8_333)], "20 for a dozen was 10 for one");
    assert_eq!(applied(&app, &first).await.prices, 2);
    app.sync(&mut anna).await;
    assert_eq!(costs(&app, &anna, &world, 0, TODAY + 4), Some(PRICE_MINOR));
    assert_eq!(costs(&app, &anna, &world, 0, TODAY + 5), Some(950));
    assert_eq!(preview(&app, &wanted(&world, file("9.50"))).await.plan.prices(), 0);
    // Another file for the same day sets the same record, and the first file again is another change.
    for (price, minor) in [("9.00", 900), ("9.50", 950), ("9.00", 900), ("9.50", 950)] {
        let next = preview(&app, &wanted(&world, file(price))).await;
        assert_eq!((next.plan.prices(), next.plan.weight().0), (1, 1));
        applied(&app, &next).await;
        app.sync(&mut anna).await;
        assert_eq!(costs(&app, &anna, &world, 0, TODAY + 5), Some(minor));
    }
    // What the server does not know is refused with all that goes with it.
    let unknown = parse(b"product;min_quantity;price;per;packaging\nNONE;;1;;\n", 2).expect("is right");
    let unknown = preview(&app, &wanted(&world, Terms::File(unknown))).await;
    let report = applied(&app, &unknown).await;
    assert_eq!((report.prices, report.rejected.len()), (0, 1));
    assert!(report.rejected[0].starts_with("NONE to NONE: REASON_NOT_FOUND"), "{report:?}");
    // When it has come, the same run does what it could not.
    let product = app.stored::<Product>(world.tenant).await[&world.products[0]].clone();
    import(&app, vec![entry(key::id("product", "NONE"), Record::Product(product))]).await;
    assert_eq!(applied(&app, &unknown).await.prices, 1);
    done(app, &world, &mut anna).await;
}

async fn nobody_but_the_office_of_the_tenant_lists_prices(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    app.user("olga", Role::Office, None, None).await;
    app.user("lena", Role::Logistics, None, None).await;
    let price_list_id = bytes(world.price_list);
    let asked = async |token: &str, price_list_id: &[u8]| {
        let mut door = OfficeServiceClient::new(app.channel.clone());
        let request = ListPricesRequest { price_list_id: price_list_id.to_vec(), ..ListPricesRequest::default() };
        let listed = door.list_prices(by(token, request)).await.map(|answer| answer.into_inner().prices.len());
        let request = CountPriceListHoldersRequest { price_list_id: price_list_id.to_vec() };
        let counted = door.count_price_list_holders(by(token, request)).await.map(|answer| answer.into_inner().devices);
        (listed.map_err(|status| status.code()), counted.map_err(|status| status.code()))
    };
    let refused = |code| (Err(code), Err(code));
    for login in ["anna", "sonja", "lena"] {
        assert_eq!(asked(&app.token(login).await, &price_list_id).await, refused(Code::PermissionDenied), "{login}");
    }
    let olga = app.token("olga").await;
    assert_eq!(asked(&olga, &price_list_id).await, (Ok(10), Ok(0)));
    for other in [bytes(app.id()), bytes(world.products[0])] {
        assert_eq!(asked(&olga, &other).await, refused(Code::NotFound), "no list");
    }
    assert_eq!(asked(&olga, &[1; 3]).await, refused(Code::InvalidArgument));
    let eve = stranger(&app, world.anna.user).await;
    assert_eq!(asked(&eve, &price_list_id).await, refused(Code::NotFound), "another tenant");

    let (mut paged, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = ListPricesRequest { price_list_id: price_list_id.clone(), page_size: 4, page_token };
        let answer =
            OfficeServiceClient::new(app.channel.clone()).list_prices(by(&olga, request)).await.expect("lists");
        let answer = answer.into_inner();
        assert!(answer.prices.len() <= 4);
        paged.extend(answer.prices.into_iter().map(|listed| (listed.price_id, listed.product_name)));
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    paged.sort_unstable();
    let expected: Vec<_> = (0..10).map(|index| (bytes(world.prices[index]), format!("Article {index}"))).collect();
    assert_eq!(paged, expected);
    app.finish().await;
}
