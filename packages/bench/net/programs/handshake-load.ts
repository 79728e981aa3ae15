/**
 * Load: TLS handshakes one after the other, `--connections` at a time for `--seconds`; with `--resume` each resumes the session of an earlier one, with
 * `--refuse` each is a plain connection that the server is to refuse.
 */
import { connect as connectTcp } from 'node:net';
import { type ConnectionOptions, connect } from 'node:tls';
import { readArguments, report } from './command-line.ts';

const { to, connections, seconds, isResumed, isRefusing, authority } = readArguments();
const secure: ConnectionOptions = { ca: authority, servername: 'localhost', minVersion: 'TLSv1.3' };
const start = performance.now();
const until = start + seconds * 1_000;
let operations = 0;
let failures = 0;
const session = isResumed ? await firstSession() : undefined;

await Promise.all(Array.from({ length: connections }, repeat));
report({ operations, failures, durationMs: performance.now() - start });

async function repeat(): Promise<void> {
  while (performance.now() < until) {
    const isDone = await (isRefusing ? refusedOnce() : handshakeOnce());
    if (isDone) operations++;
    else failures++;
  }
}

function handshakeOnce(): Promise<boolean> {
  return new Promise((resolve) => {
    const below = connectTcp(to);
    const socket = connect({ ...secure, socket: below, ...(session === undefined ? {} : { session }) });
    socket.once('secureConnect', () => {
      const isAsAsked = socket.isSessionReused() === isResumed;
      below.once('close', () => resolve(isAsAsked));
      // A reset leaves no TIME_WAIT behind, of which a minute's worth would use up the ports. Later, as OpenSSL is still at work on the socket.
      setImmediate(() => below.resetAndDestroy());
    });
    for (const one of [below, socket]) one.once('error', () => resolve(false));
  });
}

/** TLS 1.3 gives its tickets after the handshake. */
function firstSession(): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = connect({ ...to, ...secure });
    socket.once('session', (found: Buffer) => {
      resolve(found);
      socket.destroy();
    });
    socket.once('error', reject);
    socket.resume();
  });
}

/** The server closes before it says anything. */
function refusedOnce(): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connectTcp(to);
    let hasData = false;
    socket.on('data', () => (hasData = true));
    socket.on('error', () => {});
    socket.once('close', () => resolve(!hasData));
  });
}
