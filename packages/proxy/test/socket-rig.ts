/** A proxy on real sockets, and a client that only writes down what comes. */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import type { WireError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { listen } from '@ferrata/net';
import { HttpProxy, type Outcome, outcomeOf, type ProxyHooks } from '@ferrata/proxy';
import { peer } from '@ferrata/upstream';

export interface Running extends AsyncDisposable {
  readonly port: number;
  readonly outcomes: Outcome[];
  readonly errors: (WireError | null)[];
  readonly proxy: HttpProxy<null>;
}

export async function runProxy(originPort: number, hooks: Partial<ProxyHooks<null>> = {}): Promise<Running> {
  const environment = new HttpEnvironment();
  const to = peer(`127.0.0.1:${originPort}`);
  const outcomes: Outcome[] = [];
  const errors: (WireError | null)[] = [];
  const proxy = new HttpProxy<null>(
    {
      newContext: () => null,
      upstreamPeer: () => to,
      ...hooks,
      logging: (_session, error) => {
        errors.push(error);
        outcomes.push(outcomeOf(error));
      },
    },
    { environment },
  );
  const server = new HttpServer(proxy, { environment });
  const listener = await listen('127.0.0.1:0', (stream) => server.accept(stream));
  assert.equal(listener.address.kind, 'ip');
  return {
    port: listener.address.kind === 'ip' ? listener.address.port : 0,
    outcomes,
    errors,
    proxy,
    async [Symbol.asyncDispose]() {
      await listener.close();
      server.close();
      proxy.close();
    },
  };
}

/** Sends `request` and gives back all that comes until the end or a reset. */
export function exchange(port: number, request: string): Promise<{ text: string; wasReset: boolean }> {
  return new Promise((resolve) => {
    const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true });
    let text = '';
    let wasReset = false;
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => (wasReset = true));
    socket.on('end', () => socket.end());
    socket.on('close', () => resolve({ text, wasReset }));
    socket.write(request);
  });
}
