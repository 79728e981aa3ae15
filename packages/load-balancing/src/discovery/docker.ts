/**
 * Discovery by Docker: the running containers with a label, by the Engine's API over its Unix socket.
 *
 * ```text
 *   ping ──► events (a stream) ── its head ──► list ──► told
 *                │                              ▲
 *                ├── an event ── settles ───────┤
 *                ├── refreshMs over ────────────┘
 *                └── ended ──► told as a failure, and the next round
 * ```
 *
 * Rules:
 * - The stream of events is opened before the list is made, so that nothing falls between the two. An event says only that something has changed: the list says what.
 * - Events of containers that have not the label are passed over. Those of networks are not: they name a container without its labels.
 * - However many events come, lists are `minIntervalMs` apart.
 * - The version of the API is the one that the Engine names as its own: Engines refuse versions that are too old for them, or too new.
 * - A container whose health check has not passed is left out, and one without a health check is as good as it runs.
 *
 * Source: Docker Engine API, "List containers", "Monitor events", "Ping".
 */
import { checkWholeNumber } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { formatNetAddress, toNetAddress } from '@ferrata/net';
import type { HttpTarget } from '../internal/http-client.ts';
import type { Discovery, DiscoverySink, DiscoveryWatch } from './discovery.ts';
import { checkText, type HttpDiscoveryConfig, type HttpDiscoveryOptions, resolveHttpDiscoveryOptions } from './http-discovery-options.ts';
import { type DiscoveryRun, startDiscovery } from './internal/discovery-run.ts';
import { type ContainerReading, setOfContainers } from './internal/docker-containers.ts';
import { type JsonObject, objectIn, objectOf, textIn } from './internal/json.ts';
import { askJson, askRegistry, followLines, type Registry, statusError, streamEnded } from './internal/questions.ts';

/** Options of `dockerDiscovery`. */
export interface DockerDiscoveryOptions extends HttpDiscoveryOptions {
  /** The Engine's socket: whoever may use it is root on the machine. Default `/var/run/docker.sock`. */
  readonly socketPath?: string;
  /** Containers with this label are backends: `name` or `name=value`. Default `ferrata.enable=true`. */
  readonly label?: string;
  /** The label that names the port. Default `ferrata.port`. A container without it has the only port of TCP that it exposes. */
  readonly portLabel?: string;
  /** The label that names the weight. Default `ferrata.weight`. */
  readonly weightLabel?: string;
  /** The label that names the zone. Default `ferrata.zone`. */
  readonly zoneLabel?: string;
  /** The network by which containers are reached. Default: the only one that a container is in. */
  readonly network?: string;
  /** Where containers are reached that share the network of the host. Default `127.0.0.1`. */
  readonly hostAddress?: string;
  /** The version of the API: `1.41`. Default: the Engine's own. */
  readonly apiVersion?: string;
  /** Makes the list anew though nothing was heard. Default 300 000, 1 000 to a day. Lowering it mends sooner what no event tells. */
  readonly refreshMs?: number;
}

const WHO = 'Docker';
/** Of Engines that do not say: it is that of 20.10. */
const USUAL_VERSION = '1.41';
/** What may change whether a container is a backend, or where. */
const EVENTS = ['start', 'die', 'health_status', 'pause', 'unpause', 'kill', 'stop', 'rename', 'connect', 'disconnect'];

interface DockerConfig extends HttpDiscoveryConfig {
  readonly target: HttpTarget;
  readonly label: string;
  readonly apiVersion: string | null;
  readonly refreshMs: number;
  readonly reading: ContainerReading;
}

/**
 * Makes a discovery that asks Docker for running containers.
 *
 * @throws {TypeError} for a path, a label or a version that is none
 * @throws {RangeError} for a number out of its range
 */
export function dockerDiscovery(options: DockerDiscoveryOptions = {}): Discovery {
  const config = resolveOptions(options);
  return {
    name: `docker://${formatNetAddress(config.target.address)}/${config.label}`,
    watch(sink: DiscoverySink, environment: HttpEnvironment): DiscoveryWatch {
      return startDiscovery({ sink, environment, config, round: (run) => new DockerEvents(config, run).follow() });
    },
  };
}

/** One stream of events, and the lists that it causes. */
class DockerEvents {
  readonly #config: DockerConfig;
  readonly #run: DiscoveryRun;
  readonly #registry: Registry;
  /** Something was heard since the last list began. */
  #isStale = true;
  #isOver = false;
  /** Wakes whoever waits for something to be heard. */
  #wake: (() => void) | null = null;

  constructor(config: DockerConfig, run: DiscoveryRun) {
    this.#config = config;
    this.#run = run;
    this.#registry = { who: WHO, client: run.client, target: config.target };
  }

