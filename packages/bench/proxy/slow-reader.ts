/**
 * What a slow client costs: a large body through a client that reads at a fixed rate, and how much the proxy's memory grows meanwhile.
 * A proxy that lets the client's pace reach the origin grows by a few buffers; one that does not grows by what the client has not read.
 *
 *   nginx ──as fast as it is let──▶ proxy ──▶ client: reads RATE bytes a second, checks the length
 */

import { connect, type Socket } from 'node:net';
import { setInterval as every } from 'node:timers/promises';
import { formatTable } from '../src/table.ts';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  prepareMachine,
  printBars,
  readSharedOptions,
  runAsCommand,
  SHARED_HELP,
  SHARED_OPTIONS,
  type SharedOptions,
  say,
  splitByAvailability,
  UsageError,
  writeJson,
} from './command-line.ts';
import { CONTENDERS, type Contender } from './contenders.ts';
import { startOrigin } from './origin.ts';
import { expectBody } from './probe.ts';
import { residentBytesOf } from './process-usage.ts';
import { withProcesses } from './processes.ts';
import { formatBytes, type NamedSize, parseSize } from './sizes.ts';
import type { StartContext } from './start.ts';

const HELP = `pnpm bench slow-reader [options]: how much a proxy's memory grows while a client reads slowly

  --total 1g         size of the body; default 1g
  --rate 10m         what the client reads a second; default 10m (with 1g: 103 s). 100m and 256m exercise the same code faster
${SHARED_HELP}

Default proxies: ferrata, nginx. All: ${CONTENDERS.map((one) => one.name).join(', ')}`;

/** The bar: growth of resident memory over what it was after small requests. */
const MAX_GROWTH_BYTES = 32 * 2 ** 20;
const SMALL: NamedSize = { name: '100', bytes: 100 };
/** Requests before the first look at the memory, so that code and heap have reached their usual size. */
const WARM_UP_REQUESTS = 500;
/** How often the client's allowance grows; small against the rate, so that reading is even. */
const TICK_MS = 5;
const SAMPLE_MS = 200;
/** Silence after which a transfer counts as stuck. */
const STALL_MS = 20_000;

interface SlowReaderOptions extends SharedOptions {
  readonly total: NamedSize;
  readonly bytesPerSecond: number;
}

/** What one proxy did. */
interface Outcome {
  readonly proxy: string;
  readonly baseBytes: number;
  readonly peakBytes: number;
  readonly growthBytes: number;
  readonly finalBytes: number;
  readonly bodyBytes: number;
  readonly seconds: number;
  readonly fault: string | null;
}

/** Runs the bench and returns the exit code. */
async function measureSlowReaders(): Promise<number> {
  const options = readOptions();
  const { machine, openFiles } = prepareMachine(65_536);
  const { present, skipped } = splitByAvailability(options.contenders);
  const seconds = Math.round(options.total.bytes / options.bytesPerSecond);
  say(`${formatBytes(options.total.bytes)} at ${formatBytes(options.bytesPerSecond)}/s: about ${seconds} s for all proxies, side by side`);

  const outcomes = await withProcesses(async (processes) => {
    const origin = await startOrigin(processes, options.loadCores, [SMALL, options.total]);
    const context = { processes, to: origin.url, cores: options.proxyCores, openFiles };
    // Memory does not depend on who else runs, so the proxies share the minutes.
    return Promise.all(present.map((contender) => measureOne(contender, context, options)));
  });

  const headings = ['proxy', 'RSS before MiB', 'peak MiB', 'growth MiB', 'after MiB', 'MiB/s', 'outcome'];
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const rows = outcomes.map((one) => [
    one.proxy,
    mebibytes(one.baseBytes),
    mebibytes(one.peakBytes),
    mebibytes(one.growthBytes),
    mebibytes(one.finalBytes),
    mebibytes(one.bodyBytes / one.seconds),
    one.fault === null ? 'complete' : ({ text: one.fault, style: 'red' } as const),
  ]);
  options.print(`\n${formatBytes(options.total.bytes)} through a client reading ${formatBytes(options.bytesPerSecond)}/s\n`);
  options.print(`${formatTable(headings, rows)}\n\n`);

  const bar = judge(outcomes, options.subject);
  printBars([bar], options);
  writeJson(options, {
    bench: 'slow-reader',
    at: new Date().toISOString(),
    machine,
    options: { totalBytes: options.total.bytes, bytesPerSecond: options.bytesPerSecond },
    outcomes,
    bars: [{ ...bar, isMet: isMet(bar) }],
    skipped,
  });
  return options.isCheck && !isMet(bar) ? 1 : 0;
}

function readOptions(): SlowReaderOptions {
  const values = parseCommandLine(
    { ...SHARED_OPTIONS, total: { type: 'string', default: '1g' }, rate: { type: 'string', default: '10m' } },
    HELP,
  );
  try {
    return {
      ...readSharedOptions(values, ['ferrata', 'nginx']),
      total: parseSize(values.total),
      bytesPerSecond: parseSize(values.rate).bytes,
    };
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message) : error;
  }
}

