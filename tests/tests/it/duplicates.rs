//! One outlet that two reps have reported (C14), and customers that were recorded twice: the office is told of them, and makes
//! them one.

use roundsman::cli;
use roundsman_proto::admin::office_service_client::OfficeServiceClient;
use roundsman_proto::admin::{
    ComparedOutlet, DuplicateCustomer, DuplicateOutlet, ListDuplicateCustomersRequest, ListDuplicateOutletsRequest,
};
use roundsman_proto::auth::Role;
use roundsman_proto::sync::{Outcome, Status};
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, ArchiveOutlet, BlockOutlet, BytesChange, CheckOut, ClaimLine, Customer, EditOutlet, FileClaim, GeoPoint,
    Int32Change, Order, OrderStatus, Outlet, OutletStatus, Reason, Receivable, Reclamation, ReclamationCause,
    RegisterOutlet, SubmitOrder, Visit,
};
use roundsman_tests::app::{TestApp, TestDevice};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{PRICE_MINOR, RepWorld, World, bytes, check_in, place};
use tonic::Code;
use uuid::Uuid;

use crate::conflicts::{done, order, ready, status};
use crate::desk::{by, entry, import, stranger};
use crate::import::session;

on_both_databases!(
    c14_what_two_reps_reported_is_proposed_to_the_office_and_merged_on_every_device,
    c14_nobody_but_the_office_of_the_tenant_is_told_of_duplicates,
    c14_pages_of_duplicates_are_bounded_and_go_on,
    customers_that_look_like_one_are_listed_with_what_they_owe_until_they_are_merged,
    nobody_but_the_office_of_the_tenant_is_told_of_duplicate_customers,
    pages_of_duplicate_customers_go_on,
    outlets_are_blocked_and_unblocked_together,
    c14_what_waited_at_a_duplicate_goes_when_the_survivor_lets_it,
);

/// So far to the north of where every outlet of the world is, in metres.
fn north_m(metres: i32) -> GeoPoint {
    GeoPoint { latitude_e7: place().latitude_e7 + metres * 90, ..place() }
}

fn register(id: Uuid, rep: &RepWorld, (name, metres): (&str, i32), agreement: Uuid) -> Command {
    Command::RegisterOutlet(RegisterOutlet {
        outlet_id: bytes(id),
        territory_id: bytes(rep.territory),
        name: name.to_owned(),
        point: Some(north_m(metres)),
        agreement_ids: vec![bytes(agreement)],
        ..RegisterOutlet::default()
    })
}

/// The office links an outlet to a customer.
async fn linked(app: &TestApp, outlet: Uuid, customer: Uuid, status: OutletStatus) {
    let edit = EditOutlet {
        outlet_id: bytes(outlet),
        customer_id: Some(BytesChange { base: Vec::new(), value: bytes(customer) }),
        status: Some(Int32Change { base: OutletStatus::Candidate.into(), value: status.into() }),
        ..EditOutlet::default()
    };
    let outcome = app.office(Command::EditOutlet(edit)).await;
    assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
}

