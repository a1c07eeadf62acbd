use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

const KG: i64 = 1_000;
const LITRE: i64 = 1_000;
const HOUR: i32 = 3_600;
/// Degrees × 10^7 of a kilometre to the north.
const KM: i32 = 89_932;

fn north(km: i32) -> GeoPoint {
    GeoPoint { latitude_e7: 450_000_000 + km * KM, longitude_e7: 80_000_000, ..GeoPoint::default() }
}

/// So many kilometres north of the depot, open all day: 100 kg, 200 l, ten minutes.
fn stop(km: i32) -> Stop {
    Stop { point: north(km), service_s: 600, weight_g: 100 * KG, volume_cm3: 200 * LITRE, ..Stop::default() }
}

fn open(from_h: i32, to_h: i32, stop: Stop) -> Stop {
    let mut windows = stop.windows;
    windows.push(Window { from_s: from_h * HOUR, to_s: to_h * HOUR });
    Stop { windows, ..stop }
}

/// 1,500 kg and 8 m³, from 8 to 18 o'clock, at 30 km/h.
fn van() -> Van {
    Van {
        max_weight_g: 1_500 * KG,
        max_volume_cm3: 8_000 * LITRE,
        from_s: 8 * HOUR,
        to_s: 18 * HOUR,
        speed_m_per_h: 30_000,
        fixed_m: 0,
    }
}

fn day(vans: Vec<Van>, stops: Vec<Stop>) -> Problem {
    Problem { depot: north(0), departs_s: 0, detour_bp: 10_000, vans, stops }
}

fn stops(tour: &Tour) -> Vec<usize> {
    tour.calls.iter().map(|call| call.stop).collect()
}

fn reasons(plan: &Plan) -> Vec<(usize, Reason)> {
    plan.unplanned.iter().map(|unplanned| (unplanned.stop, unplanned.reason)).collect()
}

#[test]
fn a_van_goes_where_it_opens_first_and_waits_for_nobody() {
    let problem = day(vec![van()], vec![open(12, 13, stop(5)), open(9, 10, stop(10)), open(14, 16, stop(15))]);
    let plan = plan(&problem);
    assert_eq!(check(&plan, &problem), []);
    let tour = &plan.tours[0];
    assert_eq!(stops(tour), [1, 0, 2]);
    // 10 km in 20 minutes: it leaves when it needs to.
    let begins: Vec<i64> = tour.calls.iter().map(|call| call.begins_s).collect();
    assert_eq!(begins, [9 * 3_600, 12 * 3_600, 14 * 3_600]);
    assert_eq!((tour.leaves_s, tour.calls[0].leaves_s), (9 * 3_600 - 1_200, 9 * 3_600 + 600));
    assert_eq!((tour.distance_m, tour.back_s), (40_000, 14 * 3_600 + 600 + 1_800));
    assert_eq!(weigh(&problem, &plan), Cost { missed: 0, metres: 40_000 });
}

#[test]
fn a_detour_makes_roads_longer_and_a_slower_van_takes_longer() {
    let slow = Van { speed_m_per_h: 15_000, ..van() };
    let problem = Problem { detour_bp: 13_000, ..day(vec![slow], vec![stop(10)]) };
    let tour = &plan(&problem).tours[0];
    assert_eq!((tour.calls[0].distance_m, tour.distance_m), (13_000, 26_000));
    assert_eq!(tour.calls[0].begins_s - tour.leaves_s, 13_000 * 3_600 / 15_000);
}

#[test]
fn who_closes_over_noon_is_served_after_it() {
    let problem = day(vec![Van { from_s: 11 * HOUR, ..van() }], vec![open(14, 16, open(8, 11, stop(10)))]);
    let plan = plan(&problem);
    assert_eq!(plan.tours[0].calls[0].begins_s, 14 * 3_600);
    assert_eq!(check(&plan, &problem), []);
}

