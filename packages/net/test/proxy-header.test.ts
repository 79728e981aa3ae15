/** PROXY headers at the beginning of accepted connections ("The PROXY protocol, versions 1 & 2"). */
import assert from 'node:assert/strict';
import { connect as connectSocket } from 'node:net';
import { describe, test } from 'node:test';
import { ByteWriter, concatBytes } from '@ferrata/bytes';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import { createProxyHeader, type ProxyHeader, TlvType, writeProxyHeader } from '@ferrata/proxy-protocol';
import { formatAddress, type L4Stream, type MemoryPair, memoryPair, type StreamAddress, type StreamInfo } from '@ferrata/stream';
import { RecordingSink, streamCompliance } from '@ferrata/testkit';
import { DeadlineQueue } from '@ferrata/timeout';
import { type AcceptProxyOptions, connect, listen, readProxyHeader } from '../src/index.ts';
import { connectedPair, endOfConnection, temporaryDirectory, until } from './pairs.ts';

const source: StreamAddress = { kind: 'ip', host: '203.0.113.9', port: 4711 };
const destination: StreamAddress = { kind: 'ip', host: '198.51.100.1', port: 443 };
const proxy: StreamAddress = { kind: 'ip', host: '10.0.0.1', port: 1234 };

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function bytesOf(header: ProxyHeader): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, header, { checksum: true });
  return writer.take();
}

const version1 = text('PROXY TCP4 203.0.113.9 198.51.100.1 4711 443\r\n');
const version2 = bytesOf(createProxyHeader({ source, destination, tlvs: [{ type: TlvType.authority, value: text('example.test') }] }));

interface Outcome {
  stream: L4Stream | null;
  header: ProxyHeader | null;
  error: WireError | null;
  info: StreamInfo | null;
}

/** A pair in memory whose second end is read for a header. */
function reading(
  options: Partial<AcceptProxyOptions> = {},
  from: StreamAddress = proxy,
): { pair: MemoryPair; outcome: Outcome; clock: ManualClock } {
  const clock = new ManualClock();
  const pair = memoryPair({ addressA: from, addressB: { kind: 'ip', host: '10.0.0.2', port: 80 } });
  const outcome: Outcome = { stream: null, header: null, error: null, info: null };
  readProxyHeader(
    pair.b,
    { trusted: ['10.0.0.0/8'], clock, ...options },
    {
      onHeader: (stream, header) => Object.assign(outcome, { stream, header }),
      onHeaderFailed: (error, info) => Object.assign(outcome, { error, info }),
    },
  );
  assert.deepEqual(outcome, { stream: null, header: null, error: null, info: null }, 'told from inside');
  return { pair, outcome, clock };
}

async function turns(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}

function isPending(outcome: Outcome): boolean {
  return outcome.stream === null && outcome.error === null;
}

