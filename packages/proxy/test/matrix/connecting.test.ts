/** U1, U2 and U15 of the fault list: nobody is there, or nobody who speaks TLS to the end of the handshake. */
import { connectBatches } from './connect-plan.ts';
import { flightBytesOf, runConnects } from './connect-run.ts';
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';

testCells({
  what: 'an origin to which no connection comes about is told so',
  cells: CELLS,
  batchesOf: async (cell, sampling) => connectBatches(cell, await flightBytesOf(cell), sampling),
  run: runConnects,
});
