/**
 * Our proxy as a process of its own, for suites that measure it: one `HttpProxy` behind one `HttpServer`, with a listener for each way through. It is
 * started by `ProxyProcess.start`, which says by a first message what the ways are, and asks for figures by others.
 *
 * It counts what the hooks are told: requests begun (`newContext`) and log lines (`logging`), and the lines of a request that had one already.
 */
import { readdirSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type Listener, listen } from '@ferrata/net';
import { HttpProxy, outcomeOf } from '@ferrata/proxy';
import type { L4Stream } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';
import type { ProxyFigures, ProxyProcessOptions, ProxyQuestion, ProxyRoute } from './proxy-process.ts';

/** What goes with a request: how many lines it has in the log. */
interface Entry {
  lines: number;
}

const LOCAL = '127.0.0.1:0';

/** Whoever started it was killed: nobody will ask for more. */
const endAlone = (): void => process.exit(1);

process.on('disconnect', endAlone);
process.once('message', (options) => void start(options as ProxyProcessOptions));

async function start({ routes, peerOptions, maxRetries, maxStreams }: ProxyProcessOptions): Promise<void> {
  const environment = new HttpEnvironment();
  const counts = { begun: 0, logged: 0, loggedTwice: 0, refused: 0, hookFailures: 0, acceptedConnections: 0 };
  const outcomes = new Map<string, number>();
  const peers = new Map<number, Peer>();
  const proxy = new HttpProxy<Entry>(
    {
      newContext: () => {
        counts.begun++;
        return { lines: 0 };
      },
      // Each way has a listener of its own, so the port says which it is.
      upstreamPeer({ client }) {
        const own = client.localAddress.kind === 'ip' ? peers.get(client.localAddress.port) : undefined;
        if (own === undefined) throw new TypeError('a connection of no route');
        return own;
      },
      logging({ status }, error, entry) {
        counts.logged++;
        if (++entry.lines > 1) counts.loggedTwice++;
        const key = `${outcomeOf(error)} ${status}${error === null ? '' : ` ${error.reason}`}`;
        outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
      },
    },
    {
      environment,
      onRefused: () => void counts.refused++,
      onHookFailed: () => void counts.hookFailures++,
      ...(maxRetries === undefined ? {} : { maxRetries }),
    },
  );
  const server = new HttpServer(proxy, { environment, ...(maxStreams === undefined ? {} : { http2: { connection: { maxStreams } } }) });
  const listeners: Listener[] = [];
  const ports: number[] = [];
  for (const route of routes) {
    const listener = await listenFor(route, (stream) => {
      counts.acceptedConnections++;
      server.accept(stream);
    });
    if (listener.address.kind !== 'ip') throw new TypeError('not an IP address');
    const { port } = listener.address;
    const { protocol, address, ca } = route.peer;
    peers.set(port, peer(address, { protocol, ...(ca === null ? {} : { tls: { ca } }), ...peerOptions }));
    ports.push(port);
    listeners.push(listener);
  }

  process.on('message', (question) => {
    void answer(question as ProxyQuestion);
  });
  // Node opens these when they are first asked for, and they are to be in the first figures.
  void [process.stdout, process.stderr];
  tell(ports);

  async function answer(question: ProxyQuestion): Promise<void> {
    if (question === 'close') {
      await Promise.all(listeners.map((listener) => listener.close()));
      server.close();
      proxy.close();
      // From here on nothing but what was forgotten keeps the process alive.
      process.off('disconnect', endAlone);
      process.disconnect();
      return;
    }
    if (question === 'collected figures') {
      // What the first finds to be garbage may hold memory beside the heap until its finalizers have run.
      globalThis.gc?.();
      await delay(10);
      // After any other kind V8 keeps the pages that its heap has ever had, and those count as resident once they have been used.
      globalThis.gc?.({ type: 'major', execution: 'sync', flavor: 'last-resort' });
    }
    tell(figures());
  }

  function figures(): ProxyFigures {
    const { rss, heapUsed, external } = process.memoryUsage();
    const resources: Record<string, number> = {};
    for (const name of process.getActiveResourcesInfo()) resources[name] = (resources[name] ?? 0) + 1;
    return {
      ...counts,
      residentBytes: rss,
      liveBytes: heapUsed + external,
      // The one that reads the folder is in it.
      descriptors: readdirSync('/proc/self/fd').length - 1,
      resources,
      deadlines: environment.deadlines.size,
      clientConnections: server.connectionCount,
      upstreamConnections: proxy.connector.connectionCount,
      idleUpstream: proxy.connector.idleCount,
      outcomes: Object.fromEntries(outcomes),
    };
  }
}

async function listenFor({ front }: ProxyRoute, accept: (stream: L4Stream) => void): Promise<Listener> {
  if (front === null) return await listen(LOCAL, accept);
  const tls = { certificates: [{ certificate: front.certificate, key: front.key }], alpn: ['h2', 'http/1.1'] };
  return await listen({ address: LOCAL, tls }, accept);
}

function tell(message: object): void {
  process.send?.(message);
}
