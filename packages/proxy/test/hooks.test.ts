/** The hooks: their order, and what becomes of a request whose hook throws, rejects, hangs or returns garbage. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { applicationError } from '@ferrata/error';
import { HttpEnvironment, HttpServer } from '@ferrata/http';
import { type AnswerableSession, HttpProxy, type ProxyHooks, type ProxySession } from '@ferrata/proxy';
import { memoryPair } from '@ferrata/stream';
import { type Peer, peer } from '@ferrata/upstream';
import { answering, get, ok, origin, Rig, readResponse, settle, Wire, when } from './rig.ts';

const withTrailers = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n';
const post = 'POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nab';

/** Every hook notes its call; `later` makes a promise of each result. */
function tracing(later: boolean, attempts: readonly Peer[] = [origin]): ProxyHooks<string[]> {
  const give = <T>(value: T): T => (later ? (Promise.resolve(value) as T) : value);
  const note = (trace: string[], line: string): void => void trace.push(line);
  const noted = <T>(trace: string[], line: string, value: T): T => {
    trace.push(line);
    return value;
  };
  return {
    newContext: () => ['newContext'],
    earlyRequestFilter: (_session, trace) => give(note(trace, 'earlyRequestFilter')),
    allowSpawningSubrequest: (_session, trace) => noted(trace, 'allowSpawningSubrequest', true),
    requestFilter: (_session, trace) => give((note(trace, 'requestFilter'), false)),
    proxyUpstreamFilter: (_session, trace) => give((note(trace, 'proxyUpstreamFilter'), true)),
    upstreamPeer: (session, trace) => give((note(trace, `upstreamPeer ${session.attempt}`), attempts[session.attempt - 1] ?? origin)),
    failToConnect: (_session, _peer, error, trace) => give(note(trace, `failToConnect ${error.reason}`)),
    connectedToUpstream: (_session, { isReused }, trace) => give(note(trace, `connectedToUpstream ${isReused ? 'again' : 'anew'}`)),
    upstreamRequestFilter: (_session, _request, trace) => give(note(trace, 'upstreamRequestFilter')),
    errorWhileProxy: (_session, _peer, error, trace) => note(trace, `errorWhileProxy ${error.reason}`),
    requestBodyFilter: (_session, chunk, trace) => give((note(trace, `requestBodyFilter ${chunk === null ? 'end' : chunk.length}`), chunk)),
    upstreamResponseFilter: (_session, response, trace) => give(note(trace, `upstreamResponseFilter ${response.status}`)),
    upstreamResponseBodyFilter: (_session, chunk, trace) =>
      give((note(trace, `upstreamResponseBodyFilter ${chunk === null ? 'end' : chunk.length}`), chunk)),
    upstreamResponseTrailerFilter: (_session, trailers, trace) => note(trace, `upstreamResponseTrailerFilter ${trailers.size}`),
    responseFilter: (_session, response, trace) => give(note(trace, `responseFilter ${response.status}`)),
    responseBodyFilter: (_session, chunk, trace) =>
      give((note(trace, `responseBodyFilter ${chunk === null ? 'end' : chunk.length}`), chunk)),
    responseTrailerFilter: (_session, trailers, trace) => give(note(trace, `responseTrailerFilter ${trailers.size}`)),
    failToProxy: (_session, error, trace) => give(note(trace, `failToProxy ${error.reason}`)),
    suppressErrorLog: (_session, error, trace) => noted(trace, `suppressErrorLog ${error.reason}`, false),
    requestSummary: (_session, trace) => noted(trace, 'requestSummary', 'a request'),
    logging: (_session, error, trace) => give(note(trace, `logging ${error?.reason ?? 'null'}`)),
  };
}

function traceOf(rig: Rig): string[] {
  let found: string[] = [];
  rig.contexts.forEach((context) => (found = context));
  return found;
}

