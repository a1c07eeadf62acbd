import { create, fromBinary, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";

import { ProtocolError } from "./fault.js";
import { CommandSchema, type Outcome, OutcomeSchema } from "./gen/roundsman/sync/v1/command_pb.js";
import {
  type CommandResult,
  type OutboxSummary,
  OutboxSummarySchema,
  type PushRequest,
  PushRequestSchema,
  type PushResponse,
  type SkipSchema,
} from "./gen/roundsman/sync/v1/sync_service_pb.js";
import { fromHex, type Id, idOf } from "./id.js";
import { COMMAND_BYTES, KEEP_ANSWERED_US, LAST_SEQ, PUSH_BYTES, PUSH_COMMANDS } from "./limits.js";
import type { Position } from "./position.js";
import { PROTOCOL_VERSION } from "./replica.js";
import type { Storage } from "./storage.js";

/** The outbox's numbers. */
export interface OutboxHead {
  /** The number that the next captured command gets. */
  readonly nextSeq: bigint;
  /** The number that the server expects next, as far as the device knows. */
  readonly expectedSeq: bigint;
  /** The highest number for which the device has an outcome that still stands; 0: none. */
  readonly lastOutcomeSeq: bigint;
  /** The number through which the server has been told that outcomes are stored. */
  readonly toldSeq: bigint;
  /** Everything up to this version survives the loss of the server; `undefined`: no server has ever said such a thing. */
  readonly durableVersion: bigint | undefined;
}

/** A captured command. */
export interface Command {
  /** Never changes. */
  readonly id: Id;
  /** Its number, which changes when the outbox is renumbered. */
  readonly seq: bigint;
  /** A serialized `roundsman.trade.v1.Command`. */
  readonly body: Uint8Array<ArrayBuffer>;
  /** When it was captured, by the device's clock, in microseconds since the Unix epoch. */
  readonly capturedAtUs: bigint;
  /** The business date, as days since 1970-01-01. */
  readonly businessDay: number;
  /** What the server said; `undefined`: the command waits. */
  readonly answer: Answer | undefined;
}

/** The server's answer to a command. */
export interface Answer {
  /** The decision as a serialized `roundsman.sync.v1.Outcome`. */
  readonly outcome: Uint8Array<ArrayBuffer>;
  /** A pull that covers this version shows its effects. */
  readonly version: bigint;
  /** When it came, by the device's clock, in microseconds since the Unix epoch. */
  readonly answeredAtUs: bigint;
}

/** What is to be captured. */
export type Capture = Pick<Command, "id" | "body" | "capturedAtUs" | "businessDay">;

/** A command with what the server decided about it. */
export interface Decided {
  readonly id: Id;
  readonly outcome: Outcome;
}

/** A command that cannot be captured: `too_large`, or `known`: its id is that of another command. */
export class CaptureError extends Error {
  override readonly name = "CaptureError";

  constructor(readonly reason: "too_large" | "known") {
    super(reason === "known" ? "the id was used for a command with another body" : `a body has at most ${COMMAND_BYTES} bytes`);
  }
}

const EMPTY: OutboxHead = { nextSeq: 1n, expectedSeq: 1n, lastOutcomeSeq: 0n, toldSeq: 0n, durableVersion: undefined };

/**
 * The commands that a device captured, until nobody can lose them any more: its half of Push, without the network.
 * {@link Outbox.capture} stores a command, {@link Outbox.request} makes the next batch, {@link Outbox.receive} takes the
 * answer. One push is under way at a time; commands may be captured beside it.
 */
export class Outbox {
  readonly #storage: Storage;
  #head: OutboxHead;
  /** In the order of their numbers. */
  #commands: readonly Command[];
  /** A pull has told of a fork since the last answer: what waits again may not have been sent with the push under way. */
  #askedAgain = false;
  /** The last change: the next one begins when it has ended. */
  #change: Promise<unknown> = Promise.resolve();

  private constructor(storage: Storage, head: OutboxHead, commands: readonly Command[]) {
    this.#storage = storage;
    this.#head = head;
    this.#commands = commands;
  }

  /** Opens what the storage holds. */
  static async open(storage: Storage): Promise<Outbox> {
    return await storage.transaction(async (tx) => {
      const commands = (await tx.list("command")).map(([, command]) => command);
      return new Outbox(storage, (await tx.get("outbox", [])) ?? EMPTY, sorted(commands));
    });
  }

  /**
   * Stores a command and gives it its number. Capturing the same command again changes nothing.
   *
   * @throws CaptureError when the command cannot be captured.
   */
  async capture(capture: Capture): Promise<bigint> {
    return await this.#inTurn(() => this.#capture(capture));
  }

  async #capture({ id, body, capturedAtUs, businessDay }: Capture): Promise<bigint> {
    if (body.length > COMMAND_BYTES) {
      throw new CaptureError("too_large");
    }
    const known = this.#commands.find((command) => command.id === id);
    if (known !== undefined) {
      if (!isSame(known.body, body)) {
        throw new CaptureError("known");
      }
      return known.seq;
    }
    const seq = this.#head.nextSeq;
    const command = { id, seq, body: body.slice(), capturedAtUs, businessDay, answer: undefined };
    await this.#adopt({ ...this.#head, nextSeq: seq + 1n }, [...this.#commands, command]);
    return seq;
  }

  /** The next push; `undefined`: nothing waits and nothing is to be confirmed. */
  request(deviceClockUs: bigint, position: Position | undefined, appVersion = ""): PushRequest | undefined {
    const commands = this.#batch();
    const skip = this.#skip();
    if (commands.length === 0 && skip === undefined && this.#head.toldSeq >= this.#confirmedSeq) {
      return undefined;
    }
    return create(PushRequestSchema, {
      protocolVersion: PROTOCOL_VERSION,
      appVersion,
      deviceClockUs,
      commands,
      confirmedSeq: this.#confirmedSeq,
      lastOutcomeSeq: this.#head.lastOutcomeSeq,
      ...(position && { position }),
      outbox: this.summary,
      ...(skip && { skip }),
    });
  }

  /**
   * Takes the answer to the last request. Answered commands that nobody can lose any more are taken away.
   *
   * @returns the outcomes that are new.
   * @throws ProtocolError when the answer is malformed; nothing of it was taken then.
   */
  async receive(response: PushResponse, nowUs: bigint): Promise<Decided[]> {
    return await this.#inTurn(() => this.#receive(response, nowUs));
  }

  async #receive(response: PushResponse, nowUs: bigint): Promise<Decided[]> {
    const { fork, results, version, durableVersion } = response;
    const expectedSeq = sequence(response.expectedSeq);
    const draft = new Draft(this.#head, this.#commands);
    draft.set({ toldSeq: this.#confirmedSeq });
    if (fork) {
      // The number that a fork expects was found before the commands were decided.
      draft.fork(expectedSeq);
    } else {
      if (this.#skip() !== undefined && expectedSeq === undefined) {
        draft.set({ expectedSeq: this.#firstWaiting });
      }
      draft.believe(durableVersion);
    }
    const news = draft.answer(results, version, nowUs);
    if (expectedSeq !== undefined) {
      let asksAgain = true;
      if (fork) {
        if (!this.#askedAgain && expectedSeq > max(draft.firstWaiting, draft.head.lastOutcomeSeq)) {
          draft.renumber(expectedSeq); // what waits is below: its numbers are taken
        } else {
          asksAgain = expectedSeq <= this.#head.lastOutcomeSeq; // else it is told once more, and says nothing new
        }
      } else if (expectedSeq > draft.head.lastOutcomeSeq) {
        asksAgain = expectedSeq > draft.firstWaiting;
        draft.renumber(expectedSeq);
      } else {
        draft.fork(expectedSeq);
      }
      if (asksAgain) {
        draft.askAgain(this.#commands);
      }
    }
    if (!fork) {
      draft.retire(nowUs);
    }
    await this.#adopt(draft.head, draft.commands);
    this.#askedAgain = false;
    return news;
  }

  /**
   * The server lost a part of the history and expects this number next: answered commands wait again.
   *
   * @throws ProtocolError when it is not a sequence number.
   */
  async fork(expectedSeq: bigint): Promise<void> {
    await this.#inTurn(async () => {
      const draft = new Draft(this.#head, this.#commands);
      const seq = sequence(expectedSeq);
      draft.fork(seq);
      if (seq !== undefined) {
        draft.askAgain(this.#commands);
      }
      const asksAgain = seq !== undefined && this.#commands.some((command) => command.answer !== undefined);
      await this.#adopt(draft.head, draft.commands);
      this.#askedAgain ||= asksAgain;
    });
  }

  /** Takes everything away, as in an outbox that was never used. */
  async erase(): Promise<void> {
    await this.#inTurn(async () => {
      await this.#adopt(EMPTY, []);
      this.#askedAgain = false;
    });
  }

  /** What waits, as it is reported at every contact. */
  get summary(): OutboxSummary {
    const captured = this.#waiting.map((command) => command.capturedAtUs);
    const oldestCapturedAtUs = captured.reduce((oldest, at) => (at < oldest ? at : oldest), captured[0] ?? 0n);
    const counts = new Map<number, number>();
    for (const { body } of this.#waiting) {
      const command = commandNumber(body);
      counts.set(command, (counts.get(command) ?? 0) + 1);
    }
    const kinds = [...counts].sort(([a], [b]) => a - b).map(([command, count]) => ({ command, count }));
    return create(OutboxSummarySchema, { commands: captured.length, oldestCapturedAtUs, kinds });
  }

  /** The highest sequence number for which there is an outcome; 0: none. */
  get lastOutcomeSeq(): bigint {
    return this.#head.lastOutcomeSeq;
  }

  /** The commands that are kept, in the order of capture. */
  get commands(): readonly Command[] {
    return this.#commands;
  }

  /** The outcomes of the commands that are kept, in the order of capture. */
  get outcomes(): Decided[] {
    return this.#commands.flatMap(({ id, answer }) => (answer ? [{ id, outcome: fromBinary(OutcomeSchema, answer.outcome) }] : []));
  }

  get #waiting(): readonly Command[] {
    return this.#commands.filter((command) => command.answer === undefined);
  }

  get #firstWaiting(): bigint {
    return this.#waiting[0]?.seq ?? this.#head.nextSeq;
  }

  get #confirmedSeq(): bigint {
    const before = this.#firstWaiting - 1n;
    return before < this.#head.lastOutcomeSeq ? before : this.#head.lastOutcomeSeq;
  }

  /** The numbers that the server expects and whose commands the device doesn't have. */
  #skip(): MessageInitShape<typeof SkipSchema> | undefined {
    const [fromSeq, toSeq] = [this.#head.expectedSeq, this.#firstWaiting - 1n];
    return fromSeq <= toSeq ? { fromSeq, toSeq } : undefined;
  }

  /** A run of consecutive numbers from the first command that waits, within the limits of a push. */
  #batch(): MessageInitShape<typeof CommandSchema>[] {
    const commands: MessageInitShape<typeof CommandSchema>[] = [];
    let bytes = 0;
    for (const { id, seq, capturedAtUs, businessDay, body } of this.#waiting.slice(0, PUSH_COMMANDS)) {
      const command = create(CommandSchema, { commandId: fromHex(id), seq, capturedAtUs, businessDay, body });
      bytes += toBinary(CommandSchema, command).length;
      const isNext = seq === this.#firstWaiting + BigInt(commands.length);
      if (!isNext || (bytes > PUSH_BYTES && commands.length > 0)) {
        break;
      }
      commands.push(command);
    }
    return commands;
  }

  /** Changes the outbox when all changes before have ended. */
  #inTurn<R>(change: () => Promise<R>): Promise<R> {
    const changed = this.#change.then(change);
    this.#change = changed.catch(() => undefined);
    return changed;
  }

  /** Writes what differs, and then makes it the outbox's state. */
  async #adopt(head: OutboxHead, commands: readonly Command[]): Promise<void> {
    const kept = new Set(commands);
    const ids = new Set(commands.map((command) => command.id));
    await this.#storage.transaction(async (tx) => {
      tx.put("outbox", [], head);
      for (const command of this.#commands) {
        if (!ids.has(command.id)) {
          tx.remove("command", [command.id]);
        }
        kept.delete(command);
      }
      for (const command of kept) {
        tx.put("command", [command.id], command);
      }
    });
    this.#head = head;
    this.#commands = sorted(commands);
  }
}

