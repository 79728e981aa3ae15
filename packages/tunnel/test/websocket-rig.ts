/** WebSocket servers and clients of ours, with everything they say written down. */
import { ByteWriter } from '@ferrata/bytes';
import {
  type ClientSession,
  Http1ClientSession,
  HttpEnvironment,
  HttpServer,
  resolveHttp1ClientOptions,
  respond,
  type ServerExchange,
  type ServerExchangeHandler,
} from '@ferrata/http';
import { connect, type Listener, listen } from '@ferrata/net';
import {
  type AcceptWebSocketOptions,
  acceptWebSocket,
  isWebSocketRequest,
  type WebSocketClose,
  type WebSocketHandler,
  type WebSocketSession,
} from '@ferrata/tunnel';
import { type DeflateParameters, Opcode, writeFrame } from '@ferrata/websocket';

/** What both sides of a handshake have agreed on: windows are kept, and as large as can be. */
export const KEPT_WINDOWS: DeflateParameters = {
  serverNoContextTakeover: false,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 15,
};

/** A whole frame of a client. */
export function frame(opcode: Opcode, payload: Uint8Array = new Uint8Array(0)): Uint8Array {
  const writer = new ByteWriter();
  writeFrame(writer, { opcode, key: 0x0102_0304 }, payload);
  return writer.take().slice();
}

/** Close 1000, of a client. */
export const CLOSE = frame(Opcode.close, Uint8Array.of(3, 232));

/** What became of one session. */
export class Log implements WebSocketHandler {
  readonly lines: string[] = [];
  readonly closed: Promise<WebSocketClose>;
  #tellClosed: (close: WebSocketClose) => void = () => {};
  readonly #waiting: (() => void)[] = [];

  constructor() {
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
  }

  /** Waits until so many lines are there. */
  async has(count: number): Promise<void> {
    while (this.lines.length < count) await new Promise<void>((resolve) => void this.#waiting.push(resolve));
  }

  note(line: string): void {
    this.lines.push(line);
    for (const resume of this.#waiting.splice(0)) resume();
  }

  onText(text: string): void {
    this.note(`text ${text.length > 100 ? text.length : text}`);
  }
  onBinary(bytes: Uint8Array): void {
    this.note(`binary ${bytes.length}`);
  }
  onPing(payload: Uint8Array): void {
    this.note(`ping ${payload.length}`);
  }
  onPong(payload: Uint8Array): void {
    this.note(`pong ${payload.length}`);
  }
  onDrain(): void {
    this.note('drain');
  }
  onClose(close: WebSocketClose): void {
    this.note(`close ${close.code} ${close.error?.reason ?? 'null'}`);
    this.#tellClosed(close);
  }
}

const ignores: ServerExchangeHandler = {
  onRequestData: () => {},
  onRequestEnd: () => {},
  onResponseDrain: () => {},
  onExchangeClose: () => {},
};

/** A server on loopback that gives each WebSocket connection to `serve`, and answers 200 to anything else. */
export class WebSocketServerRig implements AsyncDisposable {
  readonly environment = new HttpEnvironment();
  readonly server: HttpServer;
  readonly listener: Listener;
  readonly exchangesClosed: string[] = [];

  private constructor(server: HttpServer, listener: Listener) {
    this.server = server;
    this.listener = listener;
  }

  static async start(
    serve: (exchange: ServerExchange) => WebSocketSession | null,
    http2: { readonly extendedConnect?: boolean } = {},
  ): Promise<WebSocketServerRig> {
    const server = new HttpServer(
      {
        onRequest(exchange) {
          if (isWebSocketRequest(exchange)) serve(exchange)?.start();
          else respond(exchange, 200, { body: 'plain' });
          return ignores;
        },
      },
      { http2 },
    );
    return new WebSocketServerRig(server, await listen({ port: 0, host: '127.0.0.1' }, (stream) => server.accept(stream)));
  }

  /** A server that echoes every message. */
  static echo(
    log: Log,
    options: AcceptWebSocketOptions = {},
    http2: { readonly extendedConnect?: boolean } = {},
  ): Promise<WebSocketServerRig> {
    return WebSocketServerRig.start((exchange) => {
      const session: WebSocketSession | null = acceptWebSocket(
        exchange,
        {
          onText: (text) => {
            log.onText(text);
            session?.sendText(text);
          },
          onBinary: (bytes) => {
            log.onBinary(bytes);
            session?.sendBinary(bytes);
          },
          onPing: (payload) => log.onPing(payload),
          onClose: (close) => log.onClose(close),
        },
        options,
      );
      return session;
    }, http2);
  }

  get port(): number {
    const { address } = this.listener;
    return address.kind === 'ip' ? address.port : 0;
  }

  /** A client session of HTTP/1 to it. */
  session(): Promise<ClientSession> {
    return http1Session(this.port, this.environment);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.listener.close();
    this.server.close();
  }
}

export async function http1Session(port: number, environment: HttpEnvironment): Promise<ClientSession> {
  const stream = await connect({ host: '127.0.0.1', port });
  const session = new Http1ClientSession(stream, environment, resolveHttp1ClientOptions(), {
    onSessionIdle: () => {},
    onSessionClose: () => {},
  });
  session.start();
  return session;
}
