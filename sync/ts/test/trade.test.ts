import assert from "node:assert/strict";
import { test } from "node:test";

import { fromBinary, toBinary } from "@bufbuild/protobuf";

import { alternatives } from "../src/alternatives.js";
import { copyLines } from "../src/copy.js";
import { agreementsOf } from "../src/chain.js";
import { promisedDay } from "../src/delivery.js";
import { CollectPaymentSchema, NewOrderLineSchema } from "../src/gen/roundsman/trade/v1/command_pb.js";
import { PriceListSchema, PriceSchema, ProductSchema } from "../src/gen/roundsman/trade/v1/goods_pb.js";
import { GoodsReturnSchema } from "../src/gen/roundsman/trade/v1/goods_return_pb.js";
import { PaymentSchema, type PaymentShare, ReceivableSchema } from "../src/gen/roundsman/trade/v1/money_pb.js";
import { MustSellListSchema } from "../src/gen/roundsman/trade/v1/must_sell_pb.js";
import { AgreementSchema, ContractSchema, OutletSchema } from "../src/gen/roundsman/trade/v1/network_pb.js";
import { OrderLineSchema, OrderSchema } from "../src/gen/roundsman/trade/v1/order_pb.js";
import { PromotionSchema } from "../src/gen/roundsman/trade/v1/promotion_pb.js";
import { AGES, aging, allocate, exposureOf, fitsCredit, type Ledger, type Share, underContract } from "../src/debt.js";
import { type ContractRecord, standingOf } from "../src/contract.js";
import { fromHex, toHex } from "../src/id.js";
import { type Merge, threeWay } from "../src/merge.js";
import { lineSum } from "../src/money.js";
import { mustSellMinimums } from "../src/must-sell.js";
import { quote } from "../src/price.js";
import { promotionsOn } from "../src/promotion.js";
import { recommend } from "../src/recommend.js";
import type { Products } from "../src/step.js";
import { type Hex, readFamily, testFamily, type Wide } from "./vectors.js";

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
  readonly per_milli: Wide;
  readonly promotions_minor: Wide;
  readonly discount_bp: number;
  readonly vat_bp: number;
  readonly vat_included: boolean;
}

