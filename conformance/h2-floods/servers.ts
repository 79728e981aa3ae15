/** The servers that can be put under attack, each in processes of its own. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { HttpServerOptions } from '@ferrata/http';
import type { PeerOptions } from '@ferrata/upstream';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import { startFerrata } from '../rig/ferrata-command.ts';
import { askProcess, endProcess } from '../rig/peer-process.ts';
import { connectRawHttp2 } from '../rig/raw-http2-client.ts';
import type { Counts, Message } from './behaviour.ts';

const START_MS = 15_000;

/** A server under attack. */
export interface Server {
  readonly port: number;
  readonly pid: number;
  /** Null while it runs; else how it ended. */
  exit(): string | null;
  /** @returns what it, or the origin behind it, tells of itself; null: nothing */
  counts(): Promise<Counts | null>;
  /** @returns what it has in use after a collection; null: it cannot tell */
  liveBytes(): Promise<number | null>;
  /** @returns connections to an origin that carry nothing, or may: what a proxy keeps for the next requests */
  keptCount(): Promise<number>;
  stop(): Promise<void>;
}

/** The servers by name: ours, and those of others that the attacks are tried on. */
export const SERVER_NAMES = ['http', 'http-hurried', 'reverse-http1', 'reverse-http2', 'proxy', 'node', 'nginx', 'nghttpx'] as const;
export type ServerName = (typeof SERVER_NAMES)[number];

/** Those of ours: what the suite runs. */
export const OWN_SERVERS: readonly ServerName[] = ['http', 'http-hurried', 'reverse-http1', 'reverse-http2', 'proxy'];

/** Deadlines of seconds instead of minutes, so that an attack can see them pass. */
export const HURRIED = {
  connection: { firstByteTimeoutMs: 1_000, headTimeoutMs: 1_000 },
  http2: {
    connection: {
      prefaceTimeoutMs: 1_000,
      settingsTimeoutMs: 1_500,
      headerTimeoutMs: 1_000,
      bodyTimeoutMs: 1_000,
      stallTimeoutMs: 1_000,
      idleTimeoutMs: 1_000,
    },
    writeTimeoutMs: 1_000,
    lingerTimeoutMs: 500,
  },
} satisfies HttpServerOptions;

/** An origin that trusts the proxy before it. */
const UNGUARDED = {
  http2: { connection: { guard: false, maxConcurrentStreams: 1_000, maxStreams: 1_000_000 } },
} satisfies HttpServerOptions;

/** Deadlines of seconds for the connections of a proxy to an evil origin. */
const HURRIED_PEER = {
  http2: {
    connection: {
      prefaceTimeoutMs: 1_000,
      settingsTimeoutMs: 60_000,
      headerTimeoutMs: 1_000,
      firstByteTimeoutMs: 2_000,
      readTimeoutMs: 2_000,
      stallTimeoutMs: 1_500,
    },
    writeTimeoutMs: 1_500,
    lingerTimeoutMs: 500,
  },
  pendingTimeoutMs: 1_500,
} satisfies PeerOptions;

/** Starts a server. @throws {Error} that says why it did not start */
export async function startServer(name: ServerName): Promise<Server> {
  switch (name) {
    case 'http':
      return await startChild('server-of-ours.ts', ['{}']);
    case 'http-hurried':
      return await startChild('server-of-ours.ts', [JSON.stringify(HURRIED)]);
    case 'node':
      return await startChild('server-of-node.ts', ['http2']);
    case 'reverse-http1':
      return await startReverse('http1');
    case 'reverse-http2':
      return await startReverse('http2');
    case 'proxy':
      return await startProxy();
    case 'nginx':
      return await startNginx();
    case 'nghttpx':
      return await startNghttpx();
  }
}

/** The proxy between a good origin and evil ones. */
async function startProxy(): Promise<Server> {
  const origin = await startChild('server-of-node.ts', ['http1']);
  return await inFrontOf(origin, () => startChild('server-of-proxy.ts', [String(origin.port), JSON.stringify(HURRIED_PEER)]));
}