fn submit(app: &TestApp, anna: &TestDevice, world: &World, (outlet, agreement): (Uuid, Uuid)) -> (Uuid, Command) {
    let (id, submit) = order(app, anna, world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    (id, Command::SubmitOrder(SubmitOrder { outlet_id: bytes(outlet), agreement_id: bytes(agreement), ..submit }))
}

fn claim(app: &TestApp, world: &World, outlet: Uuid) -> (Uuid, Command) {
    let line = ClaimLine {
        line_id: bytes(app.id()),
        product_id: bytes(world.products[0]),
        claimed_milli: 1_000,
        ..ClaimLine::default()
    };
    let (id, cause) = (app.id(), ReclamationCause::Damaged.into());
    let outlet_id = bytes(outlet);
    let claim = FileClaim { reclamation_id: bytes(id), outlet_id, cause, lines: vec![line], ..FileClaim::default() };
    (id, Command::FileClaim(claim))
}

/// The pair of two outlets among those that the command line lists.
async fn listed(app: &TestApp, outlets: [Uuid; 2]) -> Option<DuplicateOutlet> {
    let mut session = session(app).await;
    let found = cli::outlet::duplicates(&mut session, 8_000, 1_000).await.expect("lists");
    session.close().await;
    let is_one = |outlet: Option<&ComparedOutlet>| {
        outlets.iter().any(|id| outlet.is_some_and(|outlet| outlet.outlet_id == id.as_bytes()))
    };
    found.into_iter().find(|pair| is_one(pair.outlet.as_ref()) && is_one(pair.survivor.as_ref()))
}

fn says_nothing(outcome: &Outcome) {
    assert_eq!(status(outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    assert!(outcome.facts.is_empty() && outcome.overrides.is_empty() && outcome.text.is_empty(), "{outcome:?}");
}

async fn c14_what_two_reps_reported_is_proposed_to_the_office_and_merged_on_every_device(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let mut boris = app.device("boris").await;
    app.sync(&mut boris).await;
    let agreement = app.id();
    let standard = Agreement { name: "Standard".to_owned(), customer_id: Vec::new(), ..world.agreement(0) };
    let taxed = Customer { name: "Romashka LLC".to_owned(), tax_id: "FI 0101".to_owned(), ..Customer::default() };
    let records =
        vec![entry(agreement, Record::Agreement(standard)), entry(world.customers[0], Record::Customer(taxed))];
    import(&app, records).await;
    for device in [&mut anna, &mut boris] {
        app.sync(device).await;
    }
    // Both have no network, and both stand before the same kiosk.
    let [annas, boriss] = [app.id(), app.id()];
    app.capture(&mut anna, register(annas, &world.anna, ("Kiosk Romashka", 0), agreement));
    app.capture(&mut boris, register(boriss, &world.boris, ("ООО Киоск «Ромашка»", 12), agreement));
    for device in [&mut anna, &mut boris] {
        let synced = app.sync(device).await;
        says_nothing(&synced.outcomes[0].1);
    }
    let stored = app.stored::<Outlet>(world.tenant).await;
    for id in [annas, boriss] {
        assert_eq!(stored[&id].status(), OutletStatus::Candidate, "both are kept");
    }
    let pair = listed(&app, [annas, boriss]).await.expect("the office is told of them");
    assert_eq!((pair.likeness_bp, pair.name_likeness_bp, pair.same_tax_id), (10_000, 10_000, false));
    assert_eq!(cli::outlet::reasons(&pair), "names 100.00 %, 12 m apart");

    // The office has checked what Boris reported; Anna goes on with hers.
    linked(&app, annas, world.customers[0], OutletStatus::Candidate).await;
    linked(&app, boriss, world.customers[0], OutletStatus::Active).await;
    app.sync(&mut anna).await;
    let visit = app.id();
    let (earlier, submit_earlier) = submit(&app, &anna, &world, (annas, agreement));
    let (reclamation, claimed) = claim(&app, &world, annas);
    let check_out = CheckOut { visit_id: bytes(visit), productive: true, point: Some(place()), ..CheckOut::default() };
    for command in [check_in(visit, annas), Command::CheckOut(check_out), submit_earlier] {
        let outcome = app.decide(&mut anna, command).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
    }
    let outcome = app.decide(&mut anna, claimed).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::ClaimUnlinked), "{outcome:?}");
    // She has no network again, and takes another order there.
    let (later, submit_later) = submit(&app, &anna, &world, (annas, agreement));
    app.capture(&mut anna, submit_later);

    let pair = listed(&app, [annas, boriss]).await.expect("it is still there");
    let proposed = (pair.outlet.clone().expect("one"), pair.survivor.clone().expect("another"));
    assert_eq!(
        (proposed.0.outlet_id, proposed.1.outlet_id),
        (bytes(annas), bytes(boriss)),
        "the confirmed one remains"
    );
    assert!(pair.same_tax_id, "that of their customer");
    let mut session = session(&app).await;
    cli::outlet::merge(&mut session, app.id(), annas, boriss).await.expect("is merged");
    session.close().await;
    assert_eq!(listed(&app, [annas, boriss]).await, None);

    let synced = app.sync(&mut anna).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Merged, Reason::OutletMerged), "{synced:?}");
    app.sync(&mut boris).await;
    for id in [earlier, later] {
        assert_eq!(app.shown::<Order>(&boris, id).expect("the order").outlet_id, bytes(boriss));
    }
    assert_eq!(app.shown::<Visit>(&boris, visit).expect("the visit").outlet_id, bytes(boriss));
    assert_eq!(app.shown::<Reclamation>(&boris, reclamation).expect("the claim").outlet_id, bytes(boriss));
    for device in [&anna, &boris] {
        assert!(app.shown::<Outlet>(device, annas).is_none());
    }
    app.assert_converged(&boris, &world.caller(&world.boris)).await;
    done(app, &world, &mut anna).await;
}

