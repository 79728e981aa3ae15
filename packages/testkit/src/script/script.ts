/**
 * Scripted peers: what a peer does, step by step, over any L4 stream.
 *
 * ```ts
 * await script(stream, [expect('GET / HTTP/1.1\r\n'), expect(/\r\n\r\n/), send('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel'), reset()]);
 * ```
 *
 * A step takes time only where it says so, and the time is that of the clock given: a `ManualClock` in a world, the system's with sockets.
 */
import { concatBytes, equalBytes, latin1Decode, latin1Encode } from '@ferrata/bytes';
import { type Clock, systemClock } from '@ferrata/clock';
import { applicationError, unreachable, type WireError } from '@ferrata/error';
import type { L4Sink, L4Stream } from '@ferrata/stream';

/** One thing that a peer does. Made by the functions of this file. */
export type ScriptStep =
  | { readonly kind: 'send'; readonly bytes: Uint8Array }
  | { readonly kind: 'drip'; readonly bytes: Uint8Array; readonly everyMs: number; readonly pieceBytes: number }
  | { readonly kind: 'expect'; readonly what: Uint8Array | RegExp }
  | { readonly kind: 'expectEnd' }
  | { readonly kind: 'expectClose' }
  | { readonly kind: 'skip'; readonly byteLength: number }
  | { readonly kind: 'wait'; readonly ms: number }
  | { readonly kind: 'stall'; readonly ms: number }
  | { readonly kind: 'end' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'call'; readonly action: (peer: ScriptPeer) => void | Promise<void> }
  | { readonly kind: 'repeat'; readonly times: number; readonly steps: readonly ScriptStep[] };

/** Writes bytes; a string is one byte a character. */
export function send(bytes: Uint8Array | string): ScriptStep {
  return { kind: 'send', bytes: toBytes(bytes) };
}

/** Writes bytes in pieces (of one byte, if not said otherwise), with a pause after each. */
export function drip(bytes: Uint8Array | string, everyMs: number, pieceBytes = 1): ScriptStep {
  return { kind: 'drip', bytes: toBytes(bytes), everyMs, pieceBytes };
}

/** Waits for exactly these bytes, or for a match of the pattern anywhere in what came and was not used; uses up all up to its end. */
export function expect(what: Uint8Array | string | RegExp): ScriptStep {
  return { kind: 'expect', what: what instanceof RegExp ? what : toBytes(what) };
}

/** Waits for so many bytes, whatever they are, and uses them up. */
export function skip(byteLength: number): ScriptStep {
  return { kind: 'skip', byteLength };
}

/** Waits for the peer's end. Fails if bytes come that no step used, or if the stream fails. */
export function expectEnd(): ScriptStep {
  return { kind: 'expectEnd' };
}

/** Waits until the stream has closed, in whatever way. */
export function expectClose(): ScriptStep {
  return { kind: 'expectClose' };
}

/** Does nothing for `ms`; bytes that come are taken. */
export function wait(ms: number): ScriptStep {
  return { kind: 'wait', ms };
}

/** Neither reads nor writes for `ms`; without a time, until the stream has closed. */
export function stall(ms = Infinity): ScriptStep {
  return { kind: 'stall', ms };
}

/** Half-closes. */
export function end(): ScriptStep {
  return { kind: 'end' };
}

/** Resets the connection, once all written bytes are out. */
export function reset(): ScriptStep {
  return { kind: 'reset' };
}

/** Calls a function of the test, and awaits it. */
export function call(action: (peer: ScriptPeer) => void | Promise<void>): ScriptStep {
  return { kind: 'call', action };
}

/** Does the steps so many times. */
export function repeat(times: number, steps: readonly ScriptStep[]): ScriptStep {
  return { kind: 'repeat', times, steps };
}

/** Options of `script`. */
export interface ScriptOptions {
  /** Default: the system's clock. */
  readonly clock?: Clock;
  /** What happens to the stream after the last step: `end` (default) ends our side, `leave` leaves it alone. */
  readonly after?: 'end' | 'leave';
}

/** How a script went. */
export interface ScriptResult {
  /** All bytes that came while the script ran. */
  readonly received: Uint8Array;
  /** What came and was used by no step. */
  readonly unused: Uint8Array;
}

/**
 * Plays `steps` on `stream`. A script that fails aborts the stream, so that nobody waits for it.
 *
 * @throws {ScriptFailure} rejects when an expectation is not met: other bytes, an end or a close in the middle
 */
export async function script(stream: L4Stream, steps: readonly ScriptStep[], options: ScriptOptions = {}): Promise<ScriptResult> {
  const peer = new ScriptPeer(stream, options.clock ?? systemClock);
  try {
    await peer.play(steps);
  } catch (thrown) {
    stream.abort(applicationError('SCRIPT_FAILED', undefined, { cause: thrown }));
    throw thrown;
  }
  if (options.after !== 'leave') stream.end();
  return { received: concatBytes(peer.received), unused: peer.unused() };
}

/** A peer did not do what its script expected. */
export class ScriptFailure extends Error {
  /** The text of what came and was not used by earlier steps, one character a byte. */
  readonly unused: string;

  constructor(message: string, unused: string, cause: unknown) {
    super(
      `${message}; unused bytes: ${JSON.stringify(unused.slice(0, 400))}`,
      cause === null || cause === undefined ? undefined : { cause },
    );
    this.unused = unused;
  }

