//! The script of the day: who does what when. Pure: the seed decides it, before anything runs.
//!
//! What customers ask for is what the model of the past says about today. Around it the script arranges that people get
//! into each other's way: the office changes what a representative without a connection relies on.

use std::collections::{BTreeMap, BTreeSet};

use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

use super::history::{NoOrderReason, VisitOutcome};
use super::trade::Trade;
use super::world::{TEAMS, TERRITORIES, TODAY, World, id};

/// The stream of ChaCha that the day is drawn from.
const STREAM: u64 = 3;
/// In seconds.
pub const MINUTE: i32 = 60;
/// In seconds.
pub const HOUR: i32 = 60 * MINUTE;
/// The day begins, in seconds after midnight.
pub const BEGIN_S: i32 = 7 * HOUR;
/// The day ends.
pub const END_S: i32 = 18 * HOUR;
/// The first and the last check-in are about then.
const VISITS_S: (i32, i32) = (8 * HOUR + 10 * MINUTE, 17 * HOUR + 10 * MINUTE);
/// The server is killed then, or as soon as a device pushes.
pub const KILL_S: i32 = 12 * HOUR;
/// These representatives' devices come back when the server is killed.
const BACK_AT_THE_KILL: [usize; 4] = [0, 1, 3, 4];
/// These representatives' devices keep their storages in files.
const IN_FILES: [usize; 3] = [2, 7, 9];
/// This one's app is killed in the middle of a push.
const DIES: usize = 2;
/// This one's app is installed again.
const REINSTALLS: usize = 5;
/// The representative whose territory is handed over, and the one who gets it.
const HANDOVER: (usize, usize) = (11, 10);
const HANDOVER_S: i32 = 15 * HOUR + 40 * MINUTE;
/// Two customers turn out to be one.
const MERGE_S: i32 = 15 * HOUR;
/// Logistics looks for work so often, from then on, every so many seconds.
const LOOKS: i32 = 35;
const FIRST_LOOK_S: i32 = 9 * HOUR + 20 * MINUTE;
const BETWEEN_LOOKS_S: i32 = 15 * MINUTE;
/// The office looks at claims then.
const CLAIMS_S: [i32; 5] =
    [12 * HOUR, 14 * HOUR + 10 * MINUTE, 15 * HOUR + 50 * MINUTE, 17 * HOUR, 17 * HOUR + 50 * MINUTE];
/// Both register the same new outlet.
const FINDERS: [usize; 2] = [3, 4];

/// Something that is done at a time of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At<A> {
    /// When, in seconds after midnight.
    pub s: i32,
    /// What.
    pub act: A,
}

/// Everybody's day.
#[derive(Debug, PartialEq, Eq)]
pub struct Day {
    /// The representatives'.
    pub reps: Vec<RepDay>,
    /// The office's.
    pub office: Vec<At<OfficeAct>>,
    /// When logistics looks for work: the same for all logisticians.
    pub looks: Vec<i32>,
    /// Orders that logistics leaves alone, since the office is still talking about them.
    pub held_back: BTreeSet<Uuid>,
    /// What is arranged about terms and scarce goods.
    pub trade: Trade,
}

/// A representative's day.
#[derive(Debug, PartialEq, Eq)]
pub struct RepDay {
    /// The device keeps its storages in files.
    pub in_files: bool,
    /// When it has no connection.
    pub offline: [(i32, i32); 2],
    /// The visits of the plan, in order.
    pub visits: Vec<PlannedVisit>,
    /// What happens, by time.
    pub acts: Vec<At<RepAct>>,
}

/// A visit of the plan, and what comes of it.
#[derive(Debug, PartialEq, Eq)]
pub struct PlannedVisit {
    /// The outlet, an index into those of the city.
    pub outlet: usize,
    /// When it begins; `None`: it is left out.
    pub begins_s: Option<i32>,
    /// How far from the outlet the check-in is made.
    pub metres: i64,
    /// What the customer asks for; empty: nothing.
    pub wants: Vec<Want>,
    /// The discount that the representative gives.
    pub discount_bp: i32,
    /// Why nothing is asked for.
    pub no_order: NoOrderReason,
}

