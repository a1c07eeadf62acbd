import type { Price, PriceBreak, PriceList } from "./gen/roundsman/trade/v1/goods_pb.js";
import { type Id, toHex } from "./id.js";
import { markedUp, UNIT_MILLI } from "./money.js";

/** A price record of a product, in a price list or in its base. */
export interface PriceRecord {
  readonly id: Id;
  readonly price: Price;
}

/** A price list. */
export interface PriceListRecord {
  readonly id: Id;
  readonly list: PriceList;
}

/** What is bought, and when. */
export interface Wanted {
  /** In thousandths of the base unit. */
  readonly quantityMilli: bigint;
  /** The line's packaging, by its code; empty: the base unit. */
  readonly packagingCode: string;
  /** The order's day, in days since 1970-01-01. */
  readonly day: number;
}

/** A price that is in force, and where it comes from. */
export interface Quote {
  /** The record. */
  readonly priceId: Id;
  /** The price of `perMilli`, in minor units. */
  readonly priceMinor: bigint;
  /** For how much it is, in thousandths of the base unit. */
  readonly perMilli: bigint;
  /** The quantity from which it counts, in thousandths of the base unit. */
  readonly minQuantityMilli: bigint;
  /** The record is of the base list, and the list has computed this from it. */
  readonly computed: boolean;
}

/**
 * What a product costs in a list. `prices` are all of the product, in the list and in its base.
 *
 * Of the prices that are valid on the day and for the packaging the list's own come first, then those for just this
 * packaging, then the one that begins last, and of several that begin on the same day the one with the greatest id.
 * `undefined`: there is none, or none for so little.
 */
export function quote(prices: Iterable<PriceRecord>, list: PriceListRecord, wanted: Wanted): Quote | undefined {
  let found: PriceRecord | undefined;
  for (const record of prices) {
    if (fits(record.price, list, wanted) && (found === undefined || outranks(record, found, list))) {
      found = record;
    }
  }
  const step = found && breakAt(found.price, wanted.quantityMilli);
  if (found === undefined || step === undefined) {
    return undefined;
  }
  const computed = !isOwn(found.price, list);
  const { markupBp, roundToMinor } = list.list;
  const priceMinor = computed ? computedPrice(step.priceMinor, markupBp, roundToMinor) : step.priceMinor;
  if (priceMinor === undefined) {
    return undefined;
  }
  const perMilli = perOf(found.price.perMilli);
  return { priceId: found.id, priceMinor, perMilli, minQuantityMilli: step.minQuantityMilli, computed };
}

/** For how much a price is, in thousandths of the base unit. */
export function perOf(perMilli: bigint): bigint {
  return perMilli === 0n ? UNIT_MILLI : perMilli;
}

function computedPrice(priceMinor: bigint, markupBp: number, roundToMinor: bigint): bigint | undefined {
  try {
    return markedUp(priceMinor, markupBp, roundToMinor);
  } catch (error) {
    if (error instanceof RangeError) {
      return undefined;
    }
    throw error;
  }
}

function breakAt(price: Price, quantityMilli: bigint): PriceBreak | undefined {
  const reached = price.breaks.filter((step) => step.minQuantityMilli <= quantityMilli);
  // Of two breaks at one quantity the last counts.
  return reached.reduce<PriceBreak | undefined>(
    (best, step) => (best === undefined || step.minQuantityMilli >= best.minQuantityMilli ? step : best),
    undefined,
  );
}

function isOwn(price: Price, list: PriceListRecord): boolean {
  return toHex(price.priceListId) === list.id;
}

function fits(price: Price, list: PriceListRecord, { packagingCode, day }: Wanted): boolean {
  const of = toHex(price.priceListId);
  const ofList = of === list.id || (of !== "" && of === toHex(list.list.baseListId));
  const packed = price.packagingCode === "" || price.packagingCode === packagingCode;
  const { validFromDay, validToDay } = price;
  return ofList && packed && (validFromDay === 0 || validFromDay <= day) && (validToDay === 0 || day <= validToDay);
}

function outranks(one: PriceRecord, other: PriceRecord, list: PriceListRecord): boolean {
  const [own, otherOwn] = [isOwn(one.price, list), isOwn(other.price, list)];
  if (own !== otherOwn) {
    return own;
  }
  const [packed, otherPacked] = [one.price.packagingCode !== "", other.price.packagingCode !== ""];
  if (packed !== otherPacked) {
    return packed;
  }
  const [from, otherFrom] = [one.price.validFromDay, other.price.validFromDay];
  return from === otherFrom ? one.id > other.id : from > otherFrom;
}
