/** Pipes: a subrequest answers another exchange. The target is an exchange in memory itself, so that both keep the same rules. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { applicationError, ioError } from '@ferrata/error';
import { HeaderMap } from '@ferrata/headers';
import { type HttpEnvironment, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import type { Subrequest } from '../../src/subrequest/subrequest.ts';
import type { PipeOptions, PipeResult, PipeTask, SubrequestPipe } from '../../src/subrequest/subrequest-pipe.ts';
import { type OpenInit, type PipeInit, Subrequests } from '../../src/subrequest/subrequests.ts';
import { bytes, clientInfo, RecordingSubrequestSink, Rig, response, settle, text } from './rig.ts';

/** A client, whose exchange is the target; behind it an application that pipes; behind that one whose exchange a test answers. */
class PipeRig {
  readonly environment: HttpEnvironment;
  readonly front: Rig;
  readonly back = new Rig();
  readonly sink = new RecordingSubrequestSink();
  pipe: SubrequestPipe | null = null;
  client: Subrequest | null = null;
  target: ServerExchange | null = null;
  results: PipeResult[] = [];
  #subrequests: Subrequests | null = null;

  constructor() {
    this.front = new Rig();
    this.environment = this.front.environment;
  }

  subrequestsOf(target: ServerExchange): Subrequests {
    const parent = { request: target.request, client: clientInfo, depth: 0 };
    return (this.#subrequests ??= new Subrequests({ application: this.back.application, environment: this.environment, parent }));
  }

  /** The target's handler passes on to the last pipe whatever it hears. */
  async begin(client: OpenInit, init: PipeInit, options: PipeOptions = {}): Promise<void> {
    const onRequest = (target: ServerExchange): ServerExchangeHandler => {
      this.target = target;
      this.#pipeTo(target, init, options);
      return {
        onRequestData: (chunk) => this.pipe?.onRequestData(chunk),
        onRequestEnd: (trailers) => this.pipe?.onRequestEnd(trailers),
        onResponseDrain: () => this.pipe?.onResponseDrain(),
        onExchangeClose: (error) => {
          this.pipe?.onExchangeClose(error);
          this.#subrequests?.handleParentEnd(error);
        },
      };
    };
    this.client = this.front.subrequests.open({ ...client, application: { onRequest } }, this.sink);
    await settle();
  }

  /** Pipes another subrequest to the same target. */
  async next(init: PipeInit, options: PipeOptions = {}): Promise<void> {
    this.#pipeTo(this.target as ServerExchange, init, options);
    await settle();
  }

  #pipeTo(target: ServerExchange, init: PipeInit, options: PipeOptions): void {
    this.pipe = this.subrequestsOf(target).pipe(init, target, options);
    void this.pipe.done.then((result) => this.results.push(result));
  }

  get result(): PipeResult {
    return this.results.at(-1) as PipeResult;
  }
  get exchange(): ServerExchange {
    return this.back.exchange;
  }
}

