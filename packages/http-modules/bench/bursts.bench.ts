/**
 * What it costs to compress a body of unknown length that came in one go, and one that comes in bursts.
 *
 * Prints microseconds a body, the median of nine rounds, on the wall (what a client waits) and of CPU (what the machine pays, all threads), the bytes that come out, and the ratio of the CPU
 * time to a baseline of the same round: a stream of zlib in the thread pool that flushes each piece when it comes, as whoever cannot know whether another follows must.
 *
 * `pnpm bench http-modules`
 */

import { bodyEncoder } from '../src/compression/body-encoder.ts';
import { type CompressionCoding, createEncoder } from '../src/compression/content-coding.ts';
import { ZlibRun } from '../src/compression/zlib-run.ts';

const ROUNDS = 9;
const BODIES_A_ROUND = 60;
const LEVELS = { gzip: 4, br: 4, zstd: 3, dcz: 3 } as const;

/** Rows as an interface has them: as regular, and as various. */
function jsonRows(length: number): Uint8Array {
  let text = '';
  for (let row = 0; text.length < length; row++)
    text += `{"id":${row * 7919},"name":"user-${(row * 2_654_435_761) % 100_003}","mail":"u${row}@site.example","active":${row % 3 === 0}},\n`;
  return new TextEncoder().encode(text.slice(0, length));
}

function piecesOf(body: Uint8Array, length: number): Uint8Array[] {
  return Array.from({ length: Math.ceil(body.length / length) }, (_, at) => body.slice(at * length, (at + 1) * length));
}

interface Way {
  readonly name: string;
  /** @returns the bytes that came out */
  run(coding: CompressionCoding, pieces: readonly Uint8Array[]): Promise<number>;
}

const encodingOf = (coding: CompressionCoding) => ({ coding, level: LEVELS[coding], dictionary: null });
const sizeOf = (piece: Uint8Array | null): number => piece?.length ?? 0;

const eachPiece: Way = {
  name: 'each piece flushed',
  async run(coding, pieces) {
    const run = new ZlibRun(createEncoder(encodingOf(coding), true), null);
    let bytes = 0;
    for (const piece of pieces) bytes += sizeOf(await run.write(piece));
    bytes += sizeOf(await run.end());
    run.close();
    return bytes;
  },
};
const burst: Way = {
  name: 'the burst flushed',
  async run(coding, pieces) {
    const encoder = bodyEncoder({ encoding: encodingOf(coding), bodyLength: -1, flushes: true });
    let bytes = 0;
    for (const piece of pieces) bytes += sizeOf(await encoder.write(piece));
    bytes += sizeOf(await encoder.flush());
    bytes += sizeOf(await encoder.end());
    encoder.close();
    return bytes;
  },
};
const whole: Way = {
  name: 'with its end, one call',
  async run(coding, pieces) {
    const encoder = bodyEncoder({ encoding: encodingOf(coding), bodyLength: -1, flushes: true });
    let bytes = 0;
    for (const piece of pieces) bytes += sizeOf(await encoder.write(piece));
    bytes += sizeOf(await encoder.end());
    encoder.close();
    return bytes;
  },
};

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

for (const [length, pieceLength] of [
  [1_024, 1_024],
  [16_384, 16_384],
  [16_384, 1_024],
] as const) {
  const pieces = piecesOf(jsonRows(length), pieceLength);
  for (const coding of ['gzip', 'br', 'zstd'] as const) {
    const ways = [eachPiece, burst, whole];
    const figures = ways.map(() => ({ wall: [] as number[], cpu: [] as number[], bytes: 0 }));
    for (let round = -2; round < ROUNDS; round++) {
      for (const [at, way] of ways.entries()) {
        const figure = figures[at] as (typeof figures)[number];
        const cpuBefore = process.cpuUsage();
        const before = performance.now();
        for (let body = 0; body < BODIES_A_ROUND; body++) figure.bytes = await way.run(coding, pieces);
        const { user, system } = process.cpuUsage(cpuBefore);
        // The first two are the warm-up.
        if (round < 0) continue;
        figure.wall.push(((performance.now() - before) * 1000) / BODIES_A_ROUND);
        figure.cpu.push((user + system) / BODIES_A_ROUND);
      }
    }
    const [baseline] = figures;
    for (const [at, { wall, cpu, bytes }] of figures.entries()) {
      const ratio = median(cpu.map((value, round) => value / (baseline?.cpu[round] as number)));
      console.log(
        `${coding.padEnd(4)} ${`${length} bytes in ${pieces.length}`.padEnd(18)} ${(ways[at]?.name ?? '').padEnd(24)}` +
          `${median(wall).toFixed(0).padStart(6)} µs wall ${median(cpu).toFixed(0).padStart(6)} µs CPU ${`×${ratio.toFixed(2)}`.padStart(6)} ${`${bytes}`.padStart(6)} bytes`,
      );
    }
  }
}
