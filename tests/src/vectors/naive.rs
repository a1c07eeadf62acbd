//! The arithmetic of prices, and the calendar, once more, as simply as it can be said, and sharing nothing with the code that is tested: exact
//! fractions, and loops where the code has formulas. What the vectors expect comes from here.

use roundsman_proto::trade::promotion::Benefit;
use roundsman_proto::trade::{Agreement, Price, PriceList, Promotion, Stacking};
use roundsman_sync::trade::money::Rate;
use uuid::Uuid;

use super::promotion::{Order, OrderLine};

/// An exact number. `den` is above 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact {
    num: i128,
    den: i128,
}

impl Exact {
    pub(super) fn of(num: i128, den: i128) -> Self {
        Self { num, den }
    }

    fn times(self, num: i128, den: i128) -> Self {
        Self { num: self.num * num, den: self.den * den }
    }

    fn minus(self, other: i128) -> Self {
        Self { num: self.num - other * self.den, den: self.den }
    }

    /// The nearest whole number; of two the one farther from zero.
    pub(super) fn rounded(self) -> i128 {
        let floor = self.num.div_euclid(self.den);
        let twice_rest = 2 * self.num.rem_euclid(self.den);
        let up = twice_rest > self.den || (twice_rest == self.den && self.num > 0);
        floor + i128::from(up)
    }
}

/// What a line comes to, and the tax in it.
pub(super) fn line(quantity_milli: i64, rate: &Rate) -> (i128, i128) {
    let all = Exact::of(i128::from(quantity_milli) * i128::from(rate.price_minor), i128::from(rate.per_milli));
    let left = all.minus(rate.promotions_minor.into());
    let nothing = (all.num >= 0 && left.num < 0) || (all.num < 0 && left.num > 0);
    let left = if nothing { Exact::of(0, 1) } else { left };
    let net = left.times(i128::from(10_000 - rate.discount_bp), 10_000).rounded();
    let vat = i128::from(rate.vat_bp);
    if rate.vat_included {
        (net, Exact::of(net * vat, 10_000 + vat).rounded())
    } else {
        let added = Exact::of(net * vat, 10_000).rounded();
        (net + added, added)
    }
}

/// The record that is in force, and the price that it gives: by going through all, again and again.
pub(super) fn price(
    prices: &[(Uuid, &Price)],
    (list_id, list): (Uuid, &PriceList),
    (quantity_milli, packaging, day): (i64, &str, i32),
) -> Option<(Uuid, i128, i64)> {
    let valid = |price: &Price| {
        (price.valid_from_day == 0 || day >= price.valid_from_day)
            && (price.valid_to_day == 0 || day <= price.valid_to_day)
    };
    for own in [true, false] {
        for special in [true, false] {
            let of = if own { list_id.as_bytes().to_vec() } else { list.base_list_id.clone() };
            let mut best: Option<(Uuid, &Price)> = None;
            for (id, price) in prices {
                let packed = if special {
                    !packaging.is_empty() && price.packaging_code == packaging
                } else {
                    price.packaging_code.is_empty()
                };
                if of.is_empty() || price.price_list_id != of || !packed || !valid(price) {
                    continue;
                }
                let later = best.is_none_or(|(best_id, best)| {
                    price.valid_from_day > best.valid_from_day
                        || (price.valid_from_day == best.valid_from_day && *id > best_id)
                });
                if later {
                    best = Some((*id, price));
                }
            }
            let Some((id, price)) = best else { continue };
            let mut reached = None;
            for milli in price.breaks.iter().map(|step| step.min_quantity_milli) {
                if milli <= quantity_milli && reached.is_none_or(|before| milli > before) {
                    reached = Some(milli);
                }
            }
            let step = price.breaks.iter().rfind(|step| Some(step.min_quantity_milli) == reached)?;
            let plain = i128::from(step.price_minor);
            let round_to = i128::from(list.round_to_minor.max(1));
            let minor = if own {
                plain
            } else {
                Exact::of(plain * i128::from(10_000 + list.markup_bp), 10_000 * round_to).rounded() * round_to
            };
            let per = if price.per_milli == 0 { 1_000 } else { price.per_milli };
            return Some((id, minor, per));
        }
    }
    None
}

/// What is off each line by which promotion.
pub(super) fn promotions(promotions: &[(Uuid, Promotion)], order: &Order) -> Vec<Vec<(Uuid, i128)>> {
    let mut found = vec![Vec::new(); order.lines.len()];
    for (id, promotion) in promotions {
        if !is_for(promotion, order) {
            continue;
        }
        for (line, off) in off(promotion, order).into_iter().enumerate() {
            let off = off.min(order.gross(line));
            if off > 0 {
                found[line].push((*id, promotion, off));
            }
        }
    }
    found.into_iter().enumerate().map(|(line, found)| chosen(found, order.gross(line))).collect()
}