describe('a pipe', () => {
  it('makes the response of the subrequest that of the target: interim, head, body, trailers', async () => {
    const rig = new PipeRig();
    await rig.begin({}, { request: { target: '/behind' } });
    assert.equal(rig.exchange.request.target, '/behind');
    rig.exchange.sendInterim(response(103, { Link: '</a>' }));
    rig.exchange.sendHead(response(201, { 'X-A': '1' }), BodyLength.chunked);
    rig.exchange.sendData(bytes('ab'));
    rig.exchange.sendEnd(HeaderMap.from({ 'X-Sum': '1' }));
    await settle();
    assert.deepEqual(rig.sink.heard, ['interim 103', 'head 201', 'data', 'end', 'close']);
    assert.equal(rig.sink.heads[0]?.headers.get('x-a'), '1');
    assert.equal(rig.sink.trailers?.get('x-sum'), '1');
    assert.deepEqual(rig.result, { status: 201, error: null, isAnswered: true, inheritedBytes: 0, savedBody: null });
  });

  it('feeds the body of the client only when the subrequest wants it, at its pace', async () => {
    const rig = new PipeRig();
    rig.back.onRequest = (exchange) => exchange.pauseRequest();
    await rig.begin({ body: 'stream', bodyLength: 100_000 }, { body: 'inherit' });
    rig.client?.sendData(new Uint8Array(50_000));
    await settle();
    assert.equal(rig.target?.requestBytes, 0);
    assert.equal(rig.exchange.requestBodyLength, 100_000);
    rig.exchange.resumeRequest();
    await settle();
    assert.equal(rig.exchange.requestBytes, 50_000);
    rig.exchange.pauseRequest();
    for (let count = 0; count < 50; count++) {
      rig.client?.sendData(new Uint8Array(1000));
      await settle();
    }
    assert.equal(rig.exchange.requestBytes, 50_000);
    rig.client?.sendEnd();
    rig.exchange.resumeRequest();
    await settle();
    assert.equal(rig.exchange.requestBytes, 100_000);
    assert.equal(rig.back.last.heard.at(-1), 'end');
  });

  it('holds the client when 64 KiB wait for a subrequest that does not read on', async () => {
    const rig = new PipeRig();
    await rig.begin({ body: 'stream' }, { body: 'inherit' });
    rig.exchange.pauseRequest();
    let taken = 0;
    while (taken < 1_000_000 && rig.client?.sendData(new Uint8Array(4096)) === true) {
      taken += 4096;
      await settle();
    }
    assert.ok(taken >= 65_536 && taken <= 3 * 65_536, `${taken}`);
    rig.exchange.resumeRequest();
    await settle();
    assert.equal(rig.exchange.requestBytes, taken + 4096);
  });

  it('a client without a body has none to inherit', async () => {
    const rig = new PipeRig();
    await rig.begin({}, { body: 'inherit' });
    assert.equal(rig.exchange.requestBodyLength, 0);
    assert.deepEqual(rig.back.last.heard, ['end']);
  });

  it('with a body of its own, or none, it leaves that of the client where it is', async () => {
    for (const body of ['none', bytes('own')] as const) {
      const rig = new PipeRig();
      await rig.begin({ body: bytes('of the client') }, { body });
      assert.deepEqual(rig.back.last.heard, body === 'none' ? ['end'] : ['data own', 'end']);
      respond(rig.exchange, 200, {});
      await settle();
      assert.equal(rig.target?.requestBytes, 0);
      assert.equal(rig.result.inheritedBytes, 0);
      assert.deepEqual(rig.sink.heard, ['head 200', 'end', 'close']);
    }
  });

  it('the response goes at the pace of the client', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    rig.client?.pause();
    rig.exchange.sendHead(response(200), BodyLength.chunked);
    let sent = 0;
    while (sent < 1_000_000 && rig.exchange.sendData(new Uint8Array(4096))) {
      sent += 4096;
      await settle();
    }
    assert.ok(sent >= 65_536 && sent <= 3 * 65_536, `${sent}`);
    rig.client?.resume();
    await settle();
    assert.equal(rig.back.last.heard.at(-1), 'drain');
    rig.exchange.sendEnd();
    await settle();
    assert.equal(rig.sink.body.length, sent + 4096);
    assert.equal(rig.result.isAnswered, true);
  });

  it('an answer to HEAD keeps the length it speaks of', async () => {
    const rig = new PipeRig();
    await rig.begin({ request: { method: 'HEAD' } }, {});
    respond(rig.exchange, 200, { body: 'hello' });
    await settle();
    assert.equal(rig.sink.heads[0]?.headers.get('content-length'), '5');
    assert.deepEqual(rig.sink.heard, ['head 200', 'end', 'close']);
  });

  it('an answer to a HEAD of its own is one without a body for a client that said GET', async () => {
    const rig = new PipeRig();
    await rig.begin({}, { request: { method: 'HEAD' } });
    respond(rig.exchange, 200, { body: 'hello' });
    await settle();
    assert.equal(rig.sink.heads[0]?.headers.get('content-length'), '0');
    assert.deepEqual(rig.sink.heard, ['head 200', 'end', 'close']);
  });

  it('passes 100 (Continue) on to a client that waits for it', async () => {
    const rig = new PipeRig();
    await rig.begin({ request: { method: 'POST', headers: { Expect: '100-continue' } }, body: 'stream' }, { body: 'inherit' });
    assert.equal(rig.exchange.expectsContinue, true);
    rig.exchange.sendInterim(response(100));
    await settle();
    assert.deepEqual(rig.sink.heard, ['interim 100']);
  });
});

