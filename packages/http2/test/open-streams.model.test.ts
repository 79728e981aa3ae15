/** The table of open streams against a `Map`. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { OpenStreams } from '../src/internal/open-streams.ts';
import { DEFAULT_PRIORITY } from '../src/priority.ts';
import { Http2Stream } from '../src/stream.ts';

test('streams are found by number, whichever have come and gone before', () => {
  const opens = fc.record({ does: fc.constant('opens' as const), passesOver: fc.integer({ min: 0, max: 40 }) });
  const closes = fc.record({ does: fc.constant('closes' as const), which: fc.nat() });
  const trims = fc.record({ does: fc.constant('trims' as const) });
  fc.assert(
    fc.property(
      fc.array(fc.oneof({ weight: 5, arbitrary: opens }, { weight: 4, arbitrary: closes }, trims), { maxLength: 300 }),
      (steps) => {
        const table = new OpenStreams();
        const model = new Map<number, Http2Stream>();
        let newest = -1;
        for (const step of steps) {
          if (step.does === 'opens') {
            newest += 2 + 2 * step.passesOver;
            const stream = new Http2Stream(newest, 0, DEFAULT_PRIORITY, 0);
            model.set(newest, stream);
            table.add(stream);
          } else if (step.does === 'trims') {
            table.trim();
          } else if (model.size > 0) {
            const stream = [...model.values()][step.which % model.size] as Http2Stream;
            model.delete(stream.id);
            table.delete(stream);
          }
          assert.equal(table.size, model.size);
          for (let id = Math.max(1, newest - 200); id <= newest + 2; id += 2) assert.equal(table.find(id), model.get(id) ?? null);
          assert.deepEqual(table.toArray(), [...model.values()]);
        }
      },
    ),
  );
});
