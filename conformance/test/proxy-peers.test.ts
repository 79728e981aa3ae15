/** The suite `proxy-peers`: that what compares finds faults, and its command line. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { PassThrough, Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { seededRandom } from '@ferrata/clock';
import { Metadata, status } from '@grpc/grpc-js';
import { readRequests } from '../http1-readers/understanding.ts';
import { patternAt } from '../lifecycle/pattern.ts';
import { Transfer } from '../proxy-peers/bulk.ts';
import { drawHttp1, drawHttp2, type Meaning } from '../proxy-peers/drawn-requests.ts';
import { EventReader } from '../proxy-peers/events.ts';
import { compare, compareAll } from '../proxy-peers/forwarding.ts';
import { failedAs, ok, trailers } from '../proxy-peers/grpc.ts';
import { DETAILS, TRAILER_BYTES } from '../proxy-peers/grpc-origin.ts';
import { Stage, within } from '../proxy-peers/stage.ts';
import { sameMessages } from '../proxy-peers/websocket.ts';

const TASTES = { methods: ['GET', 'POST', 'OPTIONS'], takesAsterisk: true };
const meaning: Meaning = {
  method: 'POST',
  target: '/a?b',
  host: 'a.test',
  fields: [
    ['x-token', 't1'],
    ['x-a', '1'],
    ['x-a', '2'],
  ],
  body: 'hello',
  trailers: [['x-sum', 'abc']],
};
const reading = { malformed: [], dropsTrailers: false };

describe('what an origin has read', () => {
  test('is the message that was sent, in whatever order different names stand', () => {
    assert.equal(compare(meaning, meaning, false), null);
    assert.equal(
      compare(
        meaning,
        {
          ...meaning,
          fields: [
            ['x-a', '1'],
            ['x-token', 't1'],
            ['x-a', '2'],
          ],
        },
        false,
      ),
      null,
    );
  });

  test('is another message if anything is different', () => {
    const wrong: readonly [Partial<Meaning>, RegExp][] = [
      [{ method: 'GET' }, /^method/],
      [{ target: '/a' }, /^target/],
      [{ host: 'b.test' }, /^Host/],
      [{ fields: meaning.fields.slice(1) }, /^fields/],
      [{ fields: [...meaning.fields, ['x-b', '']] }, /^fields/],
      [
        {
          fields: [
            ['x-token', 't1'],
            ['x-a', '2'],
            ['x-a', '1'],
          ],
        },
        /^fields/,
      ],
      [{ body: 'hell' }, /^length of the body/],
      [{ body: 'hellO' }, /^hash of the body/],
      [{ trailers: [] }, /^trailers/],
      [{ trailers: [['x-sum', 'abd']] }, /^trailers/],
    ];
    for (const [change, problem] of wrong) assert.match(compare(meaning, { ...meaning, ...change }, false) ?? 'nothing', problem);
  });

  test('may lack trailers where they are dropped, and then only all of them', () => {
    assert.equal(compare(meaning, { ...meaning, trailers: [] }, true), null);
    assert.match(compare(meaning, { ...meaning, trailers: [['x-sum', '']] }, true) ?? '', /^trailers/);
  });

  test('is one message for each that was sent', () => {
    const sent = [{ token: 't1', meaning }];
    assert.deepEqual(compareAll(sent, [meaning], reading), [null]);
    assert.deepEqual(compareAll(sent, [], reading), ['the origin has read it 0 times']);
    assert.deepEqual(compareAll(sent, [meaning, meaning], reading), ['the origin has read it 2 times']);
    assert.match(compareAll(sent, [meaning, { ...meaning, fields: [] }], reading)[0] ?? '', /what nobody sent/);
    assert.match(compareAll(sent, [meaning], { ...reading, malformed: ['field line "x"'] })[0] ?? '', /could not read field line/);
  });
});

describe('drawn requests', () => {
  test('mean what a decoder reads of their bytes', () => {
    const random = seededRandom(3);
    for (let index = 0; index < 300; index++) {
      const { raw, meaning: own, token } = drawHttp1(random, `t${index}`, TASTES, false);
      const { requests, refusal } = readRequests(Buffer.from(raw, 'latin1'));
      assert.equal(refusal, null, raw.slice(0, 500));
      assert.equal(requests.length, 1);
      const [read] = requests;
      assert.ok(read !== undefined);
      assert.deepEqual([read.method, read.target, read.body, read.trailers], [own.method, own.target, own.body, own.trailers]);
      assert.ok(read.fields.some(([name, value]) => name === 'x-token' && value === token));
    }
  });

  test('are the same for a seed, and of every framing', () => {
    const draw = (): readonly string[] => {
      const random = seededRandom(5);
      return Array.from({ length: 200 }, (_, index) => drawHttp1(random, String(index), TASTES, index % 3 === 0).raw);
    };
    const all = draw();
    assert.deepEqual(draw(), all);
    for (const shape of [
      /\r\ncontent-length:/i,
      /\r\ntransfer-encoding:[^\r]*chunked/i,
      /^OPTIONS \* /,
      /^[A-Z]+ http:\/\//,
      /\r\nexpect:/i,
      /^\r\n/,
      /\r\nConnection:[^\r]*close/,
      /\r\nX-Sum: abc\r\n/,
    ])
      assert.ok(
        all.some((raw) => shape.test(raw)),
        String(shape),
      );
    const random = seededRandom(5);
    const bodies = Array.from({ length: 50 }, (_, index) => drawHttp2(random, String(index), TASTES).meaning.body.length);
    assert.ok(bodies.includes(0) && bodies.some((length) => length > 0));
  });
});

describe('a transfer', () => {
  const received = async (pieces: readonly Uint8Array[], bytes: number): Promise<string | null> => {
    const transfer = new Transfer().begin(bytes, false);
    await transfer.receive(Readable.from(pieces));
    return transfer.problem;
  };

  test('is whole however it is cut', async () => {
    assert.equal(await received([patternAt(0, 1_000), patternAt(1_000, 5), patternAt(1_005, 60_000)], 61_005), null);
    const transfer = new Transfer().begin(300_000, false);
    const stream = new PassThrough();
    await Promise.all([transfer.send(stream), transfer.receive(stream)]);
    assert.equal(transfer.problem, null);
    assert.equal(transfer.read, 300_000);
  });

  test('fails for a byte that is missing, doubled, changed or too many', async () => {
    const changed = Uint8Array.from(patternAt(0, 100));
    changed[50] = (changed[50] ?? 0) ^ 1;
    for (const [pieces, bytes] of [
      [[patternAt(0, 99)], 100],
      [[patternAt(0, 50), patternAt(51, 49)], 99],
      [[patternAt(0, 50), patternAt(49, 51)], 101],
      [[changed], 100],
      [[patternAt(0, 101)], 100],
    ] as const)
      assert.notEqual(await received(pieces, bytes), null);
  });
});

test('messages of a WebSocket must be the same, of the same kind, in order', () => {
  const message = (text: string, isBinary = false): { data: Buffer; isBinary: boolean } => ({ data: Buffer.from(text), isBinary });
  const sent = [message('a'), message('b', true)];
  assert.equal(sameMessages(sent, [message('a'), message('b', true)]), null);
  for (const heard of [
    [],
    [message('a')],
    [message('b', true), message('a')],
    [message('a'), message('b')],
    [message('a'), message('c', true)],
  ])
    assert.notEqual(sameMessages(sent, heard), null);
});

test('a call of gRPC must end as it should: code, details, trailing metadata', () => {
  const metadata = new Metadata();
  metadata.add('x-trailer', 'one');
  metadata.add('x-trailer', 'two');
  assert.notEqual(trailers(metadata), null);
  metadata.add('x-trailer-bin', TRAILER_BYTES);
  assert.equal(trailers(metadata), null);
  assert.equal(ok({ code: status.OK, details: '', metadata }, 'x'), null);
  assert.notEqual(ok({ code: status.INTERNAL, details: '', metadata }, 'x'), null);
  assert.equal(failedAs({ code: status.NOT_FOUND, details: DETAILS, metadata }, status.NOT_FOUND, DETAILS), null);
  assert.notEqual(failedAs({ code: status.OK, details: DETAILS, metadata }, status.NOT_FOUND, DETAILS), null);
  assert.notEqual(failedAs({ code: status.NOT_FOUND, details: 'cut', metadata }, status.NOT_FOUND, DETAILS), null);
});

test('events are handed out one by one, however they come', async () => {
  const body = new PassThrough();
  const reader = new EventReader(body);
  body.write('data: 1\n');
  body.write('\ndata: 2\n\ndata:');
  assert.equal(await reader.next(), 'data: 1\n\n');
  assert.equal(await reader.next(), 'data: 2\n\n');
  const third = reader.next();
  body.write(' 3\n\n');
  assert.equal(await third, 'data: 3\n\n');
});

test('a check that does not end in time is a failure, and so is one that throws', async () => {
  const stage = new Stage({
    isLong: false,
    seed: 1,
    only: /^a\//,
    certificates: { server: { certificate: '', chain: '', key: '' } as never, ca: '' },
  });
  await stage.check('a/hangs', async () => await new Promise<null>(() => undefined), 1);
  await stage.check('a/throws', () => {
    throw new Error('it threw');
  });
  await stage.check('a/passes', () => null);
  await stage.check('b/unwanted', () => 'not asked');
  assert.deepEqual(
    stage.outcomes.map(({ id, problem }) => [id, problem === null]),
    [
      ['a/hangs', false],
      ['a/throws', false],
      ['a/passes', true],
    ],
  );
  await assert.rejects(within('the thing', new Promise(() => undefined), 1), /the thing did not come within/);
});

test('a wrong command line ends with 2 and one sentence', () => {
  const run = fileURLToPath(new URL('../proxy-peers/run.ts', import.meta.url));
  for (const [args, sentence] of [
    [['--seed', 'x'], /^--seed takes a whole number/],
    [['--part', 'nothing'], /^there is no part "nothing"/],
    [['--only', '('], /regular expression/i],
    [['--nonsense'], /nonsense/],
  ] as const) {
    const { status: code, stderr } = spawnSync(process.execPath, [run, ...args], { encoding: 'utf8' });
    assert.equal(code, 2);
    assert.match(stderr, sentence);
  }
});
