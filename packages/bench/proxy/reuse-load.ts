/**
 * The loads under which the reuse of upstream connections is counted: a number of requests that is the same for every proxy, however fast it is.
 *
 * Requests are bare GETs over sockets of Node's own; of an answer only its end is looked for.
 */

import { connect, type Socket } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { seededRandom } from '@ferrata/clock';

/** How a load is made. */
export interface ReuseLoad {
  readonly name: string;
  /** What it is, in the words of the table's legend. */
  readonly note: string;
  /** Sends it to a proxy, and fulfils when all is answered. @returns how many requests there were @throws {Error} when one is not answered with 200 */
  run(port: number, path: string): Promise<number>;
}

/** How long an answer may take. */
const ANSWER_MS = 20_000;

/** A client that asks one thing at a time, over a connection that is kept; when the proxy has closed it in order, over another one. */
export class KeptClient {
  readonly #port: number;
  readonly #request: string;
  #socket: Socket | null = null;
  #received = '';
  #settle: { resolve: () => void; reject: (error: Error) => void } | null = null;

  constructor(port: number, path: string, isLast = false) {
    this.#port = port;
    this.#request = `GET ${path} HTTP/1.1\r\nHost: reuse\r\n${isLast ? 'Connection: close\r\n' : ''}\r\n`;
  }

  /** Asks once. */
  ask(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
      this.#socket ??= this.#connect();
      this.#socket.write(this.#request);
    });
  }

  close(): void {
    this.#socket?.destroy();
    this.#socket = null;
  }

  #connect(): Socket {
    const socket = connect(this.#port, '127.0.0.1').setNoDelay().setEncoding('latin1');
    socket.setTimeout(ANSWER_MS, () => socket.destroy(new Error('no answer')));
    socket.on('data', (text: string) => this.#onData(text));
    socket.on('error', (error) => this.#fail(error));
    socket.on('close', () => {
      if (socket === this.#socket) this.#fail(new Error('the connection was closed before the answer'));
    });
    return socket;
  }

  #onData(text: string): void {
    this.#received += text;
    const headLength = this.#received.indexOf('\r\n\r\n');
    if (headLength < 0) return;
    const head = this.#received.slice(0, headLength);
    const bodyLength = Number(/^content-length: *(\d+)/im.exec(head)?.[1] ?? Number.NaN);
    if (!head.startsWith('HTTP/1.1 200') || Number.isNaN(bodyLength)) {
      this.#fail(new Error(`answered with ${head.split('\r\n')[0] ?? ''}`));
      return;
    }
    if (this.#received.length < headLength + 4 + bodyLength) return;
    this.#received = '';
    // After so many requests a proxy asks for another connection.
    if (/^connection: *close/im.test(head)) this.close();
    const settle = this.#settle;
    this.#settle = null;
    settle?.resolve();
  }

  #fail(error: Error): void {
    this.close();
    const settle = this.#settle;
    this.#settle = null;
    settle?.reject(error);
  }
}

/** So many clients, each with its next request as soon as the last one is answered. */
export function closedLoop(clients: number, requests: number): ReuseLoad {
  return {
    name: `keep-alive ${clients}`,
    note: `${clients} clients over kept connections, each asks again as soon as it is answered`,
    async run(port, path) {
      const all = Array.from({ length: clients }, () => new KeptClient(port, path));
      let left = requests;
      try {
        await Promise.all(
          all.map(async (client) => {
            while (left-- > 0) await client.ask();
          }),
        );
      } finally {
        for (const client of all) client.close();
      }
      return requests;
    },
  };
}

/** Bursts at fixed times, whatever is answered meanwhile, and gaps between them; the times and sizes are the same for every proxy. */
export function bursts(clients: number, count: number, maxGapMs: number): ReuseLoad {
  return {
    name: 'bursts',
    note: `${count} bursts of 1 to ${clients} requests at once over ${clients} kept connections, up to ${maxGapMs} ms apart`,
    async run(port, path) {
      const random = seededRandom(7);
      const all = Array.from({ length: clients }, () => new KeptClient(port, path));
      let requests = 0;
      try {
        for (let burst = 0; burst < count; burst++) {
          const size = 1 + Math.floor(random.next() * clients);
          const first = Math.floor(random.next() * clients);
          const gap = delay(random.next() * maxGapMs);
          // Each client's answer comes long before its next turn; if it does not, the load waits for it.
          await Promise.all(Array.from({ length: size }, (_, index) => (all[(first + index) % clients] as KeptClient).ask()));
          requests += size;
          await gap;
        }
      } finally {
        for (const client of all) client.close();
      }
      return requests;
    },
  };
}

/** Each request over a connection of its own. */
export function freshConnections(atOnce: number, requests: number): ReuseLoad {
  return {
    name: `fresh ${atOnce}`,
    note: `each request over a client connection of its own, ${atOnce} at once`,
    async run(port, path) {
      let left = requests;
      await Promise.all(
        Array.from({ length: atOnce }, async () => {
          while (left-- > 0) {
            const client = new KeptClient(port, path, true);
            try {
              await client.ask();
            } finally {
              client.close();
            }
          }
        }),
      );
      return requests;
    },
  };
}

/** All loads, in the order of the table. */
export const REUSE_LOADS: readonly ReuseLoad[] = [
  // More than 1 000 a connection, after which many proxies make another one.
  closedLoop(16, 24_000),
  closedLoop(64, 12_000),
  bursts(64, 80, 120),
  freshConnections(16, 3_000),
];
