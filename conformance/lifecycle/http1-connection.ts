/**
 * A client's end of one HTTP/1.1 connection on a bare socket: written for this suite from RFC 9112, so that nothing of what is tested reads its own answers.
 *
 * It obeys `Connection: close`, and tells a connection that ended before an answer from one that ended inside it.
 */
import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { monotonicMs } from './monotonic.ts';
import { LoadFailure } from './tally.ts';

/** Where a server listens; with the certificate of its authority: by TLS. */
export type Endpoint =
  | { readonly port: number; readonly ca?: string; readonly host?: string }
  | { readonly path: string; readonly ca?: undefined };

/** An answer. */
export interface Http1Answer {
  readonly status: number;
  /** Names in lower case. */
  readonly fields: ReadonlyMap<string, string>;
  /** Empty if it went to `onBody`. */
  readonly body: Buffer;
}

/** A request as it is sent. */
export interface Http1Request {
  readonly bytes: Buffer;
  /** No answer in this time is a failure. */
  readonly timeoutMs: number;
  /** Takes pieces of the body instead of the answer. A promise holds the connection back until it is settled. */
  readonly onBody?: (chunk: Buffer) => Promise<void> | undefined;
}

/** Longer than a worker may be blocked in a handshake, or a server paused. */
const CONNECT_MS = 60_000;

/** @returns the ports of a connected socket, as `ClientEnd` has them; null: a Unix socket has none */
export function portsOf({ localPort, remotePort }: Socket): string | null {
  return localPort === undefined || remotePort === undefined ? null : `${localPort}>${remotePort}`;
}

/** Opens a socket. @throws {LoadFailure} when nobody accepts, or the handshake fails */
export async function openSocket(endpoint: Endpoint): Promise<Socket> {
  const openedAt = monotonicMs();
  return await new Promise((resolve, reject) => {
    const socket: Socket =
      'path' in endpoint
        ? connectTcp({ path: endpoint.path })
        : endpoint.ca === undefined
          ? connectTcp({ port: endpoint.port, host: endpoint.host ?? '127.0.0.1' })
          : connectTls({ port: endpoint.port, host: '127.0.0.1', ca: endpoint.ca, servername: 'localhost', ALPNProtocols: ['http/1.1'] });
    const timer = setTimeout(() => fail(new LoadFailure('no connection in time')), CONNECT_MS);
    let ports: string | null = null;
    socket.once('connect', () => {
      ports = portsOf(socket);
    });
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      socket.destroy();
      const code = (error as NodeJS.ErrnoException).code;
      reject(new LoadFailure(error instanceof LoadFailure ? error.reason : `connect ${code ?? String(error)}`, false, { ports, openedAt }));
    };
    socket.once('error', fail);
    socket.once(endpoint.ca === undefined ? 'connect' : 'secureConnect', () => {
      clearTimeout(timer);
      socket.off('error', fail);
      // Whoever uses it listens for `close`; what is wrong has been said by then.
      socket.on('error', () => undefined);
      socket.setNoDelay(true);
      resolve(socket);
    });
  });
}

/** One connection, one request at a time. */
export class Http1Connection {
  readonly socket: Socket;
  /** Who serves it, as the last answer has said. */
  servedBy: string | null = null;
  /** See `ClientEnd`. */
  readonly ports: string | null;
  /** See `ClientEnd`. */
  readonly openedAt: number;
  /** Another request may be sent. */
  isReusable = true;
  requestCount = 0;
  #unread: Buffer = Buffer.alloc(0);
  #isEnded = false;
  #wake: (() => void) | null = null;

