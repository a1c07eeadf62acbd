import { fromBinary } from "@bufbuild/protobuf";

import type { At, Bucket, BucketName, Document, Member, State } from "./bucket.js";
import { type Partitions, rowHash, withoutRow, withRow } from "./checksum.js";
import { ProtocolError } from "./fault.js";
import { PageSchema } from "./gen/roundsman/sync/v1/page_pb.js";
import type { Checkpoint } from "./gen/roundsman/sync/v1/plan_pb.js";
import type { Id } from "./id.js";
import { type Row, unpack } from "./page.js";
import type { Position } from "./position.js";
import { isCovered, type Pull } from "./pull.js";
import { rowsOf } from "./repair.js";
import type { Key, Row as TableRow, Transaction } from "./storage.js";

/** What a checkpoint did. */
export interface Applied {
  readonly state: State;
  /** How many memberships changed. */
  readonly changed: number;
  /** The buckets whose sum or document is wrong. */
  readonly damaged: ReadonlySet<BucketName>;
  /** Records that lost a membership and kept others. */
  readonly released: ReadonlySet<Id>;
}

/**
 * Applies everything that was staged for the buckets that a checkpoint covers. Memberships and documents are written; what
 * the replica keeps in memory is returned.
 *
 * @throws ProtocolError when the checkpoint names a bucket that it doesn't cover.
 */
export async function apply(
  tx: Transaction,
  checkpoint: Checkpoint,
  position: Position,
  state: State,
  pull: Pull,
): Promise<Applied> {
  if (pull.fork) {
    await forgetVersions(tx);
  }
  const buckets = new Map(state.buckets);
  const writer = new Writer(tx, pull.released);
  const covered = [...pull.courses].filter(([, course]) => isCovered(course, checkpoint));
  // First everything that goes, so that an old document does not outweigh the one that replaces it.
  for (const [name, { replaces, repairs }] of covered) {
    const bucket = buckets.get(name);
    if (bucket !== undefined && repairs !== undefined) {
      buckets.set(name, await writer.clearPartitions(name, bucket, repairs));
    } else if (bucket !== undefined && replaces) {
      buckets.set(name, await writer.clear(name, bucket));
    }
  }
  for (const [name] of covered) {
    const bucket = buckets.get(name);
    if (bucket !== undefined) {
      buckets.set(name, await writer.applyStaged(name, bucket));
    }
  }
  const settled = settle(buckets, checkpoint, state.head.position, pull);
  const wrong = wrongSums(settled, checkpoint, pull);
  const damaged = new Set([...wrong, ...(await outweighed(tx, settled, writer.released))]);
  for (const name of damaged) {
    const bucket = settled.get(name);
    if (bucket !== undefined) {
      settled.set(name, { ...bucket, at: { is: "damaged" } });
    }
  }
  const head = { position, scopeDigest: checkpoint.scopeDigest };
  return { state: { head, buckets: settled }, changed: writer.changed, damaged, released: writer.released };
}

/** The versions of another history say nothing in this one. */
async function forgetVersions(tx: Transaction): Promise<void> {
  for (const [key, member] of await tx.list("member")) {
    tx.put("member", key, { ...member, version: 0n });
  }
  for (const [key, document] of await tx.list("document")) {
    tx.put("document", key, { ...document, version: 0n });
  }
}

/** What is held of a record, seen from one bucket. */
interface Held {
  readonly member: Member | undefined;
  readonly document: Document | undefined;
}

const NOT_HELD: Held = { member: undefined, document: undefined };

/** Changes memberships and documents, and keeps the sums of their buckets. */
class Writer {
  changed = 0;
  readonly released: Set<Id>;
  readonly #tx: Transaction;

  constructor(tx: Transaction, released: ReadonlySet<Id>) {
    this.#tx = tx;
    this.released = new Set(released);
  }

  /** Takes all memberships of a bucket away. */
  async clear(name: BucketName, bucket: Bucket): Promise<Bucket> {
    const members = await this.#tx.list("member", name);
    await this.#applyRows(name, bucket, members.map(([[, record], member]) => leaving(record, member)));
    // If it was damaged, it need not have stated the sums of these memberships.
    return { ...bucket, rows: 0n, checksum: 0n };
  }

  /**
   * Takes a bucket's memberships of these partitions away. What it says of the rest is made anew from the documents, as the
   * sums were by which the partitions were found.
   */
  async clearPartitions(name: BucketName, bucket: Bucket, partitions: Partitions): Promise<Bucket> {
    const gone: Row[] = [];
    let rows = 0n;
    let checksum = 0n;
    for await (const { record, member, document } of rowsOf(this.#tx, name)) {
      if (document === undefined || partitions.contain(record)) {
        gone.push(leaving(record, member));
        continue;
      }
      const hash = rowHash(record, document.bytes);
      rows += 1n;
      checksum = withRow(checksum, hash);
      if (hash !== member.hash) {
        this.#tx.put("member", [name, record], { ...member, hash });
      }
    }
    await this.#applyRows(name, bucket, gone);
    return { ...bucket, rows, checksum };
  }

  /** Applies the staged pages of a bucket. */
  async applyStaged(name: BucketName, bucket: Bucket): Promise<Bucket> {
    const pages = bucket.staging === undefined ? [] : await this.#tx.list("page", name);
    let next = bucket;
    for (const [, page] of pages) {
      next = await this.#applyRows(name, next, unpack(fromBinary(PageSchema, page)).rows);
    }
    return next;
  }

  async #applyRows(name: BucketName, bucket: Bucket, rows: readonly Row[]): Promise<Bucket> {
    const held = await this.#look(name, rows);
    const written = new Map<Id, Held>();
    let { rows: count, checksum } = bucket;
    for (const row of rows) {
      const before = written.get(row.record) ?? held.get(row.record) ?? NOT_HELD;
      if (before.member !== undefined && before.member.version >= row.version) {
        continue;
      }
      const after = taken(row, before, bucket.kind);
      if (before.member !== undefined) {
        count -= 1n;
        checksum = withoutRow(checksum, before.member.hash);
      }
      if (after.member !== undefined) {
        count += 1n;
        checksum = withRow(checksum, after.member.hash);
      } else if (before.member !== undefined && after.document !== undefined) {
        this.released.add(row.record);
      }
      this.changed += before.member === undefined && after.member === undefined ? 0 : 1;
      written.set(row.record, after);
    }
    for (const [record, { member, document }] of written) {
      this.#write("member", [name, record], member);
      this.#write("document", [record], document);
    }
    return { ...bucket, rows: count, checksum };
  }

