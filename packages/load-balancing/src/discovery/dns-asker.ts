/**
 * Asks the DNS, in time: each question has an answer or a reason, and never rejects.
 *
 * Rules: a question that is on its way is not asked a second time, as queries of a program's own may never be answered. What an answer has that is no address of the family, or no
 * record, is passed over.
 */
import type { Clock } from '@ferrata/clock';
import { connectError, textOf, type WireError } from '@ferrata/error';
import { type DnsTimingConfig, isIpAddress, type SrvQueries, type SrvRecord } from './dns-discovery-options.ts';

/** What came of a question. `none`: there is nothing of the kind, and nothing is wrong. */
export type DnsOutcome<T> =
  | { readonly kind: 'found'; readonly value: T }
  | { readonly kind: 'none' }
  | { readonly kind: 'failed'; readonly error: WireError };

/** The addresses of one family: each once, in the order of their text. */
export interface FoundAddresses {
  readonly addresses: readonly string[];
  /** The least of the records', before it is held within its bounds. */
  readonly ttlMs: number;
}

/** Records that are looked at in one answer; a message of the DNS has room for 4 096 of the smallest. */
const MAX_RECORDS = 65_536;

/** Asks. */
export class DnsAsker {
  readonly #queries: SrvQueries;
  readonly #clock: Clock;
  readonly #timeoutMs: number;
  readonly #running = new Map<string, Promise<unknown>>();
  /** What ends the waiting for each answer. */
  readonly #waiting = new Set<() => void>();

  constructor(queries: SrvQueries, clock: Clock, { queryTimeoutMs }: DnsTimingConfig) {
    this.#queries = queries;
    this.#clock = clock;
    this.#timeoutMs = queryTimeoutMs;
  }

  /** The addresses of a name. */
  async addresses(name: string, family: 4 | 6): Promise<DnsOutcome<FoundAddresses>> {
    const ask = (): Promise<unknown> =>
      family === 4 ? this.#queries.resolve4(name, { ttl: true }) : this.#queries.resolve6(name, { ttl: true });
    const outcome = await this.#ask(`${family === 4 ? 'A' : 'AAAA'} ${name}`, ask);
    if (outcome.kind !== 'found') return outcome;
    const found = addressesIn(outcome.value, family);
    return found.addresses.length === 0 ? { kind: 'none' } : { kind: 'found', value: found };
  }

  /** The SRV records of a name, as they came. */
  async srv(name: string): Promise<DnsOutcome<readonly SrvRecord[]>> {
    const outcome = await this.#ask(`SRV ${name}`, () => this.#queries.resolveSrv(name));
    if (outcome.kind !== 'found') return outcome;
    const records = outcome.value.slice(0, MAX_RECORDS).filter(isSrvRecord);
    return records.length === 0 ? { kind: 'none' } : { kind: 'found', value: records };
  }

  /** Gives up what is under way. */
  cancel(): void {
    this.#queries.cancel?.();
    for (const end of this.#waiting) end();
  }

  async #ask(question: string, ask: () => Promise<unknown>): Promise<DnsOutcome<readonly unknown[]>> {
    let running = this.#running.get(question);
    if (running === undefined) {
      // Within an async function: a query that throws at once rejects, too.
      running = (async (): Promise<unknown> => ask())();
      this.#running.set(question, running);
      const forget = (): void => void this.#running.delete(question);
      running.then(forget, forget);
    }
    return this.#inTime(question, running);
  }

  #inTime(question: string, running: Promise<unknown>): Promise<DnsOutcome<readonly unknown[]>> {
    return new Promise((resolve) => {
      const settle = (outcome: DnsOutcome<readonly unknown[]>): void => {
        wakeup.cancel();
        this.#waiting.delete(end);
        resolve(outcome);
      };
      const end = (): void => settle(failed('DNS_CLOSED', `${question} was given up`));
      const wakeup = this.#clock.schedule(this.#timeoutMs, () =>
        settle(failed('DNS_TIMEOUT', `no answer to ${question} within ${this.#timeoutMs} ms`)),
      );
      this.#waiting.add(end);
      running.then(
        (answer) =>
          settle(
            Array.isArray(answer)
              ? { kind: 'found', value: answer }
              : failed('DNS_LOOKUP_FAILED', `the answer to ${question} is no list of records`),
          ),
        (thrown: unknown) => settle(outcomeOfError(question, thrown)),
      );
    });
  }
}

function addressesIn(records: readonly unknown[], family: 4 | 6): FoundAddresses {
  const found = new Set<string>();
  let ttl = Infinity;
  for (const record of records.slice(0, MAX_RECORDS)) {
    if (typeof record !== 'object' || record === null) continue;
    const { address, ttl: own } = record as { readonly address?: unknown; readonly ttl?: unknown };
    if (typeof address !== 'string' || !isIpAddress(address, family)) continue;
    found.add(address);
    // What says no TTL has none.
    ttl = Math.min(ttl, typeof own === 'number' && own >= 0 ? own : 0);
  }
  return { addresses: [...found].toSorted(byText), ttlMs: ttl * 1_000 };
}

function isSrvRecord(record: unknown): record is SrvRecord {
  if (typeof record !== 'object' || record === null) return false;
  const { name, port, priority, weight } = record as Partial<Record<keyof SrvRecord, unknown>>;
  return typeof name === 'string' && [port, priority, weight].every(isUint16);
}

function isUint16(value: unknown): boolean {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= 0xffff;
}

/** What Node, or whoever asks in its place, has rejected with: its codes. */
function outcomeOfError(question: string, thrown: unknown): DnsOutcome<never> {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  const message = `${question}: ${textOf(thrown)}`;
  switch (code) {
    case 'ENOTFOUND':
    case 'ENODATA':
      return { kind: 'none' };
    case 'ESERVFAIL':
    case 'EREFUSED':
      return failed('DNS_SERVER_FAILURE', message);
    case 'ETIMEOUT':
      return failed('DNS_TIMEOUT', message);
    default:
      return failed('DNS_LOOKUP_FAILED', message);
  }
}

function failed(reason: string, message: string): DnsOutcome<never> {
  return { kind: 'failed', error: connectError(reason, message) };
}

/** By UTF-16 units: the same on every machine, whatever its language. */
export function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
