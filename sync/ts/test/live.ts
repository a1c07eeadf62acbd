/**
 * A day of a rep's device against a real server, which the test in tests/tests/it/typescript.rs starts. It says in one line
 * of JSON that it follows, and when a change has come, in another one what it was answered and what it holds.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import type { Transport } from "@connectrpc/connect";
import { createGrpcTransport, createGrpcWebTransport, Http2SessionManager } from "@connectrpc/connect-node";

import { bucketName, type Document } from "../src/bucket.js";
import { agreementsOf } from "../src/chain.js";
import { Device, login } from "../src/device.js";
import type { Tokens } from "../src/gen/roundsman/auth/v1/auth_service_pb.js";
import { CommandSchema } from "../src/gen/roundsman/trade/v1/command_pb.js";
import { PriceListSchema, PriceSchema } from "../src/gen/roundsman/trade/v1/goods_pb.js";
import { Kind } from "../src/gen/roundsman/trade/v1/kind_pb.js";
import { AgreementSchema, OutletSchema } from "../src/gen/roundsman/trade/v1/network_pb.js";
import { fromHex, type Id, toHex } from "../src/id.js";
import { type Decided, Outbox } from "../src/outbox.js";
import { quote } from "../src/price.js";
import { Replica } from "../src/replica.js";
import { type Place, STORAGES } from "./storages.js";

const APP_VERSION = "live";
/** When the day has not ended by then, it never will, in milliseconds. */
const PATIENCE_MS = 60_000;

/** What the test says on the command line. */
interface Day {
  readonly url: string;
  readonly transport: "grpc" | "grpc-web";
  readonly tenant: string;
  readonly login: string;
  readonly password: string;
  readonly installation: Id;
  readonly now_us: string;
  readonly business_day: number;
}

const day = JSON.parse(process.argv[2] ?? "") as Day;
const nowUs = BigInt(day.now_us);
const session = new Http2SessionManager(day.url);
const transport = connected();

setTimeout(() => {
  throw new Error("the day has not ended");
}, PATIENCE_MS).unref();

const place = storage();
const tokens = await loggedIn();
await killedInTheMiddleOfAPull();
await (await reopened()).pull();
await captured(await reopened());
const decided = await pushed(await reopened());
await followed(await reopened());
process.stdout.write(`${JSON.stringify({ outcomes: outcomes(decided), buckets: await buckets(await reopened()) })}\n`);
session.abort();

function connected(): Transport {
  if (day.transport === "grpc") {
    return createGrpcTransport({ baseUrl: day.url, sessionManager: session });
  }
  return createGrpcWebTransport({ baseUrl: day.url, httpVersion: "1.1" });
}

function storage(): Place {
  const fresh = STORAGES.get("indexeddb");
  assert.ok(fresh, "a storage in a database");
  return fresh();
}

async function loggedIn(): Promise<Tokens> {
  const { tenant, login: name, password, installation } = day;
  const who = { tenant, login: name, password, installation, deviceName: "node", appVersion: APP_VERSION };
  const answer = await login(transport, who);
  assert.ok(answer.tokens, "tokens");
  return answer.tokens;
}

/** The app starts again: everything but the stored rows is gone. */
async function reopened(): Promise<Device> {
  const opened = await place.open();
  const [replica, outbox] = [await Replica.open(opened), await Outbox.open(opened)];
  return new Device({ transport, tokens, replica, outbox, clock: () => nowUs, appVersion: APP_VERSION });
}

async function killedInTheMiddleOfAPull(): Promise<void> {
  const device = await reopened();
  for await (const event of device.events()) {
    if (event.is === "staged") {
      break;
    }
  }
  const { staging, position } = await (await reopened()).replica.request({ deviceClockUs: nowUs });
  assert.equal(staging.length, 1, "a staged page has survived");
  assert.equal(position, undefined, "nothing is shown");
}

