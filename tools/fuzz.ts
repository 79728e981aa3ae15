/** `pnpm fuzz TARGET --minutes N`: hands over to fuzz/run.ts; without a target it lists what there is. */
import { join } from 'node:path';
import { runOnTerminal } from './process.ts';
import { root } from './workspace.ts';

const args = process.argv.slice(2);
process.exitCode = await runOnTerminal(process.execPath, [join(root, 'fuzz', 'run.ts'), ...(args.length === 0 ? ['--list'] : args)]);
