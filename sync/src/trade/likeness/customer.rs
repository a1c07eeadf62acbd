//! Whether two customers are one legal entity: the same tax number, or names that are alike; where they are speaks for it.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};

use roundsman_proto::trade::GeoPoint;

use super::{SAME_TAX_ID_BP, Text, near_bp, tax_number, words_of};
use crate::trade::check::WHOLE_BP;
use crate::trade::geo::distance_m;

/// Of a customer's outlets so many are looked at for how near they are to another customer's.
pub const PLACES: usize = 8;
/// Of those with something in common each is compared with so many that follow it by their names.
const NEXT: usize = 32;
/// So much the names count where nothing says that both are at one place: two of one name may well be in two towns.
const NAMES_ALONE_BP: i32 = 7_000;

/// What is compared of a customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    name: Text,
    /// The full name, where it is another one.
    legal_name: Option<Text>,
    tax_id: String,
    address: Text,
    places: Vec<GeoPoint>,
}

impl Traits {
    /// Of a customer with these names, this tax number and registered address, each of which may be empty; `places` is where
    /// its outlets are: of these the first [`PLACES`] count.
    #[must_use]
    pub fn of(
        (name, legal_name): (&str, &str),
        tax_id: &str,
        address: &str,
        places: impl IntoIterator<Item = GeoPoint>,
    ) -> Self {
        let name = Text::of(name);
        let legal_name = Some(Text::of(legal_name)).filter(|legal| !legal.is_empty() && *legal != name);
        let places = places.into_iter().take(PLACES).collect();
        Self { name, legal_name, tax_id: tax_number(tax_id), address: Text::of(address), places }
    }

    fn names(&self) -> impl Iterator<Item = &Text> {
        std::iter::once(&self.name).chain(&self.legal_name)
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        let words = self.names().flat_map(|name| words_of(&name.letters)).map(Block::Word);
        let tax_id = Some(self.tax_id.as_str()).filter(|tax_id| !tax_id.is_empty()).map(Block::TaxId);
        let mut blocks: Vec<Block<'_>> = words.chain(tax_id).chain([Block::Alphabet]).collect();
        blocks.sort_unstable();
        blocks.dedup();
        blocks
    }
}

/// How alike two customers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// In all, in basis points.
    pub whole_bp: i32,
    /// How alike their names are, in basis points: of the names and the full names those that are most alike.
    pub name_bp: i32,
    /// Both have a tax number, and it is the same.
    pub same_tax_id: bool,
    /// How alike their registered addresses are, in basis points; `None`: one of them is unknown.
    pub address_bp: Option<i32>,
    /// How far the nearest outlets of the two are from each other, in metres; `None`: unknown.
    pub distance_m: Option<i32>,
}

/// How alike two customers are, whichever is named first.
#[must_use]
pub fn likeness(one: &Traits, other: &Traits) -> Likeness {
    placed(one, other, Who::of(one, other))
}

/// How alike two customers are by names and tax numbers.
#[derive(Clone, Copy, Debug)]
struct Who {
    name_bp: i32,
    same_tax_id: bool,
    /// They are not more alike than this, wherever they are.
    most_bp: i32,
}

impl Who {
    fn of(one: &Traits, other: &Traits) -> Self {
        let pairs = one.names().flat_map(|name| other.names().map(move |named| name.likeness_bp(named)));
        let name_bp = pairs.max().unwrap_or(0);
        let known = !one.tax_id.is_empty() && !other.tax_id.is_empty();
        let same_tax_id = known && one.tax_id == other.tax_id;
        let most_bp = match (known, same_tax_id) {
            (false, _) => name_bp,
            (true, true) => name_bp.max(SAME_TAX_ID_BP),
            // Somebody may have misread it.
            (true, false) => name_bp * 3 / 4,
        };
        Self { name_bp, same_tax_id, most_bp }
    }
}

fn placed(one: &Traits, other: &Traits, who: Who) -> Likeness {
    let between = one.places.iter().flat_map(|place| other.places.iter().map(move |other| distance_m(place, other)));
    let nearest_m = between.min();
    let known = !one.address.is_empty() && !other.address.is_empty();
    let address_bp = known.then(|| one.address.likeness_bp(&other.address));
    let near_bp = nearest_m.map_or(0, near_bp).max(address_bp.unwrap_or(0));
    // One legal entity has one number, wherever its outlets are.
    let counts_bp =
        if who.same_tax_id { WHOLE_BP } else { NAMES_ALONE_BP + (WHOLE_BP - NAMES_ALONE_BP) * near_bp / WHOLE_BP };
    let whole_bp = who.most_bp * counts_bp / WHOLE_BP;
    Likeness { whole_bp, name_bp: who.name_bp, same_tax_id: who.same_tax_id, address_bp, distance_m: nearest_m }
}