/** A visit with an order, made of nothing but what the replica shows. */
async function captured(device: Device): Promise<void> {
  const { replica, outbox } = device;
  const [[outletId, outletRecord]] = await shown(replica, Kind.OUTLET);
  const outlet = fromBinary(OutletSchema, outletRecord.bytes);
  const agreementId = agreementsOf(outlet)[0];
  assert.ok(agreementId, "the outlet has an agreement");
  const agreementRecord = await replica.document(toHex(agreementId));
  assert.ok(agreementRecord, "the agreement is here");
  const agreement = fromBinary(AgreementSchema, agreementRecord.bytes);
  const line = await orderLine(replica, agreement.priceListId);
  const visitId = randomId();
  const order = { outletId: fromHex(outletId), agreementId, visitId, currency: agreement.currency, lines: [line] };
  const commands = [
    create(CommandSchema, { command: { case: "checkIn", value: { visitId, outletId: fromHex(outletId) } } }),
    create(CommandSchema, { command: { case: "submitOrder", value: { orderId: randomId(), ...order } } }),
    create(CommandSchema, { command: { case: "checkOut", value: { visitId, productive: true } } }),
  ];
  for (const command of commands) {
    const body = toBinary(CommandSchema, command);
    await outbox.capture({ id: toHex(randomId()), body, capturedAtUs: nowUs, businessDay: day.business_day });
  }
}

async function orderLine(replica: Replica, priceListId: Uint8Array) {
  const records = await shown(replica, Kind.PRICE);
  const prices = records.map(([id, { bytes, version }]) => ({ id, version, price: fromBinary(PriceSchema, bytes) }));
  const ofList = prices.filter(({ price }) => toHex(price.priceListId) === toHex(priceListId));
  const productId = ofList[0]?.price.productId;
  assert.ok(productId, "the list has a price");
  const listRecord = await replica.document(toHex(priceListId));
  assert.ok(listRecord, "the list is here");
  const list = { id: toHex(priceListId), list: fromBinary(PriceListSchema, listRecord.bytes) };
  const quantityMilli = 2_000n;
  const ofProduct = ofList.filter(({ price }) => toHex(price.productId) === toHex(productId));
  const found = quote(ofProduct, list, { quantityMilli, packagingCode: "", day: day.business_day });
  const version = prices.find(({ id }) => id === found?.priceId)?.version;
  assert.ok(found && version !== undefined, "a price is in force");
  return {
    lineId: randomId(),
    productId,
    coefficientMilli: 1_000n,
    quantityMilli,
    priceId: fromHex(found.priceId),
    priceVersion: version,
    shownPriceMinor: found.priceMinor,
    pricePerMilli: found.perMilli,
  };
}

async function pushed(device: Device): Promise<Decided[]> {
  assert.equal(device.outbox.summary.commands, 3, "what was captured has survived");
  const decided = await device.sync();
  const covers = device.outbox.commands.map((command) => command.answer?.version ?? 0n);
  assert.ok(covers.every((version) => device.replica.covers(version)), "the pull shows what became of the commands");
  return decided;
}

/** Follows until a change has come. */
async function followed(device: Device): Promise<void> {
  let follows = false;
  for await (const event of device.events({ follow: true })) {
    if (event.is !== "checkpoint" || !event.last) {
      continue;
    }
    assert.deepEqual(event.damaged, []);
    if (follows && event.changed > 0) {
      return;
    }
    if (!follows) {
      follows = true;
      process.stdout.write(`${JSON.stringify({ following: true })}\n`);
    }
  }
}

function outcomes(decided: readonly Decided[]): object[] {
  return decided.map(({ outcome: { status, reason } }) => ({ status, reason }));
}

async function buckets(device: Device): Promise<object[]> {
  const found = [...device.replica.buckets].map(async ({ kind, scope, rows, checksum }) => {
    const content = await device.replica.content(bucketName(kind, scope));
    const records = [...content].map(([record, { bytes }]) => [record, toHex(bytes)]);
    return { scope, kind, rows: `${rows}`, checksum: `${checksum}`, records: Object.fromEntries(records) };
  });
  return await Promise.all(found);
}

/** The records of a kind, of which there must be some. */
async function shown(replica: Replica, kind: Kind): Promise<[[Id, Document], ...[Id, Document][]]> {
  const [first, ...others] = await replica.records(kind);
  assert.ok(first, `records of kind ${kind}`);
  return [first, ...others];
}

function randomId(): Uint8Array<ArrayBuffer> {
  return fromHex(randomUUID().replaceAll("-", ""));
}