/// What a customer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Want {
    /// The article, an index into those of the catalogue.
    pub article: usize,
    /// In whole cartons.
    pub in_cartons: bool,
    /// How much, in thousandths of the base unit.
    pub quantity_milli: i64,
}

/// What a representative does, or what happens to the device. Numbers are places in the plan of visits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RepAct {
    /// The connection is lost.
    GoOffline,
    /// The connection is back.
    GoOnline,
    /// Begins a visit.
    CheckIn(usize),
    /// Answers the survey of this number.
    Answer(usize, usize),
    /// Takes the order.
    Order(usize),
    /// Takes money.
    Pay(usize),
    /// Ends the visit.
    CheckOut(usize),
    /// Doubles the first line of the order that was taken.
    Amend(usize),
    /// Calls the order off.
    Cancel(usize),
    /// Files a claim about the last delivery.
    Claim,
    /// Registers a new outlet beside the one of this visit, under this number.
    Register(usize, usize),
    /// Reports the oldest task as done.
    CompleteTask,
    /// Hands the cash in that was taken.
    HandIn,
    /// The app is removed and installed again.
    Reinstall,
    /// The app is killed in the middle of a push.
    DieInPush,
}

/// What the office does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OfficeAct {
    /// Makes these articles dearer in all lists.
    RaisePrices(Vec<usize>),
    /// Finds that there is next to nothing of these articles.
    RecountStock(Vec<usize>),
    /// Blocks an outlet.
    Block(usize),
    /// Lets it buy again.
    Unblock(usize),
    /// Calls a planned visit off: representative, outlet.
    CancelVisit(usize, usize),
    /// Edits this line of an order: the first quantity that both sides touch, or the second.
    ChangeOrder(Uuid, usize),
    /// Finds these customers' debts overdue, or paid.
    SetOverdue(Vec<usize>, bool),
    /// Looks through the held orders and releases some.
    ReleaseHolds,
    /// Looks through the reclamations: takes up, decides, settles.
    HandleClaims,
    /// Gives a representative something to do at an outlet.
    AssignTask(usize, usize),
    /// Finds that a customer is another one: duplicate, survivor.
    MergeCustomers(usize, usize),
    /// Hands a territory over: from, to.
    HandOver(usize, usize),
}

/// The id of the order that is taken in a visit.
#[must_use]
pub fn order_id(rep: usize, visit: usize) -> Uuid {
    id("order", format!("{rep}/{visit}"))
}

/// The id of an order's line.
#[must_use]
pub fn line_id(order: Uuid, number: usize) -> Uuid {
    id("line", format!("{order}/{number}"))
}

/// The id of today's planned visit to an outlet, as the server makes it of the route.
#[must_use]
pub fn planned_visit_id(world: &World, outlet: usize) -> Uuid {
    let territory = world.city.outlets[outlet].territory;
    let route = id("route", format!("{} Monday", world.city.territories[territory].code));
    crate::internal::planned_visit_id(route, world.outlet_id(outlet), TODAY)
}

impl Day {
    /// The day of a world.
    #[must_use]
    pub fn plan(world: &World) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(world.seed);
        rng.set_stream(STREAM);
        let demand = world.demand.visits.iter().filter(|visit| visit.day == TODAY);
        let demand: BTreeMap<usize, &VisitOutcome> = demand.map(|visit| (visit.outlet, &visit.outcome)).collect();
        let mut reps: Vec<RepDay> = (0..TERRITORIES).map(|rep| rep_day(world, &demand, rep, &mut rng)).collect();
        let mut held_back = BTreeSet::new();
        let mut office = office(world, &reps, &mut rng);
        office.extend(disputes(&mut reps, &mut held_back));
        let late: Vec<usize> = office.iter().flat_map(|at| late(&at.act)).copied().collect();
        let trade = Trade::arrange(world, &mut reps, &late);
        let (duplicate, survivor) = trade.twins;
        office.push(At { s: MERGE_S, act: OfficeAct::MergeCustomers(duplicate, survivor) });
        office.sort_by_key(|at| at.s);
        for day in &mut reps {
            day.acts.sort_by_key(|at| at.s);
        }
        let looks = (0..LOOKS).map(|look| FIRST_LOOK_S + look * BETWEEN_LOOKS_S).collect();
        Self { reps, office, looks, held_back, trade }
    }
}

