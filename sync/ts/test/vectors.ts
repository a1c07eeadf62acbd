import { readFileSync } from "node:fs";
import { test } from "node:test";

/** A case of a family of test vectors: what goes in, and what must come out. */
export interface Case<Input, Expected> {
  readonly name: string;
  readonly input: Input;
  readonly expected: Expected;
}

/** The cases of a family. */
export function readFamily<Input, Expected>(family: string): readonly Case<Input, Expected>[] {
  // From dist/test of the package.
  const file = new URL(`../../../../tests/vectors/${family}.json`, import.meta.url);
  return (JSON.parse(readFileSync(file, "utf8")) as { cases: readonly Case<Input, Expected>[] }).cases;
}

/** Tests every case of a family. */
export function testFamily<Input, Expected>(
  family: string,
  run: (input: Input, expected: Expected) => void | Promise<void>,
): void {
  for (const { name, input, expected } of readFamily<Input, Expected>(family)) {
    test(`${family}: ${name}`, () => run(input, expected));
  }
}

/** A 64-bit number of a test vector. */
export type Wide = string;
/** Bytes of a test vector. */
export type Hex = string;

/** A position as a test vector writes it. */
export interface WrittenPosition {
  readonly version: Wide;
  readonly nonce: Wide;
}

/** Writes a position as a test vector does. */
export function written(position: { version: bigint; nonce: bigint } | undefined): WrittenPosition | null {
  return position === undefined ? null : { version: `${position.version}`, nonce: `${position.nonce}` };
}
