import type { ContractRecord } from "./contract.js";
import { type GoodsReturn, ReturnState } from "./gen/roundsman/trade/v1/goods_return_pb.js";
import type { DueItem, Payment, PaymentAllocation, Receivable } from "./gen/roundsman/trade/v1/money_pb.js";
import { type Order, OrderStatus } from "./gen/roundsman/trade/v1/order_pb.js";
import { type Id, toHex } from "./id.js";

/** An order record. */
export interface OrderRecord {
  readonly id: Id;
  readonly order: Order;
}

/** All that a device holds of a customer's debt in one currency. */
export interface Ledger {
  /** In the order of their records' ids. */
  readonly receivables: readonly Receivable[];
  readonly orders: readonly OrderRecord[];
  readonly payments: readonly Payment[];
  /** What the customer has given back. */
  readonly returns?: readonly GoodsReturn[];
  /** The customer's contracts in this currency. */
  readonly contracts?: readonly ContractRecord[];
}

/** A document of the books, or a part of it that is due on another day. */
export interface OpenItem {
  /** Its number in the books; empty: it has none. */
  readonly documentNumber: string;
  /** The order that it belongs to; empty: unknown, or none. */
  readonly orderId: Id;
  /** In days since 1970-01-01; 0: unknown. */
  readonly dueDay: number;
  /** The contract under which it is owed; empty: under none. */
  readonly contractId: Id;
  /** What is still to be paid of it, or what a payment pays of it. In minor units, above 0. */
  readonly amountMinor: bigint;
}

/** What a customer wants to pay of one document, named by its number or by its order. */
export type Share =
  | { readonly documentNumber: string; readonly amountMinor: bigint }
  | { readonly orderId: Id; readonly amountMinor: bigint };

/** What a customer pays. */
export interface Paying {
  /** In minor units, above 0. */
  readonly amountMinor: bigint;
  /** The documents that were chosen. */
  readonly shares?: readonly Share[];
  /** The order that it is for. */
  readonly orderId?: Id;
  /** The contract for whose debt it is. */
  readonly contractId?: Id;
}

/** What becomes of a payment. */
export interface Allocation {
  /** The contract under which it counts; empty: it counts for the customer only. */
  readonly contractId: Id;
  /** Which documents it pays, oldest due day first. */
  readonly allocations: readonly OpenItem[];
  /** What of it meets no debt, in minor units. */
  readonly advanceMinor: bigint;
}

/** How long a debt is overdue, in days; what nobody knows comes last. */
export const AGES = ["not due", "1 to 7", "8 to 14", "15 to 30", "31 to 60", "more than 60", "unknown"] as const;

/** One of them. */
export type Age = (typeof AGES)[number];

/**
 * The credit exposure, as far as the device sees it: booked debt, and what confirmed orders will add to it, less the payments and
 * the returned goods that it does not contain. Negative: the customer has paid in advance.
 */
export function exposureOf({ receivables, orders, payments, returns = [] }: Ledger): bigint {
  return (
    sum(receivables.map((receivable) => receivable.debtMinor)) +
    sum(orders.map(({ order }) => comingOf(order))) -
    sum(payments.filter(({ booked }) => !booked).map((payment) => payment.amountMinor)) -
    sum(returns.filter(({ state, booked }) => state === ReturnState.RECEIVED && !booked).map((back) => back.valueMinor))
  );
}

/** What of a debt is under a contract: its limit is held against the exposure of that. */
export function underContract(ledger: Ledger, contractId: Id): Ledger {
  const isUnder = (document: { readonly contractId: Uint8Array }) => toHex(document.contractId) === contractId;
  return {
    ...ledger,
    receivables: ledger.receivables.filter(isUnder),
    orders: ledger.orders.filter(({ order }) => isUnder(order)),
    payments: ledger.payments.filter(isUnder),
    returns: (ledger.returns ?? []).filter(isUnder),
  };
}

/** Whether a value fits under a credit limit; without one everything does. */
export function fitsCredit(ledger: Ledger, valueMinor: bigint, limitMinor: bigint | undefined): boolean {
  return limitMinor === undefined || exposureOf(ledger) + valueMinor <= limitMinor;
}

/**
 * The documents that are still to be paid, oldest due day first and those without one last: as the books tell them, less what
 * payments have paid that the books don't contain.
 */
export function openItems({ receivables, payments }: Ledger): OpenItem[] {
  const paid = new Map<string, bigint>();
  for (const part of payments.filter(({ booked }) => !booked).flatMap((payment) => payment.allocations)) {
    const name = nameOf(part);
    paid.set(name, (paid.get(name) ?? 0n) + part.amountMinor);
  }
  const open: OpenItem[] = [];
  const items = receivables.flatMap(({ dueItems, contractId }) => dueItems.map((item) => ({ item, contractId })));
  for (const { item, contractId } of items.sort((one, other) => byDueDay(one.item, other.item))) {
    if (item.amountMinor <= 0n) {
      continue;
    }
    const name = nameOf(item);
    const part = lesser(item.amountMinor, paid.get(name) ?? 0n);
    paid.set(name, (paid.get(name) ?? 0n) - part);
    if (item.amountMinor > part) {
      const { documentNumber, dueDay } = item;
      const amountMinor = item.amountMinor - part;
      open.push({ documentNumber, orderId: toHex(item.orderId), dueDay, contractId: toHex(contractId), amountMinor });
    }
  }
  return open;
}

