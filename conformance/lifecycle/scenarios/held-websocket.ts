/** A WebSocket connection that is kept open for as long as a scenario wants, and asked whether it still works. */
import { HttpEnvironment } from '@ferrata/http';
import { connectWebSocket, type WebSocketSession } from '@ferrata/tunnel';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import type { Endpoint } from '../http1-connection.ts';

const ANSWER_MS = 60_000;

/** One connection. */
export class HeldWebSocket {
  /** When it ended, in monotonic milliseconds; infinite: it has not. */
  endedAt = Number.POSITIVE_INFINITY;
  #code = 0;
  readonly #connector: UpstreamConnector;
  #session: WebSocketSession | null = null;
  readonly #received: string[] = [];
  #wake: (() => void) | null = null;

  private constructor(connector: UpstreamConnector) {
    this.#connector = connector;
  }

  static async open(endpoint: Endpoint): Promise<HeldWebSocket> {
    const environment = new HttpEnvironment();
    const connector = new UpstreamConnector({ environment });
    const held = new HeldWebSocket(connector);
    const session = await connector.connect(peer('path' in endpoint ? `unix:${endpoint.path}` : `127.0.0.1:${endpoint.port}`));
    held.#session = await connectWebSocket(
      session,
      {
        onText: (text) => {
          held.#received.push(text);
          held.#wake?.();
        },
        onClose: ({ code }) => {
          held.endedAt = performance.now();
          held.#code = code;
          held.#wake?.();
        },
      },
      { environment, authority: 'localhost', target: '/echo' },
    );
    held.#session.start();
    return held;
  }

  /** Sends a message and waits for it. @returns what is wrong, or null */
  async echo(text: string): Promise<string | null> {
    this.#session?.sendText(text);
    await this.#until(() => this.#received.length > 0 || this.endedAt < Number.POSITIVE_INFINITY);
    const received = this.#received.shift();
    if (received === text) return null;
    return received === undefined ? `no message came back (${this.#code})` : `another message: ${received}`;
  }

  /** Says goodbye. @returns what is wrong with the answer, or null */
  async close(): Promise<string | null> {
    this.#session?.close();
    await this.#until(() => this.endedAt < Number.POSITIVE_INFINITY);
    this.#session?.abort();
    this.#connector.close();
    return this.#code === 1_000 ? null : `no goodbye, but ${this.#code}`;
  }

  async #until(isSo: () => boolean): Promise<void> {
    const end = performance.now() + ANSWER_MS;
    while (!isSo() && performance.now() < end) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, 100);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }
}
