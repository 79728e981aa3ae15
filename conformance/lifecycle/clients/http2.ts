/** Clients of HTTP/2: many streams on one connection, by our own client over TCP and by Node's over TLS. */
import { once } from 'node:events';
import { type ClientHttp2Session, connect as connectHttp2, constants } from 'node:http2';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { concatBytes } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import { type ResponseHead, requestHead } from '@ferrata/headers';
import { type ClientExchangeHandler, type ClientSession, HttpEnvironment } from '@ferrata/http';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import { portsOf } from '../http1-connection.ts';
import type { LoadClient, LoadContext, SeenConnection } from '../load.ts';
import { monotonicMs } from '../monotonic.ts';
import { LoadFailure } from '../tally.ts';
import { bodyOf } from './http1.ts';
import { clientEndOf } from './websockets.ts';

/** Longer than a worker may be blocked, or a server paused. */
const TIMEOUT_MS = 60_000;

/** What a client read of an answer. */
interface Http2Answer {
  readonly status: number;
  readonly token: string | null;
  readonly servedBy: string | null;
  readonly config: string | null;
  readonly body: Uint8Array;
}

/** Sends one request. @returns null: the server has said that it did not look at it (REFUSED_STREAM, or above the last stream of GOAWAY) */
type SendOne = (token: string, body: Buffer) => Promise<Http2Answer | null>;

/** A connection of many streams, and what is known of it. */
interface SharedConnection extends SeenConnection {
  servedBy: string | null;
  ports: string | null;
  readonly openedAt: number;
}

/** Closed loops that share connections of our client's, over TCP. */
export function ourHttp2Streams(streams: number, pauseMs = 0): LoadClient {
  return async (context) => {
    const { http } = context.target;
    const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
    const there = peer('path' in http ? `unix:${http.path}` : `127.0.0.1:${http.port}`, { protocol: 'http2' });
    const connections = new WeakMap<ClientSession, SharedConnection>();
    const loops = Array.from({ length: streams }, () => {
      let last: SharedConnection | null = null;
      const send: SendOne = async (token, body) => {
        last = null;
        const session = connector.take(there) ?? (await connector.connect(there));
        let connection = connections.get(session);
        if (connection === undefined) {
          connection = { version: 0, servedBy: null, ...clientEndOf(session) };
          connections.set(session, connection);
          context.tally.connections++;
        }
        last = connection;
        return await sendByOurs(session, token, body);
      };
      return loop('http2 ours', context, { send, connection: () => last, pauseMs });
    });
    await Promise.all(loops);
    connector.close();
  };
}

/** Closed loops that share a connection of Node's client, over TLS. */
export function nodeHttp2Streams(streams: number, pauseMs = 0): LoadClient {
  return async (context) => {
    const { https } = context.target;
    if (https === null) return;
    let current: (SharedConnection & { readonly session: ClientHttp2Session; isGoing: boolean }) | null = null;
    const open = (): NonNullable<typeof current> => {
      const socket = openTls(https.port, https.ca);
      const session = connectHttp2('https://localhost', { createConnection: () => socket });
      const made = { session, version: 0, servedBy: null, ports: null as string | null, openedAt: monotonicMs(), isGoing: false };
      context.tally.connections++;
      // Before the handshake: one that breaks in it was somebody's, too.
      socket.once('connect', () => {
        made.ports = portsOf(socket);
      });
      for (const event of ['goaway', 'error', 'close']) {
        session.on(event, () => {
          made.isGoing = true;
        });
      }
      return made;
    };
    const loops = Array.from({ length: streams }, () => {
      let last: NonNullable<typeof current> | null = null;
      const send: SendOne = async (token, body) => {
        if (current === null || current.isGoing || current.session.closed || current.session.destroyed) current = open();
        last = current;
        return await sendByNode(current.session, token, body);
      };
      return loop('http2 node', context, { send, connection: () => last, pauseMs });
    });
    await Promise.all(loops);
    (current as ReturnType<typeof open> | null)?.session.destroy();
  };
}

interface StreamLoop {
  readonly send: SendOne;
  /** The one that the last request went to; null: it came to none. */
  readonly connection: () => SharedConnection | null;
  readonly pauseMs: number;
}

