//! The service of supervisors: coverage as it changes, visits in pages, and nothing of other teams.

use std::collections::BTreeMap;
use std::time::Duration;

use roundsman_proto::auth::Role;
use roundsman_proto::supervision::supervision_service_client::SupervisionServiceClient;
use roundsman_proto::supervision::{ListVisitsRequest, RepCoverage, WatchCoverageRequest, WatchCoverageResponse};
use roundsman_proto::sync::Status as Decision;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{CheckIn, CheckOut, Rep, RepStatus, Team, Visit, VisitState};
use roundsman_tests::app::{TODAY, TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{RepWorld, World, bytes, place};
use tokio::time::{Instant, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status, Streaming};
use uuid::Uuid;

use crate::desk::{by, entry, import, stranger};

on_both_databases!(
    a_watcher_sees_the_day_as_it_goes,
    many_changes_are_few_answers,
    a_supervisor_sees_the_own_team_only,
    a_watch_ends_with_the_right_to_it,
    visits_come_once_each_whatever_the_page,
    nobody_else_is_served,
);

fn client(app: &TestApp) -> SupervisionServiceClient<Channel> {
    SupervisionServiceClient::new(app.channel.clone())
}

fn today(team: Option<Uuid>) -> WatchCoverageRequest {
    WatchCoverageRequest { day: TODAY, team_id: team.map(bytes).unwrap_or_default() }
}

async fn watch(app: &TestApp, token: &str, team: Option<Uuid>) -> Result<Streaming<WatchCoverageResponse>, Status> {
    Ok(client(app).watch_coverage(by(token, today(team))).await?.into_inner())
}

async fn next(stream: &mut Streaming<WatchCoverageResponse>) -> Result<WatchCoverageResponse, Status> {
    let answer = timeout(Duration::from_secs(15), stream.message()).await.expect("hears in time")?;
    Ok(answer.expect("goes on"))
}

async fn check_in(app: &TestApp, device: &mut TestDevice, outlet: Uuid) -> Uuid {
    let visit = app.id();
    let check_in = CheckIn { visit_id: bytes(visit), outlet_id: bytes(outlet), planned_day: 0, point: Some(place()) };
    let outcome = app.decide(device, Command::CheckIn(check_in)).await;
    assert_eq!(outcome.status(), Decision::Applied, "{outcome:?}");
    visit
}

async fn check_out(app: &TestApp, device: &mut TestDevice, visit: Uuid) {
    let check_out = CheckOut { visit_id: bytes(visit), productive: true, ..CheckOut::default() };
    let outcome = app.decide(device, Command::CheckOut(check_out)).await;
    assert_eq!(outcome.status(), Decision::Applied, "{outcome:?}");
}

fn planned(rep: &RepWorld, state: VisitState, productive: bool) -> Visit {
    Visit {
        outlet_id: bytes(rep.outlets[0]),
        rep_id: bytes(rep.rep),
        day: TODAY,
        state: state.into(),
        planned: true,
        productive,
        ..Visit::default()
    }
}

async fn import_visits(app: &TestApp, visits: Vec<Visit>) {
    let records = visits.into_iter().map(|visit| entry(app.id(), Record::Visit(visit)));
    import(app, records.collect()).await;
}

async fn a_watcher_sees_the_day_as_it_goes(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut anna = app.device("anna").await;
    let mut stream = watch(&app, &app.admin_token().await, None).await.expect("opens");
    let first = next(&mut stream).await.expect("at once");
    assert_eq!(first.reps, [], "nobody has visits yet");

    let visit = check_in(&app, &mut anna, world.anna.outlets[1]).await;
    let mut expected = RepCoverage {
        rep_id: bytes(world.anna.rep),
        name: "anna".to_owned(),
        team_id: bytes(world.team),
        at_outlet_id: bytes(world.anna.outlets[1]),
        since_at_us: app.now_us(),
        ..RepCoverage::default()
    };
    let second = next(&mut stream).await.expect("goes on");
    assert_eq!(second.reps, [expected.clone()]);
    assert!(second.version > first.version);

    app.pass(10);
    check_out(&app, &mut anna, visit).await;
    expected =
        RepCoverage { at_outlet_id: Vec::new(), since_at_us: app.now_us(), unplanned: 1, productive: 1, ..expected };
    assert_eq!(next(&mut stream).await.expect("goes on").reps, [expected.clone()]);

    let visits = vec![
        planned(&world.anna, VisitState::Completed, true),
        planned(&world.anna, VisitState::Completed, false),
        planned(&world.anna, VisitState::Missed, false),
        planned(&world.anna, VisitState::Skipped, false),
        planned(&world.anna, VisitState::Cancelled, false),
        Visit { day: TODAY - 1, ..planned(&world.anna, VisitState::Completed, true) },
        planned(&world.boris, VisitState::Missed, false),
    ];
    import_visits(&app, visits).await;
    let last = next(&mut stream).await.expect("goes on");
    expected = RepCoverage { planned: 4, done: 2, productive: 2, missed: 1, ..expected };
    assert_eq!(last.reps[0], expected);
    assert_eq!((last.reps.len(), last.reps[1].name.as_str(), last.reps[1].missed), (2, "boris", 1));
    app.finish().await;
}

async fn many_changes_are_few_answers(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut stream = watch(&app, &app.admin_token().await, None).await.expect("opens");
    next(&mut stream).await.expect("at once");
    let begun = Instant::now();
    for _ in 0..20 {
        import_visits(&app, vec![planned(&world.anna, VisitState::Completed, true)]).await;
    }
    let mut answers = 0;
    loop {
        let answer = next(&mut stream).await.expect("goes on");
        answers += 1;
        if answer.reps[0].done == 20 {
            break;
        }
    }
    let at_most = begun.elapsed().as_millis() / 200 + 1;
    assert!(answers <= at_most, "{answers} answers in {:?}", begun.elapsed());
    app.finish().await;
}

/// A second team with one rep, who has made a visit today.
async fn another_team(app: &TestApp, world: &World) -> (Uuid, Uuid) {
    let (team, rep) = (app.id(), app.id());
    let person =
        Rep { name: "carol".to_owned(), team_id: bytes(team), status: RepStatus::Active.into(), ..Rep::default() };
    let visit = Visit { rep_id: bytes(rep), ..planned(&world.anna, VisitState::Completed, true) };
    import(
        app,
        vec![
            entry(team, Record::Team(Team { name: "Villages".to_owned(), ..Team::default() })),
            entry(rep, Record::Rep(person)),
        ],
    )
    .await;
    import_visits(app, vec![visit, planned(&world.boris, VisitState::Completed, true)]).await;
    (team, rep)
}

async fn names(app: &TestApp, token: &str, team: Option<Uuid>) -> Vec<String> {
    let answer = next(&mut watch(app, token, team).await.expect("opens")).await.expect("at once");
    answer.reps.into_iter().map(|rep| rep.name).collect()
}

async fn a_supervisor_sees_the_own_team_only(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let (team, rep) = another_team(&app, &world).await;
    let (admin, sonja) = (app.admin_token().await, app.token("sonja").await);
    assert_eq!(names(&app, &admin, None).await, ["boris", "carol"]);
    assert_eq!(names(&app, &admin, Some(team)).await, ["carol"]);
    assert_eq!(names(&app, &sonja, None).await, ["boris"]);
    assert_eq!(names(&app, &sonja, Some(world.team)).await, ["boris"]);
    let refused = watch(&app, &sonja, Some(team)).await.expect_err("is not her team");
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");

    let visits = |token: String, rep: Option<Uuid>| {
        let rep_id = rep.map(bytes).unwrap_or_default();
        let request = ListVisitsRequest { day: TODAY, rep_id, ..ListVisitsRequest::default() };
        let mut client = client(&app);
        async move { client.list_visits(by(&token, request)).await.map(|answer| answer.into_inner().visits.len()) }
    };
    assert_eq!(visits(admin.clone(), None).await.expect("all"), 2);
    assert_eq!(visits(admin.clone(), Some(rep)).await.expect("carol's"), 1);
    assert_eq!(visits(admin, Some(world.anna.rep)).await.expect("anna's"), 0);
    assert_eq!(visits(sonja.clone(), None).await.expect("her team's"), 1);
    assert_eq!(visits(sonja.clone(), Some(world.boris.rep)).await.expect("boris's"), 1);
    for rep in [rep, app.id()] {
        let refused = visits(sonja.clone(), Some(rep)).await.expect_err("is not in her team");
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    app.finish().await;
}

async fn a_watch_ends_with_the_right_to_it(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let mut stream = watch(&app, &app.token("sonja").await, None).await.expect("opens");
    next(&mut stream).await.expect("at once");
    app.pass(30);
    import_visits(&app, vec![planned(&world.anna, VisitState::Completed, true)]).await;
    let end = next(&mut stream).await.expect_err("her token has ended");
    assert_eq!(end.code(), Code::Unauthenticated, "{end}");
    let mut stream = watch(&app, &app.token("sonja").await, None).await.expect("opens");
    assert_eq!(next(&mut stream).await.expect("at once").reps.len(), 1);
    // An open stream does not keep the server from stopping.
    app.finish().await;
}

async fn visits_come_once_each_whatever_the_page(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let visit = |rep: &RepWorld, day| Visit { day, ..planned(rep, VisitState::Completed, true) };
    let visits = (0..6).flat_map(|n| [visit(&world.anna, TODAY - n % 2), visit(&world.boris, TODAY)]);
    import_visits(&app, visits.collect()).await;
    let stored: BTreeMap<Uuid, Visit> = app.stored(world.tenant).await;
    let sonja = app.token("sonja").await;
    for (rep, expected) in [(None, 9), (Some(world.anna.rep), 3), (Some(world.boris.rep), 6)] {
        for page_size in [1, 4, 0] {
            let request = ListVisitsRequest {
                day: TODAY,
                rep_id: rep.map(bytes).unwrap_or_default(),
                page_size,
                page_token: String::new(),
            };
            let (mut found, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = ListVisitsRequest { page_token, ..request.clone() };
                let answer = client(&app).list_visits(by(&sonja, request)).await.expect("answers").into_inner();
                found.extend(answer.visits.into_iter().map(|visit| {
                    (Uuid::from_slice(&visit.visit_id).expect("an id"), visit.visit.expect("a document"))
                }));
                page_token = answer.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            assert!(found.is_sorted_by_key(|(id, _)| *id));
            let wanted = |visit: &Visit| visit.day == TODAY && rep.is_none_or(|rep| visit.rep_id == bytes(rep));
            let all: Vec<(Uuid, Visit)> =
                stored.iter().filter(|(_, visit)| wanted(visit)).map(|(id, visit)| (*id, visit.clone())).collect();
            assert_eq!((found.len(), found == all), (expected, true), "{rep:?} by {page_size}");
        }
    }
    app.finish().await;
}

async fn nobody_else_is_served(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    import_visits(&app, vec![planned(&world.anna, VisitState::Completed, true)]).await;
    app.user("lars", Role::Logistics, None, None).await;
    let list = ListVisitsRequest { day: TODAY, ..ListVisitsRequest::default() };
    for token in [app.device_token("anna").await, app.token("lars").await] {
        let refused = watch(&app, &token, None).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
        let refused = client(&app).list_visits(by(&token, list.clone())).await.expect_err("is refused");
        assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    }
    let eve = stranger(&app, world.supervisor).await;
    assert_eq!(names(&app, &eve, None).await, Vec::<String>::new());
    assert_eq!(names(&app, &eve, Some(world.team)).await, Vec::<String>::new());
    let listed = client(&app).list_visits(by(&eve, list.clone())).await.expect("is answered").into_inner();
    assert_eq!((listed.visits.len(), listed.next_page_token.as_str()), (0, ""));
    let admin = app.admin_token().await;
    for day in [0, -1] {
        let refused = client(&app).list_visits(by(&admin, ListVisitsRequest { day, ..list.clone() })).await;
        assert_eq!(refused.expect_err("is refused").code(), Code::InvalidArgument);
        let request = WatchCoverageRequest { day, team_id: Vec::new() };
        let refused = client(&app).watch_coverage(by(&admin, request)).await;
        assert_eq!(refused.expect_err("is refused").code(), Code::InvalidArgument);
    }
    app.finish().await;
}
