//! Distances on Earth.

use std::f64::consts::PI;

use roundsman_proto::trade::GeoPoint;

/// The Earth's mean radius (IUGG R1), in metres.
const EARTH_RADIUS_M: f64 = 6_371_008.8;
/// Degrees × 10^7 in half a turn.
const HALF_TURN_E7: f64 = 1_800_000_000.0;
/// Terms of a power series; for arguments up to π the rest is far below the precision of a 64-bit float.
const TERMS: u32 = 20;

/// The great-circle distance, in metres, rounded.
///
/// Both points become unit vectors a and b; the angle between them is 2 × atan(|a − b| ÷ |a + b|), which is exact for
/// near and far points alike. Only the operations that IEEE 754 rounds correctly are used (+ − × ÷ √), and no function
/// of the platform's mathematical library, so that every device and server gets the same number.
#[must_use]
pub fn distance_m(from: &GeoPoint, to: &GeoPoint) -> i32 {
    let (a, b) = (unit(from), unit(to));
    let length = |sign: f64| {
        let square = |axis: usize| (a[axis] + sign * b[axis]) * (a[axis] + sign * b[axis]);
        (square(0) + square(1) + square(2)).sqrt()
    };
    let (apart, together) = (length(-1.0), length(1.0));
    // Beyond a quarter of a turn the other angle is the smaller one.
    let angle = if apart <= together { 2.0 * atan(apart / together) } else { PI - 2.0 * atan(together / apart) };
    // At most 20,015,114 m.
    (angle * EARTH_RADIUS_M).round() as i32
}

/// In which cube of space, with edges of so many metres, a point lies. Points that are not farther than the edge from each
/// other lie in the same cube or in neighbouring ones, also at the poles and where the days meet.
#[must_use]
pub fn cube(point: &GeoPoint, edge_m: i32) -> [i32; 3] {
    let edge = f64::from(edge_m.max(1));
    // At most the radius in metres, which fits.
    unit(point).map(|axis| (axis * EARTH_RADIUS_M / edge).floor() as i32)
}

fn unit(point: &GeoPoint) -> [f64; 3] {
    let radians = |e7: i32| f64::from(e7) * PI / HALF_TURN_E7;
    let (latitude, longitude) = (radians(point.latitude_e7), radians(point.longitude_e7));
    [cos(latitude) * cos(longitude), cos(latitude) * sin(longitude), sin(latitude)]
}

fn sin(x: f64) -> f64 {
    let (mut term, mut sum) = (x, x);
    for n in 1..TERMS {
        term *= -x * x / (f64::from(2 * n) * f64::from(2 * n + 1));
        sum += term;
    }
    sum
}

fn cos(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for n in 1..TERMS {
        term *= -x * x / (f64::from(2 * n - 1) * f64::from(2 * n));
        sum += term;
    }
    sum
}

/// Of 0 to 1: halved twice, to below 0.2, then by its power series.
fn atan(x: f64) -> f64 {
    let halved = |x: f64| x / (1.0 + (1.0 + x * x).sqrt());
    let x = halved(halved(x));
    let (mut power, mut sum) = (x, x);
    for n in 1..TERMS {
        power *= -x * x;
        sum += power / f64::from(2 * n + 1);
    }
    4.0 * sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(latitude_e7: i32, longitude_e7: i32) -> GeoPoint {
        GeoPoint { latitude_e7, longitude_e7, ..GeoPoint::default() }
    }

    #[test]
    fn known_distances() {
        assert_eq!(distance_m(&at(0, 0), &at(0, 0)), 0);
        // A degree of the equator, and from pole to pole.
        assert_eq!(distance_m(&at(0, 0), &at(0, 10_000_000)), 111_195);
        assert_eq!(distance_m(&at(900_000_000, 0), &at(-900_000_000, 0)), 20_015_114);
        assert_eq!(distance_m(&at(0, 1_800_000_000), &at(0, -1_800_000_000)), 0);
        // Helsinki to Tallinn, cathedral to town hall.
        let distance = distance_m(&at(601_704_000, 249_522_000), &at(594_370_000, 247_453_000));
        assert!((82_000..83_000).contains(&distance), "{distance}");
        assert_eq!(distance_m(&at(601_704_000, 249_522_000), &at(601_704_900, 249_522_000)), 10);
    }

    proptest! {
        #[test]
        fn as_far_there_as_back_and_as_the_library_says(
            from in (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000),
            to in (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000),
        ) {
            let (from, to) = (at(from.0, from.1), at(to.0, to.1));
            let distance = distance_m(&from, &to);
            prop_assert_eq!(distance, distance_m(&to, &from));
            let radians = |e7: i32| f64::from(e7).to_radians() / 1e7;
            let (phi, psi) = (radians(from.latitude_e7), radians(to.latitude_e7));
            let delta = radians(to.longitude_e7) - radians(from.longitude_e7);
            let h = ((psi - phi) / 2.0).sin().powi(2) + phi.cos() * psi.cos() * (delta / 2.0).sin().powi(2);
            let haversine = 2.0 * EARTH_RADIUS_M * h.sqrt().min(1.0).asin();
            prop_assert!((f64::from(distance) - haversine).abs() < 2.0, "{distance} {haversine}");
        }

        #[test]
        fn who_is_near_is_in_a_neighbouring_cube(
            from in (-900_000_000..=900_000_000, -1_800_000_000..=1_800_000_000),
            by in (-30_000..=30_000, -30_000..=30_000),
        ) {
            let (from, to) = (at(from.0, from.1), at(from.0 + by.0, from.1 + by.1));
            let apart = cube(&from, 300).into_iter().zip(cube(&to, 300)).map(|(one, other)| (one - other).abs()).max();
            prop_assert!(distance_m(&from, &to) >= 300 || apart <= Some(1), "{apart:?}");
        }

        #[test]
        fn no_input_panics(a in any::<i32>(), b in any::<i32>(), c in any::<i32>(), d in any::<i32>()) {
            let _ = distance_m(&at(a, b), &at(c, d));
        }
    }
}
