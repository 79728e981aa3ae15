/** Runs a program of Node with a limit of open files: `limited.ts PROGRAM LIMIT [ARGUMENT…]`. The shell becomes the program, so signals reach it. */
import { spawn } from 'node:child_process';

const [program = '', limit = '', ...rest] = process.argv.slice(2);
const child = spawn('sh', ['-c', `ulimit -n ${Number(limit)} && exec "$@"`, 'sh', process.execPath, program, ...rest], {
  stdio: 'inherit',
});
child.on('exit', (code) => process.exit(code ?? 1));
process.on('exit', () => child.kill('SIGKILL'));
process.on('SIGTERM', () => process.exit(143));
