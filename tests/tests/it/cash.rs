//! Cash that reps hand in: each payment once, with what was missing, and seen by those whom it concerns.

use prost::Message as _;
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::{
    CashHandIn, CashHandInState, CollectPayment, ConfirmHandIn, CountedCash, DismissRep, HandInCash, PaymentMethod,
    Reason,
};
use roundsman_sync::trade::hand_in::PAYMENTS;
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, RepWorld, World, bytes};
use uuid::Uuid;

on_both_databases!(
    cash_and_cheques_are_handed_in_once_and_what_comes_late_the_next_time,
    the_rep_and_the_supervisor_see_a_hand_in_and_other_reps_do_not,
    the_office_says_what_it_counted,
    the_office_takes_the_cash_of_a_rep_who_has_left,
    only_whom_it_concerns_hands_in_and_confirms,
    what_is_too_much_for_one_hand_in_is_left_for_the_next,
    a_damaged_hand_in_is_found,
);

fn payment(app: &TestApp, world: &World, rep: &RepWorld, (method, amount_minor): (PaymentMethod, i64)) -> Command {
    Command::CollectPayment(CollectPayment {
        payment_id: bytes(app.id()),
        outlet_id: bytes(rep.outlets[0]),
        customer_id: bytes(world.customers[0]),
        amount_minor,
        currency: CURRENCY.to_owned(),
        method: method.into(),
        ..CollectPayment::default()
    })
}

async fn take(app: &TestApp, world: &World, device: &mut TestDevice, money: &[(PaymentMethod, i64)]) -> Vec<Vec<u8>> {
    let mut ids = Vec::new();
    for money in money {
        let command = payment(app, world, &world.anna, *money);
        let Command::CollectPayment(payment) = &command else { panic!("another command") };
        ids.push(payment.payment_id.clone());
        assert_eq!(app.decide(device, command).await.status(), Status::Applied);
    }
    ids
}

fn hand_in(id: Uuid, counted: &[(PaymentMethod, i64)]) -> Command {
    let counted = counted
        .iter()
        .map(|(method, amount_minor)| CountedCash { method: (*method).into(), amount_minor: *amount_minor });
    Command::HandInCash(HandInCash {
        hand_in_id: bytes(id),
        currency: CURRENCY.to_owned(),
        day: 0,
        counted: counted.collect(),
        note: "the evening's".to_owned(),
        rep_id: Vec::new(),
    })
}

fn confirm(id: Uuid, counted_minor: i64) -> Command {
    Command::ConfirmHandIn(ConfirmHandIn { hand_in_id: bytes(id), counted_minor, note: "a torn note".to_owned() })
}

fn told(outcome: &Outcome) -> (Status, Reason) {
    (outcome.status(), outcome.reason())
}

/// How often something was announced to other systems about a record.
pub(crate) async fn announced(app: &TestApp, topic: &str, record: Uuid) -> usize {
    let mut tx = app.core.db.read().await.expect("begins");
    let rows: Vec<(String, Uuid)> = tx.query_as("SELECT topic, record FROM outbox").all().await.expect("answers");
    rows.into_iter().filter(|row| *row == (topic.to_owned(), record)).count()
}

async fn done(app: TestApp, world: &World) {
    let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
    assert_eq!(findings, Vec::<String>::new());
    app.finish().await;
}

async fn cash_and_cheques_are_handed_in_once_and_what_comes_late_the_next_time(kind: Kind) {
    use PaymentMethod::{Card, Cash, Cheque};
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut old_phone = app.device("anna").await;
    let late = payment(&app, &world, &world.anna, (Cash, 70));
    app.capture(&mut old_phone, late);
    let ids = take(&app, &world, &mut anna, &[(Cash, 500), (Card, 900), (Cheque, 40), (Cash, 5)]).await;
    let [first, second] = [app.id(), app.id()];
    let outcome = app.decide(&mut anna, hand_in(first, &[(Cash, 500), (Cheque, 40)])).await;
    assert_eq!(told(&outcome), (Status::Applied, Reason::CashDiffers), "{outcome:?}");
    assert_eq!((outcome.facts[0].name.as_str(), outcome.facts[0].value.as_str()), ("expected_minor", "545"));
    let shown: CashHandIn = app.shown(&anna, first).expect("the hand-in");
    assert_eq!((shown.expected_minor, shown.counted_minor, shown.difference_minor), (545, 540, -5));
    assert_eq!(shown.payment_ids, [ids[0].clone(), ids[2].clone(), ids[3].clone()]);
    assert_eq!((shown.day, shown.state(), shown.left_payments), (TODAY, CashHandInState::HandedIn, 0));
    // The same once more changes nothing, and there is nothing else to hand in.
    let again = app.decide(&mut anna, hand_in(first, &[(Cheque, 40), (Cash, 500)])).await;
    assert_eq!(told(&again), (Status::Applied, Reason::NothingToDo));
    let nothing = app.decide(&mut anna, hand_in(second, &[])).await;
    assert_eq!(told(&nothing), (Status::Rejected, Reason::NothingToHandIn));
    // What the other phone had taken before comes now.
    app.sync(&mut old_phone).await;
    let outcome = app.decide(&mut old_phone, hand_in(second, &[(Cash, 70)])).await;
    assert_eq!(told(&outcome), (Status::Applied, Reason::Unspecified));
    let shown: CashHandIn = app.shown(&old_phone, second).expect("the hand-in");
    assert_eq!((shown.expected_minor, shown.payment_ids.len()), (70, 1));
    assert_eq!(app.stored::<CashHandIn>(world.tenant).await.len(), 2);
    assert_eq!(
        (announced(&app, "cash.handed_in", first).await, announced(&app, "cash.handed_in", second).await),
        (1, 1)
    );
    done(app, &world).await;
}

