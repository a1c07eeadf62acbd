import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { fromBinary } from "@bufbuild/protobuf";

import { ProtocolError } from "../src/fault.js";
import type { Command } from "../src/gen/roundsman/sync/v1/command_pb.js";
import { PushResponseSchema } from "../src/gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, toHex } from "../src/id.js";
import { CaptureError, Outbox } from "../src/outbox.js";
import { type Place, STORAGES } from "./storages.js";
import { type Hex, testFamily, type Wide } from "./vectors.js";

interface Captured {
  readonly command_id: Hex;
  readonly body?: Hex;
  readonly body_bytes?: number;
  readonly captured_at_us: Wide;
  readonly business_day: number;
}

type Step =
  | { readonly capture: Captured }
  | { readonly answer: { readonly response: Hex; readonly now_us: Wide } }
  | { readonly fork: { readonly expected_seq: Wide } }
  | { readonly reopen: object };

interface Input {
  readonly steps: readonly Step[];
}

interface Expected {
  readonly steps: readonly object[];
}

for (const [storage, fresh] of STORAGES) {
  describe(`an outbox in ${storage}`, () => {
    const run = (input: Input, expected: Expected) => runCase(fresh(), input, expected);
    testFamily("outbox", run);
    testFamily("outbox_histories", run);

    test("commands that are captured at the same time get numbers of their own", async () => {
      const place = fresh();
      const outbox = await Outbox.open(await place.open());
      const capture = (id: string) => ({ id: id.repeat(16), body: new Uint8Array(), capturedAtUs: 1n, businessDay: 20_780 });
      const captured = Promise.all([outbox.capture(capture("01")), outbox.capture(capture("02"))]);
      assert.deepEqual(await captured, [1n, 2n]);
      const kept = (await Outbox.open(await place.open())).commands;
      assert.deepEqual(kept.map((command) => command.seq), [1n, 2n]);
    });
  });
}

async function runCase(place: Place, { steps }: Input, expected: Expected): Promise<void> {
  let outbox = await Outbox.open(await place.open());
  for (const [number, step] of steps.entries()) {
    let result: object;
    [outbox, result] = await take(outbox, step, place);
    assert.equal(new Set(outbox.commands.map(({ seq }) => seq)).size, outbox.commands.length, "each has its own number");
    const state = { kept: kept(outbox), request: request(outbox) };
    assert.deepEqual({ ...result, ...state }, expected.steps[number], `step ${number}`);
  }
}

async function take(outbox: Outbox, step: Step, place: Place): Promise<[Outbox, object]> {
  if ("reopen" in step) {
    return [await Outbox.open(await place.open()), {}];
  }
  try {
    return [outbox, await change(outbox, step)];
  } catch (error) {
    if (error instanceof CaptureError) {
      return [outbox, { refused: error.reason }];
    }
    assert.ok(error instanceof ProtocolError, `${error}`);
    return [outbox, { refused: error.fault }];
  }
}

async function change(outbox: Outbox, step: Exclude<Step, { readonly reopen: object }>): Promise<object> {
  if ("capture" in step) {
    const { command_id: id, body, body_bytes, captured_at_us, business_day: businessDay } = step.capture;
    const bytes = body === undefined ? new Uint8Array(body_bytes ?? 0) : fromHex(body);
    const seq = await outbox.capture({ id, body: bytes, capturedAtUs: BigInt(captured_at_us), businessDay });
    return { seq: `${seq}` };
  }
  if ("fork" in step) {
    await outbox.fork(BigInt(step.fork.expected_seq));
    return {};
  }
  const response = fromBinary(PushResponseSchema, fromHex(step.answer.response));
  const news = await outbox.receive(response, BigInt(step.answer.now_us));
  return { news: news.map(({ id, outcome }) => ({ command_id: id, status: outcome.status })) };
}

function kept(outbox: Outbox): object[] {
  return outbox.commands.map(({ id, answer }) => ({ command_id: id, version: answer === undefined ? null : `${answer.version}` }));
}

function request(outbox: Outbox): object | null {
  const wire = outbox.request(0n, undefined);
  if (wire === undefined) {
    return null;
  }
  const command = (command: Command | undefined) => command && { command_id: toHex(command.commandId), seq: `${command.seq}` };
  const { commands, confirmedSeq, lastOutcomeSeq, skip } = wire;
  assert.ok(wire.outbox, "a summary");
  return {
    count: commands.length,
    first: command(commands[0]) ?? null,
    last: command(commands.at(-1)) ?? null,
    confirmed_seq: `${confirmedSeq}`,
    last_outcome_seq: `${lastOutcomeSeq}`,
    skip: skip === undefined ? null : { from_seq: `${skip.fromSeq}`, to_seq: `${skip.toSeq}` },
    outbox: {
      commands: wire.outbox.commands,
      oldest_captured_at_us: `${wire.outbox.oldestCapturedAtUs}`,
      kinds: wire.outbox.kinds.map(({ command, count }) => [command, count]),
    },
  };
}
