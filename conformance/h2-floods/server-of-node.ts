/**
 * A server on Node's own modules, as a process of its own: HTTP/2 or HTTP/1, as its argument says. It is the origin behind the proxies under
 * attack, and, because nghttp2 has guards of its own, what the attacks themselves are tried on.
 */
import { createServer as createHttp1, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { BIG_BYTES, BIG_PIECE_BYTES, reportTo } from './behaviour.ts';

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

let begun = 0;
let closed = 0;
const sockets = new Set<Socket>();

const isHttp1 = process.argv[2] === 'http1';
// A proxy puts the requests of many clients on few connections: an origin must allow for that.
const server = isHttp1 ? createHttp1(answer) : createHttp2({ settings: { maxConcurrentStreams: 1000 } }, answer);
server.setTimeout(0);
server.on('connection', (socket: Socket) => {
  sockets.add(socket);
  socket.on('error', () => undefined);
  socket.on('close', () => sockets.delete(socket));
});
server.on('sessionError', () => undefined);
server.on('clientError', (_error: Error, socket: Socket) => socket.destroy());
// What an attack does to a server of somebody else's is no concern of this suite.
process.on('uncaughtException', () => undefined);
server.listen(0, '127.0.0.1', () =>
  reportTo(process, (server.address() as AddressInfo).port, () => ({ begun, closed, connections: sockets.size })),
);

function answer(request: Request, response: Response): void {
  begun++;
  response.on('close', () => closed++);
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  switch (request.url) {
    case '/wait':
      request.resume();
      break;
    case '/stuck':
      request.pause();
      break;
    case '/read': {
      let received = 0;
      request.on('data', (chunk: Uint8Array) => {
        received += chunk.length;
      });
      request.on('end', () => response.end(String(received)));
      break;
    }
    case '/big':
      response.setHeader('content-length', BIG_BYTES);
      writeBig(response);
      break;
    case '/token':
      response.end(String(request.headers['x-token'] ?? ''));
      break;
    default:
      response.end('ok');
  }
}

function writeBig(response: Response): void {
  let left = BIG_BYTES;
  const write = (): void => {
    while (left > 0) {
      const size = Math.min(BIG_PIECE_BYTES, left);
      left -= size;
      if (left === 0) response.end(Buffer.alloc(size));
      else if (!(response as ServerResponse).write(Buffer.alloc(size))) {
        response.once('drain', write);
        return;
      }
    }
  };
  write();
}