async fn c14_nobody_but_the_office_of_the_tenant_is_told_of_duplicates(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    app.user("olga", Role::Office, None, None).await;
    app.user("lena", Role::Logistics, None, None).await;
    let listed = async |token: &str, request: ListDuplicateOutletsRequest| {
        let answer = OfficeServiceClient::new(app.channel.clone()).list_duplicate_outlets(by(token, request)).await;
        answer.map(|answer| answer.into_inner().duplicates.len()).map_err(|status| status.code())
    };
    for login in ["anna", "sonja", "lena"] {
        let token = app.token(login).await;
        assert_eq!(
            listed(&token, ListDuplicateOutletsRequest::default()).await,
            Err(Code::PermissionDenied),
            "{login}"
        );
    }
    // All four stand in one place and are called nearly the same.
    let olga = app.token("olga").await;
    assert_eq!(listed(&olga, ListDuplicateOutletsRequest::default()).await, Ok(6));
    let eve = stranger(&app, world.anna.user).await;
    assert_eq!(listed(&eve, ListDuplicateOutletsRequest::default()).await, Ok(0), "another tenant");
    for wrong in [
        ListDuplicateOutletsRequest { min_likeness_bp: -1, ..ListDuplicateOutletsRequest::default() },
        ListDuplicateOutletsRequest { min_likeness_bp: 10_001, ..ListDuplicateOutletsRequest::default() },
        ListDuplicateOutletsRequest { page_size: -1, ..ListDuplicateOutletsRequest::default() },
        ListDuplicateOutletsRequest { page_token: "00".to_owned(), ..ListDuplicateOutletsRequest::default() },
    ] {
        assert_eq!(listed(&olga, wrong.clone()).await, Err(Code::InvalidArgument), "{wrong:?}");
    }
    app.finish().await;
}

