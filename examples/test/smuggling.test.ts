/**
 * Requests that make http-proxy and an origin disagree on where a message ends, and the same bytes here: each with a pool of connections to the origin, as whoever
 * wants speed has, and a rule that nobody gets to `/admin`.
 *
 * Between the proxy and the origin (Node's own server) stands a tap that writes down each byte of each connection.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { after, type TestContext, test } from 'node:test';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { appendForwarded, HttpProxy } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';
import { DEADLINE_MS } from './programs.ts';

/** The part of http-proxy and http-proxy-3 that is used here; the first brings no types. */
interface HttpProxyModule {
  createProxyServer(options: { readonly target: string; readonly agent: Agent; readonly xfwd: boolean }): {
    web(request: IncomingMessage, response: ServerResponse): void;
    ws(request: IncomingMessage, socket: Duplex, head: Buffer): void;
    on(event: 'error', listener: (error: Error, request: IncomingMessage, response: ServerResponse | Socket) => void): void;
  };
}

// http-proxy calls what Node has deprecated; nobody can do anything about that here.
process.noDeprecation = true;

/** Starts a proxy on a free port, in front of an origin on another. */
type StartProxy = (originPort: number) => Promise<number>;

/** The way their documents show it. */
function startTheirs(name: 'http-proxy' | 'http-proxy-3'): StartProxy {
  return async (originPort) => {
    const module = createRequire(import.meta.url)(name) as HttpProxyModule;
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const proxy = module.createProxyServer({ target: `http://127.0.0.1:${originPort}`, agent, xfwd: true });
    proxy.on('error', (_error, _request, response) => response.destroy());
    const server = createServer((request, response) => {
      if (request.url === '/admin') response.writeHead(403).end();
      else proxy.web(request, response);
    });
    server.on('upgrade', (request, socket, head) => proxy.ws(request, socket, head));
    after(() => agent.destroy());
    return await listenOn(server);
  };
}

const startOurs: StartProxy = async (originPort) => {
  const environment = new HttpEnvironment();
  const origin = peer(`127.0.0.1:${originPort}`);
  const proxy = new HttpProxy(
    {
      requestFilter(session) {
        if (session.request.target !== '/admin') return false;
        session.respond(403);
        return true;
      },
      upstreamPeer: () => origin,
      upstreamRequestFilter: appendForwarded,
    },
    { environment },
  );
  const server = new HttpServer(proxy, { environment });
  const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
  after(async () => {
    await listener.close();
    server.close();
    proxy.close();
  });
  assert.ok(listener.address.kind === 'ip');
  return listener.address.port;
};

const theirs: Readonly<Record<string, StartProxy>> = {
  'http-proxy': startTheirs('http-proxy'),
  'http-proxy-3': startTheirs('http-proxy-3'),
};

async function listenOn(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  after(() => {
    server.close();
    if ('closeAllConnections' in server) server.closeAllConnections();
  });
  return (server.address() as AddressInfo).port;
}

/** What an origin has seen. */
class Witness {
  /** Each request that it has read, in order. */
  readonly requests: string[] = [];
  /** The bodies that it has read, by target. */
  readonly bodies = new Map<string, string>();
  /** Each byte that came, by connection. */
  readonly wire: string[] = [];
  readonly #waiting = new Set<() => void>();

  /** Starts the origin, which answers every request at once, and the tap in front of it. @returns the tap's port */
  async start(): Promise<number> {
    const server = createServer((request, response) => {
      const target = request.url ?? '';
      this.requests.push(`${request.method} ${target}`);
      request.setEncoding('latin1').on('data', (text: string) => {
        this.bodies.set(target, (this.bodies.get(target) ?? '') + text);
        this.#tell();
      });
      request.on('error', () => {});
      response.sendDate = false;
      response.end(`for ${target}`);
      this.#tell();
    });
    const port = await listenOn(server);
    const sockets = new Set<Socket>();
    after(() => sockets.forEach((socket) => void socket.destroy()));
    const tap = createTcpServer((socket) => {
      const connection = this.wire.push('') - 1;
      const inner = connect(port, '127.0.0.1');
      socket.on('data', (bytes) => (this.wire[connection] += bytes.toString('latin1')));
      for (const end of [socket, inner]) sockets.add(end.on('error', () => {}));
      socket.pipe(inner).pipe(socket);
    });
    return await listenOn(tap);
  }