fn is_for(promotion: &Promotion, order: &Order) -> bool {
    if promotion.closed || promotion.currency != order.currency {
        return false;
    }
    if promotion.valid_from_day != 0 && order.day < promotion.valid_from_day {
        return false;
    }
    if promotion.valid_to_day != 0 && order.day > promotion.valid_to_day {
        return false;
    }
    let Some(audience) = &promotion.audience else { return true };
    let mut named = 0;
    let mut hit = false;
    for id in &audience.outlet_ids {
        named += 1;
        hit |= *id == order.outlet_id.as_bytes();
    }
    for label in &audience.outlet_labels {
        named += 1;
        hit |= order.outlet.labels.iter().any(|own| own == label);
    }
    for class in &audience.outlet_classes {
        named += 1;
        hit |= *class == order.outlet.outlet_class;
    }
    for id in &audience.agreement_ids {
        named += 1;
        hit |= *id == order.agreement_id.as_bytes();
    }
    for id in &audience.chain_ids {
        named += 1;
        hit |= *id == order.outlet.chain_id;
    }
    named == 0 || hit
}

fn is_goods(promotion: &Promotion, benefit: &Benefit, line: &OrderLine) -> bool {
    let product = line.product_id.as_bytes().to_vec();
    if let Benefit::Bundle(bundle) = benefit {
        return bundle.items.iter().any(|item| item.product_id == product);
    }
    if let Benefit::FreeGoods(free) = benefit
        && free.product_id == product
    {
        return false;
    }
    let in_group = |path: &[String]| {
        line.group_path.len() >= path.len() && line.group_path.iter().zip(path).all(|(own, wanted)| own == wanted)
    };
    (promotion.product_ids.is_empty() && promotion.product_groups.is_empty())
        || promotion.product_ids.contains(&product)
        || promotion.product_groups.iter().any(|wanted| in_group(&wanted.path))
}

fn off(promotion: &Promotion, order: &Order) -> Vec<i128> {
    let mut off = vec![0; order.lines.len()];
    let Some(benefit) = &promotion.benefit else { return off };
    // The lines in the order of their ids.
    let mut in_turn: Vec<usize> = (0..order.lines.len()).collect();
    in_turn.sort_by_key(|line| order.lines[*line].line_id);
    let goods: Vec<usize> =
        in_turn.iter().copied().filter(|line| is_goods(promotion, benefit, &order.lines[*line])).collect();
    let quantity = quantity_of(&goods, order);
    let sum: i128 = goods.iter().map(|line| order.gross(*line)).sum();
    if goods.is_empty() || quantity < promotion.min_quantity_milli.into() || sum < promotion.min_sum_minor.into() {
        return off;
    }
    match benefit {
        Benefit::PercentBp(bp) => {
            for line in goods {
                off[line] = Exact::of(order.gross(line) * i128::from(*bp), 10_000).rounded();
            }
        }
        Benefit::AmountMinor(amount) => {
            // Unit by unit to whoever lacks most of its exact share; of equals to the one with the smallest id.
            let amount = i128::from(*amount).min(sum);
            for _ in 0..amount {
                let lacks = |line: &usize| order.gross(*line) * amount - off[*line] * sum;
                let most = goods.iter().map(lacks).max().unwrap_or(0);
                let Some(line) = goods.iter().copied().find(|line| lacks(line) == most) else { break };
                off[line] += 1;
            }
        }
        Benefit::SpecialPrice(special) => {
            let per = if special.per_milli == 0 { 1_000 } else { special.per_milli };
            for line in goods {
                let quantity = i128::from(order.lines[line].quantity_milli);
                off[line] =
                    order.gross(line) - Exact::of(quantity * i128::from(special.price_minor), per.into()).rounded();
            }
        }
        Benefit::FreeGoods(free) => {
            let (every, gift) = (i128::from(free.every_milli), i128::from(free.free_milli));
            if free.product_id.is_empty() {
                for own in by_product(&goods, order) {
                    let given = how_often(quantity_of(&own, order), every + gift) * gift;
                    give(given, 10_000, &own, order, &mut off);
                }
            } else {
                let gifts = of_product(&in_turn, &free.product_id, order);
                give(how_often(quantity, every) * gift, 10_000, &gifts, order, &mut off);
            }
        }
        Benefit::Bundle(bundle) => {
            let has = |product: &[u8]| quantity_of(&of_product(&goods, product, order), order);
            let mut bundles = 0;
            while bundle
                .items
                .iter()
                .all(|item| has(&item.product_id) >= (bundles + 1) * i128::from(item.quantity_milli))
            {
                bundles += 1;
            }
            for item in &bundle.items {
                let lines = of_product(&goods, &item.product_id, order);
                give(bundles * i128::from(item.quantity_milli), bundle.percent_bp, &lines, order, &mut off);
            }
        }
    }
    off
}

