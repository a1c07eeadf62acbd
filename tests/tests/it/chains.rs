//! Chains: what outlets inherit down their tree, and what follows when it changes.

use std::sync::Arc;

use prost::Message as _;
use roundsman::internal::{ChainOutlets, Internal as _, Restamping, Restampings};
use roundsman::jobs::{Job, Jobs, Work};
use roundsman::store::record;
use roundsman::verify;
use roundsman_proto::sync::Status;
use roundsman_proto::trade::command::Command;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    self, Agreement, ArchiveOutlet, Chain, EditOutlet, HoldReason, ImportRecords, Order, OrderStatus, Outlet, Price,
    PriceList, Reason, RecordToImport, SubmitOrder,
};
use roundsman_tests::app::{TODAY, TestApp};
use roundsman_tests::database::Kind;
use roundsman_tests::world::{CURRENCY, PRICE_MINOR, World, bytes};
use uuid::Uuid;

use crate::conflicts::{done, held_version, open_holds, order, ready, status};
use crate::desk::{entry, import};

on_both_databases!(
    an_outlet_without_terms_of_its_own_buys_by_those_of_its_chain,
    an_outlet_that_gives_up_its_own_terms_inherits_again,
    a_chain_with_other_terms_brings_its_outlets_other_prices,
    the_terms_of_the_nearest_chain_count,
    a_tree_that_loops_or_is_too_deep_is_refused,
    the_outlets_of_a_large_chain_follow_by_and_by,
    a_chain_has_so_many_outlets_and_no_more,
    c15_an_order_by_terms_that_the_outlet_lost_waits_until_it_has_them_again,
    c15_an_order_waits_until_its_agreement_is_valid_again,
    c15_all_who_wait_for_an_agreement_go_on_when_it_is_prolonged,
    what_is_damaged_in_a_tree_is_found,
);

fn chain(parent: Option<Uuid>, agreements: &[Uuid]) -> Record {
    Record::Chain(Chain {
        name: "Chain".to_owned(),
        parent_id: parent.map(bytes).unwrap_or_default(),
        agreement_ids: agreements.iter().copied().map(bytes).collect(),
    })
}

/// Anna's outlet, in a chain and with these terms of its own.
fn member(world: &World, index: usize, chain: Uuid, own: &[Uuid]) -> RecordToImport {
    let agreement_ids = own.iter().copied().map(bytes).collect();
    let outlet = Outlet { agreement_ids, chain_id: bytes(chain), ..world.outlet(&world.anna, index) };
    entry(world.anna.outlets[index], Record::Outlet(outlet))
}

async fn refused(app: &TestApp, records: Vec<RecordToImport>) -> Reason {
    let before = app.version(app.tenant().await).await;
    let outcome = app.office(Command::ImportRecords(ImportRecords { records })).await;
    assert_eq!(outcome.status(), Status::Rejected, "{outcome:?}");
    assert_eq!(app.version(app.tenant().await).await, before, "nothing is half done");
    outcome.reason()
}

async fn inherited(app: &TestApp, world: &World, outlet: Uuid) -> Vec<Vec<u8>> {
    app.stored::<Outlet>(world.tenant).await[&outlet].inherited_agreement_ids.clone()
}

