//! Projections: whatever happened, the tables show what the records say, and can be made anew from them.

use std::collections::BTreeMap;

use roundsman::projection;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    AnswerSurvey, ArchiveOutlet, CheckIn, CollectPayment, ConfirmHandIn, DueItem, HandInCash, Order, OrderLine,
    OrderStatus, PaymentMethod, QuestionType, Receivable, RecordToImport, Rep, Survey, SurveyQuestion, SurveyState,
    Visit, VisitState,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, World, bytes, place};
use uuid::Uuid;

use crate::desk::{entry, import, short_delivery, submitted};

on_both_databases!(
    whatever_is_imported_the_tables_show_it,
    every_kind_of_record_has_its_row,
    what_is_damaged_is_found_and_made_anew,
);

async fn findings(app: &TestApp, world: &World) -> Vec<String> {
    roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies")
}

async fn number(app: &TestApp, sql: &'static str) -> i64 {
    let mut tx = app.core.db.read().await.expect("begins");
    let (number,): (i64,) = tx.query_as(sql).one().await.expect("answers");
    number
}

async fn change(app: &TestApp, sql: &'static str) {
    let mut tx = app.core.db.write().await.expect("begins");
    assert!(tx.query(sql).execute().await.expect("is written") > 0, "{sql} changes something");
    tx.commit().await.expect("commits");
}

/// A few numbers from a seed, so that a failure can be repeated.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 32).expect("has 32 bits") % end
    }
}

struct Pool {
    orders: Vec<Uuid>,
    visits: Vec<Uuid>,
}

fn line(world: &World, numbers: &mut Numbers) -> OrderLine {
    OrderLine {
        // The id of another line, or no id at all: an import brings what it brings.
        line_id: if numbers.below(5) == 0 { vec![1] } else { bytes(Uuid::from_u128(1 + numbers.below(3) as u128)) },
        product_id: bytes(world.products[numbers.below(10)]),
        ordered_milli: 1_000 * numbers.below(100) as i64,
        amount_minor: numbers.below(10_000) as i64,
        ..OrderLine::default()
    }
}

fn random_record(world: &World, pool: &Pool, numbers: &mut Numbers) -> RecordToImport {
    let outlet = numbers.below(2);
    match numbers.below(5) {
        0 => {
            let order = Order {
                outlet_id: bytes(world.anna.outlets[outlet]),
                customer_id: bytes(world.customers[0]),
                rep_id: bytes(world.anna.rep),
                delivery_day: TODAY + numbers.below(5) as i32,
                currency: CURRENCY.to_owned(),
                status: OrderStatus::Closed.into(),
                comment: "ж".repeat(numbers.below(20)),
                lines: (0..numbers.below(5)).map(|_| line(world, numbers)).collect(),
                ..Order::default()
            };
            entry(pool.orders[numbers.below(pool.orders.len())], Record::Order(order))
        }
        1 => {
            let visit = Visit {
                outlet_id: bytes(world.anna.outlets[outlet]),
                rep_id: if numbers.below(4) == 0 { Vec::new() } else { bytes(world.anna.rep) },
                day: TODAY - numbers.below(3) as i32,
                state: [VisitState::Completed, VisitState::Missed][numbers.below(2)].into(),
                planned: numbers.below(2) == 0,
                check_in_point: (numbers.below(2) == 0).then(place),
                distance_m: (numbers.below(2) == 0).then_some(7),
                flags: (1..1 + numbers.below(4) as i32).collect(),
                ..Visit::default()
            };
            entry(pool.visits[numbers.below(pool.visits.len())], Record::Visit(visit))
        }
        2 => entry(world.receivables[outlet], Record::Receivable(world.receivable(outlet, numbers.below(500) as i64))),
        3 => {
            let mut changed = world.outlet(&world.anna, outlet);
            changed.comment = format!("seen {} times", numbers.below(9));
            entry(world.anna.outlets[outlet], Record::Outlet(changed))
        }
        _ => {
            let rep = Rep { name: format!("Anna {}", numbers.below(9)), team_id: bytes(world.team), ..Rep::default() };
            entry(world.anna.rep, Record::Rep(rep))
        }
    }
}

async fn whatever_is_imported_the_tables_show_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let ids = || (0..4).map(|_| app.id()).collect::<Vec<_>>();
    let pool = Pool { orders: ids(), visits: ids() };
    for seed in 1..=12_u64 {
        let mut numbers = Numbers(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut records: BTreeMap<Vec<u8>, RecordToImport> = BTreeMap::new();
        for _ in 0..1 + numbers.below(12) {
            let record = random_record(&world, &pool, &mut numbers);
            records.insert(record.record_id.clone(), record);
        }
        import(&app, records.into_values().collect()).await;
        assert_eq!(findings(&app, &world).await, Vec::<String>::new(), "seed {seed}");
    }
    let orders: BTreeMap<Uuid, Order> = app.stored(world.tenant).await;
    let lines: usize = orders.values().map(|order| order.lines.len()).sum();
    let stored = number(&app, "SELECT CAST(COUNT(*) AS BIGINT) FROM sales_order_line").await;
    assert_eq!(usize::try_from(stored), Ok(lines));
    let amount: i64 = orders.values().flat_map(|order| &order.lines).map(|line| line.amount_minor).sum();
    let stored = "SELECT CAST(COALESCE(SUM(amount_minor), 0) AS BIGINT) FROM sales_order_line";
    assert_eq!(number(&app, stored).await, amount);
    app.finish().await;
}

/// A survey with one question.
fn survey(app: &TestApp) -> Survey {
    let question = SurveyQuestion {
        question_id: bytes(app.id()),
        text: "Anything else?".to_owned(),
        r#type: QuestionType::Text.into(),
        ..SurveyQuestion::default()
    };
    Survey {
        title: "Shelf".to_owned(),
        state: SurveyState::Published.into(),
        questions: vec![question],
        ..Survey::default()
    }
}

