/** Asks all processes and threads of a program that was started with `report-memory.ts` what they have in use. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { TemporaryFolder } from './clean-up.ts';

const ANSWER_TIMEOUT_MS = 5_000;

/** Where they report. */
export class MemoryReports {
  readonly #folder: TemporaryFolder;
  readonly #server: Server;
  readonly #members = new Set<Socket>();

  /** Listens before the program is started. */
  static async open(): Promise<MemoryReports> {
    const reports = new MemoryReports();
    await once(reports.#server.listen(join(reports.#folder.path, 'reports')), 'listening');
    reports.#server.unref();
    return reports;
  }

  private constructor() {
    this.#folder = new TemporaryFolder('ferrata-memory-');
    this.#server = createServer((socket) => {
      this.#members.add(socket);
      socket.setEncoding('utf8').on('error', () => undefined);
      socket.on('close', () => this.#members.delete(socket)).unref();
    });
  }

  /** The arguments of Node. */
  get nodeArguments(): readonly string[] {
    return ['--expose-gc', '--import', new URL('report-memory.ts', import.meta.url).href];
  }

  /** What the program has to find in its environment. */
  get environment(): Readonly<Record<string, string>> {
    return { FERRATA_REPORT_MEMORY: join(this.#folder.path, 'reports') };
  }

  /** @returns the sum over all of them; null when none is there, or one says nothing for 5 s */
  async liveBytes(): Promise<number | null> {
    const answers = await Promise.all([...this.#members].map(ask));
    let sum: number | null = null;
    for (const bytes of answers) {
      // One that has ended meanwhile has nothing in use.
      if (bytes === null) return null;
      sum = (sum ?? 0) + bytes;
    }
    return sum;
  }

  /** Stops listening, and removes what was made. */
  close(): void {
    this.#server.close();
    for (const socket of this.#members) socket.destroy();
    this.#folder.remove();
  }
}

/** @returns 0 when it ends instead of answering, null when it says nothing in time */
async function ask(socket: Socket): Promise<number | null> {
  const { promise, resolve } = Promise.withResolvers<number | null>();
  const onData = (text: string): void => resolve(Number(text.trim()));
  const onClose = (): void => resolve(0);
  const timer = setTimeout(resolve, ANSWER_TIMEOUT_MS, null);
  socket.on('data', onData).on('close', onClose);
  socket.write('?');
  const bytes = await promise;
  clearTimeout(timer);
  socket.off('data', onData).off('close', onClose);
  return bytes;
}
