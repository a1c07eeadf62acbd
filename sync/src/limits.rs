//! Limits with their names and units, the same on device and server.

/// A page has at most this many rows.
pub const PAGE_ROWS: usize = 4_096;
/// A page has at most this many bytes before compression, unless it is a single frame.
pub const PAGE_BYTES: usize = 128 * 1024;
/// A record's document has at most this many bytes.
pub const DOCUMENT_BYTES: usize = 256 * 1024;
/// The bytes that a frame adds to its document, at most: tags, lengths, id and version.
pub const FRAME_OVERHEAD_BYTES: usize = 48;
/// A page's payload is never larger than this before compression: a single frame of the largest document.
pub const PAYLOAD_BYTES: usize = DOCUMENT_BYTES + FRAME_OVERHEAD_BYTES;
/// A bucket with fewer rows is sent whole rather than mended by the sums of its partitions.
pub const REPAIR_ROWS: i64 = 1_000;
/// A command's body has at most this many bytes.
pub const COMMAND_BYTES: usize = 256 * 1024;
/// A push has at most this many commands.
pub const PUSH_COMMANDS: usize = 256;
/// A push has at most this many bytes of commands.
pub const PUSH_BYTES: usize = 3 * 1024 * 1024;
/// A user's scopes hold at most this many buckets.
pub const DEVICE_BUCKETS: usize = 1_000;
/// A device keeps acknowledged commands at least this long, in microseconds: 7 days.
pub const KEEP_ACKNOWLEDGED_US: i64 = 7 * 24 * 3_600 * 1_000_000;
