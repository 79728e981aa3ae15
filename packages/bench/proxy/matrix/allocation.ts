/** Counts what a Node program allocates while something happens: the bench's side of `programs/allocation-probe.ts`. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { type AllocationCount, sumOf } from './allocation-count.ts';

/** How long a thread may take to answer. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Waits for the threads of one program, each of which has a connection. */
export class AllocationMeter {
  readonly #server: Server;
  readonly #path: string;
  readonly #threads = new Set<ThreadLine>();

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
    server.on('connection', (socket) => {
      const line = new ThreadLine(socket);
      this.#threads.add(line);
      socket.once('close', () => this.#threads.delete(line));
    });
  }

  /** Opens a meter. @param folder where its socket goes */
  static async open(folder: string): Promise<AllocationMeter> {
    const path = join(folder, 'allocation.sock');
    const server = createServer();
    const meter = new AllocationMeter(server, path);
    server.listen(path);
    await once(server, 'listening');
    return meter;
  }

  /** The options of Node that a program must be started with. */
  get nodeFlags(): readonly string[] {
    const probe = new URL('./programs/allocation-probe.ts', import.meta.url);
    probe.searchParams.set('socket', this.#path);
    return ['--import', probe.href];
  }

  /** Threads that are connected. */
  get threadCount(): number {
    return this.#threads.size;
  }

  /**
   * Counts what all threads together allocate while `load` runs.
   *
   * @throws {Error} when no thread is connected, or one does not answer within 10 s
   */
  async measure<Result>(load: () => Promise<Result>): Promise<{ readonly result: Result; readonly count: AllocationCount }> {
    const threads = [...this.#threads];
    if (threads.length === 0) throw new Error('no thread of the program has come to tell what it allocates');
    await Promise.all(threads.map((thread) => thread.ask('start')));
    const result = await load();
    const answers = await Promise.all(threads.map((thread) => thread.ask('stop')));
    return { result, count: sumOf(answers.map((answer) => JSON.parse(answer) as AllocationCount)) };
  }

  /** Ends it, and its connections. */
  close(): void {
    for (const thread of this.#threads) thread.close();
    this.#server.close();
  }
}

/** The connection of one thread: a word, then a line in answer. */
class ThreadLine {
  readonly #socket: Socket;
  #received = '';
  #onLine: (line: string) => void = () => {};

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', () => {});
    socket.setEncoding('utf8').on('data', (text: string) => {
      this.#received += text;
      const end = this.#received.indexOf('\n');
      if (end < 0) return;
      const line = this.#received.slice(0, end);
      this.#received = this.#received.slice(end + 1);
      this.#onLine(line);
    });
  }

  ask(word: 'start' | 'stop'): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`a thread did not answer "${word}"`)), ANSWER_TIMEOUT_MS);
      const settled = (then: () => void): void => {
        clearTimeout(timer);
        then();
      };
      this.#onLine = (line) => settled(() => resolve(line));
      this.#socket.once('close', () => settled(() => reject(new Error(`a thread ended before it answered "${word}"`))));
      this.#socket.write(`${word}\n`);
    });
  }

  close(): void {
    this.#socket.destroy();
  }
}