async fn an_outlet_without_terms_of_its_own_buys_by_those_of_its_chain(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let id = app.id();
    // What an import says of the inherited does not count.
    let mut outlet = member(&world, 0, id, &[]);
    if let Some(Record::Outlet(outlet)) = &mut outlet.record {
        outlet.inherited_agreement_ids = vec![bytes(world.agreements[1])];
    }
    import(&app, vec![outlet, entry(id, chain(None, &[world.agreements[0]]))]).await;
    app.sync(&mut anna).await;
    let shown: Outlet = app.shown(&anna, world.anna.outlets[0]).expect("the outlet");
    assert_eq!((shown.agreement_ids.len(), shown.inherited_agreement_ids), (0, vec![bytes(world.agreements[0])]));
    assert_eq!(app.shown::<Chain>(&anna, id).expect("the chain").agreement_ids, [bytes(world.agreements[0])]);
    let (_, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    let unknown = member(&world, 0, app.id(), &[]);
    assert_eq!(refused(&app, vec![unknown]).await, Reason::NotFound);
    done(app, &world, &mut anna).await;
}

async fn an_outlet_that_gives_up_its_own_terms_inherits_again(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, outlet) = (app.id(), world.anna.outlets[0]);
    let [first, second] = [world.agreements[0], world.agreements[1]];
    import(&app, vec![entry(id, chain(None, &[second])), member(&world, 0, id, &[first])]).await;
    assert_eq!(inherited(&app, &world, outlet).await, Vec::<Vec<u8>>::new());
    // The outlet's own terms go on whatever the chain's are.
    import(&app, vec![entry(id, chain(None, &[second, first]))]).await;
    assert_eq!(inherited(&app, &world, outlet).await, Vec::<Vec<u8>>::new());
    let give_up =
        EditOutlet { outlet_id: bytes(outlet), remove_agreement_ids: vec![bytes(first)], ..EditOutlet::default() };
    assert_eq!(app.office(Command::EditOutlet(give_up)).await.status(), Status::Applied);
    assert_eq!(inherited(&app, &world, outlet).await, [bytes(second), bytes(first)]);
    // Without a chain there is nothing to inherit.
    let alone = Outlet { agreement_ids: Vec::new(), ..world.outlet(&world.anna, 0) };
    import(&app, vec![entry(outlet, Record::Outlet(alone))]).await;
    assert_eq!(inherited(&app, &world, outlet).await, Vec::<Vec<u8>>::new());
    done(app, &world, &mut anna).await;
}

/// An agreement of the first customer with a price list of its own, on which the first article costs twice as much; returns
/// the agreement and the price.
async fn dearer(app: &TestApp, world: &World) -> (Uuid, Uuid) {
    let [list, agreement, price] = [app.id(), app.id(), app.id()];
    let record = PriceList { name: "Dearer".to_owned(), currency: CURRENCY.to_owned(), ..PriceList::default() };
    let double = Price { price_list_id: bytes(list), ..world.price(0, 2 * PRICE_MINOR) };
    let terms = Agreement { price_list_id: bytes(list), ..world.agreement(0) };
    let records = vec![
        entry(list, Record::PriceList(record)),
        entry(price, Record::Price(double)),
        entry(agreement, Record::Agreement(terms)),
    ];
    import(app, records).await;
    (agreement, price)
}

async fn a_chain_with_other_terms_brings_its_outlets_other_prices(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (root, branch) = (app.id(), app.id());
    let records = vec![
        entry(root, chain(None, &[world.agreements[0]])),
        entry(branch, chain(Some(root), &[])),
        member(&world, 0, branch, &[]),
        member(&world, 1, branch, &[]),
    ];
    import(&app, records).await;
    let (agreement, price) = dearer(&app, &world).await;
    app.sync(&mut anna).await;
    assert!(app.shown::<Price>(&anna, world.prices[0]).is_some(), "the chain's prices");
    assert!(app.shown::<Price>(&anna, price).is_none(), "nobody buys by the others yet");
    let (_, old) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    import(&app, vec![entry(root, chain(None, &[agreement]))]).await;
    app.sync(&mut anna).await;
    assert!(app.shown::<Price>(&anna, world.prices[0]).is_none(), "no outlet of hers buys by the old prices");
    assert!(app.shown::<Price>(&anna, price).is_some());
    let (_, mut new) = order(&app, &anna, &world, &world.anna, &[(0, 5, 2 * PRICE_MINOR)]);
    new.agreement_id = bytes(agreement);
    for line in &mut new.lines {
        (line.price_id, line.price_version) = (bytes(price), held_version(&anna, price));
    }
    let outcome = app.decide(&mut anna, Command::SubmitOrder(old)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldTermsExpired), "she could not know: {outcome:?}");
    let outcome = app.decide(&mut anna, Command::SubmitOrder(new)).await;
    assert_eq!(status(&outcome), (Status::Applied, Reason::Unspecified), "{outcome:?}");
    // An outlet that is archived leaves its chain.
    let archive = ArchiveOutlet { outlet_id: bytes(world.anna.outlets[1]), ..ArchiveOutlet::default() };
    assert_eq!(app.office(Command::ArchiveOutlet(archive)).await.status(), Status::Applied);
    done(app, &world, &mut anna).await;
}

