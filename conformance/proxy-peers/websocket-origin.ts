/** An origin of npm's `ws`: echoes, and ends or refuses as the path says. What becomes of each socket can be asked for by its token. */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Certificates } from './stage.ts';

/** How a socket ended, as one side sees it. */
export interface SocketEnd {
  readonly code: number;
  readonly reason: string;
}

/** What the origin says when it refuses. */
export const REFUSAL_BODY = 'you may not';

/** The frame that is glued to the 101 of `/glued`. */
export const GLUED_TEXT = 'glued to the head';

/** RFC 6455 §1.3. */
const KEY_SUFFIX = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

/** The origin. */
export class WebSocketOrigin {
  readonly #server: Server;
  readonly #plain = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    maxPayload: 64 << 20,
    handleProtocols: () => 'second',
  });
  readonly #deflating = new WebSocketServer({ noServer: true, perMessageDeflate: { threshold: 0 }, maxPayload: 64 << 20 });
  readonly #connections = new Set<Socket>();
  readonly #ends = new Map<string, SocketEnd>();
  readonly #waiting = new Map<string, (end: SocketEnd) => void>();
  readonly #pongs = new Map<string, string[]>();

  private constructor(tls: Certificates | null) {
    const server = tls === null ? createServer() : createSecureServer({ cert: tls.server.chain, key: tls.server.key });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => this.#upgrade(request, socket, head));
    server.on('connection', (socket: Socket) => {
      this.#connections.add(socket);
      socket.on('error', () => undefined).once('close', () => this.#connections.delete(socket));
    });
    this.#server = server;
  }

  static async start(tls: Certificates | null): Promise<WebSocketOrigin> {
    const origin = new WebSocketOrigin(tls);
    await new Promise<void>((resolve) => origin.#server.listen(0, '127.0.0.1', resolve));
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get connectionCount(): number {
    return this.#connections.size;
  }

  /** How the socket with this token ended, once it has. */
  async endOf(token: string): Promise<SocketEnd> {
    return this.#ends.get(token) ?? (await new Promise((resolve) => this.#waiting.set(token, resolve)));
  }

  /** The payloads of the pongs that it had. */
  pongsOf(token: string): readonly string[] {
    return this.#pongs.get(token) ?? [];
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'http://origin');
    const token = searchParams.get('token') ?? '';
    socket.on('error', () => undefined);
    if (pathname.startsWith('/refuse/')) {
      socket.end(
        `HTTP/1.1 ${pathname.slice(8)} Refused\r\nX-Why: because\r\nContent-Type: text/plain\r\nContent-Length: ${REFUSAL_BODY.length}\r\n\r\n${REFUSAL_BODY}`,
      );
      return;
    }
    if (pathname === '/glued') {
      const accept = createHash('sha1')
        .update(`${request.headers['sec-websocket-key'] ?? ''}${KEY_SUFFIX}`)
        .digest('base64');
      const answer = `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`;
      // One write: a text frame, and the end behind it.
      socket.write(
        Buffer.concat([Buffer.from(answer), Buffer.from([0x81, GLUED_TEXT.length]), Buffer.from(GLUED_TEXT), Buffer.from([0x88, 0])]),
      );
      // What comes then is the client's Close.
      socket.once('data', () => socket.end());
      return;
    }
    const server = pathname === '/deflate' ? this.#deflating : this.#plain;
    server.handleUpgrade(request, socket, head, (webSocket) => this.#serve(webSocket, pathname, token));
  }

  #serve(socket: WebSocket, path: string, token: string): void {
    socket.on('error', () => undefined);
    socket.on('close', (code, reason) => {
      const end = { code, reason: reason.toString() };
      this.#ends.set(token, end);
      this.#waiting.get(token)?.(end);
    });
    socket.on('pong', (payload) => this.#pongs.set(token, [...(this.#pongs.get(token) ?? []), payload.toString()]));
    socket.on('message', (data: Buffer, isBinary) => {
      if (path === '/close') socket.close(4_001, 'enough of this');
      else if (path === '/abort') socket.terminate();
      else if (path === '/ping') socket.ping(data, undefined, () => socket.send('pinged'));
      else socket.send(data, { binary: isBinary });
    });
  }
}