#[test]
fn what_one_van_cannot_carry_goes_with_two() {
    let heavy = |km| Stop { weight_g: 800 * KG, ..stop(km) };
    let problem = day(vec![van(), van(), van()], vec![heavy(5), heavy(6)]);
    let by_weight = plan(&problem);
    assert_eq!(by_weight.tours.iter().filter(|tour| tour.calls.len() == 1).count(), 2);
    let large = |km| Stop { volume_cm3: 5_000 * LITRE, ..stop(km) };
    let by_volume = plan(&day(vec![van(), van(), van()], vec![large(5), large(6)]));
    assert_eq!(by_volume.tours.iter().filter(|tour| tour.calls.len() == 1).count(), 2);
    // What fits into one goes with one.
    let together = plan(&day(vec![van(), van(), van()], vec![stop(5), stop(6)]));
    assert_eq!(together.tours.iter().filter(|tour| tour.calls.len() == 2).count(), 1);
}

#[test]
fn a_van_that_costs_more_stays() {
    let dear = Van { fixed_m: 50_000, ..van() };
    let problem = day(vec![dear, Van { fixed_m: 10_000, ..van() }], vec![stop(5)]);
    let plan = plan(&problem);
    assert_eq!((stops(&plan.tours[0]), stops(&plan.tours[1])), (vec![], vec![0]));
    assert_eq!(weigh(&problem, &plan).metres, 20_000);
}

#[test]
fn what_stays_out_says_why() {
    let problem = day(
        vec![van(), Van { max_weight_g: 2_000 * KG, max_volume_cm3: 4_000 * LITRE, ..van() }],
        vec![
            Stop { weight_g: 2_012 * KG, ..stop(5) },
            Stop { weight_g: 1_800 * KG, volume_cm3: 4_500 * LITRE, ..stop(5) },
            open(5, 8, stop(5)),
            stop(200),
            open(18, 19, stop(1)),
            Stop { windows: vec![Window { from_s: 9 * HOUR, to_s: 8 * HOUR }], ..stop(1) },
        ],
    );
    let plan = plan(&problem);
    assert_eq!(check(&plan, &problem), []);
    let out = [
        (0, Reason::TooHeavy { by_g: 12 * KG }),
        (1, Reason::TooLarge { by_cm3: 500 * LITRE }),
        (2, Reason::NoWindowReachable),
        (3, Reason::NoWindowReachable),
        (4, Reason::NoWindowReachable),
        (5, Reason::NoWindowReachable),
    ];
    assert_eq!(reasons(&plan), out);
}

#[test]
fn when_vans_are_full_the_less_important_stays_out() {
    let half = |priority| Stop { weight_g: 750 * KG, priority, ..stop(5) };
    let problem = day(vec![van()], vec![half(1), half(0), half(2)]);
    let plan = plan(&problem);
    assert_eq!(reasons(&plan), [(1, Reason::VansFull)]);
    assert_eq!(weigh(&problem, &plan).missed, 1);
    // Two that count 1 + 1 and 1 + 1 are worth more than one that counts 2 + 1.
    let problem = day(vec![van()], vec![half(1), half(1), Stop { weight_g: 1_500 * KG, ..half(2) }]);
    assert_eq!(reasons(&super::plan(&problem)), [(2, Reason::VansFull)]);
}

#[test]
fn tours_made_by_hand_are_told_what_they_break() {
    let small = Van { max_weight_g: 488 * KG, max_volume_cm3: 900 * LITRE, ..van() };
    let problem = day(vec![small], vec![stop(1), stop(2), open(8, 9, stop(30)), stop(4), stop(5), stop(6)]);
    let plan = timetable(&problem, &[vec![0, 1, 2, 3, 4]]);
    assert_eq!(reasons(&plan), [(5, Reason::VansFull)]);
    let breaches = check(&plan, &problem);
    // 30 km at 30 km/h and two stops of ten minutes before.
    let late = Breach::Late { van: 0, call: 3, by_s: 1_200 };
    assert_eq!(
        breaches,
        [
            Breach::Overweight { van: 0, call: 5, by_g: 12 * KG },
            Breach::Overfull { van: 0, call: 5, by_cm3: 100 * LITRE },
            late,
        ]
    );
    assert_eq!(breaches[0].to_string(), "van 0: overweight by 12000 g at stop 5");
}

