//! Whether the promotions that a rep saw count (C7).

use std::collections::BTreeMap;

use roundsman_proto::trade::{LinePromotion, Promotion};
use uuid::Uuid;

use super::ledger::Spent;
use super::{Buyer, Entitled, Line, entitle};

/// A promotion, as the server knows it.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// Its id.
    pub id: Uuid,
    /// The version that wrote it last.
    pub version: i64,
    /// When that was, in microseconds since the Unix epoch.
    pub changed_at_us: i64,
    /// What it says.
    pub promotion: &'a Promotion,
    /// What it said at the version that the device held, if the server still knows.
    pub before: Option<&'a Promotion>,
    /// What it has taken off confirmed orders.
    pub spent: Spent,
}

/// What a rep saw on a line.
#[derive(Clone, Copy, Debug)]
pub struct Claims<'a> {
    /// The promotions.
    pub promotions: &'a [LinePromotion],
    /// When that was captured, in microseconds since the Unix epoch.
    pub captured_at_us: i64,
}

/// For each line whether all that the rep saw counts. It does if the line is entitled to at least as much, by each of these
/// promotions and in all: by the promotions as they are now, or as the device can have known them. These are, of a promotion
/// that it names, what the promotion said at the version that it held, if what has changed it since is not longer ago than the
/// grace; and without those that it does not name and that came or changed within the grace.
#[must_use]
pub fn claims_that_count(
    claims: &[Claims<'_>],
    known: &[Known<'_>],
    lines: &[Line<'_>],
    buyer: &Buyer<'_>,
    grace_us: i64,
) -> Vec<bool> {
    if claims.iter().all(|claim| claim.promotions.is_empty()) {
        return vec![true; claims.len()];
    }
    let now = entitle(known.iter().map(|known| (known.id, known.promotion)), lines, buyer);
    let mut counts: Vec<bool> = claims.iter().zip(&now).map(|(claim, line)| covers(line, claim.promotions)).collect();
    let held = held_versions(claims);
    let mut moments: Vec<i64> =
        claims.iter().zip(&counts).filter(|(_, counts)| !**counts).map(|(claim, _)| claim.captured_at_us).collect();
    moments.sort_unstable();
    moments.dedup();
    for moment in moments {
        let on_device = known.iter().filter_map(|known| {
            let recent = moment <= known.changed_at_us.saturating_add(grace_us);
            let promotion = match held.get(&known.id) {
                Some(held) if known.version > *held && recent => known.before?,
                None if recent => return None,
                Some(_) | None => known.promotion,
            };
            Some((known.id, promotion))
        });
        let then = entitle(on_device, lines, buyer);
        for ((claim, line), counts) in claims.iter().zip(&then).zip(&mut counts) {
            *counts |= claim.captured_at_us == moment && covers(line, claim.promotions);
        }
    }
    counts
}

/// The lowest version of each promotion that the device held.
fn held_versions(claims: &[Claims<'_>]) -> BTreeMap<Uuid, i64> {
    let mut held: BTreeMap<Uuid, i64> = BTreeMap::new();
    for claimed in claims.iter().flat_map(|claim| claim.promotions) {
        if let Ok(id) = Uuid::from_slice(&claimed.promotion_id) {
            let version = claimed.promotion_version;
            held.entry(id).and_modify(|held| *held = version.min(*held)).or_insert(version);
        }
    }
    held
}

fn covers(line: &Entitled, claimed: &[LinePromotion]) -> bool {
    let by_itself = |claimed: &LinePromotion| {
        let found = line.candidates.iter().find(|part| part.promotion_id.as_bytes() == claimed.promotion_id.as_slice());
        found.is_some_and(|part| claimed.discount_minor <= part.discount_minor)
    };
    let total = claimed.iter().fold(0_i64, |sum, claimed| sum.saturating_add(claimed.discount_minor));
    claimed.iter().all(by_itself) && total <= line.total_minor()
}
