import assert from 'node:assert/strict';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { memoryPair } from '@ferrata/stream';
import {
  call,
  connectStream,
  drip,
  end,
  expect,
  expectClose,
  expectEnd,
  listenScript,
  playScript,
  RecordingSink,
  repeat,
  reset,
  ScriptFailure,
  script,
  send,
  skip,
  socketStream,
  stall,
  streamCompliance,
  wait,
} from '../../src/index.ts';

streamCompliance(
  'socketStream',
  async () => {
    const accepted = Promise.withResolvers<Socket>();
    const server = createServer({ allowHalfOpen: true }, accepted.resolve);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const a = await connectStream((server.address() as AddressInfo).port);
    const b = socketStream(await accepted.promise);
    server.close();
    return { a, b };
  },
  { runs: 8 },
);

describe('script', () => {
  test('two scripts talk to each other over a memory pair', async () => {
    const { a, b } = memoryPair();
    const server = script(a, [expect('hello '), expect(/wor(ld)?\n/), send('bye\n'), end(), expectEnd()]);
    const client = script(b, [send('hello '), send('world\n'), skip(3), expect('\n'), expectEnd()]);
    const [{ received, unused }] = await Promise.all([server, client]);
    assert.equal(new TextDecoder().decode(received), 'hello world\n');
    assert.equal(unused.byteLength, 0);
  });

  test('a pattern may come in pieces, and a global one keeps no memory', async () => {
    const { a, b } = memoryPair();
    const server = script(a, [repeat(2, [expect(/a+b/g)]), call((peer) => assert.equal(peer.unused().byteLength, 1))], { after: 'leave' });
    const client = script(b, [send('aa'), send('ab'), send('xxa'), send('bc')], { after: 'leave' });
    await Promise.all([server, client]);
    assert.equal(a.state, 'open');
  });

  test('an expectation that is not met fails with what came instead', async () => {
    const { a, b } = memoryPair();
    const server = script(a, [expect('right')]);
    b.attach(new RecordingSink());
    b.write(new TextEncoder().encode('wrong'));
    await assert.rejects(
      server,
      (error: unknown) => error instanceof ScriptFailure && error.unused === 'wrong' && error.message.includes('"right"'),
    );
  });

  for (const [title, steps, pattern] of [
    ['an end where bytes were expected', [expect('more')], /peer ended/],
    ['bytes where an end was expected', [expectEnd()], /bytes came before/],
  ] as const) {
    test(`${title} fails the script`, async () => {
      const { a, b } = memoryPair();
      const server = script(a, steps);
      b.attach(new RecordingSink());
      if (title.startsWith('bytes')) b.write(Uint8Array.of(1));
      b.end();
      await assert.rejects(server, pattern);
    });
  }

  test('a close where bytes or an end were expected fails the script, with the error as the cause', async () => {
    for (const step of [expect('more'), expectEnd()]) {
      const { a, b } = memoryPair();
      const server = script(a, [step]);
      b.abort();
      await assert.rejects(server, (error: unknown) => error instanceof ScriptFailure && error.cause !== undefined);
    }
  });

  test('drip, wait and stall take the time of the clock, and only that', async () => {
    const clock = new ManualClock();
    const { a, b } = memoryPair();
    const sink = new RecordingSink();
    b.attach(sink);
    const done = script(a, [drip('abc', 10), wait(5), stall(100), send('d')], { clock });
    const tick = async (ms: number): Promise<string> => {
      clock.advance(ms);
      await new Promise<void>((resolve) => setImmediate(resolve));
      return sink.text();
    };
    assert.equal(await tick(0), 'a');
    assert.equal(await tick(9), 'a');
    assert.equal(await tick(1), 'ab');
    assert.equal(await tick(10), 'abc');
    await tick(10);
    await tick(5);
    assert.equal(await tick(99), 'abc');
    assert.equal(await tick(1), 'abcd');
    await done;
  });

  test('reset comes after what was sent; stall without a time lasts until the close', async () => {
    const { a, b } = memoryPair();
    const sink = new RecordingSink();
    b.attach(sink);
    const done = script(a, [send('sent'), call(() => sink.untilBytes(4)), reset(), stall(), expectClose()]);
    await done;
    await sink.untilClose();
    assert.equal(sink.text(), 'sent');
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
  });

  test('send waits for room, and gives up when the stream closes', async () => {
    const { a, b } = memoryPair({ highWaterBytes: 4 });
    const sink = new RecordingSink();
    b.attach(sink);
    b.pause();
    const done = script(a, [send('more than fits'), send('next')], { after: 'leave' });
    await new Promise<void>((resolve) => setImmediate(resolve));
    assert.equal(a.bufferedBytes, 14);
    b.abort();
    await done;
  });
});

describe('listenScript', () => {
  test('plays a script with each real connection, chosen by its number', async () => {
    await using server = await listenScript((connection) => [expect('hi\n'), send(`you are ${connection}\n`), end(), expectEnd()]);
    await playScript(server.port, [send('hi\n'), expect('you are 0\n'), expectEnd()]);
    await playScript(server.port, [send('hi\n'), expect('you are 1\n'), expectEnd()]);
    assert.equal(server.connectionCount, 2);
    await Promise.all(server.results);
  });

  test('close reports a script that failed', async () => {
    const server = await listenScript([expect('this')]);
    await playScript(server.port, [send('that'), expectEnd()]).catch(() => {});
    await assert.rejects(server.results[0] as Promise<unknown>, ScriptFailure);
    await assert.rejects(server.close(), ScriptFailure);
  });

  test('a scripted reset reaches the peer as a reset, after the bytes before it', async () => {
    await using server = await listenScript([send('partial'), expect('go'), reset()]);
    const stream = await connectStream(server.port);
    const sink = new RecordingSink();
    stream.attach(sink);
    await sink.untilBytes(7);
    stream.write(new TextEncoder().encode('go'));
    await sink.untilClose();
    assert.equal(sink.text(), 'partial');
    assert.equal(sink.closeError?.reason, 'CONNECTION_RESET');
  });
});
