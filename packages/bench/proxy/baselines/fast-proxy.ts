/** Baseline: fast-proxy in its undici mode, the faster of its two. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { announceWhenListening, keepIdleConnections, originOfCommandLine } from './serve.ts';

/** The part of fast-proxy used here. */
type FastProxyModule = (options: { base: string; undici: { connections: number; pipelining: number } }) => {
  proxy(request: IncomingMessage, response: ServerResponse, source: string, options: object): void;
};

const fastProxy = createRequire(import.meta.url)('fast-proxy') as FastProxyModule;

const gateway = fastProxy({ base: originOfCommandLine().href, undici: { connections: 256, pipelining: 1 } });
const server = createServer((request, response) => gateway.proxy(request, response, request.url ?? '/', {}));
keepIdleConnections(server);
announceWhenListening(server);
