/**
 * Connections that stop being HTTP: 101 after an upgrade, 2xx to CONNECT, with every peer at either end.
 *
 * The server says something in the same write as its head, and echoes from then on; the client says something, in one case before it knows the
 * answer, then ends its side. Each end must get exactly the other's bytes: none of them lost at the switch, none of them read as HTTP.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request as makeRequest } from 'node:http';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { concatBytes, latin1Encode } from '@ferrata/bytes';
import { HeaderMap, requestHead, responseHead } from '@ferrata/headers';
import { HttpEnvironment, HttpServer, respond, type ServerExchange } from '@ferrata/http';
import { toDuplex } from '@ferrata/net';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import { Client } from 'undici';
import { serve } from '../rig/serve.ts';
import { type Outcome, outcomeOf } from '../runner.ts';
import { inTime } from './deadline.ts';
import { listening, type PlanServer } from './node-server.ts';
import { markedBytes, TOKEN_FIELD } from './plan.ts';
import { startProxy } from './routes.ts';

const TUNNEL_BYTES = 100_000;
const PROTOCOL = 'echo';
/** A target at which servers refuse to switch. */
const REFUSED = '/refused';

/** Opens a tunnel; `early` is what the client says before it has the answer, for clients that can. */
type TunnelClient = (port: number, method: 'GET' | 'CONNECT', target: string, token: string, early: Uint8Array) => Promise<OpenTunnel>;

interface OpenTunnel {
  readonly status: number;
  /** Null: refused. */
  readonly duplex: Duplex | null;
  readonly close: () => unknown;
}

/** Runs every tunnel. */
export async function runTunnels(isWanted: (id: string) => boolean): Promise<Outcome[]> {
  const node = await startNodeTunnels();
  const ours = await startOurTunnels();
  const proxy = await startProxy(node.port);
  const clients: Readonly<Record<string, TunnelClient>> = { node: nodeTunnel, undici: undiciTunnel, raw: rawTunnel, ferrata: ourTunnel };
  const ways = [
    ...['node', 'undici', 'raw'].map((client) => ({ client, route: `${client}-ferrata`, port: ours.port, isProxied: false })),
    ...['node', 'undici', 'raw'].map((client) => ({ client, route: `${client}-proxy-node`, port: proxy.port, isProxied: true })),
    { client: 'ferrata', route: 'ferrata-node', port: node.port, isProxied: false },
  ];
  const outcomes: Outcome[] = [];
  let tokens = 0;
  const run = async (id: string, check: (token: string) => Promise<string | null>): Promise<void> => {
    if (isWanted(id)) outcomes.push(await outcomeOf(id, () => inTime('the end of the tunnel', check(`u${++tokens}`))));
  };
  for (const { client, route, port, isProxied } of ways) {
    const open = clients[client] as TunnelClient;
    const none = new Uint8Array(0);
    await run(`${route}/tunnel/upgrade`, (token) => converse(open, port, 'GET', token, none, 101));
    await run(`${route}/tunnel/refused-upgrade`, (token) => refused(open, port, 'GET', REFUSED, token, 426));
    if (client === 'raw')
      await run(`${route}/tunnel/early-bytes`, (token) => converse(open, port, 'GET', token, markedBytes(`${token} early`, 3_000), 101));
    // Our proxy tunnels for nobody.
    if (isProxied) await run(`${route}/tunnel/connect`, (token) => refused(open, port, 'CONNECT', 'a.example:443', token, 405));
    else await run(`${route}/tunnel/connect`, (token) => converse(open, port, 'CONNECT', token, none, 200));
  }
  for (const server of [proxy, node, ours]) await server.close();
  return outcomes;
}

async function converse(
  open: TunnelClient,
  port: number,
  method: 'GET' | 'CONNECT',
  token: string,
  early: Uint8Array,
  status: number,
): Promise<string | null> {
  const tunnel = await open(port, method, method === 'GET' ? '/tunnel' : 'a.example:443', token, early);
  try {
    if (tunnel.status !== status || tunnel.duplex === null) return `answered ${tunnel.status}, ${status} planned`;
    const sent = markedBytes(`${token} late`, TUNNEL_BYTES);
    const received = readAll(tunnel.duplex);
    tunnel.duplex.write(sent.slice(0, 10));
    tunnel.duplex.end(sent.slice(10));
    const expected = concatBytes([greeting(token), early, sent]);
    const got = await received;
    if (Buffer.compare(got, expected) === 0) return null;
    const at = got.findIndex((byte, index) => byte !== expected[index]);
    return `${got.length} bytes came through, ${expected.length} planned, the first difference at ${at}`;
  } finally {
    await tunnel.close();
  }
}

async function refused(
  open: TunnelClient,
  port: number,
  method: 'GET' | 'CONNECT',
  target: string,
  token: string,
  status: number,
): Promise<string | null> {
  const tunnel = await open(port, method, target, token, new Uint8Array(0));
  tunnel.duplex?.destroy();
  await tunnel.close();
  return tunnel.status === status ? null : `answered ${tunnel.status}, ${status} planned`;
}

/** What a server says with its head. */
function greeting(token: string): Uint8Array {
  return latin1Encode(`hello ${token}\r\n\r\nHTTP/1.1 200 OK\r\n\r\n`);
}

async function readAll(duplex: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of duplex) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

// ---- servers ----------------------------------------------------------------------------------------------------------------------

