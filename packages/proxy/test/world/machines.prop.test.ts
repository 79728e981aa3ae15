/**
 * The laws of codecs for the two machines, not only for their decoders: an exchange read in any cut gives the same events and the same answers
 * (I2), a machine takes no byte that is not its message's (I3), and whatever comes it ends in events or in one `WireError` (I6).
 */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { concatBytes } from '@ferrata/bytes';
import { WireError } from '@ferrata/error';
import { HeaderMap, HttpVersion, requestHead, responseHead } from '@ferrata/headers';
import { ClientConnection, MessageEvent, ServerConnection } from '@ferrata/http1';
import { type CutBytes, cutBytes, http1Pipelines, http1Responses, nearMisses } from '@ferrata/testkit';
import fc from 'fast-check';
import { latin1 } from './messages.ts';

const RUNS = 400 * Number(process.env['FERRATA_WORLDS'] ?? 1);

/** What a machine made of its input, independent of the cut. */
interface Account {
  readonly events: string[];
  readonly error: string | null;
  readonly output: string;
  /** Bytes beyond what was looked at, when the machine was done. */
  readonly left: number;
  readonly steps: number;
}

/** Answers each request with as many bytes as its body had, as soon as it is whole. */
function serve(chunks: readonly Uint8Array[], wrap: (machine: ServerConnection) => ServerConnection = (machine) => machine): Account {
  const machine = wrap(new ServerConnection(0));
  const events: string[] = [];
  let output = '';
  let error: string | null = null;
  let steps = 0;
  let body = 0;
  const pump = (): void => {
    while (machine.nextEvent(0)) {
      steps++;
      if (machine.event === MessageEvent.head) {
        const { method, target, headers } = machine.request;
        body = 0;
        events.push(
          `${method} ${target} ${JSON.stringify([...headers])} ${machine.requestBodyLength} ${machine.upgrade} ${machine.expectsContinue}`,
        );
      } else if (machine.event === MessageEvent.data) {
        body += machine.data.length;
        joinData(events, machine.data);
      } else {
        events.push(`end ${JSON.stringify(machine.trailers === null ? [] : [...machine.trailers])}`);
        const bytes = new Uint8Array(body).fill(0x61);
        if (machine.request.method === 'CONNECT') {
          machine.sendHead(responseHead(405, {}), 0);
        } else {
          machine.sendHead(responseHead(200, {}), bytes.length);
          machine.sendData(bytes);
        }
        machine.sendEnd();
      }
    }
    output += text(machine.takeOutput());
  };
  try {
    for (const chunk of chunks) {
      machine.receive(chunk, 0);
      pump();
    }
    machine.receiveEnd();
    pump();
  } catch (thrown) {
    error = reasonOf(thrown, () => void machine.nextEvent(0));
    output += text(machine.takeOutput());
  }
  return { events, error, output, left: machine.bufferedBytes, steps };
}

/** Asks one request, and reads what comes. */
function ask(method: string, chunks: readonly Uint8Array[]): Account {
  const machine = new ClientConnection(0);
  machine.sendHead(requestHead(method, '/', { headers: HeaderMap.from({ host: 'a' }), version: HttpVersion.http11 }), 0, null, 0);
  const events: string[] = [];
  let error: string | null = null;
  let steps = 0;
  let isEnded = false;
  const pump = (): void => {
    while (!isEnded && machine.nextEvent()) {
      steps++;
      if (machine.event === MessageEvent.head) {
        const { status, reason, headers } = machine.response;
        events.push(`${status} ${reason} ${JSON.stringify([...headers])} ${machine.responseBodyLength} ${machine.isInterim}`);
      } else if (machine.event === MessageEvent.data) {
        joinData(events, machine.data);
      } else {
        events.push(`end ${JSON.stringify(machine.trailers === null ? [] : [...machine.trailers])}`);
        isEnded = true;
      }
    }
  };
  try {
    for (const chunk of chunks) {
      machine.receive(chunk, 0);
      pump();
    }
    if (!isEnded) {
      machine.receiveEnd();
      pump();
    }
  } catch (thrown) {
    error = reasonOf(thrown, () => void machine.nextEvent());
  }
  return { events, error, output: text(machine.takeOutput()), left: isEnded ? machine.bufferedBytes : 0, steps };
}

function joinData(events: string[], data: Uint8Array): void {
  const last = events.length - 1;
  const hex = Buffer.from(data).toString('hex');
  if (events[last]?.startsWith('data ') === true) events[last] += hex;
  else events.push(`data ${hex}`);
}

function text(chunks: readonly Uint8Array[]): string {
  return Buffer.concat(chunks).toString('latin1');
}

/** The reason of a `WireError`, which must be final: thrown again by the next call. */
function reasonOf(thrown: unknown, again: () => void): string {
  assert.ok(thrown instanceof WireError, `threw ${String(thrown)}`);
  assert.throws(again, (second) => second === thrown);
  return thrown.reason;
}

