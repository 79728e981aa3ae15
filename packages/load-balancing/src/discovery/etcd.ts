/**
 * Discovery by etcd: the keys of a prefix, by the JSON gateway of its version 3 API.
 *
 * ```text
 *   authenticate ──► range, page by page, at one revision ──► watch from the next revision ──► events …
 *        ▲                     ▲                                   │      ▲
 *        │                     └── compacted, or history lost ─────┤      └── broken off: from the last revision + 1
 *        └── token no longer good ─────────────────────────────────┘
 * ```
 *
 * Rules:
 * - A value is `host:port`, or JSON of a backend: `{"address":"192.0.2.1:80","weight":2}` with the members that a backend has. A value that is neither loses only
 *   itself.
 * - A watch that was broken off goes on behind the last event it has seen: nothing is listed again, and nothing is missed.
 * - What was compacted away cannot be watched (`compact_revision`), so the prefix is listed anew. So it is when the server is of another cluster, or its history is
 *   shorter than what was seen: it was restored or begun anew, and watching for a revision in the future would be silent for long.
 * - Of a server that is gone without a word the stream is silent. It tells its progress each ten minutes; a stream that is silent for `maxSilenceMs` is begun anew.
 *
 * Source: etcd's API reference for 3.4 and later (`rpc.proto`, `kv.proto`), and its page on the gRPC gateway: bytes are base64, 64-bit numbers are text, a member with
 * its default value is left out.
 */
