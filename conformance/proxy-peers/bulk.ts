/**
 * Much through the proxy, both ways: every byte is known by its position, and compared at the far end. While one side holds still, the other must be stopped
 * soon, and the memory of the proxy's process must stay as it was.
 */
import { readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { isPattern, patternAt } from '../lifecycle/pattern.ts';
import { figuresOf } from '../lifecycle/process-figures.ts';
import { booksProblem, ProxyProcess, type ProxyRoute } from '../rig/proxy-process.ts';
import { HttpClient, type HttpOrigin, type HttpWay, nameOfWay, type OriginRequest, type OriginResponse, routeFor } from './http-peers.ts';
import { differs, firstOf, type Part, type Stage } from './stage.ts';

const MIB = 1_048_576;
const WAYS: readonly (HttpWay & { readonly share: number })[] = [
  { client: 'h1', origin: 'h1', isTls: false, share: 1 },
  { client: 'h2', origin: 'h1', isTls: false, share: 1 },
  { client: 'h1', origin: 'h2', isTls: false, share: 1 },
  { client: 'h1', origin: 'h1', isTls: true, share: 1 / 4 },
  { client: 'h2', origin: 'h2', isTls: true, share: 1 / 4 },
];

const WARM_UP_BYTES = 48 * MIB;
const PIECE_BYTES = 65_521;
const SAMPLE_MS = 50;
const HOLD_MS = 1_000;

/** What the proxy's process may hold more than when it had been warmed up. */
const MAX_GROWTH = 64 * MIB;

/** What may be between the ends while one of them holds still: what the kernel may keep for two connections, and a little of each program's. */
function mostUnderWay(bytes: number): number {
  const kept = ['tcp_rmem', 'tcp_wmem'].map((name) =>
    Number(readFileSync(`/proc/sys/net/ipv4/${name}`, 'latin1').trim().split(/\s+/)[2] ?? 0),
  );
  // Whoever was never stopped has sent the two thirds that are left.
  return Math.min(2 * kept.reduce((sum, own) => sum + own, 0) + 8 * MIB, 0.55 * bytes);
}

/** Slower than this is a fault, on whatever machine. */
const LEAST_BYTES_PER_SECOND = 8 * MIB;

export const bulkPart: Part = {
  name: 'bulk',
  async run(stage) {
    const ways = await Promise.all(WAYS.filter((way) => isWanted(stage, way)).map(async (way) => await prepare(stage, way)));
    if (ways.length === 0) return;
    try {
      await using proxy = await ProxyProcess.start({ routes: ways.map(({ route }) => route) });
      for (const way of ways) await runWay(stage, way, proxy);
      await stage.check('bulk/all-over', async () => {
        const now = await proxy.settled((figures) => figures.begun === figures.logged && figures.clientConnections === 0);
        return firstOf(booksProblem(now), differs('outcomes', Object.keys(now.outcomes), ['completed 200']), await proxy.close());
      });
    } finally {
      for (const { origin } of ways) origin.close();
    }
  },
};

/** A way with its origin and what goes by it. */
interface PreparedWay {
  readonly way: HttpWay;
  readonly bytes: number;
  readonly transfer: Transfer;
  readonly origin: HttpOrigin;
  readonly route: ProxyRoute;
}

function isWanted(stage: Stage, way: HttpWay): boolean {
  return ['down', 'up'].some((name) => stage.wants(`bulk/${nameOfWay(way)}/${name}`));
}

async function prepare(stage: Stage, way: (typeof WAYS)[number]): Promise<PreparedWay> {
  const transfer = new Transfer();
  const prepared = await routeFor(stage, way, (request, response) => {
    void answer(request, response, transfer).catch(() => response.destroy());
  });
  return { way, transfer, bytes: Math.round((stage.isLong ? 1_024 : 256) * way.share) * MIB, ...prepared };
}

async function runWay(stage: Stage, { way, bytes, transfer, route }: PreparedWay, proxy: ProxyProcess): Promise<void> {
  const id = `bulk/${nameOfWay(way)}`;
  const client = new HttpClient(way.client, proxy.port(route.name), way.isTls ? stage.certificates.ca : null);
  try {
    await download(client, transfer.begin(WARM_UP_BYTES, false));
    await upload(client, transfer.begin(WARM_UP_BYTES, false));
    // Not collected: the pages that the heap has had so far are not growth.
    const { residentBytes: before } = await proxy.figures();
    for (const [name, move] of [
      ['down', download],
      ['up', upload],
    ] as const) {
      await stage.check(
        `${id}/${name}`,
        async () => {
          const memory = new MemoryWatch(proxy.pid);
          const began = performance.now();
          const problem = await move(client, transfer.begin(bytes, true));
          const seconds = (performance.now() - began - HOLD_MS) / 1000;
          const most = memory.stop();
          stage.figure(
            `${id}/${name}: ${bytes / MIB} MiB in ${seconds.toFixed(1)} s, ${(most / MIB).toFixed(0)} MiB at most (${((most - before) / MIB).toFixed(0)} more), ${(transfer.underWay / MIB).toFixed(1)} MiB under way while held`,
          );
          return firstOf(
            problem,
            transfer.problem,
            most > 0 ? null : "the memory of the proxy's process was never seen",
            most - before <= MAX_GROWTH ? null : `the proxy's process grew from ${before} to ${most} bytes`,
            transfer.underWay <= mostUnderWay(bytes) ? null : `${transfer.underWay} bytes were sent and not read while one side held still`,
            bytes / seconds >= LEAST_BYTES_PER_SECOND ? null : `it took ${seconds.toFixed(0)} s`,
          );
        },
        HOLD_MS + 30_000 + (bytes / LEAST_BYTES_PER_SECOND) * 1000,
      );
    }
  } finally {
    client.close();
  }
}

/** One transfer at a time, as both ends know it. */
export class Transfer {
  bytes = 0;
  /** Whether the reader holds still at a third. */
  holds = false;
  sent = 0;
  read = 0;
  /** Most that was sent and not read at the end of the stillness. */
  underWay = 0;
  /** What the reader has found wrong. */
  problem: string | null = null;

  begin(bytes: number, holds: boolean): this {
    this.bytes = bytes;
    this.holds = holds;
    this.sent = 0;
    this.read = 0;
    this.underWay = 0;
    this.problem = null;
    return this;
  }

  /** Sends all of it, at the pace of the stream. */
  async send(stream: Writable): Promise<void> {
    while (this.sent < this.bytes && !stream.destroyed) {
      const piece = patternAt(this.sent, Math.min(PIECE_BYTES, this.bytes - this.sent));
      this.sent += piece.length;
      if (!stream.write(piece)) await drained(stream);
    }
    stream.end();
  }

  /** Reads and compares all of it. */
  async receive(from: Readable | OriginRequest): Promise<void> {
    let hasHeld = !this.holds;
    for await (const piece of from as AsyncIterable<Uint8Array>) {
      if (this.problem === null && !isPattern(piece, this.read)) this.problem = `wrong bytes in the ${piece.length} at ${this.read}`;
      this.read += piece.length;
      if (!hasHeld && this.read >= this.bytes / 3) {
        hasHeld = true;
        await delay(HOLD_MS);
        this.underWay = this.sent - this.read;
      }
    }
    if (this.read !== this.bytes) this.problem ??= `${this.read} bytes of ${this.bytes} came`;
  }
}

/** Resolves when a stream takes more, or is gone. */
async function drained(stream: Writable): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      stream.off('drain', done).off('close', done);
      resolve();
    };
    stream.on('drain', done).on('close', done);
  });
}