/**
 * What a payment pays, as the server will say if it knows no more than the device. What goes beyond the exposure is an advance. The
 * rest pays the documents that were chosen, then those of its order, then – less what that order will add to the debt – the
 * oldest due first. For a contract these are its documents, and then those that are owed under none.
 */
export function allocate(ledger: Ledger, paying: Paying): Allocation {
  const { amountMinor, shares = [], orderId } = paying;
  const contractId = contractOf(ledger, paying);
  const advanceMinor = amountMinor - lesser(amountMinor, greater(exposureOf(ledger), 0n));
  const items = openItems(ledger).map((item) => ({ item, paid: 0n }));
  let left = amountMinor - advanceMinor;
  const pay = (atMost: bigint, which: (item: OpenItem) => boolean) => {
    let part = lesser(left, atMost);
    for (const entry of items.filter(({ item }) => which(item))) {
      const more = lesser(part, entry.item.amountMinor - entry.paid);
      entry.paid += more;
      part -= more;
      left -= more;
    }
  };
  for (const share of shares) {
    pay(share.amountMinor, (item) => chooses(share, item));
  }
  const order = ledger.orders.find(({ id }) => id === orderId);
  if (order !== undefined) {
    pay(left, (item) => item.orderId === order.id);
    left -= lesser(left, greater(comingOf(order.order), 0n));
  }
  if (contractId !== "") {
    pay(left, (item) => item.contractId === contractId);
  }
  pay(left, (item) => contractId === "" || item.contractId === "");
  const allocations = items.filter(({ paid }) => paid > 0n).map(({ item, paid }) => ({ ...item, amountMinor: paid }));
  return { contractId, allocations, advanceMinor };
}

/** The contract that is named, else that of the order, else that of all documents that were chosen. */
function contractOf(ledger: Ledger, { shares = [], orderId, contractId = "" }: Paying): Id {
  const order = ledger.orders.find(({ id }) => id === orderId)?.order;
  const chosen = openItems(ledger).filter((item) => shares.some((share) => chooses(share, item)));
  const [first = "", ...others] = new Set(chosen.map((item) => item.contractId));
  const candidates = [contractId, order === undefined ? "" : toHex(order.contractId), others.length === 0 ? first : ""];
  return candidates.find((candidate) => ledger.contracts?.some(({ id }) => id === candidate)) ?? "";
}

function chooses(share: Share, item: OpenItem): boolean {
  return "orderId" in share ? item.orderId === share.orderId : item.documentNumber === share.documentNumber;
}

/**
 * How old a debt is on a day, as the books tell it. All ages together are the debt: what the books tell no documents of is of no
 * known age.
 */
export function aging(receivable: Receivable, day: number): ReadonlyMap<Age, bigint> {
  const sums = new Map<Age, bigint>(AGES.map((age) => [age, 0n]));
  const add = (age: Age, minor: bigint) => sums.set(age, (sums.get(age) ?? 0n) + minor);
  add("unknown", receivable.debtMinor);
  for (const { dueDay, amountMinor } of receivable.dueItems) {
    add("unknown", -amountMinor);
    add(ageOf(dueDay, day), amountMinor);
  }
  return sums;
}

function ageOf(dueDay: number, day: number): Age {
  if (dueDay === 0) {
    return "unknown";
  }
  const overdue = day - dueDay;
  const last: readonly (readonly [number, Age])[] = [
    [0, "not due"],
    [7, "1 to 7"],
    [14, "8 to 14"],
    [30, "15 to 30"],
    [60, "31 to 60"],
  ];
  return last.find(([days]) => overdue <= days)?.[1] ?? "more than 60";
}

/** What an order will add to the debt. */
function comingOf({ status, booked, valueMinor }: Order): bigint {
  const agreed =
    status === OrderStatus.CONFIRMED || status === OrderStatus.RELEASED || status === OrderStatus.CLOSED;
  return agreed && !booked ? valueMinor : 0n;
}

/** What a document is known by: its number, else its order, else its due day. */
function nameOf({ documentNumber, orderId, dueDay }: DueItem | PaymentAllocation): string {
  if (documentNumber !== "") {
    return `number ${documentNumber}`;
  }
  return orderId.length > 0 ? `order ${toHex(orderId)}` : `day ${dueDay}`;
}

/** Of those of one day the order stays. */
function byDueDay(one: DueItem, other: DueItem): number {
  if ((one.dueDay === 0) !== (other.dueDay === 0)) {
    return one.dueDay === 0 ? 1 : -1;
  }
  return one.dueDay - other.dueDay;
}

function lesser(one: bigint, other: bigint): bigint {
  return one < other ? one : other;
}

function greater(one: bigint, other: bigint): bigint {
  return one > other ? one : other;
}

function sum(minor: readonly bigint[]): bigint {
  return minor.reduce((all, one) => all + one, 0n);
}
