/** C4 to C10 of the fault list: what clients do beside breaking off a request. */
import { doorBatches, runDoor } from './door-run.ts';
import { CELLS } from './ends.ts';
import { expectBatches, runExpect } from './expect-run.ts';
import { testCells } from './findings.ts';
import { floodBatches, runFloods, runStalls, stallBatches } from './flood-run.ts';
import { flightOf, handshakeBatches, runHandshakes } from './handshake-run.ts';
import { idleBatches, runIdle } from './idle-run.ts';
import { crowdBatches, garbageBatches, runCrowd, runGarbage } from './pipeline-run.ts';
import { runTunnels, tunnelBatches } from './tunnel-run.ts';

const HTTP2 = CELLS.filter(({ down }) => down.protocol === 'http2');

testCells({
  what: 'C4, each of many requests of one connection has its own answer',
  cells: CELLS,
  batchesOf: crowdBatches,
  run: (cases) => runCrowd(cases),
});
testCells({
  what: 'C4, what follows a request and is none ends the connection, and is nobody’s request',
  cells: CELLS,
  isSampled: true,
  batchesOf: garbageBatches,
  run: (cases) => runGarbage(cases),
});
testCells({
  what: 'C5, a handshake that does not come to its end ends by itself, and holds up nobody',
  cells: CELLS.filter(({ down }) => down.carrier === 'tls'),
  batchesOf: async (cell, sampling) => handshakeBatches(cell, await flightOf(cell), sampling),
  run: runHandshakes,
});
testCells({
  what: 'C6, a flood is told to calm down, and nobody else suffers',
  cells: HTTP2,
  batchesOf: floodBatches,
  run: (cases) => runFloods(cases),
});
testCells({ what: 'C6, answers that nobody takes are given up', cells: HTTP2, batchesOf: stallBatches, run: (cases) => runStalls(cases) });
testCells({
  what: 'C7, a request with Expect comes to its end, whoever waits for whom',
  cells: CELLS,
  batchesOf: expectBatches,
  run: (cases) => runExpect(cases),
});
testCells({
  what: 'C8, nothing of a tunnel is there before it is granted, and all of it until it is broken off',
  cells: CELLS,
  isSampled: true,
  batchesOf: tunnelBatches,
  run: (cases) => runTunnels(cases),
});
testCells({
  what: 'C9, at the cap the longest-standing idle connection makes room, and no busy one',
  cells: CELLS,
  batchesOf: idleBatches,
  run: (cases) => runIdle(cases),
});
testCells({
  what: 'C10, who brings no PROXY header is closed without an answer',
  cells: CELLS,
  isSampled: true,
  batchesOf: doorBatches,
  run: (cases) => runDoor(cases),
});
