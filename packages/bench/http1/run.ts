/**
 * `pnpm bench http1 [NAME…] [--quick] [--check]`: the HTTP/1 codec beside the parser of Node and llhttp in WebAssembly, one table.
 *
 * Figures come from the same run in the same process, all measured in turns; a ratio below 1 means that ours costs less. Times are CPU time.
 */
import { runRowBenches } from '../src/row-table.ts';
import { decoding } from './decoding.ts';
import { encoding } from './encoding.ts';

const benches = [decoding, encoding];
const names = benches.map(({ name }) => name).join(', ');

await runRowBenches({
  usage: `usage: pnpm bench http1 [NAME…] [--quick] [--check]

  NAME      one of ${names}; default: all of them
  --quick   only see that everything runs: the figures mean nothing
  --check   exit with 1 when a bar is missed`,
  heading: 'codec, operation',
  benches,
  describeUnknown: (unknown) => `no bench of the codec is called ${unknown.join(', ')}; there are: ${names}`,
});
