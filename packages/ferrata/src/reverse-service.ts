/**
 * The reverse proxy as a service of a server: what one worker thread has of it, and how that follows the configuration.
 *
 * - The connections to origins, their TLS sessions and the certificates of the listeners outlive reloads; the proxy itself is made anew for each configuration.
 * - Ticket keys are those of all threads: a client resumes its session with whichever accepts it.
 * - What happens in every thread (a certificate was replaced, an origin refuses) is told by one of them.
 */
import { randomBytes } from 'node:crypto';
import { systemClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import type { HttpServerOptions } from '@ferrata/http';
import { balancerMemory } from '@ferrata/load-balancing';
import { type CertificateReload, TicketKeys, type TlsClient } from '@ferrata/net';
import type { HttpProxy } from '@ferrata/proxy';
import {
  type AcceptSettings,
  HttpService,
  type ListenAddress as ListenPlace,
  type RunningService,
  type Server,
  type Service,
  type ServiceContext,
} from '@ferrata/service';
import type { StreamInfo } from '@ferrata/stream';
import { UpstreamConnector } from '@ferrata/upstream';
import { AccessLog } from './access-log.ts';
import { type FileLines, lineOutput } from './file-lines.ts';
import { ListenerTls } from './listener-tls.ts';
import { OriginGroups, type SharedBalancing } from './origin-groups.ts';
import { OriginNotices } from './origin-notices.ts';
import type { Output } from './output.ts';
import { authoritiesMark, certificatesMark, proxyProtocolOf, type ReverseConfig, upstreamTlsOf } from './reverse-config.ts';
import { acceptFor, httpOptionsFor, type Progress, proxyFor, type Shares, sharesOf, tlsClientFor, tlsServerFor } from './reverse-core.ts';
import type { ReverseProxyOptions } from './reverse-options.ts';
import { ToldMemory } from './told-memory.ts';
import { formatUrl, type ListenAddress } from './urls.ts';

/** Of a listener whose clients speak TLS. */
export const SECURE_LABEL = 'https';

/** In a thread `process.stdout.fd` is not there. */
const STANDARD_OUTPUT = 1;

/** How long the last lines may take to reach whoever reads them. */
const LAST_LINES_MS = 1_000;

/** Pages of it that nobody writes to cost nothing. Threads that take the place of others have places of their own for a while. */
const MEMORY_SIZE = { maxBackends: 4_096, maxThreads: 256 } as const;

/** What happens in all threads happens within this time. */
const SAME_EVENT_MS = 10_000;

/** What the threads of a generation share. */
export interface SharedParts {
  readonly tickets: TicketKeys;
  readonly told: ToldMemory;
  /** What all know of origins. Absent: this thread is alone. */
  readonly balancing?: SharedBalancing;
}

/** Asks a server for what its threads share. */
export function sharedPartsOf(server: Pick<Server<ReverseConfig>, 'shared'>): SharedParts {
  return {
    tickets: server.shared('tickets', { create: () => new TicketKeys().buffer, open: (buffer) => new TicketKeys({ buffer }) }),
    told: server.shared('told', { create: () => new ToldMemory().buffer, open: (buffer) => new ToldMemory(buffer) }),
    balancing: {
      memory: server.shared('balancing', { create: () => balancerMemory(MEMORY_SIZE), open: (buffer) => buffer }),
      secret: server.shared('sticky', { create: drawnSecret, open: (buffer) => new Uint8Array(buffer) }),
    },
  };
}

/** The service. */
export function reverseService(shared: SharedParts): Service<ReverseConfig> {
  let seat: Seat | null = null;
  const seatOf = (context: ServiceContext<ReverseConfig>): Seat => (seat ??= new Seat(context, shared));
  const http = new HttpService<ReverseConfig>({
    name: 'reverse',
    listen: ({ listen }) => listen.map(placeOf),
    application: (context, { config }) => seatOf(context).proxyOf(config),
    http: (context) => seatOf(context).httpOptions,
    accept: ({ label }, context) => seatOf(context).acceptOf(label === SECURE_LABEL),
  });
  return {
    name: http.name,
    placement: http.placement,
    listeners: (config) => http.listeners(config),
    async start(context) {
      try {
        const running = await http.start(context);
        return withLastLines(running, seatOf(context));
      } catch (error) {
        // What watches files and waits for origins would go on without anybody.
        await seat?.close();
        seat = null;
        throw error;
      }
    },
  };
}

function drawnSecret(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(32);
  new Uint8Array(memory).set(randomBytes(32));
  return memory;
}

/** What one thread has. */
class Seat {
  readonly httpOptions: HttpServerOptions;
  readonly #context: ServiceContext<ReverseConfig>;
  readonly #shared: SharedParts;
  readonly #shares: Shares;
  readonly #connector: UpstreamConnector;
  readonly #groups: OriginGroups;
  readonly #listenerTls: ListenerTls | null;
  readonly #output: FileLines | Output;
  /** A thread that ends by a bug has lines that wait, too. */
  readonly #lastWords = (): void => this.#log?.flush();
  readonly #log: AccessLog | null;
  readonly #failures: OriginNotices;
  /** Of the last configuration that was looked at, whether it has come into force or not. */
  #certificates: string;
  #authorities: string;
  #tlsClient: TlsClient | null;

  constructor(context: ServiceContext<ReverseConfig>, shared: SharedParts) {
    const { environment, snapshot, threads } = context;
    const { config } = snapshot;
    this.#context = context;
    this.#shared = shared;
    this.#output = lineOutput(STANDARD_OUTPUT, { now: () => systemClock.now(), onFailed: (error) => this.#tellOfFile(error) });
    this.#log = config.hasAccessLog ? new AccessLog(this.#output, () => systemClock.wallNow()) : null;
    process.once('exit', this.#lastWords);
    this.#failures = new OriginNotices(
      (text) => context.notify({ severity: 'warning', text }),
      () => systemClock.now(),
      shared.told,
    );
    this.#connector = new UpstreamConnector({ environment });
    this.#groups = new OriginGroups(environment, shared.balancing);
    this.#certificates = certificatesMark(config);
    this.#authorities = authoritiesMark(config);
    const options = this.#optionsOf(config);
    this.#shares = sharesOf(options, threads);
    this.httpOptions = { environment, ...httpOptionsFor(options, this.#shares) };
    this.#listenerTls = this.#listenerTlsFor(config);
    this.#tlsClient = tlsClientFor(options);
  }

  /** The proxy for a configuration. @throws whatever says why it cannot be */
  async proxyOf(config: ReverseConfig): Promise<HttpProxy<Progress>> {
    const options = this.#optionsOf(config);
    await this.#readCertificates(config);
    this.#takeAuthorities(config, options);
    const { environment } = this.#context;
    const proxy = proxyFor(options, { environment, connector: this.#connector, tls: this.#tlsClient, groups: this.#groups });
    await this.#groups.untilKnown();
    return proxy;
  }

  acceptOf(isSecure: boolean): AcceptSettings {
    const log = this.#log;
    const { acceptProxy } = proxyProtocolOf(this.#context.snapshot.config);
    const onFailed = (error: WireError, info: StreamInfo): void => log?.logHandshakeFailure(error, info);
    return acceptFor({ isSecure }, this.#listenerTls?.server ?? null, {
      ...(acceptProxy === undefined ? {} : { acceptProxy }),
      ...(log === null ? {} : { onHandshakeFailed: onFailed, onProxyHeaderFailed: onFailed }),
    });
  }

  /** Writes out the lines of the log that wait, for which whoever reads them has a second. */
  async lastLines(): Promise<void> {
    this.#log?.flush();
    await this.#output.flush(LAST_LINES_MS);
  }

  /** The last configuration that was looked at is in force. */
  adopt(): void {
    this.#groups.adopt();
  }

  async close(): Promise<void> {
    this.#connector.close();
    this.#groups.close();
    await this.#listenerTls?.close();
    await this.lastLines();
    process.off('exit', this.#lastWords);
  }

  /** The same files are looked at without being asked for, too: this only does it now. */
  async #readCertificates(config: ReverseConfig): Promise<void> {
    const mark = certificatesMark(config);
    if (mark === this.#certificates) return;
    const failure = (await this.#listenerTls?.reload()) ?? null;
    if (failure !== null) throw failure;
    this.#certificates = mark;
  }

  /** Connections that were made under other authorities are not used any more: they belong to the client of those. */
  #takeAuthorities(config: ReverseConfig, options: ReverseProxyOptions): void {
    const mark = authoritiesMark(config);
    // The first origin with TLS may have come by a reload.
    if (mark === this.#authorities && this.#tlsClient !== null) return;
    this.#tlsClient = tlsClientFor(options);
    this.#authorities = mark;
  }

  #listenerTlsFor({ certificates }: ReverseConfig): ListenerTls | null {
    const { handshakes } = this.#shares;
    if (handshakes === null) return null;
    return new ListenerTls(certificates, {
      clock: this.#context.environment.clock,
      onReload: (reload) => this.#tellOf(reload),
      serverFor: (from) => tlsServerFor({ ...from, tickets: this.#shared.tickets }, handshakes),
    });
  }

  #optionsOf({ compress, secretHeaders, ...config }: ReverseConfig): ReverseProxyOptions {
    const log = this.#log;
    return {
      ...config,
      ...(compress === null ? {} : { compression: { codings: compress } }),
      ...proxyProtocolOf(config),
      headerUp: secretHeaders.up,
      headerDown: secretHeaders.down,
      upstreamTls: upstreamTlsOf(config),
      onOriginNotice: (text, isGood) => this.#tellOfOrigin(text, isGood),
      onOriginFailed: (origin, error) => this.#failures.tell(formatUrl(origin), error),
      onHookFailed: (error) =>
        this.#context.notify({ severity: 'error', text: `a request is over, and what was to follow failed: ${error.message}` }),
      ...(log === null
        ? {}
        : { onSession: (session, error) => log.logSession(session, error), onRefused: (refusal) => log.logRefusal(refusal) }),
    };
  }

  /** A full disk happens to all threads. */
  #tellOfFile({ message }: Error): void {
    const text = `the access log cannot be written: ${message}`;
    if (this.#shared.told.claim(text, systemClock.now(), SAME_EVENT_MS) !== null) this.#context.notify({ severity: 'error', text });
  }

  /** Each thing is found by one thread, but what fails all the time is not told all the time. */
  #tellOfOrigin(text: string, isGood: boolean): void {
    if (this.#shared.told.claim(text, systemClock.now(), SAME_EVENT_MS) === null) return;
    this.#context.notify({ severity: isGood ? 'info' : 'warning', text });
  }

  #tellOf(reload: CertificateReload): void {
    const text = reloadSentence(reload);
    // Each thread watches the files; a certificate that comes back after a while is another event.
    if (this.#shared.told.claim(`${text} ${reload.certificate.certificate.serialNumber}`, systemClock.now(), SAME_EVENT_MS) === null)
      return;
    this.#context.notify({ severity: reload.error === null && reload.concern === null ? 'info' : 'warning', text });
  }
}

/** The service as it runs, with the end of a log behind its own. */
function withLastLines(running: RunningService<ReverseConfig>, seat: Seat): RunningService<ReverseConfig> {
  return {
    get counts() {
      return running.counts;
    },
    async prepare(next) {
      const prepared = await running.prepare?.(next);
      return {
        commit() {
          prepared?.commit();
          seat.adopt();
        },
        discard: () => prepared?.discard(),
      };
    },
    onMemoryPressure: (pressure) => running.onMemoryPressure?.(pressure),
    async drain(graceMs) {
      const cut = await running.drain(graceMs);
      await seat.close();
      return cut;
    },
    async close() {
      await running.close();
      await seat.close();
    },
  };
}

function placeOf({ isSecure, ...address }: ListenAddress): ListenPlace {
  return { address, ...(isSecure === true ? { label: SECURE_LABEL } : {}) };
}

/** What has become of a certificate whose files were looked at again. */
function reloadSentence({ label, error, concern, isReplaced }: CertificateReload): string {
  // The errors name it, too.
  const textOf = ({ message }: WireError): string => message.replace(`${label}: `, '');
  if (error !== null) return `${label}: the new certificate or its key cannot be used, the old ones serve on: ${textOf(error)}`;
  if (concern !== null) return `${label}: ${textOf(concern)}`;
  return isReplaced ? `${label}: new connections get the new certificate` : `${label}: the certificate and its key can be read again`;
}
