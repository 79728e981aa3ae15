/** U16 to U19 of the fault list: origins that want HTTP/1.1, do not read, are down, or have names that lead nowhere. */
import { CELLS } from './ends.ts';
import { testCells } from './findings.ts';
import { nameBatches, runNames } from './names-run.ts';
import { outageBatches, runOutages, runStorm, stormBatches } from './outage-run.ts';
import { pressureBatches, runPressure } from './pressure-run.ts';
import { requiredBatches, runRequired } from './required-run.ts';

testCells({
  what: 'U16, who wants HTTP/1.1 is asked so, and from then on',
  // What an origin speaks it chooses by ALPN.
  cells: CELLS.filter(({ up }) => up.protocol === 'http2' && up.carrier === 'tls'),
  batchesOf: requiredBatches,
  run: (cases) => runRequired(cases),
});
testCells({
  what: 'U17, what an origin does not read waits at the client',
  cells: CELLS,
  batchesOf: pressureBatches,
  run: (cases) => runPressure(cases),
});
testCells({
  what: 'U18, who is down is told of at once, and asked again when it is up',
  cells: CELLS,
  batchesOf: outageBatches,
  run: (cases) => runOutages(cases),
});
testCells({
  what: 'U18, of requests that are all lost few are sent twice',
  cells: CELLS,
  batchesOf: stormBatches,
  run: (cases) => runStorm(cases),
});
testCells({
  what: 'U19, a name that leads nowhere is told so, and one that did is kept',
  cells: CELLS,
  batchesOf: nameBatches,
  run: (cases) => runNames(cases),
});
