/** What the tests of questions by HTTP share: servers on loopback that close with their test, and the error that a promise rejects with. */
import assert from 'node:assert/strict';
import type { AddressInfo, Server, Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { isWireError, type WireError } from '@ferrata/error';
import type { NetAddress } from '@ferrata/net';

/** A server that listens, and who is connected to it. */
export interface Listening {
  readonly address: NetAddress;
  readonly port: number;
  /** Connections that are open now. */
  readonly sockets: ReadonlySet<Socket>;
  /** Connections there have been. */
  readonly accepted: () => number;
  /** Waits until nobody is connected any more. */
  allGone(): Promise<void>;
}

/** Listens on loopback until the end of the test. */
export async function listening(t: Pick<TestContext, 'after'>, server: Server): Promise<Listening> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const waiting: (() => void)[] = [];
  server.on('connection', (socket: Socket) => {
    accepted++;
    sockets.add(socket);
    socket.on('error', () => {});
    socket.once('close', () => {
      sockets.delete(socket);
      if (sockets.size === 0) for (const tell of waiting.splice(0)) tell();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  const { port } = server.address() as AddressInfo;
  return {
    address: { kind: 'tcp', host: '127.0.0.1', port },
    port,
    sockets,
    accepted: () => accepted,
    allGone: () => (sockets.size === 0 ? Promise.resolve() : new Promise((resolve) => void waiting.push(resolve))),
  };
}

/** The WireError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<WireError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(isWireError(thrown), String(thrown));
    return thrown;
  }
  assert.fail('it was fulfilled');
}

/** Lets everything that is deferred happen, what waits for the end of a turn too. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 4; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
}