async fn the_rep_and_the_supervisor_see_a_hand_in_and_other_reps_do_not(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    take(&app, &world, &mut anna, &[(PaymentMethod::Cash, 500)]).await;
    let id = app.id();
    app.decide(&mut anna, hand_in(id, &[(PaymentMethod::Cash, 500)])).await;
    let mut others = [app.device("sonja").await, app.device("boris").await];
    for device in &mut others {
        app.sync(device).await;
    }
    let sees = |device: &TestDevice| app.shown::<CashHandIn>(device, id).is_some();
    assert_eq!(others.each_ref().map(sees), [true, false]);
    app.assert_converged(&others[0], &world.supervisor_caller()).await;
    app.assert_converged(&anna, &world.caller(&world.anna)).await;
    assert_eq!(app.office(confirm(id, 500)).await.status(), Status::Applied);
    app.sync(&mut others[0]).await;
    let shown: CashHandIn = app.shown(&others[0], id).expect("the hand-in");
    assert_eq!(shown.state(), CashHandInState::Confirmed);
    done(app, &world).await;
}

async fn the_office_says_what_it_counted(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    take(&app, &world, &mut anna, &[(PaymentMethod::Cash, 500)]).await;
    let id = app.id();
    app.decide(&mut anna, hand_in(id, &[(PaymentMethod::Cash, 500)])).await;
    for (counted_minor, expected) in [
        (-1, (Status::Rejected, Reason::OutOfRange)),
        (480, (Status::Applied, Reason::CashDiffers)),
        (480, (Status::Applied, Reason::NothingToDo)),
        (500, (Status::Rejected, Reason::WrongState)),
    ] {
        assert_eq!(told(&app.office(confirm(id, counted_minor)).await), expected, "{counted_minor}");
    }
    app.sync(&mut anna).await;
    let shown: CashHandIn = app.shown(&anna, id).expect("the hand-in");
    assert_eq!((shown.confirmed_minor, shown.office_difference_minor), (Some(480), Some(-20)));
    assert_eq!((shown.difference_minor, shown.office_note.as_str()), (0, "a torn note"), "what the rep counted stays");
    assert_eq!(announced(&app, "cash.confirmed", id).await, 1);
    done(app, &world).await;
}

fn for_rep(command: Command, rep: Uuid) -> Command {
    let Command::HandInCash(hand_in) = command else { panic!("another command") };
    Command::HandInCash(HandInCash { rep_id: bytes(rep), ..hand_in })
}

async fn the_office_takes_the_cash_of_a_rep_who_has_left(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    take(&app, &world, &mut anna, &[(PaymentMethod::Cash, 500), (PaymentMethod::Cash, 300)]).await;
    let dismiss = DismissRep { rep_id: bytes(world.anna.rep), ..DismissRep::default() };
    assert_eq!(app.office(Command::DismissRep(dismiss)).await.status(), Status::Applied);
    let id = app.id();
    let counted = for_rep(hand_in(id, &[(PaymentMethod::Cash, 700)]), world.anna.rep);
    assert_eq!(told(&app.office(counted.clone()).await), (Status::Applied, Reason::CashDiffers));
    let handed_in = app.stored::<CashHandIn>(world.tenant).await[&id].clone();
    let sums = (handed_in.expected_minor, handed_in.counted_minor, handed_in.difference_minor);
    assert_eq!((sums, handed_in.rep_id), ((800, 700, -100), bytes(world.anna.rep)));
    let unknown = for_rep(hand_in(app.id(), &[(PaymentMethod::Cash, 1)]), app.id());
    assert_eq!(told(&app.office(unknown).await), (Status::Rejected, Reason::NotFound));
    done(app, &world).await;
}

