import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";

import { bucketName, type Document } from "../src/bucket.js";
import { PartialSums, rowHash, withRow } from "../src/checksum.js";
import { FramesSchema } from "../src/gen/roundsman/sync/v1/page_pb.js";
import { BucketAction, type BucketPlanSchema, type BucketStateSchema } from "../src/gen/roundsman/sync/v1/plan_pb.js";
import { PullResponseSchema } from "../src/gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, type Id } from "../src/id.js";
import { Replica } from "../src/replica.js";
import type { Storage } from "../src/storage.js";
import { type Place, STORAGES } from "./storages.js";

const NORTH = { scope: "territory:north", kind: 2 };
const SOUTH = { scope: "territory:south", kind: 2 };
const [ONE, TWO] = ["01".repeat(16), "02".repeat(16)];
const ENOUGH = 100n;

type Message = NonNullable<MessageInitShape<typeof PullResponseSchema>["message"]>;
type Rows = readonly (readonly [record: Id, version: bigint, document: string])[];

const text = (document: string) => new TextEncoder().encode(document);

/** What a bucket with these rows must hold. */
function state(bucketId: bigint, rows: Rows): MessageInitShape<typeof BucketStateSchema> {
  const hashes = rows.map(([record, , document]) => rowHash(record, text(document)));
  return { bucketId, rows: BigInt(rows.length), checksum: hashes.reduce(withRow, 0n) };
}

function plan(...buckets: MessageInitShape<typeof BucketPlanSchema>[]): Message {
  return { case: "plan", value: { buckets: buckets.map((entry) => ({ group: 1, ...entry })) } };
}

/** Repairs the north's partition of a record, or none; that it be resumed means nothing. */
function repair(record?: Id): Message {
  const partitions = new Uint8Array(32);
  if (record !== undefined) {
    const sums = new PartialSums();
    sums.add(record, 1n);
    const partition = sums.toWire().indexOf(1n);
    partitions[Math.floor(partition / 8)] = 1 << (partition % 8);
  }
  return plan({ bucketId: 7n, action: BucketAction.REPAIR, partitions, resumed: true });
}

function page(bucketId: bigint, rows: Rows): Message {
  const frames = rows.map(([record, version, document]) => ({ recordId: fromHex(record), version, document: text(document) }));
  const payload = toBinary(FramesSchema, create(FramesSchema, { frames }));
  const range = { from: { version: 1n }, through: { version: 20n }, build: { version: 19n, nonce: 1n } };
  return { case: "page", value: { bucketId, ...range, rows: rows.length, payload, payloadSize: payload.length } };
}

function checkpoint(version: bigint, group: number, ...buckets: MessageInitShape<typeof BucketStateSchema>[]): Message {
  return { case: "checkpoint", value: { position: { version, nonce: 1n }, group, last: group === 3, buckets } };
}

/** A pull, message by message; it has no damage. */
async function hear(replica: Replica, ...messages: Message[]): Promise<void> {
  for (const message of messages) {
    const event = await replica.receive(create(PullResponseSchema, { message }));
    assert.deepEqual(event.is === "checkpoint" ? event.damaged : [], []);
  }
  replica.cut();
}

const OWN: Rows = [
  [ONE, 1n, "one"],
  [TWO, 2n, "two"],
];

/** Two records in the north, and one of them in the south. */
async function synced(place: Place): Promise<Storage> {
  const storage = await place.open();
  const append = { action: BucketAction.APPEND };
  await hear(
    await opened(storage),
    plan({ bucketId: 7n, ...NORTH, ...append }, { bucketId: 8n, ...SOUTH, ...append }),
    page(7n, OWN),
    page(8n, OWN.slice(0, 1)),
    checkpoint(9n, 3, state(7n, OWN), state(8n, OWN.slice(0, 1))),
  );
  return storage;
}

async function opened(storage: Storage): Promise<Replica> {
  return await Replica.open(storage, { repairRows: 2n });
}