/** An account without what the cut may change. */
function lasting({ events, error, output }: Account): unknown {
  return { events, error, output };
}

function checkServer({ bytes, chunks }: CutBytes): void {
  const whole = serve([bytes]);
  const cut = serve(chunks);
  assert.deepEqual(lasting(cut), lasting(whole));
  assert.ok(cut.steps <= 2 * bytes.length + 4, `${cut.steps} steps for ${bytes.length} bytes`);
}

const pipelines = http1Pipelines().map((requests) => ({ requests, bytes: concatBytes(requests.map(({ bytes }) => bytes)) }));
const responses = http1Responses();

describe('ServerConnection', () => {
  test('reads and answers the same in any cut of valid pipelines (I2)', () => {
    fc.assert(fc.property(cutBytes(pipelines.map(({ bytes }) => bytes)), checkServer), { numRuns: RUNS });
  });

  test('reads and answers the same in any cut of any bytes, or ends in one WireError (I2, I6)', () => {
    fc.assert(fc.property(cutBytes(nearMisses(pipelines.map(({ bytes }) => bytes))), checkServer), { numRuns: 2 * RUNS });
    fc.assert(fc.property(cutBytes(fc.uint8Array({ maxLength: 200 })), checkServer), { numRuns: RUNS });
  });

  test('finds each request of a pipeline, and leaves what follows the last one untouched (I3)', () => {
    fc.assert(
      fc.property(http1Pipelines(1), fc.uint8Array({ minLength: 1, maxLength: 50 }), ([request], tail) => {
        if (request === undefined) return;
        // The answer is kept back: the machine may not look at what follows.
        const machine = new ServerConnection(0);
        machine.receive(concatBytes([request.bytes, tail]), 0);
        while (machine.nextEvent(0));
        assert.ok(machine.isRequestDone);
        assert.equal(machine.bufferedBytes, tail.length);
        assert.deepEqual([...machine.takeRemaining()], [...tail]);
      }),
      { numRuns: RUNS },
    );
  });

  test('the laws can fail: a machine that looks at the size of its chunks is found', () => {
    const spoil = (machine: ServerConnection): ServerConnection => {
      const receive = machine.receive.bind(machine);
      machine.receive = (chunk, now) => receive(chunk.length === 7 ? chunk.slice(1) : chunk, now);
      return machine;
    };
    const details = fc.check(
      fc.property(cutBytes(pipelines.map(({ bytes }) => bytes)), ({ bytes, chunks }) =>
        assert.deepEqual(lasting(serve(chunks, spoil)), lasting(serve([bytes], spoil))),
      ),
      { numRuns: 2_000, seed: 5, endOnFailure: true },
    );
    assert.ok(details.failed);
  });
});

describe('ClientConnection', () => {
  const checkClient =
    (method: string) =>
    ({ bytes, chunks }: CutBytes): void => {
      const whole = ask(method, [bytes]);
      const cut = ask(method, chunks);
      assert.deepEqual(lasting(cut), lasting(whole));
      assert.ok(cut.steps <= 2 * bytes.length + 4, `${cut.steps} steps for ${bytes.length} bytes`);
    };

  for (const method of ['GET', 'HEAD']) {
    const own = responses.filter(({ requestMethod }) => (requestMethod === 'HEAD') === (method === 'HEAD')).map(({ bytes }) => bytes);

    test(`reads the answer to ${method} the same in any cut of any bytes, or ends in one WireError (I2, I6)`, () => {
      fc.assert(fc.property(cutBytes(own), checkClient(method)), { numRuns: RUNS });
      fc.assert(fc.property(cutBytes(nearMisses(own)), checkClient(method)), { numRuns: 2 * RUNS });
    });
  }

  test('leaves what follows an answer untouched, and is not reusable with it (I3, I8)', () => {
    fc.assert(
      fc.property(responses, fc.uint8Array({ minLength: 1, maxLength: 50 }), ({ requestMethod, bytes, framing, keepAlive }, tail) => {
        fc.pre(framing !== 'untilClose');
        const { events, error, left } = ask(requestMethod, [concatBytes([bytes, tail])]);
        assert.equal(error, null);
        assert.equal(events.at(-1)?.startsWith('end'), true);
        assert.equal(left, tail.length, `keepAlive ${keepAlive}`);
      }),
      { numRuns: RUNS },
    );
  });

  test('refuses a byte that comes when nothing was asked (I8)', () => {
    const machine = new ClientConnection(0);
    machine.receive(latin1('\r\n'), 0);
    assert.throws(
      () => machine.nextEvent(),
      (error) => error instanceof WireError && error.reason === 'H1_UNEXPECTED_BYTES',
    );
    assert.equal(machine.isReusable, false);
  });
});
