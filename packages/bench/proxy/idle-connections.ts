/**
 * What an idle keep-alive connection costs: many connections, one request each, then silence; the proxy's resident memory divided by them.
 *
 * Before the first look the proxy has answered as many requests on a few connections, so that its heap has its usual size and what grows
 * afterwards is the connections. The kernel's own memory for sockets is not in it (a few KiB for each end).
 */

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { formatTable } from '../src/table.ts';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  positiveInteger,
  positiveNumber,
  prepareMachine,
  printBars,
  readSharedOptions,
  runAsCommand,
  SHARED_HELP,
  SHARED_OPTIONS,
  type SharedOptions,
  say,
  splitByAvailability,
  warn,
  writeJson,
} from './command-line.ts';
import { CONTENDERS, type Contender } from './contenders.ts';
import { startOrigin } from './origin.ts';
import { residentBytesOf } from './process-usage.ts';
import { type ProcessGroup, withProcesses } from './processes.ts';
import type { NamedSize } from './sizes.ts';
import type { StartContext } from './start.ts';
import { runLoad } from './wrk.ts';

const HELP = `pnpm bench idle-connections [options]: memory of a proxy for each idle keep-alive connection

  --connections N    default 10000
  --settle N         seconds of silence before the memory is read; default 3
${SHARED_HELP}

Default proxies: ferrata, nginx. All: ${CONTENDERS.map((one) => one.name).join(', ')}`;

/** The bar. */
const MAX_BYTES_PER_CONNECTION = 12 * 1024;
const SMALL: NamedSize = { name: '100', bytes: 100 };
/** Connections being opened at one time: a backlog's worth would only measure the backlog. */
const CONCURRENT_OPENINGS = 64;
/** A source address for so many connections each, so that neither ports nor a limit by client address run out. */
const CONNECTIONS_PER_ADDRESS = 200;
/** Descriptors that the proxy and this process need beside the connections. */
const SPARE_DESCRIPTORS = 512;
const RESPONSE_TIMEOUT_MS = 15_000;

interface IdleOptions extends SharedOptions {
  readonly connections: number;
  readonly settleMs: number;
}

/** What one proxy did. */
interface Outcome {
  readonly proxy: string;
  /** Connections that had their answer. */
  readonly opened: number;
  /** Those of them still open when the memory was read. */
  readonly held: number;
  readonly baseBytes: number;
  readonly heldBytes: number;
  /** After all connections were closed again. */
  readonly afterBytes: number;
  readonly bytesPerConnection: number | null;
  readonly fault: string | null;
}

/** Runs the bench and returns the exit code. */
async function measureIdleConnections(): Promise<number> {
  const asked = readOptions();
  // Careful proxies set two descriptors aside for each connection, and accept no more than they have descriptors for.
  const { machine, openFiles } = prepareMachine(asked.connections * 2 + SPARE_DESCRIPTORS);
  const connections = Math.min(asked.connections, Math.floor((openFiles - SPARE_DESCRIPTORS) / 2));
  const options = { ...asked, connections };
  if (connections < asked.connections) {
    say(
      warn(
        `only ${openFiles} open files are allowed here (ulimit -Hn), enough for ${connections} connections instead of ${asked.connections}`,
      ),
    );
  }
  const { present, skipped } = splitByAvailability(options.contenders);
  const outcomes: Outcome[] = [];
  await withProcesses(async (processes) => {
    const origin = await startOrigin(processes, options.loadCores, [SMALL]);
    const context = { processes, to: origin.url, cores: options.proxyCores, openFiles };
    for (const contender of present) {
      say(`${contender.name}: ${options.connections} connections …`);
      outcomes.push(await measureOne(contender, context, processes, options));
    }
  });

  printOutcomes(outcomes, options);
  const bar = judge(outcomes, options);
  printBars([bar], options);
  writeJson(options, {
    bench: 'idle-connections',
    at: new Date().toISOString(),
    machine,
    options: { connections, asked: asked.connections, settleMs: options.settleMs, openFiles },
    outcomes,
    bars: [{ ...bar, isMet: isMet(bar) }],
    skipped,
  });
  return options.isCheck && !isMet(bar) ? 1 : 0;
}

function readOptions(): IdleOptions {
  const values = parseCommandLine(
    { ...SHARED_OPTIONS, connections: { type: 'string', default: '10000' }, settle: { type: 'string', default: '3' } },
    HELP,
  );
  return {
    ...readSharedOptions(values, ['ferrata', 'nginx']),
    connections: positiveInteger('connections', values.connections),
    settleMs: positiveNumber('settle', values.settle) * 1000,
  };
}