impl RepDay {
    /// Whether the device has a connection.
    fn is_online(&self, s: i32) -> bool {
        self.offline.iter().all(|&(from, to)| s < from || s > to)
    }

    /// The visits that begin in a stretch of time, with their places.
    fn made_in(&self, (from, to): (i32, i32)) -> impl Iterator<Item = (usize, &PlannedVisit)> {
        let within = move |s: i32| (from..=to).contains(&s);
        self.visits.iter().enumerate().filter(move |(_, visit)| visit.begins_s.is_some_and(within))
    }

    /// Those of them in which something is ordered.
    pub fn ordered_in(&self, window: (i32, i32)) -> impl Iterator<Item = (usize, &PlannedVisit)> {
        self.made_in(window).filter(|(_, visit)| !visit.wants.is_empty())
    }
}

fn rep_day(world: &World, demand: &BTreeMap<usize, &VisitOutcome>, rep: usize, rng: &mut ChaCha8Rng) -> RepDay {
    let offline = offline(rep, rng);
    let due = world.due(rep, TODAY);
    let slot = (VISITS_S.1 - VISITS_S.0) / i32::try_from(due.len().max(1)).unwrap_or(1);
    let mut day = RepDay { in_files: IN_FILES.contains(&rep), offline, visits: Vec::new(), acts: Vec::new() };
    for (place, outlet) in (0..).zip(due) {
        let at = VISITS_S.0 + place * slot + rng.random_range(0..slot / 3);
        let visit = visit(world, demand.get(&outlet).copied(), (outlet, at), rng);
        if visit.begins_s.is_some() {
            act_visit(&mut day.acts, &visit, (day.visits.len(), at), slot, rng);
        }
        day.visits.push(visit);
    }
    for (number, (from, to)) in offline.into_iter().enumerate() {
        day.acts.push(At { s: from, act: RepAct::GoOffline });
        if rep == DIES && number == 0 {
            day.acts.push(At { s: to, act: RepAct::DieInPush });
        }
        day.acts.push(At { s: to, act: RepAct::GoOnline });
    }
    let mut at = |s: i32, act| day.acts.push(At { s, act });
    if rep == REINSTALLS {
        at(12 * HOUR + 20 * MINUTE, RepAct::Reinstall);
    }
    at(11 * HOUR + rng.random_range(0..HOUR), RepAct::CompleteTask);
    at(16 * HOUR + rng.random_range(0..HOUR), RepAct::CompleteTask);
    at(END_S - 5 * MINUTE, RepAct::HandIn);
    if rep.is_multiple_of(2) {
        at(14 * HOUR + rng.random_range(0..3 * HOUR), RepAct::Claim);
    }
    if rep.is_multiple_of(3) || FINDERS.contains(&rep) {
        let number = if FINDERS.contains(&rep) { 0 } else { rep + 1 };
        at(10 * HOUR + rng.random_range(0..4 * HOUR), RepAct::Register(0, number));
    }
    day
}

/// Two stretches, two to five hours together: one ends by noon, the other begins after it.
fn offline(rep: usize, rng: &mut ChaCha8Rng) -> [(i32, i32); 2] {
    let total = rng.random_range(125..=295) * MINUTE;
    let first = total * rng.random_range(40..=60) / 100;
    let second = total - first;
    let (earliest, noon) = (8 * HOUR + 20 * MINUTE, 12 * HOUR);
    let end = match rep {
        DIES => 11 * HOUR + 40 * MINUTE,
        _ if BACK_AT_THE_KILL.contains(&rep) => KILL_S,
        _ => rng.random_range(earliest + first..=noon - 10 * MINUTE),
    };
    let latest = 17 * HOUR + 20 * MINUTE - second;
    let begin = match rep {
        // The territory goes to somebody else while this one can't hear of it.
        rep if rep == HANDOVER.0 => (HANDOVER_S - second / 2).min(latest),
        _ => rng.random_range(12 * HOUR + 40 * MINUTE..=latest),
    };
    [(end - first, end), (begin, begin + second)]
}

