//! The tours of a day, on one core: how long a plan takes, and how far its vans drive.

use std::hint::black_box;

use roundsman_proto::trade::GeoPoint;
use roundsman_sync::trade::tour::{Problem, Stop, Van, Window, check, plan, weigh};
use tokio::time::Instant;

use crate::bench::REPETITIONS;
use crate::report::{Figure, Goal, Report};

/// Stops of the day.
const STOPS: u32 = 200;
/// Vans, each of which carries 1,500 kg.
const VANS: usize = 10;
const HOUR_S: i32 = 3_600;
const MAX_WEIGHT_G: i64 = 1_500_000;
const MAX_VOLUME_CM3: i64 = 10_000_000;
/// The city is a square of so many degrees × 10^7, 30 km at this latitude: north to south, and west to east.
const CITY: (i32, i32) = (2_698_000, 4_290_000);
/// Its south-western corner, in degrees × 10^7.
const CORNER: (i32, i32) = (510_000_000, 100_000_000);
/// Metres that another solver found for this day in ten minutes with one thread: vrp-core 1.25.0 with its default search,
/// optimised, on a machine of two cores that others kept busy, too. In 15 seconds it found 793,875 m.
const REFERENCE_M: f64 = 724_206.0;

/// Knuth's MMIX: the upper half of its numbers is good enough to scatter stops.
struct Draw(u64);

impl Draw {
    /// From 0 to below `count`.
    fn below(&mut self, count: i32) -> i32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Of 31 bits, so it fits, and so does the remainder.
        (self.0 >> 33) as i32 % count
    }

    /// At any time for a third of them; the others open for 2 to 4 hours, in steps of a quarter.
    fn stop(&mut self, index: u32) -> Stop {
        let point = point(self.below(CITY.0), self.below(CITY.1));
        let from_s = 8 * HOUR_S + self.below(7 * 4) * HOUR_S / 4;
        let window = Window { from_s, to_s: from_s + 2 * HOUR_S + self.below(9) * HOUR_S / 4 };
        let weight_g = i64::from(20_000 + self.below(87_501));
        Stop {
            point,
            windows: if index.is_multiple_of(3) { Vec::new() } else { vec![window] },
            service_s: 300 + self.below(601),
            weight_g,
            volume_cm3: weight_g * 5,
            priority: 0,
        }
    }
}

fn point(north: i32, east: i32) -> GeoPoint {
    GeoPoint { latitude_e7: CORNER.0 + north, longitude_e7: CORNER.1 + east, ..GeoPoint::default() }
}

/// A day in a city: what is brought weighs 86 % of what the vans carry. [`REFERENCE_M`] is of this one.
fn city() -> Problem {
    let mut draw = Draw(0x5EED);
    let van = Van {
        max_weight_g: MAX_WEIGHT_G,
        max_volume_cm3: MAX_VOLUME_CM3,
        from_s: 7 * HOUR_S,
        to_s: 19 * HOUR_S,
        speed_m_per_h: 25_000,
        fixed_m: 0,
    };
    Problem {
        depot: point(CITY.0 / 2, CITY.1 / 2),
        departs_s: 6 * HOUR_S,
        detour_bp: 13_000,
        vans: vec![van; VANS],
        stops: (0..STOPS).map(|index| draw.stop(index)).collect(),
    }
}

/// Measures them.
///
/// # Errors
/// When the plan breaks a limit, or leaves a stop out.
pub fn measure(report: &mut Report) -> anyhow::Result<()> {
    let problem = city();
    let (mut seconds, mut metres) = (Vec::new(), Vec::new());
    for _ in 0..REPETITIONS {
        let begun = Instant::now();
        let plan = black_box(plan(black_box(&problem)));
        seconds.push(begun.elapsed().as_secs_f64());
        let (breaches, cost) = (check(&plan, &problem), weigh(&problem, &plan));
        anyhow::ensure!(breaches.is_empty() && cost.missed == 0, "{breaches:?}, {cost:?}");
        metres.push(cost.metres as f64);
    }
    let what = format!("{STOPS} stops with windows are planned for {VANS} vans, on one core");
    report.add(Figure::new("T3a", what, "s", seconds).goal(Goal::Most(2.0)));
    let what = "its tours are so long; baseline: what a solver found in ten minutes";
    report.add(Figure::new("T3b", what, "m", metres).against(REFERENCE_M).goal(Goal::MostOfBaseline(1.0)));
    Ok(())
}