/// What two customers have in common if they are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Block<'t> {
    TaxId(&'t str),
    /// Of one of the names.
    Word(&'t str),
    /// All of them: of many, those next to each other in the alphabet.
    Alphabet,
}

/// Finds all pairs that are at least so alike, by their places in `customers`, the smaller first, each pair once, in no order.
/// Compared are customers with the same tax number, those whose names have a word in common, and those whose names are next to each
/// other in the alphabet; where many have something in common, each with the 32 that follow it by their names, so that the work
/// grows with the customers and not with their square.
pub fn pairs(customers: &[Traits], least_bp: i32, mut found: impl FnMut(usize, usize, Likeness)) {
    let mut backwards: Vec<usize> = (0..customers.len()).collect();
    backwards.sort_unstable_by_key(|index| Reverse((&customers[*index].name.letters, *index)));
    let mut following: HashMap<Block<'_>, VecDeque<usize>> = HashMap::new();
    for one in backwards {
        let mut others = Vec::new();
        for block in customers[one].blocks() {
            let group = following.entry(block).or_default();
            others.extend(group.iter().copied());
            group.push_back(one);
            if group.len() > NEXT {
                group.pop_front();
            }
        }
        others.sort_unstable();
        others.dedup();
        for other in others {
            let who = Who::of(&customers[one], &customers[other]);
            // Distances cost more than names, and make nobody more alike.
            if who.most_bp >= least_bp {
                let likeness = placed(&customers[one], &customers[other], who);
                if likeness.whole_bp >= least_bp {
                    found(one.min(other), one.max(other), likeness);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// So far to the north of the city's centre, in metres.
    fn north_m(metres: i32) -> GeoPoint {
        GeoPoint { latitude_e7: 601_700_000 + metres * 90, longitude_e7: 249_400_000, ..GeoPoint::default() }
    }

    fn named(name: &str) -> Traits {
        Traits::of((name, ""), "", "", [])
    }

    fn taxed(name: &str, tax_id: &str) -> Traits {
        Traits::of((name, ""), tax_id, "", [])
    }

    fn at(name: &str, metres: &[i32]) -> Traits {
        Traits::of((name, ""), "", "", metres.iter().copied().map(north_m))
    }

    fn all(customers: &[Traits], least_bp: i32) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        pairs(customers, least_bp, |one, other, _| all.push((one, other)));
        all.sort_unstable();
        all
    }

    #[test]
    fn the_same_tax_number_is_the_same_entity_wherever_its_outlets_are() {
        let one = Traits::of(("Romashka", ""), "FI-123", "", [north_m(0)]);
        let far = Traits::of(("Corner shop", ""), "fi 123", "", [north_m(50_000)]);
        let found = likeness(&one, &far);
        assert_eq!((found.whole_bp, found.same_tax_id), (SAME_TAX_ID_BP, true));
        assert!(found.distance_m.is_some_and(|metres| metres > 49_000), "{found:?}");
        assert_eq!(likeness(&taxed("Romashka", "FI123"), &taxed("ООО «Ромашка»", "FI 123")).whole_bp, WHOLE_BP);
        let other = likeness(&taxed("Romashka", "FI123"), &taxed("Romashka", "FI124"));
        assert_eq!((other.whole_bp, other.same_tax_id), (5_250, false), "three quarters of the names alone");
        assert!(!likeness(&taxed("Romashka", ""), &taxed("Romashka", "")).same_tax_id, "unknown is not the same");
    }

    #[test]
    fn names_alone_say_less_than_names_and_a_place() {
        let of = |one: &Traits, other: &Traits| likeness(one, other).whole_bp;
        assert_eq!(of(&named("ИП Лютик"), &named("Lyutik LLC")), NAMES_ALONE_BP);
        assert_eq!(of(&at("Romashka", &[0]), &at("Romashka", &[9_000, 20])), WHOLE_BP, "the nearest outlets count");
        assert_eq!(of(&at("Romashka", &[0]), &at("Romashka", &[150])), 8_636);
        assert_eq!(of(&at("Romashka", &[0]), &at("Romashka", &[9_000])), NAMES_ALONE_BP);
        let registered = |address: &str| Traits::of(("Romashka", ""), "", address, []);
        let found = likeness(&registered("Main st. 1"), &registered("MAIN ST 1"));
        assert_eq!((found.whole_bp, found.address_bp), (WHOLE_BP, Some(WHOLE_BP)));
        assert_eq!(likeness(&registered("Main st. 1"), &registered("")).address_bp, None);
        assert!(of(&at("Romashka", &[0]), &at("Baker", &[0])) < 2_000, "neighbours are two");
    }

    #[test]
    fn a_name_may_be_the_other_one_s_full_name() {
        let short = Traits::of(("Romashka", ""), "", "", []);
        let full = Traits::of(("Kiosk on the corner", "LLC Romashka"), "", "", []);
        assert_eq!(likeness(&short, &full).name_bp, WHOLE_BP);
    }

    #[test]
    fn of_many_outlets_the_first_are_looked_at() {
        let last = i32::try_from(PLACES).expect("a few");
        let many: Vec<i32> = (0..=last).map(|number| number * 10_000).collect();
        let found = |metres| likeness(&at("Romashka", &many), &at("Romashka", &[metres])).distance_m;
        assert_eq!(found((last - 1) * 10_000), Some(0));
        assert!(found(last * 10_000).is_some_and(|metres| metres > 9_000), "the last one is not");
    }

    #[test]
    fn among_very_many_the_same_word_the_same_number_and_the_next_name_are_found() {
        let mut customers: Vec<Traits> =
            (0..8 * NEXT).map(|number| named(&format!("Lavka {}", number * 7_919))).collect();
        let before = customers.len();
        customers.push(named("Alpha Romashka"));
        customers.push(named("Zebra Romashka"));
        customers.push(taxed("Apteka", "FI1"));
        customers.push(taxed("Zoomarket", "FI 1"));
        customers.push(named("Universal"));
        customers.push(named("Univarsal"));
        let found = all(&customers, 4_000);
        for pair in [(before, before + 1), (before + 2, before + 3), (before + 4, before + 5)] {
            assert!(found.contains(&pair), "{pair:?}");
        }
    }

    #[test]
    fn each_of_very_many_with_one_word_is_compared_with_a_few() {
        let customers: Vec<Traits> = (0..3_000).map(|number| named(&format!("Magazin {}", number * 7_919))).collect();
        let mut compared = 0;
        pairs(&customers, 0, |_, _, _| compared += 1);
        assert!(compared <= customers.len() * NEXT, "{compared} comparisons");
    }

    fn traits() -> impl Strategy<Value = Traits> {
        let places = proptest::collection::vec(0..2_000_i32, 0..3);
        ("[a-c ]{0,8}", "[a-c ]{0,8}", "[a-c ]{0,6}", "[0-2]{0,1}", places).prop_map(
            |(name, legal_name, address, tax_id, places)| {
                Traits::of((&name, &legal_name), &tax_id, &address, places.into_iter().map(north_m))
            },
        )
    }

    proptest! {
        #[test]
        fn likeness_is_the_same_both_ways_and_within_bounds(one in traits(), other in traits()) {
            let found = likeness(&one, &other);
            prop_assert_eq!(found, likeness(&other, &one));
            prop_assert!((0..=WHOLE_BP).contains(&found.whole_bp) && (0..=WHOLE_BP).contains(&found.name_bp));
        }

        #[test]
        fn nobody_is_more_like_a_customer_than_the_customer_itself(one in traits(), other in traits()) {
            prop_assert!(likeness(&one, &one).whole_bp >= likeness(&one, &other).whole_bp);
        }

        #[test]
        fn the_finder_finds_what_comparing_all_with_all_finds(
            customers in proptest::collection::vec(traits(), 0..24), least_bp in 1..=WHOLE_BP,
        ) {
            let mut expected = Vec::new();
            for (index, one) in customers.iter().enumerate() {
                for (number, other) in customers.iter().enumerate().skip(index + 1) {
                    if likeness(one, other).whole_bp >= least_bp {
                        expected.push((index, number));
                    }
                }
            }
            prop_assert_eq!(all(&customers, least_bp), expected);
        }
    }
}
