/** A server that sends each WebSocket message back: `--kind ferrata`, or `ws`. */
import { createServer } from 'node:http';
import { HttpServer, respond, type ServerExchangeHandler } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { acceptWebSocket } from '@ferrata/tunnel';
import { WebSocketServer } from 'ws';
import { announce, announceWhenListening } from '../../proxy/baselines/serve.ts';
import { readArguments } from './command-line.ts';

const { kind } = readArguments();
const followed: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

if (kind === 'ws') {
  const server = createServer((_request, response) => response.end());
  const sockets = new WebSocketServer({ server, perMessageDeflate: false });
  sockets.on('connection', (socket) => {
    socket.on('error', () => {});
    // Text becomes a string in either server, as a program would have it.
    socket.on('message', (data: Buffer, isBinary) => socket.send(isBinary ? data : data.toString()));
  });
  announceWhenListening(server);
} else {
  const server = new HttpServer({
    onRequest(exchange) {
      if (exchange.upgrade === null) {
        respond(exchange, 200);
        return followed;
      }
      const session = acceptWebSocket(exchange, {
        onText: (text) => void session?.sendText(text),
        onBinary: (bytes) => void session?.sendBinary(bytes),
        onClose() {},
      });
      session?.start();
      return followed;
    },
  });
  const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
  if (listener.address.kind === 'ip') announce(listener.address.port);
}
process.once('SIGTERM', () => process.exit(0));
