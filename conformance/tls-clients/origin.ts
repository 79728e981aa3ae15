/** The origin behind the proxies: Node's own HTTP over TLS, which says by which version it was asked. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { createSecureServer, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import { createServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { IssuedCertificate } from '@ferrata/dev-certificates';

/** The page, whose script asks for more and writes what it saw where `--dump-dom` shows it. */
const PAGE = `<!doctype html><title>a page</title><p id="seen">nothing yet</p><script>
(async () => {
  const upload = 'u'.repeat(300000);
  const echo = await (await fetch('/echo', { method: 'POST', body: upload })).text();
  const many = await Promise.all(Array.from({ length: 20 }, (_, index) => fetch('/number/' + index).then((answer) => answer.text())));
  const protocol = performance.getEntriesByType('navigation')[0].nextHopProtocol;
  document.getElementById('seen').textContent = ['SEEN', protocol, echo === upload, many.join('') === Array.from({ length: 20 }, (_, index) => String(index)).join('')].join(' ');
})().catch((error) => { document.getElementById('seen').textContent = 'FAILED ' + error; });
</script>
`;

/** An origin under way. */
export interface Origin {
  readonly port: number;
  close(): void;
}

/** Starts an origin that offers HTTP/2 and HTTP/1.1, or HTTP/1.1 only. */
export async function startTlsOrigin({ chain, key }: IssuedCertificate, offersHttp2: boolean): Promise<Origin> {
  const secure = { cert: chain, key };
  const server: Server = offersHttp2
    ? createSecureServer({ ...secure, allowHTTP1: true }, (request, response) => answer(request, response))
    : createServer(secure, (request, response) => answer(request, response));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function answer(request: IncomingMessage | Http2ServerRequest, response: ServerResponse | Http2ServerResponse): void {
  const path = request.url ?? '/';
  response.setHeader('x-origin-version', request.httpVersion);
  response.setHeader('x-forwarded-proto-seen', String(request.headers['x-forwarded-proto'] ?? 'none'));
  if (path === '/echo') {
    response.setHeader('content-type', 'application/octet-stream');
    request.on('data', (chunk: Buffer) => void (response as ServerResponse).write(chunk));
    request.on('end', () => response.end());
    return;
  }
  const number = /^\/number\/(\d+)$/.exec(path)?.[1];
  response.setHeader('content-type', number === undefined ? 'text/html; charset=utf-8' : 'text/plain');
  const body = number ?? PAGE;
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(body);
}
