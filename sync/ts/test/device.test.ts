import assert from "node:assert/strict";
import { test } from "node:test";

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { Code, ConnectError, createRouterTransport } from "@connectrpc/connect";

import { rowHash } from "../src/checksum.js";
import { AppTooOldError, Device, PullError, WipedError } from "../src/device.js";
import { AuthService, TokensSchema } from "../src/gen/roundsman/auth/v1/auth_service_pb.js";
import { Status } from "../src/gen/roundsman/sync/v1/command_pb.js";
import { BucketAction } from "../src/gen/roundsman/sync/v1/plan_pb.js";
import {
  type PullRequest,
  type PullResponseSchema,
  type PushRequest,
  type PushResponseSchema,
  SyncService,
} from "../src/gen/roundsman/sync/v1/sync_service_pb.js";
import { MemoryStorage } from "../src/memory.js";
import { Outbox } from "../src/outbox.js";
import { Replica } from "../src/replica.js";

const NOW_US = 1_795_406_400_000_000n;
const MINUTE_US = 60_000_000n;
const POSITION = { version: 9n, nonce: 1n };
const RECORD = "01".repeat(16);

type Message = NonNullable<MessageInitShape<typeof PullResponseSchema>["message"]>;

/** What a server was asked, what it says to the next pulls and pushes, and where its device stores. */
class Server {
  readonly pulls: PullRequest[] = [];
  readonly pushes: PushRequest[] = [];
  readonly refreshed: string[] = [];
  readonly authorizations: (string | null)[] = [];
  readonly storage = new MemoryStorage();

  constructor(
    readonly streams: readonly (readonly Message[])[],
    readonly answers: readonly MessageInitShape<typeof PushResponseSchema>[] = [],
    readonly refusal?: ConnectError,
  ) {}

  async device(accessExpiresAtUs = NOW_US + 15n * MINUTE_US): Promise<Device> {
    const transport = createRouterTransport(({ service }) => {
      service(AuthService, { refresh: ({ refreshToken }) => this.#refresh(refreshToken) });
      service(SyncService, {
        pull: (request, { requestHeader }) => this.#pull(request, requestHeader),
        push: (request) => this.#push(request),
      });
    });
    const { storage } = this;
    const tokens = create(TokensSchema, { accessToken: "first", refreshToken: "r1", accessExpiresAtUs });
    const [replica, outbox] = [await Replica.open(storage), await Outbox.open(storage)];
    return new Device({ transport, tokens, replica, outbox, clock: () => NOW_US, appVersion: "1.0" });
  }

  #refresh(refreshToken: string) {
    this.refreshed.push(refreshToken);
    return { tokens: { accessToken: "second", refreshToken: "r2", accessExpiresAtUs: NOW_US + 15n * MINUTE_US } };
  }

  async *#pull(request: PullRequest, headers: Headers) {
    this.authorizations.push(headers.get("authorization"));
    this.pulls.push(request);
    if (this.refusal !== undefined) {
      throw this.refusal;
    }
    yield* (this.streams[this.pulls.length - 1] ?? []).map((message) => ({ message }));
  }

  #push(request: PushRequest) {
    this.pushes.push(request);
    return this.answers[this.pushes.length - 1] ?? {};
  }
}

const plan: Message = {
  case: "plan",
  value: { buckets: [{ bucketId: 7n, scope: "territory:north", kind: 2, action: BucketAction.APPEND, group: 1 }], version: 9n },
};

function checkpoint(buckets: { bucketId: bigint; rows: bigint; checksum: bigint }[] = []): Message {
  return { case: "checkpoint", value: { position: POSITION, group: 3, last: true, buckets } };
}

const inventoryRequest: Message = { case: "inventoryRequest", value: {} };
/** The bucket holds nothing, and should hold a record. */
const wrong = checkpoint([{ bucketId: 7n, rows: 1n, checksum: rowHash(RECORD, new Uint8Array()) }]);

test("an access token is renewed before it ends", async () => {
  const server = new Server([[checkpoint()], [checkpoint()]]);
  const device = await server.device(NOW_US + MINUTE_US);
  await device.pull();
  await device.pull();
  assert.deepEqual(server.refreshed, ["r1"]);
  assert.deepEqual(server.authorizations, ["Bearer second", "Bearer second"]);
  assert.equal(device.tokens.refreshToken, "r2");
});

test("a pull that ends before its last checkpoint is cut", async () => {
  const device = await new Server([[plan]]).device();
  await assert.rejects(device.pull(), (error) => error instanceof PullError && error.reason === "cut");
  assert.equal(device.replica.position, undefined);
});

test("a server that asks for the inventory gets it", async () => {
  const server = new Server([[plan, checkpoint()], [inventoryRequest], [checkpoint()]]);
  const device = await server.device();
  await device.pull();
  await device.pull();
  assert.deepEqual(server.pulls.map((request) => request.hasInventory), [false, false, true]);
  assert.deepEqual(server.pulls[2]?.inventory.map((held) => held.scope), ["territory:north"]);
});

test("a bucket with a wrong sum is fetched anew at once", async () => {
  const server = new Server([[plan, wrong], [plan, checkpoint([{ bucketId: 7n, rows: 0n, checksum: 0n }])]]);
  const device = await server.device();
  await device.pull();
  assert.deepEqual(server.pulls[1]?.lagging.map((bucket) => [bucket.bucketId, bucket.position]), [[7n, undefined]]);
  assert.ok(device.replica.covers(9n));
});

