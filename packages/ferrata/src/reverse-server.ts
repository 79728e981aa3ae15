/**
 * `ferrata reverse` as a server on threads. This is the module that each worker thread runs again, so it imports what serves and not what reads command lines.
 *
 * In the process that was started and in the one that serves it is `run.ts` that calls; in a worker nobody does, and the module begins by itself.
 */
import { isMainThread, workerData } from 'node:worker_threads';
import { type ReadyListener, Server, type ServerOptions } from '@ferrata/service';
import type { ReverseConfig } from './reverse-config.ts';
import { reverseService, SECURE_LABEL, sharedPartsOf } from './reverse-service.ts';
import { formatUrl } from './urls.ts';

/** What a worker goes by; where there is a command line, it says more. */
const NAME = 'ferrata';

/**
 * Makes the server.
 *
 * @returns runs it until it is told to stop, and gives the exit code
 * @throws {RangeError} if an option is out of range
 */
export function reverseServer(options: ServerOptions<ReverseConfig>): () => Promise<number> {
  const server = new Server<ReverseConfig>({ name: NAME, ...options });
  server.addService(reverseService(sharedPartsOf(server)));
  return () => server.run(import.meta);
}

/** `https://127.0.0.1:8443` of a listener that is ready. */
export function urlOf({ listen, address }: ReadyListener): string {
  return formatUrl({ ...address, isSecure: listen.label === SECURE_LABEL });
}

if (!isMainThread && (workerData as { readonly ferrataService?: unknown } | null)?.ferrataService !== undefined) await reverseServer({})();
