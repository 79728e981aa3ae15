/** `pnpm fix [PATH…]`: formats, sorts imports, and applies the safe fixes of the linter. What it cannot mend it prints. */
import { runOnTerminal } from './process.ts';

const paths = process.argv.slice(2);
const lint = await runOnTerminal('oxlint', ['--fix', ...paths]);
const format = await runOnTerminal('biome', ['check', '--write', ...(paths.length === 0 ? ['.'] : paths)]);
process.exitCode = lint === 0 && format === 0 ? 0 : 1;