describe('readProxyHeader', () => {
  for (const [name, header] of [
    ['version 1 (§2.1)', version1],
    ['version 2 (§2.2)', version2],
  ] as const) {
    test(`${name}: cut at every byte, the header is taken off and nothing else`, async () => {
      for (let cut = 0; cut <= header.length; cut++) {
        const { pair, outcome } = reading();
        pair.a.attach(new RecordingSink());
        if (cut > 0) pair.a.write(header.slice(0, cut));
        await turns();
        assert.equal(isPending(outcome), cut < header.length);
        pair.a.write(concatBytes([header.subarray(cut), text('first')]));
        await turns();
        assert.ok(outcome.stream !== null, `cut ${cut}: ${outcome.error?.message}`);
        const sink = new RecordingSink();
        outcome.stream.attach(sink);
        pair.a.write(text(' words'));
        await turns();
        assert.equal(sink.text(), 'first words');
      }
    });

    test(`${name}: every header that ends early is closed without an answer`, async () => {
      for (let length = 0; length < header.length; length++) {
        const { pair, outcome } = reading();
        const client = new RecordingSink();
        pair.a.attach(client);
        if (length > 0) pair.a.write(header.slice(0, length));
        pair.a.end();
        await turns();
        assert.equal(outcome.error?.reason, length === 0 ? 'PROXY_MISSING' : 'PROXY_TRUNCATED');
        assert.equal(outcome.info, pair.b.info);
        assert.equal(client.byteLength, 0);
        assert.equal(client.closeError?.reason, 'CONNECTION_RESET');
      }
    });
  }

  test('the facts: the addresses of the header, and the connection itself below', async () => {
    const { pair, outcome } = reading();
    pair.b.info.extension = 'from the filter';
    pair.a.write(version2);
    await turns();
    const info = outcome.stream?.info;
    assert.ok(info);
    assert.deepEqual(info.remoteAddress, source);
    assert.deepEqual(info.localAddress, destination);
    assert.equal(info.proxyHeader, outcome.header);
    assert.equal(info.below, pair.b.info);
    assert.deepEqual(info.below.remoteAddress, proxy);
    assert.equal(info.extension, 'from the filter');
    assert.equal(info.kind, 'memory');
    assert.equal(outcome.header?.tlvs[0]?.type, TlvType.authority);
  });

  test('LOCAL and UNKNOWN leave the addresses as they are (§2.1, §2.2)', async () => {
    const local = Uint8Array.from([...version2.subarray(0, 12), 0x20, 0, 0, 0]);
    for (const header of [local, text('PROXY UNKNOWN\r\n'), text('PROXY UNKNOWN 1.2.3.4 5.6.7.8 1 2\r\n')]) {
      const { pair, outcome } = reading();
      pair.a.write(header);
      await turns();
      assert.deepEqual(outcome.stream?.info.remoteAddress, proxy);
      assert.ok(outcome.stream?.info.proxyHeader);
    }
  });

  test('addresses of Unix sockets and of UDP are those of the header, too', async () => {
    const path: StreamAddress = { kind: 'unix', path: '/run/front.sock' };
    for (const fields of [
      { source: path, destination: { kind: 'unix', path: '' } as const },
      { source, destination, transport: 'datagram' as const },
    ]) {
      const { pair, outcome } = reading();
      pair.a.write(bytesOf(createProxyHeader(fields)));
      await turns();
      assert.deepEqual(outcome.stream?.info.remoteAddress, fields.source);
      const { localAddress } = outcome.stream.info;
      assert.deepEqual(localAddress, fields.destination.kind === 'unix' ? { kind: 'unset' } : destination);
    }
  });

  for (const [what, bytes, reason] of [
    ['no header', 'GET / HTTP/1.1\r\n', 'PROXY_SIGNATURE'],
    ['a line without its end', `PROXY TCP4 ${'1'.repeat(120)}`, 'PROXY_V1_TOO_LONG'],
    ['a port that is none', 'PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n', 'PROXY_V1_PORT'],
  ] as const) {
    test(`${what}: closed with ${reason}`, async () => {
      const { pair, outcome } = reading();
      const client = new RecordingSink();
      pair.a.attach(client);
      pair.a.write(text(bytes));
      await turns();
      assert.equal(outcome.error?.reason, reason);
      assert.equal(outcome.error.wire.status, 0);
      assert.ok(outcome.error.context?.includes('10.0.0.1'));
      assert.equal(client.closeError?.reason, 'CONNECTION_RESET');
    });
  }

  test('version 2 with a wrong length, and with a wrong checksum (§2.2.3)', async () => {
    const wrongLength = version2.slice();
    wrongLength[14] = 0xff;
    const wrongSum = version2.slice();
    wrongSum[wrongSum.length - 1] = (wrongSum.at(-1) as number) ^ 1;
    for (const [bytes, reason] of [
      [wrongLength, 'PROXY_V2_TOO_LONG'],
      [wrongSum, 'PROXY_V2_CHECKSUM'],
    ] as const) {
      const { pair, outcome } = reading();
      pair.a.write(bytes);
      await turns();
      assert.equal(outcome.error?.reason, reason);
    }
  });

  test('limits and versions are those of the options', async () => {
    const short = reading({ maxHeaderBytes: 107 });
    short.pair.a.write(bytesOf(createProxyHeader({ source, destination, tlvs: [{ type: TlvType.noop, value: new Uint8Array(100) }] })));
    await turns();
    assert.equal(short.outcome.error?.reason, 'PROXY_V2_TOO_LONG');
    const old = reading({ versions: [2] });
    old.pair.a.write(version1);
    await turns();
    assert.equal(old.outcome.error?.reason, 'PROXY_VERSION_REFUSED');
  });

  test('a header that does not come in time closes the connection', async () => {
    const { pair, outcome, clock } = reading({ timeoutMs: 100 });
    const client = new RecordingSink();
    pair.a.attach(client);
    pair.a.write(version1.slice(0, 10));
    await turns();
    clock.advance(90);
    assert.ok(isPending(outcome));
    clock.advance(30);
    assert.equal(outcome.error?.reason, 'PROXY_TIMEOUT');
    await turns();
    assert.equal(client.closeError?.reason, 'CONNECTION_RESET');
    assert.equal(clock.pendingCount, 0);
  });

  test('a header in time leaves no time-out behind', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const { pair, outcome } = reading({ deadlines });
    assert.equal(deadlines.size, 1);
    pair.a.write(version1);
    await turns();
    assert.ok(outcome.stream);
    assert.equal(deadlines.size, 0);
  });

  test('a connection that is reset before its header', async () => {
    const { pair, outcome } = reading();
    pair.a.abort();
    await turns();
    assert.equal(outcome.error?.reason, 'CONNECTION_RESET');
    const closed = reading();
    closed.pair.b.abort();
    await turns();
    assert.equal(closed.outcome.error?.reason, 'CONNECTION_CLOSED_EARLY');
  });

  test('an end right behind the header reaches the next sink', async () => {
    const { pair, outcome } = reading();
    pair.a.write(concatBytes([version1, text('all')]));
    pair.a.end();
    await turns();
    const sink = new RecordingSink();
    outcome.stream?.attach(sink);
    await sink.untilEnd();
    assert.equal(sink.text(), 'all');
  });

  test('a head given to the first attach comes before what was put back; resuming before it does nothing', async () => {
    const { pair, outcome } = reading();
    pair.a.write(concatBytes([version1, text('two')]));
    await turns();
    const stream = outcome.stream as L4Stream;
    stream.resume();
    stream.pause();
    const sink = new RecordingSink();
    stream.attach(sink, text('one '));
    await turns();
    assert.equal(sink.text(), 'one two');
    assert.equal(stream.id, pair.b.id);
    const next = new RecordingSink();
    stream.attach(next, text('three'));
    stream.resume();
    await turns();
    assert.equal(next.text(), 'three');
  });
});