async fn the_terms_of_the_nearest_chain_count(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [holding, brand, branch] = [app.id(), app.id(), app.id()];
    let [first, second] = [world.agreements[0], world.agreements[1]];
    let outlet = world.anna.outlets[0];
    let records = vec![
        entry(holding, chain(None, &[first])),
        entry(brand, chain(Some(holding), &[second])),
        entry(branch, chain(Some(brand), &[])),
        member(&world, 0, branch, &[]),
    ];
    import(&app, records).await;
    assert_eq!(inherited(&app, &world, outlet).await, [bytes(second)]);
    import(&app, vec![entry(holding, chain(None, &[first, second]))]).await;
    assert_eq!(inherited(&app, &world, outlet).await, [bytes(second)], "the brand has its own");
    import(&app, vec![entry(brand, chain(Some(holding), &[]))]).await;
    assert_eq!(inherited(&app, &world, outlet).await, [bytes(first), bytes(second)]);
    import(&app, vec![entry(branch, chain(None, &[]))]).await;
    assert_eq!(inherited(&app, &world, outlet).await, Vec::<Vec<u8>>::new(), "it hangs on nothing any more");
    import(&app, vec![entry(branch, chain(Some(holding), &[])), entry(holding, chain(None, &[first]))]).await;
    assert_eq!(inherited(&app, &world, outlet).await, [bytes(first)], "both changes of one command");
    done(app, &world, &mut anna).await;
}

async fn a_tree_that_loops_or_is_too_deep_is_refused(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let levels: Vec<Uuid> = (0..6).map(|_| app.id()).collect();
    let parent = |index: usize| index.checked_sub(1).map(|above| levels[above]);
    let tree = (0..5).map(|index| entry(levels[index], chain(parent(index), &[])));
    import(&app, tree.collect()).await;
    assert_eq!(refused(&app, vec![entry(levels[5], chain(parent(5), &[]))]).await, Reason::ChainCycle, "six levels");
    let looped = entry(levels[0], chain(Some(levels[4]), &[]));
    assert_eq!(refused(&app, vec![looped]).await, Reason::ChainCycle);
    let own = entry(levels[5], chain(Some(levels[5]), &[]));
    assert_eq!(refused(&app, vec![own]).await, Reason::ChainCycle);
    import(&app, vec![entry(levels[5], chain(None, &[]))]).await;
    let pushed_down = entry(levels[0], chain(Some(levels[5]), &[]));
    assert_eq!(refused(&app, vec![pushed_down]).await, Reason::ChainCycle, "six levels, from above");
    let unknown = entry(app.id(), chain(None, &[app.id()]));
    assert_eq!(refused(&app, vec![unknown]).await, Reason::NotFound);
    let many = vec![world.agreements[0]; 21];
    assert_eq!(refused(&app, vec![entry(app.id(), chain(None, &many))]).await, Reason::LimitExceeded);
    done(app, &world, &mut anna).await;
}