async fn c14_pages_of_duplicates_are_bounded_and_go_on(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    let token = app.admin_token().await;
    let page = async |page_size: i32, min_likeness_bp: i32, page_token: String| {
        let request = ListDuplicateOutletsRequest { min_likeness_bp, page_size, page_token };
        let answer = OfficeServiceClient::new(app.channel.clone()).list_duplicate_outlets(by(&token, request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| status.code())
    };
    let all = page(0, 0, String::new()).await.expect("lists");
    assert_eq!((all.duplicates.len(), all.next_page_token.as_str()), (6, ""));
    assert!(all.duplicates.is_sorted_by(|one, other| one.likeness_bp >= other.likeness_bp), "the most alike first");
    let (mut paged, mut token) = (Vec::new(), String::new());
    let mut second = String::new();
    loop {
        let answer = page(4, 0, token).await.expect("lists");
        assert!(answer.duplicates.len() <= 4);
        paged.extend(answer.duplicates);
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
        second.clone_from(&token);
    }
    assert_eq!(paged, all.duplicates);
    let other = page(4, 9_000, second).await;
    assert_eq!(other.expect_err("is of another list"), Code::InvalidArgument);
    // One of them goes elsewhere.
    let far = Outlet { point: Some(north_m(5_000)), ..world.outlet(&world.boris, 1) };
    import(&app, vec![entry(world.boris.outlets[1], Record::Outlet(far))]).await;
    assert_eq!(page(0, 0, String::new()).await.expect("lists").duplicates.len(), 3);
    app.finish().await;
}

/// The pairs of customers that the command line lists.
async fn listed_customers(app: &TestApp) -> Vec<DuplicateCustomer> {
    let mut session = session(app).await;
    let found = cli::customer::duplicates(&mut session, 9_000, 1_000).await.expect("lists");
    session.close().await;
    found
}

async fn customers_that_look_like_one_are_listed_with_what_they_owe_until_they_are_merged(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (twice, baker) = (app.id(), app.id());
    let [known, other] = [world.customers[0], world.customers[1]];
    let customer = |name: &str, tax_id: &str| {
        Record::Customer(Customer { name: name.to_owned(), tax_id: tax_id.to_owned(), ..Customer::default() })
    };
    let owes = |customer: Uuid, currency: &str, debt_minor: i64| {
        let currency = currency.to_owned();
        let receivable = Receivable { customer_id: bytes(customer), currency, debt_minor, ..Receivable::default() };
        entry(app.id(), Record::Receivable(receivable))
    };
    let records = vec![
        entry(known, customer("Romashka LLC", "FI 0101")),
        entry(other, customer("Milk and bread", "FI-7")),
        entry(twice, customer("ИП «Ромашка»", "fi-0101")),
        // It has another name, and another number.
        entry(baker, customer("Baker Street", "FI-8")),
    ];
    import(&app, records).await;
    import(&app, vec![owes(known, "EUR", 12_000), owes(known, "EUR", 50), owes(twice, "USD", -300)]).await;
    let found = listed_customers(&app).await;
    let [pair] = &found[..] else { panic!("{found:?}") };
    let (goes, stays) = (pair.customer.clone().expect("one"), pair.survivor.clone().expect("another"));
    assert_eq!((&goes.customer_id, &stays.customer_id), (&bytes(twice), &bytes(known)), "who has outlets remains");
    assert_eq!((pair.likeness_bp, pair.name_likeness_bp, pair.same_tax_id), (10_000, 10_000, true));
    assert_eq!((pair.address_likeness_bp, pair.distance_m), (None, None));
    assert_eq!(cli::customer::reasons(pair), "names 100.00 %, same tax number");
    assert_eq!(cli::customer::described(&goes, 2), "ИП «Ромашка» (outlets: 0, owes -3.00 USD)");
    assert_eq!(cli::customer::described(&stays, 2), "Romashka LLC (outlets: 2, owes 120.50 EUR)");

    let mut office = session(&app).await;
    cli::customer::merge(&mut office, || app.id(), (twice, known), |_| {}).await.expect("is merged");
    office.close().await;
    assert_eq!(listed_customers(&app).await, [], "who was merged is no candidate");
    done(app, &world, &mut anna).await;
}

async fn nobody_but_the_office_of_the_tenant_is_told_of_duplicate_customers(kind: Kind) {
    let app = TestApp::start(kind).await;
    let world = World::make(&app).await;
    app.user("olga", Role::Office, None, None).await;
    app.user("lena", Role::Logistics, None, None).await;
    let listed = async |token: &str, request: ListDuplicateCustomersRequest| {
        let answer = OfficeServiceClient::new(app.channel.clone()).list_duplicate_customers(by(token, request)).await;
        answer.map(|answer| answer.into_inner().duplicates).map_err(|status| status.code())
    };
    for login in ["anna", "sonja", "lena"] {
        let token = app.token(login).await;
        let refused = listed(&token, ListDuplicateCustomersRequest::default()).await;
        assert_eq!(refused, Err(Code::PermissionDenied), "{login}");
    }
    // Both are called nearly the same, and their outlets stand in one place.
    let olga = app.token("olga").await;
    let found = listed(&olga, ListDuplicateCustomersRequest::default()).await.expect("lists");
    assert_eq!(found.iter().map(|pair| pair.distance_m).collect::<Vec<_>>(), [Some(0)]);
    assert!(found[0].likeness_bp < 10_000 && found[0].likeness_bp == found[0].name_likeness_bp, "{found:?}");
    let eve = stranger(&app, world.anna.user).await;
    assert_eq!(listed(&eve, ListDuplicateCustomersRequest::default()).await, Ok(Vec::new()), "another tenant");
    for wrong in [
        ListDuplicateCustomersRequest { min_likeness_bp: -1, ..ListDuplicateCustomersRequest::default() },
        ListDuplicateCustomersRequest { min_likeness_bp: 10_001, ..ListDuplicateCustomersRequest::default() },
        ListDuplicateCustomersRequest { page_size: -1, ..ListDuplicateCustomersRequest::default() },
        ListDuplicateCustomersRequest { page_token: "00".to_owned(), ..ListDuplicateCustomersRequest::default() },
    ] {
        assert_eq!(listed(&olga, wrong.clone()).await, Err(Code::InvalidArgument), "{wrong:?}");
    }
    app.finish().await;
}

async fn pages_of_duplicate_customers_go_on(kind: Kind) {
    let app = TestApp::start(kind).await;
    World::make(&app).await;
    let customer = |name: &str| Record::Customer(Customer { name: name.to_owned(), ..Customer::default() });
    let twins = ["Romashka", "Romashka", "Romashka", "Lyutik", "Lutik"];
    import(&app, twins.iter().map(|name| entry(app.id(), customer(name))).collect()).await;
    let token = app.admin_token().await;
    let page = async |page_size: i32, min_likeness_bp: i32, page_token: String| {
        let request = ListDuplicateCustomersRequest { min_likeness_bp, page_size, page_token };
        let answer = OfficeServiceClient::new(app.channel.clone()).list_duplicate_customers(by(&token, request)).await;
        answer.map(tonic::Response::into_inner).map_err(|status| status.code())
    };
    let all = page(0, 0, String::new()).await.expect("lists");
    assert_eq!((all.duplicates.len(), all.next_page_token.as_str()), (5, ""), "{:?}", all.duplicates);
    assert!(all.duplicates.is_sorted_by(|one, other| one.likeness_bp >= other.likeness_bp), "the most alike first");
    let first = page(2, 0, String::new()).await.expect("lists");
    let second = page(3, 0, first.next_page_token.clone()).await.expect("lists");
    assert_eq!((first.duplicates, second.next_page_token.as_str()), (all.duplicates[..2].to_vec(), ""));
    assert_eq!(second.duplicates, all.duplicates[2..]);
    let other = page(2, 9_000, first.next_page_token).await;
    assert_eq!(other.expect_err("is of another list"), Code::InvalidArgument);
    app.finish().await;
}

async fn outlets_are_blocked_and_unblocked_together(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let mut office = session(&app).await;
    let unknown = app.id();
    let outlets = [world.anna.outlets[0], unknown, world.anna.outlets[1]];
    let mut heard = 0;
    let refused =
        cli::outlet::set_blocked(&mut office, &outlets, Some("unpaid"), || heard += 1).await.expect("answered");
    assert_eq!((heard, refused.len()), (3, 1), "one does not keep the others");
    assert!(refused[0].contains(&unknown.to_string()) && refused[0].contains("REASON_NOT_FOUND"), "{refused:?}");
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldOutletBlocked), "{outcome:?}");
    let refused = cli::outlet::set_blocked(&mut office, &outlets[..1], None, || {}).await.expect("answered");
    assert_eq!(refused, Vec::<String>::new());
    app.sync(&mut anna).await;
    let blocked = world.anna.outlets.iter().map(|outlet| app.shown::<Outlet>(&anna, *outlet).expect("there").blocked);
    assert_eq!(blocked.collect::<Vec<_>>(), [false, true]);
    assert_eq!(app.shown::<Order>(&anna, id).expect("the order").status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}

