/** What a client of the suite is. */
import type { SeenResponse } from './ledger.ts';
import type { Plan } from './plan.ts';

/** A client that acts plans out, one after the other, on one connection for as long as that lasts. */
export interface PlanClient {
  /** @throws {Error} when no whole response came */
  send(one: Plan, token: string): Promise<SeenResponse>;
  close(): void | Promise<void>;
}
