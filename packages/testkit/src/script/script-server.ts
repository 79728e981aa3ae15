/** Scripted peers on real sockets: a server on a free port of the loopback, a client to any port. */
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import type { L4Stream } from '@ferrata/stream';
import { type ScriptOptions, type ScriptResult, type ScriptStep, script } from './script.ts';
import { socketStream } from './socket-stream.ts';

/** A server that plays a script with each who connects. */
export interface ScriptServer {
  /** The port on 127.0.0.1. */
  readonly port: number;
  readonly connectionCount: number;
  /** The results of the scripts, by order of connecting. A failed expectation rejects here and in `close`, nowhere else. */
  readonly results: readonly Promise<ScriptResult>[];
  /** Stops listening, drops what is still open and reports the first failed script. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Listens on a free port of 127.0.0.1 and plays a script with each connection.
 *
 * @param steps the script, or a function of the number of the connection (from 0)
 */
export async function listenScript(
  steps: readonly ScriptStep[] | ((connection: number) => readonly ScriptStep[]),
  options: ScriptOptions = {},
): Promise<ScriptServer> {
  const results: Promise<ScriptResult>[] = [];
  const streams: L4Stream[] = [];
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: false }, (socket) => {
    const stream = socketStream(socket);
    const result = script(stream, typeof steps === 'function' ? steps(streams.length) : steps, options);
    // Noted at once as handled: a test may look at it much later, or only through `close`.
    result.catch(() => {});
    streams.push(stream);
    results.push(result);
  });
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(0, '127.0.0.1', resolve));
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    // A script that still waits would fail by our own abort only: those failures are not the peer's.
    const failures = await settledFailures(results);
    for (const stream of streams) stream.abort();
    await closed;
    if (failures.length > 0) throw failures[0];
  };
  return {
    port: portOf(server),
    get connectionCount() {
      return streams.length;
    },
    results,
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Connects to a port of 127.0.0.1. */
export async function connectStream(port: number): Promise<L4Stream> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  await new Promise<void>((resolve, reject) => socket.once('error', reject).once('connect', resolve));
  return socketStream(socket);
}

/** Connects to a port of 127.0.0.1 and plays a script. */
export async function playScript(port: number, steps: readonly ScriptStep[], options: ScriptOptions = {}): Promise<ScriptResult> {
  return script(await connectStream(port), steps, options);
}

/** The reasons of those scripts that have failed by now. */
async function settledFailures(results: readonly Promise<ScriptResult>[]): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const result of results) void result.catch((reason: unknown) => failures.push(reason));
  await new Promise<void>((resolve) => setImmediate(resolve));
  return failures;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
