/** What checks share: where they knock, what `tls` of their options means, what they keep between two checks, and a time limit. */
import { checkWholeNumber, timeoutError } from '@ferrata/error';
import type { HttpEnvironment } from '@ferrata/http';
import { TlsClient, type TlsClientOptions } from '@ferrata/net';
import type { L4Stream } from '@ferrata/stream';
import type { Backend } from '../backend.ts';
import { type DialTarget, dial, givenUp, placeOf } from '../internal/dial.ts';
import { HttpClient } from '../internal/http-client.ts';

/** Options that all checks over a connection have. */
export interface ProbeOptions {
  /** Makes TLS over the connection. `true`: with Node's authorities, and the certificate verified. A `TlsClient` resumes sessions. Default: no TLS. */
  readonly tls?: TlsClient | TlsClientOptions | boolean;
  /** The name that TLS asks for, and that the certificate must be for. Default: the host of the backend. */
  readonly servername?: string;
  /** Time for one check, 1 to 86 400 000. Default 1 000. The checker's own limit holds besides: the shorter one counts. */
  readonly timeoutMs?: number;
}

/** `ProbeOptions`, checked. */
export interface ProbeConfig {
  readonly tls: TlsClient | null;
  readonly servername: string | undefined;
  readonly timeoutMs: number;
}

/** @throws {RangeError} when a number is out of range @throws {TypeError} when TLS cannot work as it is told to, or a name is no text */
export function resolveProbeOptions({ tls = false, servername, timeoutMs = 1_000 }: ProbeOptions): ProbeConfig {
  if (servername !== undefined && typeof servername !== 'string') throw new TypeError('servername must be text');
  return {
    tls: tlsClientOf(tls),
    servername,
    timeoutMs: checkWholeNumber('timeoutMs', timeoutMs, { min: 1, max: 86_400_000 }),
  };
}

/** The functions that open virtual backends: the same for the same backend, so that what is kept for it is found again. */
const openers = new WeakMap<Backend, NonNullable<DialTarget['connect']>>();

/** Where a check of a backend knocks: at its `healthPort`, or by its own `connect`. */
export function probeTarget(backend: Backend, { tls, servername }: ProbeConfig): DialTarget {
  const { address, healthPort } = backend;
  return {
    address: address.kind === 'tcp' && healthPort !== null ? { ...address, port: healthPort } : address,
    connect: backend.connect === null ? null : openerOf(backend),
    tls,
    servername,
  };
}

/** @throws {WireError} rejects with `timeout CONNECT_TIMEOUT`, `timeout TLS_HANDSHAKE_TIMEOUT`, or as `dial` */
export async function dialInTime(
  target: DialTarget,
  timeoutMs: number,
  environment: HttpEnvironment,
  signal: AbortSignal,
): Promise<L4Stream> {
  const own = new AbortController();
  let isConnected = false;
  const late = (): void =>
    own.abort(
      timeoutError(isConnected ? 'TLS_HANDSHAKE_TIMEOUT' : 'CONNECT_TIMEOUT', `not ready within ${timeoutMs} ms`, {
        source: 'upstream',
        retry: 'always',
        context: placeOf(target),
      }),
    );
  const handleAbort = (): void => own.abort(givenUp(signal));
  if (signal.aborted) handleAbort();
  else signal.addEventListener('abort', handleAbort);
  const deadline = environment.deadlines.after(timeoutMs, late);
  try {
    const onConnected = (): void => {
      isConnected = true;
    };
    return await dial(target, { environment, signal: own.signal, onConnected });
  } finally {
    deadline.cancel();
    signal.removeEventListener('abort', handleAbort);
  }
}

/** The clients of a check, one for each environment that it is used in. */
export class ProbeClients {
  readonly #keepConnection: boolean;
  readonly #clients = new Map<HttpEnvironment, HttpClient>();

  constructor(keepConnection: boolean) {
    this.#keepConnection = keepConnection;
  }

  of(environment: HttpEnvironment): HttpClient {
    const known = this.#clients.get(environment);
    if (known !== undefined) return known;
    const client = new HttpClient({ environment, keepConnection: this.#keepConnection, maxKept: MAX_KEPT });
    this.#clients.set(environment, client);
    return client;
  }

  /** A check may serve several checkers: what the others ask goes on. */
  closeKept(): void {
    for (const client of this.#clients.values()) client.closeKept();
  }
}

/** One a backend, as far as descriptors allow. */
const MAX_KEPT = 4_096;

function tlsClientOf(tls: TlsClient | TlsClientOptions | boolean): TlsClient | null {
  if (tls === false) return null;
  if (tls === true) return new TlsClient();
  if (typeof tls !== 'object' || tls === null) throw new TypeError('tls must be a TlsClient, its options, or true or false');
  return tls instanceof TlsClient ? tls : new TlsClient(tls);
}

function openerOf(backend: Backend): NonNullable<DialTarget['connect']> {
  const known = openers.get(backend);
  if (known !== undefined) return known;
  const opener = async (signal: AbortSignal): Promise<L4Stream> => {
    const open = backend.connect;
    if (open === null) throw new TypeError(`${backend.name} has no connect`);
    return open(backend, signal);
  };
  openers.set(backend, opener);
  return opener;
}
