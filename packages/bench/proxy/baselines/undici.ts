/** Baseline: node:http in front, undici's dispatch behind; the least that undici does for a request. */

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Dispatcher, Pool } from 'undici';
import { announceWhenListening, keepIdleConnections, originOfCommandLine } from './serve.ts';

const HOP_BY_HOP: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade']);
const pool = new Pool(originOfCommandLine().origin, { connections: 256, pipelining: 1 });

/** Passes one response on. */
class ResponseRelay implements Dispatcher.DispatchHandler {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#response.on('drain', () => controller.resume());
    this.#response.on('close', () => {
      if (!this.#response.writableFinished) controller.abort(new Error('the client is gone'));
    });
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Record<string, string | string[]>): void {
    for (const name of HOP_BY_HOP) delete headers[name];
    this.#response.writeHead(status, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy();
    else this.#response.writeHead(502).end();
  }
}

const server = createServer((request, response) => {
  const headers = forwardedHeaders(request);
  const hasBody = request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined;
  const method = request.method ?? 'GET';
  pool.dispatch({ method, path: request.url ?? '/', headers, body: hasBody ? request : null }, new ResponseRelay(response));
});
keepIdleConnections(server);
announceWhenListening(server);

function forwardedHeaders(request: IncomingMessage): string[] {
  const headers: string[] = [];
  for (let index = 0; index < request.rawHeaders.length; index += 2) {
    const name = request.rawHeaders[index] ?? '';
    if (!HOP_BY_HOP.has(name.toLowerCase())) headers.push(name, request.rawHeaders[index + 1] ?? '');
  }
  const { remoteAddress = '' } = request.socket;
  headers.push('X-Forwarded-For', remoteAddress, 'X-Forwarded-Proto', 'http', 'X-Forwarded-Host', request.headers.host ?? '');
  return headers;
}