describe('the filter of a pipe', () => {
  it('maps every piece, in order', async () => {
    const rig = new PipeRig();
    const kinds: string[] = [];
    const filter = (task: PipeTask): PipeTask => {
      kinds.push(task.kind);
      if (task.kind === 'head') return { ...task, head: response(207), bodyLength: BodyLength.chunked };
      if (task.kind === 'data') return { ...task, chunk: bytes(`<${text(task.chunk)}>`) };
      if (task.kind === 'end') return { ...task, trailers: HeaderMap.from({ 'X-Sum': 'new' }) };
      return task;
    };
    await rig.begin({}, {}, { filter });
    rig.exchange.sendInterim(response(103));
    respond(rig.exchange, 200, { body: 'ab' });
    await settle();
    assert.deepEqual(kinds, ['interim', 'head', 'data', 'end']);
    assert.deepEqual([rig.sink.heads[0]?.status, rig.sink.body, rig.sink.trailers?.get('x-sum')], [207, '<ab>', 'new']);
    assert.equal(rig.result.status, 200);
  });

  it('drops: without a head nothing reaches the target, and a second pipe may answer it', async () => {
    const rig = new PipeRig();
    const seen: string[] = [];
    await rig.begin({}, {}, { filter: (task) => (seen.push(task.kind) > 0 ? null : task) });
    respond(rig.exchange, 401, { body: 'no' });
    await settle();
    assert.deepEqual(seen, ['head', 'data', 'end']);
    assert.deepEqual(rig.sink.heard, []);
    assert.deepEqual(rig.result, { status: 401, error: null, isAnswered: false, inheritedBytes: 0, savedBody: null });
    await rig.next({});
    respond(rig.exchange, 200, { body: 'yes' });
    await settle();
    assert.deepEqual([rig.sink.heads[0]?.status, rig.sink.body], [200, 'yes']);
    assert.equal(rig.result.isAnswered, true);
  });

  it('without the end the target waits, and a second pipe may add to the body', async () => {
    const rig = new PipeRig();
    await rig.begin(
      {},
      {},
      {
        filter: (task) => (task.kind === 'end' ? null : task.kind === 'head' ? { ...task, bodyLength: BodyLength.chunked } : task),
      },
    );
    respond(rig.exchange, 200, { body: 'one ' });
    await settle();
    assert.equal(rig.result.isAnswered, false);
    await rig.next({}, { filter: (task) => (task.kind === 'head' ? null : task) });
    respond(rig.exchange, 200, { body: 'two' });
    await settle();
    assert.equal(rig.sink.body, 'one two');
    assert.deepEqual(rig.sink.heard.slice(-2), ['end', 'close']);
  });

  it('a length that is not true any more is an error that everybody sees', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {}, { filter: (task) => (task.kind === 'data' ? { ...task, chunk: bytes('longer') } : task) });
    respond(rig.exchange, 200, { body: 'ab' });
    await settle();
    assert.deepEqual(rig.sink.heard, ['head 200', 'close BODY_LENGTH_WRONG']);
    assert.equal(rig.result.isAnswered, false);
    assert.ok(rig.result.error !== null);
  });

  it('a throw cancels the subrequest; the target is untouched before the head, and cut after it', async () => {
    for (const kind of ['head', 'data', 'end']) {
      const rig = new PipeRig();
      await rig.begin(
        {},
        {},
        {
          filter(task) {
            if (task.kind === kind) throw new Error('bug');
            return task;
          },
        },
      );
      respond(rig.exchange, 200, { body: 'ab' });
      await settle();
      assert.equal(rig.result.error?.reason, 'SINK_THREW');
      const heard = { head: [], data: ['head 200'], end: ['head 200', 'data'] }[kind] ?? [];
      assert.deepEqual(rig.sink.heard, kind === 'head' ? [] : [...heard, 'close SINK_THREW']);
    }
  });
});