async fn c14_what_waited_at_a_duplicate_goes_when_the_survivor_lets_it(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (survivor, customers) = (world.anna.outlets[0], world.agreements[0]);
    let [blocked, poorer, special] = [app.id(), app.id(), app.id()];
    let buying = |agreements: &[Uuid]| {
        let agreement_ids = agreements.iter().copied().map(bytes).collect();
        Record::Outlet(Outlet { agreement_ids, ..world.outlet(&world.anna, 0) })
    };
    let records = vec![
        entry(special, Record::Agreement(world.agreement(0))),
        entry(survivor, buying(&[customers, special])),
        entry(blocked, buying(&[customers])),
        entry(poorer, buying(&[special])),
    ];
    import(&app, records).await;
    app.sync(&mut anna).await;
    let block = BlockOutlet { outlet_id: bytes(blocked), blocked: true, reason: "unpaid".to_owned() };
    assert_eq!(app.office(Command::BlockOutlet(block)).await.status(), Status::Applied);
    import(&app, vec![entry(poorer, buying(&[customers]))]).await;
    for (outlet, agreement, reason) in
        [(blocked, customers, Reason::HeldOutletBlocked), (poorer, special, Reason::HeldTermsExpired)]
    {
        let (id, submit) = submit(&app, &anna, &world, (outlet, agreement));
        let outcome = app.decide(&mut anna, submit).await;
        assert_eq!(status(&outcome), (Status::Held, reason), "{outcome:?}");
        let archive = ArchiveOutlet { outlet_id: bytes(outlet), survivor_id: bytes(survivor) };
        let outcome = app.office(Command::ArchiveOutlet(archive)).await;
        assert_eq!(outcome.status(), Status::Applied, "{outcome:?}");
        let order = app.stored::<Order>(world.tenant).await.remove(&id).expect("the order");
        assert_eq!((order.status(), &order.outlet_id), (OrderStatus::Confirmed, &bytes(survivor)), "{order:?}");
    }
    done(app, &world, &mut anna).await;
}