describe('who is believed', () => {
  const stranger: StreamAddress = { kind: 'ip', host: '192.0.2.66', port: 1 };

  test('where a header is required, a source that is not trusted is closed unread', async () => {
    for (const from of [stranger, { kind: 'unset' } as const]) {
      const { pair, outcome } = reading({}, from);
      const client = new RecordingSink();
      pair.a.attach(client);
      pair.a.write(version1);
      await turns();
      assert.equal(outcome.error?.reason, 'PROXY_UNTRUSTED_SOURCE');
      assert.equal(client.closeError?.reason, 'CONNECTION_RESET');
    }
  });

  test('all: whoever can connect is believed, without an address too', async () => {
    for (const from of [stranger, { kind: 'unset' } as const]) {
      const { pair, outcome } = reading({ trusted: 'all' }, from);
      pair.a.write(version1);
      await turns();
      assert.deepEqual(outcome.stream?.info.remoteAddress, source);
    }
  });

  for (const from of [proxy, stranger]) {
    test(`where none is required, ${formatAddress(from)} may come without one, and loses no byte`, async () => {
      for (const words of ['G', 'PRI * HTTP/2.0\r\n\r\n', 'PROXIMA', 'P', '\r\n\r\nno']) {
        const { pair, outcome } = reading({ required: false }, from);
        for (const letter of words) {
          pair.a.write(text(letter));
          await turns();
        }
        if (words === 'P') {
          // It may yet become a header.
          assert.ok(isPending(outcome));
          pair.a.write(text('ING'));
          await turns();
        }
        const { stream, header } = outcome;
        assert.ok(stream !== null);
        assert.equal(header, null);
        assert.deepEqual(stream.info.remoteAddress, from);
        const sink = new RecordingSink();
        stream.attach(sink);
        await turns();
        assert.equal(sink.text(), words === 'P' ? 'PING' : words);
      }
    });
  }

  test('where none is required, a trusted header counts, and one from a stranger closes, byte by byte too', async () => {
    const good = reading({ required: false });
    for (const byte of version2) good.pair.a.write(Uint8Array.of(byte));
    await turns();
    assert.deepEqual(good.outcome.stream?.info.remoteAddress, source);
    for (const header of [version1, version2]) {
      const bad = reading({ required: false }, stranger);
      for (const byte of header) bad.pair.a.write(Uint8Array.of(byte));
      await turns();
      assert.equal(bad.outcome.error?.reason, 'PROXY_UNTRUSTED_SOURCE');
    }
  });

  test('where none is required, silence passes when the time is up, and half a header does not', async () => {
    const silent = reading({ required: false, timeoutMs: 50 });
    await turns();
    silent.clock.advance(70);
    assert.ok(silent.outcome.stream);
    const half = reading({ required: false, timeoutMs: 50 });
    half.pair.a.write(text('PROXY TCP4'));
    await turns();
    half.clock.advance(70);
    assert.equal(half.outcome.error?.reason, 'PROXY_TIMEOUT');
    const ended = reading({ required: false });
    ended.pair.a.end();
    await turns();
    const sink = new RecordingSink();
    ended.outcome.stream?.attach(sink);
    await sink.untilEnd();
    const cut = reading({ required: false });
    cut.pair.a.write(text('PROX'));
    cut.pair.a.end();
    await turns();
    assert.equal(cut.outcome.error?.reason, 'PROXY_TRUNCATED');
  });

  test('it must be said who is trusted', () => {
    const stream = memoryPair().a;
    const sink = { onHeader() {}, onHeaderFailed() {} };
    for (const wrong of [{}, { trusted: 'everybody' }, { trusted: ['nonsense'] }])
      assert.throws(() => readProxyHeader(stream, wrong as AcceptProxyOptions, sink), TypeError);
    for (const wrong of [{ timeoutMs: 0 }, { maxHeaderBytes: 10 }])
      assert.throws(() => readProxyHeader(stream, { trusted: 'all', ...wrong }, sink), RangeError);
  });
});

