import { type At, type Bucket, type BucketName, bucketName, type Head, positionOf, type State } from "./bucket.js";
import { Partitions } from "./checksum.js";
import { ProtocolError } from "./fault.js";
import { BucketAction, type BucketPlan, type Plan } from "./gen/roundsman/sync/v1/plan_pb.js";
import { after, START } from "./position.js";
import type { Course, Pull } from "./pull.js";

/**
 * What a plan changes: which buckets there are, under which numbers, and what is about to happen to each. Nothing that is
 * shown changes.
 *
 * @throws ProtocolError when the plan can't be followed.
 */
export function planned(plan: Plan, state: State, pull: Pull): [State, Pull] {
  const buckets = new Map(state.buckets);
  const courses = new Map(pull.courses);
  const fresh = new Set(pull.fresh);
  // An entry without a scope means the number that its bucket had before this plan.
  const numbers = numbered(buckets, courses);
  for (const entry of plan.buckets) {
    const name = entry.scope === "" ? numbers.get(entry.bucketId) : nameOf(entry);
    const held = name === undefined ? undefined : buckets.get(name);
    if (held === undefined && entry.action === BucketAction.DROP) {
      continue;
    }
    if (name === undefined) {
      throw new ProtocolError("bucket_unknown", `bucket ${entry.bucketId} is not held, and its scope is not named`);
    }
    if (held === undefined) {
      fresh.add(name);
    }
    const bucket = held ?? emptyBucket(entry);
    const before = courses.get(name);
    const course = courseOf(entry, plan.version, before, bucket, state.head);
    courses.set(name, course);
    const staging = keepsStaging(entry, before, course, bucket) ? bucket.staging : undefined;
    buckets.set(name, { ...bucket, at: plannedAt(entry, bucket.at), staging });
  }
  const fork = pull.fork || plan.fork;
  return [{ ...state, buckets }, { ...pull, courses, fresh, numbers: numbered(buckets, courses), fork, open: true }];
}

function nameOf(entry: BucketPlan): BucketName {
  if (entry.kind === 0) {
    throw new ProtocolError("bucket_kind", `the plan names bucket ${entry.bucketId} without a kind`);
  }
  return bucketName(entry.kind, entry.scope);
}

function emptyBucket({ bucketId, scope, kind, group }: BucketPlan): Bucket {
  return { id: bucketId, scope, kind, group, at: { is: "nothing" }, rows: 0n, checksum: 0n, staging: undefined };
}

function courseOf(entry: BucketPlan, version: bigint, before: Course | undefined, bucket: Bucket, head: Head): Course {
  const { bucketId: id, group } = entry;
  const fromStart = { id, group, base: START, replaces: true, repairs: undefined, drops: false };
  switch (entry.action) {
    case BucketAction.KEEP:
      return { ...fromStart, base: after(version), replaces: false };
    case BucketAction.APPEND: {
      if (before !== undefined) {
        // More of what this pull has announced: an earlier RESET or KEEP stands, and what was to go is replaced.
        return { ...before, id, group, drops: false };
      }
      const position = positionOf(bucket, head);
      return position === undefined ? fromStart : { ...fromStart, base: after(position.version), replaces: false };
    }
    case BucketAction.RESET:
      return fromStart;
    case BucketAction.DROP:
      return { ...fromStart, drops: true };
    case BucketAction.REPAIR: {
      const repairs = Partitions.fromWire(entry.partitions);
      if (repairs === undefined) {
        throw new ProtocolError("bucket_partitions", `the plan repairs bucket ${id} and does not say where`);
      }
      return { ...fromStart, replaces: false, repairs };
    }
    default:
      throw new ProtocolError("bucket_action", `the plan has an unknown action, ${entry.action}`);
  }
}

/** Else what is staged to mend a bucket could later be taken for what goes on from where it is. */
function plannedAt({ action }: BucketPlan, at: At): At {
  return action === BucketAction.REPAIR && at.is !== "nothing" ? { is: "damaged" } : at;
}

/** Whether what is staged belongs to what will come. */
function keepsStaging(entry: BucketPlan, before: Course | undefined, course: Course, bucket: Bucket): boolean {
  const goesOn = entry.action === BucketAction.APPEND && before !== undefined;
  const resumes = entry.resumed && (entry.action === BucketAction.APPEND || entry.action === BucketAction.RESET);
  return (goesOn || resumes) && bucket.staging?.replaces === course.replaces;
}

/**
 * The buckets by the server's numbers: those that the plans of this pull gave, else the stored ones. A bucket of which
 * nothing was applied and that this pull doesn't name gives way, since its number was another server's; so does one that
 * is to go.
 */
function numbered(
  buckets: ReadonlyMap<BucketName, Bucket>,
  courses: ReadonlyMap<BucketName, Course>,
): ReadonlyMap<bigint, BucketName> {
  const givesWay = (name: BucketName) => courses.get(name)?.drops ?? buckets.get(name)?.at.is === "nothing";
  const numbers = new Map<bigint, BucketName>();
  for (const [name, bucket] of buckets) {
    const id = courses.get(name)?.id ?? bucket.id;
    const other = numbers.get(id);
    if (other === undefined || givesWay(other)) {
      numbers.set(id, name);
    } else if (!givesWay(name)) {
      throw new ProtocolError("bucket_number", `the plan gives the number ${id} to two buckets`);
    }
  }
  return numbers;
}
