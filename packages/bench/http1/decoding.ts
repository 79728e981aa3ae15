/**
 * Reading: whole messages, bodies in chunks, bytes one at a time, heads and bodies of any length, and what a request takes of the heap.
 *
 * Bars: 1.5 times as fast as Node's parser and twice as fast as llhttp in WebAssembly for heads that come whole; a byte at a time at most 30
 * times the cost of the whole; a byte of a long message at most 1.5 times the cost of one of a short one; 2.5 KiB of heap a request.
 */
import { RequestDecoder } from '@ferrata/http1';
import { median } from '../src/index.ts';
import { type BenchRow, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';
import { BROWSER_HEAD, chunkedRequest, everyByte, headOf, LARGE_HEAD, RESPONSE } from './inputs.ts';
import { type Kind, nodeParser, ours, wasmParser } from './parsers.ts';
import { FINE } from './rounds.ts';

const NODE = 'HTTPParser of Node';
const WASM = 'llhttp in WebAssembly';

/** Of the longest inputs, in lines of 64 bytes. */
const WIDE = { maxHeadBytes: 2 ** 21, maxFields: 2 ** 15 } as const;

const KIB = 1024;

export const decoding: RowBench = {
  name: 'read',
  run(options) {
    return [
      ...headRows(`request of a browser, ${BROWSER_HEAD.length} B, 10 fields`, 'request', BROWSER_HEAD, options),
      ...headRows(`request of 40 fields, ${LARGE_HEAD.length} B`, 'request', LARGE_HEAD, options),
      ...headRows('response of 7 fields and 13 B', 'response', RESPONSE, options),
      ...bodyRows('64 chunks of 16 B', chunkedRequest(16, 64), options),
      ...bodyRows('64 chunks of 1 KiB', chunkedRequest(KIB, 64), options),
      ...bodyRows('16 chunks of 64 KiB', chunkedRequest(64 * KIB, 16), options),
      ...dripRows(options),
      ...linearRows(options),
      allocationRow(options),
    ];
  },
};

function headRows(operation: string, kind: Kind, bytes: Uint8Array, options: RunOptions): readonly BenchRow[] {
  const peers = { [NODE]: nodeParser(kind, [bytes]), [WASM]: wasmParser(kind, [bytes]) };
  const bars = { [NODE]: { maxRatio: 0.667 }, [WASM]: { maxRatio: 0.5 } };
  return compareTimes({ operation, ours: ours(kind, [bytes]), peers, bars, measure: FINE }, options);
}

function bodyRows(operation: string, bytes: Uint8Array, options: RunOptions): readonly BenchRow[] {
  const peers = { [NODE]: nodeParser('request', [bytes]), [WASM]: wasmParser('request', [bytes]) };
  return compareTimes({ operation, ours: ours('request', [bytes]), peers, measure: FINE }, options);
}

function dripRows(options: RunOptions): readonly BenchRow[] {
  const bytes = everyByte(BROWSER_HEAD);
  return compareTimes(
    {
      operation: "the browser's request, a byte at a time",
      ours: ours('request', bytes),
      peers: { 'the same in one piece': ours('request', [BROWSER_HEAD]), [NODE]: nodeParser('request', bytes) },
      bars: { 'the same in one piece': { maxRatio: 30 } },
      measure: FINE,
    },
    options,
  );
}

/** Cost of a byte, long input against short; both by the KiB, so that the figures can be read. */
function linearRows(options: RunOptions): readonly BenchRow[] {
  const sizes = options.isQuick ? [KIB, 16 * KIB] : [KIB, 16 * KIB, 256 * KIB, 1024 * KIB];
  const shapes: Readonly<Record<string, (size: number) => readonly Uint8Array[]>> = {
    'a head': (size) => [headOf(size)],
    'a head, a byte at a time': (size) => everyByte(headOf(size)),
    'a body in chunks of 64 B': (size) => [chunkedRequest(64, size / 64)],
    'a body in chunks of 64 B, a byte at a time': (size) => everyByte(chunkedRequest(64, size / 64)),
  };
  return Object.entries(shapes).flatMap(([shape, chunksOf]) =>
    sizes.slice(1).flatMap((size) =>
      compareTimes(
        {
          operation: `1 KiB of ${shape}, of ${size / KIB} KiB`,
          ours: perKib(chunksOf(size), size / KIB),
          peers: { 'of 1 KiB': perKib(chunksOf(KIB), size / KIB, size / KIB) },
          operationsPerCall: size / KIB,
          bars: { 'of 1 KiB': { maxRatio: 1.5 } },
          measure: { rounds: 9, roundMs: 60, warmUpMs: 300 },
        },
        options,
      ),
    ),
  );
}

/** @param repeats how often the input is read in a call, so that both sides read as many bytes */
function perKib(chunks: readonly Uint8Array[], kib: number, repeats = 1): () => number {
  const read = ours('request', chunks, WIDE);
  return () => {
    let result = kib;
    for (let i = 0; i < repeats; i++) result ^= read();
    return result;
  };
}

/** What the heap grows by while requests are read and kept by nobody, between two collections. */
function allocationRow({ isQuick }: RunOptions): BenchRow {
  const requests = 200;
  const decoder = new RequestDecoder();
  const readAll = (): void => {
    for (let i = 0; i < requests; i++) {
      decoder.feed(BROWSER_HEAD);
      while (decoder.next());
    }
  };
  // What is compiled meanwhile lies on the heap too, so it is compiled before.
  for (let i = 0; i < (isQuick ? 10 : 500); i++) readAll();
  const samples: number[] = [];
  // 200 requests fill less than the young generation, so no collection takes anything away; if one does, the growth is not a sample.
  while (samples.length < 25) {
    globalThis.gc?.({ type: 'minor' });
    const before = process.memoryUsage();
    readAll();
    const after = process.memoryUsage();
    const grown = after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers;
    if (grown > 0) samples.push(grown / requests);
  }
  const bytes = median(samples);
  const { length } = BROWSER_HEAD;
  return {
    operation: "heap that the browser's request takes",
    unit: 'bytes',
    ours: bytes,
    peer: 'its bytes',
    theirs: length,
    ratio: bytes / length,
    bar: { maxOurs: 2560 },
  };
}
