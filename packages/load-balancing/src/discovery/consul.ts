/**
 * Discovery by Consul: the instances of a service and their health, by blocking queries.
 *
 * Rules:
 * - `GET /v1/health/service/NAME` with the index of the last answer waits in the server until something changes, or `wait` is over. The server adds up to a
 *   sixteenth of `wait`, which the time-out allows for.
 * - The index begins anew when it goes backwards or is not above zero: the state of the servers was lost or restored, and waiting for the old one would wait for
 *   long. An answer without an index is asked for again without waiting, no faster than `minIntervalMs`.
 * - An instance is as well as the worst of its checks. One that is critical is never a backend; one with a warning is one if `passingOnly` is false, with the weight
 *   that it gives itself for that.
 * - An instance without an address has that of its node.
 *
 * Source: Consul's HTTP API, "Blocking Queries" and "Health: List Service Instances for Service".
 */
import { checkWholeNumber } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { type AddressLike, formatNetAddress, type TlsClient, toNetAddress } from '@ferrata/net';
import type { HttpTarget } from '../internal/http-client.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { checkText, type HttpDiscoveryConfig, type HttpDiscoveryOptions, resolveHttpDiscoveryOptions } from './http-discovery-options.ts';
import { BackendSet, cappedWeight, hostPort } from './internal/backend-set.ts';
import { type DiscoveryRun, startDiscovery } from './internal/discovery-run.ts';
import { filledIn, type JsonObject, listIn, malformed, numberIn, objectIn, objectOf, textIn, textsOf } from './internal/json.ts';
import { askJson } from './internal/questions.ts';

/** Options of `consulDiscovery`. */
export interface ConsulDiscoveryOptions extends HttpDiscoveryOptions {
  /** The agent, or a server. Default `127.0.0.1:8500`. */
  readonly address?: AddressLike;
  /** The name of the service. */
  readonly service: string;
  /** Only instances with this tag, or with all of these. Default: all instances. */
  readonly tag?: string | readonly string[];
  /** Default: that of the agent. */
  readonly datacenter?: string;
  /** Default: that of the token. Consul Enterprise. */
  readonly namespace?: string;
  /** Default: that of the agent. Consul Enterprise. */
  readonly partition?: string;
  /** Sent in `X-Consul-Token`; it needs `service:read` and `node:read`. Default: none. */
  readonly token?: string;
  /** Speaks TLS to the agent. Default null: it does not. */
  readonly tls?: TlsClient | null;
  /** Only instances all of whose checks pass. Default true. False: those with warnings, too. */
  readonly passingOnly?: boolean;
  /** How long the server may wait for a change. Default 300 000, 1 000 to 600 000, which is the most that Consul waits. */
  readonly waitMs?: number;
  /** Has the answer sorted by the way from this node; `_agent` is the agent's. The order is nothing to a balancer: it is for servers that route by it. Default: unsorted. */
  readonly near?: string;
  /** `stale`: any server may answer, not only the leader, which spares it. `consistent`: the leader asks the others first. Default: as the agent is configured. */
  readonly consistency?: 'default' | 'stale' | 'consistent';
  /** The member of the service's metadata, or else of the node's, that names the zone. Default `zone`. */
  readonly zoneMeta?: string;
}

const WHO = 'Consul';

interface ConsulConfig extends HttpDiscoveryConfig {
  readonly target: HttpTarget;
  readonly path: string;
  readonly query: readonly string[];
  readonly headers: readonly (readonly [string, string])[];
  readonly passingOnly: boolean;
  readonly waitMs: number;
  readonly zoneMeta: string;
}

/**
 * Makes a discovery that asks Consul for the instances of a service.
 *
 * @throws {TypeError} for a name or an address that is none
 * @throws {RangeError} for a number out of its range
 */
export function consulDiscovery(options: ConsulDiscoveryOptions): Discovery {
  const config = resolveOptions(options);
  return {
    name: `consul://${formatNetAddress(config.target.address).replace('tcp://', '')}/${options.service}`,
    watch(sink: DiscoverySink, environment: HttpEnvironment): DiscoveryWatch {
      const polls = new ConsulPolls(config);
      return startDiscovery({ sink, environment, config, round: (run) => polls.round(run) });
    },
  };
}

/** Blocking queries, one after another. */
class ConsulPolls {
  readonly #config: ConsulConfig;
  /** Null: the next question does not wait. */
  #index: bigint | null = null;

  constructor(config: ConsulConfig) {
    this.#config = config;
  }