async function startNodeTunnels(): Promise<PlanServer> {
  const open = new Set<Duplex>();
  const server = createServer((_request, response) => response.writeHead(404).end());
  const tunnel = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    socket.on('error', () => undefined);
    if (request.url === REFUSED) {
      socket.end('HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
      return;
    }
    const status =
      request.method === 'CONNECT' ? '200 OK\r\n' : `101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: ${PROTOCOL}\r\n`;
    socket.write(Buffer.concat([Buffer.from(`HTTP/1.1 ${status}\r\n`), greeting(String(request.headers['x-token'])), head]));
    socket.pipe(socket);
  };
  server.on('upgrade', tunnel);
  server.on('connect', tunnel);
  const running = await listening(server);
  return {
    port: running.port,
    close: async () => {
      for (const socket of open) socket.destroy();
      await running.close();
    },
  };
}

async function startOurTunnels(): Promise<PlanServer> {
  const server = new HttpServer({
    onRequest(exchange) {
      if (exchange.request.target === REFUSED) respond(exchange, 426, { headers: { Upgrade: PROTOCOL } });
      else echo(exchange);
      return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
    },
  });
  return await serve(server);
}

function echo(exchange: ServerExchange): void {
  const isConnect = exchange.request.method === 'CONNECT';
  const headers = isConnect ? HeaderMap.from([]) : HeaderMap.from({ Upgrade: exchange.upgrade ?? '' });
  const token = exchange.request.headers.get(TOKEN_FIELD) ?? '';
  const { stream, remaining } = exchange.openTunnel(responseHead(isConnect ? 200 : 101, { headers }));
  const duplex = toDuplex(stream, remaining);
  duplex.on('error', () => undefined);
  duplex.on('close', () => exchange.closeTunnel(null));
  duplex.write(greeting(token));
  duplex.pipe(duplex);
}

// ---- clients ----------------------------------------------------------------------------------------------------------------------

const nodeTunnel: TunnelClient = async (port, method, target, token) => {
  const headers = method === 'GET' ? { Connection: 'Upgrade', Upgrade: PROTOCOL, [TOKEN_FIELD]: token } : { [TOKEN_FIELD]: token };
  const request = makeRequest({ host: '127.0.0.1', port, method, path: target, headers, agent: false });
  return await new Promise((resolve, reject) => {
    const onTunnel = (response: IncomingMessage, socket: Duplex, head: Buffer): void => {
      if (head.length > 0) socket.unshift(head);
      resolve({ status: response.statusCode ?? 0, duplex: socket, close: () => socket.destroy() });
    };
    request.on('upgrade', onTunnel);
    request.on('connect', onTunnel);
    request.on('response', (response) => {
      response.resume();
      resolve({ status: response.statusCode ?? 0, duplex: null, close: () => request.destroy() });
    });
    request.on('error', reject);
    request.end();
  });
};

const undiciTunnel: TunnelClient = async (port, method, target, token) => {
  const client = new Client(`http://127.0.0.1:${port}`, { allowH2: false });
  const headers = { [TOKEN_FIELD]: token };
  const close = (): Promise<void> => client.destroy();
  try {
    if (method === 'CONNECT') {
      const { statusCode, socket } = await client.connect({ path: target, headers });
      return { status: statusCode, duplex: socket, close };
    }
    if (target === REFUSED) return { status: await refusedStatus(client, target, headers), duplex: null, close };
    const { socket } = await client.upgrade({ path: target, protocol: PROTOCOL, headers });
    return { status: 101, duplex: socket, close };
  } catch (error) {
    await close();
    throw error;
  }
};

/** `upgrade` of undici keeps the status of a refusal to itself. */
function refusedStatus(client: Client, path: string, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    client.dispatch(
      { method: 'GET', path, headers: { ...headers }, upgrade: PROTOCOL },
      {
        onRequestStart() {},
        onRequestUpgrade: (_controller, status, _headers, socket) => {
          socket.destroy();
          resolve(status);
        },
        onResponseStart: (_controller, status) => resolve(status),
        onResponseData() {},
        onResponseEnd() {},
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}

const rawTunnel: TunnelClient = async (port, method, target, token, early) => {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const close = (): unknown => socket.destroy();
  const asked = method === 'GET' ? `Connection: Upgrade\r\nUpgrade: ${PROTOCOL}\r\n` : '';
  const head = latin1Encode(`${method} ${target} HTTP/1.1\r\nHost: a.example:443\r\n${asked}${TOKEN_FIELD}: ${token}\r\n\r\n`);
  socket.write(concatBytes([head, early]));
  let received = Buffer.alloc(0);
  while (received.indexOf('\r\n\r\n') < 0) {
    const [chunk] = (await once(socket, 'data')) as [Buffer];
    received = Buffer.concat([received, chunk]);
  }
  socket.pause();
  const end = received.indexOf('\r\n\r\n') + 4;
  if (received.length > end) socket.unshift(received.subarray(end));
  return { status: Number(received.toString('latin1', 9, 12)), duplex: socket, close };
};

const ourTunnel: TunnelClient = async (port, method, target, token) => {
  const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
  const session = await connector.connect(peer(`127.0.0.1:${port}`));
  const close = (): void => connector.close();
  return await new Promise((resolve, reject) => {
    session.request(
      requestHead(method, target, { headers: { Host: 'a.example:443', [TOKEN_FIELD]: token } }),
      { bodyLength: 0, upgrade: method === 'GET' ? PROTOCOL : null },
      {
        onInterim() {},
        onResponse: ({ status }) => resolve({ status, duplex: null, close }),
        onTunnel: ({ status }, { stream, remaining }) => resolve({ status, duplex: toDuplex(stream, remaining), close }),
        onResponseData() {},
        onResponseEnd() {},
        onRequestDrain() {},
        onClientClose: (error) => {
          if (error !== null) reject(error);
        },
      },
    );
  });
};
