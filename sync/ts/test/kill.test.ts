import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { fromBinary, toBinary } from "@bufbuild/protobuf";

import { PullRequestSchema, PullResponseSchema } from "../src/gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, toHex } from "../src/id.js";
import { MemoryStorage } from "../src/memory.js";
import { Replica } from "../src/replica.js";
import type { Storage, Transaction } from "../src/storage.js";
import { type Hex, readFamily } from "./vectors.js";

type Step = { readonly receive: Hex } | { readonly cut: object } | { readonly reopen: object };

interface Input {
  readonly steps: readonly Step[];
}

/** The process was killed. */
class Killed extends Error {}

/** A storage whose process is killed at one of its transactions: just before it is committed, or just after. */
class Fuse implements Storage {
  #transactions = 0;

  constructor(
    readonly storage: Storage,
    readonly at: number,
    readonly moment: "before" | "after",
  ) {}

  async transaction<R>(work: (transaction: Transaction) => Promise<R>): Promise<R> {
    this.#transactions += 1;
    if (this.#transactions !== this.at) {
      return await this.storage.transaction(work);
    }
    await this.storage.transaction(async (tx) => {
      await work(tx);
      if (this.moment === "before") {
        throw new Killed();
      }
    });
    throw new Killed();
  }
}

describe("a replica that is killed", () => {
  const [cases, histories] = [readFamily<Input, object>("replica"), readFamily<Input, object>("replica_histories")];
  for (const { name, input } of [...cases, ...histories]) {
    for (const moment of ["before", "after"] as const) {
      test(`shows what was committed ${moment} the kill: ${name}`, async () => {
        const whole = await history(input.steps);
        let isKilled = true;
        for (let at = 2; isKilled; at += 1) {
          isKilled = await killedAt(at, moment, input.steps, whole);
        }
      });
    }
  }
});

/** What a device that opens the storage would show and say, at first and after each step. */
async function history(steps: readonly Step[]): Promise<string[]> {
  const storage = new MemoryStorage();
  const shown = [await seen(storage)];
  let replica = await Replica.open(storage);
  for (const step of steps) {
    replica = await take(replica, step, storage);
    shown.push(await seen(storage));
  }
  return shown;
}

/** Kills at a transaction, if there are so many. What is shown then is what it was around the step that was killed. */
async function killedAt(at: number, moment: "before" | "after", steps: readonly Step[], whole: readonly string[]): Promise<boolean> {
  const storage = new MemoryStorage();
  const fuse = new Fuse(storage, at, moment);
  let replica = await Replica.open(fuse);
  for (const [number, step] of steps.entries()) {
    try {
      replica = await take(replica, step, fuse);
    } catch (error) {
      assert.ok(error instanceof Killed, `${error}`);
      assert.equal(await seen(storage), whole[moment === "before" ? number : number + 1], `step ${number}`);
      return true;
    }
  }
  return false;
}

async function take(replica: Replica, step: Step, storage: Storage): Promise<Replica> {
  if ("reopen" in step) {
    return await Replica.open(storage);
  }
  if ("cut" in step) {
    replica.cut();
    return replica;
  }
  try {
    await replica.receive(fromBinary(PullResponseSchema, fromHex(step.receive)));
  } catch (error) {
    if (error instanceof Killed) {
      throw error;
    }
  }
  return replica;
}

async function seen(storage: Storage): Promise<string> {
  const replica = await Replica.open(storage);
  const request = toHex(toBinary(PullRequestSchema, await replica.request({ deviceClockUs: 0n })));
  const kinds = new Set([...replica.buckets].map((bucket) => bucket.kind));
  const records = await Promise.all([...kinds].sort().map((kind) => replica.records(kind)));
  const shown = records.flatMap((records) => [...records].map(([record, { version, bytes }]) => [record, `${version}`, toHex(bytes)]));
  return JSON.stringify([request, shown]);
}