fn visit(
    world: &World,
    outcome: Option<&VisitOutcome>,
    (outlet, at): (usize, i32),
    rng: &mut ChaCha8Rng,
) -> PlannedVisit {
    let far = rng.random_range(0..100) < 3;
    let mut visit = PlannedVisit {
        outlet,
        begins_s: Some(at),
        metres: if far { rng.random_range(400..900) } else { rng.random_range(0..40) },
        wants: Vec::new(),
        discount_bp: 0,
        no_order: NoOrderReason::EnoughStock,
    };
    match outcome {
        Some(VisitOutcome::Productive { order }) => {
            let lines = &world.demand.orders[*order].lines;
            visit.wants = lines
                .iter()
                .map(|line| Want {
                    article: line.article,
                    in_cartons: line.packaging > 0,
                    quantity_milli: line.quantity_milli,
                })
                .collect();
            let limit = world.city.agreement_of(outlet).manual_discount_limit_bp;
            visit.discount_bp = match rng.random_range(0..20) {
                // One in twenty gives more away than he may.
                0 => limit + 200,
                1..=4 => limit / 2,
                _ => 0,
            };
        }
        Some(VisitOutcome::Unproductive(reason)) => visit.no_order = *reason,
        // What was left for lack of time on a longer route is made today.
        Some(VisitOutcome::Missed) if rng.random_range(0..2) == 0 => {}
        Some(VisitOutcome::Skipped(_) | VisitOutcome::Missed) | None => visit.begins_s = None,
    }
    visit
}

/// What is done in a visit.
fn act_visit(
    acts: &mut Vec<At<RepAct>>,
    visit: &PlannedVisit,
    (place, begins): (usize, i32),
    slot: i32,
    rng: &mut ChaCha8Rng,
) {
    let stay = rng.random_range(5 * MINUTE..=20 * MINUTE).min(slot * 3 / 5);
    let mut at = |share: i32, act| acts.push(At { s: begins + stay * share / 10, act });
    at(0, RepAct::CheckIn(place));
    if rng.random_range(0..10) < 6 {
        at(2, RepAct::Answer(place, rng.random_range(0..2)));
    }
    if !visit.wants.is_empty() {
        at(5, RepAct::Order(place));
    }
    if rng.random_range(0..4) == 0 {
        at(7, RepAct::Pay(place));
    }
    at(10, RepAct::CheckOut(place));
}

