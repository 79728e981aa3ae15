/** The way into a proxy as a listener has it: the PROXY header, TLS, and then the server. */
import { type AcceptProxyOptions, type Listener, listenTo } from '@ferrata/net';
import type { L4Stream, StreamAddress } from '@ferrata/stream';
import { bare } from './carriers.ts';
import { type ClientEnd, clientEnd } from './client-end.ts';
import type { MatrixWorld } from './matrix-world.ts';

/** Where clients come from unless it is said otherwise. */
const CLIENT: StreamAddress = { kind: 'ip', host: '10.1.0.1', port: 1_024 };

export class Door {
  readonly listener: Listener;
  readonly #world: MatrixWorld;
  readonly #come: L4Stream[] = [];
  #wake: (() => void) | null = null;
  #isClosed = false;

  constructor(world: MatrixWorld, proxyProtocol?: AcceptProxyOptions) {
    const { carriers, clock, cell, server } = world;
    this.#world = world;
    const onStream = (stream: L4Stream): void => server.accept(stream);
    this.listener = listenTo(this.#streams(), onStream, {
      clock,
      ...(cell.down.carrier === 'tls' ? { tls: carriers.server(cell.down.protocol) } : {}),
      ...(proxyProtocol === undefined ? {} : { proxyProtocol: { ...proxyProtocol, clock } }),
    });
  }

  /** A connection on which nothing has been said. */
  connect(from: StreamAddress = CLIENT): L4Stream {
    const { carriers, cell } = this.#world;
    return carriers.toDoor(cell.down.carrier, from, (stream) => {
      this.#come.push(stream);
      this.#wake?.();
    });
  }

  /** What a client makes of a connection. @throws {WireError} rejects with why TLS failed */
  async client(line: L4Stream): Promise<ClientEnd> {
    const { carriers, cell } = this.#world;
    const outer = cell.down.carrier === 'tls' ? await carriers.secure(line, cell.down.protocol) : bare(line);
    const client = clientEnd(cell.down.protocol, outer);
    this.#world.clients.push(client);
    return client;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#wake?.();
    await this.listener.close();
  }

  async *#streams(): AsyncGenerator<L4Stream> {
    while (!this.#isClosed) {
      yield* this.#come.splice(0);
      if (this.#come.length > 0) continue;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}