async fn the_outlets_of_a_large_chain_follow_by_and_by(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let [root, large, small] = [app.id(), app.id(), app.id()];
    let [first, second] = [world.agreements[0], world.agreements[1]];
    let branches = vec![
        entry(root, chain(None, &[first])),
        entry(large, chain(Some(root), &[])),
        entry(small, chain(Some(root), &[])),
    ];
    import(&app, branches).await;
    let outlet = |chain: Uuid| {
        let outlet = Outlet { agreement_ids: Vec::new(), chain_id: bytes(chain), ..world.outlet(&world.boris, 0) };
        entry(app.id(), Record::Outlet(outlet))
    };
    import(&app, (0..1_000).map(|_| outlet(large)).collect()).await;
    import(&app, (0..201).map(|_| outlet(small)).collect()).await;
    let followed = async |agreement: Uuid| {
        let outlets = app.stored::<Outlet>(world.tenant).await;
        outlets.values().filter(|outlet| outlet.inherited_agreement_ids == [bytes(agreement)]).count()
    };
    import(&app, vec![entry(root, chain(None, &[second]))]).await;
    assert_eq!([followed(first).await, followed(second).await], [701, 500]);
    assert_eq!(verify::verify(&app.core.db, world.tenant).await.expect("answers"), Vec::<String>::new());

    // The server has done a part of the rest when the chain changes again: that begins anew.
    let jobs = Jobs::new(Arc::clone(&app.core));
    let noted = restampings(&app, &world).await.remove(0);
    let begun = Job::new(Work::Restamp(noted.clone()), TODAY);
    let next = begun.after(Uuid::from_slice(&noted.after).expect("an id"));
    for job in [begun, next] {
        let command = trade::Command::decode(job.body()).expect("a command").command.expect("one");
        app.server_as(world.tenant, job.id(), command).await;
    }
    assert_eq!(followed(second).await, 1_000);
    app.pass(1);
    import(&app, vec![entry(root, chain(None, &[first]))]).await;
    assert_eq!([followed(first).await, followed(second).await], [701, 500]);
    jobs.run_due(world.tenant).await.expect("runs");
    assert_eq!([followed(first).await, followed(second).await], [1_201, 0]);
    assert_eq!(restampings(&app, &world).await, []);
    done(app, &world, &mut anna).await;
}

/// What commands have left to be done.
async fn restampings(app: &TestApp, world: &World) -> Vec<Restamping> {
    let mut tx = app.core.db.read().await.expect("a transaction");
    let found = record::find(&mut tx, world.tenant, &[Restampings::id(&())]).await.expect("found");
    let notes = found.into_iter().map(|(_, stored)| Restampings::decode(stored.document).expect("notes"));
    notes.flat_map(|notes| notes.entries).collect()
}

async fn a_chain_has_so_many_outlets_and_no_more(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, other) = (app.id(), app.id());
    import(&app, vec![entry(id, chain(None, &[])), entry(other, chain(None, &[])), member(&world, 0, id, &[])]).await;
    let mut outlets: Vec<Vec<u8>> = (1..10_000).map(|number| bytes(Uuid::from_u128(number))).collect();
    outlets.push(bytes(world.anna.outlets[0]));
    outlets.sort();
    let full = app.replace_document(ChainOutlets::id(&id), ChainOutlets { outlets }.encode_to_vec()).await;
    app.forget_records().await;
    assert_eq!(refused(&app, vec![member(&world, 1, id, &[])]).await, Reason::LimitExceeded);
    app.replace_document(ChainOutlets::id(&id), full).await;
    app.forget_records().await;
    import(&app, vec![member(&world, 1, id, &[])]).await;
    done(app, &world, &mut anna).await;
}

async fn c15_an_order_by_terms_that_the_outlet_lost_waits_until_it_has_them_again(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (root, branch) = (app.id(), app.id());
    let [old, other] = [world.agreements[0], world.agreements[1]];
    let tree =
        vec![entry(root, chain(None, &[old])), entry(branch, chain(Some(root), &[])), member(&world, 0, branch, &[])];
    import(&app, tree).await;
    app.sync(&mut anna).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    app.capture(&mut anna, Command::SubmitOrder(submit));
    import(&app, vec![entry(root, chain(None, &[other]))]).await;
    let synced = app.sync(&mut anna).await;
    assert_eq!(status(&synced.outcomes[0].1), (Status::Held, Reason::HeldTermsExpired), "{synced:?}");
    let held: Order = app.shown(&anna, id).expect("it is not lost");
    assert_eq!(open_holds(&held), [HoldReason::TermsExpired]);
    // By what the outlet never had nobody orders.
    let stranger = app.id();
    let never = Record::Agreement(Agreement { customer_id: bytes(world.customers[0]), ..world.agreement(0) });
    import(&app, vec![entry(stranger, never)]).await;
    let (_, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let submit = SubmitOrder { agreement_id: bytes(stranger), ..submit };
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Rejected, Reason::Mismatch), "{outcome:?}");

    // Whoever gives the outlet its terms again lets the order go: here the chain.
    import(&app, vec![entry(branch, chain(Some(root), &[old]))]).await;
    app.sync(&mut anna).await;
    let order: Order = app.shown(&anna, id).expect("the order");
    assert_eq!(
        (order.status(), order.holds[0].released_by.as_str()),
        (OrderStatus::Confirmed, "rule: its cause has gone")
    );
    done(app, &world, &mut anna).await;
}

