import type { Outlet } from "./gen/roundsman/trade/v1/network_pb.js";
import { type Audience, type FreeGoods, type Promotion, Stacking } from "./gen/roundsman/trade/v1/promotion_pb.js";
import { type Id, toHex } from "./id.js";
import { grossOf, shareOf, WHOLE_BP } from "./money.js";
import { perOf } from "./price.js";

/** A promotion record. */
export interface PromotionRecord {
  readonly id: Id;
  readonly promotion: Promotion;
}

/** A line of an order, as promotions see it. */
export interface PromotionLine {
  /** Different for each line. */
  readonly lineId: Id;
  readonly productId: Id;
  /** The product's group, as in `Product.group_path`. */
  readonly groupPath: readonly string[];
  /** What is ordered, in thousandths of the base unit. */
  readonly quantityMilli: bigint;
  /** The price of `perMilli`, in minor units. */
  readonly priceMinor: bigint;
  /** For how much the price is, in thousandths of the base unit. */
  readonly perMilli: bigint;
}

/** Who buys, on which terms, and when. */
export interface Buyer {
  readonly outletId: Id;
  readonly outlet: Outlet;
  readonly agreementId: Id;
  /** The order's currency. */
  readonly currency: string;
  /** The order's day, in days since 1970-01-01. */
  readonly day: number;
}

/** What one promotion takes off one line. */
export interface PromotionPart {
  readonly promotionId: Id;
  /** In minor units, above 0. */
  readonly discountMinor: bigint;
}

interface Priced extends PromotionLine {
  /** Its place in the order. */
  readonly place: number;
  readonly grossMinor: bigint;
}

interface Candidate extends PromotionPart {
  readonly stacking: Stacking;
  readonly priority: number;
}

type Discount = readonly [line: Priced, minor: bigint];

/**
 * What is off each line by promotions, in the order of the lines and by promotion. By which rules, tells docs/TRADE.md.
 * What others have taken of budgets is not known here: what is off is subject to them.
 *
 * @throws RangeError when a line comes to more than the server takes.
 */
export function promotionsOn(
  promotions: Iterable<PromotionRecord>,
  lines: readonly PromotionLine[],
  buyer: Buyer,
): PromotionPart[][] {
  const priced = lines.map((line, place) => {
    return { ...line, place, grossMinor: grossOf(line.quantityMilli, line.priceMinor, line.perMilli) };
  });
  const inTurn = [...priced].sort((one, other) => (one.lineId < other.lineId ? -1 : 1));
  const candidates = priced.map((): Candidate[] => []);
  for (const { id, promotion } of promotions) {
    if (!applies(promotion, buyer)) {
      continue;
    }
    for (const [line, minor] of discounts(promotion, inTurn)) {
      const discountMinor = least(minor, line.grossMinor);
      if (discountMinor > 0n) {
        const { stacking, priority } = promotion;
        candidates[line.place]?.push({ promotionId: id, discountMinor, stacking, priority });
      }
    }
  }
  return candidates.map((found, place) => together(found, priced[place]?.grossMinor ?? 0n));
}

function applies(promotion: Promotion, buyer: Buyer): boolean {
  const { validFromDay: from, validToDay: to, audience } = promotion;
  const valid = (from === 0 || from <= buyer.day) && (to === 0 || buyer.day <= to);
  const invited = audience === undefined || invites(audience, buyer);
  return valid && invited && !promotion.closed && promotion.currency === buyer.currency;
}

/** Whether somebody is among those for whom something is. */
export function invites(audience: Audience, buyer: Buyer): boolean {
  const { outletIds, outletLabels, outletClasses, agreementIds, chainIds } = audience;
  const lists: readonly (readonly unknown[])[] = [outletIds, outletLabels, outletClasses, agreementIds, chainIds];
  return (
    lists.every((list) => list.length === 0) ||
    outletIds.some((id) => toHex(id) === buyer.outletId) ||
    outletLabels.some((label) => buyer.outlet.labels.includes(label)) ||
    outletClasses.includes(buyer.outlet.outletClass) ||
    agreementIds.some((id) => toHex(id) === buyer.agreementId) ||
    chainIds.some((id) => toHex(id) === toHex(buyer.outlet.chainId))
  );
}

function concerns(promotion: Promotion, line: Priced): boolean {
  const { productIds, productGroups } = promotion;
  return (
    (productIds.length === 0 && productGroups.length === 0) ||
    productIds.some((id) => toHex(id) === line.productId) ||
    productGroups.some(({ path }) => path.every((name, depth) => line.groupPath[depth] === name))
  );
}