  async #look(name: BucketName, rows: readonly Row[]): Promise<ReadonlyMap<Id, Held>> {
    const looks = rows.map(async ({ record }): Promise<[Id, Held]> => {
      const [member, document] = await Promise.all([
        this.#tx.get("member", [name, record]),
        this.#tx.get("document", [record]),
      ]);
      return [record, { member, document }];
    });
    return new Map(await Promise.all(looks));
  }

  #write<T extends "member" | "document">(table: T, key: Key<T>, row: TableRow<T> | undefined): void {
    if (row === undefined) {
      this.#tx.remove(table, key);
    } else {
      this.#tx.put(table, key, row);
    }
  }
}

/** As if a newer frame had said of a record that it left. */
function leaving(record: Id, { version }: Member): Row {
  return { record, version: version + 1n, document: undefined };
}

/** What is held of a record after a row that is news. */
function taken({ record, version, document: bytes }: Row, { member, document }: Held, kind: number): Held {
  // A document that is missing has no holders, though the membership is there.
  const others = Math.max((document?.holders ?? 0) - (member === undefined ? 0 : 1), 0);
  if (bytes === undefined) {
    return { member: undefined, document: document === undefined || others === 0 ? undefined : { ...document, holders: others } };
  }
  // At the same version the two are the same, unless the one that is held was damaged.
  const newest = document !== undefined && document.version > version ? document : { kind, version, bytes };
  return { member: { version, hash: rowHash(record, bytes) }, document: { ...newest, holders: others + 1 } };
}

/** Where each bucket is after the checkpoint; those that are gone are left out. */
function settle(
  buckets: ReadonlyMap<BucketName, Bucket>,
  checkpoint: Checkpoint,
  before: Position | undefined,
  pull: Pull,
): Map<BucketName, Bucket> {
  const settled = new Map<BucketName, Bucket>();
  for (const [name, bucket] of buckets) {
    const course = pull.courses.get(name);
    const isNamed = course !== undefined && isCovered(course, checkpoint);
    // Everything wanted has come, and nothing of this one: it is no longer the user's.
    const isLost = checkpoint.last && course === undefined && bucket.at.is === "nothing";
    if (isLost || course?.drops === true) {
      continue;
    }
    settled.set(name, {
      ...bucket,
      id: course?.id ?? bucket.id,
      group: course?.group ?? bucket.group,
      at: isNamed ? { is: "head" } : uncoveredAt(bucket.at, checkpoint.last, before, pull.fork),
      staging: isNamed || checkpoint.last ? undefined : bucket.staging,
    });
  }
  return settled;
}

/** Where a bucket is that the checkpoint doesn't cover. */
function uncoveredAt(at: At, isLast: boolean, before: Position | undefined, fork: boolean): At {
  if (at.is === "nothing" || at.is === "damaged" || (at.is === "head" && isLast)) {
    return at;
  }
  if (fork) {
    // Where it was belongs to the history that is gone, and so may what outweighed its documents.
    return { is: "damaged" };
  }
  if (at.is === "head") {
    return before === undefined ? at : { is: "behind", position: before };
  }
  return isLast ? { is: "head" } : at;
}

/** The buckets that don't hold what they must. */
function wrongSums(buckets: ReadonlyMap<BucketName, Bucket>, checkpoint: Checkpoint, pull: Pull): ReadonlySet<BucketName> {
  const wrong = new Set<BucketName>();
  for (const must of checkpoint.buckets) {
    const name = pull.numbers.get(must.bucketId);
    const bucket = name === undefined ? undefined : buckets.get(name);
    const course = name === undefined ? undefined : pull.courses.get(name);
    const isDue = checkpoint.last || (course !== undefined && isCovered(course, checkpoint));
    if (name === undefined || bucket === undefined || !isDue) {
      throw new ProtocolError("bucket_not_planned", `no plan of this pull covers bucket ${must.bucketId}`);
    }
    if (bucket.rows !== must.rows || bucket.checksum !== must.checksum) {
      wrong.add(name);
    }
  }
  return wrong;
}

/**
 * The buckets at the checkpoint whose memberships of these records are of another document than the one that is there: their
 * own was outweighed by one that is gone. A bucket that lags may still get its own.
 */
async function outweighed(
  tx: Transaction,
  buckets: ReadonlyMap<BucketName, Bucket>,
  released: ReadonlySet<Id>,
): Promise<ReadonlySet<BucketName>> {
  const found = new Set<BucketName>();
  for (const record of released) {
    const document = await tx.get("document", [record]);
    if (document === undefined) {
      continue;
    }
    const hash = rowHash(record, document.bytes);
    for (const [name, bucket] of buckets) {
      if (bucket.kind !== document.kind || bucket.at.is !== "head") {
        continue;
      }
      const member = await tx.get("member", [name, record]);
      if (member !== undefined && member.hash !== hash) {
        found.add(name);
      }
    }
  }
  return found;
}
