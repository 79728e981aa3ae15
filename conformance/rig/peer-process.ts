/** A program as a process of a suite's: waited for until it listens on its Unix sockets, asked for what it knows, and ended. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

const START_TIMEOUT_MS = 10_000;
const ANSWER_TIMEOUT_MS = 5_000;

/** How often the file system is asked: a program of somebody else's tells nobody when it listens. */
const POLL_MS = 20;

/**
 * Waits until all sockets are there.
 *
 * @param name of the program, for errors
 * @throws {Error} with its last words, when it ends before that or takes longer than 10 s
 */
export async function untilListening(name: string, child: ChildProcess, sockets: readonly string[]): Promise<void> {
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-4000);
  });
  let failure: string | null = null;
  child.on('error', (error) => {
    failure = error.message;
  });
  const deadline = performance.now() + START_TIMEOUT_MS;
  while (!sockets.every((path) => existsSync(path))) {
    if (failure !== null || child.exitCode !== null) throw new Error(`${name} did not start: ${failure ?? said.trim()}`);
    if (performance.now() > deadline) throw new Error(`${name} did not listen within ${START_TIMEOUT_MS / 1000} s: ${said.trim()}`);
    await delay(POLL_MS);
  }
}

/** Asks a program that has a channel to us. @returns its next message; null: it is gone, or says nothing for 5 s */
export async function askProcess(child: ChildProcess, question: string): Promise<unknown> {
  if (!child.connected) return null;
  return await new Promise((resolve) => {
    const done = (message: unknown): void => {
      clearTimeout(timer);
      child.off('message', done);
      resolve(message);
    };
    const timer = setTimeout(done, ANSWER_TIMEOUT_MS, null);
    child.on('message', done);
    child.send(question, () => undefined);
  });
}

/** Ends it at once, and waits until it has. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}
