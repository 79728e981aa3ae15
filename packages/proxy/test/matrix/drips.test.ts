/** U9 and C1 of the fault list: an origin, or a client, that sends one byte a second. */
import { dripBatches, runDrips, runSlow, slowBatches } from './drip-run.ts';
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';

testCells({ what: 'an answer of one byte a second arrives', cells: CELLS, batchesOf: dripBatches, run: runDrips });
testCells({ what: 'a head of one byte a second is given up', cells: CELLS, batchesOf: slowBatches, run: runSlow });
