import { type LocalTime, promisedDay } from "./delivery.js";
import type { Packaging, Product } from "./gen/roundsman/trade/v1/goods_pb.js";
import type { Agreement } from "./gen/roundsman/trade/v1/network_pb.js";
import type { Id } from "./id.js";
import { UNIT_MILLI } from "./money.js";
import { packagingOf, stepDown, stepOf, stepUp } from "./step.js";

/** A line that somebody wants. Quantities are in thousandths of the base unit. */
export interface Wish {
  readonly product: Product;
  /** The packaging, by its code; empty: the base unit. */
  readonly packagingCode: string;
  readonly quantityMilli: bigint;
  /** How much of it is free. */
  readonly freeMilli: bigint;
}

/** What replaces the product. */
export interface Successor {
  readonly productId: Id;
  readonly product: Product;
  /** How much of it is free. `undefined`: nobody knows, and nothing is promised of it. */
  readonly freeMilli: bigint | undefined;
}

/** When the goods would be delivered. */
export interface Delivery {
  readonly agreement: Agreement;
  readonly orderDay: number;
  /** The day on which the customer wants the goods. 0: as soon as possible. */
  readonly wantedDay: number;
  readonly now: LocalTime;
}

/**
 * Something to offer: the same product in a smaller packaging, of which more fits into what is free; the successor, for what is
 * missing; the delivery after the next one, by which the rest may have come.
 */
export type Alternative =
  | {
      readonly kind: "packaging";
      readonly packagingCode: string;
      readonly coefficientMilli: bigint;
      readonly quantityMilli: bigint;
    }
  | { readonly kind: "successor"; readonly productId: Id; readonly quantityMilli: bigint }
  | { readonly kind: "later"; readonly day: number };

/** What to offer for a line that can't be had in full, in this order. Nothing, if all of it is free. */
export function alternatives(wish: Wish, successor: Successor | undefined, delivery: Delivery): Alternative[] {
  if (wish.freeMilli >= wish.quantityMilli) {
    return [];
  }
  const found = [smaller(wish), successor && replaced(wish, successor), later(wish, delivery)];
  return found.filter((alternative) => alternative !== undefined);
}

/** What can be had of a wish in its own packaging. */
function had({ product, packagingCode, freeMilli }: Wish): bigint {
  return stepDown(freeMilli, stepOf(product, packagingOf(product, packagingCode)));
}

/** The smaller packaging in which most of it can be had: of several the largest one, then the first by its code. */
function smaller(wish: Wish): Alternative | undefined {
  const { product, freeMilli } = wish;
  const own = packagingOf(product, wish.packagingCode);
  if (own === undefined) {
    return undefined;
  }
  const offered = (packaging: Packaging | undefined) => ({
    kind: "packaging" as const,
    packagingCode: packaging?.code ?? "",
    coefficientMilli: packaging?.coefficientMilli ?? UNIT_MILLI,
    quantityMilli: stepDown(freeMilli, stepOf(product, packaging)),
  });
  const all = [undefined, ...product.packagings.filter(({ coefficientMilli }) => coefficientMilli > 0n)].map(offered);
  const most = had(wish);
  const better = all.filter((one) => one.coefficientMilli < own.coefficientMilli && one.quantityMilli > most);
  return better.sort((one, other) => {
    return (
      sign(other.quantityMilli - one.quantityMilli) ||
      sign(other.coefficientMilli - one.coefficientMilli) ||
      (one.packagingCode < other.packagingCode ? -1 : 1)
    );
  })[0];
}

function replaced(wish: Wish, { productId, product, freeMilli }: Successor): Alternative | undefined {
  const step = stepOf(product, undefined);
  const wanted = stepUp(wish.quantityMilli - had(wish), step);
  const there = stepDown(freeMilli ?? 0n, step);
  const quantityMilli = wanted < there ? wanted : there;
  return product.withdrawn || quantityMilli === 0n ? undefined : { kind: "successor", productId, quantityMilli };
}

/** What is no longer sold does not come later either. */
function later({ product }: Wish, { agreement, orderDay, wantedDay, now }: Delivery): Alternative | undefined {
  const next = promisedDay(agreement, orderDay, wantedDay, now);
  const day = promisedDay(agreement, orderDay, next + 1, now);
  return next === 0 || product.withdrawn ? undefined : { kind: "later", day };
}

function sign(difference: bigint): number {
  return difference < 0n ? -1 : difference > 0n ? 1 : 0;
}