  async round(run: DiscoveryRun): Promise<void> {
    const { target, path, headers, waitMs, requestTimeoutMs, maxBodyBytes } = this.#config;
    const index = this.#index;
    // A question that fails is followed by one that does not wait: whoever answers then may know less than who answered before.
    this.#index = null;
    const query = index === null ? this.#config.query : [...this.#config.query, `index=${index}`, `wait=${waitMs}ms`];
    const timeoutMs = requestTimeoutMs + (index === null ? 0 : Math.ceil(waitMs + waitMs / 16));
    const registry = { who: WHO, client: run.client, target };
    const ask = {
      method: 'GET',
      path: query.length === 0 ? path : `${path}?${query.join('&')}`,
      headers,
      timeoutMs,
      maxBodyBytes,
      signal: run.signal,
    };
    const answer = await askJson(registry, ask);
    run.tell(this.#read(answer.value));
    const next = indexOf(answer.headers.get('x-consul-index'));
    this.#index = next !== null && index !== null && next < index ? null : next;
  }

  #read(value: unknown): BackendSet {
    if (!Array.isArray(value)) throw malformed(`${WHO} answered with something that is no list`);
    const set = new BackendSet(WHO, this.#config.maxBackends);
    for (const element of value) this.#add(set, objectOf(element));
    return set;
  }

  #add(set: BackendSet, entry: JsonObject | null): void {
    const service = objectIn(entry, 'Service');
    const node = objectIn(entry, 'Node');
    if (service === null) throw malformed(`${WHO} answered with an instance that has no service`);
    const status = worstStatus(listIn(entry, 'Checks'));
    const { passingOnly, zoneMeta } = this.#config;
    if (status === 'critical' || (passingOnly && status === 'warning')) return;
    const id = textIn(service, 'ID') ?? '';
    const host = filledIn(service, 'Address') ?? filledIn(node, 'Address');
    const port = numberIn(service, 'Port');
    // An instance without a port has one of 0.
    if (host === null || port === null || port === 0) return set.refuse(id, 'it has no address or no port');
    const weights = objectIn(service, 'Weights');
    const weight = numberIn(weights, status === 'warning' ? 'Warning' : 'Passing') ?? 1;
    const metadata = textsOf(objectIn(service, 'Meta'));
    const zone = textIn(objectIn(service, 'Meta'), zoneMeta) ?? textIn(objectIn(node, 'Meta'), zoneMeta) ?? '';
    set.add(id, { address: hostPort(host, port), weight: cappedWeight(weight), zone, metadata });
  }
}

/** Anything that is not known is as bad as can be. */
function worstStatus(checks: readonly unknown[]): 'passing' | 'warning' | 'critical' {
  let worst: 'passing' | 'warning' = 'passing';
  for (const check of checks) {
    const status = textIn(objectOf(check), 'Status');
    if (status === 'warning') worst = 'warning';
    else if (status !== 'passing') return 'critical';
  }
  return worst;
}

/** @returns null for one that is not to be waited behind */
function indexOf(text: string | undefined): bigint | null {
  if (text === undefined || !/^\d{1,20}$/.test(text)) return null;
  const index = BigInt(text);
  return index > 0n ? index : null;
}

function resolveOptions(options: ConsulDiscoveryOptions): ConsulConfig {
  const { address = '127.0.0.1:8500', service, tag = [], datacenter, namespace, partition, token, tls = null } = options;
  const { passingOnly = true, waitMs = 300_000, near, consistency = 'default', zoneMeta = 'zone' } = options;
  if (typeof passingOnly !== 'boolean') throw new TypeError('passingOnly must be true or false');
  if (!['default', 'stale', 'consistent'].includes(consistency)) {
    throw new TypeError(`consistency must be default, stale or consistent, not ${consistency as string}`);
  }
  const query: string[] = [];
  const add = (name: string, parameter: string, value: string | undefined): void => {
    if (value !== undefined) query.push(`${parameter}=${encodeURIComponent(checkText(name, value))}`);
  };
  if (passingOnly) query.push('passing=1');
  for (const one of [tag].flat()) add('tag', 'tag', one);
  add('datacenter', 'dc', datacenter);
  add('namespace', 'ns', namespace);
  add('partition', 'partition', partition);
  add('near', 'near', near);
  if (consistency !== 'default') query.push(consistency);
  return {
    ...resolveHttpDiscoveryOptions(options),
    target: { address: toNetAddress(address), tls },
    path: `/v1/health/service/${encodeURIComponent(checkText('service', service))}`,
    query,
    headers: token === undefined ? [] : [['X-Consul-Token', checkText('token', token)]],
    passingOnly,
    waitMs: checkWholeNumber('waitMs', waitMs, { min: 1_000, max: 600_000 }),
    zoneMeta: checkText('zoneMeta', zoneMeta),
  };
}
