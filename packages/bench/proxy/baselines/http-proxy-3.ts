/** Baseline: http-proxy-3, the fork of http-proxy that is maintained, with a keep-alive agent; over TLS with `--certificates`. */

import { createServer, type RequestListener, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { createProxyServer } from 'http-proxy-3';
import { announceWhenListening, identityOfCommandLine, keepAliveAgent, keepIdleConnections, originOfCommandLine } from './serve.ts';

const proxy = createProxyServer({ target: originOfCommandLine().href, agent: keepAliveAgent(), xfwd: true });
proxy.on('error', (_error, _request, response) => {
  if (!(response instanceof ServerResponse) || response.headersSent) response.destroy();
  else response.writeHead(502).end();
});
const onRequest: RequestListener = (request, response) => proxy.web(request, response);
const identity = identityOfCommandLine();
const server = identity === null ? createServer(onRequest) : createTlsServer(identity, onRequest);
keepIdleConnections(server);
announceWhenListening(server, identity === null ? 'http' : 'https');
