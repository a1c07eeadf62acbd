//! What the model of the past does not bring about by itself: a chain with terms of its own, contracts, goods of which there
//! is too little for all, orders that are wanted otherwise when the warehouse has them, two customers that are one. Pure.

use std::collections::BTreeSet;

use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::quota_holder::Holder;
use roundsman_proto::trade::record_to_import::Record;
use roundsman_proto::trade::{
    Agreement, Audience, Chain, ChangeRequestState, Contract, HoldReason, LineDifference, Order, OrderLine, Outlet,
    Promotion, QuotaEntry, QuotaHolder, RecordToImport, Stacking, StockQuota,
};
use uuid::Uuid;

use super::catalogue::{BaseUnit, CURRENCY, ONE_UNIT_MILLI, Stock};
use super::plan::{HOUR, MINUTE, RepAct, RepDay, Want, order_id};
use super::records::{agreement, entry, moment_us};
use super::verdict::Stored;
use super::world::{TODAY, World, bytes, id, rep_id};

/// What each order asks for of the scarce goods, in thousandths of the base unit …
const WANTED_MILLI: i64 = 20 * ONE_UNIT_MILLI;
/// … and the share of a representative who sells them.
const SHARE_MILLI: i64 = 12 * ONE_UNIT_MILLI;
/// The share of one who does not: it is returned.
const UNUSED_MILLI: i64 = 80 * ONE_UNIT_MILLI;
/// What is shared out among all who wait.
const SHARED_OUT_MILLI: i64 = 50 * ONE_UNIT_MILLI;
/// So many representatives have a share that they use; the next one has one that he does not.
const SELLERS: usize = 4;
/// What has not been used is returned then.
const RETURN_S: i32 = 14 * HOUR;
/// Goods are shared out then: all who have taken orders before noon have had a connection by then.
const SHARE_OUT_S: i32 = 13 * HOUR;
/// What was shared out is free then.
const SHARES_END_S: i32 = 17 * HOUR + 30 * MINUTE;
/// Representatives ask for another quantity of what the warehouse has: everybody has a connection then.
const ASK_S: i32 = 12 * HOUR + 25 * MINUTE;
/// Until then the warehouse leaves these orders unprepared.
pub const LEFT_UNTIL_S: i32 = 13 * HOUR + 30 * MINUTE;
/// The first warehouse has the goods with shares, the second one those that are shared out.
const WAREHOUSES: (usize, usize) = (0, 1);

/// What is arranged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trade {
    /// The customer whose outlets are a chain with branches.
    pub chain: usize,
    /// The customer whose contract has ended.
    pub ended: usize,
    /// The customer who has a valid one.
    pub signed: usize,
    /// The customers that are one: duplicate, survivor.
    pub twins: (usize, usize),
    /// The article of which representatives have shares.
    pub rationed: usize,
    /// The article that is shared out.
    pub shared_out: usize,
    /// Orders that the warehouse leaves unprepared until representatives have asked for something else.
    pub asked: BTreeSet<Uuid>,
}

impl Trade {
    /// Arranges it around what representatives do anyway; `late` pay late today.
    pub fn arrange(world: &World, reps: &mut [RepDay], late: &[usize]) -> Self {
        let noon = 12 * HOUR;
        let ordered = |customer: usize| {
            let visits = reps.iter().flat_map(|day| day.ordered_in((0, noon)));
            visits.filter(|(_, visit)| world.city.outlets[visit.outlet].customer == customer).count()
        };
        let customers = 0..world.city.customers.len();
        let chains = customers.clone().filter(|&customer| world.city.customers[customer].is_chain());
        let chain = chains.max_by_key(|&customer| ordered(customer)).unwrap_or(0);
        let mut single = customers.filter(|customer| {
            !world.city.customers[*customer].is_chain() && !late.contains(customer) && ordered(*customer) > 0
        });
        let mut next = || single.next().unwrap_or(0);
        let (ended, signed, twins) = (next(), next(), (next(), next()));
        let mut scarce = unwanted(world, reps).into_iter();
        let mut next = || scarce.next().unwrap_or(0);
        let (rationed, shared_out) = (next(), next());
        let mut trade = Self { chain, ended, signed, twins, rationed, shared_out, asked: BTreeSet::new() };
        for (rep, day) in reps.iter_mut().enumerate() {
            trade.arrange_day(world, rep, day);
        }
        trade
    }

