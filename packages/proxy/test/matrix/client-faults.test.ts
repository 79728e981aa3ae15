/** C1 to C3 of the fault list: whatever a client breaks off, at the bytes of its request. */
import { clientBatches } from './client-plan.ts';
import { runClient } from './client-run.ts';
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';

testCells({
  what: 'every fault at the bytes of every request has its outcome',
  cells: CELLS,
  isSampled: true,
  batchesOf: clientBatches,
  run: runClient,
});
