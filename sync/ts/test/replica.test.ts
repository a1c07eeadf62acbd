import assert from "node:assert/strict";
import { describe } from "node:test";

import { fromBinary } from "@bufbuild/protobuf";

import { ProtocolError } from "../src/fault.js";
import { PullResponseSchema } from "../src/gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, toHex } from "../src/id.js";
import { type Event, Replica } from "../src/replica.js";
import { type Place, STORAGES } from "./storages.js";
import { type Hex, testFamily, type Wide, written, type WrittenPosition } from "./vectors.js";

interface Input {
  readonly repair_rows: Wide;
  readonly steps: readonly ({ readonly receive: Hex } | { readonly cut: object } | { readonly reopen: object })[];
}

interface WrittenBucket {
  readonly scope: string;
  readonly kind: number;
  readonly rows: Wide;
  readonly checksum: Wide;
}

interface WrittenRequest {
  readonly position: WrittenPosition | null;
  readonly scope_digest: Wide;
  readonly lagging: readonly object[];
  readonly staging: readonly object[];
  readonly has_inventory: boolean;
  readonly inventory: readonly object[];
}

interface Step {
  readonly event?: object;
  readonly refused?: string;
  readonly buckets?: readonly WrittenBucket[];
  readonly request?: WrittenRequest;
}

interface Expected {
  readonly steps: readonly Step[];
  readonly records: readonly { readonly record_id: Hex; readonly kind: number; readonly version: Wide; readonly document: Hex }[];
}

for (const [storage, fresh] of STORAGES) {
  describe(`a replica in ${storage}`, () => {
    const run = (input: Input, expected: Expected) => runCase(fresh(), input, expected);
    testFamily("replica", run);
    testFamily("replica_histories", run);
  });
}

async function runCase(place: Place, { repair_rows, steps }: Input, expected: Expected): Promise<void> {
  const opened = async () => await Replica.open(await place.open(), { repairRows: BigInt(repair_rows) });
  let replica = await opened();
  let held: readonly WrittenBucket[] = [];
  for (const [number, step] of steps.entries()) {
    let result: Step;
    [replica, result] = await take(replica, step, opened);
    held = expected.steps[number]?.buckets ?? held;
    assert.deepEqual({ ...result, buckets: buckets(replica) }, { ...expected.steps[number], buckets: held }, `step ${number}`);
  }
  assert.deepEqual(await records(replica), expected.records);
}

async function take(replica: Replica, step: Input["steps"][number], opened: () => Promise<Replica>): Promise<[Replica, Step]> {
  if ("receive" in step) {
    try {
      const event = await replica.receive(fromBinary(PullResponseSchema, fromHex(step.receive)));
      return [replica, { event: writtenEvent(event) }];
    } catch (error) {
      assert.ok(error instanceof ProtocolError, `${error}`);
      return [replica, { refused: error.fault, request: await request(replica) }];
    }
  }
  if ("cut" in step) {
    replica.cut();
  }
  const after = "cut" in step ? replica : await opened();
  return [after, { request: await request(after) }];
}

function writtenEvent(event: Event): object {
  switch (event.is) {
    case "fork":
      return { is: event.is, expected_seq: `${event.expectedSeq}` };
    case "planned":
      return { is: event.is, rows: `${event.rows}`, bytes: `${event.bytes}` };
    case "checkpoint":
      return { ...event, position: written(event.position) };
    case "alive":
      return { is: event.is, position: written(event.position) };
    case "inventory_wanted":
    case "staged":
      return event;
  }
}

function buckets(replica: Replica): WrittenBucket[] {
  const applied = [...replica.buckets].filter((bucket) => bucket.at.is !== "nothing");
  return applied
    .map(({ scope, kind, rows, checksum }) => ({ scope, kind, rows: `${rows}`, checksum: `${checksum}` }))
    .sort((one, other) => (one.scope === other.scope ? one.kind - other.kind : one.scope < other.scope ? -1 : 1));
}

/** The sums that are not 0, by partition. */
function partialSums(sums: readonly bigint[]): object {
  const written = sums.map((sum, partition): [number, Wide] => [partition, `${sum}`]);
  return Object.fromEntries(written.filter(([, sum]) => sum !== "0"));
}

async function request(replica: Replica): Promise<WrittenRequest> {
  const wire = await replica.request({ deviceClockUs: 0n });
  const byNumber = (one: { bucketId: bigint }, other: { bucketId: bigint }) => Number(one.bucketId - other.bucketId);
  const lagging = wire.lagging.sort(byNumber).map(({ bucketId, position, partialSums: sums }) => {
    return { bucket_id: `${bucketId}`, position: written(position), partial_sums: partialSums(sums) };
  });
  const staging = wire.staging.sort(byNumber).map(({ bucketId, cursor, oldestBuild, newestBuild, reset }) => {
    assert.ok(cursor, "a cursor");
    return {
      bucket_id: `${bucketId}`,
      cursor: { version: `${cursor.version}`, record_id: toHex(cursor.recordId) },
      oldest_build: written(oldestBuild),
      newest_build: written(newestBuild),
      reset,
    };
  });
  const inventory = wire.inventory.sort(byNumber).map(({ bucketId, scope, kind, rows, checksum, position, partialSums: sums }) => {
    const held = { bucket_id: `${bucketId}`, scope, kind, rows: `${rows}`, checksum: `${checksum}` };
    return { ...held, position: written(position), partial_sums: partialSums(sums) };
  });
  return {
    position: written(wire.position),
    scope_digest: `${wire.scopeDigest}`,
    lagging,
    staging,
    has_inventory: wire.hasInventory,
    inventory,
  };
}

async function records(replica: Replica): Promise<Expected["records"]> {
  const kinds = new Set([...replica.buckets].map((bucket) => bucket.kind));
  const shown = await Promise.all([...kinds].map((kind) => replica.records(kind)));
  return shown
    .flatMap((records) => [...records])
    .map(([record, { kind, version, bytes }]) => ({ record_id: record, kind, version: `${version}`, document: toHex(bytes) }))
    .sort((one, other) => (one.record_id < other.record_id ? -1 : 1));
}
