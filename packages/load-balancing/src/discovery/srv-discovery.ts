/**
 * Backends that the SRV records of a name lead to: each target is looked up, and each of its addresses is a backend.
 *
 * ```text
 *   SRV ──► targets, by priority ──► A, AAAA of each, 16 at a time ──► set ──► asked again after the least TTL, srvTtlMs at most
 *   "."  ──► there is no such service: an empty set
 * ```
 * Rules:
 * - The distinct priorities become 0, 1, 2 … in their order, weights are those of `srv-weights.ts`, and the target stands in the metadata, as `srvTarget`.
 * - A target that has no addresses loses only itself. One that cannot be looked up keeps the addresses that it had. Both are told. If there is no backend left, the look has failed.
 * - An address and port that several records lead to counts once, in the first priority.
 *
 * @see RFC 2782
 */
import { checkWholeNumber, connectError, limitError, type WireError } from '@ferrata/error';
import { formatNetAddress } from '@ferrata/net';
import type { PlainBackend } from '../backend.ts';
import type { Discovery } from './discovery.ts';
import { byText, DnsAsker } from './dns-asker.ts';
import { tooMany } from './dns-discovery.ts';
import {
  checkDnsName,
  checkQueries,
  type DnsTimingConfig,
  makeResolver,
  resolveDnsTiming,
  type SrvDiscoveryOptions,
  type SrvRecord,
} from './dns-discovery-options.ts';
import { KnownName, notFound } from './known-name.ts';
import { type Look, type Looker, PollWatch } from './poll-watch.ts';
import { weightsOfTargets } from './srv-weights.ts';

/** Names that are looked up at the same time. */
const PARALLEL = 16;
/** The greatest priority of a backend. */
const MAX_PRIORITY = 127;

/**
 * Makes a discovery of SRV records.
 *
 * @throws {TypeError} for an option that is none, or of the wrong kind; a name that is none; a server that is none
 * @throws {RangeError} for a number out of range
 */
export function srvDiscovery(options: SrvDiscoveryOptions): Discovery {
  const config: SrvConfig = {
    ...resolveDnsTiming('srvDiscovery', options, ['name', 'srvTtlMs', 'maxTargets']),
    name: checkDnsName('name', options.name),
    srvTtlMs: checkWholeNumber('srvTtlMs', options.srvTtlMs ?? 30_000, { min: 1, max: 2_147_483_647 }),
    maxTargets: checkWholeNumber('maxTargets', options.maxTargets ?? 256, { min: 1, max: 4_096 }),
  };
  checkQueries(options.queries, ['resolve4', 'resolve6', 'resolveSrv']);
  const { queries } = options;
  return {
    name: `srv://${config.name}`,
    watch(sink, environment) {
      const asker = new DnsAsker(queries ?? makeResolver(config), environment.clock, config);
      return new PollWatch(sink, environment, { looker: new SrvLooker(asker, config), times: config });
    },
  };
}

interface SrvConfig extends DnsTimingConfig {
  readonly name: string;
  readonly srvTtlMs: number;
  readonly maxTargets: number;
}

/** What is wrong with a look that has found something. */
interface Trouble {
  notice: WireError | null;
  isPartial: boolean;
}

class SrvLooker implements Looker {
  readonly #asker: DnsAsker;
  readonly #config: SrvConfig;
  /** The targets of the last records. */
  #known = new Map<string, KnownName>();
  #isCancelled = false;

  constructor(asker: DnsAsker, config: SrvConfig) {
    this.#asker = asker;
    this.#config = config;
  }

