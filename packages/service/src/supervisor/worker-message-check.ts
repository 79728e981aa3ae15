/**
 * Whether what a worker has posted is a message of ours.
 *
 * The program has the same port (`parentPort` of `node:worker_threads`), and so has every library that it loads: what is not of the right shape is dropped, or one wrong
 * word of one worker would end the main thread, and all workers with it.
 */
import type { WorkerMessage } from './worker-messages.ts';

type Fields = Readonly<Record<string, unknown>>;

const checks: Readonly<Record<WorkerMessage['kind'], (message: Fields) => boolean>> = {
  up: ({ services }) => Array.isArray(services) && services.every(isText),
  started: ({ name }) => isText(name),
  startFailed: ({ name, why }) => isText(name) && isText(why),
  prepared: ({ version, why }) => isNumber(version) && (why === null || isText(why)),
  committed: ({ version }) => isNumber(version),
  counts: ({ id, counts, heapUsedBytes }) =>
    isNumber(id) && isNumber(heapUsedBytes) && isFields(counts) && Object.values(counts).every(isFields),
  // It goes on to the keeper as it is, and not all that a thread can post can leave the process.
  notice: ({ notice }) =>
    isFields(notice) &&
    isText(notice['text']) &&
    ['info', 'warning', 'error'].includes(notice['severity'] as string) &&
    Object.values(notice).every((value) => isText(value) || isNumber(value)),
  drained: ({ cut }) => isNumber(cut),
};

/** Total: never throws, whatever it is given. */
export function isWorkerMessage(message: unknown): message is WorkerMessage {
  if (!isFields(message) || !isText(message['kind']) || !Object.hasOwn(checks, message['kind'])) return false;
  return checks[message['kind'] as WorkerMessage['kind']](message);
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}

function isText(value: unknown): value is string {
  return typeof value === 'string';
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