async function measureOne(contender: Contender, context: StartContext, processes: ProcessGroup, options: IdleOptions): Promise<Outcome> {
  const crowd = new Crowd();
  let baseBytes = 0;
  try {
    const proxy = await contender.start(context);
    const { pid } = proxy.process;
    const url = `${proxy.url}/${SMALL.name}`;
    await runLoad(processes, { url, connections: 16, seconds: 2, cores: options.loadCores });
    await delay(options.settleMs);
    baseBytes = residentBytesOf(pid);

    await crowd.open(url, options.connections);
    await delay(options.settleMs);
    const { held, opened } = crowd;
    const heldBytes = residentBytesOf(pid);
    if (proxy.process.exitStatus !== null) throw new Error(`it ended with ${proxy.process.exitStatus}: ${proxy.process.errorOutput}`);

    crowd.close();
    await delay(options.settleMs);
    const afterBytes = residentBytesOf(pid);
    await proxy.process.stop();
    const bytesPerConnection = held === 0 ? null : (heldBytes - baseBytes) / held;
    return { proxy: contender.name, opened, held, baseBytes, heldBytes, afterBytes, bytesPerConnection, fault: crowd.firstFault };
  } catch (error) {
    const reason = (error as Error).message;
    say(fault(`${contender.name}: ${reason}`));
    const { opened } = crowd;
    return { proxy: contender.name, opened, held: 0, baseBytes, heldBytes: 0, afterBytes: 0, bytesPerConnection: null, fault: reason };
  } finally {
    crowd.close();
  }
}

/** Many connections that send one request each and then stay. */
class Crowd {
  readonly #sockets = new Set<Socket>();
  /** Connections that had their answer. */
  opened = 0;
  /** What went wrong first, or null. */
  firstFault: string | null = null;

  /** Those still open. */
  get held(): number {
    return this.#sockets.size;
  }

  /** Opens so many, a few at a time. A connection that fails is left out and remembered in `firstFault`. */
  async open(url: string, count: number): Promise<void> {
    let next = 0;
    const opener = async (): Promise<void> => {
      for (let index = next++; index < count; index = next++) {
        try {
          await this.#openOne(url, index);
          this.opened++;
        } catch (error) {
          this.firstFault ??= `connection ${index + 1}: ${(error as Error).message}`;
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENT_OPENINGS, count) }, opener));
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.clear();
  }

  #openOne(url: string, index: number): Promise<void> {
    const { hostname, port, host, pathname } = new URL(url);
    // All of 127/8 is loopback on Linux.
    const localAddress = `127.0.1.${1 + (Math.floor(index / CONNECTIONS_PER_ADDRESS) % 250)}`;
    return new Promise((resolve, reject) => {
      const socket = connect({ host: hostname, port: Number(port), localAddress });
      const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${RESPONSE_TIMEOUT_MS / 1000} s`)), RESPONSE_TIMEOUT_MS);
      let answer = '';
      const onData = (chunk: Buffer): void => {
        answer += chunk.toString('latin1');
        const end = answer.indexOf('\r\n\r\n');
        if (end === -1 || answer.length < end + 4 + SMALL.bytes) return;
        socket.off('data', onData);
        socket.resume();
        clearTimeout(timer);
        if (answer.startsWith('HTTP/1.1 200 ')) resolve();
        else socket.destroy(new Error(`the answer was "${answer.slice(0, answer.indexOf('\r\n'))}"`));
      };
      socket.on('data', onData);
      socket.on('error', reject);
      socket.on('close', () => {
        clearTimeout(timer);
        this.#sockets.delete(socket);
        reject(new Error('closed before the answer was complete'));
      });
      this.#sockets.add(socket);
      socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    });
  }
}

function printOutcomes(outcomes: readonly Outcome[], options: IdleOptions): void {
  const mebibytes = (bytes: number): string => (bytes / 2 ** 20).toFixed(1);
  const headings = ['proxy', 'held', 'KiB each', 'RSS before MiB', 'with them MiB', 'closed MiB', 'outcome'];
  const rows = outcomes.map((one) => [
    one.proxy,
    one.held === options.connections ? String(one.held) : ({ text: `${one.held} of ${options.connections}`, style: 'red' } as const),
    one.bytesPerConnection === null ? '-' : (one.bytesPerConnection / 1024).toFixed(1),
    mebibytes(one.baseBytes),
    mebibytes(one.heldBytes),
    mebibytes(one.afterBytes),
    one.fault === null ? 'all answered' : ({ text: one.fault.split('\n')[0] ?? '', style: 'red' } as const),
  ]);
  options.print(`\n${options.connections} idle keep-alive connections after one request each\n${formatTable(headings, rows)}\n\n`);
}

function judge(outcomes: readonly Outcome[], options: IdleOptions): Bar {
  // Fewer connections than asked for are no proof.
  const outcome = outcomes.find((one) => one.proxy === options.subject && one.held === options.connections);
  const bytes = outcome?.bytesPerConnection ?? null;
  const value = bytes === null ? null : bytes / 1024;
  return {
    name: `${options.subject}, RSS for each of ${options.connections} idle connections`,
    limit: MAX_BYTES_PER_CONNECTION / 1024,
    value,
    unit: 'KiB',
  };
}

await runAsCommand(measureIdleConnections);
