/** A real event loop that stands still for longer than a time-out, while the client, on another thread, goes on: who has said something in time is not given up. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { test } from 'node:test';
import { Worker } from 'node:worker_threads';
import { HttpServer, type HttpServerOptions, respond, type ServerExchange } from '@ferrata/http';
import { streamOf } from './socket-stream.ts';

/** Longer than the time-outs of the tests. */
const BLOCK_MS = 1_200;
const TIMEOUT_MS = 1_000;
/** However slow the machine is, the loop does not stand still for ever. */
const LONGEST_BLOCK_MS = 20_000;
const [STOPPED, SAID] = [0, 1];

interface End {
  readonly kind: 'end';
  /** All that the client has read. */
  readonly received: string;
}

/** A server and a client thread. */
class Rig {
  readonly flags = new Int32Array(new SharedArrayBuffer(8));
  readonly exchanges: ServerExchange[] = [];
  readonly reasons: (string | null)[] = [];
  onExchange: (exchange: ServerExchange) => void = () => {};
  onSocket: (socket: Socket) => void = () => {};
  readonly #server: HttpServer;
  readonly #listener = createServer((socket) => {
    this.onSocket(socket);
    this.#server.accept(streamOf(socket));
  });

  constructor(options: HttpServerOptions) {
    this.#server = new HttpServer(
      {
        onRequest: (exchange) => {
          this.exchanges.push(exchange);
          this.onExchange(exchange);
          return {
            onRequestData() {},
            onRequestEnd() {},
            onResponseDrain() {},
            onExchangeClose: (error) => void this.reasons.push(error === null ? null : error.reason),
          };
        },
      },
      options,
    );
  }

  async start(protocol: 'http1' | 'http2'): Promise<Worker> {
    this.#listener.listen(0, '127.0.0.1');
    await once(this.#listener, 'listening');
    const { port } = this.#listener.address() as AddressInfo;
    return new Worker(new URL('./fixtures/client-thread.ts', import.meta.url), { workerData: { port, protocol, flags: this.flags } });
  }

  /** The loop stands still until the time is over, and the client has said what it has to say. */
  block(): void {
    const start = performance.now();
    Atomics.store(this.flags, STOPPED, 1);
    Atomics.notify(this.flags, STOPPED);
    for (;;) {
      const passed = performance.now() - start;
      const isSaid = Atomics.load(this.flags, SAID) === 1;
      if (passed > LONGEST_BLOCK_MS || (passed > BLOCK_MS && isSaid)) return;
      Atomics.wait(this.flags, SAID, isSaid ? 1 : 0, 20);
    }
  }

  async close(client: Worker): Promise<void> {
    this.#server.close();
    this.#listener.close();
    await client.terminate();
  }
}

async function endOf(client: Worker): Promise<End> {
  for (;;) {
    const [message] = (await once(client, 'message')) as [End | { readonly kind: 'answered' }];
    if (message.kind === 'end') return message;
  }
}

test('a request that came on a kept connection while the loop stood still is answered, though the idle time passed in the block', async () => {
  const rig = new Rig({ connection: { idleTimeoutMs: TIMEOUT_MS } });
  rig.onExchange = (exchange) => respond(exchange, 200, { body: `for ${exchange.request.target}` });
  const client = await rig.start('http1');
  try {
    await once(client, 'message');
    rig.block();
    const { received } = await endOf(client);
    assert.match(received, /for \/1/);
    assert.match(received, /for \/2$/);
    assert.deepEqual(rig.reasons, [null, null]);
  } finally {
    await rig.close(client);
  }
});

test('a client whose answer to a PING came while the loop stood still is not taken for dead', async () => {
  const rig = new Rig({ http2: { connection: { pingIntervalMs: 200, pingTimeoutMs: TIMEOUT_MS } } });
  let hasBlocked = false;
  rig.onSocket = (socket) => {
    const write = socket.write.bind(socket);
    socket.write = (chunk: Uint8Array, ...rest: never[]): boolean => {
      // Our PING, alone: a frame of 8 bytes of type 6, without ACK.
      if (chunk.length === 17 && chunk[3] === 6 && chunk[4] === 0 && !hasBlocked) {
        hasBlocked = true;
        setImmediate(() => {
          rig.block();
          // Later than all that the block has made due.
          setTimeout(() => respond(rig.exchanges[0] as ServerExchange, 200, { body: 'alive' }), 300);
        });
      }
      return write(chunk, ...rest);
    };
  };
  const client = await rig.start('http2');
  try {
    const { received } = await endOf(client);
    assert.equal(hasBlocked, true);
    assert.equal(received, 'alive');
    assert.deepEqual(rig.reasons, [null]);
  } finally {
    await rig.close(client);
  }
});
