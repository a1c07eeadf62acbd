/** The largest sum of money, in minor units, in either direction. */
const MONEY_MINOR = 1_000_000_000_000_000n;
/** The largest quantity, in thousandths of the base unit. */
export const QUANTITY_MILLI = 1_000_000_000_000n;
/** All of something, in basis points. */
export const WHOLE_BP = 10_000n;
/** So many thousandths make one base unit. */
export const UNIT_MILLI = 1_000n;

/** How a line of an order is priced. */
export interface Rate {
  /** The price of `perMilli` before promotions and discount, in minor units. */
  readonly priceMinor: bigint;
  /** For how much the price is, in thousandths of the base unit; above 0, and one whole unit if it is left out. */
  readonly perMilli?: bigint;
  /** What promotions take off the line, in minor units; nothing if it is left out. */
  readonly promotionsMinor?: bigint;
  /** The discount on what is left, in basis points, from 0 to 10000. */
  readonly discountBp: number;
  /** The value added tax, in basis points, from 0 to 10000. */
  readonly vatBp: number;
  /** The price contains the tax; otherwise it is added. */
  readonly vatIncluded: boolean;
}

/** What a line costs. */
export interface Sum {
  /** To be paid, tax included, in minor units. */
  readonly amountMinor: bigint;
  /** The tax contained in it, in minor units. */
  readonly vatMinor: bigint;
}

/**
 * The sum of a line of so many thousandths of the base unit, as the comment of the message `Order` defines it.
 *
 * @throws RangeError when a rate is none, or the sum is larger than the server takes.
 */
export function lineSum(quantityMilli: bigint, rate: Rate): Sum {
  const { priceMinor, perMilli = UNIT_MILLI, promotionsMinor = 0n, vatIncluded } = rate;
  if (perMilli < 1n || perMilli > QUANTITY_MILLI) {
    throw new RangeError(`a price for ${perMilli} thousandths is none`);
  }
  const vat = basisPoints(rate.vatBp);
  const all = quantityMilli * priceMinor;
  const left = all - promotionsMinor * perMilli;
  // Nobody gets money for taking goods.
  const kept = (all < 0n) === (left < 0n) ? left : 0n;
  const net = limited(divided(kept * (WHOLE_BP - basisPoints(rate.discountBp)), perMilli * WHOLE_BP));
  if (vatIncluded) {
    return { amountMinor: net, vatMinor: divided(net * vat, WHOLE_BP + vat) };
  }
  const vatMinor = divided(net * vat, WHOLE_BP);
  return { amountMinor: limited(net + vatMinor), vatMinor };
}

/**
 * What a quantity comes to before tax, promotions and discount, in minor units.
 *
 * @throws RangeError as `lineSum`.
 */
export function grossOf(quantityMilli: bigint, priceMinor: bigint, perMilli: bigint): bigint {
  return lineSum(quantityMilli, { priceMinor, perMilli, discountBp: 0, vatBp: 0, vatIncluded: true }).amountMinor;
}

/** So many parts of a sum of which there are `ofParts`, which is above 0. */
export function shareOf(minor: bigint, parts: bigint, ofParts: bigint): bigint {
  return divided(minor * parts, ofParts);
}

/**
 * A price with so many basis points added, rounded to a multiple of a step; below 0 they are taken off.
 *
 * @throws RangeError when it is larger than the server takes, or below 0.
 */
export function markedUp(priceMinor: bigint, markupBp: number, stepMinor: bigint): bigint {
  const step = stepMinor < 1n ? 1n : stepMinor;
  const price = limited(divided(priceMinor * (WHOLE_BP + BigInt(markupBp)), WHOLE_BP * step) * step);
  if (price < 0n) {
    throw new RangeError(`a price of ${price} is none`);
  }
  return price;
}

function basisPoints(number: number): bigint {
  const rate = BigInt(number);
  if (rate < 0n || rate > WHOLE_BP) {
    throw new RangeError(`${number} basis points are not between nothing and all`);
  }
  return rate;
}

function limited(minor: bigint): bigint {
  if (minor < -MONEY_MINOR || minor > MONEY_MINOR) {
    throw new RangeError(`a sum of ${minor} is larger than the server takes`);
  }
  return minor;
}

/** Rounded half away from zero. `denominator` is above 0. */
function divided(numerator: bigint, denominator: bigint): bigint {
  const away = numerator < 0n ? -denominator : denominator;
  return (2n * numerator + away) / (2n * denominator);
}