async fn c15_an_order_waits_until_its_agreement_is_valid_again(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (id, submit) = order(&app, &anna, &world, &world.anna, &[(0, 5, PRICE_MINOR)]);
    let ended = Agreement { valid_to_day: TODAY - 1, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(ended))]).await;
    let outcome = app.decide(&mut anna, Command::SubmitOrder(submit)).await;
    assert_eq!(status(&outcome), (Status::Held, Reason::HeldTermsExpired), "{outcome:?}");
    let longer = Agreement { valid_to_day: TODAY + 30, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(longer))]).await;
    app.sync(&mut anna).await;
    assert_eq!(app.shown::<Order>(&anna, id).expect("the order").status(), OrderStatus::Confirmed);
    done(app, &world, &mut anna).await;
}

async fn c15_all_who_wait_for_an_agreement_go_on_when_it_is_prolonged(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let ended = Agreement { valid_to_day: TODAY - 1, credit_limit_minor: None, ..world.agreement(0) };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(ended.clone()))]).await;
    for _ in 0..230 {
        let (_, submit) = order(&app, &anna, &world, &world.anna, &[(0, 1, PRICE_MINOR)]);
        app.capture(&mut anna, Command::SubmitOrder(submit));
    }
    while !app.sync(&mut anna).await.outcomes.is_empty() {}
    let waiting = async || {
        let orders = app.stored::<Order>(world.tenant).await;
        orders.values().filter(|order| order.status() == OrderStatus::Submitted).count()
    };
    assert_eq!(waiting().await, 230);
    let longer = Agreement { valid_to_day: TODAY + 30, ..ended };
    import(&app, vec![entry(world.agreements[0], Record::Agreement(longer))]).await;
    assert!((1..230).contains(&waiting().await), "some go with the command");
    Jobs::new(Arc::clone(&app.core)).run_due(world.tenant).await.expect("runs");
    assert_eq!(waiting().await, 0, "and the others by and by");
    assert_eq!(restampings(&app, &world).await, []);
    done(app, &world, &mut anna).await;
}

async fn what_is_damaged_in_a_tree_is_found(kind: Kind) {
    let (app, world, mut anna) = ready(kind).await;
    let (root, branch) = (app.id(), app.id());
    let [first, second] = [world.agreements[0], world.agreements[1]];
    let outlet = world.anna.outlets[0];
    let tree =
        vec![entry(root, chain(None, &[first])), entry(branch, chain(Some(root), &[])), member(&world, 0, branch, &[])];
    import(&app, tree).await;
    let stored = app.stored::<Outlet>(world.tenant).await[&outlet].clone();
    let found = async |record: Uuid, document: Vec<u8>, expected: &str| {
        let before = app.replace_document(record, document).await;
        let findings = verify::verify(&app.core.db, world.tenant).await.expect("answers");
        assert!(findings.iter().any(|finding| finding.contains(expected)), "{expected}: {findings:?}");
        app.replace_document(record, before).await;
    };
    let strange = Outlet { inherited_agreement_ids: vec![bytes(second)], ..stored.clone() };
    found(outlet, strange.encode_to_vec(), &format!("Outlet {outlet} inherits")).await;
    let left = Outlet { chain_id: bytes(root), ..stored };
    found(outlet, left.encode_to_vec(), &format!("outlets{{chain:{branch}}} names {outlet}")).await;
    let Record::Chain(orphan) = chain(None, &[]) else { unreachable!("it is a chain") };
    found(branch, orphan.encode_to_vec(), &format!("branches{{chain:{root}}} names {branch}")).await;
    let Record::Chain(own) = chain(Some(branch), &[]) else { unreachable!("it is a chain") };
    found(branch, own.encode_to_vec(), &format!("Chain {branch} hangs below")).await;
    done(app, &world, &mut anna).await;
}
