//! Who and what there is in the demonstration: the generated city, assortment and past under stable ids.
//!
//! An id is a UUID made of a hash of the record's key, so that the same seed gives the same records, and importing them
//! twice changes nothing. Pure.

use std::fmt::Display;

use uuid::Uuid;

use super::catalogue::{Catalogue, PriceList};
use super::city::{CYCLE_WEEKS, City, CityError, cycle_week, weekday};
use super::history::History;

/// Monday, 2026-11-23: the day that is played, in days since 1970-01-01.
pub const TODAY: i32 = 20_780;
/// Where the day is played; two hours ahead of UTC in November.
pub const TIME_ZONE: &str = "Europe/Helsinki";
/// The company.
pub const TENANT: &str = "Helsinki Wholesale";
/// Everybody's password; the demo is no place for secrets.
pub const PASSWORD: &str = "helsinki in november";
/// How many territories there are, each with a representative.
pub const TERRITORIES: usize = 12;
/// How many teams share them.
pub const TEAMS: usize = 2;
/// How many visits a representative is given for a day, at most.
pub const VISITS_A_DAY: usize = 20;

/// The namespace of all ids of the demo.
const SPACE: Uuid = Uuid::from_u128(0x7d0b_2c41_9f1e_5a60_8c35_d0e9_61a2_4b17);
/// The first names of the representatives, which are their logins too.
pub const REPS: [&str; TERRITORIES] =
    ["Aino", "Eero", "Helmi", "Ilmari", "Kaisa", "Lauri", "Meri", "Onni", "Pihla", "Risto", "Saara", "Tuomas"];
/// Those who drive: each team's, in turn. Whoever drives is recorded as a representative is.
pub const DRIVERS: [&str; DRIVERS_A_TEAM * TEAMS] = ["Anssi", "Heikki", "Jenni", "Kari", "Noora", "Ville"];
/// So many of them a team has, each with a van.
pub const DRIVERS_A_TEAM: usize = 3;
/// The supervisors, one for each team.
pub const SUPERVISORS: [&str; TEAMS] = ["Veera", "Yrjo"];
/// The logisticians, one for each warehouse.
pub const LOGISTICIANS: [&str; TEAMS] = ["Laila", "Martti"];
/// The office.
pub const OFFICE: &str = "Outi";
/// The administrator.
pub const ADMIN: &str = "Admin";
/// The teams.
pub const TEAM_NAMES: [&str; TEAMS] = ["West", "East"];

/// The id of a record by its kind and key. It looks like one of chance, as phones draw them: of them an id that follows from
/// a name is not taken.
#[must_use]
pub fn id(kind: &str, key: impl Display) -> Uuid {
    let hash = Uuid::new_v5(&SPACE, format!("{kind}/{key}").as_bytes());
    uuid::Builder::from_bytes(hash.into_bytes()).with_version(uuid::Version::Random).into_uuid()
}

/// The bytes of an id, as messages carry it.
#[must_use]
pub fn bytes(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// A login of one of the names above.
#[must_use]
pub fn login(name: &str) -> String {
    name.to_lowercase()
}

/// The user with one of the names above.
#[must_use]
pub fn user_id(name: &str) -> Uuid {
    id("user", login(name))
}

/// A stop of a route: an outlet, and in which weeks of the cycle it is visited, as bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stop {
    /// The outlet, an index into those of the city.
    pub outlet: usize,
    /// The weeks, bit 0 is the first.
    pub weeks: u8,
}

/// All that is generated.
#[derive(Debug)]
pub struct World {
    /// The seed of it all.
    pub seed: u64,
    /// The outlets, and who owns them.
    pub city: City,
    /// The goods.
    pub catalogue: Catalogue,
    /// Four weeks that end yesterday.
    pub past: History,
    /// What customers will ask for today, by the same model: visits and orders of [`TODAY`].
    pub demand: History,
}

impl World {
    /// The world of a seed.
    ///
    /// # Errors
    /// When the list of outlets can't be read.
    pub fn generate(seed: u64) -> Result<Self, CityError> {
        let city = City::helsinki(seed, TERRITORIES)?;
        let catalogue = Catalogue::generate(seed, TODAY);
        let past = History::generate(seed, TODAY, &city, &catalogue);
        let demand = History::generate(seed, TODAY + 1, &city, &catalogue);
        Ok(Self { seed, city, catalogue, past, demand })
    }

    /// The team that a territory belongs to: the city is cut in two.
    #[must_use]
    pub fn team_of(&self, territory: usize) -> usize {
        territory * TEAMS / TERRITORIES
    }