  /** Until the stream ends or a list fails. Rejects with why. */
  async follow(): Promise<void> {
    const version = this.#config.apiVersion ?? (await this.#ownVersion());
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#run.signal]);
    let opened = (): void => {};
    const open = new Promise<void>((resolve) => {
      opened = resolve;
    });
    const stream = this.#stream(version, { signal, onOpen: opened });
    try {
      // A stream that fails before it is open rejects here.
      await Promise.race([open, stream]);
      await Promise.race([this.#lists(version, signal), stream]);
    } finally {
      this.#isOver = true;
      this.#wakeUp();
      stop.abort();
      // It rejects when it is given up, and what it has failed by before that is told already.
      stream.catch(() => undefined);
    }
  }

  /** Rejects when the stream ends, however that is. */
  async #stream(version: string, { signal, onOpen }: { signal: AbortSignal; onOpen: () => void }): Promise<void> {
    const { label, requestTimeoutMs, maxLineBytes } = this.#config;
    // A filter by label would hold back the events of networks, whose labels are their own.
    const filters = encodeURIComponent(JSON.stringify({ type: ['container', 'network'], event: EVENTS }));
    const path = `/v${version}/events?filters=${filters}`;
    const { status } = await followLines(
      this.#registry,
      { method: 'GET', path, headers: [['Accept', 'application/json']], timeoutMs: requestTimeoutMs, signal },
      {
        maxLineBytes,
        onOpen,
        onValue: (value) => {
          if (!concerns(label, objectOf(value))) return false;
          this.#isStale = true;
          this.#wakeUp();
          return false;
        },
      },
    );
    throw status === 200 ? streamEnded(WHO, null) : statusError(WHO, status);
  }

  /** Lists at once, and whenever something was heard. */
  async #lists(version: string, signal: AbortSignal): Promise<void> {
    const { label, requestTimeoutMs, maxBodyBytes, minIntervalMs, settleMs, refreshMs, reading } = this.#config;
    const { clock } = this.#run.environment;
    const filters = encodeURIComponent(JSON.stringify({ label: [label], status: ['running'] }));
    const path = `/v${version}/containers/json?filters=${filters}`;
    while (!this.#isOver && !this.#run.isClosed) {
      const startedAt = clock.now();
      this.#isStale = false;
      const ask = { method: 'GET', path, timeoutMs: requestTimeoutMs, maxBodyBytes, signal };
      const { value } = await askJson(this.#registry, ask);
      if (this.#isOver) return;
      this.#run.tell(setOfContainers(WHO, value, reading));
      await this.#news(refreshMs);
      await this.#run.wait(Math.max(settleMs, startedAt + minIntervalMs - clock.now()));
    }
  }

  /** Waits until something is heard, or for so long. */
  #news(longestMs: number): Promise<void> {
    if (this.#isStale || this.#isOver || this.#run.isClosed) return Promise.resolve();
    return new Promise((resolve) => {
      const deadline = this.#run.environment.deadlines.after(longestMs, () => this.#wakeUp());
      this.#wake = () => {
        deadline.cancel();
        resolve();
      };
    });
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  async #ownVersion(): Promise<string> {
    const { requestTimeoutMs } = this.#config;
    const ask = { method: 'GET', path: '/_ping', timeoutMs: requestTimeoutMs, maxBodyBytes: 65_536, signal: this.#run.signal };
    const { status, headers } = await askRegistry(this.#registry, ask);
    if (status !== 200) throw statusError(WHO, status);
    const version = headers.get('api-version') ?? USUAL_VERSION;
    return isVersion(version) ? version : USUAL_VERSION;
  }
}

/** Whether an event may have changed the list. Of one that does not say what it is about, nobody knows. */
function concerns(label: string, event: JsonObject | null): boolean {
  const attributes = objectIn(objectIn(event, 'Actor'), 'Attributes');
  if (textIn(event, 'Type') !== 'container' || attributes === null) return true;
  const [name = '', ...rest] = label.split('=');
  const value = textIn(attributes, name);
  return value !== null && (rest.length === 0 || value === rest.join('='));
}

function resolveOptions(options: DockerDiscoveryOptions): DockerConfig {
  const { socketPath = '/var/run/docker.sock', label = 'ferrata.enable=true', apiVersion, refreshMs = 300_000 } = options;
  const { portLabel = 'ferrata.port', weightLabel = 'ferrata.weight', zoneLabel = 'ferrata.zone' } = options;
  const { network, hostAddress = '127.0.0.1' } = options;
  if (apiVersion !== undefined && !isVersion(apiVersion)) throw new TypeError(`apiVersion must be as 1.41, not ${apiVersion}`);
  const settled = resolveHttpDiscoveryOptions(options);
  return {
    ...settled,
    target: { address: toNetAddress({ path: socketPath }) },
    label: checkText('label', label),
    apiVersion: apiVersion ?? null,
    refreshMs: checkWholeNumber('refreshMs', refreshMs, { min: 1_000, max: 86_400_000 }),
    reading: {
      maxBackends: settled.maxBackends,
      portLabel: checkText('portLabel', portLabel),
      weightLabel: checkText('weightLabel', weightLabel),
      zoneLabel: checkText('zoneLabel', zoneLabel),
      network: network === undefined ? null : checkText('network', network),
      hostAddress: checkText('hostAddress', hostAddress),
    },
  };
}

function isVersion(text: string): boolean {
  return typeof text === 'string' && /^\d{1,2}\.\d{1,3}$/.test(text);
}
