//! Whether two outlets are one (C14): how alike their names are, whether their tax numbers are the same, how near they are.
//! Somebody decides; this only says where to look. [`customer`] does the same for customers.

pub mod customer;

use std::collections::{HashMap, HashSet};

use roundsman_proto::trade::GeoPoint;

use super::check::WHOLE_BP;
use super::geo::{cube, distance_m};

/// Outlets farther from each other than this, in metres, are two.
pub const FAR_M: i32 = 300;
/// Two fixes of one place may be this far from each other, in metres.
const SAME_PLACE_M: i32 = 25;
/// So alike, at least, are two outlets with the same tax number: a chain has one number and many outlets.
const SAME_TAX_ID_BP: i32 = 9_000;
/// How near outlets are of which nobody knows where they are.
const SOMEWHERE_BP: i32 = 5_000;
/// Of a text so many letters are compared.
const LETTERS: usize = 64;
/// Of a place or a tax number with more outlets, each is compared with so many whose names are next to its own.
const NEIGHBOURS: usize = 128;

/// What a company is by law says nothing of its name; as [`words`] writes it.
const LEGAL_FORMS: [&str; 32] = [
    "ooo", "oao", "zao", "pao", "ao", "ip", "chp", "chup", "tov", "too", "llc", "llp", "ltd", "limited", "inc", "corp",
    "co", "company", "plc", "gmbh", "ag", "kg", "oy", "oyj", "ky", "ab", "as", "ou", "sia", "uab", "sp", "zoo",
];

/// What is compared of an outlet.
#[derive(Clone, Debug, PartialEq)]
pub struct Traits {
    name: Text,
    /// Only where the point is unknown.
    address: Text,
    point: Option<GeoPoint>,
    tax_id: String,
}

impl Traits {
    /// Of an outlet with this name and address, at this point; `tax_id` is its own or its customer's, or empty.
    #[must_use]
    pub fn of(name: &str, address: &str, point: Option<GeoPoint>, tax_id: &str) -> Self {
        let address = if point.is_none() { address } else { "" };
        Self { name: Text::of(name), address: Text::of(address), point, tax_id: tax_number(tax_id) }
    }
}

/// A tax number as it is compared: letters and digits only, all capitals.
fn tax_number(tax_id: &str) -> String {
    let letters = tax_id.chars().filter(|letter| letter.is_alphanumeric()).flat_map(char::to_uppercase);
    letters.take(LETTERS).collect()
}

/// How alike two outlets are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Likeness {
    /// In all, in basis points: how alike who they are, times how near they are.
    pub whole_bp: i32,
    /// How alike their names are, in basis points.
    pub name_bp: i32,
    /// How far they are from each other, in metres; `None`: the point of one of them is unknown.
    pub distance_m: Option<i32>,
    /// Both have a tax number, and it is the same.
    pub same_tax_id: bool,
}

/// How alike two outlets are, whichever is named first.
#[must_use]
pub fn likeness(one: &Traits, other: &Traits) -> Likeness {
    let distance_m = one.point.as_ref().zip(other.point.as_ref()).map(|(one, other)| distance_m(one, other));
    let near_bp = match distance_m {
        Some(distance_m) => near_bp(distance_m),
        None if one.address.is_empty() || other.address.is_empty() => SOMEWHERE_BP,
        None => one.address.likeness_bp(&other.address),
    };
    let name_bp = one.name.likeness_bp(&other.name);
    let known = !one.tax_id.is_empty() && !other.tax_id.is_empty();
    let same_tax_id = known && one.tax_id == other.tax_id;
    let who_bp = match (known, same_tax_id) {
        (false, _) => name_bp,
        (true, true) => name_bp.max(SAME_TAX_ID_BP),
        // Somebody may have misread it.
        (true, false) => name_bp * 3 / 4,
    };
    // At most 10000 × 10000.
    Likeness { whole_bp: who_bp * near_bp / WHOLE_BP, name_bp, distance_m, same_tax_id }
}

fn near_bp(distance_m: i32) -> i32 {
    let left = (FAR_M - distance_m).clamp(0, FAR_M - SAME_PLACE_M);
    left * WHOLE_BP / (FAR_M - SAME_PLACE_M)
}

