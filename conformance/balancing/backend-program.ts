/**
 * A backend as a process of its own, which can be killed: `node backend-program.ts PORT`, 0 for any. It says by messages on which port it listens since when, and, asked by any message, how many
 * requests it has had and when the first one came.
 */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What it tells. Times since 1970, ms. */
export interface BackendWord {
  readonly port: number;
  readonly listensSince: number;
  readonly requests: number;
  /** Null: none came. */
  readonly firstAt: number | null;
}

if (import.meta.main) {
  let requests = 0;
  let firstAt: number | null = null;
  const server = createServer((_request, response) => {
    requests++;
    firstAt ??= Date.now();
    setTimeout(() => response.end('served'), 2);
  }).listen(Number(process.argv[2] ?? 0), '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const listensSince = Date.now();
  const tell = (): void => void process.send?.({ port, listensSince, requests, firstAt } satisfies BackendWord);
  process.on('message', tell);
  // Nobody is left to serve.
  process.on('disconnect', () => process.exit());
  tell();
}
