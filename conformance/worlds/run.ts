/** The door of a suite that stands with the worlds it runs, in the tests of `proxy`: nothing is imported across packages but by their names. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { killOnExit } from '../rig/clean-up.ts';

const suite = fileURLToPath(new URL('../../packages/proxy/test/many-worlds/run.ts', import.meta.url));
const child = spawn(process.execPath, [suite, ...process.argv.slice(2)], { stdio: 'inherit' });
killOnExit(child);
const [code] = (await once(child, 'exit')) as [number | null];
process.exitCode = code ?? 1;
