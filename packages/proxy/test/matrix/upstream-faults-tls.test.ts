/** U3 to U8 and U10 of the fault list, and C2 while an answer comes: where one side or both have TLS. */
import { CELLS, hasTls } from './ends.ts';
import { testCells } from './findings.ts';
import { upstreamBatches } from './upstream-plan.ts';
import { runUpstream } from './upstream-run.ts';

testCells({
  what: 'every fault at the bytes of every answer has its outcome',
  cells: CELLS.filter(hasTls),
  isSampled: true,
  batchesOf: upstreamBatches,
  run: runUpstream,
});
