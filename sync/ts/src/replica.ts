import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

import { type Bucket, type BucketName, type Document, positionOf, type State } from "./bucket.js";
import { type Applied, apply } from "./checkpoint.js";
import { ProtocolError } from "./fault.js";
import { type Page, PageSchema, type StagingCursorSchema } from "./gen/roundsman/sync/v1/page_pb.js";
import type {
  Checkpoint,
  HeldBucketSchema,
  LaggingBucketSchema,
  Plan,
  Position as WirePosition,
} from "./gen/roundsman/sync/v1/plan_pb.js";
import {
  type OutboxSummary,
  type PullRequest,
  PullRequestSchema,
  type PullResponse,
  Urgency,
} from "./gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, type Id } from "./id.js";
import { REPAIR_ROWS } from "./limits.js";
import { unpack } from "./page.js";
import { planned } from "./plan.js";
import { after, isBefore, isEarlier, type Position } from "./position.js";
import { type Course, isCovered, NO_PULL, type Pull } from "./pull.js";
import { isSound, partialSums } from "./repair.js";
import type { Storage, Transaction } from "./storage.js";

/** The version of the protocol that this package speaks. */
export const PROTOCOL_VERSION = 1;

/** What a device wants of a pull, and what it reports on the way. */
export interface Want {
  /** The device's clock, in microseconds since the Unix epoch. */
  readonly deviceClockUs: bigint;
  /** The app's own version, at most 64 characters. */
  readonly appVersion?: string;
  /** The kinds that the app understands; missing: all. */
  readonly kinds?: readonly number[];
  /** Keep the stream open. */
  readonly follow?: boolean;
  /** A version that must be covered, usually one that a push returned. */
  readonly atLeast?: bigint;
  /** Only today's work. */
  readonly todayOnly?: boolean;
  /** The highest sequence number for which the outbox has an outcome. */
  readonly lastOutcomeSeq?: bigint;
  /** What waits in the outbox. */
  readonly outbox?: OutboxSummary;
}

/** What may be set of a replica. */
export interface ReplicaOptions {
  /** A damaged bucket is mended by the sums of its partitions from so many rows on; missing: 1,000. */
  readonly repairRows?: bigint;
}

/** A bucket, named for people. */
export interface Damaged {
  readonly scope: string;
  readonly kind: number;
}

/**
 * What a message of the stream meant.
 *
 * - `fork`: the server lost a part of the history: tell the outbox;
 * - `inventory_wanted`: the stream is over, and the next request carries the inventory;
 * - `planned`: so many rows and bytes are announced, at most;
 * - `staged`: a page came, of so many rows and bytes before compression; 0 and 0: it brought nothing new;
 * - `checkpoint`: what came was applied; `changed` counts memberships. Damaged buckets are mended by the next pull: end
 *   this one;
 * - `alive`: nothing changed, or it is a message that this program doesn't know.
 */
export type Event =
  | { readonly is: "fork"; readonly expectedSeq: bigint }
  | { readonly is: "inventory_wanted" }
  | { readonly is: "planned"; readonly rows: bigint; readonly bytes: bigint }
  | { readonly is: "staged"; readonly rows: number; readonly bytes: number }
  | {
      readonly is: "checkpoint";
      readonly group: number;
      readonly last: boolean;
      readonly position: Position;
      readonly changed: number;
      readonly damaged: readonly Damaged[];
    }
  | { readonly is: "alive"; readonly position: Position | undefined };

/** Before anything came. */
const EMPTY: State = { head: { position: undefined, scopeDigest: 0n }, buckets: new Map() };

/**
 * The device's copy of the buckets that its user holds: its half of Pull, without the network. {@link Replica.request} says
 * where the device is, {@link Replica.receive} takes one message of the stream, {@link Replica.cut} notes that the stream
 * ended. What is shown changes only at a checkpoint, in one transaction of the storage.
 *
 * Its calls are made one after the other: nobody calls a method while `request`, `receive`, `scrub` or `erase` is under way.
 */
export class Replica {
  readonly #storage: Storage;
  readonly #repairRows: bigint;
  #state: State;
  #pull: Pull = NO_PULL;
  #inventoryWanted = false;

  private constructor(storage: Storage, state: State, { repairRows = REPAIR_ROWS }: ReplicaOptions) {
    this.#storage = storage;
    this.#state = state;
    this.#repairRows = repairRows;
  }

  /** Opens what the storage holds. */
  static async open(storage: Storage, options: ReplicaOptions = {}): Promise<Replica> {
    const state = await storage.transaction(async (tx): Promise<State> => {
      const head = (await tx.get("replica", [])) ?? EMPTY.head;
      const buckets = await tx.list("bucket");
      return { head, buckets: new Map(buckets.map(([[name], bucket]) => [name, bucket])) };
    });
    return new Replica(storage, state, options);
  }

