/**
 * What is known of one name: the last good addresses of each family, until when they hold, and why there are no newer ones.
 *
 * Rules of this file:
 * - A family's addresses are replaced when it has answered with some. They are dropped when it has none any more while the other family has: a service may give a
 *   family up. In every other case (a failure, and NXDOMAIN too, which a broken zone says as well) the last good ones stay, up to `maxStaleMs` after their end.
 * - The clock decides what is stale, nothing else: what is handed out says how old it is.
 */
import { isIP } from 'node:net';
import { connectError, textOf, type WireError } from '@ferrata/error';
import type { DnsAddress, DnsResolverConfig } from './dns-options.ts';

/** What came of asking for the addresses of one family. */
export type FamilyOutcome =
  | { readonly kind: 'found'; readonly addresses: readonly string[]; readonly freshUntil: number }
  /** The name has no such records. `isUnknown`: there is no such name at all. */
  | { readonly kind: 'none'; readonly isUnknown: boolean }
  | { readonly kind: 'failed'; readonly reason: string; readonly message: string };

/** Outcomes by family; null: not yet. */
export interface FamilyOutcomes {
  4: FamilyOutcome | null;
  6: FamilyOutcome | null;
}

/** What a name leads to. */
export interface DnsAnswer {
  /** At least one; families alternate, and each answer begins with another address. The caller's own. */
  readonly addresses: DnsAddress[];
  /** By how much the oldest of them is past its time, ms; 0: none is. */
  readonly staleMs: number;
  /** Why there are no newer ones; null if the last answer was a good one. */
  readonly error: WireError | null;
}

interface FamilySet {
  readonly addresses: readonly string[];
  readonly freshUntil: number;
}

const NOTHING: FamilySet = { addresses: [], freshUntil: Number.NEGATIVE_INFINITY };

/** One name. */
export class DnsName {
  readonly name: string;
  /** Before that it is not asked for. */
  askAt: number = Number.NEGATIVE_INFINITY;
  /** Settles, never rejects, when there is something to say; null: nobody asks. */
  asking: Promise<void> | null = null;
  /** What is on its way; `asking` may be over before, when one family has waited long enough for the other. */
  readonly running: Record<4 | 6, Promise<FamilyOutcome> | null> = { 4: null, 6: null };
  readonly #config: DnsResolverConfig;
  readonly #sets: Record<4 | 6, FamilySet> = { 4: NOTHING, 6: NOTHING };
  #failure: { readonly reason: string; readonly message: string } | null = null;
  #turn: number;

  constructor(name: string, config: DnsResolverConfig) {
    this.name = name;
    this.#config = config;
    // The threads of a process, and its neighbours, do not all begin at the same address.
    this.#turn = config.random.below(0x1_0000);
  }

  /** Somebody is asked for it just now. */
  get isAsked(): boolean {
    return this.asking !== null || this.running[4] !== null || this.running[6] !== null;
  }

  /** One of the families has answered not long ago: nobody need wait for the other. */
  isFresh(now: number): boolean {
    return now < this.#sets[4].freshUntil || now < this.#sets[6].freshUntil;
  }

  /** There is something to hand out, be it old. */
  isUsable(now: number): boolean {
    return this.#usable(4, now).length > 0 || this.#usable(6, now).length > 0;
  }

  /** Takes what has come. @param isWhole no family is awaited any more */
  store(outcomes: FamilyOutcomes, now: number, isWhole: boolean): void {
    const { negativeTtlMs } = this.#config;
    const found = [outcomes[4], outcomes[6]].some((outcome) => outcome?.kind === 'found');
    let askAt = Number.POSITIVE_INFINITY;
    for (const family of [4, 6] as const) {
      const outcome = outcomes[family];
      if (outcome?.kind === 'found') {
        this.#sets[family] = outcome;
        askAt = Math.min(askAt, outcome.freshUntil);
      } else if (outcome?.kind === 'none' && found) this.#sets[family] = NOTHING;
      // What failed is tried again soon, though the other family has answered.
      else if (outcome?.kind === 'failed') askAt = Math.min(askAt, now + negativeTtlMs);
    }
    if (found) this.#failure = null;
    else if (isWhole) this.#failure = failureOf(this.name, outcomes);
    this.askAt = found ? askAt : now + negativeTtlMs;
  }

