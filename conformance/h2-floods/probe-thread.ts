/** The thread of a `Probe`. */
import { get } from 'node:http';
import { type ClientHttp2Session, connect } from 'node:http2';
import { parentPort, workerData } from 'node:worker_threads';
import type { Probed } from './probe.ts';

const PERIOD_MS = 60;
const TIMEOUT_MS = 5_000;
/** Every so many probes one goes over a connection of its own. */
const NEW_CONNECTION_EVERY = 8;
const MAX_FAILURES = 5;

const { port, protocol } = workerData as { readonly port: number; readonly protocol: 'http1' | 'http2' };
const origin = `http://127.0.0.1:${port}`;
const pending = new Map<number, number>();
let failures: string[] = [];
let worstMs = 0;
let count = 0;
let sequence = 0;
let kept: ClientHttp2Session | null = null;

setInterval(probe, PERIOD_MS);
parentPort?.on('message', () => {
  const now = performance.now();
  for (const startedAt of pending.values()) worstMs = Math.max(worstMs, now - startedAt);
  const probed: Probed = { count, worstMs, failures };
  parentPort?.postMessage(probed);
  count = 0;
  worstMs = 0;
  failures = [];
});

function probe(): void {
  const id = ++sequence;
  pending.set(id, performance.now());
  const isNew = id % NEW_CONNECTION_EVERY === 0;
  if (protocol === 'http1') probeHttp1(id);
  else if (isNew) probeOn(id, open(), true, 1);
  else probeOn(id, keptSession(), false, 1);
}

function probeHttp1(id: number): void {
  get(origin, { timeout: TIMEOUT_MS }, (response) => {
    response.resume();
    response.on('end', () => finish(id, response.statusCode === 200 ? null : `status ${String(response.statusCode)}`));
  }).on('error', (error) => finish(id, error.message));
}

function probeOn(id: number, session: ClientHttp2Session, isOwn: boolean, attemptsLeft: number): void {
  let status = 0;
  let isOver = false;
  const over = (failure: string | null): void => {
    if (isOver) return;
    isOver = true;
    if (isOwn) session.close();
    // A connection that was kept may have been told to go in the very moment.
    if (failure !== null && !isOwn && attemptsLeft > 0 && (session.closed || session.destroyed))
      probeOn(id, keptSession(), false, attemptsLeft - 1);
    else
      finish(id, failure === null ? null : `${failure} (${told(session)}, status ${status}${isOwn ? ', on a connection of its own' : ''})`);
  };
  try {
    const stream = session.request({ ':path': '/' });
    stream.setTimeout(TIMEOUT_MS, () => {
      over(`no answer within ${TIMEOUT_MS} ms`);
      stream.close();
    });
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('error', (error: Error) => over(error.message));
    stream.on('close', () => over(status === 200 ? null : `status ${status}`));
    stream.resume();
    stream.end();
  } catch (error) {
    over(String(error));
  }
}

/** What the connection of a probe that failed has to say. */
function told({ closed, destroyed }: ClientHttp2Session): string {
  if (destroyed) return 'connection destroyed';
  return closed ? 'connection closing' : 'connection open';
}

function keptSession(): ClientHttp2Session {
  if (kept === null || kept.closed || kept.destroyed) kept = open();
  return kept;
}

function open(): ClientHttp2Session {
  const session = connect(origin);
  session.on('error', () => session.destroy());
  session.on('goaway', () => session.close());
  return session;
}

function finish(id: number, failure: string | null): void {
  const startedAt = pending.get(id);
  if (startedAt === undefined) return;
  pending.delete(id);
  count++;
  worstMs = Math.max(worstMs, performance.now() - startedAt);
  if (failure !== null && failures.length < MAX_FAILURES) failures.push(failure);
}