describe('the saved body of a pipe', () => {
  it('is what the next subrequest may have, if it was whole and no more than saveBodyBytes', async () => {
    for (const [limit, saved] of [
      [6, 'abcdef'],
      [5, null],
      [0, null],
    ] as const) {
      const rig = new PipeRig();
      await rig.begin({ body: 'stream' }, { body: 'inherit' }, { saveBodyBytes: limit, filter: () => null });
      rig.client?.sendData(bytes('abc'));
      await settle();
      rig.client?.sendData(bytes('def'));
      rig.client?.sendEnd();
      await settle();
      assert.deepEqual(rig.back.last.heard, ['data abc', 'data def', 'end']);
      respond(rig.exchange, 200, {});
      await settle();
      assert.equal(rig.result.savedBody === null ? null : text(rig.result.savedBody), saved);
      assert.equal(rig.result.inheritedBytes, 6);
      if (rig.result.savedBody === null) continue;
      await rig.next({ body: rig.result.savedBody });
      assert.deepEqual(rig.back.last.heard, ['data abcdef', 'end']);
    }
  });

  it('is none if its end had not come', async () => {
    const rig = new PipeRig();
    await rig.begin({ body: 'stream' }, { body: 'inherit' }, { saveBodyBytes: 99, filter: () => null });
    rig.client?.sendData(bytes('abc'));
    await settle();
    respond(rig.exchange, 200, {});
    await settle();
    assert.equal(rig.result.savedBody, null);
    assert.equal(rig.result.inheritedBytes, 3);
  });

  it('a body that was not asked for is still there for another one', async () => {
    const rig = new PipeRig();
    rig.back.onRequest = (exchange) => {
      exchange.pauseRequest();
      respond(exchange, 401, {});
    };
    await rig.begin({ body: bytes('abc') }, { body: 'inherit' }, { filter: () => null });
    assert.equal(rig.result.inheritedBytes, 0);
    rig.back.onRequest = () => undefined;
    await rig.next({ body: 'inherit' });
    assert.deepEqual(rig.back.last.heard, ['data abc', 'end']);
    respond(rig.exchange, 200, {});
    await settle();
    assert.deepEqual(rig.sink.heard, ['head 200', 'end', 'close']);
    assert.equal(rig.result.inheritedBytes, 3);
  });

  it('a bound that makes none is a RangeError, and the target is untouched', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    const target = rig.target as ServerExchange;
    assert.throws(() => rig.subrequestsOf(target).pipe({}, target, { saveBodyBytes: -1 }), RangeError);
  });
});

describe('failures of a pipe', () => {
  it('#329 a subrequest that ends silently is reported as having sent no response, and the target is untouched', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    rig.exchange.abort(ioError('GONE', 'x', { wire: { status: 0 } }));
    await settle();
    assert.deepEqual([rig.result.status, rig.result.error?.reason, rig.result.isAnswered], [0, 'SUBREQUEST_NO_RESPONSE', false]);
    assert.deepEqual(rig.sink.heard, []);
    const target = rig.target as ServerExchange;
    respond(target, 503, {});
    await settle();
    assert.deepEqual(rig.sink.heard, ['head 503', 'end', 'close']);
  });

  it('an error before the response is one, which the target gets whole', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(rig.sink.heard, ['head 502', 'data', 'end', 'close']);
    assert.deepEqual([rig.result.status, rig.result.error?.reason, rig.result.isAnswered], [502, 'UPSTREAM_GONE', true]);
  });

  it('an error in the middle cuts the target', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    rig.exchange.sendHead(response(200), 10);
    rig.exchange.sendData(bytes('ab'));
    rig.exchange.abort(ioError('UPSTREAM_GONE', 'x'));
    await settle();
    assert.deepEqual(rig.sink.heard, ['head 200', 'data', 'close UPSTREAM_GONE']);
    assert.equal(rig.result.isAnswered, false);
  });

  it('a client that goes ends the subrequest', async () => {
    const rig = new PipeRig();
    await rig.begin({ body: 'stream' }, { body: 'inherit' });
    rig.client?.cancel(applicationError('GONE'));
    await settle();
    assert.deepEqual(rig.back.last.heard, ['close SUBREQUEST_PARENT_ENDED']);
    assert.equal(rig.result.error?.reason, 'SUBREQUEST_PARENT_ENDED');
  });

  it('a target that somebody else answers ends the subrequest', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    respond(rig.target as ServerExchange, 200, {});
    await settle();
    assert.deepEqual(rig.back.last.heard, ['end', 'close SUBREQUEST_PARENT_ENDED']);
    assert.deepEqual(rig.sink.heard, ['head 200', 'end', 'close']);
  });

  it('a target that is over already is no target', async () => {
    const rig = new PipeRig();
    await rig.begin({}, {});
    respond(rig.exchange, 200, {});
    await settle();
    const pipe = new Rig().subrequests.pipe({}, rig.target as ServerExchange);
    await settle();
    assert.equal((await pipe.done).error?.reason, 'SUBREQUEST_PARENT_ENDED');
  });

  it('cancelled by its maker, before and after the head', async () => {
    for (const hasHead of [false, true]) {
      const rig = new PipeRig();
      await rig.begin({}, {});
      if (hasHead) rig.exchange.sendHead(response(200), 10);
      await settle();
      rig.pipe?.cancel();
      await settle();
      assert.equal(rig.result.error?.reason, 'SUBREQUEST_CANCELLED');
      assert.deepEqual(rig.sink.heard, hasHead ? ['head 200', 'close SUBREQUEST_CANCELLED'] : []);
    }
  });
});
