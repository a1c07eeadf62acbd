//! The device's copy of the buckets that its user holds.