testFamily<Line, { readonly amount_minor: Wide; readonly vat_minor: Wide } | { readonly refused: string }>(
  "money",
  (line, expected) => {
    const rate = {
      priceMinor: BigInt(line.price_minor),
      perMilli: BigInt(line.per_milli),
      promotionsMinor: BigInt(line.promotions_minor),
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

interface Written {
  readonly record_id: Hex;
  readonly document: Hex;
}

interface Offer {
  readonly prices: readonly Written[];
  readonly list_id: Hex;
  readonly list: Hex;
  readonly day: number;
  readonly packaging_code: string;
  readonly quantity_milli: Wide;
}

interface Offered {
  readonly record_id: Hex | null;
  readonly price_minor: Wide | null;
  readonly per_milli: Wide | null;
}

testFamily<Offer, Offered>("price", (offer, expected) => {
  const records = offer.prices.map(({ record_id: id, document }) => {
    return { id, price: fromBinary(PriceSchema, fromHex(document)) };
  });
  const list = { id: offer.list_id, list: fromBinary(PriceListSchema, fromHex(offer.list)) };
  const { day, packaging_code: packagingCode } = offer;
  const found = quote(records, list, { quantityMilli: BigInt(offer.quantity_milli), packagingCode, day });
  const wide = (number: bigint | undefined) => (number === undefined ? null : `${number}`);
  assert.deepEqual(
    { record_id: found?.priceId ?? null, price_minor: wide(found?.priceMinor), per_milli: wide(found?.perMilli) },
    expected,
  );
});

interface Promoted {
  readonly promotions: readonly Written[];
  readonly outlet_id: Hex;
  readonly outlet: Hex;
  readonly agreement_id: Hex;
  readonly currency: string;
  readonly day: number;
  readonly lines: readonly {
    readonly line_id: Hex;
    readonly product_id: Hex;
    readonly group_path: readonly string[];
    readonly quantity_milli: Wide;
    readonly price_minor: Wide;
    readonly per_milli: Wide;
  }[];
}

interface Off {
  readonly lines: readonly (readonly { readonly promotion_id: Hex; readonly discount_minor: Wide }[])[];
}

testFamily<Promoted, Off>("promotion", (order, expected) => {
  const promotions = order.promotions.map(({ record_id: id, document }) => {
    return { id, promotion: fromBinary(PromotionSchema, fromHex(document)) };
  });
  const lines = order.lines.map((line) => ({
    lineId: line.line_id,
    productId: line.product_id,
    groupPath: line.group_path,
    quantityMilli: BigInt(line.quantity_milli),
    priceMinor: BigInt(line.price_minor),
    perMilli: BigInt(line.per_milli),
  }));
  const outlet = fromBinary(OutletSchema, fromHex(order.outlet));
  const { outlet_id: outletId, agreement_id: agreementId, currency, day } = order;
  const found = promotionsOn(promotions, lines, { outletId, outlet, agreementId, currency, day });
  const written = found.map((parts) => {
    return parts.map(({ promotionId, discountMinor }) => {
      return { promotion_id: promotionId, discount_minor: `${discountMinor}` };
    });
  });
  assert.deepEqual(written, expected.lines);
});

interface Delivery {
  readonly agreement: Hex;
  readonly order_day: number;
  readonly wanted_day: number;
  readonly day: number;
  readonly second: number;
}

testFamily<Delivery, { readonly promised_day: number }>("delivery", (order, expected) => {
  const agreement = fromBinary(AgreementSchema, fromHex(order.agreement));
  const { order_day: orderDay, wanted_day: wantedDay, day, second } = order;
  assert.deepEqual({ promised_day: promisedDay(agreement, orderDay, wantedDay, { day, second }) }, expected);
});
interface WrittenLedger {
  readonly receivables: readonly Hex[];
  readonly orders: readonly Written[];
  readonly payments: readonly Hex[];
  readonly returns?: readonly Hex[];
  readonly contracts?: readonly Written[];
}

type Debt =
  | { readonly of: "exposure"; readonly ledger: WrittenLedger; readonly value_minor: Wide; readonly limit_minor: Wide | null }
  | { readonly of: "allocation"; readonly ledger: WrittenLedger; readonly command: Hex }
  | { readonly of: "aging"; readonly receivable: Hex; readonly day: number }
  | {
      readonly of: "contract";
      readonly contracts: readonly Written[];
      readonly own_contract_id: Hex;
      readonly agreement_id: Hex;
      readonly order_day: number;
    }
  | { readonly of: "contract exposure"; readonly ledger: WrittenLedger; readonly contract_id: Hex };

// Which of the orders that wait are released is the server's matter.
for (const { name, input, expected } of readFamily<Debt | { readonly of: "release" }, unknown>("credit")) {
  if (input.of !== "release") {
    test(`credit: ${name}`, () => checkDebt(input, expected));
  }
}

function checkDebt(input: Debt, expected: unknown): void {
  switch (input.of) {
    case "exposure": {
      const ledger = ledgerOf(input.ledger);
      const limit = input.limit_minor === null ? undefined : BigInt(input.limit_minor);
      const fits = fitsCredit(ledger, BigInt(input.value_minor), limit);
      assert.deepEqual({ exposure_minor: `${exposureOf(ledger)}`, fits }, expected);
      return;
    }
    case "allocation": {
      const command = fromBinary(CollectPaymentSchema, fromHex(input.command));
      const { amountMinor } = command;
      const [orderId, contractId] = [toHex(command.orderId), toHex(command.contractId)];
      const paying = { amountMinor, shares: command.shares.map(shareOf), orderId, contractId };
      const paid = allocate(ledgerOf(input.ledger), paying);
      const { allocations, advanceMinor } = paid;
      const parts = allocations.map((part) => ({
        document_number: part.documentNumber,
        order_id: part.orderId,
        due_day: part.dueDay,
        amount_minor: `${part.amountMinor}`,
      }));
      const under = input.ledger.contracts === undefined ? {} : { contract_id: paid.contractId };
      assert.deepEqual({ advance_minor: `${advanceMinor}`, allocations: parts, ...under }, expected);
      return;
    }
    case "aging": {
      const sums = aging(fromBinary(ReceivableSchema, fromHex(input.receivable)), input.day);
      assert.deepEqual({ sums_minor: AGES.map((age) => `${sums.get(age)}`) }, expected);
      return;
    }
    case "contract": {
      const { own_contract_id: contractId, agreement_id: agreementId, order_day: orderDay } = input;
      const stands = standingOf(input.contracts.map(contractRecordOf), { agreementId, orderDay, contractId });
      const found = stands.standing === "free" ? "" : stands.contractId;
      assert.deepEqual({ standing: stands.standing, contract_id: found }, expected);
      return;
    }
    case "contract exposure": {
      const exposure = exposureOf(underContract(ledgerOf(input.ledger), input.contract_id));
      assert.deepEqual({ exposure_minor: `${exposure}` }, expected);
      return;
    }
  }
}

function contractRecordOf({ record_id: id, document }: Written): ContractRecord {
  return { id, contract: fromBinary(ContractSchema, fromHex(document)) };
}

function ledgerOf({ receivables, orders, payments, returns = [], contracts = [] }: WrittenLedger): Ledger {
  return {
    receivables: receivables.map((document) => fromBinary(ReceivableSchema, fromHex(document))),
    orders: orders.map(({ record_id: id, document }) => ({ id, order: fromBinary(OrderSchema, fromHex(document)) })),
    payments: payments.map((document) => fromBinary(PaymentSchema, fromHex(document))),
    returns: returns.map((document) => fromBinary(GoodsReturnSchema, fromHex(document))),
    contracts: contracts.map(contractRecordOf),
  };
}

function shareOf({ document, amountMinor }: PaymentShare): Share {
  switch (document.case) {
    case "documentNumber":
      return { documentNumber: document.value, amountMinor };
    case "orderId":
      return { orderId: toHex(document.value), amountMinor };
    default:
      throw new TypeError("a share names a document");
  }
}

test("an outlet without agreements of its own buys by those it inherits", () => {
  const [own, inherited] = [Uint8Array.of(1), Uint8Array.of(2)];
  assert.deepEqual(agreementsOf({ agreementIds: [], inheritedAgreementIds: [inherited] }), [inherited]);
  assert.deepEqual(agreementsOf({ agreementIds: [own], inheritedAgreementIds: [inherited] }), [own]);
});
interface WrittenHeld extends Written {
  readonly version: Wide;
}

interface ToPropose {
  readonly of: "recommend";
  readonly products: readonly Written[];
  readonly must_sell: readonly Hex[];
  readonly outlet_id: Hex;
  readonly outlet: Hex;
  readonly agreement_id: Hex;
  readonly bought: readonly {
    readonly day: number;
    readonly product_id: Hex;
    readonly packaging_code: string;
    readonly quantity_milli: Wide;
  }[];
  readonly free: readonly { readonly product_id: Hex; readonly free_milli: Wide }[];
  readonly day: number;
  readonly known_from_day: number;
  readonly cover_days: number;
}

interface ToCopyAgain {
  readonly of: "copy";
  readonly products: readonly Written[];
  readonly prices: readonly WrittenHeld[];
  readonly list: Written;
  readonly promotions: readonly WrittenHeld[];
  readonly lines: readonly { readonly line_id: Hex; readonly line: Hex }[];
  readonly outlet_id: Hex;
  readonly outlet: Hex;
  readonly agreement_id: Hex;
  readonly currency: string;
  readonly day: number;
}

interface ToOffer {
  readonly of: "alternatives";
  readonly product: Hex;
  readonly packaging_code: string;
  readonly quantity_milli: Wide;
  readonly free_milli: Wide;
  readonly successor: (Written & { readonly free_milli: Wide | null }) | null;
  readonly agreement: Hex;
  readonly order_day: number;
  readonly wanted_day: number;
  readonly day: number;
  readonly second: number;
}

testFamily<ToPropose | ToCopyAgain | ToOffer, unknown>("proposal", (input, expected) => {
  switch (input.of) {
    case "recommend":
      return assert.deepEqual({ lines: proposed(input) }, expected);
    case "copy":
      return assert.deepEqual(copiedAgain(input), expected);
    case "alternatives":
      return assert.deepEqual({ alternatives: offered(input) }, expected);
  }
});

function productsOf(written: readonly Written[]): Products {
  return new Map(written.map(({ record_id: id, document }) => [id, fromBinary(ProductSchema, fromHex(document))]));
}

function proposed(input: ToPropose): unknown {
  const outlet = fromBinary(OutletSchema, fromHex(input.outlet));
  const { outlet_id: outletId, agreement_id: agreementId, day } = input;
  const lists = input.must_sell.map((list) => fromBinary(MustSellListSchema, fromHex(list)));
  const goods = {
    products: productsOf(input.products),
    mustSell: mustSellMinimums(lists, { outletId, outlet, agreementId, currency: "EUR", day }),
    free: new Map(input.free.map((free) => [free.product_id, BigInt(free.free_milli)])),
  };
  const bought = input.bought.map((line) => ({
    day: line.day,
    productId: line.product_id,
    packagingCode: line.packaging_code,
    quantityMilli: BigInt(line.quantity_milli),
  }));
  const period = { day, knownFromDay: input.known_from_day, coverDays: input.cover_days };
  return recommend(bought, goods, period).map(({ productId, packagingCode, quantityMilli, reasons }) => {
    assert.deepEqual([reasons.freeMilli, reasons.coverDays], [goods.free.get(productId), period.coverDays]);
    return {
      product_id: productId,
      packaging_code: packagingCode,
      quantity_milli: `${quantityMilli}`,
      bought_milli: `${reasons.boughtMilli}`,
      observed_days: reasons.observedDays,
      average_milli: `${reasons.averageMilli}`,
      last_day: reasons.lastDay,
      last_milli: `${reasons.lastMilli}`,
      left_milli: `${reasons.leftMilli}`,
      must_sell_milli: `${reasons.mustSellMilli}`,
      needed_milli: `${reasons.neededMilli}`,
      step_milli: `${reasons.stepMilli}`,
      bound: reasons.bound,
    };
  });
}

function copiedAgain(input: ToCopyAgain): unknown {
  const outlet = fromBinary(OutletSchema, fromHex(input.outlet));
  const { outlet_id: outletId, agreement_id: agreementId, currency, day } = input;
  const offer = {
    products: productsOf(input.products),
    prices: input.prices.map(({ record_id: id, version, document }) => {
      return { id, version: BigInt(version), price: fromBinary(PriceSchema, fromHex(document)) };
    }),
    list: { id: input.list.record_id, list: fromBinary(PriceListSchema, fromHex(input.list.document)) },
    promotions: input.promotions.map(({ record_id: id, version, document }) => {
      return { id, version: BigInt(version), promotion: fromBinary(PromotionSchema, fromHex(document)) };
    }),
  };
  const lines = input.lines.map(({ line_id: lineId, line }) => {
    return { lineId, line: fromBinary(OrderLineSchema, fromHex(line)) };
  });
  const copied = copyLines(lines, offer, { outletId, outlet, agreementId, currency, day });
  return {
    lines: copied.lines.map((line) => toHex(toBinary(NewOrderLineSchema, line))),
    replaced: [...copied.replaced],
    left_out: copied.leftOut,
  };
}

function offered(input: ToOffer): unknown {
  const wish = {
    product: fromBinary(ProductSchema, fromHex(input.product)),
    packagingCode: input.packaging_code,
    quantityMilli: BigInt(input.quantity_milli),
    freeMilli: BigInt(input.free_milli),
  };
  const successor = input.successor === null ? undefined : {
    productId: input.successor.record_id,
    product: fromBinary(ProductSchema, fromHex(input.successor.document)),
    freeMilli: input.successor.free_milli === null ? undefined : BigInt(input.successor.free_milli),
  };
  const { order_day: orderDay, wanted_day: wantedDay, day, second } = input;
  const agreement = fromBinary(AgreementSchema, fromHex(input.agreement));
  return alternatives(wish, successor, { agreement, orderDay, wantedDay, now: { day, second } }).map((found) => {
    switch (found.kind) {
      case "packaging":
        return {
          kind: found.kind,
          packaging_code: found.packagingCode,
          coefficient_milli: `${found.coefficientMilli}`,
          quantity_milli: `${found.quantityMilli}`,
        };
      case "successor":
        return { kind: found.kind, product_id: found.productId, quantity_milli: `${found.quantityMilli}` };
      case "later":
        return found;
    }
  });
}
