//! Settings of a tenant that decisions depend on, with their defaults.

use roundsman_sync::trade::reclamation::deadline::StageDays;

/// What a tenant may set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long after a hand-over a rep's orders and edits are still taken, in microseconds.
    pub handover_grace_us: i64,
    /// A correction of a device's clock above this is flagged, in microseconds.
    pub clock_flag_us: i64,
    /// How many months of closed documents a phone holds.
    pub months_on_phone: i32,
    /// How many days a device may be away before its buckets are compared instead of continued.
    pub horizon_days: i32,
    /// How long the stages of a reclamation may take of whose cause nothing else is said.
    pub claim_days: StageDays,
}

impl Default for Policy {
    fn default() -> Self {
        const HOUR_US: i64 = 3_600_000_000;
        Self {
            handover_grace_us: 72 * HOUR_US,
            clock_flag_us: HOUR_US / 4,
            months_on_phone: 3,
            horizon_days: 45,
            claim_days: StageDays { decide: 5, settle: 5 },
        }
    }
}