test("what has changed by itself is found after a pull, and fetched anew by the next", async () => {
  const server = new Server([[plan, checkpoint()], [checkpoint()], [plan, checkpoint()]]);
  const device = await server.device();
  await device.pull();
  await server.storage.transaction(async (tx) => tx.put("member", ["2@territory:north", RECORD], { version: 1n, hash: 1n }));
  await device.pull();
  assert.ok(!device.replica.covers(9n), "its document is missing");
  await device.pull();
  assert.deepEqual(server.pulls.map(({ lagging }) => lagging.map((bucket) => bucket.bucketId)), [[], [], [7n]]);
  assert.ok(device.replica.covers(9n));
});

test("a server whose sums stay wrong is given up", async () => {
  const server = new Server(Array.from({ length: 20 }, () => [plan, wrong]));
  const device = await server.device();
  await assert.rejects(device.pull(), (error) => error instanceof PullError && error.reason === "unsettled");
  assert.ok(server.pulls.length < 10, "soon");
});

test("a fork in a pull makes the outbox send again what it kept", async () => {
  const applied = { status: Status.APPLIED };
  const result = { commandId: new Uint8Array(16).fill(1), seq: 1n, outcome: applied };
  const fork: Message = { case: "fork", value: { expectedSeq: 1n } };
  const server = new Server([[checkpoint()], [fork, checkpoint()], [checkpoint()]], [{ results: [result], version: 9n }, {}]);
  const device = await server.device();
  await device.outbox.capture({ id: RECORD, body: new Uint8Array(), capturedAtUs: NOW_US, businessDay: 20_780 });
  const decided = await device.sync();
  assert.deepEqual(decided.map(({ id, outcome }) => [id, outcome.status]), [[RECORD, Status.APPLIED]]);
  assert.equal(device.outbox.summary.commands, 0);
  await device.pull();
  assert.equal(device.outbox.summary.commands, 1);
  assert.equal(server.pulls[1]?.lastOutcomeSeq, 1n);
});

/** A refusal as the server makes it. */
function refusal(reason: string, [key, value] = ["min_app_version", "2.10"], code = Code.FailedPrecondition): ConnectError {
  const entry = new BinaryWriter().tag(1, WireType.LengthDelimited).string(key ?? "");
  entry.tag(2, WireType.LengthDelimited).string(value ?? "");
  const info = new BinaryWriter().tag(1, WireType.LengthDelimited).string(reason);
  info.tag(2, WireType.LengthDelimited).string("roundsman");
  info.tag(3, WireType.LengthDelimited).bytes(entry.finish());
  const error = new ConnectError("rejected", code);
  error.details = [{ type: "google.rpc.ErrorInfo", value: info.finish() }];
  return error;
}

test("an app that is too old pushes, and hears which version is wanted", async () => {
  const result = { commandId: new Uint8Array(16).fill(1), seq: 1n, outcome: { status: Status.APPLIED } };
  const answer = { results: [result], version: 9n, minAppVersion: "2.10" };
  const server = new Server([], [answer, { minAppVersion: "2.10" }], refusal("APP_TOO_OLD"));
  const device = await server.device();
  await device.outbox.capture({ id: RECORD, body: new Uint8Array(), capturedAtUs: NOW_US, businessDay: 20_780 });
  await assert.rejects(device.sync(), (error) => error instanceof AppTooOldError && error.minAppVersion === "2.10");
  assert.equal(device.minAppVersion, "2.10");
  assert.equal(device.outbox.summary.commands, 0);
});

test("a device that is told to wipe pushes what waits, and then holds nothing", async () => {
  const result = { commandId: new Uint8Array(16).fill(1), seq: 1n, outcome: { status: Status.QUARANTINED } };
  const wipe = refusal("DEVICE_REVOKED", ["wipe", "true"], Code.PermissionDenied);
  const server = new Server([], [{ results: [result], version: 9n }], wipe);
  const device = await server.device();
  const capture = { id: RECORD, body: new Uint8Array(), capturedAtUs: NOW_US, businessDay: 20_780 };
  await device.outbox.capture(capture);
  await assert.rejects(device.events().next(), (error) => error === wipe || error instanceof ConnectError);
  assert.equal(server.pushes.length, 0);
  await assert.rejects(device.sync(), WipedError);
  assert.deepEqual(server.pushes[0]?.commands.map((command) => command.seq), [1n]);
  assert.deepEqual([device.outbox.commands.length, device.replica.position, device.tokens.refreshToken], [0, undefined, ""]);
  assert.deepEqual((await Outbox.open(server.storage)).commands, []);
  // It does nothing more.
  const calls = [server.pulls.length, server.pushes.length];
  await assert.rejects(device.sync(), WipedError);
  assert.deepEqual([server.pulls.length, server.pushes.length], calls);
});

test("a device that is only shut out keeps what it holds", async () => {
  const server = new Server([[plan, checkpoint()]]);
  const device = await server.device();
  await device.pull();
  const told = refusal("DEVICE_REVOKED", ["wipe", "false"], Code.PermissionDenied);
  assert.equal(await device.leave(told), told);
  assert.deepEqual(device.replica.position, POSITION);
  assert.ok((await device.leave(refusal("DEVICE_REVOKED", ["wipe", "true"], Code.PermissionDenied))) instanceof WipedError);
  assert.equal(device.replica.position, undefined);
  assert.equal((await Replica.open(server.storage)).position, undefined);
});

test("another refusal is passed on as it is", async () => {
  const device = await new Server([], [], refusal("WRONG_STATE")).device();
  await assert.rejects(device.pull(), (error) => error instanceof ConnectError && error.code === Code.FailedPrecondition);
});