async fn only_whom_it_concerns_hands_in_and_confirms(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    take(&app, &world, &mut anna, &[(PaymentMethod::Cash, 500)]).await;
    let id = app.id();
    app.decide(&mut anna, hand_in(id, &[(PaymentMethod::Cash, 500)])).await;
    let role = (Status::Rejected, Reason::RoleNotAllowed);
    assert_eq!(told(&app.decide(&mut anna, confirm(id, 500)).await), role);
    let mut sonja = app.device("sonja").await;
    assert_eq!(told(&app.decide(&mut sonja, confirm(id, 500)).await), role);
    app.user("lars", Role::Logistics, None, None).await;
    let lars = app.token("lars").await;
    assert_eq!(told(&app.office_as(&lars, app.id(), confirm(id, 500)).await.expect("answers")), role);
    let nobodys = app.office(hand_in(app.id(), &[(PaymentMethod::Cash, 500)])).await;
    assert_eq!(told(&nobodys), (Status::Rejected, Reason::MissingField), "whose cash it is");
    let logistics = for_rep(hand_in(app.id(), &[(PaymentMethod::Cash, 500)]), world.anna.rep);
    assert_eq!(told(&app.office_as(&lars, app.id(), logistics).await.expect("answers")), role);
    // A rep hands in nothing of another one's. Boris has collected nothing, whatever Anna has, and learns nothing of hers by its id.
    let mut boris = app.device("boris").await;
    let annas = for_rep(hand_in(app.id(), &[(PaymentMethod::Cash, 500)]), world.anna.rep);
    assert_eq!(told(&app.decide(&mut boris, annas).await), role);
    let nothing = app.decide(&mut boris, hand_in(app.id(), &[])).await;
    assert_eq!(told(&nothing), (Status::Rejected, Reason::NothingToHandIn));
    let taken = app.decide(&mut boris, hand_in(id, &[(PaymentMethod::Cash, 500)])).await;
    assert_eq!((told(&taken), taken.facts.len()), ((Status::Rejected, Reason::IdTaken), 0), "{taken:?}");
    // What is in a bad form is not half done.
    let card = hand_in(app.id(), &[(PaymentMethod::Card, 500)]);
    assert_eq!(told(&app.decide(&mut anna, card).await), (Status::Rejected, Reason::UnknownValue));
    let many = hand_in(app.id(), &[(PaymentMethod::Cash, 1); 3]);
    assert_eq!(told(&app.decide(&mut anna, many).await), (Status::Rejected, Reason::LimitExceeded));
    assert_eq!(app.stored::<CashHandIn>(world.tenant).await[&id].state(), CashHandInState::HandedIn);
    done(app, &world).await;
}

async fn what_is_too_much_for_one_hand_in_is_left_for_the_next(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let cash = PaymentMethod::Cash;
    for _ in 0..=PAYMENTS {
        let command = payment(&app, &world, &world.anna, (cash, 2));
        app.capture(&mut anna, command);
    }
    while !app.sync(&mut anna).await.outcomes.is_empty() {}
    let ids = [app.id(), app.id()];
    for (id, counted_minor, payments, left) in [(ids[0], 1_000, PAYMENTS, 1), (ids[1], 2, 1, 0)] {
        let outcome = app.decide(&mut anna, hand_in(id, &[(cash, counted_minor)])).await;
        assert_eq!(told(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
        let shown: CashHandIn = app.shown(&anna, id).expect("the hand-in");
        assert_eq!((shown.payment_ids.len(), shown.left_payments), (payments, left));
    }
    done(app, &world).await;
}

async fn a_damaged_hand_in_is_found(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let cash = PaymentMethod::Cash;
    let mut ids = Vec::new();
    for _ in 0..2 {
        take(&app, &world, &mut anna, &[(cash, 500)]).await;
        ids.push(app.id());
        app.decide(&mut anna, hand_in(ids[ids.len() - 1], &[(cash, 500)])).await;
    }
    let stored = app.stored::<CashHandIn>(world.tenant).await;
    let twice = CashHandIn { payment_ids: stored[&ids[0]].payment_ids.clone(), ..stored[&ids[1]].clone() };
    let strange = CashHandIn { payment_ids: vec![bytes(app.id())], ..twice.clone() };
    let otherwise = CashHandIn { expected_minor: 499, ..stored[&ids[1]].clone() };
    for (damaged, words) in [
        (twice, "was handed in twice"),
        (strange, "no cash of its rep"),
        (otherwise, "expects 499, and its payments come to 500"),
    ] {
        let right = app.replace_document(ids[1], damaged.encode_to_vec()).await;
        let findings = roundsman::verify::verify(&app.core.db, world.tenant).await.expect("verifies");
        assert!(findings.iter().any(|finding| finding.contains(words)), "{words}: {findings:#?}");
        app.replace_document(ids[1], right).await;
    }
    done(app, &world).await;
}
