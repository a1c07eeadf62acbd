//! For which day an order is promised.

use prost::Message as _;
use roundsman_proto::trade::Agreement;
use roundsman_sync::trade::delivery::{LocalTime, promised_day};
use serde_json::json;

use super::dice::Dice;
use super::{Case, Family, hex, naive};

const ABOUT: &str = "An Agreement, the day of an order, the day on which the customer wants it (0: as soon as possible), and \
                     the day and the second of the day, in the outlet's territory, at which it is decided. Expected is the \
                     day that is promised.";
/// So many are drawn beside those that show one thing each.
const DRAWN: u64 = 100;
/// A Monday.
const MONDAY: i32 = 20_787;
const HOUR: i32 = 3_600;

pub(super) fn family() -> Family {
    let at = |day, second| LocalTime { day: MONDAY + day, second };
    let cases = [
        ("as soon as possible", (0, 0, 0), (0, 0), at(0, 0)),
        ("the wanted day, where there is no calendar", (0, 0, 0), (0, 3), at(0, 0)),
        ("a wanted day that has gone by", (0, 0, 0), (0, 3), at(5, 0)),
        ("the next of the weekdays", (4 + 32, 0, 0), (0, 0), at(0, 0)),
        ("a wanted weekday", (4 + 32, 0, 0), (0, 2), at(0, 0)),
        ("the one after the wanted day", (4 + 32, 0, 0), (0, 3), at(0, 0)),
        ("over the end of the week", (1, 0, 0), (0, 1), at(0, 0)),
        ("goods that need two days", (0, 0, 2), (0, 1), at(0, 0)),
        ("just before the cut-off", (0, 15 * HOUR, 1), (0, 0), at(0, 15 * HOUR - 1)),
        ("at the cut-off", (0, 15 * HOUR, 1), (0, 0), at(0, 15 * HOUR)),
        ("after the cut-off, for a later day", (0, 15 * HOUR, 1), (0, 4), at(0, 20 * HOUR)),
        ("of a coming day no hour is late", (0, 15 * HOUR, 1), (3, 3), at(0, 20 * HOUR)),
        ("decided days later", (127, 15 * HOUR, 1), (0, 1), at(4, 16 * HOUR)),
    ];
    let mut all: Vec<Case> = cases
        .into_iter()
        .map(|(name, (weekdays, cut_off, lead), (order, wanted), now)| {
            let wanted_day = if wanted == 0 { 0 } else { MONDAY + wanted };
            case(name, &agreement(weekdays, cut_off, lead), (MONDAY + order, wanted_day), now)
        })
        .collect();
    let mut dice = Dice(0x0dd5);
    for number in 0..DRAWN {
        let mut draw = |below: u64| i32::try_from(dice.below(below)).expect("small");
        let agreement = agreement(draw(128).unsigned_abs(), draw(24) * HOUR, draw(4));
        let (order, wanted) = (MONDAY + draw(6), draw(12));
        let wanted_day = if wanted == 0 { 0 } else { MONDAY + wanted };
        let now = LocalTime { day: MONDAY + draw(6), second: draw(86_400) };
        all.push(case(&format!("drawn {number}"), &agreement, (order, wanted_day), now));
    }
    Family { name: "delivery", about: ABOUT, cases: all }
}

fn agreement(delivery_weekdays: u32, cut_off_s: i32, delivery_lead_days: i32) -> Agreement {
    Agreement { delivery_weekdays, cut_off_s, delivery_lead_days, ..Agreement::default() }
}

fn case(name: &str, agreement: &Agreement, (order_day, wanted_day): (i32, i32), now: LocalTime) -> Case {
    let expected = naive::promised_day(agreement, order_day, wanted_day, (now.day, now.second));
    assert_eq!(promised_day(agreement, order_day, wanted_day, now), expected, "{name}");
    let input = json!({
        "agreement": hex(agreement.encode_to_vec()),
        "order_day": order_day,
        "wanted_day": wanted_day,
        "day": now.day,
        "second": now.second,
    });
    Case::new(name, input, json!({ "promised_day": expected }))
}
