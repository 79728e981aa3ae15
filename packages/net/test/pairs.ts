/** Pairs of joined streams for the tests. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isWireError, type WireError } from '@ferrata/error';
import type { L4Stream } from '@ferrata/stream';
import { RecordingSink } from '@ferrata/testkit';
import { type AddressLike, connect, type Listener, type ListenOptions, listen } from '../src/index.ts';

/** The two ends of one connection, and how to clean up after it. */
export interface ConnectedPair {
  readonly client: L4Stream;
  readonly server: L4Stream;
  readonly listener: Listener;
  close(): Promise<void>;
}

/** Listens, connects once, and waits for both ends. */
export async function connectedPair(where: AddressLike | ListenOptions = '127.0.0.1:0'): Promise<ConnectedPair> {
  const accepted = Promise.withResolvers<L4Stream>();
  const listener = await listen(where, accepted.resolve);
  const [server, client] = await Promise.all([accepted.promise, connect(listener.address)]);
  return { client, server, listener, close: () => listener.close() };
}

/** A fresh directory, short enough for the path of a Unix socket. */
export function temporaryDirectory(): { path: string; file(name: string): string; [Symbol.dispose](): void } {
  const path = mkdtempSync(join(tmpdir(), 'net-'));
  return { path, file: (name) => join(path, name), [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Connects to somebody who closes at once, and says with what error: Node reports a reset that comes quickly as a failure to connect. */
export async function endOfConnection(address: AddressLike): Promise<WireError | null | undefined> {
  const sink = new RecordingSink();
  try {
    (await connect(address)).attach(sink);
  } catch (error) {
    if (isWireError(error)) return error;
    throw error;
  }
  await sink.untilClose();
  return sink.closeError;
}

/** Lets the event loop turn until a condition holds that no event reports. */
export async function until(isMet: () => boolean): Promise<void> {
  while (!isMet()) await new Promise<void>((resolve) => setImmediate(resolve));
}