  /**
   * What to send to begin a pull. The inventory goes along if the server asked for it. What is damaged, or may have to come
   * anew, and is large goes with the sums of its partitions, for which all of it is read.
   */
  async request(want: Want): Promise<PullRequest> {
    const hasInventory = this.#inventoryWanted;
    const buckets: { bucket: Bucket; sums: bigint[] }[] = [];
    for (const [name, bucket] of this.#state.buckets) {
      const isWanted = hasInventory || bucket.at.is === "damaged";
      buckets.push({ bucket, sums: isWanted ? await this.#partialSums(name, bucket) : [] });
    }
    return create(PullRequestSchema, {
      protocolVersion: PROTOCOL_VERSION,
      appVersion: want.appVersion ?? "",
      deviceClockUs: want.deviceClockUs,
      kinds: [...(want.kinds ?? [])],
      ...(this.position && { position: this.position }),
      scopeDigest: this.#state.head.scopeDigest,
      lagging: buckets.flatMap(({ bucket, sums }) => lagging(bucket, hasInventory ? [] : sums)),
      staging: buckets.flatMap(({ bucket }) => staging(bucket)),
      lastOutcomeSeq: want.lastOutcomeSeq ?? 0n,
      ...(want.outbox && { outbox: want.outbox }),
      follow: want.follow ?? false,
      atLeast: want.atLeast ?? 0n,
      urgency: want.todayOnly === true ? Urgency.TODAY : Urgency.ALL,
      inventory: hasInventory ? buckets.flatMap(({ bucket, sums }) => held(bucket, sums)) : [],
      hasInventory,
    });
  }

  /** Takes everything away, as in a replica that was never used. */
  async erase(): Promise<void> {
    await this.#storage.transaction(async (tx) => {
      for (const table of ["replica", "bucket", "page", "member", "document"] as const) {
        for (const [key] of await tx.list(table)) {
          tx.remove(table, key);
        }
      }
    });
    this.#state = EMPTY;
    this.#pull = NO_PULL;
    this.#inventoryWanted = false;
  }

  /**
   * Looks for what has changed by itself, in whole buckets, from one that `seed` chooses on, until so many rows are checked;
   * marks what is wrong as damaged, so that the next pull mends it. The seed is 0 or more.
   *
   * @returns the buckets that are wrong.
   */
  async scrub(seed: bigint, rows: bigint): Promise<Damaged[]> {
    const held = [...this.#state.buckets];
    const start = Number(seed % BigInt(Math.max(held.length, 1)));
    const buckets = new Map(held);
    const state = { ...this.#state, buckets };
    const damaged: Damaged[] = [];
    await this.#storage.transaction(async (tx) => {
      let left = rows;
      for (const [name, bucket] of [...held.slice(start), ...held.slice(0, start)]) {
        if (left <= 0n) {
          break;
        }
        left -= bucket.rows;
        const isTrusted = bucket.at.is === "head" || bucket.at.is === "behind";
        if (isTrusted && !(await isSound(tx, name, bucket))) {
          buckets.set(name, { ...bucket, at: { is: "damaged" } });
          damaged.push({ scope: bucket.scope, kind: bucket.kind });
        }
      }
      await this.#save(tx, state, this.#pull.fresh);
    });
    this.#state = state;
    return damaged;
  }

  /**
   * Takes one message of the stream. When it fails, the message changed nothing, and the pull is cut.
   *
   * @throws ProtocolError when the message is malformed; what the storage throws, when it fails.
   */
  async receive({ message }: PullResponse): Promise<Event> {
    try {
      switch (message.case) {
        case "fork":
          return { is: "fork", expectedSeq: message.value.expectedSeq };
        case "inventoryRequest":
          this.#inventoryWanted = true;
          return { is: "inventory_wanted" };
        case "plan":
          return await this.#plan(message.value);
        case "page":
          return await this.#stage(message.value);
        case "checkpoint":
          return await this.#checkpoint(message.value);
        case "keepAlive":
          return await this.#keepAlive(message.value.position);
        case undefined:
          return { is: "alive", position: undefined };
      }
    } catch (error) {
      this.cut();
      throw error;
    }
  }

