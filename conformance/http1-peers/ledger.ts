/** What is to come and what came: servers look plans up by the token of a request, and write down what they saw of it. */
import type { FieldLine } from '@ferrata/testkit';
import { type Plan, type PlannedInterim, TOKEN_FIELD, valueOf } from './plan.ts';

/** A request as a server saw it. */
export interface SeenRequest {
  readonly method: string;
  readonly target: string;
  readonly minorVersion: number;
  readonly fields: readonly FieldLine[];
  /** Null: not read to its end. */
  readonly body: Uint8Array | null;
  readonly trailers: readonly FieldLine[];
}

/** A response as a client saw it. */
export interface SeenResponse {
  readonly interim: readonly PlannedInterim[];
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly FieldLine[];
  readonly body: Uint8Array;
  readonly trailers: readonly FieldLine[];
  /** Differs for each connection of the client. */
  readonly connection: number;
}

/** One acting out of a plan, as its server has it. */
export interface Entry {
  readonly plan: Plan;
  readonly token: string;
  /** To be called once, when the server has seen all that it will see. */
  readonly see: (request: SeenRequest) => void;
}

/** The exchanges under way. */
export class Ledger {
  readonly #entries = new Map<string, Entry>();
  /** What nobody planned: requests, the sign of two recipients that disagree where a message ends, and servers that failed. */
  readonly #faults: string[] = [];

  /** @returns the request, once a server has seen it */
  expect(one: Plan, token: string): Promise<SeenRequest> {
    const { promise, resolve } = Promise.withResolvers<SeenRequest>();
    this.#entries.set(token, { plan: one, token, see: resolve });
    return promise;
  }

  /** The plan of a request that has come; null if nobody planned it, or if it came before. */
  take(method: string, target: string, fields: readonly FieldLine[]): Entry | null {
    const token = valueOf(fields, TOKEN_FIELD) ?? '';
    const entry = this.#entries.get(token);
    if (entry === undefined) {
      this.noteFault(
        `a request that nobody sent: ${method} ${target} (${token === '' ? 'without a token' : `token ${token}, unknown or seen before`})`,
      );
      return null;
    }
    this.#entries.delete(token);
    return entry;
  }

  /** Gives a plan up. */
  forget(token: string): void {
    this.#entries.delete(token);
  }

  /** Writes down what nobody planned. */
  noteFault(fault: string): void {
    this.#faults.push(fault);
  }

  /** What nobody planned, since the last call. */
  takeFaults(): readonly string[] {
    return this.#faults.splice(0);
  }
}