    fn arrange_day(&mut self, world: &World, rep: usize, day: &mut RepDay) {
        let early: Vec<usize> = day.ordered_in((0, 11 * HOUR)).map(|(place, _)| place).collect();
        let late = day.ordered_in((RETURN_S + 20 * MINUTE, 24 * HOUR)).map(|(place, _)| place).next();
        let rations = world.team_of(rep) == WAREHOUSES.0;
        let (article, place) = match (rations, rep) {
            (false, _) => (self.shared_out, early.first().copied()),
            (true, 0..SELLERS) => (self.rationed, early.first().copied()),
            (true, _) => (self.rationed, late),
        };
        if let Some(place) = place {
            // The last line, as the first is the one that is discounted and doubled.
            day.visits[place].wants.push(Want { article, in_cartons: false, quantity_milli: WANTED_MILLI });
        }
        if let Some(&place) = early.get(1) {
            self.asked.insert(order_id(rep, place));
            let minute = i32::try_from(rep).unwrap_or(0) % 8;
            day.acts.push(super::plan::At { s: ASK_S + minute * MINUTE, act: RepAct::Amend(place) });
        }
    }

    /// How much there is of the scarce goods; `None`: as the catalogue says.
    #[must_use]
    pub fn on_hand_milli(&self, stock: &Stock) -> Option<i64> {
        let sold = i64::try_from(SELLERS).unwrap_or(0) * SHARE_MILLI;
        if (stock.warehouse, stock.article) == (WAREHOUSES.0, self.rationed) {
            Some(sold + UNUSED_MILLI)
        } else if (stock.warehouse, stock.article) == (WAREHOUSES.1, self.shared_out) {
            Some(SHARED_OUT_MILLI)
        } else {
            None
        }
    }

    /// Gives an outlet of the chain its branch, whose terms it inherits.
    pub fn join(&self, world: &World, index: usize, outlet: &mut Outlet) {
        if world.city.outlets[index].customer == self.chain {
            let place = world.city.customers[self.chain].outlets.iter().position(|&own| own == index).unwrap_or(0);
            outlet.agreement_ids = Vec::new();
            outlet.chain_id = bytes(branch_id(place % BRANCHES.len()));
        }
    }

    /// The chain, with the agreement of one branch.
    #[must_use]
    pub fn chains(&self, world: &World) -> Vec<RecordToImport> {
        let name = &world.city.customers[self.chain].name;
        let inherited = bytes(world.agreement_id(self.chain));
        let holding = Chain { name: format!("{name}, holding"), parent_id: Vec::new(), agreement_ids: vec![inherited] };
        let terms = agreement(world, self.chain);
        let own = Agreement { name: format!("{}, {}", terms.name, BRANCHES[0]), payment_due_days: 45, ..terms };
        let mut records =
            vec![entry(branch_agreement_id(), Record::Agreement(own)), entry(holding_id(), Record::Chain(holding))];
        records.extend(BRANCHES.iter().enumerate().map(|(number, branch)| {
            let own = (number == 0).then(|| bytes(branch_agreement_id()));
            let chain = Chain {
                name: format!("{name}, {branch}"),
                parent_id: bytes(holding_id()),
                agreement_ids: own.into_iter().collect(),
            };
            entry(branch_id(number), Record::Chain(chain))
        }));
        records
    }

    /// One contract that has ended, the one that follows it tomorrow, and one that is valid.
    #[must_use]
    pub fn contracts(&self, world: &World) -> Vec<RecordToImport> {
        let contract = |customer: usize, number: &str| Contract {
            number: number.to_owned(),
            customer_id: bytes(world.customer_id(customer)),
            currency: CURRENCY.to_owned(),
            overdue_ban: true,
            ..Contract::default()
        };
        let next = id("contract", "2027/1");
        let ended = Contract { valid_to_day: TODAY - 1, successor_id: bytes(next), ..contract(self.ended, "2026/1") };
        let follows = Contract { valid_from_day: TODAY + 1, ..contract(self.ended, "2027/1") };
        let signed = contract(self.signed, "2026/2");
        vec![
            entry(next, Record::Contract(follows)),
            entry(id("contract", "2026/1"), Record::Contract(ended)),
            entry(id("contract", "2026/2"), Record::Contract(signed)),
        ]
    }

