/**
 * Discovery by Kubernetes: the slices of endpoints of a service, listed once and then watched.
 *
 * ```text
 *   list, page by page ──► watch from its resourceVersion ──► ADDED MODIFIED DELETED BOOKMARK …
 *        ▲                          ▲                               │
 *        │                          └── ended: from the last version ┤
 *        └── 410 Gone, as a status or as an ERROR ──────────────────┘
 * ```
 *
 * Rules:
 * - A resource version is opaque: it is given back as it came. A bookmark brings a newer one without a change.
 * - The server ends a watch after `watchMs`, which is no failure. 410 is none either: the history that was asked for is gone, and the list is made anew; the last set
 *   holds until then. A page of a list that has become too old begins the list anew.
 * - A token is read again for each request, as those that are bound to a pod change within the hour. The authorities are read again after TLS has failed.
 *
 * Source: Kubernetes API Concepts, "Efficient detection of changes", "Watch bookmarks", "Retrieving large results sets in chunks", "410 Gone responses"; API reference of
 * EndpointSlice v1; "Accessing the Kubernetes API from a Pod".
 */
import { checkWholeNumber, isWireError, protocolError, tlsError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { type AddressLike, formatNetAddress, type NetAddress, TlsClient, toNetAddress } from '@ferrata/net';
import type { HttpTarget } from '../internal/http-client.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { checkText, type HttpDiscoveryConfig, type HttpDiscoveryOptions, resolveHttpDiscoveryOptions } from './http-discovery-options.ts';
import { hostPort } from './internal/backend-set.ts';
import { BoundedMap } from './internal/bounded-map.ts';
import { type DiscoveryRun, startDiscovery } from './internal/discovery-run.ts';
import { backendsOfSlices, type EndpointSlice, readSlice, type SliceReading } from './internal/endpoint-slices.ts';
import { type JsonObject, listIn, malformed, numberIn, objectIn, objectOf, parseJson, textIn } from './internal/json.ts';
import { askRegistry, followLines, type Registry, statusError } from './internal/questions.ts';
import { readSecretFile } from './internal/secret-file.ts';

/** Options of `kubernetesDiscovery`. */
export interface KubernetesDiscoveryOptions extends HttpDiscoveryOptions {
  readonly namespace: string;
  /** The name of the service. */
  readonly service: string;
  /** The name of the port, or its number on the pods. Default: the only one that there is. */
  readonly port?: string | number;
  /** The API server. Default `kubernetes.default.svc:443`, which is it from within a cluster. */
  readonly apiServer?: AddressLike;
  /** A file whose content is sent as a bearer token; the account may `list` and `watch` `endpointslices`. Default: none. */
  readonly tokenFile?: string;
  /** The authorities that the server's certificate comes from. Default: those that Node comes with. */
  readonly caFile?: string;
  /** Speaks TLS by this, in place of `caFile`, as with a client's certificate. Null: no TLS, as to `kubectl proxy`. */
  readonly tls?: TlsClient | null;
  /** Takes endpoints that end but still serve, as long as no other is ready. Default true. */
  readonly useTerminating?: boolean;
  /** Slices asked for at once. Default 500, 1 to 10 000. Raising it makes fewer questions and larger answers. */
  readonly pageSize?: number;
  /** How long a watch lasts before the server ends it. Default 300 000, 1 000 to 3 600 000. Raising it finds out later that a server is gone without a word. */
  readonly watchMs?: number;
}

/** Where a pod finds its account. */
const ACCOUNT_FOLDER = '/var/run/secrets/kubernetes.io/serviceaccount';
const WHO = 'Kubernetes';
const LATE_MS = 30_000;
/** Pages one after another that bring nothing new. */
const MAX_IDLE_PAGES = 1_000;
/** Lists that may become too old before they are whole, one after another. */
const MAX_LIST_RESTARTS = 3;

interface KubernetesConfig extends HttpDiscoveryConfig {
  readonly address: NetAddress;
  readonly path: string;
  readonly tokenFile: string | null;
  readonly caFile: string | null;
  /** Undefined: made of `caFile`. */
  readonly tls: TlsClient | null | undefined;
  readonly pageSize: number;
  readonly watchMs: number;
  readonly reading: SliceReading;
}

/** What a pod needs to ask its cluster, made of the variables that Kubernetes sets in it. */
export interface InClusterOptions {
  readonly apiServer: string;
  readonly tokenFile: string;
  readonly caFile: string;
}

/**
 * Makes the options by which a pod asks its own cluster: `kubernetesDiscovery({ ...inClusterOptions(process.env), namespace, service })`.
 *
 * @throws {TypeError} when `KUBERNETES_SERVICE_HOST` or `KUBERNETES_SERVICE_PORT` is missing: this is no pod
 */
export function inClusterOptions(environment: Readonly<Record<string, string | undefined>>): InClusterOptions {
  const host = environment['KUBERNETES_SERVICE_HOST'] ?? '';
  const port = environment['KUBERNETES_SERVICE_PORT'] ?? '';
  if (host === '' || !/^\d{1,5}$/.test(port)) {
    throw new TypeError('this is no pod of Kubernetes: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT are not set');
  }
  return { apiServer: hostPort(host, Number(port)), tokenFile: `${ACCOUNT_FOLDER}/token`, caFile: `${ACCOUNT_FOLDER}/ca.crt` };
}

/**
 * Makes a discovery that reads the endpoints of a service from the API of Kubernetes.
 *
 * @throws {TypeError} for a name or an address that is none
 * @throws {RangeError} for a number out of its range
 */
export function kubernetesDiscovery(options: KubernetesDiscoveryOptions): Discovery {
  const config = resolveOptions(options);
  const place = formatNetAddress(config.address).replace('tcp://', '');
  return {
    name: `kubernetes://${place}/${options.namespace}/${options.service}`,
    watch(sink: DiscoverySink, environment: HttpEnvironment): DiscoveryWatch {
      const service = new KubernetesService(config);
      return startDiscovery({ sink, environment, config, round: (run) => service.round(run) });
    },
  };
}

/** The slices of a service, and how far they are known. */
class KubernetesService {
  readonly #config: KubernetesConfig;
  /** By the name of the slice. */
  #slices: BoundedMap<EndpointSlice>;
  /** Null: nothing is known, or what is known is too old to be gone on from. */
  #version: string | null = null;
  /** Null: to be made of the file. */
  #tls: TlsClient | null = null;

  constructor(config: KubernetesConfig) {
    this.#config = config;
    this.#slices = this.#noSlices();
  }

  async round(run: DiscoveryRun): Promise<void> {
    try {
      const registry = { who: WHO, client: run.client, target: await this.#target() };
      if (this.#version === null) await this.#list(registry, run);
      await this.#watch(registry, run);
    } catch (thrown) {
      if (isWireError(thrown)) {
        // The authorities may have changed.
        if (thrown.type === 'tls') this.#tls = null;
        // What cannot be read once cannot be read the next time, but it may be gone from a new list.
        if (thrown.type === 'protocol' || thrown.type === 'limit') this.#version = null;
      }
      throw thrown;
    }
  }

  // ---- the list ------------------------------------------------------------------------------------------------------------------

  async #list(registry: Registry, run: DiscoveryRun): Promise<void> {
    const { path, pageSize, requestTimeoutMs, maxBodyBytes, reading } = this.#config;
    let slices = this.#noSlices();
    let next = '';
    let idlePages = 0;
    for (let restarts = 0; ; ) {
      const query = `&limit=${pageSize}${next === '' ? '' : `&continue=${encodeURIComponent(next)}`}`;
      const headers = await this.#fields();
      const ask = { method: 'GET', path: path + query, headers, timeoutMs: requestTimeoutMs, maxBodyBytes, signal: run.signal };
      const { status, body } = await askRegistry(registry, ask);
      if (status === 410 && next !== '' && restarts < MAX_LIST_RESTARTS) {
        restarts++;
        slices = this.#noSlices();
        next = '';
        continue;
      }
      if (status !== 200) throw statusError(WHO, status);
      const list = objectOf(parseJson(WHO, body));
      const metadata = objectIn(list, 'metadata');
      const version = textIn(metadata, 'resourceVersion');
      if (version === null || version === '') throw malformed(`${WHO} answered with a list that has no resource version`);
      const items = listIn(list, 'items');
      const sizeBefore = slices.size;
      for (const item of items) this.#put(slices, objectOf(item));
      next = textIn(metadata, 'continue') ?? '';
      if (next !== '') {
        // A page of which all was filtered out is empty, with more behind it. A list that has no end would be asked for without a pause.
        idlePages = slices.size > sizeBefore ? 0 : idlePages + 1;
        if (idlePages > MAX_IDLE_PAGES) throw malformed(`${WHO} answered with a list that does not go on`);
        continue;
      }
      this.#slices = slices;
      this.#version = version;
      run.tell(backendsOfSlices(slices, reading));
      return;
    }
  }

  #noSlices(): BoundedMap<EndpointSlice> {
    return new BoundedMap({ who: WHO, ...this.#config });
  }

  #put(slices: BoundedMap<EndpointSlice>, object: JsonObject | null): void {
    const slice = readSlice(object);
    if (slice === null) throw malformed(`${WHO} sent a slice without a name`);
    slices.set(slice.name, slice, JSON.stringify(slice).length);
  }

  // ---- the watch -----------------------------------------------------------------------------------------------------------------

  async #watch(registry: Registry, run: DiscoveryRun): Promise<void> {
    const { path, watchMs, requestTimeoutMs, maxLineBytes } = this.#config;
    // Spread, lest everybody come again at the same moment.
    const seconds = Math.max(1, Math.floor((watchMs * (0.8 + run.environment.random.next() / 5)) / 1_000));
    const version = encodeURIComponent(this.#version as string);
    const query = `&watch=1&allowWatchBookmarks=true&resourceVersion=${version}&timeoutSeconds=${seconds}`;
    const headers = await this.#fields();
    const ask = { method: 'GET', path: path + query, headers, timeoutMs: requestTimeoutMs, idleTimeoutMs: seconds * 1_000 + LATE_MS };
    const { status, isStopped } = await followLines(
      registry,
      { ...ask, signal: run.signal },
      {
        maxLineBytes,
        onOpen: () => run.isWell(),
        onValue: (value) => this.#handleEvent(objectOf(value), run),
      },
    );
    if (isStopped || status === 410) this.#version = null;
    else if (status !== 200) throw statusError(WHO, status);
  }

  /** @returns true when what is known is too old */
  #handleEvent(event: JsonObject | null, run: DiscoveryRun): boolean {
    const { reading } = this.#config;
    const type = textIn(event, 'type');
    const object = objectIn(event, 'object');
    if (type === 'ERROR') {
      const code = numberIn(object, 'code') ?? 0;
      if (code === 410) return true;
      throw protocolError('DISCOVERY_STATUS', `${WHO} ended the watch with ${code}`, { source: 'upstream', wire: { status: 502 } });
    }
    const version = textIn(objectIn(object, 'metadata'), 'resourceVersion');
    if (object === null || version === null || version === '') throw malformed(`${WHO} sent an event that has no resource version`);
    switch (type) {
      case 'ADDED':
      case 'MODIFIED':
        this.#put(this.#slices, object);
        break;
      case 'DELETED':
        this.#slices.delete(textIn(objectIn(object, 'metadata'), 'name') ?? '');
        break;
      case 'BOOKMARK':
        break;
      default:
        throw malformed(`${WHO} sent an event of a type that is not known`);
    }
    this.#version = version;
    if (type !== 'BOOKMARK') run.tellSoon(() => backendsOfSlices(this.#slices, reading));
    return false;
  }

  // ---- the connection ------------------------------------------------------------------------------------------------------------

  async #target(): Promise<HttpTarget> {
    const { address, tls, caFile } = this.#config;
    if (tls !== undefined) return { address, tls };
    this.#tls ??= await this.#makeTls(caFile);
    return { address, tls: this.#tls };
  }

  async #makeTls(caFile: string | null): Promise<TlsClient> {
    if (caFile === null) return new TlsClient();
    const ca = await readSecretFile('the file of authorities', caFile);
    try {
      return new TlsClient({ ca });
    } catch (thrown) {
      throw tlsError('DISCOVERY_CREDENTIALS', 'the file of authorities holds no certificates', { fault: 'local', cause: thrown });
    }
  }

  async #fields(): Promise<readonly (readonly [string, string])[]> {
    const { tokenFile } = this.#config;
    const accept = ['Accept', 'application/json'] as const;
    if (tokenFile === null) return [accept];
    const token = (await readSecretFile('the token file', tokenFile)).trim();
    // It goes into a field, so it must be able to stand there (RFC 6750 §2.1).
    if (!/^[A-Za-z0-9._~+/=-]+$/.test(token)) {
      throw protocolError('DISCOVERY_CREDENTIALS', 'the token file holds no token', { source: 'internal', fault: 'local' });
    }
    return [accept, ['Authorization', `Bearer ${token}`]];
  }
}

function resolveOptions(options: KubernetesDiscoveryOptions): KubernetesConfig {
  const { namespace, service, port = null, apiServer = 'kubernetes.default.svc:443', tokenFile, caFile, tls } = options;
  const { useTerminating = true, pageSize = 500, watchMs = 300_000 } = options;
  if (typeof useTerminating !== 'boolean') throw new TypeError('useTerminating must be true or false');
  if (tls !== undefined && caFile !== undefined) throw new TypeError('give either tls or caFile: tls has authorities of its own');
  if (typeof port === 'number') checkWholeNumber('port', port, { min: 1, max: 65_535 });
  else if (port !== null) checkText('port', port);
  const settled = resolveHttpDiscoveryOptions(options);
  const selector = encodeURIComponent(`kubernetes.io/service-name=${checkName('service', service)}`);
  return {
    ...settled,
    address: toNetAddress(apiServer),
    path: `/apis/discovery.k8s.io/v1/namespaces/${checkName('namespace', namespace)}/endpointslices?labelSelector=${selector}`,
    tokenFile: tokenFile === undefined ? null : checkText('tokenFile', tokenFile),
    caFile: caFile === undefined ? null : checkText('caFile', caFile),
    tls,
    pageSize: checkWholeNumber('pageSize', pageSize, { min: 1, max: 10_000 }),
    watchMs: checkWholeNumber('watchMs', watchMs, { min: 1_000, max: 3_600_000 }),
    reading: { who: WHO, maxBackends: settled.maxBackends, port, useTerminating },
  };
}

/** A label of RFC 1123: whatever else would mean something in a path or a selector. */
function checkName(name: string, value: string): string {
  if (typeof value === 'string' && /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/.test(value)) return value;
  throw new TypeError(`${name} must be a name as Kubernetes has them: small letters, digits and hyphens, 63 at most`);
}