  /** Waits until something is so; looks whenever the origin has read something. */
  async saw(what: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(DEADLINE_MS);
    while (!what()) {
      signal.throwIfAborted();
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
        signal.addEventListener('abort', () => resolve(), { once: true });
      });
    }
  }

  #tell(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** Sends `text` on a connection of its own, and reads until `until` has come. */
async function send(port: number, text: string, until: string): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => {});
  let received = '';
  socket.setEncoding('latin1').on('data', (piece: string) => (received += piece));
  socket.write(text, 'latin1');
  const signal = AbortSignal.timeout(DEADLINE_MS);
  try {
    while (!received.includes(until)) await once(socket, 'data', { signal });
  } finally {
    socket.destroy();
  }
  return received;
}

/** Field names in lower case and in order, as each proxy has a way of its own with them. */
function sorted(head: string): readonly string[] {
  return head
    .trimEnd()
    .split('\r\n')
    .slice(1)
    .map((line) => line.replace(/^[^:]+/, (name) => name.toLowerCase()))
    .toSorted();
}

/** Runs a case against each of theirs, and against ours. */
async function each(
  t: TestContext,
  proxies: Readonly<Record<string, StartProxy>>,
  run: (port: number, witness: Witness) => Promise<void>,
): Promise<void> {
  for (const [name, startProxy] of Object.entries(proxies)) {
    await t.test(name, async () => {
      const witness = new Witness();
      await run(await startProxy(await witness.start()), witness);
    });
  }
}

/** What ours adds. */
const FORWARDED = 'X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n';
const NEXT = 'GET /next HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n\r\n';

// ---- a body in chunks, of a method that is thought to have none: the class of CVE-2026-29057, which is Next.js's for the same code ---------

const HIDDEN = 'GET /admin HTTP/1.1\r\nHost: internal\r\n\r\n';
const CHUNKED = `DELETE /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`;

test('http-proxy makes "Content-Length: 0" of chunks and sends the body all the same: the origin reads it as a request that no rule has seen', async (t) => {
  await each(t, theirs, async (port, witness) => {
    await send(port, CHUNKED, 'for /a');
    await witness.saw(() => witness.requests.length === 2);
    assert.deepEqual(witness.requests, ['DELETE /a', 'GET /admin']);
    const [head = '', ...behind] = (witness.wire[0] ?? '').split('\r\n\r\n');
    assert.ok(sorted(head).includes('content-length: 0'));
    assert.ok(!/transfer-encoding/i.test(head));
    assert.equal(behind.join('\r\n\r\n'), HIDDEN);
  });
});

test('the same chunks reach the origin as chunks here, whatever the method (RFC 9112 §6.3)', async (t) => {
  await each(t, { '@ferrata/proxy': startOurs }, async (port, witness) => {
    for (const method of ['DELETE', 'OPTIONS', 'GET', 'REPORT']) {
      await send(port, CHUNKED.replace('DELETE', method), 'for /a');
      await send(port, NEXT, 'for /next');
      assert.deepEqual(witness.requests.splice(0), [`${method} /a`, 'GET /next']);
      assert.equal(witness.bodies.get('/a'), HIDDEN);
      witness.bodies.clear();
    }
    assert.ok(witness.wire[0]?.startsWith(CHUNKED.replace('Host: a\r\n', `Host: a\r\n${FORWARDED}`)), witness.wire[0]);
  });
});

// ---- an upgrade with a body, refused, on a connection that goes back to the pool: the class of CVE-2026-58055 and CVE-2026-73548 -----------

const LENGTH = 40;
const UPGRADE = `GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: ${LENGTH}\r\n\r\n`;

