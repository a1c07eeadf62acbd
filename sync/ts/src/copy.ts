import { create } from "@bufbuild/protobuf";

import { type NewOrderLine, NewOrderLineSchema, ShownPromotionSchema } from "./gen/roundsman/trade/v1/command_pb.js";
import type { OrderLine } from "./gen/roundsman/trade/v1/order_pb.js";
import { fromHex, type Id, toHex } from "./id.js";
import { grossOf, QUANTITY_MILLI, UNIT_MILLI } from "./money.js";
import { type PriceListRecord, type PriceRecord, quote } from "./price.js";
import { type Buyer, type PromotionRecord, promotionsOn } from "./promotion.js";
import { packagingOf, type Products, soldFor, stepOf, stepUp } from "./step.js";

/** The version of the frame in which a record came. */
export interface Held {
  readonly version: bigint;
}

/** What the device sells from. */
export interface Offer {
  readonly products: Products;
  /** The prices in the agreement's list and in its base. */
  readonly prices: readonly (PriceRecord & Held)[];
  readonly list: PriceListRecord;
  /** The promotions, each once. */
  readonly promotions: readonly (PromotionRecord & Held)[];
}

/** A line to copy, with the id that its copy gets. */
export interface ToCopy {
  readonly lineId: Id;
  readonly line: OrderLine;
}

/**
 * Why a line is not copied: nothing was ordered (the server has added it as a substitute); the device does not know the product
 * or what replaces it; it is no longer sold and nothing replaces it; there is no price for it on that day, or it comes to more
 * than is taken.
 */
export type LeftOut = "not_ordered" | "unknown" | "withdrawn" | "no_price";

/** What became of the lines, each in the order in which they came. */
export interface Copied {
  readonly lines: readonly NewOrderLine[];
  /** By the new line's id: the product that it had, and that was replaced by what is sold now. */
  readonly replaced: ReadonlyMap<Id, Id>;
  /** The lines that are left out, by their old ids. */
  readonly leftOut: readonly (readonly [lineId: Id, why: LeftOut])[];
}

/**
 * The lines of an earlier order, or of a template, once more: for a new day, at its prices and promotions. Quantities are what
 * was ordered, rounded up to the product's steps, in the packaging of then where it still fits. Discounts by hand are not copied:
 * they were given once.
 */
export function copyLines(lines: readonly ToCopy[], offer: Offer, buyer: Buyer): Copied {
  const copied: { line: NewOrderLine; groupPath: readonly string[] }[] = [];
  const replaced = new Map<Id, Id>();
  const leftOut: (readonly [Id, LeftOut])[] = [];
  for (const { lineId, line: old } of lines) {
    const again = copyLine(lineId, old, offer, buyer.day);
    if (typeof again === "string") {
      leftOut.push([toHex(old.lineId), again]);
      continue;
    }
    copied.push(again);
    if (toHex(again.line.productId) !== toHex(old.productId)) {
      replaced.set(lineId, toHex(old.productId));
    }
  }
  const seen = copied.map(({ line, groupPath }) => ({
    lineId: toHex(line.lineId),
    productId: toHex(line.productId),
    groupPath,
    quantityMilli: line.quantityMilli,
    priceMinor: line.shownPriceMinor,
    perMilli: line.pricePerMilli,
  }));
  promotionsOn(offer.promotions, seen, buyer).forEach((parts, place) => {
    const promotions = parts.map(({ promotionId, discountMinor }) => {
      const promotionVersion = versionOf(promotionId, offer.promotions);
      return create(ShownPromotionSchema, { promotionId: fromHex(promotionId), promotionVersion, discountMinor });
    });
    copied[place]?.line.promotions.push(...promotions);
  });
  return { lines: copied.map(({ line }) => line), replaced, leftOut };
}

function copyLine(
  lineId: Id,
  old: OrderLine,
  { products, prices, list }: Offer,
  day: number,
): { line: NewOrderLine; groupPath: readonly string[] } | LeftOut {
  if (old.orderedMilli <= 0n) {
    return "not_ordered";
  }
  const oldId = toHex(old.productId);
  const found = soldFor(oldId, products);
  if (found === undefined) {
    return missing(oldId, products);
  }
  const [productId, product] = found;
  const ordered = old.orderedMilli > QUANTITY_MILLI ? QUANTITY_MILLI : old.orderedMilli;
  const quantityMilli = stepUp(ordered, stepOf(product, undefined));
  const same = productId === oldId ? packagingOf(product, old.packagingCode) : undefined;
  const packaging = same !== undefined && quantityMilli % same.coefficientMilli === 0n ? same : undefined;
  const packagingCode = packaging?.code ?? "";
  const ofProduct = prices.filter(({ price }) => toHex(price.productId) === productId);
  const offered = quote(ofProduct, list, { quantityMilli, packagingCode, day });
  if (offered === undefined || !isTaken(quantityMilli, offered.priceMinor, offered.perMilli)) {
    return "no_price";
  }
  const line = create(NewOrderLineSchema, {
    lineId: fromHex(lineId),
    productId: fromHex(productId),
    packagingCode,
    coefficientMilli: packaging?.coefficientMilli ?? UNIT_MILLI,
    quantityMilli,
    priceId: fromHex(offered.priceId),
    priceVersion: versionOf(offered.priceId, prices),
    shownPriceMinor: offered.priceMinor,
    pricePerMilli: offered.perMilli,
  });
  return { line, groupPath: product.groupPath };
}

function versionOf(id: Id, records: readonly (Held & { readonly id: Id })[]): bigint {
  return records.find((record) => record.id === id)?.version ?? 0n;
}

/** Whether what a line comes to is no more than the server takes. */
function isTaken(quantityMilli: bigint, priceMinor: bigint, perMilli: bigint): boolean {
  try {
    grossOf(quantityMilli, priceMinor, perMilli);
    return true;
  } catch (error) {
    if (error instanceof RangeError) {
      return false;
    }
    throw error;
  }
}

/** Why nothing is sold for a product. */
function missing(productId: Id, products: Products): LeftOut {
  const product = products.get(productId);
  if (product === undefined) {
    return "unknown";
  }
  const next = toHex(product.successorId);
  return next === "" || products.has(next) ? "withdrawn" : "unknown";
}
