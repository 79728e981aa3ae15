/**
 * The addresses of one name, of both families, as they were found last.
 *
 * Rules: a family that has answered is replaced. One that has none any more is dropped if the other one has some: a service may give a family up. What failed stays as it was.
 */
import { connectError, type WireError } from '@ferrata/error';
import type { DnsAsker, DnsOutcome, FoundAddresses } from './dns-asker.ts';
import type { DnsTimingConfig } from './dns-discovery-options.ts';

/** What has come of asking for a name. */
export interface NameLook {
  /** `found`: at least one family has answered with addresses. `none`: the name has no addresses. `failed`: it could not be found out. */
  readonly kind: 'found' | 'none' | 'failed';
  /** Within the bounds for TTLs; for `found` only. */
  readonly ttlMs: number;
  /** What has failed, be it of one family only; null: nothing. */
  readonly error: WireError | null;
}

const NONE: readonly string[] = [];

/** A name that is asked for again and again. */
export class KnownName {
  readonly name: string;
  readonly #config: DnsTimingConfig;
  readonly #asker: DnsAsker;
  readonly #sets: Record<4 | 6, readonly string[]> = { 4: NONE, 6: NONE };

  constructor(name: string, asker: DnsAsker, config: DnsTimingConfig) {
    this.name = name;
    this.#asker = asker;
    this.#config = config;
  }

  /** Those of the families that were found last, one after the other. */
  get addresses(): readonly string[] {
    return [...this.#sets[4], ...this.#sets[6]];
  }

  /** Asks for the families at once. Never rejects. */
  async look(): Promise<NameLook> {
    const { families, minTtlMs, maxTtlMs } = this.#config;
    const outcomes = await Promise.all(families.map((family) => this.#asker.addresses(this.name, family)));
    const isFound = outcomes.some(({ kind }) => kind === 'found');
    let ttlMs = Infinity;
    for (const [index, outcome] of outcomes.entries()) {
      const family = families[index] as 4 | 6;
      if (outcome.kind === 'found') {
        this.#sets[family] = outcome.value.addresses;
        ttlMs = Math.min(ttlMs, outcome.value.ttlMs);
      } else if (outcome.kind === 'none' && isFound) this.#sets[family] = NONE;
    }
    const error = firstError(outcomes);
    const kind = isFound ? 'found' : error === null ? 'none' : 'failed';
    return { kind, ttlMs: Math.min(Math.max(ttlMs, minTtlMs), maxTtlMs), error: kind === 'none' ? notFound(this.name) : error };
  }

  /** Forgets what was found. */
  clear(): void {
    this.#sets[4] = NONE;
    this.#sets[6] = NONE;
  }
}

/** The name, or such records of it, are not there. */
export function notFound(name: string): WireError {
  return connectError('DNS_NOT_FOUND', `${name} has no such records`);
}

function firstError(outcomes: readonly DnsOutcome<FoundAddresses>[]): WireError | null {
  for (const outcome of outcomes) if (outcome.kind === 'failed') return outcome.error;
  return null;
}
