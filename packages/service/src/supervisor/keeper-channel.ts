/** The way from a generation to its keeper: Node's IPC channel, or what a test puts in its place. */
import type { GenerationMessage, KeeperMessage } from '../keeper/generation-messages.ts';

/** Messages in both directions. */
export interface KeeperChannel {
  /** Messages go out in their order; into a channel that is gone they are dropped. */
  send(message: GenerationMessage): void;
  /** Takes what comes, and the end of the channel: the keeper is dead. To be called once. */
  open(onMessage: (message: KeeperMessage) => void, onLost: () => void): void;
  readonly isOpen: boolean;
}

/** Notices that wait for the keeper to take them, at most: if it stands still, what is told must not fill the memory. */
const MAX_WAITING = 1_000;

/** The IPC channel that this process was spawned with. */
export class ProcessChannel implements KeeperChannel {
  #unsent = 0;
  #lostNotices = 0;
  #onSent: (() => void) | null = null;

  get isOpen(): boolean {
    return process.connected;
  }

  send(message: GenerationMessage): void {
    if (process.send === undefined || !process.connected) return;
    if (message.kind === 'notice' && this.#unsent >= MAX_WAITING) {
      this.#lostNotices += 1;
      return;
    }
    this.#unsent += 1;
    // The channel may close between the question and the answer: then the callback hears of it, and nobody needs to.
    process.send(message, undefined, undefined, () => this.#handleSent());
  }

  #handleSent(): void {
    this.#unsent -= 1;
    if (this.#unsent > 0) return;
    if (this.#lostNotices > 0) {
      const text = `${this.#lostNotices} notices were not told: the process that was started did not take them`;
      this.#lostNotices = 0;
      this.send({ kind: 'notice', notice: { severity: 'warning', text } });
    } else {
      this.#onSent?.();
    }
  }

  open(onMessage: (message: KeeperMessage) => void, onLost: () => void): void {
    process.on('message', (message: unknown) => {
      if (typeof message === 'object' && message !== null) onMessage(message as KeeperMessage);
    });
    process.on('disconnect', onLost);
    if (!process.connected) queueMicrotask(onLost);
  }

  /** Resolves when all has gone out. */
  async sent(): Promise<void> {
    if (this.#unsent === 0) return;
    await new Promise<void>((resolve) => {
      this.#onSent = resolve;
    });
  }
}
