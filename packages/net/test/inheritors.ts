/** Processes that inherit descriptors, for the tests of held sockets. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect as connectSocket, type NetConnectOpts } from 'node:net';
import { text } from 'node:stream/consumers';
import type { StreamAddress } from '@ferrata/stream';
import type { Order } from './fixtures/inheritor.ts';

/** A process that has the descriptors from 3 on. */
export interface Inheritor {
  /** @throws {Error} whose `reason` is that of the `WireError` in the process */
  ask(order: Order): Promise<unknown>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a process that inherits descriptors of this one, each as often as it is named. */
export async function inheritor(descriptors: readonly number[]): Promise<Inheritor> {
  const file = new URL('fixtures/inheritor.ts', import.meta.url).pathname;
  const child = spawn(process.execPath, [file], { stdio: ['ignore', 'inherit', 'inherit', ...descriptors, 'ipc'] });
  const exited = once(child, 'exit');
  // One that dies says nothing more.
  const died = exited.then(() => {
    throw new Error('the process has ended');
  });
  died.catch(() => {});
  await Promise.race([once(child, 'message'), died]);
  return {
    async ask(order) {
      const answered = Promise.race([once(child, 'message'), died]);
      child.send(order);
      const [{ answer, reason, message }] = (await answered) as [{ answer: unknown; reason?: string; message?: string }];
      if (reason !== undefined) throw Object.assign(new Error(message), { reason });
      return answer;
    },
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** What somebody connects to, as Node wants it. */
export function targetOf(address: StreamAddress): NetConnectOpts {
  if (address.kind === 'unix') return { path: address.path };
  if (address.kind === 'ip') return { host: address.host, port: address.port };
  throw new TypeError('there is no address to connect to');
}

/** Connects, and reads until the other side ends. @throws the error of the connection */
export async function answerFrom(address: StreamAddress): Promise<string> {
  const socket = connectSocket(targetOf(address));
  return text(socket);
}