    /// The stops of a territory's route on a weekday, so many that no day has more than [`VISITS_A_DAY`].
    #[must_use]
    pub fn stops(&self, territory: usize, weekday: u8) -> Vec<Stop> {
        let mut load = [0; CYCLE_WEEKS as usize];
        let route = self.city.routes.iter().find(|route| (route.territory, route.weekday) == (territory, weekday));
        let mut stops = Vec::new();
        for &outlet in route.map_or(&[][..], |route| &route.stops) {
            let mut weeks = 0;
            for (week, visits) in load.iter_mut().enumerate() {
                if self.city.outlets[outlet].visits.weeks >> week & 1 == 1 && *visits < VISITS_A_DAY {
                    *visits += 1;
                    weeks |= 1 << week;
                }
            }
            if weeks != 0 {
                stops.push(Stop { outlet, weeks });
            }
        }
        stops
    }

    /// The outlets that a territory's route has for a day, in order.
    #[must_use]
    pub fn due(&self, territory: usize, day: i32) -> Vec<usize> {
        let stops = self.stops(territory, weekday(day)).into_iter();
        stops.filter(|stop| stop.weeks >> cycle_week(day) & 1 == 1).map(|stop| stop.outlet).collect()
    }

    /// An outlet's id.
    #[must_use]
    pub fn outlet_id(&self, outlet: usize) -> Uuid {
        id("outlet", &self.city.outlets[outlet].osm_id)
    }

    /// A customer's id.
    #[must_use]
    pub fn customer_id(&self, customer: usize) -> Uuid {
        id("customer", &self.city.customers[customer].code)
    }

    /// The id of a customer's agreement.
    #[must_use]
    pub fn agreement_id(&self, customer: usize) -> Uuid {
        id("agreement", &self.city.agreements[customer].code)
    }

    /// The id of what a customer owes.
    #[must_use]
    pub fn receivable_id(&self, customer: usize) -> Uuid {
        id("receivable", &self.city.customers[customer].code)
    }

    /// An article's id.
    #[must_use]
    pub fn product_id(&self, article: usize) -> Uuid {
        id("product", &self.catalogue.articles[article].code)
    }

    /// The id of an article's price in a list from a day on.
    #[must_use]
    pub fn price_id(&self, list: PriceList, article: usize, from_day: i32) -> Uuid {
        id("price", format!("{}/{}/{from_day}", list.code(), self.catalogue.articles[article].code))
    }

    /// The id of what a warehouse holds of an article.
    #[must_use]
    pub fn stock_id(&self, warehouse: usize, article: usize) -> Uuid {
        id("stock", format!("{}/{}", self.catalogue.warehouses[warehouse].code, self.catalogue.articles[article].code))
    }

    /// A warehouse's id. Each team has its own.
    #[must_use]
    pub fn warehouse_id(&self, warehouse: usize) -> Uuid {
        id("warehouse", self.catalogue.warehouses[warehouse].code)
    }

    /// A territory's id.
    #[must_use]
    pub fn territory_id(&self, territory: usize) -> Uuid {
        id("territory", &self.city.territories[territory].code)
    }
}

/// A price list's id.
#[must_use]
pub fn price_list_id(list: PriceList) -> Uuid {
    id("price-list", list.code())
}

/// A team's id.
#[must_use]
pub fn team_id(team: usize) -> Uuid {
    id("team", TEAM_NAMES[team])
}

/// The login of a representative; those who drive are counted after the others.
#[must_use]
pub fn rep_name(rep: usize) -> &'static str {
    match rep.checked_sub(TERRITORIES) {
        None => REPS[rep],
        Some(driver) => DRIVERS[driver],
    }
}

/// A representative's id.
#[must_use]
pub fn rep_id(rep: usize) -> Uuid {
    id("rep", rep_name(rep))
}

/// Somebody who drives, as a representative.
#[must_use]
pub fn driver(team: usize, number: usize) -> usize {
    TERRITORIES + team * DRIVERS_A_TEAM + number
}

/// The van of somebody who drives.
#[must_use]
pub fn vehicle_id(driver: usize) -> Uuid {
    id("vehicle", rep_name(driver))
}

/// The id of a representative's assignment to the territory of the same number.
#[must_use]
pub fn assignment_id(rep: usize) -> Uuid {
    id("assignment", REPS[rep])
}

/// One of the surveys.
#[must_use]
pub fn survey_id(survey: usize) -> Uuid {
    id("survey", survey)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_about_240_visits_and_none_too_many_for_one() {
        let world = World::generate(1).expect("the list that is built in");
        let due: Vec<usize> = (0..TERRITORIES).map(|territory| world.due(territory, TODAY).len()).collect();
        assert!(due.iter().all(|&visits| visits <= VISITS_A_DAY), "{due:?}");
        assert!((200..=240).contains(&due.iter().sum::<usize>()), "{due:?}");
    }

    #[test]
    fn ids_are_those_of_the_keys() {
        assert_eq!(id("team", "West"), team_id(0));
        assert_ne!(id("team", "West"), id("rep", "West"));
    }
}
