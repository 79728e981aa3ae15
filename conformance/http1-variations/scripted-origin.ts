/**
 * An origin that sends what it is told, byte for byte: to `/r/N` the N-th case of responses. It notices a request on a connection that a case
 * has spoilt, which is the first half of every theft of a response.
 */
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { ResponseCase } from './response-case.ts';

/** What came in that should not have. */
export interface OriginProblems {
  /** Requests on connections that must not be used again, with the id of the case before. */
  readonly reuses: readonly string[];
  readonly malformed: readonly string[];
}

export class ScriptedOrigin {
  readonly #server: Server;
  readonly #cases: readonly ResponseCase[];
  readonly #sockets = new Set<Socket>();
  #reuses: string[] = [];
  #malformed: string[] = [];

  private constructor(server: Server, cases: readonly ResponseCase[]) {
    this.#server = server;
    this.#cases = cases;
    server.on('connection', (socket) => this.#serve(socket));
  }

  static async listen(cases: readonly ResponseCase[]): Promise<ScriptedOrigin> {
    const server = createServer({ allowHalfOpen: true });
    const origin = new ScriptedOrigin(server, cases);
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    return origin;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes what came in that should not have. */
  take(): OriginProblems {
    const problems = { reuses: this.#reuses, malformed: this.#malformed };
    this.#reuses = [];
    this.#malformed = [];
    return problems;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #serve(socket: Socket): void {
    let text = '';
    let spoiltBy: string | null = null;
    this.#sockets.add(socket);
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('end', () => socket.end());
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      for (;;) {
        const end = text.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = text.slice(0, end);
        text = text.slice(end + 4);
        const index = /^[A-Z]+ \/r\/(\d+) HTTP\/1\.1\r\n/.exec(head)?.[1];
        const one = index === undefined ? undefined : this.#cases[Number(index)];
        if (one === undefined) {
          this.#malformed.push(JSON.stringify(head.slice(0, 80)));
          socket.destroy();
          return;
        }
        if (spoiltBy !== null) this.#reuses.push(`${one.id} came on a connection that ${spoiltBy} has spoilt`);
        if (one.ending !== 'reusable') spoiltBy = one.id;
        if (one.isEnded) socket.end(one.raw, 'latin1');
        else socket.write(one.raw, 'latin1');
      }
    });
  }
}
