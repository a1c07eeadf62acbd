//! Why a stop can't be planned.

use super::Reason;
use super::field::{DEPOT, Field};

/// What keeps it out even if all vans are free; [`Reason::VansFull`]: nothing.
pub(super) fn reason(field: &Field<'_>, place: usize) -> Reason {
    let vans = &field.problem.vans;
    let (weight, volume) = (field.weight(place), field.volume(place));
    let Some(strongest) = vans.iter().map(|van| van.max_weight_g.max(0)).max() else { return Reason::VansFull };
    if weight > strongest {
        return Reason::TooHeavy { by_g: weight - strongest };
    }
    let strong: Vec<usize> = (0..vans.len()).filter(|van| vans[*van].max_weight_g >= weight).collect();
    let largest = strong.iter().map(|van| vans[*van].max_volume_cm3.max(0)).max().unwrap_or_default();
    if volume > largest {
        return Reason::TooLarge { by_cm3: volume - largest };
    }
    let can_make = |van: usize| {
        let arrives = field.starts(van) + field.seconds(van, DEPOT, place);
        let begins = field.begins(place, arrives);
        begins.is_some_and(|begins| begins + field.service(place) + field.seconds(van, place, DEPOT) <= field.ends(van))
    };
    let large = |van: &usize| vans[*van].max_volume_cm3 >= volume;
    if strong.into_iter().filter(large).any(can_make) { Reason::VansFull } else { Reason::NoWindowReachable }
}
