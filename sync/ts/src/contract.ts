import type { Contract } from "./gen/roundsman/trade/v1/network_pb.js";
import { type Id, toHex } from "./id.js";

/** A contract record. */
export interface ContractRecord {
  readonly id: Id;
  readonly contract: Contract;
}

/** What decides under which contract an order is made. */
export interface ToContract {
  readonly agreementId: Id;
  /** In days since 1970-01-01. */
  readonly orderDay: number;
  /** The contract under which the order is already, or that the customer wants. */
  readonly contractId?: Id;
}

/** How an order stands to the contracts of its customer. */
export type Standing =
  /** None of them covers its agreement. */
  | { readonly standing: "free" }
  /** It is made under this one. */
  | { readonly standing: "under"; readonly contractId: Id }
  /** This one covers its agreement, and is not valid on its day, and no other is: the order will be held. */
  | { readonly standing: "expired"; readonly contractId: Id };

/**
 * How an order stands to these contracts: those of its customer in its currency. The one that the customer wants counts if it covers
 * the agreement; otherwise, of those that are valid on the day, the one that begins last, and of several such the one with the
 * greatest id.
 */
export function standingOf(contracts: readonly ContractRecord[], order: ToContract): Standing {
  const covering = contracts.filter(({ contract }) => covers(contract, order.agreementId));
  const own = covering.filter(({ id }) => id === order.contractId);
  const found = [...(own.length > 0 ? own : covering)].sort(byBeginning);
  const valid = found.filter(({ contract }) => isValid(contract, order.orderDay)).at(-1);
  const last = found.at(-1);
  if (valid !== undefined) {
    return { standing: "under", contractId: valid.id };
  }
  return last === undefined ? { standing: "free" } : { standing: "expired", contractId: last.id };
}

function covers({ agreementIds }: Contract, agreementId: Id): boolean {
  return agreementIds.length === 0 || agreementIds.some((id) => toHex(id) === agreementId);
}

function isValid({ closed, validFromDay, validToDay }: Contract, day: number): boolean {
  return !closed && validFromDay <= day && (validToDay === 0 || day <= validToDay);
}

function byBeginning(one: ContractRecord, other: ContractRecord): number {
  return one.contract.validFromDay - other.contract.validFromDay || (one.id < other.id ? -1 : 1);
}
