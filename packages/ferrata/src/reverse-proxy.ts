/** The reverse proxy in this very thread: listeners, a proxy whose origins take turns, and an end in order. */
import { setImmediate } from 'node:timers/promises';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type Listener, listen, type TlsServer } from '@ferrata/net';
import { OriginGroups } from './origin-groups.ts';
import { acceptFor, httpOptionsFor, proxyFor, sharesOf, tlsClientFor, tlsServerFor, untilShaken } from './reverse-core.ts';
import type { ReverseProxyOptions } from './reverse-options.ts';

/** Sockets close within a turn or two; more is not waited for. */
const MAX_CLOSING_TURNS = 100;

/** A running reverse proxy. */
export interface ReverseProxy {
  readonly listeners: readonly Listener[];
  /**
   * Stops accepting, lets what runs end within `graceMs`, cuts the rest. A second call with a shorter time shortens the first; with 0 it cuts at once.
   *
   * @returns how many connections were cut by this call
   */
  stop(graceMs: number): Promise<number>;
}

/**
 * Starts to listen and to proxy.
 * @throws {WireError} when an address cannot be listened on, or certificates cannot work; whatever was opened is closed again
 * @throws {TypeError} when a listener has TLS and there is no certificate
 */
export async function startReverseProxy(options: ReverseProxyOptions): Promise<ReverseProxy> {
  const environment = new HttpEnvironment();
  const shares = sharesOf(options);
  const groups = new OriginGroups(environment);
  const proxy = proxyFor(options, { environment, tls: tlsClientFor(options), groups });
  const tls = shares.handshakes === null ? null : tlsServerFor(options.tls, shares.handshakes);
  const server = new HttpServer(proxy, { environment, ...httpOptionsFor(options, shares) });
  await groups.untilKnown();
  const listeners = await listenAll(options, tls, server).catch((error: unknown) => {
    groups.close();
    throw error;
  });
  return {
    listeners,
    async stop(graceMs) {
      const endAt = environment.now() + graceMs;
      await Promise.all(listeners.map((listener) => listener.close()));
      await untilShaken(tls, graceMs);
      const cut = await server.drain(Math.max(0, endAt - environment.now()));
      proxy.close();
      groups.close();
      await tls?.close();
      await untilClosed(server);
      return cut;
    },
  };
}

/** A connection that was cut says so in a later turn of the event loop, and only then its request gets its line in the log. */
async function untilClosed(server: HttpServer): Promise<void> {
  for (let turn = 0; turn < MAX_CLOSING_TURNS && server.connectionCount > 0; turn++) await setImmediate();
}

async function listenAll(options: ReverseProxyOptions, tls: TlsServer | null, server: HttpServer): Promise<Listener[]> {
  const listeners: Listener[] = [];
  try {
    for (const { isSecure = false, ...address } of options.listen) {
      const how = acceptFor({ isSecure }, tls, options);
      listeners.push(await listen({ address, ...how }, (stream) => server.accept(stream)));
    }
    return listeners;
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close()));
    await tls?.close();
    throw error;
  }
}
