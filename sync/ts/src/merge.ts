/**
 * What becomes of an edit of one value.
 *
 * - `keep`: nothing was edited, on either side;
 * - `stale`: the value changed meanwhile, but not against the edit: the same was wanted, or nothing was edited;
 * - `take`: the editor's value is taken;
 * - `conflict`: both sides changed it, to different values: the field's policy decides.
 */
export type Merge = "keep" | "stale" | "take" | "conflict";

/** Compares the value on which an edit was based, the one that stands, and the one that is wanted. */
export function threeWay<T>(base: T, current: T, wanted: T): Merge {
  if (current === base) {
    return wanted === base ? "keep" : "take";
  }
  return wanted === base || wanted === current ? "stale" : "conflict";
}