    /// The shares of representatives, and what is shared out.
    #[must_use]
    pub fn quotas(&self, world: &World) -> Vec<RecordToImport> {
        let quota = |warehouse, article| StockQuota {
            warehouse_id: bytes(world.warehouse_id(warehouse)),
            product_id: bytes(world.product_id(article)),
            valid_from_day: TODAY,
            valid_to_day: TODAY,
            ..StockQuota::default()
        };
        let share = |rep: usize| QuotaEntry {
            holder: Some(QuotaHolder { holder: Some(Holder::RepId(bytes(rep_id(rep)))) }),
            quantity_milli: if rep < SELLERS { SHARE_MILLI } else { UNUSED_MILLI },
        };
        let rationed = StockQuota {
            return_at_us: at_us(RETURN_S),
            entries: (0..=SELLERS).map(share).collect(),
            ..quota(WAREHOUSES.0, self.rationed)
        };
        let shared_out = StockQuota {
            share_out_at_us: at_us(SHARE_OUT_S),
            return_at_us: at_us(SHARES_END_S),
            ..quota(WAREHOUSES.1, self.shared_out)
        };
        vec![
            entry(id("quota", "rationed"), Record::StockQuota(rationed)),
            entry(id("quota", "shared out"), Record::StockQuota(shared_out)),
        ]
    }

    /// What is off for the chain.
    #[must_use]
    pub fn promotion() -> RecordToImport {
        let chain_ids = (0..BRANCHES.len()).map(|branch| bytes(branch_id(branch))).collect();
        let promotion = Promotion {
            name: "The chain's week".to_owned(),
            currency: CURRENCY.to_owned(),
            valid_from_day: TODAY - 7,
            valid_to_day: TODAY + 7,
            audience: Some(Audience { chain_ids, ..Audience::default() }),
            benefit: Some(Benefit::PercentBp(300)),
            stacking: Stacking::Sum.into(),
            ..Promotion::default()
        };
        entry(promotion_id(), Record::Promotion(promotion))
    }

    /// What has come of it.
    #[must_use]
    pub fn played(&self, world: &World, stored: &Stored) -> Vec<Played> {
        let today: Vec<(&Uuid, &Order)> = stored.today().collect();
        let lines = |article: usize| {
            let product = bytes(world.product_id(article));
            let of = today.iter().flat_map(|(id, order)| order.lines.iter().map(move |line| (**id, line)));
            of.filter(move |(_, line)| line.product_id == product).collect::<Vec<_>>()
        };
        let orders = |which: &dyn Fn(&Order) -> bool| today.iter().filter(|(_, order)| which(order)).count();
        let holds = |reason: HoldReason| orders(&|order| order.holds.iter().any(|hold| hold.reason() == reason));
        let rationed = lines(self.rationed);
        let cut = rationed.iter().filter(|(_, line)| line.difference() == LineDifference::Quota).count();
        let returned = rationed.iter().filter(|(_, line)| line.quota.is_none() && line.confirmed_milli > 0).count();
        let shared_out = lines(self.shared_out);
        let shares = shared_out.iter().filter(|(_, line)| has_share(line)).count();
        let contract = bytes(id("contract", "2026/2"));
        let branch = bytes(branch_agreement_id());
        let promotion = bytes(promotion_id());
        let is_off = |line: &OrderLine| line.promotions.iter().any(|part| part.promotion_id == promotion);
        let requests: Vec<_> = stored.requests.values().filter(|request| !request.answered_by_id.is_empty()).collect();
        let accepted = requests.iter().filter(|one| one.state() == ChangeRequestState::Accepted).count();
        let (duplicate, survivor) = self.twins;
        let survivor = bytes(world.customer_id(survivor));
        let moved = world.city.customers[duplicate].outlets.iter().filter(|&&outlet| {
            let outlet = stored.outlets.get(&world.outlet_id(outlet));
            outlet.is_some_and(|outlet| outlet.customer_id == survivor)
        });
        let played = |what, times| Played { what, times };
        vec![
            played("orders that waited for a contract's terms", holds(HoldReason::TermsExpired)),
            played("orders under a contract", orders(&|order| order.contract_id == contract)),
            played("lines that a representative's share has cut", cut),
            played("lines that got of what shares had left", returned),
            played("orders that waited until goods were shared out", holds(HoldReason::Allocation)),
            played("orders with a share of these", shares),
            played(
                "orders by the chain's terms, or by those of its branch",
                orders(&|order| {
                    order.agreement_id == branch || order.agreement_id == bytes(world.agreement_id(self.chain))
                }),
            ),
            played("orders with the chain's promotion", orders(&|order| order.lines.iter().any(is_off))),
            played("change requests that the warehouse accepted", accepted),
            played("change requests that the warehouse refused", requests.len() - accepted),
            played("outlets of a customer that was another one", moved.count()),
        ]
    }