describe('listen with proxyProtocol', () => {
  test('over TCP: the stream has the addresses of the header, its socket those of the proxy', async () => {
    const streams: L4Stream[] = [];
    await using listener = await listen({ host: '127.0.0.1', port: 0, proxyProtocol: { trusted: ['127.0.0.0/8'] } }, (stream) =>
      streams.push(stream),
    );
    const client = await connect(listener.address);
    client.attach(new RecordingSink());
    client.write(concatBytes([version1, text('words')]));
    await until(() => streams.length === 1);
    const sink = new RecordingSink();
    streams[0]?.attach(sink);
    client.write(text(' and more'));
    await sink.untilBytes(14);
    assert.equal(sink.text(), 'words and more');
    assert.deepEqual(streams[0]?.info.remoteAddress, source);
    assert.deepEqual(streams[0].info.below?.remoteAddress, client.info.localAddress);
    client.abort();
    streams[0].abort();
  });

  test('failures are reset, counted and told with the address; others are served', async () => {
    const failures: string[] = [];
    const streams: L4Stream[] = [];
    await using listener = await listen(
      {
        host: '127.0.0.1',
        port: 0,
        proxyProtocol: { trusted: 'all', timeoutMs: 20 },
        onHeaderFailed: (error, info) => failures.push(`${error.reason} ${info.remoteAddress.kind}`),
      },
      (stream) => streams.push(stream),
    );
    assert.equal((await endOfConnection(listener.address))?.reason, 'CONNECTION_RESET');
    const { port } = listener.address as { port: number };
    const socket = connectSocket(port, '127.0.0.1').on('error', () => {});
    socket.end('GET / HTTP/1.1\r\n\r\n');
    await until(() => failures.length === 2);
    assert.deepEqual(failures, ['PROXY_TIMEOUT ip', 'PROXY_SIGNATURE ip']);
    assert.equal(listener.headerFailedCount, 2);
    const client = await connect(listener.address);
    client.write(version2);
    await until(() => streams.length === 1);
    assert.equal(listener.pendingCount, 0);
    client.abort();
    streams[0]?.abort();
  });

  test('over a Unix socket, whose peers have no address, everybody is believed or nobody', async () => {
    using directory = temporaryDirectory();
    const streams: L4Stream[] = [];
    const failures: string[] = [];
    for (const trusted of [['0.0.0.0/0', '::/0'], 'all'] as const) {
      const options = {
        path: directory.file('s'),
        proxyProtocol: { trusted },
        onHeaderFailed: (error: WireError) => failures.push(error.reason),
      };
      await using listener = await listen(options, (stream) => streams.push(stream));
      const client = await connect(listener.address);
      client.write(version1);
      await until(() => listener.acceptedCount + listener.headerFailedCount === 1);
      client.abort();
    }
    assert.deepEqual(failures, ['PROXY_UNTRUSTED_SOURCE']);
    assert.equal(streams.length, 1);
    assert.deepEqual(streams[0]?.info.remoteAddress, source);
    streams[0].abort();
  });
});

