/**
 * What the admin endpoint asks the keeper for, and what comes of it.
 *
 * The keeper answers each question with yes or no; what comes of a yes is seen from what it does then:
 *
 * ```
 *  reload   ─yes─► reload {id} ─► reloaded, unchanged, refused      (one that came before the question is another's)
 *                             └─► needs a generation ─┐
 *  upgrade  ─yes────────────────────────────────────► upgrading ─► stop {superseded}: replaced  │  upgradeFailed: as before
 *  drain    ─yes─► stop ─► drained
 * ```
 */
import type { GenerationMessage, ReloadOutcome } from '../keeper/generation-messages.ts';
import type { AdminOutcome } from './admin-target.ts';

/** What can be asked for. */
export type AskedFor = Extract<GenerationMessage, { readonly kind: 'ask' }>['what'];

const lost: AdminOutcome = { outcome: 'failed', why: 'the process that was started is gone' };

interface Ask {
  readonly what: AskedFor;
  readonly resolve: (outcome: AdminOutcome) => void;
  /** Of a reload: the one that began after it was asked for, by the keeper's number. */
  reload: number | null;
  /** Of a reload that needs a new generation. */
  changes: readonly string[] | null;
  /** A successor is being started, since it was asked for one. */
  isUpgrading: boolean;
}

/** Questions to the keeper that are not yet settled. */
export class KeeperAsks {
  readonly #send: (message: GenerationMessage) => void;
  readonly #asks = new Map<number, Ask>();
  #lastId = 0;
  #isLost = false;

  constructor(send: (message: GenerationMessage) => void) {
    this.#send = send;
  }

  /** Asks for something. Settles when it is done, or will not be; never rejects. */
  ask(what: AskedFor): Promise<AdminOutcome> {
    if (this.#isLost) return Promise.resolve(lost);
    const id = ++this.#lastId;
    return new Promise((resolve) => {
      this.#asks.set(id, { what, resolve, reload: null, changes: null, isUpgrading: false });
      this.#send({ kind: 'ask', what, id });
    });
  }

  /** The keeper says yes, or why not. */
  handleAnswer(id: number, refused: string | null): void {
    if (refused !== null) this.#settle(id, { outcome: 'busy', why: refused });
  }

  /** A reload begins, and has not yet looked at the configuration: it is what everybody has asked for by now, and is waiting for. */
  handleReload(reload: number): void {
    for (const ask of this.#asks.values()) {
      if (ask.what === 'reload') ask.reload ??= reload;
    }
  }

  /** It has ended. Whoever asked after it had begun waits for the next one: this one may have read what was there before. */
  handleReloaded(reload: number, outcome: ReloadOutcome): void {
    for (const [id, ask] of this.#asks) {
      if (ask.reload !== reload || ask.changes !== null) continue;
      if (outcome.kind === 'needsGeneration') ask.changes = outcome.changes;
      else if (outcome.kind === 'refused') this.#settle(id, { outcome: 'refused', why: outcome.why });
      else if (outcome.kind === 'unchanged') this.#settle(id, { outcome: 'unchanged', version: outcome.version });
      else this.#settle(id, { outcome: 'reloaded', version: outcome.version, changes: outcome.changes });
    }
  }

  /** A successor is being started: the one that everybody has asked for by now. */
  handleUpgrading(): void {
    for (const ask of this.#asks.values()) ask.isUpgrading ||= isUpgrade(ask);
  }

  /** No successor came to be. Whoever asked while it was being started waits for the next one: the keeper still owes it. */
  handleUpgradeFailed(why: string): void {
    for (const [id, ask] of this.#asks) {
      if (ask.isUpgrading) this.#settle(id, { outcome: ask.what === 'reload' ? 'refused' : 'failed', why });
    }
  }

  /** This generation stops: a successor serves, or nobody will. */
  handleStop(isSuperseded: boolean): void {
    for (const [id, ask] of this.#asks) {
      if (ask.what === 'drain') continue;
      if (isSuperseded && isUpgrade(ask))
        this.#settle(id, { outcome: 'replaced', ...(ask.changes === null ? null : { changes: ask.changes }) });
      else
        this.#settle(id, {
          outcome: 'busy',
          why: isSuperseded ? 'a new generation has taken over meanwhile: ask that one' : 'the server is stopping',
        });
    }
  }

  handleDrained(cut: number): void {
    for (const [id, ask] of this.#asks) {
      if (ask.what === 'drain') this.#settle(id, { outcome: 'drained', cut });
    }
  }

  /** The keeper is dead: nothing will come of anything. */
  handleLost(): void {
    this.#isLost = true;
    for (const id of this.#asks.keys()) this.#settle(id, lost);
  }

  #settle(id: number, outcome: AdminOutcome): void {
    this.#asks.get(id)?.resolve(outcome);
    this.#asks.delete(id);
  }
}

/** Whether it ends with a successor. */
function isUpgrade(ask: Ask): boolean {
  return ask.what === 'upgrade' || ask.what === 'descriptors' || (ask.what === 'reload' && ask.changes !== null);
}
