import type { Product } from "./gen/roundsman/trade/v1/goods_pb.js";
import type { Id } from "./id.js";
import { QUANTITY_MILLI } from "./money.js";
import { packagingOf, type Products, soldFor, stepDown, stepOf, stepUp } from "./step.js";

/** A line of an order that the outlet has made. */
export interface Bought {
  /** The order's day, in days since 1970-01-01. */
  readonly day: number;
  readonly productId: Id;
  /** The packaging, by its code; empty: the base unit. */
  readonly packagingCode: string;
  /** What was delivered, or while nothing was, what is confirmed; in thousandths of the base unit. */
  readonly quantityMilli: bigint;
}

/** For which time an order is proposed. */
export interface Period {
  /** The day of the order. */
  readonly day: number;
  /** From this day on all orders of the outlet are known. */
  readonly knownFromDay: number;
  /** So many days the goods are to last: until what the next visit orders has come. */
  readonly coverDays: number;
}

/** What the device knows, beside what was bought. */
export interface Goods {
  readonly products: Products;
  /** What the outlet is to have at least, see `mustSellMinimums`. */
  readonly mustSell: ReadonlyMap<Id, bigint>;
  /** What is free, by product, as far as the device knows. */
  readonly free: ReadonlyMap<Id, bigint>;
}

/** What bounds a proposed quantity: what the outlet sells, the must-sell list, or stock. */
export type Bound = "demand" | "must_sell" | "stock";

/** Why so much of a product is proposed. Quantities are in thousandths of the base unit. */
export interface Reasons {
  /** What the outlet has bought of it, and of what it replaces, on the observed days. */
  readonly boughtMilli: bigint;
  /** So many days were observed: from the first known order to the day before this one. 0: no order is known. */
  readonly observedDays: number;
  /** `boughtMilli` a day, rounded half up; to be shown. */
  readonly averageMilli: bigint;
  readonly coverDays: number;
  /** The last day on which it was bought, this one and coming ones included. 0: never. */
  readonly lastDay: number;
  /** What was bought on that day. */
  readonly lastMilli: bigint;
  /** What should be left of that, rounded down, and at least nothing. */
  readonly leftMilli: bigint;
  /** What the must-sell lists want. 0: nothing. */
  readonly mustSellMilli: bigint;
  /** What sells in the days to cover, rounded up, or what the must-sell lists want if that is more; less what is left. */
  readonly neededMilli: bigint;
  /** In such steps it is ordered. */
  readonly stepMilli: bigint;
  /** What is free. `undefined`: nobody knows. */
  readonly freeMilli: bigint | undefined;
  readonly bound: Bound;
}

/** A proposed line. */
export interface Recommended {
  readonly productId: Id;
  /** The packaging in which it was bought last, if it still exists; empty: the base unit. */
  readonly packagingCode: string;
  /** What is needed, rounded up to a whole step; or as many whole steps as are free. May be 0 then. */
  readonly quantityMilli: bigint;
  readonly reasons: Reasons;
}

interface Past {
  bought: bigint;
  lastDay: number;
  last: bigint;
  packagingCode: string;
}

/**
 * The order to propose to an outlet, by product. What is no longer sold is proposed as its successor, and what is not needed not
 * at all. The rules are in docs/TRADE.md. Of lines of one product and day the last one's packaging counts.
 */
export function recommend(bought: readonly Bought[], goods: Goods, period: Period): Recommended[] {
  const known = bought.filter(({ day, quantityMilli }) => day >= period.knownFromDay && quantityMilli > 0n);
  const firstDay = known.reduce((first, { day }) => Math.min(first, day), period.day);
  const observedDays = period.day - firstDay;
  const pasts = new Map<Id, Past>();
  for (const line of known) {
    const found = soldFor(line.productId, goods.products);
    if (found !== undefined) {
      pasts.set(found[0], added(pasts.get(found[0]), line, period.day));
    }
  }
  const mustSell = new Map<Id, bigint>();
  for (const [productId, quantityMilli] of goods.mustSell) {
    const found = soldFor(productId, goods.products);
    if (found !== undefined) {
      mustSell.set(found[0], greater(mustSell.get(found[0]) ?? 0n, quantityMilli));
    }
  }
  const named = [...new Set([...pasts.keys(), ...mustSell.keys()])].sort();
  return named.flatMap((productId) => {
    const product = goods.products.get(productId);
    const past = pasts.get(productId) ?? { bought: 0n, lastDay: 0, last: 0n, packagingCode: "" };
    const mustSellMilli = mustSell.get(productId) ?? 0n;
    const known = { past, mustSellMilli, freeMilli: goods.free.get(productId) };
    const line = product && propose([productId, product], known, period, observedDays);
    return line === undefined ? [] : [line];
  });
}

function added(before: Past | undefined, { day, quantityMilli, packagingCode }: Bought, today: number): Past {
  // What is bought today is sold later.
  const bought = (before?.bought ?? 0n) + (day < today ? quantityMilli : 0n);
  if (before === undefined || day > before.lastDay) {
    return { bought, lastDay: day, last: quantityMilli, packagingCode };
  }
  return day === before.lastDay ? { bought, lastDay: day, last: before.last + quantityMilli, packagingCode } : { ...before, bought };
}

function propose(
  [productId, product]: readonly [Id, Product],
  { past, mustSellMilli, freeMilli }: { past: Past; mustSellMilli: bigint; freeMilli: bigint | undefined },
  { day, coverDays }: Period,
  observedDays: number,
): Recommended | undefined {
  const days = BigInt(Math.max(observedDays, 1));
  const since = BigInt(Math.max(day - past.lastDay, 0));
  const leftMilli = greater(past.last - roundedUp(past.bought * since, days), 0n);
  const demand = roundedUp(past.bought * BigInt(Math.max(coverDays, 0)), days);
  const needed = greater(demand, mustSellMilli) - leftMilli;
  if (needed <= 0n) {
    return undefined;
  }
  const packaging = packagingOf(product, past.packagingCode);
  const neededMilli = needed > QUANTITY_MILLI ? QUANTITY_MILLI : needed;
  const stepMilli = stepOf(product, packaging);
  const wanted = stepUp(neededMilli, stepMilli);
  const there = freeMilli === undefined ? wanted : stepDown(freeMilli, stepMilli);
  const bound: Bound = there < wanted ? "stock" : demand < mustSellMilli ? "must_sell" : "demand";
  const reasons: Reasons = {
    boughtMilli: past.bought,
    observedDays,
    averageMilli: (2n * past.bought + days) / (2n * days),
    coverDays,
    lastDay: past.lastDay,
    lastMilli: past.last,
    leftMilli,
    mustSellMilli,
    neededMilli,
    stepMilli,
    freeMilli,
    bound,
  };
  const quantityMilli = there < wanted ? there : wanted;
  return { productId, packagingCode: packaging?.code ?? "", quantityMilli, reasons };
}

/** Divided and rounded up, of numbers not below 0. */
function roundedUp(numerator: bigint, denominator: bigint): bigint {
  return (numerator + denominator - 1n) / denominator;
}

function greater(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}
