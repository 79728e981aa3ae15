/** M5 of the fault list: exceptions, rejections, silence and garbage of every hook, wherever the two protocols meet. */
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';
import { hookBatches } from './hook-plan.ts';
import { runHooks } from './hook-run.ts';

testCells({
  what: 'a hook that fails ends its own request, once, and nothing else',
  cells: CELLS.filter(({ down, up }) => down.carrier === 'plain' && up.carrier === 'plain'),
  batchesOf: hookBatches,
  run: runHooks,
});
