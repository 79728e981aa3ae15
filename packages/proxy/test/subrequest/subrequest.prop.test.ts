/**
 * Any order of pieces, pauses, drains, ends and failures on both sides of a subrequest. The laws:
 * - what is heard is the beginning of what was said, in order; all of it if the end is heard; otherwise an error is;
 * - each side hears exactly one close, and nothing behind it;
 * - nobody is called while paused, nor from inside a method (but `onExchangeClose` from `sendEnd` and `abort`);
 * - what waits is bounded for whoever looks at what `sendData` returns.
 */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, type WireError } from '@ferrata/error';
import type { ServerExchange, ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import fc from 'fast-check';
import type { Subrequest, SubrequestSink } from '../../src/subrequest/subrequest.ts';
import { Rig, response, settle } from './rig.ts';

type Step =
  | { readonly do: 'feed' | 'say'; readonly size: number }
  | {
      readonly do:
        | 'feedEnd'
        | 'sayEnd'
        | 'holdRequest'
        | 'resumeRequest'
        | 'pause'
        | 'resume'
        | 'interim'
        | 'head'
        | 'turn'
        | 'cancel'
        | 'abort'
        | 'time';
    };

const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 9 }) },
  fc.integer({ min: 1000, max: 40_000 }),
  fc.constantFrom(65_535, 65_536, 70_000),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constantFrom('feed' as const, 'say' as const), size }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom('turn' as const, 'holdRequest' as const, 'resumeRequest' as const, 'pause' as const, 'resume' as const),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('feedEnd' as const, 'sayEnd' as const, 'interim' as const, 'head' as const, 'time' as const),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('cancel' as const, 'abort' as const) }) },
);

/** Bytes of which each tells its place. */
class Tape {
  #at = 0;
  /** The next piece. It counts as written once `commit` says that it was taken. */
  peek(length: number): Uint8Array {
    return Uint8Array.from({ length }, (_, index) => (this.#at + index) % 251);
  }
  commit(length: number): void {
    this.#at += length;
  }
  check(chunk: Uint8Array): void {
    for (const [index, byte] of chunk.entries()) if (byte !== (this.#at + index) % 251) assert.fail(`wrong byte at ${this.#at + index}`);
    this.#at += chunk.length;
  }
  get length(): number {
    return this.#at;
  }
}

class Model implements ServerExchangeHandler, SubrequestSink {
  readonly rig = new Rig();
  readonly sub: Subrequest;
  exchange: ServerExchange | null = null;
  readonly fed = new Tape();
  readonly heardRequest = new Tape();
  readonly said = new Tape();
  readonly heardResponse = new Tape();
  readonly appHeard: string[] = [];
  readonly sinkHeard: string[] = [];
  appClose: WireError | null | undefined;
  sinkClose: WireError | null | undefined;
  isRequestHeld = false;
  isPaused = false;
  isInside = false;
  mayFeed = true;
  hasFedEnd = false;
  maySay = true;
  readonly #responseLength: number;

  constructor(lengths: { readonly request: number; readonly response: number }) {
    this.#responseLength = lengths.response;
    const application = {
      onRequest: (exchange: ServerExchange): ServerExchangeHandler => {
        this.#outside();
        this.exchange = exchange;
        return this;
      },
    };
    const init = { application, body: 'stream' as const, bodyLength: lengths.request, timeoutMs: 1_000_000 };
    this.sub = this.rig.subrequests.open({ ...init, request: { method: 'POST' } }, this);
  }

  #outside(): void {
    assert.equal(this.isInside, false, 'called from inside a method');
  }
  #hear(heard: string[], what: string): void {
    assert.ok(!heard.includes('close'), `${what} behind the close`);
    if (heard.at(-1) !== what || what !== 'data') heard.push(what);
  }

  onRequestData(chunk: Uint8Array): void {
    this.#outside();
    assert.equal(this.isRequestHeld, false);
    this.#hear(this.appHeard, 'data');
    this.heardRequest.check(chunk);
  }
  onRequestEnd(): void {
    this.#outside();
    assert.equal(this.isRequestHeld, false);
    this.#hear(this.appHeard, 'end');
  }
  onResponseDrain(): void {
    this.#outside();
    assert.equal(this.maySay, false, 'a drain that nobody waits for');
    this.maySay = true;
  }
  onExchangeClose(error: WireError | null): void {
    this.#hear(this.appHeard, 'close');
    this.appClose = error;
  }

  onInterim(): void {
    this.#outside();
    assert.equal(this.isPaused, false);
    this.#hear(this.sinkHeard, 'interim');
  }
  onResponse(): void {
    this.#outside();
    assert.equal(this.isPaused, false);
    this.#hear(this.sinkHeard, 'head');
  }
  onData(chunk: Uint8Array): void {
    this.#outside();
    assert.equal(this.isPaused, false);
    this.#hear(this.sinkHeard, 'data');
    // The answer to an error is nobody's piece.
    if (this.exchange?.responseBytes !== 0) this.heardResponse.check(chunk);
  }
  onEnd(): void {
    this.#outside();
    assert.equal(this.isPaused, false);
    this.#hear(this.sinkHeard, 'end');
  }
  onRequestDrain(): void {
    this.#outside();
    this.mayFeed = true;
  }
  onClose(error: WireError | null): void {
    this.#outside();
    this.#hear(this.sinkHeard, 'close');
    this.sinkClose = error;
  }

  /** Runs a command; what is misuse may be thrown. */
  #command(call: () => void): void {
    this.isInside = true;
    try {
      call();
    } catch (thrown) {
      assert.ok(thrown instanceof TypeError || thrown instanceof RangeError, String(thrown));
    } finally {
      this.isInside = false;
    }
  }

  /** What throws was not taken. */
  #feed(size: number): void {
    const wasClosed = this.sub.isClosed || this.exchange?.isClosed === true;
    this.mayFeed = this.sub.sendData(this.fed.peek(size)) || wasClosed;
    if (!wasClosed) this.fed.commit(size);
  }

