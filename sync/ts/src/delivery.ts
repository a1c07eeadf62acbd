import type { Agreement } from "./gen/roundsman/trade/v1/network_pb.js";

const LEAD_DAYS = 366;
const WEEK = 0x7f;

/** A moment in the territory of an outlet. */
export interface LocalTime {
  /** The day, in days since 1970-01-01. */
  readonly day: number;
  /** The wall-clock time, in seconds since 00:00. */
  readonly second: number;
}

/**
 * The day for which an order of `orderDay` can be promised if it is decided at `now`, when the customer wants it on
 * `wantedDay` (0: as soon as possible). 0: as soon as possible, where the agreement has no calendar.
 */
export function promisedDay(agreement: Agreement, orderDay: number, wantedDay: number, now: LocalTime): number {
  const { cutOffS, deliveryLeadDays } = agreement;
  const weekdays = agreement.deliveryWeekdays & WEEK;
  if (weekdays === 0 && cutOffS <= 0 && deliveryLeadDays <= 0) {
    return wantedDay === 0 ? 0 : Math.max(wantedDay, now.day);
  }
  const late = orderDay <= now.day && cutOffS > 0 && now.second >= cutOffS ? 1 : 0;
  const lead = Math.min(Math.max(deliveryLeadDays, 0), LEAD_DAYS);
  const first = Math.max(Math.max(orderDay, now.day) + lead + late, wantedDay);
  for (let day = first; weekdays !== 0 && day < first + 7; day += 1) {
    // 1970-01-01 was a Thursday.
    const sinceMonday = (((day + 3) % 7) + 7) % 7;
    if (((weekdays >> sinceMonday) & 1) === 1) {
      return day;
    }
  }
  return first;
}