  async look(): Promise<Look> {
    const { name, negativeIsEmpty, negativeTtlMs } = this.#config;
    const outcome = await this.#asker.srv(name);
    if (outcome.kind === 'failed') throw outcome.error;
    if (outcome.kind === 'none') {
      if (!negativeIsEmpty) throw notFound(name);
      this.#known.clear();
      return { backends: [], holdsMs: negativeTtlMs, notice: null, isPartial: false };
    }
    const records = outcome.value;
    // "A Target of "." means that the service is decidedly not available at this domain": whoever writes that means it.
    if (records.every(isNoService)) {
      this.#known.clear();
      return { backends: [], holdsMs: this.#holdsMs(Infinity), notice: null, isPartial: false };
    }
    return this.#lookAtTargets(records.filter((record) => !isNoService(record)));
  }

  cancel(): void {
    this.#isCancelled = true;
    this.#asker.cancel();
  }

  async #lookAtTargets(all: readonly SrvRecord[]): Promise<Look> {
    const { name, maxTargets, maxAddresses } = this.#config;
    const trouble: Trouble = { notice: null, isPartial: false };
    const sorted = all.filter(isUsable).toSorted(byPriority);
    if (sorted.length < all.length) note(trouble, connectError('DNS_BAD_TARGET', `${name} has records whose target or port is none`));
    const records = sorted.slice(0, maxTargets);
    if (records.length < sorted.length) note(trouble, tooManyTargets(name, sorted.length, maxTargets));
    const ttlMs = await this.#lookUp(records, trouble);
    const backends = this.#backendsOf(records);
    if (backends.length === 0) throw trouble.notice ?? notFound(name);
    const many = tooMany(name, backends.length, maxAddresses);
    if (many !== null) note(trouble, many);
    return { backends: backends.slice(0, maxAddresses), holdsMs: this.#holdsMs(ttlMs), ...trouble };
  }

  /** @returns the least TTL, ms */
  async #lookUp(records: readonly SrvRecord[], trouble: Trouble): Promise<number> {
    const targets = new Map<string, KnownName>();
    for (const { name } of records) {
      const key = name.toLowerCase();
      if (!targets.has(key)) targets.set(key, this.#known.get(key) ?? new KnownName(key, this.#asker, this.#config));
    }
    this.#known = targets;
    const waiting = targets.values();
    const failures: { readonly name: string; readonly error: WireError }[] = [];
    let ttlMs = Infinity;
    const work = async (): Promise<void> => {
      for (const known of waiting) {
        if (this.#isCancelled) return;
        const { kind, ttlMs: own, error } = await known.look();
        if (kind === 'found') ttlMs = Math.min(ttlMs, own);
        else if (kind === 'none') known.clear();
        if (error !== null) failures.push({ name: known.name, error });
        // What is not there now may not be there for long; what has failed is asked for again soon.
        if (kind !== 'none' && error !== null) trouble.isPartial = true;
      }
    };
    // All of them take from the same iterator.
    await Promise.all(Array.from({ length: Math.min(PARALLEL, targets.size) }, work));
    // Not the one that came first, which would be another one each time.
    const [first] = failures.toSorted((a, b) => byText(a.name, b.name));
    if (first !== undefined) note(trouble, targetFailed(this.#config.name, failures.length, first));
    return ttlMs;
  }

  #backendsOf(records: readonly SrvRecord[]): PlainBackend[] {
    const byAddress = new Map<string, PlainBackend>();
    const found = records
      .map((record) => ({ record, addresses: (this.#known.get(record.name.toLowerCase())?.addresses ?? []).toSorted(byText) }))
      .filter(({ addresses }) => addresses.length > 0);
    // Of all records: that a target is missing for a while moves nobody to another rank.
    const priorities = [...new Set(records.map(({ priority }) => priority))];
    for (const [rank, priority] of priorities.entries()) {
      const ofPriority = found.filter(({ record }) => record.priority === priority);
      const weights = weightsOfTargets(
        ofPriority.map(({ record, addresses }) => ({ weight: record.weight, addressCount: addresses.length })),
      );
      for (const [index, { record, addresses }] of ofPriority.entries()) {
        for (const host of addresses) {
          const address = formatNetAddress({ kind: 'tcp', host, port: record.port });
          if (byAddress.has(address)) continue;
          byAddress.set(address, {
            address,
            priority: Math.min(rank, MAX_PRIORITY),
            weight: weights[index] as number,
            metadata: { srvTarget: record.name },
          });
        }
      }
    }
    return [...byAddress.values()];
  }

  #holdsMs(ttlMs: number): number {
    const { minTtlMs, maxTtlMs, srvTtlMs } = this.#config;
    return Math.min(Math.max(Math.min(ttlMs, srvTtlMs), minTtlMs), maxTtlMs);
  }
}

/** The first thing that is wrong is told. */
function note(trouble: Trouble, error: WireError): void {
  trouble.notice ??= error;
}

function tooManyTargets(name: string, count: number, max: number): WireError {
  return limitError('DNS_TOO_MANY_TARGETS', `${name} has ${count} targets, and ${max} are looked up`, { wire: { status: 503 } });
}

function targetFailed(name: string, count: number, first: { readonly name: string; readonly error: WireError }): WireError {
  const message = `${count} of the targets of ${name} could not be looked up, the first ${first.name}`;
  return connectError('DNS_TARGET_FAILED', message, { cause: first.error, context: first.error.reason });
}

/** Node leaves the dot of the root away. */
function isNoService({ name }: SrvRecord): boolean {
  return name === '' || name === '.';
}

function isUsable({ name, port }: SrvRecord): boolean {
  if (port === 0) return false;
  try {
    checkDnsName('target', name);
    return true;
  } catch {
    return false;
  }
}

function byPriority(a: SrvRecord, b: SrvRecord): number {
  return a.priority - b.priority || byText(a.name, b.name) || a.port - b.port || b.weight - a.weight;
}
