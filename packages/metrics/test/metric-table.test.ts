/** Races for the end of the log, put where they hurt: another thread defines a metric just when this one has decided to. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Cells } from '../src/internal/cells.ts';
import { defineMetric, type MetricDefinition } from '../src/internal/definition.ts';
import { layoutWord, type MemoryLayout, makeMemory } from '../src/internal/memory-layout.ts';
import { MetricTable } from '../src/internal/metric-table.ts';
import { resolveMetricRegistryOptions } from '../src/options.ts';

function makeTables(): { readonly layout: MemoryLayout; readonly one: MetricTable; readonly other: MetricTable } {
  const layout = makeMemory(resolveMetricRegistryOptions({ maxCells: 9, maxTextBytes: 4096, maxWriters: 2 }));
  const make = (): MetricTable => new MetricTable(layout, new Cells(layout, undefined));
  return { layout, one: make(), other: make() };
}

/** A definition that is read to be written between the decision to append it and the appending: what happens then is the race. */
function interrupted(definition: MetricDefinition, race: () => void): MetricDefinition {
  return {
    ...definition,
    get help(): string {
      race();
      return definition.help;
    },
  };
}

const gauge = (name: string): MetricDefinition => defineMetric('gauge', name, { help: 'x' }, 10);

test('two threads that define the same metric at once have one, and the loser gives its space back', () => {
  const { layout, one, other } = makeTables();
  let usedByWinner = 0;
  const metric = one.define(
    interrupted(gauge('a'), () => {
      other.define(gauge('a'));
      usedByWinner = layout.words[layoutWord.logUsed] as number;
    }),
  );
  assert.equal(metric.id, 0);
  assert.deepEqual([one.metrics.length, other.metrics.length], [1, 1]);
  // The race was before the space was taken, so that nothing was lost.
  assert.equal(layout.words[layoutWord.logUsed], usedByWinner);
});

test('two threads that define different metrics at once have both, in the same order', () => {
  const { one, other } = makeTables();
  one.define(interrupted(gauge('a'), () => other.define(gauge('b'))));
  other.sync();
  const names = ({ metrics }: MetricTable): readonly string[] => metrics.map(({ definition }) => definition.name);
  assert.deepEqual(
    [names(one), names(other)],
    [
      ['b', 'a'],
      ['b', 'a'],
    ],
  );
});

test('the loser of a race for the last cells is told that there are none', () => {
  const { one, other } = makeTables();
  one.define(gauge('a'));
  other.define(gauge('b'));
  assert.throws(() => one.define(interrupted(gauge('c'), () => other.define(gauge('d')))), { name: 'RangeError', message: /maxCells/ });
  assert.deepEqual([one.metrics.length, other.metrics.length], [3, 3]);
});

test('the loser of a race for a name is told who has it', () => {
  const { one, other } = makeTables();
  const counter = defineMetric('counter', 'a_total', { help: 'x' }, 10);
  assert.throws(() => one.define(interrupted(counter, () => other.define(gauge('a')))), {
    name: 'TypeError',
    message: /in common with a$/,
  });
});
