/** Options of the discoveries that ask the DNS, checked once. */
import { Resolver } from 'node:dns/promises';
import { checkWholeNumber } from '@ferrata/error';
import { type DnsQueries, toNetAddress } from '@ferrata/net';

/** One SRV record. A target of no letters, or of a dot only, says that there is no such service. */
export interface SrvRecord {
  readonly name: string;
  readonly port: number;
  readonly priority: number;
  readonly weight: number;
}

/** As `DnsQueries`, for SRV records, too; the `Resolver` of `node:dns/promises` is one. */
export interface SrvQueries extends DnsQueries {
  resolveSrv(name: string): Promise<readonly SrvRecord[]>;
}

/** What both discoveries take. Times in whole milliseconds. */
export interface DnsTimingOptions {
  /** Default `any`: IPv6 addresses beside IPv4 ones. */
  readonly family?: 4 | 6 | 'any';
  /** The name servers, `192.0.2.1` or `[2001:db8::1]:53`; not with `queries`. Default: those of the system. The hosts file is never read, and search domains are not tried. */
  readonly servers?: readonly string[];
  /** An answer holds at least so long, whatever its TTL. 1 or more. Default 1 000. Lowering it asks more often for names with a TTL of 0. */
  readonly minTtlMs?: number;
  /** And at most so long. Default 300 000. Raising it finds new backends later where TTLs are long. */
  readonly maxTtlMs?: number;
  /** From a question to its answer, retries included. 1 or more. Default 5 000. Raising it waits longer for servers that say nothing. */
  readonly queryTimeoutMs?: number;
  /** After a failure it asks again in so long, then in twice as long, each time by chance down to half of it. 1 or more. Default 1 000. Lowering it asks ailing servers more. */
  readonly retryMinMs?: number;
  /** And in so long at most. Default 60 000. Raising it finds out later that the servers are back. */
  readonly retryMaxMs?: number;
  /**
   * No such name, and no addresses of the name, are an answer: there are no backends. Default false: they are a failure, as a broken zone says the same, and what was found
   * before holds on.
   */
  readonly negativeIsEmpty?: boolean;
  /** With `negativeIsEmpty`, such an answer holds so long. 1 or more. Default 5 000. */
  readonly negativeTtlMs?: number;
  /** Addresses in the set, 1 to 65 536. Default 1 024. If there are more, the first of them in the order of their text are taken, and that is told as a failure. */
  readonly maxAddresses?: number;
}

/** Options of `dnsDiscovery`. */
export interface DnsDiscoveryOptions extends DnsTimingOptions {
  /** The name whose addresses are the backends. */
  readonly host: string;
  /** Their port, 1 to 65 535. */
  readonly port: number;
  /** The weight of each, 0 to 65 535. Default 1. */
  readonly weight?: number;
  /** Who asks; one for all who watch, and closing one of them cancels what it has under way. Default: a `Resolver` of `node:dns/promises` for each. */
  readonly queries?: DnsQueries;
}

/** Options of `srvDiscovery`. */
export interface SrvDiscoveryOptions extends DnsTimingOptions {
  /** The name whose SRV records lead to the backends: `_http._tcp.app.example`. */
  readonly name: string;
  /** SRV records hold at most so long, as Node does not tell their TTL. 1 or more. Default 30 000. Raising it finds new targets later. */
  readonly srvTtlMs?: number;
  /** Targets that are looked up, 1 to 4 096. Default 256. If there are more, those of the lowest priority number are taken, and that is told as a failure. */
  readonly maxTargets?: number;
  /** As for `dnsDiscovery`. */
  readonly queries?: SrvQueries;
}

/** `DnsTimingOptions` with every field settled. */
export interface DnsTimingConfig extends Required<Omit<DnsTimingOptions, 'family' | 'servers'>> {
  readonly families: readonly (4 | 6)[];
  readonly servers: readonly string[] | null;
}

const timingNames = [
  'family',
  'servers',
  'minTtlMs',
  'maxTtlMs',
  'queryTimeoutMs',
  'retryMinMs',
  'retryMaxMs',
  'negativeIsEmpty',
  'negativeTtlMs',
  'maxAddresses',
  'queries',
] as const;

/**
 * @throws {TypeError} for an option that is none, or of the wrong kind
 * @throws {RangeError} for a number out of range
 */