#[test]
fn a_plan_that_is_no_plan_of_this_day_is_told_so() {
    let problem = day(vec![Van { to_s: 9 * HOUR, ..van() }], vec![stop(10), stop(20), stop(1)]);
    let sound = timetable(&problem, &[vec![0]]);
    assert_eq!(check(&sound, &problem), []);
    assert_eq!(check(&timetable(&problem, &[vec![1]]), &problem), [Breach::LateBack { van: 0, by_s: 1_800 }]);
    let mut other = sound.clone();
    other.tours[0].distance_m -= 1;
    assert_eq!(check(&other, &problem), [Breach::Timetable { van: 0 }]);
    let mut other = sound.clone();
    other.unplanned =
        vec![Unplanned { stop: 0, reason: Reason::VansFull }, Unplanned { stop: 7, reason: Reason::VansFull }];
    let breaches = [
        Breach::Unknown { stop: 7 },
        Breach::Repeated { stop: 0 },
        Breach::Missing { stop: 1 },
        Breach::Missing { stop: 2 },
    ];
    assert_eq!(check(&other, &problem), breaches);
    let other = Plan { tours: Vec::new(), ..sound };
    assert_eq!(check(&other, &problem)[0], Breach::Tours { tours: 0, vans: 1 });
    let never = day(vec![van()], vec![open(9, 8, stop(1))]);
    assert_eq!(check(&timetable(&never, &[vec![0]]), &never), [Breach::NeverOpen { van: 0, call: 1 }]);
}

#[test]
fn a_broken_tour_is_taken_apart_before_it_is_improved() {
    let problem = day(vec![Van { max_weight_g: 250 * KG, ..van() }, van()], vec![stop(1), stop(2), stop(3)]);
    let broken = timetable(&problem, &[vec![0, 1, 2]]);
    assert_ne!(check(&broken, &problem), []);
    let plan = improve(&problem, &broken, 50, 1);
    assert_eq!((check(&plan, &problem), plan.unplanned.len()), (vec![], 0));
}

/// A town of 40 stops, so that four vans are nearly full.
fn town() -> Problem {
    let stop = |index: i32| {
        let point = GeoPoint {
            latitude_e7: 450_000_000 + index * 7_919 % 41 * 40_000,
            longitude_e7: 80_000_000 + index * 6_007 % 43 * 50_000,
            ..GeoPoint::default()
        };
        let stop = Stop { point, weight_g: (80 + i64::from(index) * 13 % 97) * KG, ..stop(0) };
        if index % 3 == 0 { stop } else { open(8 + index % 6, 11 + index % 6, stop) }
    };
    day(vec![van(); 4], (0..40).map(stop).collect())
}

#[test]
fn rounds_of_improvement_save_a_tenth_of_the_way() {
    let problem = town();
    let first = insert(&problem);
    let better = improve(&problem, &first, 500, 0);
    let (before, after) = (weigh(&problem, &first), weigh(&problem, &better));
    assert_eq!((check(&better, &problem), before.missed, after.missed), (vec![], 0, 0));
    assert!(after.metres * 10 <= before.metres * 9, "{before:?} {after:?}");
    assert_eq!(better, improve(&problem, &first, 500, 0), "the same once more");
}

fn any_stop() -> impl Strategy<Value = Stop> {
    let place = (-30..=30_i32, -30..=30_i32);
    let windows = proptest::collection::vec((0..20_i32, 0..5_i32), 0..3);
    (place, windows, 0..1_200, 0..700_i64, 0..3_000_i64, 0..4_u16).prop_map(
        |((up, right), windows, service_s, kg, litres, priority)| Stop {
            point: GeoPoint {
                latitude_e7: 450_000_000 + up * KM,
                longitude_e7: 80_000_000 + right * KM,
                ..GeoPoint::default()
            },
            windows: windows.iter().map(|(from, h)| Window { from_s: from * HOUR, to_s: (from + h) * HOUR }).collect(),
            service_s,
            weight_g: kg * KG,
            volume_cm3: litres * LITRE,
            priority,
        },
    )
}

fn any_day() -> impl Strategy<Value = Problem> {
    let van = (500..1_500_i64, 2_000..8_000_i64, 5..10_i32, 12..20_i32, 20_000..50_000_i32, 0..30_000_i32).prop_map(
        |(kg, litres, from, to, speed_m_per_h, fixed_m)| Van {
            max_weight_g: kg * KG,
            max_volume_cm3: litres * LITRE,
            from_s: from * HOUR,
            to_s: to * HOUR,
            speed_m_per_h,
            fixed_m,
        },
    );
    let vans = (proptest::collection::vec(van, 0..3), 1..3_usize).prop_map(|(vans, times)| vans.repeat(times));
    (vans, proptest::collection::vec(any_stop(), 0..14)).prop_map(|(vans, stops)| day(vans, stops))
}