/** What is about to be stored. */
class Draft {
  head: OutboxHead;
  commands: readonly Command[];

  constructor(head: OutboxHead, commands: readonly Command[]) {
    this.head = head;
    this.commands = commands;
  }

  get firstWaiting(): bigint {
    return this.commands.find((command) => command.answer === undefined)?.seq ?? this.head.nextSeq;
  }

  set(numbers: Partial<OutboxHead>): void {
    this.head = { ...this.head, ...numbers };
  }

  /**
   * Notes the outcomes. A result under another number than the command has now answers an older request; the command is
   * sent again and answered again.
   */
  answer(results: readonly CommandResult[], version: bigint, answeredAtUs: bigint): Decided[] {
    const byId = new Map(this.commands.map((command) => [command.id, command]));
    const news: Decided[] = [];
    for (const { commandId, seq, outcome } of results) {
      const id = idOf(commandId);
      if (id === undefined || outcome === undefined) {
        throw new ProtocolError("result", "a result must carry a command's id and its outcome");
      }
      const command = byId.get(id);
      if (command?.seq === seq && command.answer === undefined) {
        byId.set(id, { ...command, answer: { outcome: toBinary(OutcomeSchema, outcome), version, answeredAtUs } });
        this.set({ lastOutcomeSeq: max(this.head.lastOutcomeSeq, seq), expectedSeq: max(this.head.expectedSeq, seq + 1n) });
        news.push({ id, outcome });
      }
    }
    this.commands = [...byId.values()];
    return news;
  }