  /** The stream ended, for whatever reason: its plans are forgotten, what was staged stays. */
  cut(): void {
    const buckets = new Map(this.#state.buckets);
    for (const name of this.#pull.fresh) {
      buckets.delete(name);
    }
    this.#state = { ...this.#state, buckets };
    this.#pull = NO_PULL;
  }

  /** The position of the last checkpoint. */
  get position(): Position | undefined {
    return this.#state.head.position;
  }

  /** The buckets, with what they hold and where they are. */
  get buckets(): Iterable<Bucket> {
    return this.#state.buckets.values();
  }

  /** Whether every bucket, also one that is only planned, is at this version or later. */
  covers(version: bigint): boolean {
    const { head, buckets } = this.#state;
    const positions = [head.position, ...[...buckets.values()].map((bucket) => positionOf(bucket, head))];
    return positions.every((position) => position !== undefined && position.version >= version);
  }

  /** A record's document; `undefined`: no bucket holds the record. */
  async document(record: Id): Promise<Document | undefined> {
    return await this.#storage.transaction((tx) => tx.get("document", [record]));
  }

  /** All records in buckets of a kind, in the order of their ids. */
  async records(kind: number): Promise<Map<Id, Document>> {
    const names = [...this.#state.buckets].filter(([, bucket]) => bucket.kind === kind).map(([name]) => name);
    return await this.#storage.transaction(async (tx) => {
      const members = await Promise.all(names.map((name) => tx.list("member", name)));
      return await documents(tx, new Set(members.flat().map(([[, record]]) => record)));
    });
  }

  /** The records in one bucket, in the order of their ids. While buckets lag behind one another, a document may be newer. */
  async content(bucket: BucketName): Promise<Map<Id, Document>> {
    return await this.#storage.transaction(async (tx) => {
      const members = await tx.list("member", bucket);
      return await documents(tx, new Set(members.map(([[, record]]) => record)));
    });
  }

  /** The sums of a large bucket's partitions; of a small one none. */
  async #partialSums(name: BucketName, bucket: Bucket): Promise<bigint[]> {
    if (bucket.rows < this.#repairRows) {
      return [];
    }
    return (await this.#storage.transaction((tx) => partialSums(tx, name))).toWire();
  }

  async #plan(plan: Plan): Promise<Event> {
    const [state, pull] = planned(plan, this.#state, this.#pull);
    await this.#storage.transaction(async (tx) => this.#save(tx, state, pull.fresh));
    this.#state = state;
    this.#pull = pull;
    this.#inventoryWanted = false;
    const sum = (numbers: bigint[]) => numbers.reduce((sum, number) => sum + number, 0n);
    return {
      is: "planned",
      rows: sum(plan.buckets.map((entry) => entry.rows)),
      bytes: sum(plan.buckets.map((entry) => entry.bytes)),
    };
  }

  async #stage(page: Page): Promise<Event> {
    const name = this.#pull.numbers.get(page.bucketId) ?? "";
    const course = this.#pull.courses.get(name);
    const bucket = this.#state.buckets.get(name);
    if (course === undefined || bucket === undefined || course.drops) {
      throw new ProtocolError("bucket_not_planned", `no plan of this pull covers bucket ${page.bucketId}`);
    }
    const { from, through, build } = unpack(page);
    const before = bucket.staging;
    const cursor = before?.cursor ?? course.base;
    if (isBefore(cursor, from)) {
      throw new ProtocolError("page_gap", `a page of bucket ${page.bucketId} begins after the device's cursor`);
    }
    this.#pull = { ...this.#pull, open: true };
    if (!isBefore(cursor, through)) {
      return { is: "staged", rows: 0, bytes: 0 };
    }
    const staging = {
      id: course.id,
      pages: (before?.pages ?? 0) + 1,
      cursor: through,
      oldest: before !== undefined && isEarlier(before.oldest, build) ? before.oldest : build,
      newest: before !== undefined && isEarlier(build, before.newest) ? before.newest : build,
      replaces: course.replaces,
    };
    const next = { ...bucket, staging };
    await this.#storage.transaction(async (tx) => {
      tx.put("page", [name, staging.pages - 1], toBinary(PageSchema, page));
      tx.put("bucket", [name], next);
    });
    this.#state = { ...this.#state, buckets: new Map(this.#state.buckets).set(name, next) };
    this.#pull = { ...this.#pull, fresh: without(this.#pull.fresh, name) };
    return { is: "staged", rows: page.rows, bytes: page.payloadSize };
  }

  async #checkpoint(checkpoint: Checkpoint): Promise<Event> {
    const { group, last } = checkpoint;
    if (checkpoint.position === undefined) {
      throw new ProtocolError("checkpoint_position", "a checkpoint must carry its position");
    }
    const position = positionFrom(checkpoint.position);
    if (this.position !== undefined && this.position.version > position.version && !this.#pull.fork) {
      throw new ProtocolError("checkpoint_back", `the checkpoint is at ${position.version}, before the device's position`);
    }
    const applied = await this.#storage.transaction(async (tx) => {
      const applied = await apply(tx, checkpoint, position, this.#state, this.#pull);
      await this.#save(tx, applied.state, new Set());
      return applied;
    });
    this.#state = applied.state;
    this.#pull = landed(this.#pull, checkpoint, position, applied);
    const damaged = [...applied.state.buckets].filter(([name]) => applied.damaged.has(name));
    const names = damaged.map(([, { scope, kind }]) => ({ scope, kind }));
    return { is: "checkpoint", group, last, position, changed: applied.changed, damaged: names };
  }

  /** Moves the position, unless something is on its way. */
  async #keepAlive(wire: WirePosition | undefined): Promise<Event> {
    const position = wire && positionFrom(wire);
    if (position !== undefined && this.position !== undefined && position.version > this.position.version && !this.#pull.open) {
      const head = { ...this.#state.head, position };
      await this.#storage.transaction(async (tx) => tx.put("replica", [], head));
      this.#state = { ...this.#state, head };
      // Whatever comes next, of this stream or of another pull, may begin there.
      const base = after(position.version);
      const courses = new Map([...this.#pull.courses].map(([name, course]) => [name, { ...course, base }]));
      this.#pull = { ...this.#pull, courses };
    }
    return { is: "alive", position };
  }

  /** Writes what differs between the held state and the next one, except buckets that are only planned. */
  async #save(tx: Transaction, next: State, fresh: ReadonlySet<BucketName>): Promise<void> {
    if (next.head !== this.#state.head) {
      tx.put("replica", [], next.head);
    }
    for (const [name, bucket] of this.#state.buckets) {
      const after = next.buckets.get(name);
      if (bucket.staging !== undefined && after?.staging === undefined) {
        for (const [key] of await tx.list("page", name)) {
          tx.remove("page", key);
        }
      }
      if (after === undefined) {
        tx.remove("bucket", [name]);
      }
    }
    for (const [name, bucket] of next.buckets) {
      if (bucket !== this.#state.buckets.get(name) && !fresh.has(name)) {
        tx.put("bucket", [name], bucket);
      }
    }
  }
}

