/** The id of a record or a command: the 16 bytes of its UUID as 32 lowercase hex digits, which sort as the bytes do. */
export type Id = string;

const ID_BYTES = 16;

/** Bytes as lowercase hex digits. */
export function toHex(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) {
    text += byte.toString(16).padStart(2, "0");
  }
  return text;
}

/**
 * The bytes that pairs of hex digits name.
 *
 * @throws SyntaxError when the text is anything else.
 */
export function fromHex(text: string): Uint8Array<ArrayBuffer> {
  if (!/^([0-9a-f]{2})*$/i.test(text)) {
    throw new SyntaxError("bytes must be written as pairs of hex digits");
  }
  return Uint8Array.from({ length: text.length / 2 }, (_, place) => Number.parseInt(text.slice(2 * place, 2 * place + 2), 16));
}

/** An id as it came over the wire; `undefined`: it has not 16 bytes. */
export function idOf(bytes: Uint8Array): Id | undefined {
  return bytes.length === ID_BYTES ? toHex(bytes) : undefined;
}
