/** Clients of HTTP/1.1: a connection for each request, or one connection for as long as the server lets it live. */
import { type Endpoint, Http1Connection } from '../http1-connection.ts';
import type { LoadClient, LoadContext, LoadTarget, SeenConnection } from '../load.ts';
import { LoadFailure } from '../tally.ts';

/** Longer than a worker may be blocked, or a server paused. */
const TIMEOUT_MS = 60_000;

/** Which door of the target a client knocks at. */
export type Door = 'http' | 'https' | 'unix';

/** @returns null if the target has no such door */
export function doorOf(target: LoadTarget, door: Door): Endpoint | null {
  return door === 'http' ? target.http : door === 'https' ? target.https : target.unix;
}

/** Options of the clients of this file. */
export interface Http1ClientOptions {
  readonly door?: Door;
  /** Between an answer and the next request. */
  readonly pauseMs?: number;
  /** Bytes of the body that is sent and must come back. */
  readonly bodyBytes?: number;
}

/** A new connection for each request. */
export function freshConnections(options: Http1ClientOptions = {}): LoadClient {
  return async (context) => {
    const { door = 'http', pauseMs = 0 } = options;
    const endpoint = doorOf(context.target, door);
    const kind = `fresh ${door}`;
    while (endpoint !== null && !context.isStopping) {
      context.tally.send(kind);
      let connection: Http1Connection | null = null;
      try {
        const since = performance.now();
        connection = await openCounted(endpoint, context);
        await echo(connection, context, { version: 0 }, options.bodyBytes, true);
        context.tally.answer(kind, performance.now() - since);
      } catch (error) {
        context.tally.fail(kind, error, connection);
        await context.pause(20);
      }
      connection?.close();
      if (pauseMs > 0) await context.pause(pauseMs);
    }
  };
}

/** One connection after the other, each for as long as the server keeps it. */
export function keptConnections(options: Http1ClientOptions = {}): LoadClient {
  return async (context) => {
    const { door = 'http', pauseMs = 0 } = options;
    const endpoint = doorOf(context.target, door);
    const kind = `kept ${door}`;
    let connection: Http1Connection | null = null;
    let seen: SeenConnection = { version: 0 };
    while (endpoint !== null && !context.isStopping) {
      context.tally.send(kind);
      try {
        const since = performance.now();
        if (connection?.isReusable !== true) {
          // One that cannot be opened is not the one before.
          connection = null;
          connection = await openCounted(endpoint, context);
          seen = { version: 0 };
        }
        await echo(connection, context, seen, options.bodyBytes, false);
        context.tally.answer(kind, performance.now() - since);
      } catch (error) {
        context.tally.fail(kind, error, connection);
        connection?.close();
        connection = null;
        await context.pause(20);
      }
      if (pauseMs > 0) await context.pause(pauseMs);
    }
    connection?.close();
  };
}

/** Opens a connection, and counts it. */
export async function openCounted(endpoint: Endpoint, context: LoadContext): Promise<Http1Connection> {
  const connection = await Http1Connection.open(endpoint);
  context.tally.connections++;
  return connection;
}

/** Sends a body and has it come back, with the token of the request in a field and all through the body. */
async function echo(
  connection: Http1Connection,
  context: LoadContext,
  seen: SeenConnection,
  bodyBytes = 200,
  isLast = false,
): Promise<void> {
  const token = context.token();
  const body = bodyOf(token, bodyBytes);
  const head = `POST /echo HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ${token}\r\nContent-Length: ${body.length}\r\n${isLast ? 'Connection: close\r\n' : ''}\r\n`;
  const answer = await connection.exchange({ bytes: Buffer.concat([Buffer.from(head, 'latin1'), body]), timeoutMs: TIMEOUT_MS });
  if (answer.status !== 200) throw new LoadFailure(`status ${answer.status}`);
  if (answer.fields.get('x-request-id') !== token) throw new LoadFailure('the token of another request, or none');
  if (!answer.body.equals(body)) throw new LoadFailure('another body than was sent');
  context.seen({ servedBy: connection.servedBy, config: answer.fields.get('x-config') ?? null }, seen);
}

/** A body that is full of its token. */
export function bodyOf(token: string, bytes: number): Buffer {
  return Buffer.from(`${token} `.repeat(Math.ceil(bytes / (token.length + 1))).slice(0, Math.max(bytes, token.length)), 'latin1');
}