  private constructor(socket: Socket, openedAt: number) {
    this.socket = socket;
    this.ports = portsOf(socket);
    this.openedAt = openedAt;
    socket.on('data', (chunk: Buffer) => {
      this.#unread = this.#unread.length === 0 ? chunk : Buffer.concat([this.#unread, chunk]);
      // Whoever reads the body slowly holds the server back by this.
      if (this.#unread.length > 65_536) socket.pause();
      this.#notify();
    });
    socket.on('end', () => this.#end());
    socket.on('close', () => this.#end());
  }

  static async open(endpoint: Endpoint): Promise<Http1Connection> {
    const openedAt = monotonicMs();
    return new Http1Connection(await openSocket(endpoint), openedAt);
  }

  /** Sends a request, and waits for the whole answer. @throws {LoadFailure} */
  async exchange({ bytes, timeoutMs, onBody }: Http1Request): Promise<Http1Answer> {
    const isReused = this.requestCount++ > 0;
    const timer = setTimeout(() => {
      this.#isLate = true;
      this.socket.destroy();
    }, timeoutMs);
    let hasBegun = false;
    try {
      if (this.#isEnded) throw new LoadFailure('closed while idle, without a word');
      this.socket.write(bytes);
      const { status, fields } = await this.#head();
      hasBegun = true;
      this.servedBy = fields.get('x-served-by') ?? null;
      const body = await this.#body(status, fields, onBody);
      if (fields.get('connection')?.toLowerCase() === 'close') {
        this.isReusable = false;
        this.socket.end();
      }
      return { status, fields, body };
    } catch (error) {
      this.isReusable = false;
      this.socket.destroy();
      if (this.#isLate) throw new LoadFailure(`no whole answer in ${timeoutMs} ms`, hasBegun);
      if (!(error instanceof Ended)) throw error;
      if (hasBegun) throw new LoadFailure('the connection ended inside an answer', true);
      throw new LoadFailure(`the connection ended before an answer${isReused ? ' (not the first)' : ''}`);
    } finally {
      clearTimeout(timer);
    }
  }

  close(): void {
    this.isReusable = false;
    this.socket.destroy();
  }

  #isLate = false;

  async #head(): Promise<{ readonly status: number; readonly fields: ReadonlyMap<string, string> }> {
    for (;;) {
      const text = await this.#line('\r\n\r\n');
      const [first = '', ...lines] = text.split('\r\n');
      const status = Number(/^HTTP\/1\.1 (\d{3})(?: |$)/.exec(first)?.[1] ?? Number.NaN);
      if (Number.isNaN(status)) throw new LoadFailure(`not an answer: ${JSON.stringify(first.slice(0, 40))}`);
      if (status >= 100 && status < 200) continue;
      const fields = new Map<string, string>();
      for (const line of lines) {
        const colon = line.indexOf(':');
        fields.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
      }
      return { status, fields };
    }
  }

  async #body(status: number, fields: ReadonlyMap<string, string>, onBody: Http1Request['onBody']): Promise<Buffer> {
    const pieces: Buffer[] = [];
    const take = async (length: number): Promise<void> => {
      for (let left = length; left > 0; ) {
        const piece = await this.#some(left);
        left -= piece.length;
        if (onBody === undefined) pieces.push(piece);
        else await onBody(piece);
      }
    };
    if (status === 204 || status === 304) return Buffer.alloc(0);
    if (fields.get('transfer-encoding')?.toLowerCase() === 'chunked') {
      for (;;) {
        const size = Number.parseInt(await this.#line('\r\n'), 16);
        if (!Number.isSafeInteger(size)) throw new LoadFailure('not a chunk', true);
        await take(size);
        await this.#line('\r\n');
        if (size === 0) break;
      }
    } else {
      await take(Number(fields.get('content-length') ?? Number.NaN));
    }
    return Buffer.concat(pieces);
  }

  /** Text up to a mark, which is taken too. */
  async #line(mark: string): Promise<string> {
    for (;;) {
      const at = this.#unread.indexOf(mark, 0, 'latin1');
      if (at >= 0) {
        const text = this.#unread.toString('latin1', 0, at);
        this.#unread = this.#unread.subarray(at + mark.length);
        return text;
      }
      await this.#more();
    }
  }

  async #some(most: number): Promise<Buffer> {
    while (this.#unread.length === 0) await this.#more();
    const piece = this.#unread.subarray(0, most);
    this.#unread = this.#unread.subarray(piece.length);
    return piece;
  }

  async #more(): Promise<void> {
    if (this.#isEnded) throw new Ended();
    this.socket.resume();
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  #end(): void {
    this.#isEnded = true;
    this.isReusable = false;
    this.#notify();
  }

  #notify(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }
}

/** The connection is at its end; what that means depends on how much of an answer was there. */
class Ended extends Error {}