  override get name(): string {
    return 'ScriptFailure';
  }
}

/** The peer that plays a script: the sink of its stream. */
export class ScriptPeer implements L4Sink {
  readonly stream: L4Stream;
  /** All chunks that came. */
  readonly received: Uint8Array[] = [];
  readonly #clock: Clock;
  #unused: Uint8Array = new Uint8Array(0);
  #hasEnded = false;
  #isClosed = false;
  #closeError: WireError | null = null;
  #wake: (() => void) | null = null;

  constructor(stream: L4Stream, clock: Clock) {
    this.stream = stream;
    this.#clock = clock;
    stream.attach(this);
  }

  /** What came and was used by no step so far. */
  unused(): Uint8Array {
    return this.#unused;
  }

  async play(steps: readonly ScriptStep[]): Promise<void> {
    for (const step of steps) await this.#do(step);
  }

  onData(chunk: Uint8Array): void {
    this.received.push(chunk);
    this.#unused = concatBytes([this.#unused, chunk]);
    this.#wakeUp();
  }

  onDrain(): void {
    this.#wakeUp();
  }

  onEnd(): void {
    this.#hasEnded = true;
    this.#wakeUp();
  }

  onClose(error: WireError | null): void {
    this.#isClosed = true;
    this.#closeError = error;
    this.#wakeUp();
  }

  async #do(step: ScriptStep): Promise<void> {
    switch (step.kind) {
      case 'send':
        if (!this.stream.write(step.bytes)) await this.#untilDrained();
        return;
      case 'drip':
        for (let at = 0; at < step.bytes.byteLength && !this.#isClosed; at += step.pieceBytes) {
          this.stream.write(step.bytes.subarray(at, at + step.pieceBytes));
          await this.#sleep(step.everyMs);
        }
        return;
      case 'expect':
        return this.#expect(step.what);
      case 'skip':
        await this.#untilMet(() => this.#unused.byteLength >= step.byteLength, `${step.byteLength} bytes were expected`);
        this.#use(step.byteLength);
        return;
      case 'expectEnd':
        return this.#expectEnd();
      case 'expectClose':
        while (!this.#isClosed) await this.#change();
        return;
      case 'wait':
        return this.#sleep(step.ms);
      case 'stall':
        return this.#stall(step.ms);
      case 'end':
        this.stream.end();
        return;
      case 'reset':
        while (this.stream.bufferedBytes > 0) await this.#sleep(1);
        this.stream.abort();
        return;
      case 'call':
        await step.action(this);
        return;
      case 'repeat':
        for (let round = 0; round < step.times; round++) await this.play(step.steps);
        return;
      default:
        unreachable(step);
    }
  }

  async #expect(what: Uint8Array | RegExp): Promise<void> {
    if (what instanceof RegExp) {
      let match: RegExpExecArray | null = null;
      const isMet = (): boolean => {
        // A global or sticky pattern would remember where it stopped.
        match = new RegExp(what.source, what.flags.replace(/[gy]/g, '')).exec(this.#unusedText());
        return match !== null;
      };
      await this.#untilMet(isMet, `${String(what)} was expected`);
      const found = match as RegExpExecArray | null;
      if (found !== null) this.#use(found.index + found[0].length);
      return;
    }
    const wanted = JSON.stringify(latin1Decode(what, 0, Math.min(what.byteLength, 200)));
    const isMet = (): boolean => {
      const common = Math.min(what.byteLength, this.#unused.byteLength);
      if (!equalBytes(what.subarray(0, common), this.#unused.subarray(0, common)))
        this.#fail(`${wanted} was expected, and other bytes came`);
      return this.#unused.byteLength >= what.byteLength;
    };
    await this.#untilMet(isMet, `${wanted} was expected`);
    this.#use(what.byteLength);
  }

  async #expectEnd(): Promise<void> {
    while (!this.#hasEnded && !this.#isClosed) await this.#change();
    if (!this.#hasEnded) this.#fail('an end was expected, and the stream closed without one');
    if (this.#unused.byteLength > 0) this.#fail('an end was expected, and bytes came before');
  }

  async #stall(ms: number): Promise<void> {
    this.stream.pause();
    if (ms === Infinity) while (!this.#isClosed) await this.#change();
    else {
      await this.#sleep(ms);
      this.stream.resume();
    }
  }

  /** Waits for a condition on what came; no more can come after an end or a close. */
  async #untilMet(isMet: () => boolean, expectation: string): Promise<void> {
    while (!isMet()) {
      if (this.#isClosed) this.#fail(`${expectation}, and the stream closed`);
      if (this.#hasEnded) this.#fail(`${expectation}, and the peer ended`);
      await this.#change();
    }
  }

  async #untilDrained(): Promise<void> {
    if (!this.#isClosed && this.stream.bufferedBytes > 0) await this.#change();
  }

  #use(byteLength: number): void {
    this.#unused = this.#unused.subarray(byteLength);
  }

  #unusedText(): string {
    return latin1Decode(this.#unused, 0, this.#unused.byteLength);
  }

  #fail(message: string): never {
    throw new ScriptFailure(message, this.#unusedText(), this.#closeError);
  }

  /** Resolves at the next event of the stream. */
  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = null;
    wake?.();
  }

  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => void this.#clock.schedule(ms, resolve));
  }
}

function toBytes(bytes: Uint8Array | string): Uint8Array {
  return typeof bytes === 'string' ? latin1Encode(bytes) : bytes;
}
