/**
 * Backends that a name of the DNS leads to: an address each.
 *
 * ```text
 *   A ─────┐                     least TTL, within minTtlMs and maxTtlMs
 *          ├──► sorted set ──► said if it is another one ──► asked again
 *   AAAA ──┘
 * ```
 * Rules:
 * - The set is in the order of the addresses' text, so an answer that only turns its records round changes nothing.
 * - If one family fails, the other's addresses count, and those that the failed one had last; it is asked again soon.
 * - No such name, and no addresses, are a failure unless `negativeIsEmpty` says otherwise: a broken zone says the same.
 * - c-ares asks: by UDP, by TCP where the answer is cut, with EDNS; it follows CNAMEs. It blocks no thread, as `dns.lookup` would.
 *
 * @see RFC 1035 §3.2 (A) · RFC 3596 (AAAA) · RFC 2308 (negative answers)
 */
import { checkWholeNumber, limitError, type WireError } from '@ferrata/error';
import { type DnsQueries, formatNetAddress } from '@ferrata/net';
import type { PlainBackend } from '../backend.ts';
import type { Discovery } from './discovery.ts';
import { byText, DnsAsker } from './dns-asker.ts';
import {
  checkDnsName,
  checkQueries,
  type DnsDiscoveryOptions,
  type DnsTimingConfig,
  makeResolver,
  resolveDnsTiming,
  type SrvQueries,
} from './dns-discovery-options.ts';
import { KnownName } from './known-name.ts';
import { type Look, type Looker, PollWatch } from './poll-watch.ts';

/**
 * Makes a discovery of the addresses of a name.
 *
 * @throws {TypeError} for an option that is none, or of the wrong kind; a host that is an address; a server that is none
 * @throws {RangeError} for a number out of range
 */
export function dnsDiscovery(options: DnsDiscoveryOptions): Discovery {
  const config = resolveDnsTiming('dnsDiscovery', options, ['host', 'port', 'weight']);
  const host = checkDnsName('host', options.host);
  const port = checkWholeNumber('port', options.port, { min: 1, max: 65_535 });
  const weight = options.weight === undefined ? undefined : checkWholeNumber('weight', options.weight, { min: 0, max: 65_535 });
  checkQueries(options.queries, ['resolve4', 'resolve6']);
  const { queries } = options;
  return {
    name: `dns://${host}:${port}`,
    watch(sink, environment) {
      const asker = new DnsAsker(queries === undefined ? makeResolver(config) : withoutSrv(queries), environment.clock, config);
      const looker = new AddressLooker(new KnownName(host, asker, config), asker, { config, port, weight });
      return new PollWatch(sink, environment, { looker, times: config });
    },
  };
}

interface AddressLookerInit {
  readonly config: DnsTimingConfig;
  readonly port: number;
  readonly weight: number | undefined;
}

class AddressLooker implements Looker {
  readonly #known: KnownName;
  readonly #asker: DnsAsker;
  readonly #init: AddressLookerInit;

  constructor(known: KnownName, asker: DnsAsker, init: AddressLookerInit) {
    this.#known = known;
    this.#asker = asker;
    this.#init = init;
  }

  async look(): Promise<Look> {
    const { config, port, weight } = this.#init;
    const { kind, ttlMs, error } = await this.#known.look();
    if (kind === 'none' && config.negativeIsEmpty) {
      this.#known.clear();
      return { backends: [], holdsMs: config.negativeTtlMs, notice: null, isPartial: false };
    }
    if (kind !== 'found') throw error as WireError;
    const all = this.#known.addresses.toSorted(byText);
    const backends = all.slice(0, config.maxAddresses).map((host): PlainBackend => {
      const address = formatNetAddress({ kind: 'tcp', host, port });
      return weight === undefined ? { address } : { address, weight };
    });
    return {
      backends,
      holdsMs: ttlMs,
      notice: error ?? tooMany(this.#known.name, all.length, config.maxAddresses),
      isPartial: error !== null,
    };
  }

  cancel(): void {
    this.#asker.cancel();
  }
}

/** Why not all addresses are in the set; null: they are. */
export function tooMany(name: string, count: number, max: number): WireError | null {
  if (count <= max) return null;
  return limitError('DNS_TOO_MANY_ADDRESSES', `${name} has ${count} addresses, and ${max} are taken`, { wire: { status: 503 } });
}

function withoutSrv(queries: DnsQueries): SrvQueries {
  return {
    resolve4: (name, options) => queries.resolve4(name, options),
    resolve6: (name, options) => queries.resolve6(name, options),
    resolveSrv: (name) => Promise.reject(new TypeError(`nobody asks for the SRV records of ${name}`)),
    cancel: () => queries.cancel?.(),
  };
}
