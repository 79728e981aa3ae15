/** Baseline: http-proxy with a keep-alive agent, the way its users make it fast. */

import { type Agent, createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createRequire } from 'node:module';
import { announceWhenListening, keepAliveAgent, keepIdleConnections, originOfCommandLine } from './serve.ts';

/** The part of http-proxy used here; the package brings no types. */
interface HttpProxyModule {
  createProxyServer(options: { target: string; agent: Agent; xfwd: boolean }): {
    web(request: IncomingMessage, response: ServerResponse): void;
    on(event: 'error', listener: (error: Error, request: IncomingMessage, response: ServerResponse) => void): void;
  };
}

const httpProxy = createRequire(import.meta.url)('http-proxy') as HttpProxyModule;

const proxy = httpProxy.createProxyServer({ target: originOfCommandLine().href, agent: keepAliveAgent(), xfwd: true });
proxy.on('error', (_error, _request, response) => {
  if (response.headersSent) response.destroy();
  else response.writeHead(502).end();
});
const server = createServer((request, response) => proxy.web(request, response));
keepIdleConnections(server);
announceWhenListening(server);