/// Finds all pairs that are at least so alike, by their places in `outlets`, the smaller first, each pair once. Compared
/// are outlets at most [`FAR_M`] from each other, and those with the same tax number; where very many are one or the other,
/// each is compared with those whose names are next to its own, so that the work grows with the outlets and not with
/// their square.
pub fn pairs(outlets: &[Traits], least_bp: i32, mut found: impl FnMut(usize, usize, Likeness)) {
    let mut cubes: HashMap<[i32; 3], Group> = HashMap::new();
    let mut payers: HashMap<&str, Group> = HashMap::new();
    for (index, outlet) in outlets.iter().enumerate() {
        if let Some(point) = &outlet.point {
            cubes.entry(cube(point, FAR_M)).or_default().0.push(index);
        }
        if !outlet.tax_id.is_empty() {
            payers.entry(&outlet.tax_id).or_default().0.push(index);
        }
    }
    cubes.values_mut().chain(payers.values_mut()).for_each(|group| group.sort(outlets));
    let mut seen: HashSet<(usize, usize)> = HashSet::new();
    let mut compare = |one: usize, other: usize| {
        let (first, second) = (one.min(other), one.max(other));
        let likeness = likeness(&outlets[first], &outlets[second]);
        if likeness.whole_bp >= least_bp && seen.insert((first, second)) {
            found(first, second, likeness);
        }
    };
    for (index, outlet) in outlets.iter().enumerate() {
        if let Some(point) = &outlet.point {
            let cube = cube(point, FAR_M);
            let seen_by_others = cubes.get(&cube).is_some_and(Group::is_small);
            for group in around(cube).filter_map(|cube| cubes.get(&cube)) {
                let others = group.next_to(index, outlets).iter().copied();
                others.filter(|other| *other > index || !seen_by_others).for_each(|other| {
                    if other != index && not_far(&outlets[other], point) {
                        compare(index, other);
                    }
                });
            }
        }
        if let Some(group) = payers.get(outlet.tax_id.as_str()) {
            group
                .next_to(index, outlets)
                .iter()
                .filter(|other| **other != index)
                .for_each(|other| compare(index, *other));
        }
    }
}

/// A cube and its neighbours.
fn around([x, y, z]: [i32; 3]) -> impl Iterator<Item = [i32; 3]> {
    let by = |number: i32| [number - 1, number, number + 1];
    by(x).into_iter().flat_map(move |x| by(y).into_iter().flat_map(move |y| by(z).map(|z| [x, y, z])))
}

/// Cheaper than the distance: as far to the north or south as the outlet may be at most.
fn not_far(outlet: &Traits, point: &GeoPoint) -> bool {
    /// A metre is 89.93 of them, in degrees × 10^7.
    const FAR_E7: u32 = FAR_M.unsigned_abs() * 90;
    outlet.point.is_some_and(|other| other.latitude_e7.abs_diff(point.latitude_e7) <= FAR_E7)
}

/// Outlets that may be one, by their names.
#[derive(Debug, Default)]
struct Group(Vec<usize>);

impl Group {
    fn is_small(&self) -> bool {
        self.0.len() <= NEIGHBOURS
    }

    fn sort(&mut self, outlets: &[Traits]) {
        self.0.sort_unstable_by_key(|index| (&outlets[*index].name.letters, *index));
    }

    /// Those whose names are next to that of an outlet, which need not be among them.
    fn next_to(&self, index: usize, outlets: &[Traits]) -> &[usize] {
        if self.is_small() {
            return &self.0;
        }
        let key = |index: usize| (&outlets[index].name.letters, index);
        let place = self.0.partition_point(|other| key(*other) < key(index));
        let from = place.saturating_sub(NEIGHBOURS / 2).min(self.0.len() - NEIGHBOURS);
        &self.0[from..from + NEIGHBOURS]
    }
}

/// A text that is compared by its pairs of letters, so that the order of words matters little.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Text {
    letters: String,
    /// In ascending order; a space is before and behind each word.
    pairs: Vec<(char, char)>,
}