/** A document changes by itself. */
async function changeDocument(storage: Storage, record: Id, change: (document: Document) => Document): Promise<void> {
  await storage.transaction(async (tx) => {
    const document = await tx.get("document", [record]);
    assert.ok(document, "a document");
    tx.put("document", [record], change(document));
  });
}

/** "two" becomes "dwo". */
function flipped(document: Document): Document {
  return { ...document, bytes: document.bytes.map((byte, place) => (place === 0 ? byte ^ 0x10 : byte)) };
}

async function shown(replica: Replica, record: Id): Promise<string> {
  return new TextDecoder().decode((await replica.document(record))?.bytes);
}

for (const [name, fresh] of STORAGES) {
  describe(`a replica in ${name} that looks at what it holds and is mended`, () => {
    test("finds nothing in what is as it came", async () => {
      const replica = await opened(await synced(fresh()));
      assert.deepEqual(await replica.scrub(0n, ENOUGH), []);
      assert.deepEqual((await replica.request({ deviceClockUs: 0n })).lagging, []);
    });

    test("finds a flipped bit, says so with the next request, and is mended where it differs", async () => {
      const place = fresh();
      const storage = await synced(place);
      await changeDocument(storage, TWO, flipped);
      assert.deepEqual(await (await opened(storage)).scrub(0n, ENOUGH), [NORTH]);
      const replica = await opened(await place.open());
      const [lagging, ...others] = (await replica.request({ deviceClockUs: 0n })).lagging;
      assert.deepEqual([lagging?.bucketId, lagging?.position, others], [7n, undefined, []], "it is not forgotten");
      const sums = lagging?.partialSums ?? [];
      const [one, two] = [rowHash(ONE, text("one")), rowHash(TWO, text("dwo"))];
      assert.deepEqual([sums.length, sums.filter((sum) => sum !== 0n).sort()], [256, [one, two].sort()]);
      await hear(replica, repair(TWO), page(7n, OWN.slice(1)), checkpoint(9n, 3, state(7n, OWN)));
      assert.equal(await shown(replica, TWO), "two");
      assert.deepEqual(await replica.scrub(0n, ENOUGH), []);
    });

    test("takes the document of the same version for one that another bucket still holds", async () => {
      const storage = await synced(fresh());
      await changeDocument(storage, ONE, flipped);
      const replica = await opened(storage);
      assert.deepEqual(await replica.scrub(0n, 1n), [NORTH], "the south is not looked at");
      const reset = plan({ bucketId: 7n, action: BucketAction.RESET });
      await hear(replica, reset, page(7n, OWN), checkpoint(9n, 3, state(7n, OWN)));
      assert.equal(await shown(replica, ONE), "one");
      assert.deepEqual(await replica.scrub(0n, ENOUGH), []);
    });

    test("lets go of a record without a document, and believes the documents of what stays", async () => {
      const storage = await synced(fresh());
      await storage.transaction(async (tx) => {
        tx.remove("document", [TWO]);
        tx.put("member", [bucketName(NORTH.kind, NORTH.scope), ONE], { version: 1n, hash: 1n });
      });
      const replica = await opened(storage);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [NORTH]);
      await hear(replica, repair(), checkpoint(9n, 3, state(7n, OWN.slice(0, 1))));
      assert.deepEqual(await replica.scrub(0n, ENOUGH), []);
    });

    test("is mended once, though the pull goes on", async () => {
      const storage = await synced(fresh());
      await changeDocument(storage, TWO, flipped);
      const replica = await opened(storage);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [NORTH]);
      const mended = [repair(TWO), page(7n, OWN.slice(1)), checkpoint(9n, 3, state(7n, OWN))];
      const more = [plan({ bucketId: 7n, action: BucketAction.APPEND }), checkpoint(10n, 3, state(7n, OWN))];
      await hear(replica, ...mended, ...more);
      assert.equal(await shown(replica, TWO), "two");
    });

    test("has the sums of every large bucket in an inventory, also of one that is right", async () => {
      const replica = await opened(await synced(fresh()));
      await hear(replica, { case: "inventoryRequest", value: {} });
      const { inventory } = await replica.request({ deviceClockUs: 0n });
      assert.deepEqual(inventory.map(({ bucketId, partialSums }) => [bucketId, partialSums.length]), [[7n, 256], [8n, 0]]);
    });

    test("throws away what was staged for what it repairs, though it be resumed", async () => {
      const replica = await opened(await synced(fresh()));
      await hear(replica, plan({ bucketId: 7n, action: BucketAction.APPEND }), page(7n, [[TWO, 12n, "zwei"]]));
      const staged = () => [...replica.buckets].filter(({ staging }) => staging !== undefined).length;
      assert.equal(staged(), 1);
      await hear(replica, repair());
      assert.equal(staged(), 0);
    });

    test("finds a document that is missing, and counts who holds it when it comes again", async () => {
      const storage = await synced(fresh());
      await storage.transaction(async (tx) => tx.remove("document", [ONE]));
      const replica = await opened(storage);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [NORTH, SOUTH]);
      const reset = { action: BucketAction.RESET };
      await hear(
        replica,
        plan({ bucketId: 7n, ...reset }, { bucketId: 8n, ...reset }),
        page(7n, OWN),
        page(8n, OWN.slice(0, 1)),
        checkpoint(9n, 3, state(7n, OWN), state(8n, OWN.slice(0, 1))),
      );
      assert.equal((await replica.document(ONE))?.holders, 2);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), []);
    });

    test("takes a newer document for one that is missing", async () => {
      const storage = await synced(fresh());
      await storage.transaction(async (tx) => tx.remove("document", [TWO]));
      const replica = await opened(storage);
      const now: Rows = [...OWN.slice(0, 1), [TWO, 12n, "zwei"]];
      const append = plan({ bucketId: 7n, action: BucketAction.APPEND });
      await hear(replica, append, page(7n, now.slice(1)), checkpoint(12n, 3, state(7n, now)));
      assert.deepEqual([await shown(replica, TWO), (await replica.document(TWO))?.holders], ["zwei", 1]);
    });

    test("finds sums that are not those of the memberships, and what replaces them is right", async () => {
      const storage = await synced(fresh());
      await storage.transaction(async (tx) => {
        const name = bucketName(NORTH.kind, NORTH.scope);
        const bucket = await tx.get("bucket", [name]);
        assert.ok(bucket, "a bucket");
        tx.put("bucket", [name], { ...bucket, rows: 3n, checksum: bucket.checksum + 1n });
      });
      const replica = await opened(storage);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [NORTH]);
      const reset = plan({ bucketId: 7n, action: BucketAction.RESET });
      await hear(replica, reset, page(7n, OWN), checkpoint(9n, 3, state(7n, OWN)));
      assert.deepEqual(await replica.scrub(0n, ENOUGH), []);
    });

    test("of a bucket that is behind looks at its own documents only", async () => {
      const storage = await synced(fresh());
      const replica = await opened(storage);
      const newer: Rows = [[ONE, 10n, "uno"]];
      const append = plan({ bucketId: 8n, action: BucketAction.APPEND });
      await hear(replica, append, page(8n, newer), checkpoint(10n, 1, state(8n, newer)));
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [], "the north is behind, and shows the south's");
      await changeDocument(storage, ONE, flipped);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [SOUTH]);
      await changeDocument(storage, TWO, flipped);
      assert.deepEqual(await replica.scrub(0n, ENOUGH), [NORTH], "and what is damaged is not found again");
    });

    test("looks at whole buckets from any on, until it has seen enough", async () => {
      const found = async (seed: bigint, rows: bigint) => {
        const storage = await synced(fresh());
        await changeDocument(storage, ONE, flipped);
        return await (await opened(storage)).scrub(seed, rows);
      };
      assert.deepEqual(await found(0n, 0n), []);
      assert.deepEqual(await found(0n, 1n), [NORTH]);
      assert.deepEqual(await found(3n, 1n), [SOUTH]);
      assert.deepEqual(await found(2n ** 64n - 1n, 2n), [SOUTH, NORTH]);
    });
  });
}