  #say(exchange: ServerExchange, size: number): void {
    const wasClosed = exchange.isClosed;
    this.maySay = exchange.sendData(this.said.peek(size)) || wasClosed;
    if (!wasClosed) this.said.commit(size);
  }

  async run(step: Step): Promise<void> {
    const { sub, exchange } = this;
    switch (step.do) {
      case 'feed':
        if (this.mayFeed && !this.hasFedEnd) this.#command(() => this.#feed(step.size));
        assert.ok(this.fed.length - this.heardRequest.length <= 65_536 + 70_000 || this.appClose !== undefined || sub.isClosed);
        break;
      case 'say':
        if (exchange !== null && this.maySay) this.#command(() => this.#say(exchange, step.size));
        assert.ok(this.said.length - this.heardResponse.length <= 65_536 + 70_000 || this.appClose !== undefined || sub.isClosed);
        break;
      case 'feedEnd':
        this.#command(() => {
          sub.sendEnd();
          this.hasFedEnd = true;
        });
        break;
      case 'sayEnd':
        this.#command(() => exchange?.sendEnd());
        break;
      case 'holdRequest':
        if (exchange !== null) this.isRequestHeld = true;
        this.#command(() => exchange?.pauseRequest());
        break;
      case 'resumeRequest':
        this.isRequestHeld = false;
        this.#command(() => exchange?.resumeRequest());
        break;
      case 'pause':
        this.isPaused = true;
        this.#command(() => sub.pause());
        break;
      case 'resume':
        this.isPaused = false;
        this.#command(() => sub.resume());
        break;
      case 'interim':
        this.#command(() => exchange?.sendInterim(response(103)));
        break;
      case 'head':
        this.#command(() => exchange?.sendHead(response(200), this.#responseLength));
        break;
      case 'cancel':
        this.#command(() => sub.cancel());
        break;
      case 'abort':
        this.#command(() => exchange?.abort(applicationError('FAILED')));
        break;
      case 'time':
        this.rig.clock.advance(1000);
        break;
      case 'turn':
        await settle();
        break;
    }
  }

  /** Whatever has happened, both sides come to their end now. */
  async finish(): Promise<void> {
    for (const first of ['turn', 'resumeRequest', 'resume', 'turn'] as const) await this.run({ do: first });
    const isOver = this.sub.isClosed || this.exchange?.isClosed === true;
    assert.ok(isOver || this.hasFedEnd || this.mayFeed, 'nobody tells the maker to go on');
    assert.ok(isOver || this.maySay, 'nobody tells the application to go on');
    for (const last of ['feedEnd', 'turn', 'head', 'sayEnd', 'turn'] as const) await this.run({ do: last });
  }

  check(): void {
    const { appHeard, sinkHeard, appClose, sinkClose } = this;
    assert.match(sinkHeard.join(' '), /^(interim )*(head (data )?(end )?)?close$/);
    assert.notEqual(sinkClose, undefined);
    if (sinkClose === null) {
      assert.ok(sinkHeard.includes('end'));
      assert.equal(this.heardResponse.length, this.said.length, 'bytes of the response are missing');
    }
    if (this.exchange === null) assert.deepEqual(appHeard, []);
    else {
      assert.match(appHeard.join(' '), /^(data )?(end )?close$/);
      assert.notEqual(appClose, undefined);
      if (appHeard.includes('end')) assert.equal(this.heardRequest.length, this.fed.length, 'bytes of the request are missing');
    }
    assert.equal(this.rig.subrequests.size, 0);
    assert.equal(this.rig.environment.deadlines.size, 0);
    assert.equal(this.sub.isClosed, true);
  }
}

const length = fc.oneof(fc.constant(BodyLength.chunked), fc.integer({ min: 0, max: 100_000 }));

describe('any order of commands on both sides of a subrequest', () => {
  it('bytes in are bytes out or a visible error, and each side hears exactly one close', { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.record({ request: length, response: length }), fc.array(step, { maxLength: 60 }), async (lengths, steps) => {
        const model = new Model(lengths);
        await settle();
        for (const one of steps) await model.run(one);
        await model.finish();
        model.check();
      }),
      { numRuns: 400 },
    );
  });

  it('before the first turn, too', { timeout: 60_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        const model = new Model({ request: BodyLength.chunked, response: BodyLength.chunked });
        for (const one of steps) await model.run(one);
        await model.finish();
        model.check();
      }),
      { numRuns: 200 },
    );
  });
});
