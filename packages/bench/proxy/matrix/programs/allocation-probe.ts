/**
 * Loaded by `--import` into a Node program that is measured, and so into each of its threads: tells how many bytes a thread has allocated
 * between two words of the bench, which it takes over the Unix socket that this module's URL names (`?socket=PATH`).
 *
 * V8 tells what the heap held before and after each collection (`GCProfiler`). What it held before one, less what it held after the one before,
 * was allocated between the two; likewise the memory outside of the heap that belongs to objects of it, as that of buffers does.
 *
 *   bench ── start ──► thread ── started ──►          bench ── stop ──► thread ── {"heapBytes":…} ──►
 */
import { connect } from 'node:net';
import { GCProfiler, getHeapStatistics } from 'node:v8';
import { type AllocationCount, addedBetween, type HeapReading } from '../allocation-count.ts';

const path = new URL(import.meta.url).searchParams.get('socket') ?? '';
const socket = connect({ path });
let profiler: GCProfiler | null = null;
let before = readHeap();

// The program must end as it does without this.
socket.unref();
socket.on('error', () => {});
socket.setEncoding('utf8').on('data', (words: string) => {
  for (const word of words.split('\n')) {
    if (word === 'start') {
      profiler = new GCProfiler();
      profiler.start();
      before = readHeap();
      socket.write('started\n');
    } else if (word === 'stop' && profiler !== null) {
      socket.write(`${JSON.stringify(countWith(profiler))}\n`);
      profiler = null;
    }
  }
});

function countWith(running: GCProfiler): AllocationCount {
  const { statistics } = running.stop();
  const collections = statistics.map(({ beforeGC, afterGC }) => ({
    before: readingOf(beforeGC.heapStatistics),
    after: readingOf(afterGC.heapStatistics),
  }));
  return addedBetween(before, collections, readHeap());
}

function readHeap(): HeapReading {
  const { used_heap_size: heapBytes, external_memory: externalBytes } = getHeapStatistics();
  return { heapBytes, externalBytes };
}

/** The types of Node 24 leave `externalMemory` out, which V8 has. */
function readingOf(statistics: { readonly usedHeapSize: number; readonly externalMemory?: number }): HeapReading {
  return { heapBytes: statistics.usedHeapSize, externalBytes: statistics.externalMemory ?? 0 };
}
