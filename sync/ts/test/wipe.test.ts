import assert from "node:assert/strict";

import { nextStep, shutOut } from "../src/wipe.js";
import { testFamily } from "./vectors.js";

interface Refused {
  readonly reason: string;
  readonly wipe: string | null;
  readonly waits: boolean;
  readonly pushed: number | null;
}

testFamily<Refused, { readonly step: string }>("wipe", ({ reason, wipe, waits, pushed }, expected) => {
  const told = shutOut(reason, wipe ?? undefined);
  const step = told === undefined ? "none" : nextStep(told, waits, pushed ?? undefined);
  assert.equal(step, expected.step);
});
