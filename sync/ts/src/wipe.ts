/** What a device that is shut out is told: it may keep what it holds, or it is to erase it. */
export type ShutOut = "keep" | "wipe";

/**
 * What a device that is shut out does next.
 *
 * - `push`: it pushes what waits;
 * - `erase`: it erases replica, outbox and tokens, and does nothing more until somebody logs in on it as on a new installation;
 * - `later`: it keeps everything: nobody knows yet whether the push was taken. The next call tells it the same again;
 * - `stop`: it keeps everything, and there is nothing more to be done.
 */
export type NextStep = "push" | "erase" | "later" | "stop";

/** What a refusal says to a device by its reason and the `wipe` of its metadata; `undefined`: it is not shut out. */
export function shutOut(reason: string, wipe: string | undefined): ShutOut | undefined {
  if (reason !== "DEVICE_REVOKED") {
    return undefined;
  }
  return wipe === "true" ? "wipe" : "keep";
}

/** INVALID_ARGUMENT, PERMISSION_DENIED, FAILED_PRECONDITION, UNIMPLEMENTED, UNAUTHENTICATED: the same would be said again. */
const FOR_GOOD: ReadonlySet<number> = new Set([3, 7, 9, 12, 16]);

/**
 * The next step of a device in whose outbox something `waits`, or not; `pushed` is the gRPC code with which the push since it was
 * told has ended, 0 if it was taken. What the server refuses for good it will never take, and is erased, too.
 */
export function nextStep(told: ShutOut, waits: boolean, pushed: number | undefined): NextStep {
  if (waits && (pushed === undefined || pushed === 0)) {
    return "push";
  }
  if (waits && pushed !== undefined && !FOR_GOOD.has(pushed)) {
    return "later";
  }
  return told === "wipe" ? "erase" : "stop";
}
