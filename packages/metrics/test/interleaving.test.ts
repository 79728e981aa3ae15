/** What two threads do at once, at every step of one of them: see fixtures/interleave.ts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MetricRegistry, type MetricsSnapshot } from '@ferrata/metrics';
import { DefinitionLog } from '../src/internal/definition-log.ts';
import { joinMemory, makeMemory } from '../src/internal/memory-layout.ts';
import { resolveMetricRegistryOptions } from '../src/options.ts';
import { endEverywhere, type Race, raceEverywhere } from './fixtures/interleave.ts';

const help = 'x';
const options = { maxCells: 80, maxTextBytes: 4096, maxWriters: 3 } as const;

interface Pair {
  readonly one: MetricRegistry;
  readonly other: MetricRegistry;
  /** A snapshot that both, and one who joins only now, agree about. */
  readonly snapshot: (when: string) => MetricsSnapshot;
}

function makePair(): Pair {
  const one = new MetricRegistry(options);
  const other = MetricRegistry.join(one.memory);
  const snapshot = (when: string): MetricsSnapshot => {
    const seen = one.snapshot();
    assert.deepEqual(other.snapshot(), seen, when);
    assert.deepEqual(MetricRegistry.join(one.memory).snapshot(), seen, when);
    return seen;
  };
  return { one, other, snapshot };
}

/** Values by label value. */
function valuesOf(snapshot: MetricsSnapshot, name: string): readonly (readonly [string, number])[] {
  const metric = snapshot.find((each) => each.name === name);
  assert.ok(metric !== undefined && metric.type !== 'histogram', name);
  return metric.series.map(({ labelValues, value }) => [labelValues.join(), value]);
}

test('two texts that are written and published at once both stand in the log, whole', () => {
  const moments = raceEverywhere(() => {
    const layout = makeMemory(resolveMetricRegistryOptions(options));
    const logs = [new DefinitionLog(layout), new DefinitionLog(joinMemory(layout.memory))] as const;
    const append = (log: DefinitionLog, text: string): void => {
      const record = log.write(text);
      while (!log.publish(record)) log.next();
    };
    return {
      first: () => append(logs[0], 'the first'),
      second: () => append(logs[1], 'the second, which is longer'),
      check: (when) => {
        const reader = new DefinitionLog(layout);
        assert.deepEqual(new Set([reader.next(), reader.next()]), new Set(['the first', 'the second, which is longer']), when);
        assert.equal(reader.next(), null, when);
      },
    };
  });
  assert.ok(moments >= 6);
});

test('space that is given back at once with other taking is not given away twice', () => {
  raceEverywhere(() => {
    const layout = makeMemory(resolveMetricRegistryOptions(options));
    const [one, other] = [new DefinitionLog(layout), new DefinitionLog(layout)];
    const mine = one.write('mine');
    let theirs = 0;
    return {
      first: () => one.discard(mine),
      second: () => {
        theirs = other.write('theirs');
      },
      check: (when) => {
        const next = one.write('next');
        assert.notEqual(next, theirs, when);
        assert.equal(other.publish(theirs), true, when);
        assert.equal(new DefinitionLog(layout).next(), 'theirs', when);
      },
    };
  });
});

interface LookUps {
  readonly mine: string;
  readonly theirs: string;
  readonly maxSeries: number;
}

/** Two threads that know a metric look up a series of it at once, and count. */
function lookUp({ mine, theirs, maxSeries }: LookUps, check: (snapshot: MetricsSnapshot, when: string) => void): Race {
  const { one, other, snapshot } = makePair();
  const here = one.counter('a_total', { help, labels: ['x'], maxSeries });
  const there = other.counter('a_total', { help, labels: ['x'], maxSeries });
  return {
    first: () => here.with({ x: mine }).inc(),
    second: () => there.with({ x: theirs }).inc(),
    check: (when) => check(snapshot(when), when),
  };
}

test('two threads that look up the same series at once make one', () => {
  const moments = raceEverywhere(() =>
    lookUp({ mine: 'a', theirs: 'a', maxSeries: 10 }, (snapshot, when) =>
      assert.deepEqual(valuesOf(snapshot, 'a_total'), [['a', 2]], when),
    ),
  );
  // Reading on, asking for room, taking it, hanging the record up, reading on.
  assert.ok(moments >= 10);
});

test('two threads that look up different series at once make both', () => {
  raceEverywhere(() =>
    lookUp({ mine: 'a', theirs: 'longer', maxSeries: 10 }, (snapshot, when) => {
      assert.deepEqual(
        valuesOf(snapshot, 'a_total'),
        [
          ['a', 1],
          ['longer', 1],
        ],
        when,
      );
    }),
  );
});