  /** Numbers what waits from there. What was answered behind it is asked for again, so that the order of capture stays. */
  renumber(expectedSeq: bigint): void {
    let nextSeq = expectedSeq;
    const first = this.firstWaiting;
    const isLater = (command: Command) => command.seq >= first;
    this.commands = this.commands.map((command) => (isLater(command) ? { ...command, seq: nextSeq++, answer: undefined } : command));
    this.set({ expectedSeq, nextSeq });
  }

  /** What was answered from there on waits again. What waits below was taken, its answer lost: it is sent again as it is. */
  fork(expectedSeq: bigint | undefined): void {
    if (this.head.durableVersion !== undefined) {
      this.set({ durableVersion: 0n }); // what was durable belonged to the history that is gone
    }
    if (expectedSeq === undefined) {
      return;
    }
    this.set({ expectedSeq, lastOutcomeSeq: min(this.head.lastOutcomeSeq, expectedSeq - 1n) });
    this.commands = this.commands.map((command) => (command.seq >= expectedSeq ? { ...command, answer: undefined } : command));
  }

  /** What was answered before waits again, under its number: the server may have been told to skip it. */
  askAgain(before: readonly Command[]): void {
    const answered = new Set(before.filter((command) => command.answer !== undefined).map((command) => command.id));
    this.commands = this.commands.map((command) => (answered.has(command.id) ? { ...command, answer: undefined } : command));
  }

