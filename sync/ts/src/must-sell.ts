import type { MustSellList } from "./gen/roundsman/trade/v1/must_sell_pb.js";
import { type Id, toHex } from "./id.js";
import { type Buyer, invites } from "./promotion.js";

/**
 * What an outlet is to have at least of which product, in thousandths of the base unit: the greatest of the lists that are for
 * it.
 */
export function mustSellMinimums(lists: Iterable<MustSellList>, buyer: Buyer): Map<Id, bigint> {
  const minimums = new Map<Id, bigint>();
  for (const { validFromDay, validToDay, audience, items } of lists) {
    const valid = (validFromDay === 0 || validFromDay <= buyer.day) && (validToDay === 0 || buyer.day <= validToDay);
    if (!valid || (audience !== undefined && !invites(audience, buyer))) {
      continue;
    }
    for (const { productId, quantityMilli } of items) {
      const id = toHex(productId);
      const least = minimums.get(id) ?? 0n;
      minimums.set(id, quantityMilli > least ? quantityMilli : least);
    }
  }
  return minimums;
}