fn extreme() -> impl Strategy<Value = i32> {
    prop_oneof![Just(i32::MIN), Just(i32::MAX), Just(0), any::<i32>(), 0..90_000]
}

fn extreme_long() -> impl Strategy<Value = i64> {
    prop_oneof![Just(i64::MIN), Just(i64::MAX), Just(0), any::<i64>(), 0..2_000_000_i64]
}

fn extreme_day() -> impl Strategy<Value = Problem> {
    let point = || {
        (extreme(), extreme()).prop_map(|(latitude_e7, longitude_e7)| GeoPoint {
            latitude_e7,
            longitude_e7,
            ..GeoPoint::default()
        })
    };
    let van = (extreme_long(), extreme_long(), extreme(), extreme(), extreme(), extreme()).prop_map(
        |(max_weight_g, max_volume_cm3, from_s, to_s, speed_m_per_h, fixed_m)| Van {
            max_weight_g,
            max_volume_cm3,
            from_s,
            to_s,
            speed_m_per_h,
            fixed_m,
        },
    );
    let windows = proptest::collection::vec((extreme(), extreme()), 0..3);
    let stop = (point(), windows, extreme(), extreme_long(), extreme_long(), any::<u16>()).prop_map(
        |(point, windows, service_s, weight_g, volume_cm3, priority)| Stop {
            point,
            windows: windows.into_iter().map(|(from_s, to_s)| Window { from_s, to_s }).collect(),
            service_s,
            weight_g,
            volume_cm3,
            priority,
        },
    );
    let vans = proptest::collection::vec(van, 0..4);
    (point(), extreme(), extreme(), vans, proptest::collection::vec(stop, 0..8))
        .prop_map(|(depot, departs_s, detour_bp, vans, stops)| Problem { depot, departs_s, detour_bp, vans, stops })
}

/// [`plan`] with fewer rounds.
fn quick(problem: &Problem) -> Plan {
    improve(problem, &insert(problem), 30, 7)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_plan_keeps_every_limit_and_has_every_stop_once(problem in any_day()) {
        prop_assert_eq!(check(&insert(&problem), &problem), []);
        prop_assert_eq!(check(&quick(&problem), &problem), []);
    }

    #[test]
    fn improving_never_worsens(problem in any_day(), seed in any::<u64>()) {
        let first = insert(&problem);
        let better = improve(&problem, &first, 30, seed);
        prop_assert!(weigh(&problem, &better) <= weigh(&problem, &first));
        prop_assert!(weigh(&problem, &improve(&problem, &better, 30, seed)) <= weigh(&problem, &better));
    }

    #[test]
    fn the_order_in_which_stops_are_told_does_not_matter(problem in any_day(), keys in any::<[u32; 14]>()) {
        let mut order: Vec<usize> = (0..problem.stops.len()).collect();
        order.sort_by_key(|index| keys[*index]);
        let stops = order.iter().map(|index| problem.stops[*index].clone()).collect();
        let other = Problem { stops, ..problem.clone() };
        prop_assert_eq!(weigh(&problem, &quick(&problem)), weigh(&other, &quick(&other)));
    }

    #[test]
    fn a_stop_that_stays_out_fits_nowhere(problem in any_day()) {
        let plan = insert(&problem);
        let orders: Vec<Vec<usize>> = plan.tours.iter().map(stops).collect();
        for out in &plan.unplanned {
            for (van, order) in orders.iter().enumerate() {
                for at in 0..=order.len() {
                    let mut with = orders.clone();
                    with[van].insert(at, out.stop);
                    let broken = check(&timetable(&problem, &with), &problem);
                    prop_assert!(!broken.is_empty(), "{} fits into van {van} at {at}", out.stop);
                }
            }
        }
    }

    #[test]
    fn no_input_panics(problem in extreme_day(), moved in any::<[Index; 4]>()) {
        let plan = quick(&problem);
        prop_assert_eq!(check(&plan, &problem), []);
        let order: Vec<usize> = moved.iter().map(|index| index.index(problem.stops.len() + 1)).collect();
        let by_hand = timetable(&problem, &[order]);
        let _ = (check(&by_hand, &problem), weigh(&problem, &by_hand));
        prop_assert_eq!(check(&improve(&problem, &by_hand, 5, 1), &problem), []);
    }
}
