/** U3, U4 and U16 of the fault list: what is sent again, what is not, and what is waited for. */
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';
import { tryBatches } from './try-plan.ts';
import { runTries } from './try-run.ts';

testCells({
  what: 'requests are sent again where that cannot do them twice',
  cells: CELLS,
  batchesOf: tryBatches,
  run: runTries,
});