/// Anna checks in, answers the survey and collects money.
async fn field_work(app: &TestApp, world: &World, anna: &mut TestDevice, survey: Uuid) {
    let outlet_id = bytes(world.anna.outlets[0]);
    let held = anna.replica.document(survey).expect("reads").expect("anna has the survey");
    let answer = AnswerSurvey {
        response_id: bytes(app.id()),
        survey_id: bytes(survey),
        survey_version: held.version,
        outlet_id: outlet_id.clone(),
        ..AnswerSurvey::default()
    };
    let payment = CollectPayment {
        payment_id: bytes(app.id()),
        outlet_id: outlet_id.clone(),
        customer_id: bytes(world.customers[0]),
        amount_minor: 500,
        currency: CURRENCY.to_owned(),
        method: PaymentMethod::Cash.into(),
        ..CollectPayment::default()
    };
    let check_in = CheckIn { visit_id: bytes(app.id()), outlet_id, planned_day: 0, point: Some(place()) };
    for command in [Command::CheckIn(check_in), Command::AnswerSurvey(answer), Command::CollectPayment(payment)] {
        let outcome = app.decide(anna, command).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
}

async fn every_kind_of_record_has_its_row(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let asked = app.id();
    import(&app, vec![entry(asked, Record::Survey(survey(&app)))]).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    let due_items = vec![DueItem { document_number: "7".to_owned(), amount_minor: 400, ..DueItem::default() }];
    let owes = Receivable { due_items, ..world.receivable(0, 400) };
    import(&app, vec![entry(world.receivables[0], Record::Receivable(owes))]).await;
    field_work(&app, &world, &mut anna, asked).await;
    let hand_in_id = bytes(app.id());
    let hand_in = HandInCash { hand_in_id: hand_in_id.clone(), currency: CURRENCY.to_owned(), ..HandInCash::default() };
    assert_eq!(app.decide(&mut anna, Command::HandInCash(hand_in)).await.status(), Status::Applied);
    let confirm = ConfirmHandIn { hand_in_id, counted_minor: 500, note: String::new() };
    assert_eq!(app.office(Command::ConfirmHandIn(confirm)).await.status(), Status::Applied);
    let order = submitted(&app, &world, (&mut anna, &world.anna), 3, TODAY + 1).await;
    short_delivery(&app, &world, order).await;
    let archive = ArchiveOutlet { outlet_id: bytes(world.anna.outlets[1]), survivor_id: Vec::new() };
    assert_eq!(app.office(Command::ArchiveOutlet(archive)).await.status(), Status::Applied);
    let tables: [(&str, i64); 14] = [
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM sales_order WHERE status = 5", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM sales_order_line WHERE ordered_milli = 1000", 3),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM visit WHERE state = 2 AND checked_in_at > 0", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM shipment", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM shipment_line", 3),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM payment WHERE amount_minor = 500", 1),
        (
            "SELECT CAST(COUNT(*) AS BIGINT) FROM payment_allocation WHERE document_number = '7' AND amount_minor = 400",
            1,
        ),
        (
            "SELECT CAST(COUNT(*) AS BIGINT) FROM cash_hand_in WHERE difference_minor = -500 AND confirmed_minor = 500",
            1,
        ),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM receivable", 2),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM reclamation WHERE sales_order IS NOT NULL", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM reclamation_line WHERE accepted_milli = 0 AND claimed_milli = 1000", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM survey_response WHERE rep IS NOT NULL", 1),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM outlet", 3),
        ("SELECT CAST(COUNT(*) AS BIGINT) FROM rep", 2),
    ];
    for (sql, expected) in tables {
        assert_eq!(number(&app, sql).await, expected, "{sql}");
    }
    assert_eq!(findings(&app, &world).await, Vec::<String>::new());
    app.finish().await;
}

async fn what_is_damaged_is_found_and_made_anew(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    app.sync(&mut anna).await;
    submitted(&app, &world, (&mut anna, &world.anna), 3, TODAY + 1).await;
    let damages = [
        ("DELETE FROM sales_order", 1),
        ("DELETE FROM sales_order_line WHERE line_number = 3", 1),
        ("UPDATE sales_order_line SET product = NULL WHERE line_number = 1", 1),
        ("UPDATE outlet SET name = 'x'", 4),
        ("UPDATE rep SET status = status + 1", 2),
        (
            "INSERT INTO sales_order_line SELECT tenant, sales_order, 4, line, product, packaging_code, \
          coefficient_milli, ordered_milli, confirmed_milli, shipped_milli, delivered_milli, refused_milli, price, \
          price_version, shown_price_minor, price_minor, discount_bp, vat_bp, amount_minor, vat_minor, difference, \
          substitutes_line \
          FROM sales_order_line WHERE line_number = 1",
            1,
        ),
        (
            "INSERT INTO receivable SELECT tenant, sales_order, NULL, 'EUR', 0, 0, 0, NULL FROM sales_order_line \
          WHERE line_number = 1",
            1,
        ),
    ];
    for (damage, records) in damages {
        change(&app, damage).await;
        let found = findings(&app, &world).await;
        assert_eq!(found.len(), records, "{damage}: {found:#?}");
        let (db, mut seen) = (&app.core.db, 0);
        projection::rebuild(db, world.tenant, &mut |records| seen += records as u64).await.expect("is rebuilt");
        assert_eq!(projection::records(db, world.tenant).await.expect("are counted"), seen, "a bar comes to its end");
        assert_eq!(findings(&app, &world).await, Vec::<String>::new(), "{damage}");
    }
    app.finish().await;
}
