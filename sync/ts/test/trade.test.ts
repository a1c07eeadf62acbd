import assert from "node:assert/strict";

import { fromBinary } from "@bufbuild/protobuf";

import { PriceSchema } from "../src/gen/roundsman/trade/v1/goods_pb.js";
import { fromHex } from "../src/id.js";
import { type Merge, threeWay } from "../src/merge.js";
import { lineSum } from "../src/money.js";
import { priceAtQuantity, priceInForce } from "../src/price.js";
import { type Hex, testFamily, type Wide } from "./vectors.js";

interface Edit {
  readonly base: string;
  readonly current: string;
  readonly wanted: string;
}

testFamily<Edit, { readonly merge: Merge }>("merge", ({ base, current, wanted }, expected) => {
  assert.equal(threeWay(base, current, wanted), expected.merge);
});

interface Line {
  readonly quantity_milli: Wide;
  readonly price_minor: Wide;
  readonly discount_bp: number;
  readonly vat_bp: number;
  readonly vat_included: boolean;
}

testFamily<Line, { readonly amount_minor: Wide; readonly vat_minor: Wide } | { readonly refused: string }>(
  "money",
  (line, expected) => {
    const rate = {
      priceMinor: BigInt(line.price_minor),
      discountBp: line.discount_bp,
      vatBp: line.vat_bp,
      vatIncluded: line.vat_included,
    };
    const sum = () => lineSum(BigInt(line.quantity_milli), rate);
    if ("refused" in expected) {
      assert.throws(sum, RangeError);
    } else {
      const { amountMinor, vatMinor } = sum();
      assert.deepEqual({ amount_minor: `${amountMinor}`, vat_minor: `${vatMinor}` }, expected);
    }
  },
);

interface Offer {
  readonly prices: readonly { readonly record_id: Hex; readonly document: Hex }[];
  readonly day: number;
  readonly quantity_milli: Wide;
}

testFamily<Offer, { readonly record_id: Hex | null; readonly price_minor: Wide | null }>(
  "price",
  ({ prices, day, quantity_milli }, expected) => {
    const records = prices.map(({ record_id: id, document }) => ({ id, price: fromBinary(PriceSchema, fromHex(document)) }));
    const found = priceInForce(records, day);
    const price = found && priceAtQuantity(found.price, BigInt(quantity_milli));
    assert.deepEqual({ record_id: found?.id ?? null, price_minor: price === undefined ? null : `${price}` }, expected);
  },
);