async function behindHeader(a: L4Stream, b: L4Stream): Promise<L4Stream> {
  return new Promise((resolve, reject) => {
    a.write(version2);
    readProxyHeader(b, { trusted: 'all' }, { onHeader: resolve, onHeaderFailed: reject });
  });
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await turns();
}

streamCompliance('a stream behind a PROXY header, in memory', async () => {
  const { a, b } = memoryPair();
  return { a: await behindHeader(a, b), b: a };
});
streamCompliance(
  'a stream behind a PROXY header, over TCP',
  async () => {
    const { client, server, close } = await connectedPair();
    return { a: await behindHeader(client, server), b: client, close };
  },
  { settle, runs: 5 },
);

describe('what others may do wrong', () => {
  test('a sink that throws or rejects ends the stream, and not the process', async (t) => {
    const warnings: unknown[] = [];
    t.mock.method(process, 'emitWarning', (warning: unknown) => warnings.push(warning));
    const bug = (): never => {
      throw new Error('a bug');
    };
    const clock = new ManualClock();
    for (const sink of [
      { onHeader: bug, onHeaderFailed: bug },
      { onHeader: async () => bug(), onHeaderFailed: async () => bug() },
    ]) {
      const closes: unknown[] = [];
      for (const options of [{ trusted: [] }, { trusted: 'all' }, { trusted: 'all', required: false }] as const) {
        const { a, b } = memoryPair();
        const client = new RecordingSink();
        a.attach(client);
        readProxyHeader(b, { ...options, timeoutMs: 5, clock }, sink);
        clock.advance(100);
        await client.untilClose();
        closes.push(client.closeError?.reason);
      }
      assert.deepEqual(closes, ['CONNECTION_RESET', 'CONNECTION_RESET', 'CONNECTION_RESET']);
    }
    assert.equal(warnings.length, 6);
  });

  test('a stream that is resumed before anybody attaches loses nothing', async () => {
    const { pair, outcome, clock } = reading({ required: false, timeoutMs: 10 });
    clock.advance(10);
    assert.ok(outcome.stream !== null);
    outcome.stream.resume();
    pair.a.write(text('precious'));
    await turns();
    const sink = new RecordingSink();
    outcome.stream.attach(sink);
    await sink.untilBytes(8);
    assert.equal(sink.text(), 'precious');
  });

  for (const written of ['::ffff:203.0.113.9', '::FFFF:cb00:7109', '0:0:0:0:0:ffff:203.0.113.9'])
    test(`the client ${written} is 203.0.113.9 (RFC 4291 §2.5.5.2)`, async () => {
      const { pair, outcome } = reading();
      pair.a.write(text(`PROXY TCP6 ${written} ::1 4711 443\r\n`));
      await turns();
      assert.deepEqual(outcome.stream?.info.remoteAddress ?? outcome.error?.reason, source);
    });
});
