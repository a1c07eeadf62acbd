/**
 * What is wrong with a message of the server:
 *
 * - a page: `page_too_large` (it says, or has, more than a page may have), `page_payload` (it is not what its compression
 *   or its length says), `page_rows` (another number of frames than announced), `page_id` (an id without 16 bytes),
 *   `page_range` (no range or no build), `page_order` (frames out of order, or outside of the range), `page_gap` (it begins
 *   after the device's cursor);
 * - a plan: `bucket_unknown` (a number that the device doesn't hold, without its scope), `bucket_number` (one number for two
 *   buckets), `bucket_kind` (a scope without a kind), `bucket_action` (an unknown action), `bucket_partitions` (it repairs
 *   partitions that it doesn't name in 32 bytes);
 * - a page or a checkpoint: `bucket_not_planned` (no plan of this pull covers the bucket);
 * - a checkpoint: `checkpoint_position` (it has none), `checkpoint_back` (it is before the device's position, without a
 *   fork);
 * - a push's answer: `result` (no command id or no outcome), `sequence` (not a sequence number).
 */
export type Fault =
  | "page_too_large"
  | "page_payload"
  | "page_rows"
  | "page_id"
  | "page_range"
  | "page_order"
  | "page_gap"
  | "bucket_unknown"
  | "bucket_number"
  | "bucket_kind"
  | "bucket_action"
  | "bucket_partitions"
  | "bucket_not_planned"
  | "checkpoint_position"
  | "checkpoint_back"
  | "result"
  | "sequence";

/** A message of the server that cannot be taken. It changed nothing. */
export class ProtocolError extends Error {
  override readonly name = "ProtocolError";

  constructor(
    readonly fault: Fault,
    message: string,
  ) {
    super(message);
  }
}
