import type { Price } from "./gen/roundsman/trade/v1/goods_pb.js";
import type { Id } from "./id.js";

/** A price record of a product in a price list. */
export interface PriceRecord {
  readonly id: Id;
  readonly price: Price;
}

/**
 * Which of a product's prices in a list is in force on a day, in days since 1970-01-01: of those valid the one that begins
 * last, and of several that begin on the same day the one with the greatest id. It may have no break for a quantity.
 */
export function priceInForce(prices: Iterable<PriceRecord>, day: number): PriceRecord | undefined {
  let found: PriceRecord | undefined;
  for (const record of prices) {
    if (isValid(record.price, day) && (found === undefined || outranks(record, found))) {
      found = record;
    }
  }
  return found;
}

/**
 * The price of one whole base unit at a quantity in thousandths of it, in minor units: that of the break with the greatest
 * minimum that is reached. `undefined`: there is no price for so little.
 */
export function priceAtQuantity(price: Price, quantityMilli: bigint): bigint | undefined {
  const reached = price.breaks.filter((step) => step.minQuantityMilli <= quantityMilli);
  reached.sort((one, other) => (one.minQuantityMilli < other.minQuantityMilli ? -1 : 1));
  return reached.at(-1)?.priceMinor;
}

function isValid({ validFromDay, validToDay }: Price, day: number): boolean {
  return (validFromDay === 0 || validFromDay <= day) && (validToDay === 0 || day <= validToDay);
}

function outranks(one: PriceRecord, other: PriceRecord): boolean {
  const [from, otherFrom] = [one.price.validFromDay, other.price.validFromDay];
  return from === otherFrom ? one.id > other.id : from > otherFrom;
}