async function startChild(program: string, args: readonly string[]): Promise<Server> {
  const child = fork(fileURLToPath(new URL(program, import.meta.url)), args, {
    stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    execArgv: ['--expose-gc'],
  });
  killOnExit(child);
  let said = '';
  let ended: string | null = null;
  const hear = (chunk: Buffer): void => {
    said = (said + chunk.toString()).slice(-4000);
  };
  child.stdout?.on('data', hear);
  child.stderr?.on('data', hear);
  child.on('close', (code, signal) => {
    ended = `${program} ended with ${signal ?? `code ${String(code)}`}: ${said.trim()}`;
  });
  const port = await new Promise<number>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${program} did not listen within ${START_MS} ms: ${said.trim()}`)), START_MS);
    child.once('message', (message: Message) => {
      clearTimeout(timer);
      resolve('port' in message ? message.port : 0);
    });
    child.once('close', () => {
      clearTimeout(timer);
      reject(new Error(ended ?? program));
    });
  });
  return {
    port,
    pid: child.pid ?? 0,
    exit: () => ended,
    counts: () => countsOf(child, 'counts'),
    liveBytes: async () => (await countsOf(child, 'collected counts'))?.liveBytes ?? null,
    keptCount: none,
    stop: () => endProcess(child),
  };
}

async function countsOf(child: ChildProcess, what: 'counts' | 'collected counts'): Promise<Counts | null> {
  const message = (await askProcess(child, what)) as Message | null;
  return message !== null && 'counts' in message ? message.counts : null;
}

async function startReverse(protocol: 'http1' | 'http2'): Promise<Server> {
  // One that is quick and takes what a proxy gives it: the attacks are on the proxy.
  const origin = await startChild('server-of-ours.ts', [JSON.stringify(UNGUARDED), 'origin']);
  return await inFrontOf(origin, async () => {
    const proxy = await startFerrata(`${protocol === 'http1' ? 'http' : 'h2c'}://127.0.0.1:${origin.port}`, true);
    const keptCount = async (): Promise<number> => (await origin.counts())?.connections ?? 0;
    return { ...proxy, counts: origin.counts, keptCount };
  });
}

/** Starts what goes on to an origin; the origin ends with it. */
async function inFrontOf(origin: Server, start: () => Promise<Omit<Server, 'stop'> & { stop(): Promise<unknown> }>): Promise<Server> {
  try {
    const proxy = await start();
    const stop = async (): Promise<void> => {
      await proxy.stop();
      await origin.stop();
    };
    return { ...proxy, stop };
  } catch (error) {
    await origin.stop();
    throw error;
  }
}

async function startNginx(): Promise<Server> {
  const origin = await startChild('server-of-node.ts', ['http1']);
  const port = await freePort();
  const folder = new TemporaryFolder('ferrata-nginx-');
  const paths = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${join(folder.path, name)};`)
    .join(' ');
  writeFileSync(
    join(folder.path, 'nginx.conf'),
    `daemon off; master_process off; error_log stderr crit; pid ${join(folder.path, 'pid')}; events { worker_connections 4000; }
http { access_log off; ${paths} server { listen 127.0.0.1:${port} http2; location / { proxy_pass http://127.0.0.1:${origin.port}; } } }\n`,
  );
  const child = spawn('nginx', ['-c', join(folder.path, 'nginx.conf'), '-p', folder.path], { stdio: ['ignore', 'ignore', 'pipe'] });
  return await startOther(child, port, origin, () => folder.remove());
}

async function startNghttpx(): Promise<Server> {
  const origin = await startChild('server-of-node.ts', ['http1']);
  const port = await freePort();
  const args = [
    `--frontend=127.0.0.1,${port};no-tls`,
    `--backend=127.0.0.1,${origin.port}`,
    '--single-process',
    '--log-level=FATAL',
    '--conf=/dev/null',
  ];
  return await startOther(spawn('nghttpx', args, { stdio: ['ignore', 'ignore', 'pipe'] }), port, origin, () => undefined);
}

/** Waits for a program of somebody else's. */
async function startOther(child: ChildProcess, port: number, origin: Server, cleanUp: () => void): Promise<Server> {
  killOnExit(child);
  let said = '';
  let ended: string | null = null;
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-1000);
  });
  child.on('error', (error) => {
    ended = error.message;
  });
  child.on('exit', (code, signal) => {
    ended = `ended with ${signal ?? `code ${String(code)}`}: ${said}`;
  });
  const stop = async (): Promise<void> => {
    await endProcess(child);
    await origin.stop();
    cleanUp();
  };
  for (let attempt = 0; attempt < 100 && ended === null; attempt++) {
    try {
      (await connectRawHttp2({ port })).destroy();
      return { port, pid: child.pid ?? 0, exit: () => ended, counts: origin.counts, liveBytes: unknown, keptCount: none, stop };
    } catch {
      await delay(50);
    }
  }
  await stop();
  throw new Error(ended ?? `nothing listens: ${said}`);
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => void server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** A program that we cannot look into. */
async function unknown(): Promise<null> {
  return await Promise.resolve(null);
}

async function none(): Promise<number> {
  return await Promise.resolve(0);
}