function discounts(promotion: Promotion, inTurn: readonly Priced[]): Discount[] {
  const { benefit } = promotion;
  const isGoods = (line: Priced): boolean => {
    if (benefit.case === "bundle") {
      return benefit.value.items.some(({ productId }) => toHex(productId) === line.productId);
    }
    const isGift = benefit.case === "freeGoods" && toHex(benefit.value.productId) === line.productId;
    return !isGift && concerns(promotion, line);
  };
  const goods = inTurn.filter(isGoods);
  const quantity = quantityOf(goods);
  const sum = goods.reduce((sum, line) => sum + line.grossMinor, 0n);
  if (goods.length === 0 || quantity < promotion.minQuantityMilli || sum < promotion.minSumMinor) {
    return [];
  }
  switch (benefit.case) {
    case "percentBp":
      return goods.map((line) => [line, shareOf(line.grossMinor, BigInt(benefit.value), WHOLE_BP)]);
    case "amountMinor":
      return spread(benefit.value, sum, goods);
    case "specialPrice": {
      const { priceMinor, perMilli } = benefit.value;
      const special = (line: Priced) => shareOf(line.quantityMilli, priceMinor, perOf(perMilli));
      return goods.map((line) => [line, line.grossMinor - special(line)]);
    }
    case "freeGoods":
      return freeGoods(benefit.value, quantity, goods, inTurn);
    case "bundle": {
      const { items, percentBp } = benefit.value;
      const of = (product: Uint8Array) => goods.filter((line) => line.productId === toHex(product));
      const bundles = items.map(({ productId, quantityMilli }) => quantityOf(of(productId)) / quantityMilli);
      const whole = bundles.reduce(least);
      return items.flatMap(({ productId, quantityMilli }) => {
        return takeOff(whole * quantityMilli, BigInt(percentBp), of(productId));
      });
    }
    case undefined:
      return [];
  }
}

function quantityOf(lines: readonly Priced[]): bigint {
  return lines.reduce((sum, line) => sum + line.quantityMilli, 0n);
}

/** Each line gets what is whole of its part, and what remains goes unit by unit to those with the largest rests. */
function spread(amountMinor: bigint, sum: bigint, goods: readonly Priced[]): Discount[] {
  if (sum === 0n) {
    return [];
  }
  const amount = least(amountMinor, sum);
  const rest = (line: Priced) => (line.grossMinor * amount) % sum;
  const shares = new Map(goods.map((line) => [line, (line.grossMinor * amount) / sum]));
  let left = [...shares.values()].reduce((left, share) => left - share, amount);
  const byRest = [...goods].sort((one, other) => (rest(one) === rest(other) ? 0 : rest(one) > rest(other) ? -1 : 1));
  for (const line of byRest) {
    if (left > 0n) {
      shares.set(line, (shares.get(line) ?? 0n) + 1n);
      left -= 1n;
    }
  }
  return [...shares];
}

function freeGoods(
  { everyMilli, freeMilli, productId }: FreeGoods,
  quantity: bigint,
  goods: readonly Priced[],
  inTurn: readonly Priced[],
): Discount[] {
  if (productId.length > 0) {
    const gifts = inTurn.filter((line) => line.productId === toHex(productId));
    return takeOff((quantity / everyMilli) * freeMilli, WHOLE_BP, gifts);
  }
  return [...new Set(goods.map((line) => line.productId))].flatMap((product) => {
    const own = goods.filter((line) => line.productId === product);
    return takeOff((quantityOf(own) / (everyMilli + freeMilli)) * freeMilli, WHOLE_BP, own);
  });
}

/** Takes a part of the price off so much of what these lines have, line by line. */
function takeOff(milli: bigint, percentBp: bigint, of: readonly Priced[]): Discount[] {
  let left = milli;
  return of.map((line) => {
    const taken = least(left, line.quantityMilli);
    left -= taken;
    return [line, shareOf(grossOf(taken, line.priceMinor, line.perMilli), percentBp, WHOLE_BP)];
  });
}

/** Which promotions of a line count beside one another. */
function together(candidates: readonly Candidate[], grossMinor: bigint): PromotionPart[] {
  const of = (stacking: Stacking) => candidates.filter((candidate) => kindOf(candidate) === stacking);
  const better = (one: Candidate, other: Candidate) => {
    if (one.discountMinor !== other.discountMinor) {
      return one.discountMinor > other.discountMinor ? -1 : 1;
    }
    return one.promotionId < other.promotionId ? -1 : 1;
  };
  const [only] = of(Stacking.EXCLUSIVE).sort((one, other) => other.priority - one.priority || better(one, other));
  if (only !== undefined) {
    return [part(only)];
  }
  let left = grossMinor;
  const inRank = of(Stacking.SUM).sort((one, other) => {
    return other.priority - one.priority || (one.promotionId < other.promotionId ? -1 : 1);
  });
  const sums = inRank.map((candidate) => {
    const discountMinor = least(candidate.discountMinor, left);
    left -= discountMinor;
    return { promotionId: candidate.promotionId, discountMinor };
  });
  const [best] = of(Stacking.BEST).sort(better);
  if (best !== undefined && best.discountMinor > grossMinor - left) {
    return [part(best)];
  }
  const counted = sums.filter(({ discountMinor }) => discountMinor > 0n);
  return counted.sort((one, other) => (one.promotionId < other.promotionId ? -1 : 1));
}

function kindOf({ stacking }: Candidate): Stacking {
  return stacking === Stacking.UNSPECIFIED ? Stacking.BEST : stacking;
}

function part({ promotionId, discountMinor }: Candidate): PromotionPart {
  return { promotionId, discountMinor };
}

function least(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}
