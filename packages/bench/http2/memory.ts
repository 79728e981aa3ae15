/**
 * What idle HTTP/2 connections and idle streams cost: resident memory with them, less without, divided by their number.
 *
 * A connection has had one answer and is silent; a stream is a request that waits for its answer. Before the first look the server has been
 * under load, so that its heap has its usual size. The kernel's memory for sockets is not in it.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { naiveHttp2Frame } from '@ferrata/testkit';
import {
  type Bar,
  fault,
  isMet,
  parseCommandLine,
  positiveInteger,
  prepareMachine,
  printBars,
  runAsCommand,
  SHARED_OPTIONS,
  say,
  writeJson,
} from '../proxy/command-line.ts';
import { residentBytesOf } from '../proxy/process-usage.ts';
import { withProcesses } from '../proxy/processes.ts';
import { formatTable } from '../src/table.ts';
import { runStreamLoad } from './h2load.ts';
import { SCENARIOS } from './scenarios.ts';

const HELP = `pnpm bench http2-memory [options]: resident memory of a server for each idle HTTP/2 connection and stream

  --connections N    idle connections; default 2000
  --streams N        waiting requests on each of 200 further connections; default 100
  --settle N         seconds of silence before the memory is read; default 3
  --json [FILE]      every figure as JSON on standard output, or in a file
  --check            exit with 1 when a bar fails`;

const MAX_BYTES_PER_CONNECTION = 24 * 1024;
const MAX_BYTES_PER_STREAM = 2 * 1024;
const STREAM_CONNECTIONS = 200;
const CONCURRENT_OPENINGS = 32;
const ANSWER_TIMEOUT_MS = 15_000;

const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'latin1');
const SETTINGS = naiveHttp2Frame(4, 0, 0, new Uint8Array(0));
const SETTINGS_ACK = naiveHttp2Frame(4, 1, 0, new Uint8Array(0));

interface Outcome {
  readonly server: string;
  readonly bytesPerConnection: number;
  readonly bytesPerStream: number;
}

async function measureMemory(): Promise<number> {
  const { subject: _subject, only: _only, ...shared } = SHARED_OPTIONS;
  const values = parseCommandLine(
    {
      ...shared,
      connections: { type: 'string', default: '2000' },
      streams: { type: 'string', default: '100' },
      settle: { type: 'string', default: '3' },
    },
    HELP,
  );
  const connections = positiveInteger('connections', values.connections);
  const streams = positiveInteger('streams', values.streams);
  const settleMs = positiveInteger('settle', values.settle) * 1_000;
  const isJsonOutput = values.json === '-';
  const print = (text: string): void => void (isJsonOutput ? process.stderr : process.stdout).write(text);
  const { machine, openFiles } = prepareMachine(connections + 1_024);
  const contenders = (SCENARIOS[0]?.contenders ?? []).filter((one) => one.name === 'ferrata' || one.name === 'node:http2');
  const outcomes: Outcome[] = [];
  await withProcesses(async (processes) => {
    for (const contender of contenders) {
      const server = await contender.start({ processes, to: '', cores: values['proxy-cores'], openFiles });
      const { pid } = server.process;
      const crowd = new Crowd(Number(new URL(server.url).port));
      try {
        await runStreamLoad(processes, {
          url: `${server.url}/100`,
          connections: 8,
          streams: 32,
          requests: 70_000,
          cores: values['load-cores'],
        });
        await delay(settleMs);
        const before = residentBytesOf(pid);
        await crowd.open(connections, ['/100']);
        await delay(settleMs);
        const withConnections = residentBytesOf(pid);
        crowd.checkHeld();
        await crowd.open(STREAM_CONNECTIONS, ['/100']);
        await delay(settleMs);
        const beforeStreams = residentBytesOf(pid);
        await crowd.wait(STREAM_CONNECTIONS, streams);
        await delay(settleMs);
        const withStreams = residentBytesOf(pid);
        crowd.checkHeld();
        if (server.process.exitStatus !== null) throw new Error(`${contender.name} ended with ${server.process.exitStatus}`);
        outcomes.push({
          server: contender.name,
          bytesPerConnection: (withConnections - before) / connections,
          bytesPerStream: (withStreams - beforeStreams) / (STREAM_CONNECTIONS * streams),
        });
      } catch (error) {
        say(fault(`${contender.name} is left out: ${(error as Error).message}`));
      } finally {
        crowd.close();
        await server.process.stop();
      }
    }
  });
  const rows = outcomes.map(({ server, bytesPerConnection, bytesPerStream }) => [
    server,
    (bytesPerConnection / 1_024).toFixed(1),
    (bytesPerStream / 1_024).toFixed(2),
  ]);
  print(`\n${connections} idle connections, ${STREAM_CONNECTIONS * streams} waiting streams\n`);
  print(`${formatTable(['', 'KiB a connection', 'KiB a stream'], rows)}\n\n`);
  const subject = outcomes.find((one) => one.server === 'ferrata');
  const bars: readonly Bar[] = [
    { name: 'an idle connection', limit: MAX_BYTES_PER_CONNECTION / 1_024, value: kib(subject?.bytesPerConnection), unit: 'KiB' },
    { name: 'an idle stream', limit: MAX_BYTES_PER_STREAM / 1_024, value: kib(subject?.bytesPerStream), unit: 'KiB' },
  ];
  printBars(bars, { print });
  writeJson(
    { jsonFile: values.json ?? null },
    { bench: 'http2-memory', at: new Date().toISOString(), machine, options: { connections, streams }, outcomes, bars },
  );
  return values.check && !bars.every(isMet) ? 1 : 0;
}

function kib(bytes: number | undefined): number | null {
  return bytes === undefined ? null : bytes / 1_024;
}

const GOAWAY = 7;
const RST_STREAM = 3;

/** Bare sockets that speak just enough HTTP/2 to ask, so that this process stays small and out of the way. */
class Crowd {
  readonly #port: number;
  readonly #sockets: Socket[] = [];
  /** What a server did that makes the figures worthless. */
  #fault: string | null = null;
  #isClosing = false;

