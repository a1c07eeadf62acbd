/** The largest sum of money, in minor units, in either direction. */
const MONEY_MINOR = 1_000_000_000_000_000n;
/** All of something, in basis points. */
const WHOLE_BP = 10_000n;
/** So many thousandths make one base unit. */
const UNIT_MILLI = 1_000n;

/** How a line of an order is priced. */
export interface Rate {
  /** The price of one whole base unit before the discount, in minor units. */
  readonly priceMinor: bigint;
  /** The discount, in basis points, from 0 to 10000. */
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
export function lineSum(quantityMilli: bigint, { priceMinor, discountBp, vatBp, vatIncluded }: Rate): Sum {
  const vat = rate(vatBp);
  const net = limited(divided(quantityMilli * priceMinor * (WHOLE_BP - rate(discountBp)), UNIT_MILLI * WHOLE_BP));
  if (vatIncluded) {
    return { amountMinor: net, vatMinor: divided(net * vat, WHOLE_BP + vat) };
  }
  const vatMinor = divided(net * vat, WHOLE_BP);
  return { amountMinor: limited(net + vatMinor), vatMinor };
}

function rate(basisPoints: number): bigint {
  const rate = BigInt(basisPoints);
  if (rate < 0n || rate > WHOLE_BP) {
    throw new RangeError(`${basisPoints} basis points are not between nothing and all`);
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
