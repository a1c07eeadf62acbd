export { type Alternative, alternatives, type Delivery, type Successor, type Wish } from "./alternatives.js";
export * from "./bucket.js";
export { agreementsOf, type OutletTerms } from "./chain.js";
export { rowHash } from "./checksum.js";
export { type ContractRecord, type Standing, standingOf, type ToContract } from "./contract.js";
export { type Copied, copyLines, type Held, type LeftOut, type Offer, type ToCopy } from "./copy.js";
export { type LocalTime, promisedDay } from "./delivery.js";
export {
  type Age,
  AGES,
  aging,
  allocate,
  type Allocation,
  exposureOf,
  fitsCredit,
  type Ledger,
  type OpenItem,
  openItems,
  type OrderRecord,
  type Paying,
  type Share,
  underContract,
} from "./debt.js";
export * from "./device.js";
export { type ErrorInfo, errorInfo } from "./error-info.js";
export * from "./fault.js";
export * from "./id.js";
export { IndexedDbStorage } from "./indexeddb.js";
export { MemoryStorage } from "./memory.js";
export { type Merge, threeWay } from "./merge.js";
export { grossOf, lineSum, type Rate, shareOf, type Sum } from "./money.js";
export { mustSellMinimums } from "./must-sell.js";
export * from "./outbox.js";
export { type Row, unpack, type Unpacked } from "./page.js";
export type { Cursor, Position } from "./position.js";
export { type PriceListRecord, type PriceRecord, type Quote, quote, type Wanted } from "./price.js";
export { type Buyer, type PromotionLine, type PromotionPart, type PromotionRecord, promotionsOn } from "./promotion.js";
export { type Bound, type Bought, type Goods, type Period, type Reasons, type Recommended, recommend } from "./recommend.js";
export * from "./replica.js";
export { packagingOf, type Products, soldFor, stepDown, stepOf, stepUp } from "./step.js";
export { type NextStep, nextStep, type ShutOut, shutOut } from "./wipe.js";
export type { Key, Prefix, Storage, Table, Tables, Transaction } from "./storage.js";