/** How the stream goes on after a checkpoint. */
function landed(pull: Pull, checkpoint: Checkpoint, position: Position, applied: Applied): Pull {
  const courses = new Map<BucketName, Course>();
  for (const [name, course] of pull.courses) {
    if (!course.drops && !applied.damaged.has(name)) {
      const isDone = isCovered(course, checkpoint);
      courses.set(name, isDone ? { ...course, base: after(position.version), replaces: false, repairs: undefined } : course);
    }
  }
  return {
    courses,
    numbers: pull.numbers,
    fresh: new Set(),
    fork: false,
    released: checkpoint.last ? new Set() : applied.released,
    open: pull.open && !checkpoint.last,
  };
}

async function documents(tx: Transaction, records: ReadonlySet<Id>): Promise<Map<Id, Document>> {
  const found = new Map<Id, Document>();
  for (const record of [...records].sort()) {
    const document = await tx.get("document", [record]);
    if (document !== undefined) {
      found.set(record, document);
    }
  }
  return found;
}

function without<T>(set: ReadonlySet<T>, value: T): ReadonlySet<T> {
  return new Set([...set].filter((other) => other !== value));
}

function positionFrom({ version, nonce }: WirePosition): Position {
  return { version, nonce };
}

function lagging({ id, at }: Bucket, partialSums: bigint[]): MessageInitShape<typeof LaggingBucketSchema>[] {
  switch (at.is) {
    case "head":
      return [];
    case "behind":
      return [{ bucketId: id, position: at.position }];
    case "nothing":
      return [{ bucketId: id }];
    case "damaged":
      return [{ bucketId: id, partialSums }];
  }
}

/** What was staged to go on from a position is of no use once the bucket has to come anew. */
function staging({ staging, at }: Bucket): MessageInitShape<typeof StagingCursorSchema>[] {
  if (staging === undefined || (at.is === "damaged" && !staging.replaces)) {
    return [];
  }
  const { id, cursor, oldest, newest, replaces } = staging;
  const wireCursor = { version: cursor.version, recordId: fromHex(cursor.record) };
  return [{ bucketId: id, cursor: wireCursor, oldestBuild: oldest, newestBuild: newest, reset: replaces }];
}

/** A damaged bucket is listed at version 0: its position would make the server add to what is wrong. */
function held(
  { id, scope, kind, rows, checksum, at }: Bucket,
  partialSums: bigint[],
): MessageInitShape<typeof HeldBucketSchema>[] {
  const bucket = { bucketId: id, scope, kind, rows, checksum, partialSums };
  switch (at.is) {
    case "nothing":
      return [];
    case "head":
      return [bucket];
    case "behind":
      return [{ ...bucket, position: at.position }];
    case "damaged":
      return [{ ...bucket, position: { version: 0n, nonce: 0n } }];
  }
}
