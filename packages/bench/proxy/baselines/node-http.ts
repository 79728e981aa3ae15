/** Baseline: what one writes by hand with node:http alone; streams both ways, hop-by-hop fields removed, X-Forwarded-* added. */

import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse, request as sendRequest } from 'node:http';
import { announceWhenListening, keepAliveAgent, keepIdleConnections, originOfCommandLine } from './serve.ts';

const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade'] as const;
const origin = originOfCommandLine();
const agent = keepAliveAgent();

const server = createServer((request, response) => {
  const headers = withoutHopByHop(request.headers);
  headers['x-forwarded-for'] = request.socket.remoteAddress;
  headers['x-forwarded-proto'] = 'http';
  headers['x-forwarded-host'] = request.headers.host;
  const { hostname, port } = origin;
  const upstream = sendRequest({ agent, hostname, port, method: request.method, path: request.url, headers }, (answer) =>
    passOn(answer, response),
  );
  upstream.on('error', () => fail(response));
  response.on('close', () => {
    if (!response.writableFinished) upstream.destroy();
  });
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  if (hasBody) request.pipe(upstream);
  else upstream.end();
});
keepIdleConnections(server);
announceWhenListening(server);

function passOn(answer: IncomingMessage, response: ServerResponse): void {
  response.writeHead(answer.statusCode ?? 502, withoutHopByHop(answer.headers));
  answer.on('error', () => fail(response));
  answer.pipe(response);
}

function fail(response: ServerResponse): void {
  if (response.headersSent) response.destroy();
  else response.writeHead(502).end();
}

function withoutHopByHop(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  const kept = { ...headers };
  for (const name of HOP_BY_HOP) delete kept[name];
  return kept;
}