async function loop(kind: string, context: LoadContext, { send, connection, pauseMs }: StreamLoop): Promise<void> {
  while (!context.isStopping) {
    const token = context.token();
    const body = bodyOf(token, 200);
    context.tally.send(kind);
    try {
      const since = performance.now();
      const answer = await send(token, body);
      if (answer === null) {
        context.tally.retry();
        continue;
      }
      const shared = connection() ?? { version: 0, servedBy: null, ports: null, openedAt: 0 };
      shared.servedBy = answer.servedBy;
      if (answer.status !== 200) throw new LoadFailure(`status ${answer.status}`);
      if (answer.token !== token) throw new LoadFailure('the token of another request, or none');
      if (!body.equals(answer.body)) throw new LoadFailure('another body than was sent');
      context.seen(answer, shared);
      context.tally.answer(kind, performance.now() - since);
    } catch (error) {
      context.tally.fail(kind, error, connection());
      await context.pause(20);
    }
    if (pauseMs > 0) await context.pause(pauseMs);
  }
}

async function sendByOurs(session: ClientSession, token: string, body: Uint8Array): Promise<Http2Answer | null> {
  return await new Promise((resolve, reject) => {
    const pieces: Uint8Array[] = [];
    let head: ResponseHead | null = null;
    const handler: ClientExchangeHandler = {
      onInterim() {},
      onResponse(response) {
        head = response;
      },
      onTunnel() {},
      onResponseData(chunk) {
        pieces.push(chunk);
      },
      onResponseEnd() {},
      onRequestDrain() {},
      onClientClose(error) {
        if (head !== null && error === null) {
          const { status, headers } = head;
          resolve({
            status,
            token: headers.get('x-request-id') ?? null,
            servedBy: headers.get('x-served-by') ?? null,
            config: headers.get('x-config') ?? null,
            body: concatBytes(pieces),
          });
        } else if (head === null && isWireError(error) && error.retry === 'always') {
          resolve(null);
        } else {
          reject(new LoadFailure(error?.reason ?? 'no answer', head !== null));
        }
      },
    };
    try {
      const headers = { Host: 'localhost', 'X-Request-Id': token };
      const exchange = session.request(requestHead('POST', '/echo', { headers }), { bodyLength: body.length, upgrade: null }, handler);
      exchange.sendData(body);
      exchange.sendEnd();
    } catch {
      // The connection has stopped to take requests between the choice and the call: nothing was sent.
      resolve(null);
    }
  });
}

async function sendByNode(session: ClientHttp2Session, token: string, body: Buffer): Promise<Http2Answer | null> {
  return await new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let fields: Readonly<Record<string, unknown>> | null = null;
    let stream: ReturnType<ClientHttp2Session['request']>;
    try {
      stream = session.request({ ':method': 'POST', ':path': '/echo', 'x-request-id': token, 'content-length': body.length });
    } catch {
      // It has heard GOAWAY, or was closed: nothing was sent.
      resolve(null);
      return;
    }
    const timer = setTimeout(() => {
      reject(new LoadFailure(`no whole answer in ${TIMEOUT_MS} ms`, fields !== null));
      stream.close(constants.NGHTTP2_CANCEL);
    }, TIMEOUT_MS);
    let failure: string | null = null;
    stream.on('response', (headers) => {
      fields = headers;
    });
    stream.on('data', (chunk: Buffer) => pieces.push(chunk));
    stream.on('error', (error: NodeJS.ErrnoException) => {
      failure = error.code ?? error.message;
    });
    stream.on('close', () => {
      clearTimeout(timer);
      const text = (name: string): string | null => (typeof fields?.[name] === 'string' ? fields[name] : null);
      if (fields !== null && failure === null && stream.rstCode === constants.NGHTTP2_NO_ERROR) {
        resolve({
          status: Number(fields[':status']),
          token: text('x-request-id'),
          servedBy: text('x-served-by'),
          config: text('x-config'),
          body: Buffer.concat(pieces),
        });
      } else if (fields === null && (stream.rstCode === constants.NGHTTP2_REFUSED_STREAM || failure === 'ERR_HTTP2_GOAWAY_SESSION')) {
        resolve(null);
      } else {
        reject(new LoadFailure(failure ?? `reset with ${stream.rstCode}`, fields !== null));
      }
    });
    stream.end(body);
  });
}

function openTls(port: number, ca: string): TLSSocket {
  return connectTls({ port, host: '127.0.0.1', ca, servername: 'localhost', ALPNProtocols: ['h2'] });
}

/** Waits until a session is ready. */
export async function openNodeHttp2(port: number, ca: string): Promise<ClientHttp2Session> {
  const session = connectHttp2('https://localhost', { createConnection: () => openTls(port, ca) });
  await once(session, 'connect');
  return session;
}