  /** Takes what one family has answered when the addresses of the other had waited long enough for it, and were stored already. */
  storeLate(family: 4 | 6, outcome: FamilyOutcome, now: number): void {
    if (outcome.kind === 'found') {
      this.#sets[family] = outcome;
      this.askAt = Math.min(this.askAt, outcome.freshUntil);
    } else if (outcome.kind === 'none') this.#sets[family] = NOTHING;
    else this.askAt = Math.min(this.askAt, now + this.#config.negativeTtlMs);
  }

  /**
   * @param wanted 0: both families
   * @throws {WireError} why there is nothing to hand out; one for each who asks
   */
  answer(now: number, wanted: 0 | 4 | 6 = 0): DnsAnswer {
    const { firstFamily, maxAddresses } = this.#config;
    const turn = this.#turn++;
    const other = firstFamily === 6 ? 4 : 6;
    const first = wanted === other ? [] : rotated(this.#usable(firstFamily, now), turn);
    const second = wanted === firstFamily ? [] : rotated(this.#usable(other, now), turn);
    const addresses: DnsAddress[] = [];
    for (let index = 0; index < Math.max(first.length, second.length) && addresses.length < maxAddresses; index++) {
      const [one, two] = [first[index], second[index]];
      if (one !== undefined) addresses.push({ address: one, family: firstFamily });
      if (two !== undefined && addresses.length < maxAddresses) addresses.push({ address: two, family: other });
    }
    if (addresses.length === 0) throw this.#error() ?? notFound(this.name);
    let freshUntil = Number.POSITIVE_INFINITY;
    for (const { family } of addresses) freshUntil = Math.min(freshUntil, this.#sets[family].freshUntil);
    return { addresses, staleMs: Math.max(0, now - freshUntil), error: this.#error() };
  }

  #usable(family: 4 | 6, now: number): readonly string[] {
    const { addresses, freshUntil } = this.#sets[family];
    return now < freshUntil + this.#config.maxStaleMs ? addresses : [];
  }

  #error(): WireError | null {
    if (this.#failure === null) return null;
    // Without a cause: whoever connects says the address, and reads no code of Node's out of this.
    return connectError(this.#failure.reason, this.#failure.message, { retry: 'always' });
  }
}

/** Nothing was found: why, the worse of the two families first. */
function failureOf(name: string, outcomes: FamilyOutcomes): { reason: string; message: string } {
  for (const outcome of [outcomes[4], outcomes[6]]) if (outcome?.kind === 'failed') return outcome;
  const { reason, message } = notFound(name);
  return { reason, message: message.slice(message.indexOf(name)) };
}

/** The name, or such addresses of it, are not there. */
export function notFound(name: string): WireError {
  return connectError('DNS_NOT_FOUND', `${name} has no address`, { retry: 'always' });
}

/** What of the records can be used: addresses of the family, each once, no more than `max`. Null: none of it is a list of records. */
export function addressesOf(answer: unknown, family: number, max: number): string[] | null {
  if (!Array.isArray(answer)) return null;
  const found = new Set<string>();
  for (const record of answer as readonly unknown[]) {
    const address: unknown = typeof record === 'object' && record !== null && 'address' in record ? record.address : undefined;
    if (typeof address === 'string' && isIP(address) === family) found.add(address);
    if (found.size === max) break;
  }
  return [...found];
}

/** What Node, or whoever asks in its place, has rejected with. */
export function outcomeOfError(thrown: unknown): FamilyOutcome {
  const code = typeof thrown === 'object' && thrown !== null && 'code' in thrown ? thrown.code : undefined;
  switch (code) {
    case 'ENOTFOUND':
      return { kind: 'none', isUnknown: true };
    case 'ENODATA':
      return { kind: 'none', isUnknown: false };
    case 'ESERVFAIL':
    case 'EREFUSED':
      return { kind: 'failed', reason: 'DNS_SERVER_FAILURE', message: textOf(thrown) };
    case 'ETIMEOUT':
    case 'EAI_AGAIN':
      return { kind: 'failed', reason: code === 'ETIMEOUT' ? 'DNS_TIMEOUT' : 'DNS_TEMPORARY_FAILURE', message: textOf(thrown) };
    default:
      return { kind: 'failed', reason: 'DNS_LOOKUP_FAILED', message: textOf(thrown) };
  }
}

function rotated(addresses: readonly string[], turn: number): readonly string[] {
  if (addresses.length < 2) return addresses;
  const start = turn % addresses.length;
  return [...addresses.slice(start), ...addresses.slice(0, start)];
}
