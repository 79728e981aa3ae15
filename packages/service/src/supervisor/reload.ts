/**
 * Reloads: a new configuration for all threads, or for none.
 *
 * ```
 *                    ┌─ one says no, dies, or does not answer in time ─► discard in all ─► refused
 *  prepare in all ───┤
 *                    └─ all are prepared ─► DECIDED ─► commit in all ─► reloaded
 * ```
 * Before `DECIDED` nothing has changed anywhere. From there on the new configuration is in force, whatever happens: a thread that dies is born again with it, and one that
 * does not carry it out in time is replaced. No mix remains.
 */
import type { Clock } from '@ferrata/clock';
import { textOf } from '@ferrata/error';
import type { ReloadOutcome } from '../keeper/generation-messages.ts';
import type { Snapshot } from '../snapshot.ts';

/** A thread that takes part in a reload. */
export interface ReloadParticipant {
  /** `worker 2`. */
  readonly label: string;
  /** Looks at the configuration. Resolves with why it cannot be; null: it can. Resolves also when the thread dies. */
  prepare(next: Snapshot<unknown>): Promise<string | null>;
  /** Puts it in force. Resolves when that is done; or when the thread has died, and its successor will have it. */
  commit(version: number): Promise<void>;
  discard(version: number): void;
  /** It has not carried out the commit: a new thread is to take its place. */
  replace(why: string): void;
}

/** How two phases are gone through. */
export interface TwoPhaseOptions {
  readonly clock: Clock;
  /** For the answers to each of the phases. */
  readonly limitMs: number;
  /** Called when all are prepared: from now on new threads are to get the new configuration. */
  readonly decide: () => void;
  /** Aborted, with why as its reason, when the reload is to be given up; heard of as long as nothing is decided. */
  readonly givenUp: AbortSignal;
}

/** What came of it. */
export interface TwoPhaseResult {
  /** Null: the new configuration is in force, in all threads. */
  readonly refused: string | null;
  /** Some have not answered, and may still do so: the version must not be used again. */
  readonly isOpen: boolean;
}

/** Goes through both phases. Never rejects. */
export async function twoPhases(
  next: Snapshot<unknown>,
  participants: readonly ReloadParticipant[],
  { clock, limitMs, decide, givenUp }: TwoPhaseOptions,
): Promise<TwoPhaseResult> {
  const prepared = await gather(clock, limitMs, participants, givenUp, (participant) => participant.prepare(next));
  const refused = prepared.givenUp ?? whyNot(prepared.answers, prepared.silent, limitMs);
  if (refused !== null) {
    for (const participant of participants) participant.discard(next.version);
    return { refused, isOpen: prepared.silent.length > 0 };
  }
  decide();
  const committed = await gather(clock, limitMs, participants, null, async (participant) => {
    await participant.commit(next.version);
    return null;
  });
  for (const participant of committed.silent) participant.replace(`it did not put a configuration in force within ${limitMs} ms`);
  return { refused: null, isOpen: false };
}

function whyNot(
  answers: ReadonlyMap<ReloadParticipant, string | null>,
  silent: readonly ReloadParticipant[],
  limitMs: number,
): string | null {
  for (const [{ label }, why] of answers) {
    if (why !== null) return `${label}: ${why}`;
  }
  const [first] = silent;
  return first === undefined ? null : `${first.label}: no answer within ${limitMs} ms`;
}

interface Gathered {
  readonly answers: ReadonlyMap<ReloadParticipant, string | null>;
  readonly silent: readonly ReloadParticipant[];
  readonly givenUp: string | null;
}

function gather(
  clock: Clock,
  limitMs: number,
  participants: readonly ReloadParticipant[],
  givenUp: AbortSignal | null,
  ask: (participant: ReloadParticipant) => Promise<string | null>,
): Promise<Gathered> {
  return new Promise((resolve) => {
    const answers = new Map<ReloadParticipant, string | null>();
    const finish = (why: string | null): void => {
      timeout.cancel();
      givenUp?.removeEventListener('abort', handleGivenUp);
      resolve({ answers: new Map(answers), silent: participants.filter((participant) => !answers.has(participant)), givenUp: why });
    };
    const timeout = clock.schedule(limitMs, () => finish(null));
    // No promise: what hangs on one that settles at the end of the process is kept until then, the configuration of every reload with it.
    const handleGivenUp = (): void => finish(textOf(givenUp?.reason));
    givenUp?.addEventListener('abort', handleGivenUp);
    for (const participant of participants) {
      void ask(participant)
        .catch(textOf)
        .then((answer) => {
          answers.set(participant, answer);
          if (answers.size === participants.length) finish(null);
        });
    }
    if (givenUp?.aborted === true) handleGivenUp();
    else if (participants.length === 0) finish(null);
  });
}

/** Lets one reload run at a time, and one wait: whoever asks while one waits gets the outcome of that one, which has not yet read the configuration. */
export class ReloadQueue {
  readonly #run: () => Promise<ReloadOutcome>;
  #running: Promise<ReloadOutcome> | null = null;
  #waiting: Promise<ReloadOutcome> | null = null;
  #closed: string | null = null;

  /** @param run one reload; whatever it rejects with refuses it */
  constructor(run: () => Promise<ReloadOutcome>) {
    this.#run = run;
  }

  /** Asks for a reload that begins after this call. Never rejects. */
  request(): Promise<ReloadOutcome> {
    if (this.#closed !== null) return Promise.resolve({ kind: 'refused', why: this.#closed });
    if (this.#waiting !== null) return this.#waiting;
    if (this.#running === null) return this.#begin();
    this.#waiting = this.#running.then(() => {
      this.#waiting = null;
      return this.#closed === null ? this.#begin() : { kind: 'refused', why: this.#closed };
    });
    return this.#waiting;
  }

  /** Refuses all reloads from now on, the waiting one among them. */
  close(why: string): void {
    this.#closed ??= why;
  }

  #begin(): Promise<ReloadOutcome> {
    this.#running = Promise.resolve()
      .then(this.#run)
      .catch((thrown: unknown): ReloadOutcome => ({ kind: 'refused', why: textOf(thrown) }))
      .finally(() => {
        this.#running = null;
      });
    return this.#running;
  }
}