async function measureOne(contender: Contender, context: StartContext, options: SlowReaderOptions): Promise<Outcome> {
  const { total, bytesPerSecond } = options;
  let baseBytes = 0;
  let peakBytes = 0;
  let bodyBytes = 0;
  let startedAt = performance.now();
  const outcome = (fault: string | null, finalBytes: number): Outcome => ({
    proxy: contender.name,
    baseBytes,
    peakBytes,
    growthBytes: peakBytes - baseBytes,
    finalBytes,
    bodyBytes,
    seconds: (performance.now() - startedAt) / 1000,
    fault,
  });
  try {
    const proxy = await contender.start(context);
    const { pid } = proxy.process;
    for (let request = 0; request < WARM_UP_REQUESTS; request++) await expectBody(`${proxy.url}/${SMALL.name}`, SMALL.bytes);
    baseBytes = residentBytesOf(pid);
    peakBytes = baseBytes;
    startedAt = performance.now();
    const look = setInterval(() => {
      peakBytes = Math.max(peakBytes, residentBytesOf(pid));
    }, SAMPLE_MS);
    try {
      bodyBytes = await readSlowly(`${proxy.url}/${total.name}`, bytesPerSecond);
    } finally {
      clearInterval(look);
    }
    const result = outcome(bodyBytes === total.bytes ? null : `${bodyBytes} of ${total.bytes} bytes came`, residentBytesOf(pid));
    await proxy.process.stop();
    return result;
  } catch (error) {
    say(fault(`${contender.name}: ${(error as Error).message}`));
    return outcome((error as Error).message.split('\n')[0] ?? 'failed', 0);
  }
}

/**
 * Sends one GET on a bare socket and reads the response no faster than a rate.
 *
 * @returns how many bytes of body came: all that Content-Length promised, or fewer when the connection closed before.
 * @throws {Error} when the connection fails, the answer is not 200, or nothing comes for a long time.
 */
async function readSlowly(url: string, bytesPerSecond: number): Promise<number> {
  const { hostname, port, host, pathname } = new URL(url);
  // A bare socket, because an HTTP client would read ahead into a buffer of its own.
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
  const reader = new PacedReader(socket);
  const startedAt = performance.now();
  try {
    for await (const _ of every(TICK_MS)) {
      const now = performance.now();
      reader.allow(((now - startedAt) / 1000) * bytesPerSecond);
      if (reader.isDone) break;
      if (now - reader.lastDataAt > STALL_MS)
        throw new Error(`nothing came for ${STALL_MS / 1000} s after ${reader.bodyBytes()} bytes of body`);
    }
    return reader.bodyBytes();
  } finally {
    socket.destroy();
  }
}

/** Reads a socket up to an allowance that grows. */
class PacedReader {
  readonly #socket: Socket;
  #receivedBytes = 0;
  #allowedBytes = 0;
  #headBytes = 0;
  #head = '';
  #expectedBytes = Number.POSITIVE_INFINITY;
  #error: Error | null = null;
  /** Whether the body is complete or the connection closed. */
  isDone = false;
  /** When the last bytes came. */
  lastDataAt = performance.now();

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk) => this.#onData(chunk));
    socket.on('error', (error) => {
      this.#error = error;
    });
    socket.on('close', () => {
      this.isDone = true;
    });
  }

  /** Says how many bytes may have been read by now. */
  allow(bytes: number): void {
    this.#allowedBytes = bytes;
    if (this.#receivedBytes < bytes) this.#socket.resume();
  }

  bodyBytes(): number {
    if (this.#error !== null) throw this.#error;
    if (!this.#head.startsWith('HTTP/1.1 200 ')) throw new Error(`the answer was "${this.#head.slice(0, this.#head.indexOf('\r\n'))}"`);
    return this.#receivedBytes - this.#headBytes;
  }

  #onData(chunk: Buffer): void {
    this.#receivedBytes += chunk.length;
    this.lastDataAt = performance.now();
    if (this.#receivedBytes >= this.#allowedBytes) this.#socket.pause();
    if (this.#headBytes === 0) this.#readHead(chunk);
    // A server that keeps the connection open against our wish is no reason to wait.
    if (this.#receivedBytes >= this.#expectedBytes) this.isDone = true;
  }

  #readHead(chunk: Buffer): void {
    this.#head += chunk.toString('latin1');
    const end = this.#head.indexOf('\r\n\r\n');
    if (end === -1) return;
    this.#headBytes = end + 4;
    const length = /^content-length: *(\d+)\r$/im.exec(this.#head.slice(0, end + 2))?.[1];
    if (length !== undefined) this.#expectedBytes = this.#headBytes + Number(length);
  }
}

function judge(outcomes: readonly Outcome[], subject: string): Bar {
  const outcome = outcomes.find((one) => one.proxy === subject && one.fault === null);
  const value = outcome === undefined ? null : outcome.growthBytes / 2 ** 20;
  return { name: `${subject}, growth of RSS behind a slow reader`, limit: MAX_GROWTH_BYTES / 2 ** 20, value, unit: 'MiB' };
}

await runAsCommand(measureSlowReaders);
