/**
 * The watchdog: a worker thread that notices an execution that does not end. JavaScript cannot interrupt itself, so the fuzzer writes each
 * input into shared memory before it runs it; when the count of executions stands still too long, the worker saves that input, reports it
 * and ends the process.
 */
import { writeSync } from 'node:fs';
import { isMainThread, Worker, workerData } from 'node:worker_threads';
import { writeInput } from './corpus.ts';
import { base64, latin1Escaped } from './finding.ts';

/** Slots of the shared header: the executions so far, the length of the input that runs, and one that never changes, to wait on. */
const EXECUTIONS = 0;
const LENGTH = 1;
const NEVER = 2;
const HEADER_SLOTS = 3;
const HEADER_BYTES = 4 * HEADER_SLOTS;

/** What the worker needs to know. */
interface WatchdogData {
  readonly watchdogMemory: SharedArrayBuffer;
  readonly folder: string;
  readonly replay: string;
  readonly hangMs: number;
}

/** Options of `startWatchdog`. */
export interface WatchdogOptions {
  /** Where a hanging input is saved. */
  readonly folder: string;
  /** The command that replays a file, without the file. */
  readonly replay: string;
  /** The longest that one execution may take. */
  readonly hangMs: number;
  /** The longest input; of a longer one only the beginning is saved. */
  readonly maxLength: number;
}

/** Starts the watchdog. @returns what to call before each execution, and how to end it */
export function startWatchdog(options: WatchdogOptions): { onExecution(data: Uint8Array): void; stop(): Promise<void> } {
  const memory = new SharedArrayBuffer(HEADER_BYTES + Math.ceil(options.maxLength / 4) * 4);
  const header = new Int32Array(memory, 0, HEADER_SLOTS);
  const body = new Uint8Array(memory, HEADER_BYTES);
  const { folder, replay, hangMs } = options;
  const worker = new Worker(new URL(import.meta.url), {
    workerData: { watchdogMemory: memory, folder, replay, hangMs } satisfies WatchdogData,
  });
  worker.unref();
  let executions = 0;
  return {
    onExecution(data) {
      const length = Math.min(data.length, body.length);
      body.set(length === data.length ? data : data.subarray(0, length));
      header[LENGTH] = length;
      executions = (executions + 1) | 0;
      Atomics.store(header, EXECUTIONS, executions);
    },
    async stop() {
      await worker.terminate();
    },
  };
}

if (!isMainThread && isWatchdogData(workerData)) watch(workerData);

function isWatchdogData(data: unknown): data is WatchdogData {
  return typeof data === 'object' && data !== null && 'watchdogMemory' in data;
}

function watch({ watchdogMemory, folder, replay, hangMs }: WatchdogData): void {
  const header = new Int32Array(watchdogMemory, 0, HEADER_SLOTS);
  let seen = Atomics.load(header, EXECUTIONS);
  for (;;) {
    // Nobody ever notifies: this is a pause that needs no event loop.
    Atomics.wait(header, NEVER, 0, hangMs);
    const executions = Atomics.load(header, EXECUTIONS);
    if (executions !== seen || executions === 0) {
      seen = executions;
      continue;
    }
    const data = new Uint8Array(watchdogMemory, HEADER_BYTES, Atomics.load(header, LENGTH)).slice();
    const path = writeInput(folder, 'found', data);
    writeSync(
      2,
      `an execution did not end within ${hangMs} ms\n  latin1  ${latin1Escaped(data)}\n  base64  ${base64(data)}\n  replay  ${replay} ${path}\n`,
    );
    process.kill(process.pid, 'SIGKILL');
  }
}