  /** Takes the server's word for what cannot be lost any more. */
  believe(durableVersion: bigint): void {
    if (durableVersion > 0n) {
      this.set({ durableVersion: max(this.head.durableVersion ?? 0n, durableVersion) });
    }
  }

  /**
   * Takes away what nobody can lose any more. Where nothing was ever durable, time alone decides. What was answered at the
   * durable version itself may have been rejected after the backup that holds this version.
   */
  retire(nowUs: bigint): void {
    const { durableVersion } = this.head;
    this.commands = this.commands.filter(({ answer }) => {
      const isOld = answer !== undefined && nowUs - answer.answeredAtUs >= KEEP_ANSWERED_US;
      return !isOld || (durableVersion !== undefined && answer.version >= durableVersion);
    });
  }
}

/** The kind of a command by its body: the number of its field in `roundsman.trade.v1.Command`. 0: the body has no field. */
function commandNumber(body: Uint8Array): number {
  try {
    return new BinaryReader(body).tag()[0];
  } catch {
    return 0;
  }
}

/** A sequence number from outside; `undefined`: 0, which says that there is none. */
function sequence(seq: bigint): bigint | undefined {
  if (seq < 0n || seq > LAST_SEQ) {
    throw new ProtocolError("sequence", `${seq} is not a sequence number`);
  }
  return seq === 0n ? undefined : seq;
}

function sorted(commands: readonly Command[]): readonly Command[] {
  return [...commands].sort((one, other) => (one.seq < other.seq ? -1 : 1));
}

function isSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && one.every((byte, place) => byte === other[place]);
}

function max(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function min(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
