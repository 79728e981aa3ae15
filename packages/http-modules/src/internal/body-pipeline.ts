/**
 * One body on its way through the filters of some modules, each of which may take its time.
 *
 * ```text
 *   push, end ──► queue ──► filter ──► filter ──► … ──► target
 *                  (while a promise works, or the body is held)
 *   nothing more at the end of the tick ──► flush ──► flush ──► … what filters hold back for company
 * ```
 *
 * Rules:
 * - One piece is under way at a time, so that the order holds whatever promises do. What comes meanwhile waits, up to a bound.
 * - The end comes to a filter behind its last piece: trailers first, then null, whose answer goes through the filters behind before they hear of the end.
 * - A filter that answers at once costs a call; no promise, closure or object is made for its piece.
 * - What is sent in one tick is one burst: filters that hold bytes back are asked for them behind it, in order, and not within it. Behind the end nobody is asked.
 * - After `stop` nothing is called any more; a promise that is settled then is dropped, and its time-out with it.
 */
import type { WireError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import { isThenable, watchAnswer } from '@ferrata/stream';
import type { Awaitable, ModulePiece } from '../http-module.ts';
import type { ResolvedModuleOptions } from '../module-options.ts';
import { moduleGarbage, moduleThrew, tooMuchQueued } from './module-errors.ts';
import { ModuleWait, type ModuleWaiter } from './module-wait.ts';
import { PieceQueue } from './piece-queue.ts';

/** What one module does to a body. */
export interface BodyStage {
  /** The module's, for messages. */
  readonly name: string;
  /** Null: it edits trailers only. */
  readonly filter: ((chunk: Uint8Array | null) => Awaitable<ModulePiece>) | null;
  /** Gives what the filter holds back; null: it never does. */
  readonly flush: (() => Awaitable<ModulePiece>) | null;
  readonly filterTrailers: ((trailers: HeaderMap | null) => HeaderMap | null) | null;
}

/** Where a body goes behind the filters, and who hears what becomes of it. */
export interface BodyTarget {
  onBodyPiece(chunk: Uint8Array): void;
  onBodyEnd(trailers: HeaderMap | null): void;
  /** Something waits: whoever sends should stop for a while. */
  onBodyBusy(): void;
  /** Nothing waits any more. */
  onBodyIdle(): void;
  onBodyFailed(error: WireError): void;
}

/** A body between its sender and its recipient. */
export class BodyPipeline {
  readonly #target: BodyTarget;
  readonly #options: ResolvedModuleOptions;
  #stages: readonly BodyStage[] = [];
  readonly #queue = new PieceQueue();
  /** The end has come, and waits behind the queue. */
  #hasEnded = false;
  #trailers: HeaderMap | null = null;
  /** The piece under way, and the filter that it comes to next. */
  #piece: Uint8Array | null = null;
  #pieceStage = 0;
  /** The filter that hears of the end next; -1: the end is not under way. */
  #endStage = -1;
  /** The filter that is asked for what it holds back next; -1: nobody is. */
  #flushStage = -1;
  /** A filter that may hold something back has had a piece, and has not been asked since. */
  #isUnflushed = false;
  #isFlushScheduled = false;
  #isHeld = false;
  /** Once a filter has promised something. */
  #wait: ModuleWait<ModulePiece> | null = null;
  /** Whose promise is waited for; null: nobody's. */
  #waitingFor: BodyStage | null = null;
  #isRunning = false;
  #isBusy = false;
  #isStopped = false;

  constructor(target: BodyTarget, options: ResolvedModuleOptions) {
    this.#target = target;
    this.#options = options;
  }

  /** Something waits, or a filter works: what comes now goes no further for a while. */
  get isBusy(): boolean {
    return this.#waitingFor !== null || this.#isHeld || this.#piece !== null || !this.#queue.isEmpty;
  }

  /** Says which filters there are. Once, before any piece is let through. */
  setStages(stages: readonly BodyStage[]): void {
    this.#stages = stages;
  }

  /** @returns false: it waits; `onBodyIdle` will tell when it does not */
  push(chunk: Uint8Array): boolean {
    if (this.#isStopped || this.#hasEnded) return false;
    if (chunk.length === 0) return !this.isBusy;
    if (this.#isRunning || this.isBusy) {
      if (!this.#enqueue(chunk)) return false;
    } else {
      this.#piece = chunk;
      this.#pieceStage = 0;
      this.#run();
    }
    return !this.isBusy;
  }

  end(trailers: HeaderMap | null): void {
    if (this.#isStopped || this.#hasEnded) return;
    this.#hasEnded = true;
    this.#trailers = trailers;
    this.#run();
  }

  /** Nothing is taken from the queue until `release`. */
  hold(): void {
    this.#isHeld = true;
  }

  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#run();
  }

  /** The exchange is over. */
  stop(): void {
    this.#isStopped = true;
    this.#wait?.cancel();
    this.#queue.clear();
    this.#piece = null;
  }

  /** @returns false if that was too much */
  #enqueue(chunk: Uint8Array): boolean {
    if (this.#queue.cost > this.#options.maxQueuedBytes) {
      this.#fail(tooMuchQueued(this.#options.maxQueuedBytes));
      return false;
    }
    this.#queue.push(chunk);
    this.#tellBusy();
    return true;
  }

  /** At the end of the tick. Bound once: no closure is made for a burst. */
  readonly #flush = (): void => {
    this.#isFlushScheduled = false;
    if (this.#isStopped || this.#isRunning || this.#hasEnded || this.isBusy || !this.#isUnflushed) return;
    this.#flushStage = 0;
    this.#run();
  };

  /** Goes on until something waits, or nothing is left. */
  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    try {
      let hasMore = true;
      while (hasMore && this.#waitingFor === null && !this.#isHeld && !this.#isStopped) hasMore = this.#step();
    } finally {
      this.#isRunning = false;
    }
    if (this.#isStopped) return;
    if (this.isBusy) {
      this.#tellBusy();
    } else if (this.#isBusy) {
      this.#isBusy = false;
      this.#target.onBodyIdle();
    }
  }

  #tellBusy(): void {
    if (this.#isBusy) return;
    this.#isBusy = true;
    this.#target.onBodyBusy();
  }

  /** @returns false if there is nothing to do */
  #step(): boolean {
    if (this.#piece !== null) {
      this.#movePiece(this.#piece);
      return true;
    }
    if (this.#endStage >= 0) {
      this.#moveEnd();
      return true;
    }
    if (this.#flushStage >= 0) {
      this.#moveFlush();
      return true;
    }
    if (!this.#queue.isEmpty) {
      this.#piece = this.#queue.shift();
      this.#pieceStage = 0;
      return true;
    }
    if (this.#hasEnded) {
      this.#endStage = 0;
      return true;
    }
    if (this.#isUnflushed && !this.#isFlushScheduled) {
      this.#isFlushScheduled = true;
      queueMicrotask(this.#flush);
    }
    return false;
  }

  #movePiece(piece: Uint8Array): void {
    const stage = this.#stages[this.#pieceStage];
    if (stage === undefined) {
      this.#piece = null;
      this.#target.onBodyPiece(piece);
      return;
    }
    this.#pieceStage++;
    if (stage.flush !== null) this.#isUnflushed = true;
    if (stage.filter !== null) this.#call(stage, stage.filter, piece);
  }

  /** From the front on, so that what one filter gives is there when the next is asked. The end, if it has come meanwhile, makes asking needless. */
  #moveFlush(): void {
    const stage = this.#hasEnded ? undefined : this.#stages[this.#flushStage];
    if (stage === undefined) {
      this.#flushStage = -1;
      this.#isUnflushed = false;
      return;
    }
    this.#flushStage++;
    this.#pieceStage = this.#flushStage;
    if (stage.flush !== null) this.#call(stage, stage.flush, null);
  }

  #moveEnd(): void {
    const stage = this.#stages[this.#endStage];
    if (stage === undefined) {
      this.#isStopped = true;
      this.#target.onBodyEnd(this.#trailers);
      return;
    }
    this.#endStage++;
    this.#pieceStage = this.#endStage;
    if (stage.filterTrailers !== null) {
      let trailers: unknown;
      try {
        trailers = stage.filterTrailers(this.#trailers);
      } catch (thrown) {
        this.#fail(moduleThrew(stage.name, thrown));
        return;
      }
      if (trailers !== null && trailers !== undefined && !(trailers instanceof HeaderMap)) {
        watchAnswer(trailers);
        this.#fail(moduleGarbage(stage.name, 'a HeaderMap or null, and no promise, from responseTrailerFilter'));
        return;
      }
      this.#trailers = trailers ?? null;
    }
    if (stage.filter !== null) this.#call(stage, stage.filter, null);
  }

  #call(stage: BodyStage, filter: (chunk: Uint8Array | null) => Awaitable<ModulePiece>, chunk: Uint8Array | null): void {
    let answer: Awaitable<ModulePiece>;
    this.#piece = null;
    try {
      answer = filter(chunk);
    } catch (thrown) {
      this.#fail(moduleThrew(stage.name, thrown));
      return;
    }
    if (!isThenable(answer)) {
      this.#take(stage, answer);
      return;
    }
    this.#waitingFor = stage;
    this.#wait ??= new ModuleWait(this.#options);
    this.#wait.begin(stage.name, answer, this.#waiter);
  }

  /** Types do not bind modules in JavaScript: garbage ends one exchange. */
  #take(stage: BodyStage, answer: ModulePiece | undefined): void {
    if (answer instanceof Uint8Array) this.#piece = answer.length > 0 ? answer : null;
    else if (answer !== null && answer !== undefined) this.#fail(moduleGarbage(stage.name, 'a Uint8Array or null from a body filter'));
  }

  /** Made once: a wait for each piece costs no closures here. */
  readonly #waiter: ModuleWaiter<ModulePiece> = {
    onSettled: (answer) => {
      const stage = this.#waitingFor as BodyStage;
      this.#waitingFor = null;
      this.#take(stage, answer);
      this.#run();
    },
    onFailed: (error) => {
      this.#waitingFor = null;
      this.#fail(error);
    },
  };

  #fail(error: WireError): void {
    if (this.#isStopped) return;
    this.stop();
    this.#target.onBodyFailed(error);
  }
}
