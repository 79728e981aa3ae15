/** One connection of an origin, which answers as the plans of its requests say. */
import type { L4Sink, L4Stream } from '@ferrata/stream';
import { positionalBytes, type World } from '@ferrata/testkit';
import { answerSeed, encodeAnswer, framingOf, latin1, type Token, tokenFrom, upgrades } from './messages.ts';
import { Pacer } from './pacer.ts';
import type { AnswerPlan, FaultPlan, ReadingPlan, RequestPlan } from './plan.ts';
import { fieldOf, type WireMessage, WireReader } from './wire-reader.ts';

/** What all connections of the origins share. */
export interface OriginLedger {
  readonly plans: ReadonlyMap<Token, RequestPlan>;
  /** How often a request has come. */
  readonly attempts: Map<Token, number>;
  readonly reading: ReadingPlan | null;
}

interface FailingAnswer {
  readonly bytes: Uint8Array;
  readonly headLength: number;
  readonly token: Token;
  readonly attempt: number;
}

export class OriginActor implements L4Sink {
  readonly #world: World;
  readonly #stream: L4Stream;
  readonly #ledger: OriginLedger;
  readonly #requests = new WireReader('request');
  #answered = 0;
  #pacer: Pacer;
  #isOver = false;
  #echoes = false;
  #sinceBreath = 0;

  constructor(world: World, stream: L4Stream, ledger: OriginLedger) {
    this.#world = world;
    this.#stream = stream;
    this.#ledger = ledger;
    this.#pacer = new Pacer(stream, world.clock, { pieceBytes: 0, pauseMs: 0 });
    stream.attach(this);
  }

  abort(): void {
    this.#stream.abort();
  }

  onData(chunk: Uint8Array): void {
    this.#breathe(chunk.length);
    if (this.#echoes) {
      this.#pacer.send(chunk);
      return;
    }
    this.#requests.feed(chunk);
    // An answer at a time: the end of one begins the next.
    if (!this.#isOver && this.#pacer.isIdle) this.#answer();
  }

  onDrain(): void {
    this.#pacer.onDrain();
  }

  onEnd(): void {
    this.#pacer.call(() => this.#stream.end());
  }

  onClose(): void {
    this.#isOver = true;
    this.#pacer.stop();
  }

  #breathe(byteLength: number): void {
    const { reading } = this.#ledger;
    this.#sinceBreath += byteLength;
    if (reading === null || this.#sinceBreath < reading.everyBytes) return;
    this.#sinceBreath = 0;
    this.#stream.pause();
    this.#world.clock.schedule(reading.pauseMs, () => this.#stream.resume());
  }

  #answer(): void {
    const request = this.#requests.messages[this.#answered];
    if (request === undefined) return;
    const token = tokenOf(request);
    const plan = this.#ledger.plans.get(token);
    if (plan === undefined) {
      this.#stream.abort();
      return;
    }
    const attempt = this.#ledger.attempts.get(token) ?? 0;
    const answer = plan.answers[Math.min(attempt, plan.answers.length - 1)] as AnswerPlan;
    if (answer.begins === 'late' && !request.isComplete) return;
    this.#answered++;
    this.#ledger.attempts.set(token, attempt + 1);
    this.#pacer = new Pacer(this.#stream, this.#world.clock, answer);
    this.#pacer.wait(answer.delayMs);
    if (answer.status === 200 && upgrades(plan) && fieldOf(request, 'upgrade') !== undefined) this.#upgrade(token);
    else this.#respond(answer, request.start[0], token, attempt);
  }

  #upgrade(token: Token): void {
    this.#pacer.send(latin1(`HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\nX-Token: t${token}\r\n\r\n`));
    this.#echoes = true;
  }

  #respond(answer: AnswerPlan, method: string, token: Token, attempt: number): void {
    const { head, body } = encodeAnswer(answer, method, token, attempt);
    const bytes = Uint8Array.from(Buffer.concat([head, body]));
    if (answer.fault !== null) this.#fail(answer.fault, { bytes, headLength: head.length, token, attempt });
    else {
      this.#pacer.send(bytes);
      this.#afterwards(answer, token);
    }
    this.#pacer.call(() => {
      if (!this.#isOver) this.#answer();
    });
  }

  #afterwards(answer: AnswerPlan, token: Token): void {
    const pacer = this.#pacer;
    if (answer.after === 'sayClose' || framingOf(answer) === 'close') {
      pacer.call(() => this.#end());
      return;
    }
    if (answer.after === 'keep') return;
    if (answer.afterMs > 0) pacer.wait(answer.afterMs);
    switch (answer.after) {
      case 'closeSilently':
        pacer.call(() => this.#end());
        break;
      case 'resetSilently':
        pacer.call(() => this.#stream.abort());
        break;
      case 'strayBytes':
        pacer.send(latin1('\r\n'));
        break;
      case 'strayResponse':
        pacer.send(latin1(`HTTP/1.1 200 Stray\r\nX-Token: t${token}\r\nContent-Length: 5\r\n\r\nstray`));
        break;
    }
  }

  #fail(fault: FaultPlan, answer: FailingAnswer): void {
    const pacer = this.#pacer;
    const { bytes, token, attempt } = answer;
    const at = fault.at % bytes.length;
    switch (fault.kind) {
      case 'reset':
        pacer.send(bytes.subarray(0, at));
        pacer.call(() => this.#stream.abort());
        break;
      case 'end':
        pacer.send(bytes.subarray(0, at));
        pacer.call(() => this.#end());
        break;
      case 'stall':
        pacer.send(bytes.subarray(0, at));
        this.#isOver = true;
        break;
      case 'garbage':
        // In the head only: in a body of known length garbage is a body like any other.
        pacer.send(bytes.subarray(0, at % answer.headLength));
        pacer.send(latin1('\0\x01 garbage \r\n\r\n\x7f'));
        break;
      case 'contradiction':
        pacer.send(latin1('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n'));
        break;
      case 'shortLength':
        pacer.send(latin1(`HTTP/1.1 200 OK\r\nX-Token: t${token}\r\nX-Attempt: ${attempt}\r\nContent-Length: 3\r\n\r\n`));
        pacer.send(positionalBytes(8, answerSeed(token, attempt)));
        break;
      case 'storm':
        pacer.send(latin1('HTTP/1.1 100 Continue\r\n\r\n'.repeat(20)));
        pacer.send(bytes);
        break;
    }
  }

  #end(): void {
    this.#isOver = true;
    this.#stream.end();
  }
}

/** The token that a message carries; 0 if none. */
export function tokenOf(message: WireMessage): Token {
  return tokenFrom(fieldOf(message, 'x-token'));
}
