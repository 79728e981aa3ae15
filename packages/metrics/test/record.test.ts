/** The texts of the log, and what comes of a log into which somebody else has written. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry } from '@ferrata/metrics';
import fc from 'fast-check';
import { defineMetric } from '../src/internal/definition.ts';
import { lengthOfSeries, parseRecord, writeDefinition, writeSeries } from '../src/internal/record.ts';

const help = 'x';

test('a series reads as it was written, and takes 2 bytes a character whatever the characters are', () => {
  const units = fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 20 }).map((all) => String.fromCharCode(...all));
  const values = fc.array(fc.oneof(units, fc.constant('\u0001'.repeat(65_535))), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.nat({ max: 2 ** 24 }), values, (metricId, labelValues) => {
      const text = writeSeries(metricId, labelValues);
      assert.deepEqual(parseRecord(text), { metricId, labelValues });
      assert.equal(text.length, lengthOfSeries(labelValues));
      assert.equal(text.length, 2 + labelValues.length + labelValues.join('').length);
    }),
  );
});

test('a definition reads as it was written', () => {
  const all = [
    defineMetric('counter', 'sent_bytes_total', { help: '"\n\\\u0001é', unit: 'bytes', labels: ['a', 'b'], maxSeries: 7 }, 10),
    defineMetric('gauge', 'length', { help: '' }, 10),
    defineMetric('histogram', 'size', { help, buckets: [-1, 0.5, 1e300] }, 10),
  ];
  for (const definition of all) assert.deepEqual(parseRecord(writeDefinition(definition)), definition);
});

test('a text that nobody here has written is a TypeError', () => {
  const wrong = [
    '',
    'a',
    '\0\0',
    '\0\0{}',
    '\0\0[]',
    '\0\0["summary","a","x","",[],[],1]',
    '\0\0["gauge","a b","x","",[],[],1]',
    '\0\0["gauge","a","x","",["a",1],[],1]',
    '\0\0["gauge","a","x","",[],[],0]',
    '\0\0["histogram","a","x","",[],[2,1],1]',
    '\0\u0001\u0002a',
  ];
  for (const text of wrong)
    assert.throws(() => parseRecord(text), { name: 'TypeError', message: /^memory is damaged: / }, JSON.stringify(text));
});

/** A registry's memory, and where its log begins and ends. */
function makeMemory(): { readonly memory: SharedArrayBuffer; readonly first: number; readonly end: number } {
  const registry = new MetricRegistry({ maxCells: 64, maxTextBytes: 1024, maxWriters: 2 });
  const family = registry.counter('a_total', { help, labels: ['x', 'y'] });
  for (const x of ['one', 'two']) family.with({ x, y: 'z' }).inc();
  registry.gauge('b', { help }).set(1);
  return { memory: registry.memory, first: 34, end: 34 + 256 };
}

function changed(memory: SharedArrayBuffer, change: (words: Int32Array) => void): SharedArrayBuffer {
  const copy = new SharedArrayBuffer(memory.byteLength);
  new Uint8Array(copy).set(new Uint8Array(memory));
  change(new Int32Array(copy));
  return copy;
}

/** Where the first record stands: a word of the head says it. */
const root = 8;

test('joining a memory whose log is damaged is a TypeError that says so', () => {
  const { memory, end } = makeMemory();
  const at = (words: Int32Array, place: number): number => words[place] as number;
  const second = (words: Int32Array): number => at(words, at(words, root));
  const changes: Readonly<Record<string, (words: Int32Array) => void>> = {
    'a negative length': (words) => (words[at(words, root) + 1] = -1),
    'a length up to behind the end': (words) => (words[at(words, root) + 1] = 2 ** 30),
    'text overwritten': (words) => (words[at(words, root) + 3] = 0),
    'the mark overwritten': (words) => (words[at(words, root) + 2] = 7),
    'a first record in the head': (words) => (words[root] = 3),
    'a negative place': (words) => (words[root] = -4),
    'a place behind the end': (words) => (words[at(words, root)] = 1e9),
    'a place in the last word': (words) => (words[at(words, root)] = end - 1),
    'a circle of one': (words) => (words[at(words, root)] = at(words, root)),
    'a circle of series': (words) => (words[second(words)] = second(words)),
    'a series of a metric that does not exist': (words) => (words[second(words) + 2] = 0x0009_0000),
    'a series with a value too many': (words) => {
      // One of four units: the last three become a value of two.
      const length = at(words, second(words) + 1);
      new Uint16Array(words.buffer)[(second(words) + 2) * 2 + length - 2] = 0;
    },
  };
  for (const [name, change] of Object.entries(changes)) {
    const damaged = changed(memory, change);
    assert.throws(() => MetricRegistry.join(damaged), { name: 'TypeError', message: /^memory is damaged: / }, name);
  }
});

test('a circle of series that take no room ends too', () => {
  const registry = new MetricRegistry({ maxCells: 64, maxTextBytes: 1024, maxWriters: 2 });
  registry
    .counter('a_total', { help, labels: ['x'] })
    .with({ x: 'other' })
    .inc();
  const words = new Int32Array(registry.memory);
  const series = words[words[root] as number] as number;
  words[series] = series;
  assert.throws(() => MetricRegistry.join(registry.memory), { name: 'TypeError', message: /^memory is damaged: .* twice/ });
});

test('more metrics than numbers have room for are a damaged log', () => {
  const large = new MetricRegistry({ maxCells: 64, maxTextBytes: 4096, maxWriters: 1 });
  for (let at = 0; at < 20; at++) large.gauge(`gauge_${at}`, { help });
  // The log of a registry with more room, in one with less.
  const small = new MetricRegistry({ maxCells: 8, maxTextBytes: 4096, maxWriters: 1 });
  const [from, to] = [new Int32Array(large.memory), new Int32Array(small.memory)];
  for (let at = root; at < 33 + 1024; at++) if (at === root || at >= 33) to[at] = from[at] as number;
  assert.throws(() => small.snapshot(), { name: 'TypeError', message: /more than numbers have room for/ });
});

test('whatever is written into a log, joining it ends, and throws nothing but a TypeError', () => {
  const { memory, first, end } = makeMemory();
  const word = fc.oneof(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }), fc.integer({ min: 0, max: end }));
  const place = fc.oneof(fc.integer({ min: first, max: first + 120 }), fc.constant(root));
  fc.assert(
    fc.property(fc.array(fc.tuple(place, word), { minLength: 1, maxLength: 4 }), (all) => {
      const damaged = changed(memory, (words) => {
        for (const [at, value] of all) words[at] = value;
      });
      try {
        MetricRegistry.join(damaged).snapshot();
      } catch (error) {
        assert.ok(error instanceof TypeError, String(error));
        assert.match(error.message, /^memory is damaged: /);
      }
    }),
    { numRuns: 500 },
  );
});