async function download(client: HttpClient, transfer: Transfer): Promise<string | null> {
  const asking = client.ask({ path: '/down' });
  asking.body.end();
  const { status, body } = await asking.answer;
  await transfer.receive(body);
  return firstOf(differs('status', status, 200), transfer.problem);
}

async function upload(client: HttpClient, transfer: Transfer): Promise<string | null> {
  const asking = client.ask({ method: 'POST', path: '/up', fields: { 'content-length': String(transfer.bytes) } });
  const [{ status, body }] = await Promise.all([asking.answer, transfer.send(asking.body)]);
  let said = '';
  for await (const piece of body) said += String(piece);
  return firstOf(differs('status', status, 200), differs('the origin has read', said, String(transfer.bytes)), transfer.problem);
}

async function answer(request: OriginRequest, response: OriginResponse, transfer: Transfer): Promise<void> {
  if (request.url === '/up') {
    await transfer.receive(request);
    response.end(String(transfer.read));
    return;
  }
  response.setHeader('content-length', transfer.bytes);
  request.resume();
  await transfer.send(response);
}

/** Looks at the resident memory of a process again and again. */
class MemoryWatch {
  readonly #timer: NodeJS.Timeout;
  #most = 0;

  constructor(pid: number) {
    this.#timer = setInterval(() => {
      this.#most = Math.max(this.#most, figuresOf(pid)?.residentBytes ?? 0);
    }, SAMPLE_MS);
  }

  /** @returns the most that was seen */
  stop(): number {
    clearInterval(this.#timer);
    return this.#most;
  }
}
