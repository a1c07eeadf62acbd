import { BinaryReader, WireType } from "@bufbuild/protobuf/wire";
import type { ConnectError } from "@connectrpc/connect";

/** Why a call was refused: `google.rpc.ErrorInfo` of the server. */
export interface ErrorInfo {
  /** The stable code, such as `APP_TOO_OLD`. */
  readonly reason: string;
  /** What it is based on, such as `min_app_version`. */
  readonly metadata: ReadonlyMap<string, string>;
}

/** What the server says of a refusal; `undefined`: it is not one of its own. */
export function errorInfo(error: ConnectError): ErrorInfo | undefined {
  for (const detail of error.details) {
    if ("type" in detail && detail.type === "google.rpc.ErrorInfo") {
      return read(detail.value);
    }
  }
  return undefined;
}

/** The message is read by hand: this contract is Google's, and nothing else of it is needed. */
function read(bytes: Uint8Array): ErrorInfo {
  let reason = "";
  const metadata = new Map<string, string>();
  for (const [field, value] of strings(bytes)) {
    if (field === 1) {
      reason = new TextDecoder().decode(value);
    } else if (field === 3) {
      const entry = new Map([...strings(value)].map(([number, text]) => [number, new TextDecoder().decode(text)]));
      metadata.set(entry.get(1) ?? "", entry.get(2) ?? "");
    }
  }
  return { reason, metadata };
}

/** The fields that are a text, bytes or a message, with their numbers. */
function* strings(bytes: Uint8Array): Generator<[number, Uint8Array]> {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (type === WireType.LengthDelimited) {
      yield [field, reader.bytes()];
    } else {
      reader.skip(type, field);
    }
  }
}
