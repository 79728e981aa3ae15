/** Pairs of joined streams for the tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { L4Stream } from '@ferrata/stream';
import { type AddressLike, type ListenOptions, type Listener, connect, listen } from '../src/index.ts';

/** The two ends of one connection, and how to clean up after it. */
export interface ConnectedPair {
  readonly client: L4Stream;
  readonly server: L4Stream;
  readonly listener: Listener;
  close(): Promise<void>;
}

/** Where to connect to in order to reach a listener. */
export function reachable(listener: Listener): AddressLike {
  const { address } = listener;
  if (address.kind === 'ip') return { host: address.host, port: address.port };
  if (address.kind === 'unix') return { path: address.path };
  throw new TypeError('this listener cannot be reached');
}

/** Listens, connects once, and waits for both ends. */
export async function connectedPair(where: AddressLike | ListenOptions = '127.0.0.1:0'): Promise<ConnectedPair> {
  const accepted = Promise.withResolvers<L4Stream>();
  const listener = await listen(where, accepted.resolve);
  const [server, client] = await Promise.all([accepted.promise, connect(reachable(listener))]);
  return { client, server, listener, close: () => listener.close() };
}

/** A fresh directory, short enough for the path of a Unix socket. */
export function temporaryDirectory(): { path: string; file(name: string): string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'net-'));
  return { path, file: (name) => join(path, name), [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}