test('of two threads that look up the last series at once one has it, and the other one overflows', () => {
  raceEverywhere(() =>
    lookUp({ mine: 'a', theirs: 'b', maxSeries: 1 }, (snapshot, when) => {
      const [first, overflow, ...others] = valuesOf(snapshot, 'a_total');
      assert.ok(first?.[0] === 'a' || first?.[0] === 'b', when);
      assert.deepEqual([first?.[1], overflow, others], [1, ['other', 1], []], when);
      assert.deepEqual(valuesOf(snapshot, 'ferrata_metrics_overflow_total'), [['a_total', 1]], when);
    }),
  );
});

test('a metric that is defined while another thread makes a series stands beside it, whole', () => {
  raceEverywhere(() => {
    const { one, other, snapshot } = makePair();
    const here = one.counter('a_total', { help, labels: ['x'] });
    return {
      first: () => here.with({ x: 'a' }).inc(),
      second: () => other.histogram('size', { help, buckets: [1, 2] }).observe(1),
      check: (when) => {
        const seen = snapshot(when);
        assert.deepEqual(valuesOf(seen, 'a_total'), [['a', 1]], when);
        assert.deepEqual(seen[1]?.series, [{ labelValues: [], cumulativeCounts: [1, 1, 1], count: 1, sum: 1 }], when);
      },
    };
  });
});

test('two threads that define the same metric at once have one', () => {
  raceEverywhere(() => {
    const { one, other, snapshot } = makePair();
    return {
      first: () => one.gauge('a', { help }).inc(1),
      second: () => other.gauge('a', { help: 'Longer help.' }).inc(2),
      check: (when) => assert.deepEqual(valuesOf(snapshot(when), 'a'), [['', 3]], when),
    };
  });
});

test('a thread that ends in the middle of making a series or a metric harms nobody', () => {
  const all = endEverywhere(() =>
    lookUp({ mine: 'a', theirs: 'a', maxSeries: 10 }, (snapshot, when) => {
      const [[value, count] = [], ...others] = valuesOf(snapshot, 'a_total');
      assert.deepEqual([value, others], ['a', []], when);
      assert.ok(count === 1 || count === 2, when);
    }),
  );
  assert.ok(all >= 10);
  endEverywhere(() => {
    const { one, other, snapshot } = makePair();
    return {
      first: () => void one.gauge('a', { help }),
      second: () => other.gauge('b', { help }).set(2),
      check: (when) => assert.deepEqual(valuesOf(snapshot(when), 'b'), [['', 2]], when),
    };
  });
});

test('two threads that take a place at once have different ones', () => {
  raceEverywhere(() => {
    const { memory } = new MetricRegistry(options);
    const joined: MetricRegistry[] = [];
    const join = (): void => void joined.push(MetricRegistry.join(memory));
    return {
      first: join,
      second: join,
      check: (when) => {
        // Whoever lost a race for a place goes on to the next one.
        assert.deepEqual(new Set(joined.map(({ writer }) => writer)), new Set([1, 2]), when);
        for (const [at, registry] of joined.entries()) registry.gauge('a', { help }).inc(10 ** at);
        assert.deepEqual(valuesOf((joined[0] as MetricRegistry).snapshot(), 'a'), [['', 11]], when);
      },
    };
  });
});

test('while a place is released, for the second time too, a successor loses nothing', () => {
  raceEverywhere(() => {
    const one = new MetricRegistry(options);
    const ended = MetricRegistry.join(one.memory, { writer: 1 });
    const other = MetricRegistry.join(one.memory, { writer: 2 });
    ended.gauge('a', { help }).inc(5);
    const results: boolean[] = [];
    const release = (registry: MetricRegistry): void => void results.push(registry.releaseWriter(1, ended.generation));
    let added = 0;
    return {
      first: () => release(one),
      second: () => {
        release(other);
        const successor = joinIfFree(one.memory);
        if (successor === null) return;
        added = 3;
        successor.gauge('a', { help }).inc(added);
      },
      check: (when) => {
        assert.equal(results.filter((isReleased) => isReleased).length, 1, when);
        assert.deepEqual(valuesOf(one.snapshot(), 'a'), [['', added]], when);
      },
    };
  });
});

/** Writer 1, or null while its place is nobody's: in the middle of releasing. */
function joinIfFree(memory: SharedArrayBuffer): MetricRegistry | null {
  try {
    return MetricRegistry.join(memory, { writer: 1 });
  } catch (error) {
    assert.ok(error instanceof RangeError);
    return null;
  }
}