/// What the office does anyway, and what gets into the way of those without a connection.
fn office(world: &World, reps: &[RepDay], rng: &mut ChaCha8Rng) -> Vec<At<OfficeAct>> {
    let mut acts = Vec::new();
    for (rep, day) in reps.iter().enumerate() {
        for visit in [day.visits.first(), day.visits.last()].into_iter().flatten() {
            let s = 7 * HOUR + 20 * MINUTE + rng.random_range(0..30 * MINUTE);
            acts.push(At { s, act: OfficeAct::AssignTask(rep, visit.outlet) });
        }
    }
    for s in [9 * HOUR + 10 * MINUTE, 10 * HOUR + 30 * MINUTE, 13 * HOUR + 40 * MINUTE, 15 * HOUR + 10 * MINUTE] {
        let mut articles = wanted_offline(world, reps, s, rng);
        articles.truncate(40);
        acts.push(At { s, act: OfficeAct::RaisePrices(articles) });
    }
    for s in [10 * HOUR + 50 * MINUTE, 14 * HOUR + 20 * MINUTE] {
        let mut articles = wanted_offline(world, reps, s, rng);
        articles.truncate(30);
        acts.push(At { s, act: OfficeAct::RecountStock(articles) });
    }
    for (rep, act) in [(0, 0), (8, 0), (1, 1), (6, 1)] {
        let window = reps[rep].offline[0];
        let mut made = reps[rep].ordered_in((window.0 + 10 * MINUTE, window.1));
        let Some((_, visit)) = made.next() else { continue };
        let s = window.0 + 5 * MINUTE;
        if act == 0 {
            acts.push(At { s, act: OfficeAct::CancelVisit(rep, visit.outlet) });
        } else {
            acts.push(At { s, act: OfficeAct::Block(visit.outlet) });
            acts.push(At { s: 16 * HOUR + 10 * MINUTE, act: OfficeAct::Unblock(visit.outlet) });
        }
    }
    acts.extend(price_behind_the_back(world, reps));
    let late = late_payers(world, reps);
    acts.push(At { s: 12 * HOUR + 50 * MINUTE, act: OfficeAct::SetOverdue(late.clone(), true) });
    acts.push(At { s: 16 * HOUR + 30 * MINUTE, act: OfficeAct::SetOverdue(late, false) });
    for s in [10 * HOUR, 12 * HOUR + 30 * MINUTE, 14 * HOUR + 40 * MINUTE, 16 * HOUR + 40 * MINUTE] {
        acts.push(At { s, act: OfficeAct::ReleaseHolds });
    }
    acts.extend(CLAIMS_S.map(|s| At { s, act: OfficeAct::HandleClaims }));
    acts.push(At { s: HANDOVER_S, act: OfficeAct::HandOver(HANDOVER.0, HANDOVER.1) });
    acts
}

/// Articles that are asked for, within the next hours, where nobody can hear of a change that is made now; first those
/// of customers to whom no old price is honoured.
fn wanted_offline(world: &World, reps: &[RepDay], s: i32, rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut wanted: BTreeMap<usize, bool> = BTreeMap::new();
    for day in reps.iter().filter(|day| !day.is_online(s)) {
        for &(_, until) in day.offline.iter().filter(|(from, to)| (*from..=*to).contains(&s)) {
            for (_, visit) in day.ordered_in((s, until)) {
                let strict = world.city.agreement_of(visit.outlet).price_grace_hours == 0;
                for want in &visit.wants {
                    *wanted.entry(want.article).or_default() |= strict;
                }
            }
        }
    }
    let mut wanted: Vec<(usize, bool)> = wanted.into_iter().collect();
    wanted.shuffle(rng);
    wanted.sort_by_key(|(_, strict)| !strict);
    wanted.into_iter().map(|(article, _)| article).collect()
}

/// What a customer to whom no old price is honoured asks of a representative without a connection gets dearer shortly
/// before (C5).
fn price_behind_the_back(world: &World, reps: &[RepDay]) -> Option<At<OfficeAct>> {
    let strict = |visit: &PlannedVisit| world.city.agreement_of(visit.outlet).price_grace_hours == 0;
    reps.iter().flat_map(|day| day.offline.iter().map(move |window| (day, *window))).find_map(|(day, (from, to))| {
        let (_, visit) = day.ordered_in((from + 10 * MINUTE, to)).find(|(_, visit)| strict(visit))?;
        let articles: BTreeSet<usize> = visit.wants.iter().map(|want| want.article).collect();
        Some(At { s: from + 5 * MINUTE, act: OfficeAct::RaisePrices(articles.into_iter().collect()) })
    })
}

/// The customers who pay late, if the office finds that.
fn late(act: &OfficeAct) -> &[usize] {
    if let OfficeAct::SetOverdue(customers, _) = act { customers } else { &[] }
}

/// Customers who order in the afternoon: one of every second representative.
fn late_payers(world: &World, reps: &[RepDay]) -> Vec<usize> {
    let window = (13 * HOUR, 16 * HOUR);
    let last = reps.iter().step_by(2).filter_map(|day| day.ordered_in(window).last());
    let customers: BTreeSet<usize> = last.map(|(_, visit)| world.city.outlets[visit.outlet].customer).collect();
    customers.into_iter().collect()
}