export function resolveDnsTiming(
  what: string,
  options: DnsTimingOptions & { readonly queries?: unknown },
  others: readonly string[],
): DnsTimingConfig {
  const known: readonly string[] = [...others, ...timingNames];
  for (const name of Object.keys(options))
    if (!known.includes(name))
      throw new TypeError(`${what} has no option ${JSON.stringify(name.slice(0, 100))}; it knows ${known.join(', ')}`);
  const { family = 'any', servers = null, negativeIsEmpty = false, queries } = options;
  if (family !== 4 && family !== 6 && family !== 'any') throw new RangeError(`family must be 4, 6 or any, not ${String(family)}`);
  if (typeof negativeIsEmpty !== 'boolean') throw new TypeError('negativeIsEmpty must be true or false');
  if (servers !== null) checkServers(servers, queries);
  const time = (name: keyof DnsTimingOptions, usual: number): number =>
    checkWholeNumber(name, (options[name] as number | undefined) ?? usual, { min: 1, max: 2_147_483_647 });
  const minTtlMs = time('minTtlMs', 1_000);
  const maxTtlMs = time('maxTtlMs', Math.max(300_000, minTtlMs));
  if (maxTtlMs < minTtlMs) throw new RangeError(`maxTtlMs must be at least minTtlMs, which is ${minTtlMs}`);
  const retryMinMs = time('retryMinMs', 1_000);
  const retryMaxMs = time('retryMaxMs', Math.max(60_000, retryMinMs));
  if (retryMaxMs < retryMinMs) throw new RangeError(`retryMaxMs must be at least retryMinMs, which is ${retryMinMs}`);
  return Object.freeze({
    families: family === 'any' ? ([4, 6] as const) : [family],
    servers,
    minTtlMs,
    maxTtlMs,
    queryTimeoutMs: time('queryTimeoutMs', 5_000),
    retryMinMs,
    retryMaxMs,
    negativeIsEmpty,
    negativeTtlMs: time('negativeTtlMs', 5_000),
    maxAddresses: checkWholeNumber('maxAddresses', options.maxAddresses ?? 1_024, { min: 1, max: 65_536 }),
  });
}

/** Two tries of c-ares, the second twice as long, within our own time. */
export function makeResolver({ servers, queryTimeoutMs }: DnsTimingConfig): SrvQueries {
  const resolver = new Resolver({ timeout: Math.max(1, Math.ceil(queryTimeoutMs / 3)), tries: 2 });
  if (servers !== null) resolver.setServers(servers);
  return resolver;
}

/** @throws {TypeError} unless it has these methods, or is undefined */
export function checkQueries(queries: unknown, methods: readonly string[]): void {
  if (queries === undefined) return;
  const has = (method: string): boolean => typeof (queries as Readonly<Record<string, unknown>>)[method] === 'function';
  if (typeof queries !== 'object' || queries === null || !methods.every(has))
    throw new TypeError(`queries must have ${methods.join(', ')}`);
}

/** A name of the DNS that is no address. @throws {TypeError} if it is anything else */
export function checkDnsName(what: string, name: string): string {
  if (typeof name !== 'string') throw new TypeError(`${what} must be text`);
  if (isIpAddress(name)) throw new TypeError(`${what} must be a name, and ${name} is an address: nothing is to be asked for it`);
  toNetAddress({ host: name, port: 1 });
  return name;
}

/** Whether it is an IPv4 or IPv6 address. */
export function isIpAddress(text: string, family: 0 | 4 | 6 = 0): boolean {
  // Names have no colons, and what is made of digits and dots only is an IPv4 address or refused by `toNetAddress`.
  const isSix = text.includes(':');
  if (isSix ? family === 4 : family === 6 || !/^[0-9.]+$/.test(text)) return false;
  try {
    toNetAddress({ host: text, port: 1 });
    return true;
  } catch {
    return false;
  }
}

function checkServers(servers: readonly string[], queries: unknown): void {
  if (queries !== undefined) throw new TypeError('servers are whom the discovery’s own queries ask: not with queries');
  if (!Array.isArray(servers) || servers.length === 0) throw new TypeError('servers must be a list of addresses');
  // It throws for what is no address of a server.
  new Resolver().setServers(servers as readonly string[]);
}