test('http-proxy sends the length of an upgrade and not its body: if the origin grants none, the next request of anybody is read as that body', async (t) => {
  await each(t, theirs, async (port, witness) => {
    await send(port, UPGRADE, 'for /ws');
    const victim = connect(port, '127.0.0.1').on('error', () => {});
    after(() => victim.destroy());
    victim.write(NEXT);
    await witness.saw(() => witness.bodies.get('/ws')?.length === LENGTH);
    assert.deepEqual(witness.requests, ['GET /ws']);
    const [head = '', next = ''] = (witness.wire[0] ?? '').split('\r\n\r\n');
    assert.ok(sorted(head).includes(`content-length: ${LENGTH}`));
    assert.equal(witness.bodies.get('/ws'), next.slice(0, LENGTH));
    assert.ok(next.startsWith('GET /next HTTP/1.1\r\n'));
  });
});

test('here a request with a body asks for no upgrade, and a connection that has not carried the whole of it carries nothing else', async (t) => {
  await each(t, { '@ferrata/proxy': startOurs }, async (port, witness) => {
    await send(port, UPGRADE, 'for /ws');
    await send(port, NEXT, 'for /next');
    assert.deepEqual(witness.requests, ['GET /ws', 'GET /next']);
    assert.equal(witness.bodies.size, 0);
    assert.deepEqual(witness.wire, [
      `GET /ws HTTP/1.1\r\nHost: a\r\nContent-Length: ${LENGTH}\r\n${FORWARDED}\r\n`,
      `GET /next HTTP/1.1\r\nHost: a\r\nCookie: secret\r\n${FORWARDED}\r\n`,
    ]);
  });
});

// ---- bytes behind an upgrade: the class of CVE-2026-2833 ------------------------------------------------------------------------------

const BEHIND = UPGRADE.replace(/Content-Length: \d+\r\n/, '') + HIDDEN;

test('http-proxy drops what comes behind an upgrade that the origin answers with 200, and the connection of its client with it', async (t) => {
  await each(t, theirs, async (port, witness) => {
    await send(port, BEHIND, 'for /ws');
    await send(port, NEXT, 'for /next');
    assert.deepEqual(witness.requests, ['GET /ws', 'GET /next']);
    assert.ok(!witness.wire.join('').includes('/admin'));
  });
});

test('here it is a request like any other: parsed, and stopped by the rule', async (t) => {
  await each(t, { '@ferrata/proxy': startOurs }, async (port, witness) => {
    const received = await send(port, BEHIND, '403 Forbidden');
    assert.match(received, /^HTTP\/1\.1 200 OK\r\n[^]*for \/wsHTTP\/1\.1 403 Forbidden\r\n/);
    await send(port, NEXT, 'for /next');
    assert.deepEqual(witness.requests, ['GET /ws', 'GET /next']);
    assert.ok(!witness.wire.join('').includes('/admin'));
  });
});

// ---- fields that Connection names (RFC 9110 §7.6.1): the class of CVE-2022-31813 -------------------------------------------------------

const NOMINATED =
  'GET /a HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For, X-Mine\r\nX-Mine: 1\r\nProxy-Authorization: Basic c2VjcmV0\r\n\r\n';

test('http-proxy forwards Connection, which tells the next hop to take X-Forwarded-For away, and the password that was for itself', async (t) => {
  await each(t, theirs, async (port, witness) => {
    await send(port, NOMINATED, 'for /a');
    assert.deepEqual(sorted(witness.wire[0] ?? ''), [
      'connection: X-Forwarded-For, X-Mine',
      'host: a',
      'proxy-authorization: Basic c2VjcmV0',
      'x-forwarded-for: 127.0.0.1',
      'x-forwarded-host: a',
      'x-forwarded-port: 80',
      'x-forwarded-proto: http',
      'x-mine: 1',
    ]);
  });
});

test('here what Connection names is gone before ours is added, and nothing of one connection goes on to the next', async (t) => {
  await each(t, { '@ferrata/proxy': startOurs }, async (port, witness) => {
    await send(port, NOMINATED, 'for /a');
    assert.deepEqual(witness.wire, [`GET /a HTTP/1.1\r\nHost: a\r\n${FORWARDED}\r\n`]);
  });
});