/// Orders that office and representative both edit in the afternoon, the one without knowing of the other.
fn disputes(reps: &mut [RepDay], held_back: &mut BTreeSet<Uuid>) -> Vec<At<OfficeAct>> {
    let mut acts = Vec::new();
    for (rep, day) in reps.iter_mut().enumerate() {
        let window = day.offline[1];
        let before = (8 * HOUR, window.0 - 10 * MINUTE);
        let orders: Vec<usize> =
            day.ordered_in(before).filter(|(_, visit)| visit.wants.len() > 1).map(|(place, _)| place).collect();
        let Some(&last) = orders.last() else { continue };
        day.acts.push(At { s: window.0 + 20 * MINUTE, act: RepAct::Amend(last) });
        // Some are with the warehouse already when the representative thinks of a change.
        if rep % 4 != 3 {
            held_back.insert(order_id(rep, last));
            let act = OfficeAct::ChangeOrder(order_id(rep, last), rep % 2);
            acts.push(At { s: window.0 + 10 * MINUTE, act });
        }
        if let Some(&first) = orders.first().filter(|first| rep % 3 == 1 && **first != last) {
            day.acts.push(At { s: window.0 + 25 * MINUTE, act: RepAct::Cancel(first) });
            if rep % 2 == 1 {
                held_back.insert(order_id(rep, first));
            }
        }
    }
    acts
}

/// So many teams have a logistician each.
pub const LOGISTICS: usize = TEAMS;

#[cfg(test)]
mod tests {
    use super::*;

    fn day(seed: u64) -> Day {
        Day::plan(&World::generate(seed).expect("the list that is built in"))
    }

    #[test]
    fn a_seed_is_a_day() {
        assert_eq!(day(1), day(1));
        assert_ne!(day(1), day(2));
    }

    #[test]
    fn every_device_is_away_for_two_to_five_hours() {
        for seed in 1..4 {
            for rep in day(seed).reps {
                let away: i32 = rep.offline.iter().map(|(from, to)| to - from).sum();
                assert!((2 * HOUR..=5 * HOUR).contains(&away), "{away}");
                assert!(rep.offline[0].1 <= KILL_S && KILL_S < rep.offline[1].0 && rep.offline[1].1 < END_S);
            }
        }
    }

    #[test]
    fn about_150_orders_are_taken() {
        let orders = |day: &Day| day.reps.iter().flat_map(|rep| rep.ordered_in((BEGIN_S, END_S))).count();
        let orders: Vec<usize> = (1..4).map(|seed| orders(&day(seed))).collect();
        assert!(orders.iter().all(|orders| (130..=170).contains(orders)), "{orders:?}");
    }

    #[test]
    fn about_240_visits_are_planned() {
        let visits: Vec<usize> = (1..4).map(|seed| day(seed).reps.iter().map(|rep| rep.visits.len()).sum()).collect();
        assert!(visits.iter().all(|visits| (220..=260).contains(visits)), "{visits:?}");
    }

    #[test]
    fn on_every_day_a_price_changes_behind_somebodys_back() {
        for seed in 1..9 {
            let world = World::generate(seed).expect("the list that is built in");
            let day = Day::plan(&world);
            assert!(price_behind_the_back(&world, &day.reps).is_some(), "seed {seed}");
        }
    }

    #[test]
    fn one_visit_at_a_time() {
        for rep in day(1).reps {
            let mut at = None;
            for act in rep.acts {
                match act.act {
                    RepAct::CheckIn(visit) => assert_eq!(at.replace(visit), None),
                    RepAct::CheckOut(visit) => assert_eq!(at.take(), Some(visit)),
                    RepAct::Order(visit) | RepAct::Pay(visit) | RepAct::Answer(visit, _) => assert_eq!(at, Some(visit)),
                    RepAct::GoOffline | RepAct::GoOnline | RepAct::Amend(_) | RepAct::Cancel(_) | RepAct::Claim => {}
                    RepAct::Register(..) | RepAct::CompleteTask | RepAct::HandIn => {}
                    RepAct::Reinstall | RepAct::DieInPush => {}
                }
            }
        }
    }
}
