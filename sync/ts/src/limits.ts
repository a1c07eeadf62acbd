const KIB = 1024;

/** A page has at most this many bytes before compression: a frame of the largest document, with its id and version. */
export const PAYLOAD_BYTES = 256 * KIB + 48;
/** A bucket with fewer rows is sent whole rather than mended by the sums of its partitions. */
export const REPAIR_ROWS = 1_000n;
/** A command's body has at most this many bytes. */
export const COMMAND_BYTES = 256 * KIB;
/** A push has at most this many commands. */
export const PUSH_COMMANDS = 256;
/** A push has at most this many bytes of serialized commands. */
export const PUSH_BYTES = 3 * KIB * KIB;
/** An answered command is kept at least this long, in microseconds: 7 days. */
export const KEEP_ANSWERED_US = 7n * 24n * 3_600n * 1_000_000n;
/** The greatest sequence number that is believed: never reached, and far from where counting on would overflow. */
export const LAST_SEQ = (1n << 62n) - 1n;