impl Text {
    fn of(text: &str) -> Self {
        let letters: String = words(text).chars().take(LETTERS).collect();
        let mut pairs = Vec::with_capacity(letters.len() + 1);
        for word in words_of(&letters) {
            let ends = |letter: Option<char>| letter.unwrap_or(' ');
            pairs.push((' ', ends(word.chars().next())));
            pairs.extend(word.chars().zip(word.chars().skip(1)));
            pairs.push((ends(word.chars().last()), ' '));
        }
        pairs.sort_unstable();
        Self { letters, pairs }
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Twice what both have, of all that they have, in basis points; nothing is like nothing.
    fn likeness_bp(&self, other: &Self) -> i32 {
        let (mut common, mut left, mut right) = (0_usize, self.pairs.iter().peekable(), other.pairs.iter().peekable());
        while let (Some(one), Some(two)) = (left.peek(), right.peek()) {
            match one.cmp(two) {
                std::cmp::Ordering::Less => drop(left.next()),
                std::cmp::Ordering::Greater => drop(right.next()),
                std::cmp::Ordering::Equal => {
                    common += 1;
                    left.next();
                    right.next();
                }
            }
        }
        let all = self.pairs.len() + other.pairs.len();
        let whole = usize::try_from(WHOLE_BP).unwrap_or(0);
        (2 * common * whole).checked_div(all).and_then(|bp| i32::try_from(bp).ok()).unwrap_or(0)
    }
}

/// The words of a text that is written as [`words`] does.
fn words_of(letters: &str) -> impl Iterator<Item = &str> {
    letters.split(' ').filter(|word| !word.is_empty())
}

/// A text as it is compared: small Latin letters, digits, one space between words, no legal forms – unless nothing else
/// were left.
fn words(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    // More than is compared, since legal forms still go.
    for letter in text.chars().take(4 * LETTERS).flat_map(char::to_lowercase) {
        match letter {
            // Within an abbreviation: O.O.O. is OOO.
            '.' | '\u{300}'..='\u{36f}' => {}
            _ => match latin(letter) {
                Some(latin) => plain.push_str(latin),
                None if letter.is_alphanumeric() => plain.push(letter),
                None => plain.push(' '),
            },
        }
    }
    let all: Vec<&str> = plain.split_whitespace().collect();
    let named: Vec<&str> = all.iter().copied().filter(|word| !LEGAL_FORMS.contains(word)).collect();
    match (all.is_empty(), named.is_empty()) {
        (false, false) => named.join(" "),
        (false, true) => all.join(" "),
        // It has signs only.
        (true, _) => text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase(),
    }
}

/// How a small letter is written in Latin without marks; `None`: as it is.
fn latin(letter: char) -> Option<&'static str> {
    Some(match letter {
        'а' | 'ә' | 'à' | 'á' | 'â' | 'ã' | 'ä' | 'å' | 'ā' | 'ă' | 'ą' => "a",
        'б' => "b",
        'ç' | 'ć' | 'č' => "c",
        'ч' => "ch",
        'д' | 'ď' | 'đ' => "d",
        'е' | 'ё' | 'э' | 'є' | 'è' | 'é' | 'ê' | 'ë' | 'ē' | 'ė' | 'ę' | 'ě' => "e",
        'ф' => "f",
        'г' | 'ґ' | 'ғ' | 'ğ' | 'ģ' => "g",
        'һ' => "h",
        'и' | 'і' | 'ї' | 'ì' | 'í' | 'î' | 'ï' | 'ī' | 'į' | 'ı' => "i",
        'к' | 'қ' | 'ķ' => "k",
        'х' => "kh",
        'л' | 'ļ' | 'ľ' | 'ł' => "l",
        'м' => "m",
        'н' | 'ң' | 'ñ' | 'ń' | 'ņ' | 'ň' => "n",
        'о' | 'ө' | 'ò' | 'ó' | 'ô' | 'õ' | 'ö' | 'ø' | 'ō' | 'ő' => "o",
        'п' => "p",
        'р' | 'ř' => "r",
        'с' | 'ś' | 'š' | 'ş' | 'ș' => "s",
        'ш' => "sh",
        'щ' => "shch",
        'т' | 'ť' | 'ț' | 'ţ' => "t",
        'ц' => "ts",
        'у' | 'ў' | 'ү' | 'ұ' | 'ù' | 'ú' | 'û' | 'ü' | 'ū' | 'ů' | 'ű' | 'ų' => "u",
        'в' => "v",
        'й' | 'ы' | 'ý' | 'ÿ' => "y",
        'ю' => "yu",
        'я' => "ya",
        'з' | 'ź' | 'ż' | 'ž' => "z",
        'ж' => "zh",
        'ъ' | 'ь' | '\'' | '’' => "",
        'æ' => "ae",
        'ß' => "ss",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// So far to the north of the city's centre, in metres.
    fn north_m(metres: i32) -> Option<GeoPoint> {
        Some(GeoPoint { latitude_e7: 601_700_000 + metres * 90, longitude_e7: 249_400_000, ..GeoPoint::default() })
    }

    fn outlet(name: &str, metres: i32) -> Traits {
        Traits::of(name, "", north_m(metres), "")
    }

    fn names(one: &str, other: &str) -> i32 {
        likeness(&outlet(one, 0), &outlet(other, 0)).name_bp
    }

    fn all(outlets: &[Traits], least_bp: i32) -> Vec<(usize, usize)> {
        let mut all = Vec::new();
        pairs(outlets, least_bp, |one, other, _| all.push((one, other)));
        all.sort_unstable();
        all
    }

    #[test]
    fn c14_capitals_signs_legal_forms_and_the_alphabet_do_not_matter() {
        for (one, other) in [
            ("Kiosk Romashka", "kiosk  «ROMASHKA»"),
            ("ООО \"Ромашка\"", "Romashka LLC"),
            ("Кафе Щука", "kafe shchuka"),
            ("О.О.О. Лютик", "Lyutik"),
            ("Käpylän Kioski Oy", "Kapylan kioski"),
            ("Kioski, Käpylä", "Käpylä Kioski"),
            ("Cafe\u{301}", "Café"),
        ] {
            assert_eq!(names(one, other), WHOLE_BP, "{one} and {other}");
        }
        assert_eq!(names("ООО", "LLC"), 0, "of a legal form alone something is left");
        assert_eq!((names("???", "???"), names("???", "!!!")), (WHOLE_BP, 0));
        assert!((6_000..9_000).contains(&names("Kiosk Romashka", "Kiosk Romaska 2")));
        assert!(names("Kiosk Romashka", "Baker Street") < 2_000);
    }

    #[test]
    fn c14_the_distance_decides_whether_the_same_name_is_the_same_outlet() {
        let at = |metres| likeness(&outlet("Kiosk", 0), &outlet("Kiosk", metres));
        assert_eq!((at(0).whole_bp, at(25).whole_bp), (WHOLE_BP, WHOLE_BP));
        assert_eq!((at(150).distance_m, at(150).whole_bp), (Some(150), 5_454));
        assert_eq!((at(300).whole_bp, at(20_000).whole_bp), (0, 0));
        let nowhere = |address: &str| Traits::of("Kiosk", address, None, "");
        assert_eq!(likeness(&nowhere(""), &outlet("Kiosk", 0)).whole_bp, SOMEWHERE_BP);
        assert_eq!(likeness(&nowhere("Main st. 1"), &nowhere("Main St 1")).whole_bp, WHOLE_BP);
        assert!(likeness(&nowhere("Main st. 1"), &nowhere("Oak lane 7")).whole_bp < 3_000);
    }

    #[test]
    fn c14_the_same_tax_number_says_more_than_the_name_and_another_one_less() {
        let taxed = |name: &str, metres, tax_id: &str| Traits::of(name, "", north_m(metres), tax_id);
        let both = |one: &Traits, other: &Traits| {
            let found = likeness(one, other);
            (found.whole_bp, found.same_tax_id)
        };
        assert_eq!(both(&taxed("Corner shop", 0, "FI-123"), &taxed("Romashka", 9, "fi 123")), (9_000, true));
        assert_eq!(both(&taxed("Romashka", 0, "FI123"), &taxed("Romashka", 0, "FI124")), (7_500, false));
        assert_eq!(both(&taxed("Romashka", 0, "FI123"), &taxed("Romashka", 0, "")), (WHOLE_BP, false));
        assert_eq!(both(&taxed("Chain", 0, "FI123"), &taxed("Chain", 2_000, "FI123")), (0, true), "two of a chain");
    }

    #[test]
    fn c14_pairs_are_found_across_cubes_and_by_tax_number() {
        let mut outlets: Vec<Traits> = (0..50).map(|number| outlet("Kiosk", number * 140)).collect();
        let next: Vec<(usize, usize)> = (0..49).map(|number| (number, number + 1)).collect();
        assert_eq!(all(&outlets, 5_500), next, "140 m is near enough, 280 m is not");
        outlets.push(Traits::of("Romashka", "", None, "FI1"));
        outlets.push(Traits::of("Romashka", "", north_m(0), "FI 1"));
        assert_eq!(all(&outlets, SOMEWHERE_BP)[49..], [(50, 51)]);
    }

    #[test]
    fn c14_a_crowded_place_is_compared_by_neighbouring_names() {
        let name = |number: usize| format!("{} {number}", ["Kiosk", "Cafe", "Bar"][number % 3]);
        let mut outlets: Vec<Traits> = (0..400).map(|number| outlet(&name(number), 0)).collect();
        outlets.push(outlet("Romashka", 5));
        outlets.insert(7, outlet("ООО «Ромашка»", 0));
        let mut compared = 0;
        pairs(&outlets, 0, |_, _, _| compared += 1);
        assert!(compared < outlets.len() * NEIGHBOURS, "{compared} of {} comparisons", outlets.len().pow(2) / 2);
        assert!(all(&outlets, WHOLE_BP).contains(&(7, 401)));
    }

    #[test]
    fn c14_who_stands_beside_a_crowded_place_is_found_from_there() {
        let cube_of = |metres| cube(&north_m(metres).expect("a point"), FAR_M);
        let beside = (1..FAR_M).find(|metres| cube_of(*metres) != cube_of(0)).expect("the cubes end");
        // In the crowd many names stand between the two.
        let mut outlets = vec![outlet("Kiosk Romashka", beside)];
        outlets.extend((0..400).map(|number| outlet(&format!("Lavka {number}"), 0)));
        outlets.push(outlet("Romashka Kiosk", 0));
        assert!(all(&outlets, 1).contains(&(0, 401)));
    }

    #[test]
    fn c14_each_outlet_of_a_city_is_compared_with_a_few() {
        // As dense as a city: a hundred and fifty metres to the next one, on each side.
        let point = |number: i32| GeoPoint {
            latitude_e7: 601_700_000 + number % 200 * 13_500,
            longitude_e7: 249_400_000 + number / 200 * 27_000,
            ..GeoPoint::default()
        };
        let name = |number: i32| format!("Outlet {}", number * 7_919);
        let outlets: Vec<Traits> =
            (0..8_000).map(|number| Traits::of(&name(number), "", Some(point(number)), "")).collect();
        let (mut compared, mut alike) = (0, 0);
        pairs(&outlets, 0, |_, _, likeness| {
            compared += 1;
            alike += i32::from(likeness.whole_bp >= 9_000);
        });
        assert!(compared < 40 * outlets.len(), "{compared} comparisons");
        assert_eq!(alike, 0, "neighbours are no duplicates");
    }

    fn traits() -> impl Strategy<Value = Traits> {
        let point = proptest::option::of((601_700_000..601_740_000_i32, 249_400_000..249_440_000_i32));
        (".{0,12}", "[a-c ]{0,6}", point, "[0-2]{0,1}").prop_map(|(name, address, point, tax_id)| {
            let point =
                point.map(|(latitude_e7, longitude_e7)| GeoPoint { latitude_e7, longitude_e7, ..GeoPoint::default() });
            Traits::of(&name, &address, point, &tax_id)
        })
    }

    proptest! {
        #[test]
        fn c14_likeness_is_the_same_both_ways_and_within_bounds(one in traits(), other in traits()) {
            let found = likeness(&one, &other);
            prop_assert_eq!(found, likeness(&other, &one));
            prop_assert!((0..=WHOLE_BP).contains(&found.whole_bp) && (0..=WHOLE_BP).contains(&found.name_bp));
        }

        #[test]
        fn c14_an_outlet_that_has_a_place_is_wholly_like_itself(
            name in "\\PC{1,80}", latitude_e7 in any::<i32>(), longitude_e7 in any::<i32>(), tax_id in ".{0,9}",
        ) {
            prop_assume!(!name.trim().is_empty());
            let point = GeoPoint { latitude_e7, longitude_e7, ..GeoPoint::default() };
            let outlet = Traits::of(&name, "", Some(point), &tax_id);
            prop_assert_eq!(likeness(&outlet, &outlet).whole_bp, WHOLE_BP, "{:?}", outlet);
        }

        #[test]
        fn c14_the_finder_finds_what_comparing_all_with_all_finds(
            outlets in proptest::collection::vec(traits(), 0..24), least_bp in 1..=WHOLE_BP,
        ) {
            let near = |one: &Traits, other: &Traits| one.point.is_some() && other.point.is_some();
            let mut expected = Vec::new();
            for (index, one) in outlets.iter().enumerate() {
                for (number, other) in outlets.iter().enumerate().skip(index + 1) {
                    let found = likeness(one, other);
                    if found.whole_bp >= least_bp && (near(one, other) || found.same_tax_id) {
                        expected.push((index, number));
                    }
                }
            }
            prop_assert_eq!(all(&outlets, least_bp), expected);
        }
    }
}