describe('the order of the hooks', () => {
  for (const later of [false, true]) {
    const how = later ? 'asynchronous' : 'synchronous';
    test(`${how}: a request with a body`, async () => {
      const rig = new Rig({ hooks: tracing(later), origin: (wire) => when(wire, '0\r\n\r\n', () => wire.send(withTrailers)) });
      const client = await rig.ask(post);
      assert.equal(readResponse(client.text).body, 'ok');
      assert.deepEqual(traceOf(rig), [
        'newContext',
        'earlyRequestFilter',
        'allowSpawningSubrequest',
        'requestFilter',
        'proxyUpstreamFilter',
        'upstreamPeer 1',
        'connectedToUpstream anew',
        'upstreamRequestFilter',
        'requestBodyFilter 2',
        'requestBodyFilter end',
        'upstreamResponseFilter 200',
        'responseFilter 200',
        'upstreamResponseBodyFilter 2',
        'responseBodyFilter 2',
        'upstreamResponseBodyFilter end',
        'upstreamResponseTrailerFilter 1',
        'responseBodyFilter end',
        'responseTrailerFilter 1',
        'logging null',
      ]);
      await rig.finish(client);
    });

    test(`${how}: a request without one, to a peer that cannot be reached and then to another`, async () => {
      const dead = peer('10.0.0.3:80');
      const rig: Rig = new Rig({
        hooks: tracing(later, [dead, origin]),
        unreachable: dead,
        origin: answering('HTTP/1.1 204 No Content\r\n\r\n'),
      });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, 204);
      assert.deepEqual(traceOf(rig), [
        'newContext',
        'earlyRequestFilter',
        'allowSpawningSubrequest',
        'requestFilter',
        'proxyUpstreamFilter',
        'upstreamPeer 1',
        'failToConnect CONNECT_REFUSED',
        'upstreamPeer 2',
        'connectedToUpstream anew',
        'upstreamRequestFilter',
        'upstreamResponseFilter 204',
        'responseFilter 204',
        'logging null',
      ]);
      await rig.finish(client);
    });

    test(`${how}: an upstream that dies in the body`, async () => {
      const rig = new Rig({
        hooks: tracing(later),
        proxy: { onError: () => {} },
        origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab').reset()),
      });
      const client = await rig.ask(get);
      assert.deepEqual(traceOf(rig).slice(7), [
        'upstreamRequestFilter',
        'upstreamResponseFilter 200',
        // A filter that is awaited pauses the stream, and a reset overtakes what a paused reader has left.
        ...(later ? [] : ['responseFilter 200', 'upstreamResponseBodyFilter 2', 'responseBodyFilter 2']),
        'errorWhileProxy CONNECTION_RESET',
        'suppressErrorLog CONNECTION_RESET',
        'requestSummary',
        'failToProxy CONNECTION_RESET',
        'logging CONNECTION_RESET',
      ]);
      await rig.finish(client);
    });
  }

  test('an answer of requestFilter goes no further', async () => {
    const hooks = tracing(false);
    const rig = new Rig({
      hooks: {
        ...hooks,
        requestFilter: async (session) => {
          session.respond(403, { body: 'no' });
          return true;
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 403);
    assert.equal(readResponse(client.text).body, 'no');
    assert.deepEqual(traceOf(rig), ['newContext', 'earlyRequestFilter', 'allowSpawningSubrequest', 'logging null']);
    assert.equal(rig.last.outcome, 'completed');
    client.send(get);
    await settle();
    assert.equal(rig.logged.length, 2, 'the connection goes on');
    await rig.finish(client);
  });

  test('CONNECT is 405 before any filter', async () => {
    const rig = new Rig({ hooks: tracing(false) });
    const client = await rig.ask('CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n');
    assert.equal(readResponse(client.text).status, 405);
    assert.ok(client.hasEnded);
    assert.deepEqual(traceOf(rig), ['newContext', 'failToProxy CONNECT_NOT_ALLOWED', 'logging CONNECT_NOT_ALLOWED']);
    assert.equal(rig.last.outcome, 'rejected');
    await rig.finish(client);
  });
});

/** Those of the beginning and of the end have their own rules. */
type HookName = Exclude<
  keyof ProxyHooks<string[]>,
  | 'newContext'
  | 'onConnectionReuse'
  | 'adjustUpstreamModules'
  | 'failToProxy'
  | 'suppressErrorLog'
  | 'requestSummary'
  | 'logging'
  | 'persistConnectionContext'
>;

interface HookFacts {
  /** What it gives when all is well. */
  readonly gives?: unknown;
  /** The response has begun when the hook is called. */
  readonly hasResponded?: true;
  /** Nobody looks at what it gives, or its promise gives. */
  readonly ignoresResult?: true;
  /** Nobody waits for it: a promise is garbage. */
  readonly isSync?: true;
}

const hookNames: Record<HookName, HookFacts> = {
  earlyRequestFilter: { ignoresResult: true },
  allowSpawningSubrequest: { gives: false, isSync: true },
  requestFilter: { gives: false },
  proxyUpstreamFilter: { gives: true },
  upstreamPeer: { gives: origin },
  failToConnect: { ignoresResult: true },
  connectedToUpstream: { ignoresResult: true },
  upstreamRequestFilter: { ignoresResult: true },
  requestBodyFilter: { gives: null },
  errorWhileProxy: { isSync: true, ignoresResult: true },
  upstreamResponseFilter: { ignoresResult: true },
  upstreamResponseBodyFilter: { gives: null, hasResponded: true },
  upstreamResponseTrailerFilter: { isSync: true, ignoresResult: true, hasResponded: true },
  responseFilter: { ignoresResult: true },
  responseBodyFilter: { gives: null, hasResponded: true },
  responseTrailerFilter: { gives: null, hasResponded: true },
};

const faults = {
  throws: () => {
    throw new Error('boom');
  },
  rejects: () => Promise.reject(new Error('boom')),
  hangs: () => new Promise(() => {}),
  'returns garbage': () => 'garbage',
  'returns a promise of garbage': async () => 42,
} as const;

describe('a hook that fails ends its own request, once, and nothing else', () => {
  for (const [name, { gives, hasResponded, ignoresResult, isSync }] of Object.entries<HookFacts>(hookNames)) {
    for (const [how, fault] of Object.entries(faults)) {
      const isPromised = how !== 'throws' && how !== 'returns garbage';
      if (ignoresResult === true && how.includes('garbage') && !(isSync === true && isPromised)) continue;
      test(`${name} ${how}`, async () => {
        let failed = 0;
        const isConnectHook = name === 'failToConnect';
        const hooks = {
          failToProxy: () => void failed++,
          [name]: (session: ProxySession) => (session.request.target === '/bad' ? fault() : gives),
        } as Partial<ProxyHooks<string[]>>;
        const rig = new Rig({
          hooks,
          ...(isConnectHook ? { unreachable: origin } : {}),
          origin: (wire) => {
            let answered = 0;
            wire.onText = () => {
              if (name === 'errorWhileProxy' && wire.text.includes('/bad')) return void wire.reset();
              const whole = wire.text.split(/ab$|0\r\n\r\n|ab(?=POST)/).length - 1;
              for (; answered < whole; answered++) wire.send(name.includes('Trailer') ? withTrailers : ok);
            };
          },
        });
        const client = await rig.ask(post.replace('/', '/bad'));
        if (how === 'hangs' && isSync !== true) {
          assert.equal(failed, 0);
          await rig.pass(61_000);
        }
        assert.equal(failed, 1);
        assert.equal(rig.logged.length, 1);
        assert.equal(rig.last.outcome, 'failed');
        assert.equal(rig.last.error?.source, 'internal');
        const reasons: Readonly<Record<string, string>> = isSync === true ? {} : { rejects: 'HOOK_REJECTED', hangs: 'HOOK_TIMEOUT' };
        assert.equal(rig.last.error?.reason, how === 'throws' ? 'HOOK_THREW' : (reasons[how] ?? 'HOOK_RETURNED_GARBAGE'));
        const response = readResponse(client.text);
        if (hasResponded === true) {
          assert.equal(response.isComplete, false);
          assert.ok(client.isOver);
        } else {
          assert.equal(response.status, 500);
          assert.ok(response.isComplete);
        }
        if (!isConnectHook) {
          const other = await rig.ask(get.replace('GET', 'GET').replace('/', '/good'));
          rig.origins.at(-1)?.send('');
          other.reset();
        }
        await settle();
        await rig.finish(client);
      });
    }
  }
});

describe('failToProxy', () => {
  const failing = {
    upstreamPeer: (): never => {
      throw new Error('boom');
    },
  };

  for (const later of [false, true]) {
    test(`may answer by itself, ${later ? 'later' : 'at once'}; the error is logged all the same`, async () => {
      const rig = new Rig({
        hooks: {
          ...failing,
          failToProxy: (session, error) => {
            const answer = (): void => session.respond(503, { headers: { 'Retry-After': '1' }, body: error.reason });
            return later ? Promise.resolve().then(answer) : answer();
          },
        },
      });
      const client = await rig.ask(get);
      const response = readResponse(client.text);
      assert.equal(response.status, 503);
      assert.equal(response.body, 'HOOK_THREW');
      assert.match(response.head, /retry-after: 1/i);
      assert.equal(rig.last.error?.reason, 'HOOK_THREW');
      assert.equal(rig.last.status, 503);
      client.send(get);
      await settle();
      assert.equal(rig.logged.length, 2, 'the connection may go on');
      await rig.finish(client);
    });
  }

  for (const [how, fault] of Object.entries(faults)) {
    if (how.includes('garbage')) continue;
    test(`that ${how}: the status of the error is sent, and onHookFailed hears of it`, async () => {
      const rig = new Rig({ hooks: { ...failing, failToProxy: fault as () => Promise<void> } });
      const client = await rig.ask(get);
      if (how === 'hangs') await rig.pass(61_000);
      assert.equal(readResponse(client.text).status, 500);
      assert.equal(rig.last.error?.message.includes('boom'), true);
      assert.equal(rig.hookFailures.length, 1);
      await rig.finish(client);
    });
  }

  test('that is being waited for when the client goes: logged once, with the first error', async () => {
    const rig = new Rig({ hooks: { ...failing, failToProxy: () => new Promise(() => {}) } });
    const client = await rig.ask(get);
    client.reset();
    await settle();
    assert.equal(rig.last.error?.reason, 'HOOK_THREW');
    await rig.finish(client);
  });

  test('a status of the hook’s own error is sent', async () => {
    const rig = new Rig({
      hooks: {
        earlyRequestFilter: () => {
          throw applicationError('TOO_BUSY', 'later', { wire: { status: 503 } });
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 503);
    await rig.finish(client);
  });

  test('an answer of an error without a status is a close', async () => {
    const rig = new Rig({
      hooks: {
        requestFilter: (session) => {
          session.fail(applicationError('DROP', undefined, { wire: { status: 0 } }));
          return false;
        },
      },
    });
    const client = await rig.ask(get);
    assert.equal(client.text, '');
    assert.ok(client.wasReset);
    await rig.finish(client);
  });
});

describe('logging', () => {
  for (const how of ['throws', 'rejects'] as const) {
    test(`that ${how} costs the client nothing`, async () => {
      const rig = new Rig({ hooks: { logging: faults[how] } });
      const client = await rig.ask(get);
      client.send(get);
      await settle();
      assert.equal(rig.hookFailures.length, 2);
      assert.equal(readResponse(readResponse(client.text).rest).body, 'ok');
      await rig.finish(client);
    });
  }
  test('sees times, bytes, status and upstream', async () => {
    const rig = new Rig({ origin: (wire) => when(wire, 'ab', () => wire.send(ok)) });
    const client = await rig.ask(post);
    const { session } = rig.last;
    assert.equal(session.requestBytes, 2);
    assert.equal(session.responseBytes, 2);
    assert.equal(session.status, 200);
    assert.deepEqual(session.upstream?.remoteAddress, { kind: 'ip', host: '10.0.0.1', port: 80 });
    for (const time of Object.values(session.timing)) assert.ok(time >= 0);
    await rig.finish(client);
  });
});

describe('newContext', () => {
  for (const [how, make] of [
    ['throws', faults.throws],
    ['returns a promise', (): Promise<string[]> => Promise.reject(new Error('boom'))],
  ] as const) {
    test(`that ${how}: 500, told to onRefused`, async () => {
      const rig = new Rig({ hooks: { newContext: make as unknown as () => string[] } });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, 500);
      assert.equal(rig.refused.length, 1);
      assert.equal(rig.refused[0]?.status, 500);
      await rig.finish(client);
    });
  }
});

describe('session.respond and session.fail', () => {
  test('respond in responseFilter takes the place of the upstream’s response', async () => {
    for (const later of [false, true]) {
      const rig = new Rig({
        hooks: {
          responseFilter: async (session) => {
            if (later) await Promise.resolve();
            session.respond(451, { body: 'mine' });
          },
        },
      });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, 451);
      assert.equal(readResponse(client.text).body, 'mine');
      assert.equal(readResponse(client.text).rest, '');
      await rig.finish(client);
    }
  });
  test('a second answer is a TypeError', async () => {
    let thrown: unknown;
    const rig = new Rig({
      hooks: {
        requestFilter: (session) => {
          session.respond(200);
          try {
            session.respond(200);
          } catch (error) {
            thrown = error;
          }
          return true;
        },
      },
    });
    const client = await rig.ask(get);
    assert.ok(thrown instanceof TypeError);
    await rig.finish(client);
  });
  test('requestFilter that says true without an answer is 500', async () => {
    const rig = new Rig({ hooks: { requestFilter: () => true } });
    const client = await rig.ask(get);
    assert.equal(readResponse(client.text).status, 500);
    assert.equal(rig.last.error?.reason, 'NOT_ANSWERED');
    await rig.finish(client);
  });
  test('fail in the middle of a response cuts it, and cancels the upstream', async () => {
    let session: AnswerableSession | undefined;
    const rig = new Rig({
      hooks: { responseFilter: (it) => void (session = it) },
      origin: (wire) => when(wire, '\r\n\r\n', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab')),
    });
    const client = await rig.ask(get);
    session?.fail(applicationError('ENOUGH'));
    session?.fail(applicationError('AGAIN'));
    await settle();
    assert.equal(readResponse(client.text).isComplete, false);
    assert.ok(client.isOver);
    assert.ok(rig.origins[0]?.wasReset);
    assert.equal(rig.last.error?.reason, 'ENOUGH');
    await rig.finish(client);
  });
  test('edits that cannot be sent are 500, not a broken message', async () => {
    for (const hooks of [
      { upstreamRequestFilter: (_session, request) => void (request.target = 'no spaces here') },
      { responseFilter: (_session, response) => void (response.status = 42) },
    ] satisfies Partial<ProxyHooks<string[]>>[]) {
      const rig = new Rig({ hooks });
      const client = await rig.ask(get);
      assert.equal(readResponse(client.text).status, 500);
      assert.equal(rig.last.outcome, 'failed');
      await rig.finish(client);
    }
  });
});

describe('body filters', () => {
  const upper = (chunk: Uint8Array | null): Uint8Array | null =>
    chunk === null ? null : latin1Encode(latin1Decode(chunk, 0, chunk.length).toUpperCase());
  const echo: NonNullable<ConstructorParameters<typeof Rig>[0]>['origin'] = (wire) =>
    when(wire, '0\r\n\r\n', () => {
      const { body } = readResponse(`HTTP/1.1 200 OK\r\n${wire.text.slice(wire.text.indexOf('\r\n') + 2)}`);
      wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    });
  const chunks = ['one ', 'two ', 'three'];
  const chunked = `PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n${chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('')}0\r\n\r\n`;

  for (const later of [false, true]) {
    const give = (out: Uint8Array | null): Uint8Array | null =>
      later ? (Promise.resolve().then(() => out) as unknown as Uint8Array) : out;
    const how = later ? 'asynchronous' : 'synchronous';
    test(`${how}: change, and add at the end, in order, both ways`, async () => {
      const rig = new Rig({
        origin: echo,
        hooks: {
          requestBodyFilter: (_session, chunk) => give(chunk === null ? latin1Encode('!') : upper(chunk)),
          responseBodyFilter: (_session, chunk) => give(chunk ?? latin1Encode('?')),
        },
      });
      const client = await rig.ask(chunked);
      const response = readResponse(client.text);
      assert.equal(response.body, 'ONE TWO THREE!?');
      assert.match(response.head, /transfer-encoding: chunked/i);
      assert.doesNotMatch(response.head, /content-length/i);
      assert.ok(response.isComplete);
      await rig.finish(client);
    });
    test(`${how}: drop everything`, async () => {
      const rig = new Rig({ origin: echo, hooks: { requestBodyFilter: () => give(null), responseBodyFilter: () => give(null) } });
      const client = await rig.ask(chunked);
      assert.equal(readResponse(client.text).body, '');
      assert.ok(readResponse(client.text).isComplete);
      await rig.finish(client);
    });
    test(`${how}: trailers pass`, async () => {
      const rig = new Rig({
        origin: (wire) =>
          when(wire, 'X-In: 1\r\n\r\n', () =>
            wire.send('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Out: 2\r\n\r\n'),
          ),
        hooks: { requestBodyFilter: (_session, chunk) => give(chunk), responseBodyFilter: (_session, chunk) => give(chunk) },
      });
      const client = await rig.ask(chunked.replace('0\r\n\r\n', '0\r\nX-In: 1\r\n\r\n'));
      assert.equal(readResponse(client.text).trailers, 'X-Out: 2\r\n');
      await rig.finish(client);
    });
  }

  test('a response without a body has no filter called, and HEAD loses the length that nobody knows', async () => {
    let calls = 0;
    for (const [method, answer] of [
      ['HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n'],
      ['GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n'],
      ['GET', 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ] as const) {
      const rig = new Rig({ origin: answering(answer), hooks: { responseBodyFilter: () => latin1Encode(`${++calls}`) } });
      const client = await rig.ask(`${method} / HTTP/1.1\r\nHost: h\r\n\r\n`);
      const response = readResponse(client.text, { method });
      assert.ok(response.isComplete);
      assert.doesNotMatch(response.head, /content-length: 10/i);
      await rig.finish(client);
    }
    assert.equal(calls, 0);
  });

  test('an asynchronous responseFilter in the middle of an upload holds neither side for ever', async () => {
    const rig = new Rig({
      hooks: { responseFilter: async () => {} },
      origin: (wire) => {
        when(wire, 'first', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n'));
        when(wire, 'last!', () => wire.send('done'));
      },
    });
    const client = rig.connect().send('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nfirst');
    await settle();
    client.send('last!');
    await settle();
    assert.equal(readResponse(client.text).body, 'done');
    await rig.finish(client);
  });

  test('a filter that is slower than a full upstream does not push past it', async () => {
    const rig = new Rig({
      highWaterBytes: 1_000,
      hooks: { requestBodyFilter: async (_session, chunk) => chunk },
      origin: (wire) => wire.stream.pause(),
    });
    const client = rig.connect().send('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n');
    for (let piece = 0; piece < 100; piece++) client.send('x'.repeat(1_000));
    await settle();
    await settle();
    assert.ok(client.stream.bufferedBytes > 90_000, `the rest waits at the client: ${client.stream.bufferedBytes}`);
    rig.origins[0]?.stream.resume();
    for (let round = 0; round < 60; round++) await settle();
    assert.ok((rig.origins[0]?.text.split('x').length ?? 0) > 100_000);
    await rig.finish(client);
  });
});

test('a proxy without newContext: the hooks get undefined', async () => {
  const environment = new HttpEnvironment();
  const contexts: unknown[] = [];
  const proxy = new HttpProxy(
    {
      upstreamPeer: () => origin,
      requestFilter(session, context) {
        contexts.push(context);
        session.respond(204);
        return true;
      },
      logging: (_session, _error, context) => void contexts.push(context),
    },
    { environment },
  );
  const server = new HttpServer(proxy, { environment });
  const { a, b } = memoryPair();
  server.accept(b);
  const client = new Wire(a).send(get);
  await settle();
  assert.match(client.text, /^HTTP\/1\.1 204 /);
  assert.deepEqual(contexts, [undefined, undefined]);
  client.reset();
  await settle();
  server.close();
});
