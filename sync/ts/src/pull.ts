import type { BucketName } from "./bucket.js";
import type { Partitions } from "./checksum.js";
import type { Checkpoint } from "./gen/roundsman/sync/v1/plan_pb.js";
import type { Id } from "./id.js";
import type { Cursor } from "./position.js";

/** What the plans of this pull said about a bucket. */
export interface Course {
  /** The server's number, stored with the next checkpoint. */
  readonly id: bigint;
  /** The group whose checkpoint covers it. */
  readonly group: number;
  /** Where its pages begin at the latest, as long as nothing is staged. */
  readonly base: Cursor;
  /** What comes replaces what is held. */
  readonly replaces: boolean;
  /** What comes replaces what is held in these partitions. */
  readonly repairs: Partitions | undefined;
  /** It goes at the next checkpoint. */
  readonly drops: boolean;
}

/** What is known only while a stream lasts. */
export interface Pull {
  readonly courses: ReadonlyMap<BucketName, Course>;
  /** The buckets by the server's numbers, as of the last plan. */
  readonly numbers: ReadonlyMap<bigint, BucketName>;
  /** The buckets that only a plan knows so far: nothing of them is stored, and a cut forgets them. */
  readonly fresh: ReadonlySet<BucketName>;
  /** The held versions count as 0 from the next checkpoint on. */
  readonly fork: boolean;
  /** Records that lost a membership and kept others, since the last checkpoint that ended a round. */
  readonly released: ReadonlySet<Id>;
  /** Something came since the last checkpoint that ended a round. */
  readonly open: boolean;
}

/** Before anything came. */
export const NO_PULL: Pull = {
  courses: new Map(),
  numbers: new Map(),
  fresh: new Set(),
  fork: false,
  released: new Set(),
  open: false,
};

/** Whether a checkpoint covers a bucket. One that goes, goes with the next checkpoint, whatever its group. */
export function isCovered(course: Course, checkpoint: Checkpoint): boolean {
  return checkpoint.last || course.drops || course.group <= checkpoint.group;
}
