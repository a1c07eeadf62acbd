import { create } from "@bufbuild/protobuf";
import { type Client, Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";

import { AuthService, type LoginResponse, type Tokens, TokensSchema } from "./gen/roundsman/auth/v1/auth_service_pb.js";
import { SyncService } from "./gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, type Id } from "./id.js";
import { errorInfo } from "./error-info.js";
import type { Decided, Outbox } from "./outbox.js";
import type { Event, Replica, Want } from "./replica.js";
import { nextStep, shutOut } from "./wipe.js";

/** An access token that ends within so many microseconds is renewed first. */
const RENEW_BEFORE_US = 60_000_000n;
/** A call that takes longer is given up, in milliseconds, and repeated later. */
const CALL_MS = 30_000;
/** So many streams in a row may end with an inventory to be sent or a bucket to be mended. */
const STREAMS = 4;
/** After a pull so many rows are looked at, whether they are still as they came. */
const SCRUB_ROWS = 10_000n;

/** Who logs in, and on which installation of the app. */
export interface Credentials {
  /** The tenant's name. */
  readonly tenant: string;
  readonly login: string;
  readonly password: string;
  /** A random UUID that the app makes when it is installed. */
  readonly installation: Id;
  /** What a person calls the device, such as its model; at most 64 characters. */
  readonly deviceName: string;
  readonly appVersion: string;
}

/**
 * Logs a device in. The answer has the session's tokens, the user and the rep that the user is.
 *
 * @throws ConnectError when the server says no, or can't be reached.
 */
export async function login(transport: Transport, who: Credentials): Promise<LoginResponse> {
  const { tenant, login, password, installation, deviceName: name, appVersion } = who;
  const device = { installationId: fromHex(installation), name, appVersion };
  return await createClient(AuthService, transport).login({ tenant, login, password, device }, { timeoutMs: CALL_MS });
}

/** What a device is made of. */
export interface Parts {
  /** gRPC, or gRPC-web in a browser. */
  readonly transport: Transport;
  /** The tokens of the login. */
  readonly tokens: Tokens;
  readonly replica: Replica;
  readonly outbox: Outbox;
  /** The device's clock: microseconds since the Unix epoch. */
  readonly clock: () => bigint;
  readonly appVersion: string;
}

/** What an app may wish of a pull. */
export type Wish = Pick<Want, "kinds" | "follow" | "atLeast" | "todayOnly">;

/** A pull that did not come to its last checkpoint: the stream was `cut`, or buckets were `unsettled` again and again. */
export class PullError extends Error {
  override readonly name = "PullError";

  constructor(readonly reason: "cut" | "unsettled") {
    super(reason === "cut" ? "the stream ended before its last checkpoint" : "the server and the device don't come to terms");
  }
}

/** The app is older than the oldest version that is served: its user is to be asked for an update. It may push still. */
export class AppTooOldError extends Error {
  override readonly name = "AppTooOldError";

  constructor(
    /** The oldest version that is served. */
    readonly minAppVersion: string,
  ) {
    super(`the app is too old: the oldest version that is served is ${minAppVersion}`);
  }
}

/** The device was shut out and has erased what it held; somebody has to log in on it as on a new installation. */
export class WipedError extends Error {
  override readonly name = "WipedError";

  constructor() {
    super("the device was revoked, and has erased what it held");
  }
}

/**
 * A logged-in device: its replica and its outbox with a connection. One stream and one push are under way at a time; a push
 * may go on beside a stream that is followed.
 */
export class Device {
  readonly replica: Replica;
  readonly outbox: Outbox;
  readonly #clock: () => bigint;
  readonly #appVersion: string;
  readonly #auth: Client<typeof AuthService>;
  readonly #sync: Client<typeof SyncService>;
  #tokens: Tokens;
  #minAppVersion = "";
  #wiped = false;

  constructor({ transport, tokens, replica, outbox, clock, appVersion }: Parts) {
    this.replica = replica;
    this.outbox = outbox;
    this.#clock = clock;
    this.#appVersion = appVersion;
    this.#auth = createClient(AuthService, transport);
    this.#sync = createClient(SyncService, transport);
    this.#tokens = tokens;
  }

  /** The session's tokens as of now; an app keeps them for the next start. */
  get tokens(): Tokens {
    return this.#tokens;
  }

  /** The oldest version of the app that is served, as the last push has heard; empty: this one is new enough. */
  get minAppVersion(): string {
    return this.#minAppVersion;
  }

  /**
   * Pushes everything that waits, then pulls to the last checkpoint.
   *
   * A device that is shut out does what {@link Device.leave} says.
   *
   * @returns the outcomes that are new.
   * @throws AppTooOldError, ConnectError, PullError, WipedError or what the storage throws; what was stored before stays, and the
   * next call goes on.
   */
  async sync(): Promise<Decided[]> {
    try {
      return await this.#pushAndPull();
    } catch (error) {
      throw await this.leave(error);
    }
  }

  /**
   * What follows from a refusal: if it shuts the device out, what waits is pushed, and then all that the device holds is erased if
   * it is told to. The app then forgets the tokens, too. The same once more changes nothing.
   *
   * @returns what is to be told to the user: WipedError, or what was given.
   * @throws what kept it from doing so; the next refusal says the same again.
   */
  async leave(refusal: unknown): Promise<unknown> {
    const info = refusal instanceof ConnectError ? errorInfo(refusal) : undefined;
    const told = info && shutOut(info.reason, info.metadata.get("wipe"));
    if (told === undefined) {
      return refusal;
    }
    let pushed: number | undefined;
    for (;;) {
      switch (nextStep(told, this.outbox.summary.commands > 0, pushed)) {
        case "push":
          pushed = await this.#pushed();
          break;
        case "erase":
          await this.#erase();
          return new WipedError();
        case "later":
        case "stop":
          return refusal;
      }
    }
  }

  /** The gRPC code with which a push ends. */
  async #pushed(): Promise<number> {
    try {
      await this.push();
      return 0;
    } catch (error) {
      if (error instanceof ConnectError) {
        return error.code;
      }
      throw error;
    }
  }

  /** The tokens go last: a device that is killed on the way is told again. */
  async #erase(): Promise<void> {
    await this.replica.erase();
    await this.outbox.erase();
    this.#tokens = create(TokensSchema);
    this.#wiped = true;
  }

  async #pushAndPull(): Promise<Decided[]> {
    const decided = await this.push();
    await this.pull();
    // The pull told of a lost history, and the outbox asks what is known of all that it keeps.
    if (this.outbox.summary.commands > 0) {
      decided.push(...(await this.push()));
      await this.pull();
    }
    return decided;
  }

  /** Pushes until nothing waits; gives the outcomes that are new. See {@link Device.sync} for errors. */
  async push(): Promise<Decided[]> {
    const decided: Decided[] = [];
    for (;;) {
      const request = this.outbox.request(this.#clock(), this.replica.position, this.#appVersion);
      if (request === undefined) {
        return decided;
      }
      const headers = await this.#authorization();
      const response = await this.#sync.push(request, { headers, timeoutMs: CALL_MS });
      this.#minAppVersion = response.minAppVersion;
      decided.push(...(await this.outbox.receive(response, this.#clock())));
    }
  }

  /**
   * Pulls to the last checkpoint, and looks whether what is held is still as it came: what isn't is mended by the next pull.
   * See {@link Device.sync} for errors.
   */
  async pull(wish: Omit<Wish, "follow"> = {}): Promise<void> {
    for (let stream = 0; stream < STREAMS; stream += 1) {
      if (await this.#isSettled(wish)) {
        // By chance, so that over time every bucket is looked at.
        await this.replica.scrub(BigInt(Math.floor(Math.random() * Number.MAX_SAFE_INTEGER)), SCRUB_ROWS);
        return;
      }
    }
    throw new PullError("unsettled");
  }

  /**
   * One stream: what each message meant, after it was taken. With `follow` it goes on until the caller leaves the loop or
   * the connection ends. After `inventory_wanted`, and after a checkpoint with damaged buckets, leave it and begin anew.
   */
  async *events(wish: Wish = {}): AsyncGenerator<Event, void, void> {
    const headers = await this.#authorization();
    const request = await this.replica.request({
      ...wish,
      deviceClockUs: this.#clock(),
      appVersion: this.#appVersion,
      lastOutcomeSeq: this.outbox.lastOutcomeSeq,
      outbox: this.outbox.summary,
    });
    const left = new AbortController();
    try {
      for await (const message of this.#sync.pull(request, { headers, signal: left.signal })) {
        const event = await this.replica.receive(message);
        if (event.is === "fork") {
          await this.outbox.fork(event.expectedSeq);
        }
        yield event;
      }
    } catch (error) {
      throw tooOld(error) ?? error;
    } finally {
      this.replica.cut();
      left.abort();
    }
  }

  /** Takes one stream to its end, which the server makes; whether everything has come and is right. */
  async #isSettled(wish: Wish): Promise<boolean> {
    let last: Event | undefined;
    for await (const event of this.events(wish)) {
      if (event.is === "checkpoint" && event.damaged.length > 0) {
        return false;
      }
      last = event;
    }
    if (last?.is === "checkpoint" && last.last) {
      return true;
    }
    if (last?.is === "inventory_wanted") {
      return false;
    }
    throw new PullError("cut");
  }

  /** The metadata that a call needs, with an access token that lasts. */
  async #authorization(): Promise<Record<string, string>> {
    if (this.#wiped) {
      throw new WipedError();
    }
    if (this.#tokens.accessExpiresAtUs <= this.#clock() + RENEW_BEFORE_US) {
      const { tokens } = await this.#auth.refresh({ refreshToken: this.#tokens.refreshToken }, { timeoutMs: CALL_MS });
      this.#tokens = tokens ?? this.#tokens;
    }
    return { authorization: `Bearer ${this.#tokens.accessToken}` };
  }
}

/** What a refusal says, if it is one because of the app's version. */
function tooOld(error: unknown): AppTooOldError | undefined {
  if (!(error instanceof ConnectError) || error.code !== Code.FailedPrecondition) {
    return undefined;
  }
  const info = errorInfo(error);
  return info?.reason === "APP_TOO_OLD" ? new AppTooOldError(info.metadata.get("min_app_version") ?? "") : undefined;
}