fn quantity_of(lines: &[usize], order: &Order) -> i128 {
    lines.iter().map(|line| i128::from(order.lines[*line].quantity_milli)).sum()
}

fn of_product(lines: &[usize], product: &[u8], order: &Order) -> Vec<usize> {
    lines.iter().copied().filter(|line| order.lines[*line].product_id.as_bytes() == product).collect()
}

fn by_product(lines: &[usize], order: &Order) -> Vec<Vec<usize>> {
    let mut products: Vec<Uuid> = lines.iter().map(|line| order.lines[*line].product_id).collect();
    products.sort_unstable();
    products.dedup();
    products.iter().map(|product| of_product(lines, product.as_bytes(), order)).collect()
}

/// How often one number goes into another.
fn how_often(mut left: i128, part: i128) -> i128 {
    let mut times = 0;
    while left >= part {
        left -= part;
        times += 1;
    }
    times
}

/// Takes so many hundredths of a per cent off so much of what these lines have.
fn give(milli: i128, percent_bp: i32, lines: &[usize], order: &Order, off: &mut [i128]) {
    let mut left = milli;
    for line in lines {
        let own = &order.lines[*line];
        let taken = left.min(own.quantity_milli.into());
        left -= taken;
        let worth = Exact::of(taken * i128::from(own.price_minor), own.per_milli.into()).rounded();
        off[*line] = Exact::of(worth * i128::from(percent_bp), 10_000).rounded();
    }
}

/// Of all that may stand together the one that takes most off.
fn chosen(found: Vec<(Uuid, &Promotion, i128)>, gross: i128) -> Vec<(Uuid, i128)> {
    let mut exclusive: Vec<_> =
        found.iter().filter(|(_, promotion, _)| promotion.stacking() == Stacking::Exclusive).collect();
    exclusive.sort_by_key(|(id, promotion, off)| (-i64::from(promotion.priority), -off, *id));
    if let Some((id, _, off)) = exclusive.first() {
        return vec![(*id, *off)];
    }
    let mut ways: Vec<Vec<(Uuid, i128)>> = Vec::new();
    let mut sums: Vec<_> = found.iter().filter(|(_, promotion, _)| promotion.stacking() == Stacking::Sum).collect();
    sums.sort_by_key(|(id, promotion, _)| (-i64::from(promotion.priority), *id));
    let (mut left, mut together) = (gross, Vec::new());
    for (id, _, off) in sums {
        let taken = (*off).min(left);
        left -= taken;
        if taken > 0 {
            together.push((*id, taken));
        }
    }
    together.sort_unstable();
    ways.push(together);
    let mut alone: Vec<(Uuid, i128)> = found
        .iter()
        .filter(|(_, promotion, _)| matches!(promotion.stacking(), Stacking::Unspecified | Stacking::Best))
        .map(|(id, _, off)| (*id, *off))
        .collect();
    alone.sort_unstable();
    ways.extend(alone.into_iter().map(|one| vec![one]));
    let worth = |way: &Vec<(Uuid, i128)>| way.iter().map(|(_, off)| off).sum::<i128>();
    let most = ways.iter().map(worth).max().unwrap_or(0);
    ways.into_iter().find(|way| worth(way) == most).unwrap_or_default()
}

/// The day that is promised: the first that nothing speaks against.
pub(super) fn promised_day(agreement: &Agreement, order_day: i32, wanted_day: i32, now: (i32, i32)) -> i32 {
    let names = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    let bits = [
        ("Monday", 1),
        ("Tuesday", 2),
        ("Wednesday", 4),
        ("Thursday", 8),
        ("Friday", 16),
        ("Saturday", 32),
        ("Sunday", 64),
    ];
    let (today, second) = now;
    let calendar = agreement.delivery_weekdays != 0 || agreement.cut_off_s != 0 || agreement.delivery_lead_days != 0;
    if wanted_day == 0 && !calendar {
        return 0;
    }
    let mut day = 0;
    loop {
        let name = names[usize::try_from(day % 7).expect("after 1970")];
        let bit = bits.iter().find(|(known, _)| *known == name).map_or(0, |(_, bit)| *bit);
        let agreed = agreement.delivery_weekdays == 0 || agreement.delivery_weekdays & bit != 0;
        let handed_in = if order_day > today {
            order_day
        } else if agreement.cut_off_s != 0 && second >= agreement.cut_off_s {
            today + 1
        } else {
            today
        };
        // Where there is no calendar, only the wanted day counts, if it has not gone by.
        let there = if calendar { day >= handed_in + agreement.delivery_lead_days } else { day >= today };
        if agreed && there && day >= wanted_day {
            return day;
        }
        day += 1;
    }
}
