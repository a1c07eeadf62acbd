import type { Packaging, Product } from "./gen/roundsman/trade/v1/goods_pb.js";
import { type Id, toHex } from "./id.js";
import { QUANTITY_MILLI, UNIT_MILLI } from "./money.js";

/** A chain of successors is followed so far. */
const SUCCESSORS = 8;

/** The products that the device knows, by their ids. */
export type Products = ReadonlyMap<Id, Product>;

/** A packaging of a product, by its code; the base unit, by the empty code, is none. */
export function packagingOf(product: Product, code: string): Packaging | undefined {
  return product.packagings.find((packaging) => packaging.code === code && packaging.coefficientMilli > 0n);
}

/**
 * The smallest quantity of which all others are multiples that a product may be ordered in: its `multiple_milli`, or one base
 * unit where it says none; and where it is ordered in a packaging, whole packages at the same time.
 */
export function stepOf({ multipleMilli }: Product, packaging: Packaging | undefined): bigint {
  if (packaging === undefined) {
    return limited(multipleMilli > 0n ? multipleMilli : UNIT_MILLI);
  }
  const { coefficientMilli } = packaging;
  return limited(multipleMilli > 0n ? (multipleMilli * coefficientMilli) / divisor(multipleMilli, coefficientMilli) : coefficientMilli);
}

/** The smallest multiple of a step that is not below a quantity; nothing where that is none. */
export function stepUp(quantityMilli: bigint, stepMilli: bigint): bigint {
  return quantityMilli <= 0n ? 0n : ((quantityMilli + stepMilli - 1n) / stepMilli) * stepMilli;
}

/** The greatest multiple of a step that is not above a quantity; nothing where that is none. */
export function stepDown(quantityMilli: bigint, stepMilli: bigint): bigint {
  return quantityMilli <= 0n ? 0n : (quantityMilli / stepMilli) * stepMilli;
}

/**
 * The product that is sold for another one: itself, or while it is withdrawn what replaces it. `undefined`: nothing does, or the
 * device does not know it.
 */
export function soldFor(productId: Id, products: Products): readonly [Id, Product] | undefined {
  let id = productId;
  for (let followed = 0; followed <= SUCCESSORS; followed += 1) {
    const product = products.get(id);
    if (product === undefined || !product.withdrawn) {
      return product && [id, product];
    }
    id = toHex(product.successorId);
  }
  return undefined;
}

function limited(step: bigint): bigint {
  return step > QUANTITY_MILLI ? QUANTITY_MILLI : step;
}

function divisor(one: bigint, other: bigint): bigint {
  return other === 0n ? one : divisor(other, one % other);
}