  constructor(port: number) {
    this.#port = port;
  }

  /** Opens so many connections, each of which sends these requests and has an answer to the first. */
  async open(count: number, targets: readonly string[]): Promise<void> {
    let next = 0;
    const opener = async (): Promise<void> => {
      while (next++ < count) await this.#openOne(targets);
    };
    await Promise.all(Array.from({ length: Math.min(CONCURRENT_OPENINGS, count) }, opener));
  }

  /** Sends so many requests that nobody answers on each of the last `count` connections. */
  async wait(count: number, streams: number): Promise<void> {
    for (const socket of this.#sockets.slice(-count)) {
      const frames: Uint8Array[] = [];
      for (let index = 0; index < streams; index++) frames.push(request(3 + 2 * index, '/wait'));
      await new Promise<void>((resolve, reject) => socket.write(Buffer.concat(frames), (error) => (error ? reject(error) : resolve())));
    }
  }

  /** @throws {Error} when a connection has gone, or a stream was refused: memory that is not held costs nothing */
  checkHeld(): void {
    if (this.#fault !== null) throw new Error(this.#fault);
  }

  close(): void {
    this.#isClosing = true;
    for (const socket of this.#sockets) socket.destroy();
    this.#sockets.length = 0;
  }

  #openOne(targets: readonly string[]): Promise<void> {
    // Several source addresses, so that ports do not run out: all of 127/8 is loopback on Linux.
    const localAddress = `127.0.2.${1 + (this.#sockets.length % 200)}`;
    const socket = connect({ host: '127.0.0.1', port: this.#port, localAddress });
    this.#sockets.push(socket);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), ANSWER_TIMEOUT_MS);
      socket.on('error', reject);
      socket.on('connect', () => {
        socket.write(Buffer.concat([PREFACE, SETTINGS, ...targets.map((target, index) => request(1 + 2 * index, target))]));
      });
      socket.on('close', () => {
        if (!this.#isClosing) this.#fault ??= 'the server closed a connection';
      });
      let received: Buffer = Buffer.alloc(0);
      let isAnswered = false;
      socket.on('data', (chunk: Buffer) => {
        received = Buffer.concat([received, chunk]);
        for (let next = wholeFrame(received); next !== null; next = wholeFrame(received)) {
          received = Buffer.from(received.subarray(next.end));
          if (next.type === GOAWAY || next.type === RST_STREAM) this.#fault ??= `the server sent a frame of type ${next.type}`;
          // The end of the answer to `/100`.
          if (isAnswered || next.type !== 0 || (next.flags & 1) === 0) continue;
          isAnswered = true;
          clearTimeout(timer);
          socket.write(SETTINGS_ACK);
          resolve();
        }
      });
    });
  }
}

/** The first frame of what was received, if it is whole. */
function wholeFrame(received: Buffer): { type: number; flags: number; end: number } | null {
  if (received.length < 9) return null;
  const end = 9 + received.readUIntBE(0, 3);
  return received.length < end ? null : { type: received[3] ?? 0, flags: received[4] ?? 0, end };
}

/** A GET whose fields are the static table's and two literals. */
function request(streamId: number, target: string): Uint8Array {
  const literal = (index: number, value: string): Buffer =>
    Buffer.concat([Buffer.from([index, value.length]), Buffer.from(value, 'latin1')]);
  // :method GET (2), :scheme http (6), :path (4) and :authority (1) as literals without indexing.
  return naiveHttp2Frame(1, 0x5, streamId, Buffer.concat([Buffer.from([0x82, 0x86]), literal(0x04, target), literal(0x01, 'localhost')]));
}

await runAsCommand(measureMemory);
