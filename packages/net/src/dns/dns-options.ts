/** Options of a `DnsResolver`, checked once. */
import { lookup } from 'node:dns/promises';
import { type Clock, type Random, systemClock, systemRandom } from '@ferrata/clock';
import { checkWholeNumber } from '@ferrata/error';
import { checkMethods } from '../option-checks.ts';
import { checkOptionNames } from '../option-names.ts';

/** One address of a name. */
export interface DnsAddress {
  readonly address: string;
  readonly family: 4 | 6;
}

/** One A or AAAA record. */
export interface DnsRecord {
  readonly address: string;
  /** In seconds. */
  readonly ttl: number;
}

/**
 * Asks name servers; the `Resolver` of `node:dns/promises` is one. What it rejects with has a `code` of Node's: `ENOTFOUND` (NXDOMAIN), `ENODATA` (the name has no such
 * records); anything else is a failure of the servers.
 */
export interface DnsQueries {
  resolve4(name: string, options: { readonly ttl: true }): Promise<readonly DnsRecord[]>;
  resolve6(name: string, options: { readonly ttl: true }): Promise<readonly DnsRecord[]>;
  /** Gives up what is under way. */
  cancel?(): void;
}

/** Options of a `DnsResolver`. Times in whole milliseconds. */
export interface DnsResolverOptions {
  /** Who asks. Default: a `Resolver` of `node:dns/promises`. */
  readonly queries?: DnsQueries;
  /** The name servers, `192.0.2.1` or `[2001:db8::1]:53`; not with `queries`. Default: those of the system. */
  readonly servers?: readonly string[];
  /** Looks up what the DNS does not answer for: names without a dot, `localhost`, and those that it knows nothing of. Default: `dns.lookup`, and so the hosts file. */
  readonly systemLookup?: (name: string) => Promise<readonly { readonly address: string; readonly family: number }[]>;
  /** An answer holds at least so long, whatever its TTL. Default 1 000. Lowering it asks more often for names with a TTL of 0. */
  readonly minTtlMs?: number;
  /** And at most so long. Default 300 000. Raising it sends traffic to addresses for longer after they have moved. */
  readonly maxTtlMs?: number;
  /** What the system has looked up has no TTL, and holds so long. Default 10 000. */
  readonly systemTtlMs?: number;
  /** A name without addresses, and one that could not be looked up, is not asked for again for so long. Default 5 000. Raising it makes new names appear later. */
  readonly negativeTtlMs?: number;
  /** So long after its end the last good answer is still used where no new one can be had (RFC 8767). Default 3 600 000; 0: never. */
  readonly maxStaleMs?: number;
  /** Whoever asks while a new answer is on its way waits so long, and then gets the old one. Default 500. Raising it makes slow name servers slow down requests. */
  readonly staleAfterMs?: number;
  /** From the question to the answer, retries included. Default 2 500: within the time of connecting. */
  readonly queryTimeoutMs?: number;
  /** How long the addresses of one family wait for those of the other (RFC 8305 §3). Default 50. */
  readonly resolutionDelayMs?: number;
  /** Names that are remembered, and that are asked for at once. Default 1 024. The one used longest ago is forgotten first. */
  readonly maxNames?: number;
  /** Addresses of a family that are remembered for a name, and addresses in one answer. Default 64. */
  readonly maxAddresses?: number;
  /** The family that comes first; after it they alternate (RFC 8305 §4). Default 6. Say 4 where IPv6 leads nowhere without telling. */
  readonly firstFamily?: 4 | 6;
  /** Default `systemClock`. */
  readonly clock?: Clock;
  /** Chooses where the addresses of a name begin. Default `systemRandom`. */
  readonly random?: Random;
}

/** `DnsResolverOptions` with every field settled; `queries` is null where the system's servers, or `servers`, are to be asked. */
export interface DnsResolverConfig extends Required<Omit<DnsResolverOptions, 'queries' | 'servers'>> {
  readonly queries: DnsQueries | null;
  readonly servers: readonly string[] | null;
}

const names: Readonly<Record<keyof DnsResolverOptions, true>> = {
  queries: true,
  servers: true,
  systemLookup: true,
  minTtlMs: true,
  maxTtlMs: true,
  systemTtlMs: true,
  negativeTtlMs: true,
  maxStaleMs: true,
  staleAfterMs: true,
  queryTimeoutMs: true,
  resolutionDelayMs: true,
  maxNames: true,
  maxAddresses: true,
  firstFamily: true,
  clock: true,
  random: true,
};

/**
 * @throws {RangeError} for a number out of range
 * @throws {TypeError} for an option that is none or of the wrong kind
 */
export function resolveDnsResolverOptions(options: DnsResolverOptions): DnsResolverConfig {
  checkOptionNames('DnsResolver', options, names);
  const { queries = null, servers = null, systemLookup = lookUpInSystem, firstFamily = 6, clock, random } = options;
  if (queries !== null) checkMethods('queries', queries, 'a Resolver', ['resolve4', 'resolve6']);
  if (queries !== null && servers !== null) throw new TypeError('servers are whom the resolver’s own queries ask: not with queries');
  if (servers !== null && (!Array.isArray(servers) || servers.length === 0)) throw new TypeError('servers must be a list of addresses');
  if (typeof systemLookup !== 'function') throw new TypeError('systemLookup must be a function');
  if (firstFamily !== 4 && firstFamily !== 6) throw new RangeError(`firstFamily must be 4 or 6, not ${String(firstFamily)}`);
  if (clock !== undefined) checkMethods('clock', clock, 'a Clock', ['now', 'schedule']);
  if (random !== undefined) checkMethods('random', random, 'a Random', ['below']);
  const time = (name: keyof DnsResolverOptions, usual: number, min: number): number =>
    checkWholeNumber(name, (options[name] as number | undefined) ?? usual, { min, max: 2_147_483_647 });
  const minTtlMs = time('minTtlMs', 1_000, 1);
  const maxTtlMs = time('maxTtlMs', Math.max(300_000, minTtlMs), 1);
  if (maxTtlMs < minTtlMs) throw new RangeError(`maxTtlMs must be at least minTtlMs, which is ${minTtlMs}`);
  return Object.freeze({
    queries,
    servers,
    systemLookup,
    minTtlMs,
    maxTtlMs,
    systemTtlMs: time('systemTtlMs', 10_000, 1),
    negativeTtlMs: time('negativeTtlMs', 5_000, 1),
    maxStaleMs: time('maxStaleMs', 3_600_000, 0),
    staleAfterMs: time('staleAfterMs', 500, 0),
    queryTimeoutMs: time('queryTimeoutMs', 2_500, 1),
    resolutionDelayMs: time('resolutionDelayMs', 50, 0),
    maxNames: checkWholeNumber('maxNames', options.maxNames ?? 1_024, { min: 1 }),
    maxAddresses: checkWholeNumber('maxAddresses', options.maxAddresses ?? 64, { min: 1 }),
    firstFamily,
    clock: clock ?? systemClock,
    random: random ?? systemRandom,
  });
}

function lookUpInSystem(name: string): Promise<readonly { readonly address: string; readonly family: number }[]> {
  return lookup(name, { all: true });
}
