/** A client that writes what it is told and waits for what it wants to read. */
import { connect, type NetConnectOpts, type Socket } from 'node:net';

/** A connection of a test. */
export class RawClient implements Disposable {
  readonly socket: Socket;
  text = '';
  /** The server has ended its side, or the connection is gone. */
  hasEnded = false;
  isClosed = false;
  error: Error | null = null;
  readonly #waiting = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.setEncoding('latin1');
    socket.on('data', (text: string) => {
      this.text += text;
      this.#look();
    });
    socket.on('end', () => {
      this.hasEnded = true;
      this.#look();
    });
    socket.on('error', (error) => {
      this.error = error;
    });
    socket.on('close', () => {
      this.hasEnded = true;
      this.isClosed = true;
      this.#look();
    });
  }

  static async connect(port: number, options: Partial<NetConnectOpts> = {}): Promise<RawClient> {
    const socket = connect({ host: '127.0.0.1', port, allowHalfOpen: true, ...options } as NetConnectOpts);
    const client = new RawClient(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('error', reject);
    });
    return client;
  }

  /** Connects, and waits until the server has dropped the connection without a word: before or after the client has noticed that there was one. */
  static async refused(port: number): Promise<void> {
    const client = await RawClient.connect(port).catch(() => null);
    await client?.closed();
    if (client !== null && client.text !== '') throw new Error(`it was answered: ${client.text}`);
  }

  write(text: string): void {
    this.socket.write(text, 'latin1');
  }

  end(): void {
    this.socket.end();
  }

  /** Waits for a text, and takes everything up to its end. */
  async read(wanted: string | RegExp): Promise<string> {
    const find = (): string | null => {
      const found = typeof wanted === 'string' ? wanted : (wanted.exec(this.text)?.[0] ?? null);
      if (found === null) return null;
      const at = this.text.indexOf(found);
      return at === -1 ? null : this.text.slice(0, at + found.length);
    };
    await this.#until(() => find() !== null || this.hasEnded);
    const text = find();
    if (text === null) throw new Error(`the connection ended before ${String(wanted)} came; it had sent: ${this.text}`);
    this.text = this.text.slice(text.length);
    return text;
  }

  async ended(): Promise<void> {
    await this.#until(() => this.hasEnded);
  }

  async closed(): Promise<void> {
    await this.#until(() => this.isClosed);
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }

  async #until(isSo: () => boolean): Promise<void> {
    while (!isSo()) {
      await new Promise<void>((resolve) => {
        this.#waiting.add(resolve);
      });
    }
  }

  #look(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }
}

/** A gate that callbacks of a test wait at. */
export class Gate<T = void> {
  readonly promise: Promise<T>;
  readonly open: (value: T) => void;

  constructor() {
    const { promise, resolve } = Promise.withResolvers<T>();
    this.promise = promise;
    this.open = resolve;
  }
}

/** Waits until something is so, looking once each turn of the event loop; the test's own time-out bounds it. */
export async function until(isSo: () => boolean): Promise<void> {
  while (!isSo()) await new Promise((resolve) => setImmediate(resolve));
}