    /// The lines of scarce goods, for the report: of which sort, the order, the line.
    pub fn scarce<'a>(&self, world: &World, stored: &'a Stored) -> Vec<(&'static str, Uuid, &'a OrderLine)> {
        let sorts = [("shares of reps", self.rationed), ("shared out", self.shared_out)];
        let sorts = sorts.map(|(name, article)| (name, bytes(world.product_id(article))));
        let of = |(name, product): (&'static str, Vec<u8>)| {
            let lines = stored.today().flat_map(|(id, order)| order.lines.iter().map(move |line| (*id, line)));
            lines.filter(|(_, line)| line.product_id == product).map(|(id, line)| (name, id, line)).collect::<Vec<_>>()
        };
        sorts.into_iter().flat_map(of).collect()
    }
}

/// Something that was arranged, and how often it came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Played {
    /// What.
    pub what: &'static str,
    /// How often; a day without it is not the one that was to be shown.
    pub times: usize,
}

/// Whether the goods of a line were shared out among orders, and it has a share.
fn has_share(line: &OrderLine) -> bool {
    let holder = line.quota.as_ref().and_then(|quota| quota.holder.as_ref());
    holder.is_some_and(|holder| matches!(holder.holder, Some(Holder::OrderId(_))))
}

/// The branches; the first has terms of its own.
const BRANCHES: [&str; 2] = ["inner city", "suburbs"];

fn holding_id() -> Uuid {
    id("chain", "holding")
}

fn branch_id(branch: usize) -> Uuid {
    id("chain", BRANCHES[branch])
}

fn branch_agreement_id() -> Uuid {
    id("agreement", BRANCHES[0])
}

fn promotion_id() -> Uuid {
    id("promotion", "The chain's week")
}

fn at_us(s: i32) -> i64 {
    moment_us(TODAY, s / MINUTE)
}

/// Articles that nobody wants today, in whole pieces, and that replace no other: what is scarce is so by arrangement only.
fn unwanted(world: &World, reps: &[RepDay]) -> Vec<usize> {
    let visits = reps.iter().flat_map(|day| &day.visits);
    let mut taken: BTreeSet<usize> = visits.flat_map(|visit| &visit.wants).map(|want| want.article).collect();
    let articles = &world.catalogue.articles;
    taken.extend(articles.iter().filter_map(|article| article.withdrawal).map(|end| end.successor));
    let fits = |index: &usize| {
        let article = &articles[*index];
        let stocks = world.catalogue.stock.iter().filter(|stock| stock.article == *index && stock.on_hand_milli > 0);
        article.withdrawal.is_none()
            && article.base_unit != BaseUnit::Kilogram
            && WANTED_MILLI % article.minimum_multiple_milli.max(1) == 0
            && SHARE_MILLI % article.minimum_multiple_milli.max(1) == 0
            && stocks.count() == 2
            && !taken.contains(index)
    };
    (0..articles.len()).filter(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plan::Day;
    use super::super::world::TERRITORIES;
    use super::*;

    #[test]
    fn every_seed_has_somebody_for_each_part() {
        for seed in 1..9 {
            let world = World::generate(seed).expect("the list that is built in");
            let day = Day::plan(&world);
            let trade = &day.trade;
            let customers = BTreeSet::from([trade.chain, trade.ended, trade.signed, trade.twins.0, trade.twins.1]);
            assert_eq!(customers.len(), 5, "seed {seed}: {trade:?}");
            assert_ne!(trade.rationed, trade.shared_out, "seed {seed}");
            let wants = |article| {
                let visits = day.reps.iter().flat_map(|rep| &rep.visits);
                visits.filter(|visit| visit.wants.iter().any(|want| want.article == article)).count()
            };
            assert!(wants(trade.rationed) > SELLERS, "seed {seed}");
            assert!(wants(trade.shared_out) >= 4, "seed {seed}");
            assert!(trade.asked.len() > TERRITORIES / 2, "seed {seed}");
        }
    }
}
