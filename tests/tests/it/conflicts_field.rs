//! The cases in which the office changes routes and surveys while reps work by them, and those of complaints, by their
//! numbers.

use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::survey_answer::Value;
use roundsman_proto::trade::{
    AnswerSurvey, CheckIn, CheckOut, ClaimLine, DeliverShipment, FileClaim, Order, PlanVisits, PrepareShipment,
    QuestionType, Reason, Reclamation, ReclamationCause, ReclamationState, ReleaseOrder, Route, RouteStop,
    ShipShipment, Survey, SurveyAnswer, SurveyQuestion, SurveyResponse, SurveyState, Visit, VisitFlag, VisitState,
};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, World, bytes, place};
use uuid::Uuid;

use crate::conflicts::{done, held_version, order, ready, status};
use crate::desk::{entry, import};

on_both_databases!(
    c16_what_was_done_by_an_earlier_route_stays_done_and_the_rest_moves,
    c21_answers_belong_to_the_version_that_the_device_held,
    c21_a_closed_survey_takes_what_was_answered_before,
    c21_answers_to_a_version_of_long_ago_are_judged_by_the_oldest_that_is_known,
    c24_a_claim_of_more_than_was_delivered_or_too_late_is_held_with_the_arithmetic,
);

/// A route with these stops, each on some weekdays, in this order.
async fn route(app: &TestApp, world: &World, id: Uuid, stops: &[(Uuid, u32)]) {
    let stop = |(index, (outlet, weekdays)): (usize, &(Uuid, u32))| RouteStop {
        outlet_id: bytes(*outlet),
        weekdays: *weekdays,
        sequence: i32::try_from(index).expect("few") + 1,
        ..RouteStop::default()
    };
    let route = Route {
        name: "North".to_owned(),
        territory_id: bytes(world.anna.territory),
        cycle_start_day: TODAY,
        stops: stops.iter().enumerate().map(stop).collect(),
        ..Route::default()
    };
    import(app, vec![entry(id, Record::Route(route))]).await;
    for day in [TODAY, TODAY + 1] {
        let plan = PlanVisits { territory_id: bytes(world.anna.territory), day, after_visit_id: Vec::new() };
        let outcome = app.server(world.tenant, Command::PlanVisits(plan)).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
}

/// A planned visit is made, a while long.
fn make_visit(app: &TestApp, device: &mut TestDevice, visit: Uuid, outlet: Uuid) {
    let (visit_id, point) = (bytes(visit), Some(place()));
    let begin = CheckIn { visit_id: visit_id.clone(), outlet_id: bytes(outlet), planned_day: TODAY, point };
    app.capture(device, Command::CheckIn(begin));
    app.pass(10);
    let end = CheckOut { visit_id, productive: true, point, ..CheckOut::default() };
    app.capture(device, Command::CheckOut(end));
}

async fn c16_what_was_done_by_an_earlier_route_stays_done_and_the_rest_moves(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let more = [app.id(), app.id()];
    import(&app, more.map(|id| entry(id, Record::Outlet(world.outlet(&world.anna, 1)))).to_vec()).await;
    let [told, offline] = [world.anna.outlets[0], world.anna.outlets[1]];
    let [left, added] = more;
    let id = app.id();
    let (monday, tuesday) = (1, 2);
    route(&app, &world, id, &[(told, monday), (offline, monday), (left, monday)]).await;
    app.sync(&mut anna).await;
    let visit = |outlet, day| roundsman::internal::planned_visit_id(id, outlet, day);
    make_visit(&app, &mut anna, visit(told, TODAY), told);
    app.sync(&mut anna).await;
    let as_told: Visit = app.shown(&anna, visit(told, TODAY)).expect("is done");
    make_visit(&app, &mut anna, visit(offline, TODAY), offline);

    // The office has another order of the day: what was first is last, two stops go to tomorrow, and one is new.
    route(&app, &world, id, &[(added, monday), (left, monday), (told, tuesday), (offline, tuesday)]).await;
    assert_eq!(app.stored::<Visit>(world.tenant).await[&visit(offline, TODAY)].state(), VisitState::Cancelled);
    app.sync(&mut anna).await;
    assert_eq!(app.shown::<Visit>(&anna, visit(told, TODAY)), Some(as_told.clone()), "what is done stays done");
    let shown = |outlet, day| {
        let visit: Visit = app.shown(&anna, visit(outlet, day)).expect("the visit");
        (visit.state(), visit.planned, visit.route_id == bytes(id), visit.sequence)
    };
    let (done_by_plan, planned) = (VisitState::Completed, VisitState::Planned);
    assert_eq!(shown(told, TODAY), (done_by_plan, true, true, 1), "in the plan under which it was made");
    assert_eq!(shown(offline, TODAY), (done_by_plan, true, true, 2), "also when it comes late");
    assert_eq!(shown(left, TODAY), (planned, true, true, 2), "what is left moves");
    assert_eq!(shown(added, TODAY), (planned, true, true, 1));
    assert_eq!([told, offline].map(|outlet| shown(outlet, TODAY + 1).0), [planned; 2]);
    let late: Visit = app.shown(&anna, visit(offline, TODAY)).expect("the visit");
    assert!(late.flags.contains(&VisitFlag::DoneAfterCancel.into()) && as_told.flags.is_empty(), "{late:?}");
    done(app, &world, &mut anna).await;
}

fn question(id: Uuid, kind: QuestionType) -> SurveyQuestion {
    SurveyQuestion {
        question_id: bytes(id),
        text: "How many?".to_owned(),
        r#type: kind.into(),
        required: true,
        ..SurveyQuestion::default()
    }
}

fn survey(questions: Vec<SurveyQuestion>) -> Survey {
    Survey { title: "Shelves".to_owned(), state: SurveyState::Published.into(), questions, ..Survey::default() }
}

async fn set(app: &TestApp, id: Uuid, survey: &Survey) {
    import(app, vec![entry(id, Record::Survey(survey.clone()))]).await;
}

/// An answer to one question, of the version that the device holds.
fn answer(
    app: &TestApp,
    device: &TestDevice,
    world: &World,
    survey: Uuid,
    (question, value): (Uuid, Value),
) -> (Uuid, Command) {
    let id = app.id();
    let answer = AnswerSurvey {
        response_id: bytes(id),
        survey_id: bytes(survey),
        survey_version: held_version(device, survey),
        outlet_id: bytes(world.anna.outlets[0]),
        answers: vec![SurveyAnswer { question_id: bytes(question), value: Some(value) }],
        ..AnswerSurvey::default()
    };
    (id, Command::AnswerSurvey(answer))
}

async fn c21_answers_belong_to_the_version_that_the_device_held(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [id, counted, dated] = [(); 3].map(|()| app.id());
    let (first, second) = (question(counted, QuestionType::Number), question(dated, QuestionType::Date));
    set(&app, id, &survey(vec![first])).await;
    app.sync(&mut anna).await;
    let held = held_version(&anna, id);
    let number = (counted, Value::NumberMilli(3_000));
    let (early, command) = answer(&app, &anna, &world, id, number.clone());
    app.capture(&mut anna, command);
    app.pass(5);
    // Another question instead, twice, and a title.
    set(&app, id, &survey(vec![second.clone()])).await;
    set(&app, id, &Survey { title: "Shelves and doors".to_owned(), ..survey(vec![second]) }).await;
    app.pass(5);
    let (late, command) = answer(&app, &anna, &world, id, number.clone());
    app.capture(&mut anna, command);
    let (_, command) = answer(&app, &anna, &world, id, (dated, Value::DateDay(TODAY)));
    app.capture(&mut anna, command);
    let synced = app.sync(&mut anna).await;
    let statuses: Vec<_> = synced.outcomes.iter().map(|(_, outcome)| status(outcome)).collect();
    let applied = (Status::Applied, Reason::Unspecified);
    assert_eq!(statuses, [applied, applied, (Status::Rejected, Reason::Mismatch)], "{synced:?}");
    for response in [early, late] {
        let response: SurveyResponse = app.shown(&anna, response).expect("the answers");
        assert_eq!((response.survey_version, response.answers[0].value.clone()), (held, Some(number.1.clone())));
    }
    // With the new version it is the other way round.
    assert!(held_version(&anna, id) > held);
    let (_, command) = answer(&app, &anna, &world, id, number);
    assert_eq!(status(&app.decide(&mut anna, command).await), (Status::Rejected, Reason::Mismatch));
    let (_, command) = answer(&app, &anna, &world, id, (dated, Value::DateDay(TODAY)));
    assert_eq!(status(&app.decide(&mut anna, command).await), applied);
    done(app, &world, &mut anna).await;
}

async fn c21_a_closed_survey_takes_what_was_answered_before(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [id, asked] = [(); 2].map(|()| app.id());
    let open = survey(vec![question(asked, QuestionType::YesNo)]);
    set(&app, id, &open).await;
    app.sync(&mut anna).await;
    let capture = async |anna: &mut TestDevice| {
        let (response, command) = answer(&app, anna, &world, id, (asked, Value::Yes(true)));
        app.capture(anna, command);
        app.pass(5);
        response
    };
    let before = capture(&mut anna).await;
    let closed_at_us = app.now_us();
    let after = capture(&mut anna).await;
    // It was closed five minutes ago, and the server hears of it now; and it asks nothing any more.
    set(&app, id, &Survey { state: SurveyState::Closed.into(), closed_at_us, ..survey(Vec::new()) }).await;
    let synced = app.sync(&mut anna).await;
    let statuses: Vec<_> = synced.outcomes.iter().map(|(_, outcome)| status(outcome)).collect();
    assert_eq!(statuses, [(Status::Applied, Reason::Unspecified), (Status::Rejected, Reason::SurveyClosed)]);
    assert!(app.shown::<SurveyResponse>(&anna, before).is_some());
    assert!(app.shown::<SurveyResponse>(&anna, after).is_none());
    // Opened again, it is asked again.
    set(&app, id, &open).await;
    app.sync(&mut anna).await;
    let again = capture(&mut anna).await;
    app.sync(&mut anna).await;
    assert!(app.shown::<SurveyResponse>(&anna, again).is_some());
    done(app, &world, &mut anna).await;
}

async fn c21_answers_to_a_version_of_long_ago_are_judged_by_the_oldest_that_is_known(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = app.id();
    let questions: Vec<Uuid> = (0..10).map(|_| app.id()).collect();
    let version = |number: usize| survey(vec![question(questions[number], QuestionType::YesNo)]);
    set(&app, id, &version(0)).await;
    app.sync(&mut anna).await;
    for number in 1..10 {
        set(&app, id, &version(number)).await;
    }
    // The first is forgotten, eight former ones are known.
    for (number, expected) in [(0, Status::Rejected), (9, Status::Rejected), (1, Status::Applied)] {
        let (_, command) = answer(&app, &anna, &world, id, (questions[number], Value::Yes(true)));
        let mut device = app.device("anna").await;
        app.capture(&mut device, command);
        let outcome = &app.sync(&mut device).await.outcomes[0].1;
        assert_eq!(outcome.status(), expected, "{number}: {outcome:?}");
    }
    done(app, &world, &mut anna).await;
}

/// An order of five pieces is delivered as a whole; returns the shipment, and its line.
async fn delivered(app: &TestApp, world: &World, anna: &mut TestDevice) -> (Uuid, Vec<u8>) {
    let (id, submit) = order(app, anna, world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    assert_eq!(app.decide(anna, Command::SubmitOrder(submit)).await.status(), Status::Applied);
    let shipment = app.id();
    let (order_id, shipment_id) = (bytes(id), bytes(shipment));
    let warehouse_id = bytes(world.warehouse);
    app.user("lars", Role::Logistics, None, None).await;
    let lars = app.token("lars").await;
    for command in [
        Command::ReleaseOrder(ReleaseOrder { order_id: order_id.clone(), ..ReleaseOrder::default() }),
        Command::PrepareShipment(PrepareShipment {
            shipment_id: shipment_id.clone(),
            order_id,
            warehouse_id,
            ..PrepareShipment::default()
        }),
        Command::ShipShipment(ShipShipment { shipment_id: shipment_id.clone(), ..ShipShipment::default() }),
        Command::DeliverShipment(DeliverShipment { shipment_id, ..DeliverShipment::default() }),
    ] {
        let outcome = app.office_as(&lars, app.id(), command).await.expect("logistics is answered");
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
    app.sync(anna).await;
    let order: Order = app.shown(anna, id).expect("the order");
    (shipment, order.lines[0].line_id.clone())
}

async fn c24_a_claim_of_more_than_was_delivered_or_too_late_is_held_with_the_arithmetic(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (shipment, shipment_line_id) = delivered(&app, &world, &mut anna).await;
    let delivered_at_us = app.now_us();
    let claim = |pieces: i64| {
        let line = ClaimLine {
            line_id: bytes(app.id()),
            product_id: bytes(world.products[0]),
            shipment_line_id: shipment_line_id.clone(),
            claimed_milli: pieces * 1_000,
            ..ClaimLine::default()
        };
        let id = app.id();
        let claim = FileClaim {
            reclamation_id: bytes(id),
            outlet_id: bytes(world.anna.outlets[0]),
            shipment_id: bytes(shipment),
            cause: ReclamationCause::Damaged.into(),
            lines: vec![line],
            ..FileClaim::default()
        };
        (id, Command::FileClaim(claim))
    };
    let fact = |outcome: &Outcome, name: &str| {
        outcome.facts.iter().find(|fact| fact.name == name).map(|fact| fact.value.clone()).unwrap_or_default()
    };
    let arithmetic = |outcome: &Outcome| {
        ["claimed_milli", "delivered_milli", "already_claimed_milli"].map(|name| fact(outcome, name))
    };
    let (_, command) = claim(4);
    let outcome = app.decide(&mut anna, command).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    let (too_much, command) = claim(2);
    let outcome = app.decide(&mut anna, command).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::ClaimExceedsDelivered), "{outcome:?}");
    assert_eq!(arithmetic(&outcome), ["2000", "5000", "4000"]);

    app.pass(3 * 24 * 60 + 1);
    let (too_late, command) = claim(1);
    app.capture_at(&mut anna, command, (app.now_us(), TODAY + 3));
    let synced = app.sync(&mut anna).await;
    let outcome = &synced.outcomes[0].1;
    assert_eq!(status(outcome), (Status::Held, Reason::ClaimExceedsDelivered), "{outcome:?}");
    assert_eq!(arithmetic(outcome), ["1000", "5000", "6000"]);
    let told: i64 = fact(outcome, "delivered_at_us").parse().expect("a moment");
    assert!((delivered_at_us - told).abs() < 60_000_000, "{told}");
    for (id, reasons) in [
        (too_much, vec![Reason::ClaimExceedsDelivered]),
        (too_late, vec![Reason::ClaimExceedsDelivered, Reason::ClaimTooLate]),
    ] {
        let shown: Reclamation = app.shown(&anna, id).expect("it is registered all the same");
        assert_eq!(
            (shown.state(), shown.review_reasons().collect::<Vec<_>>()),
            (ReclamationState::Registered, reasons)
        );
    }
    done(app, &world, &mut anna).await;
}
