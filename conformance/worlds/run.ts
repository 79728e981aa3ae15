/** The door of a suite that stands with the worlds it runs, in the tests of `proxy`: nothing is imported across packages but by their names. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const suite = fileURLToPath(new URL('../../packages/proxy/test/many-worlds/run.ts', import.meta.url));
const { status } = spawnSync(process.execPath, [suite, ...process.argv.slice(2)], { stdio: 'inherit' });
process.exitCode = status ?? 1;