import { checkWholeNumber, isWireError, protocolError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { type AddressLike, formatNetAddress, type TlsClient, toNetAddress } from '@ferrata/net';
import type { HttpTarget } from '../internal/http-client.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { checkText, type HttpDiscoveryConfig, type HttpDiscoveryOptions, resolveHttpDiscoveryOptions } from './http-discovery-options.ts';
import { BackendSet } from './internal/backend-set.ts';
import { BoundedMap } from './internal/bounded-map.ts';
import { type DiscoveryRun, startDiscovery } from './internal/discovery-run.ts';
import { decodeEtcdValue, type EtcdValue, endOfPrefix, keyBehind, revisionIn } from './internal/etcd-values.ts';
import { booleanIn, type JsonObject, listIn, malformed, objectIn, objectOf, parseJson, textIn } from './internal/json.ts';
import { askJson, askRegistry, followLines, type Registry, statusError, streamEnded } from './internal/questions.ts';

/** Options of `etcdDiscovery`. */
export interface EtcdDiscoveryOptions extends HttpDiscoveryOptions {
  /** A member of the cluster, or several, of which the next is asked when one fails. Default `127.0.0.1:2379`. */
  readonly address?: AddressLike | readonly AddressLike[];
  /** All keys that begin with it are backends: `/backends/app/`. */
  readonly prefix: string;
  /** Logs in as this user. Default: nobody, which is enough where authentication is off. */
  readonly user?: string;
  /** The password of `user`. */
  readonly password?: string;
  /** Speaks TLS to etcd, with a client's certificate if it has one. Default null: it does not. */
  readonly tls?: TlsClient | null;
  /** Keys asked for at once. Default 1 000, 1 to 100 000. Raising it makes fewer questions and larger answers. */
  readonly pageSize?: number;
  /** A stream that says nothing for so long is begun anew. Default 1 200 000, 1 000 to a day; below ten minutes, an idle etcd is taken for a dead one. */
  readonly maxSilenceMs?: number;
}

const WHO = 'etcd';

interface EtcdConfig extends HttpDiscoveryConfig {
  readonly targets: readonly HttpTarget[];
  readonly firstKey: Uint8Array;
  /** In base64. */
  readonly rangeEnd: string;
  readonly login: { readonly name: string; readonly password: string } | null;
  readonly pageSize: number;
  readonly maxSilenceMs: number;
}

/** What a watch came to. */
type WatchEnd = 'ended' | 'historyLost' | 'cancelled';

/**
 * Makes a discovery that reads backends from the keys of etcd.
 *
 * @throws {TypeError} for a prefix, a name or an address that is none
 * @throws {RangeError} for a number out of its range
 */
export function etcdDiscovery(options: EtcdDiscoveryOptions): Discovery {
  const config = resolveOptions(options);
  const places = config.targets.map(({ address }) => formatNetAddress(address).replace('tcp://', ''));
  return {
    name: `etcd://${places.join(',')}/${options.prefix.replace(/^\//, '')}`,
    watch(sink: DiscoverySink, environment: HttpEnvironment): DiscoveryWatch {
      const prefix = new EtcdPrefix(config);
      return startDiscovery({ sink, environment, config, round: (run) => prefix.round(run) });
    },
  };
}

/** The keys of a prefix, and how far they are known. */
class EtcdPrefix {
  readonly #config: EtcdConfig;
  /** By key, in base64. */
  #values: BoundedMap<EtcdValue>;
  /** The first revision that was not seen; null: nothing is known, or what is known cannot be gone on from. */
  #nextRevision: bigint | null = null;
  #clusterId = '';
  #token: string | null = null;
  /** The token was given out in this round: a new one would be no better. */
  #isTokenFresh = false;
  #turn = 0;

  constructor(config: EtcdConfig) {
    this.#config = config;
    this.#values = new BoundedMap({ who: WHO, ...config });
  }

  async round(run: DiscoveryRun): Promise<void> {
    const { targets } = this.#config;
    const registry = { who: WHO, client: run.client, target: targets[this.#turn % targets.length] as HttpTarget };
    this.#isTokenFresh = false;
    try {
      if (this.#nextRevision === null) await this.#list(registry, run);
      await this.#watch(registry, run);
    } catch (thrown) {
      this.#turn++;
      // What cannot be read once cannot be read the next time, but it may be gone from a new list.
      if (isWireError(thrown) && (thrown.type === 'protocol' || thrown.type === 'limit')) this.#nextRevision = null;
      throw thrown;
    }
  }

  // ---- the list ------------------------------------------------------------------------------------------------------------------

  async #list(registry: Registry, run: DiscoveryRun): Promise<void> {
    const { firstKey, rangeEnd, pageSize } = this.#config;
    const values = new BoundedMap<EtcdValue>({ who: WHO, ...this.#config });
    let key = firstKey;
    let revision: bigint | null = null;
    for (let hasMore = true; hasMore; ) {
      // All pages are of one revision, as if they had been read at once.
      const at = revision === null ? {} : { revision: String(revision) };
      const question = { key: base64Of(key), range_end: rangeEnd, limit: String(pageSize), ...at };
      const answer = objectOf(await this.#ask(registry, run, { path: '/v3/kv/range', question }));
      const header = objectIn(answer, 'header');
      revision ??= revisionIn(header, 'revision');
      if (header === null || revision === null) throw malformed(`${WHO} answered without a revision`);
      this.#clusterId = textIn(header, 'cluster_id') ?? '';
      hasMore = booleanIn(answer, 'more') === true;
      const pairs = listIn(answer, 'kvs');
      for (const pair of pairs) this.#put(values, objectOf(pair));
      if (!hasMore) break;
      const lastKey = textIn(objectOf(pairs.at(-1)), 'key');
      if (lastKey === null) throw malformed(`${WHO} answered with an empty page, and more behind it`);
      const next = keyBehind(Buffer.from(lastKey, 'base64'));
      if (Buffer.compare(next, key) <= 0) throw malformed(`${WHO} answered with a page that does not go on`);
      key = next;
    }
    this.#values = values;
    this.#nextRevision = (revision as bigint) + 1n;
    run.tell(this.#snapshot());
  }

  #put(values: BoundedMap<EtcdValue>, pair: JsonObject | null): void {
    const key = textIn(pair, 'key');
    if (key === null) throw malformed(`${WHO} sent a value without a key`);
    const value = textIn(pair, 'value') ?? '';
    values.set(key, decodeEtcdValue(value), key.length + value.length);
  }

  #snapshot(): BackendSet {
    const set = new BackendSet(WHO, this.#config.maxBackends);
    for (const [key, value] of this.#values) {
      const entry = (): string => Buffer.from(key, 'base64').toString();
      if ('why' in value) set.refuse(entry(), value.why);
      else set.add(entry(), value.backend);
    }
    return set;
  }

  // ---- the watch -----------------------------------------------------------------------------------------------------------------

  async #watch(registry: Registry, run: DiscoveryRun): Promise<void> {
    const { firstKey, rangeEnd, maxLineBytes, maxSilenceMs, requestTimeoutMs } = this.#config;
    const key = base64Of(firstKey);
    const start = { start_revision: String(this.#nextRevision), progress_notify: true };
    const body = JSON.stringify({ create_request: { key, range_end: rangeEnd, ...start } });
    const headers = await this.#fields(registry, run);
    const ask = { method: 'POST', path: '/v3/watch', headers, body, timeoutMs: requestTimeoutMs, idleTimeoutMs: maxSilenceMs };
    let end: WatchEnd = 'ended';
    const { status } = await followLines(
      registry,
      { ...ask, signal: run.signal },
      {
        maxLineBytes,
        onValue: (value) => {
          const how = this.#handleMessage(objectOf(value), run);
          end = how ?? end;
          return how !== null;
        },
      },
    );
    if (status !== 200) {
      this.#token = null;
      throw statusError(WHO, status);
    }
    this.#endWatch(end);
  }

  #endWatch(end: WatchEnd): void {
    switch (end) {
      case 'historyLost':
        this.#nextRevision = null;
        return;
      case 'cancelled':
        // A token lasts for some minutes without use; of what else a watch is refused for, the next one is, too.
        if (this.#token !== null && !this.#isTokenFresh) {
          this.#token = null;
          return;
        }
        this.#token = null;
        throw protocolError('DISCOVERY_CANCELLED', `${WHO} refused the watch`, { source: 'upstream', wire: { status: 502 } });
      case 'ended':
        throw streamEnded(WHO, null);
    }
  }

  /** @returns how the watch ends; null: it goes on */
  #handleMessage(message: JsonObject | null, run: DiscoveryRun): WatchEnd | null {
    // The gateway has begun with 200, so an error of the server behind it comes in the stream.
    if (objectIn(message, 'error') !== null) throw streamEnded(WHO, null);
    const result = objectIn(message, 'result');
    const header = objectIn(result, 'header');
    const revision = revisionIn(header, 'revision');
    const compacted = revisionIn(result, 'compact_revision');
    if (result === null || revision === null || compacted === null) throw malformed(`${WHO} sent a change that cannot be read`);
    if (compacted > 0n) return 'historyLost';
    if (booleanIn(result, 'canceled') === true) return 'cancelled';
    if (booleanIn(result, 'created') === true) {
      const nextRevision = this.#nextRevision as bigint;
      if (revision + 1n < nextRevision || textIn(header, 'cluster_id') !== this.#clusterId) return 'historyLost';
      run.isWell();
      return null;
    }
    const events = listIn(result, 'events');
    if (events.length === 0) {
      // Its progress: everything up to there has been sent.
      this.#goOnFrom(revision + 1n);
      return null;
    }
    for (const event of events) this.#apply(objectOf(event));
    run.tellSoon(() => this.#snapshot());
    return null;
  }

  #apply(event: JsonObject | null): void {
    const pair = objectIn(event, 'kv');
    const revision = revisionIn(pair, 'mod_revision');
    const key = textIn(pair, 'key');
    if (key === null || revision === null) throw malformed(`${WHO} sent a change that cannot be read`);
    // A put is the default, and left out.
    if (textIn(event, 'type') === 'DELETE') this.#values.delete(key);
    else this.#put(this.#values, pair);
    // The events of one revision come together, so it is done with.
    this.#goOnFrom(revision + 1n);
  }

  #goOnFrom(revision: bigint): void {
    if (this.#nextRevision !== null && revision > this.#nextRevision) this.#nextRevision = revision;
  }

  // ---- questions -----------------------------------------------------------------------------------------------------------------

  async #ask(registry: Registry, run: DiscoveryRun, { path, question }: { path: string; question: JsonObject }): Promise<unknown> {
    const { requestTimeoutMs, maxBodyBytes } = this.#config;
    const ask = { method: 'POST', path, body: JSON.stringify(question), timeoutMs: requestTimeoutMs, maxBodyBytes, signal: run.signal };
    let answer = await askRegistry(registry, { ...ask, headers: await this.#fields(registry, run) });
    // 400 for a token of before the users were changed, 401 for one that has run out.
    if ((answer.status === 400 || answer.status === 401) && this.#token !== null && !this.#isTokenFresh) {
      this.#token = null;
      answer = await askRegistry(registry, { ...ask, headers: await this.#fields(registry, run) });
    }
    if (answer.status !== 200) {
      this.#token = null;
      throw statusError(WHO, answer.status);
    }
    return parseJson(WHO, answer.body);
  }

  async #fields(registry: Registry, run: DiscoveryRun): Promise<readonly (readonly [string, string])[]> {
    const { login, requestTimeoutMs } = this.#config;
    const type = ['Content-Type', 'application/json'] as const;
    if (login === null) return [type];
    if (this.#token === null) {
      const ask = { method: 'POST', path: '/v3/auth/authenticate', headers: [type], body: JSON.stringify(login) };
      const { value } = await askJson(registry, { ...ask, timeoutMs: requestTimeoutMs, signal: run.signal });
      const token = textIn(objectOf(value), 'token');
      // It goes into a field, so it must be able to stand there (RFC 9110 §5.5).
      if (token === null || !/^[\x21-\x7e]+$/.test(token)) throw malformed(`${WHO} answered without a token`);
      this.#token = token;
      this.#isTokenFresh = true;
    }
    return [type, ['Authorization', this.#token]];
  }
}

function base64Of(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}

function resolveOptions(options: EtcdDiscoveryOptions): EtcdConfig {
  const { address = '127.0.0.1:2379', prefix, user, password, tls = null, pageSize = 1_000, maxSilenceMs = 1_200_000 } = options;
  const addresses = Array.isArray(address) ? (address as readonly AddressLike[]) : [address as AddressLike];
  if (addresses.length === 0) throw new TypeError('address must name at least one member of the cluster');
  if ((user === undefined) !== (password === undefined)) throw new TypeError('user and password go together');
  const firstKey = new TextEncoder().encode(checkText('prefix', prefix));
  return {
    ...resolveHttpDiscoveryOptions(options),
    targets: addresses.map((one) => ({ address: toNetAddress(one), tls })),
    firstKey,
    rangeEnd: base64Of(endOfPrefix(firstKey)),
    login: user === undefined || password === undefined ? null : { name: checkText('user', user), password },
    pageSize: checkWholeNumber('pageSize', pageSize, { min: 1, max: 100_000 }),
    maxSilenceMs: checkWholeNumber('maxSilenceMs', maxSilenceMs, { min: 1_000, max: 86_400_000 }),
  };
}
