/**
 * Loaded before each test file: the processes that a test starts write no coverage. Only what runs in the test's own process is counted, and a process that is ended while it writes its file
 * would leave half a one, which node:test cannot read: then the whole run has no figures, and has failed.
 */
import { ChildProcess } from 'node:child_process';

/** What `spawn` hands to libuv: not in Node's documentation, and left alone where it should be another thing one day. */
interface SpawnOptions {
  envPairs?: unknown;
}

// The process that runs the test files passes the setting on to them.
if (process.env['NODE_TEST_CONTEXT'] !== undefined) {
  const prototype = ChildProcess.prototype as unknown as { spawn: (this: unknown, options: SpawnOptions) => unknown };
  const { spawn } = prototype;
  prototype.spawn = function (options) {
    const { envPairs } = options;
    if (Array.isArray(envPairs)) options.envPairs = envPairs.filter((pair) => !String(pair).startsWith('NODE_V8_COVERAGE='));
    return spawn.call(this, options);
  };
}
