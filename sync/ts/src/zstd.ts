import { Decompress } from "fzstd";

/** The greatest window for which room is made, as RFC 8878 recommends: 8 MiB. */
const WINDOW_BYTES = 8n * 1024n * 1024n;

/**
 * Unpacks a Zstandard frame whose content has a known size. What it takes on the way is bounded by that size and by the
 * window limit, whatever the frame says.
 *
 * @returns the content; `undefined`: the frame is damaged, or its content has another size.
 */
export function decompress(frame: Uint8Array, size: number): Uint8Array | undefined {
  const content = new Uint8Array(size);
  let filled = 0;
  const stream = new Decompress((block) => {
    content.set(block, filled); // throws where it does not fit
    filled += block.length;
  });
  try {
    if (windowBytes(frame) > WINDOW_BYTES) {
      return undefined;
    }
    stream.push(frame, true);
  } catch {
    return undefined;
  }
  return filled === size ? content : undefined;
}

/**
 * The memory that a frame's header asks for (RFC 8878, 3.1.1.1).
 *
 * @throws RangeError when the frame ends before its header does.
 */
function windowBytes(frame: Uint8Array): bigint {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const descriptor = view.getUint8(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment) {
    const window = view.getUint8(5);
    const base = 1n << BigInt(10 + (window >> 3));
    return base + (base / 8n) * BigInt(window & 7);
  }
  const dictionaryIdFlag = descriptor & 3;
  const contentSize = 5 + (dictionaryIdFlag === 3 ? 4 : dictionaryIdFlag);
  switch (descriptor >> 6) {
    case 0:
      return BigInt(view.getUint8(contentSize));
    case 1:
      return BigInt(view.getUint16(contentSize, true)) + 256n;
    case 2:
      return BigInt(view.getUint32(contentSize, true));
    default:
      return view.getBigUint64(contentSize, true);
  }
}
