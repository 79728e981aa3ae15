/**
 * The admin endpoint: tells how a server does, and has it reload, stop and be upgraded. In the main thread of the process that serves.
 *
 * ```
 *   GET  /health  /ready  /phase  /workers  /connections      HEAD as GET
 *   POST /reload  /drain  /upgrade                            answered when it is done, with what became of it
 * ```
 * JSON and nothing else, one request a connection, 16 connections at once, short times for everything that the client has to do. It listens on loopback or a Unix socket
 * only, and refuses browsers (see `admin-refusals.ts`). While a reload or an upgrade runs, another one is answered 409; a drain is taken at any time, once.
 */
import { checkWholeNumber } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type Listener, listen } from '@ferrata/net';
import { formatAddress, type StreamAddress } from '@ferrata/stream';
import { isLoopback } from '../loopback.ts';
import type { ServiceSocket } from '../service.ts';
import { AdminDesk } from './admin-desk.ts';
import { MAX_BODY_BYTES } from './admin-refusals.ts';
import type { AdminTarget } from './admin-target.ts';

/** Options of the admin endpoint. */
export interface AdminOptions {
  /** Clock and timers. Default: those of its own. */
  readonly environment?: HttpEnvironment;
  /** A POST that is not done after so long is answered 504, and goes on. Default 3 600 000 ms: longer than any grace that makes sense. */
  readonly answerTimeoutMs?: number;
}

/** An admin endpoint that listens. */
export interface AdminEndpoint extends AsyncDisposable {
  readonly address: StreamAddress;
  /** Stops accepting, lets answers go out for `graceMs` (default 1 000), cuts the rest. Call it last: until then `/phase` tells how the end goes. */
  close(graceMs?: number): Promise<void>;
}

const MAX_CONNECTIONS = 16;

/**
 * Begins to serve on a socket that listens already, or, where descriptors are not shared, at its address.
 *
 * @param socket its descriptor belongs to the endpoint from now on; the file of a Unix socket it leaves alone
 * @throws {RangeError} if the socket is neither of loopback nor a Unix socket; it is not closed then
 * @throws {WireError} as `listen` does
 */
export async function openAdminEndpoint(socket: ServiceSocket, target: AdminTarget, options: AdminOptions = {}): Promise<AdminEndpoint> {
  if (!isLoopback(socket.address))
    throw new RangeError(`the admin endpoint must listen on loopback or a Unix socket, not ${formatAddress(socket.address)}`);
  const environment = options.environment ?? new HttpEnvironment();
  const answerTimeoutMs = checkWholeNumber('answerTimeoutMs', options.answerTimeoutMs ?? 3_600_000, { min: 1, max: 2_147_483_647 });
  const desk = new AdminDesk(target, environment, answerTimeoutMs);
  const server = new HttpServer(desk, {
    environment,
    http2: false,
    maxConnections: MAX_CONNECTIONS,
    writeTimeoutMs: 5_000,
    drainIdleMs: 0,
    connection: {
      firstByteTimeoutMs: 5_000,
      headTimeoutMs: 5_000,
      bodyTimeoutMs: 5_000,
      idleTimeoutMs: 5_000,
      maxRequests: 1,
      maxDrainBytes: MAX_BODY_BYTES,
      decoder: { maxHeadBytes: 8_192, maxFields: 64, maxTargetBytes: 256 },
    },
  });
  const { fd, listen: where } = socket;
  const listener = await listen(
    fd === null ? { address: where.address, ...(where.mode === undefined ? {} : { mode: where.mode }) } : { fd },
    (stream) => server.accept(stream),
  );
  return new ListeningEndpoint(listener, server, fd === null ? listener.address : socket.address);
}

class ListeningEndpoint implements AdminEndpoint {
  readonly address: StreamAddress;
  readonly #listener: Listener;
  readonly #server: HttpServer;

  constructor(listener: Listener, server: HttpServer, address: StreamAddress) {
    this.#listener = listener;
    this.#server = server;
    this.address = address;
  }

  async close(graceMs = 1_000): Promise<void> {
    await this.#listener.close();
    await this.#server.drain(graceMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close(0);
  }
}
