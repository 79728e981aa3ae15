import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteWriter, concatBytes, toHex } from '@ferrata/bytes';
import { WireError } from '@ferrata/error';
import fc from 'fast-check';
import { type ProxyAddress, type ProxyHeader, ProxyHeaderDecoder, type ProxyTlv, TlvType, writeProxyHeader } from '../src/index.ts';
import { naiveProxyHeader } from './naive-reader.ts';
import { vectors } from './vectors.ts';

const parameters = { numRuns: 2000, seed: 20_260_601 };

const ports = fc.integer({ min: 0, max: 65_535 });
const ipv4 = fc.tuple(fc.ipV4(), ports).map(([host, port]): ProxyAddress => ({ kind: 'ip', host, port }));
/** As a URL writes it, but for mapped addresses, which we write with dots. */
const ipv6 = fc
  .tuple(fc.array(fc.oneof(fc.constant(0), ports), { minLength: 8, maxLength: 8 }), ports)
  .map(([groups, port]): ProxyAddress => {
    const host = new URL(`http://[${groups.map((group) => group.toString(16)).join(':')}]/`).hostname.slice(1, -1);
    return { kind: 'ip', host: host.startsWith('::ffff:') ? '::1' : host, port };
  });
const unix = fc.string({ unit: 'binary', maxLength: 27 }).map((text): ProxyAddress => ({ kind: 'unix', path: text.replaceAll('\0', '') }));
const tlvs = fc.array(
  fc
    .tuple(
      fc.integer({ min: 0, max: 255 }).filter((type) => type !== TlvType.crc32c),
      fc.uint8Array({ maxLength: 20 }),
    )
    .map(([type, value]): ProxyTlv => ({ type, value })),
  { maxLength: 6 },
);

const headers: fc.Arbitrary<ProxyHeader> = fc.oneof(
  fc.tuple(ipv4, ipv4).map(([source, destination]) => header(1, 'inet', 'stream', source, destination)),
  fc.tuple(ipv6, ipv6).map(([source, destination]) => header(1, 'inet6', 'stream', source, destination)),
  fc
    .tuple(
      fc.oneof(
        fc.tuple(fc.constant('inet' as const), ipv4, ipv4),
        fc.tuple(fc.constant('inet6' as const), ipv6, ipv6),
        fc.tuple(fc.constant('unix' as const), unix, unix),
      ),
      fc.constantFrom('stream' as const, 'datagram' as const),
      tlvs,
    )
    .map(([[family, source, destination], transport, drawn]) => ({ ...header(2, family, transport, source, destination), tlvs: drawn })),
);

function header(
  version: 1 | 2,
  family: ProxyHeader['family'],
  transport: ProxyHeader['transport'],
  source: ProxyAddress,
  destination: ProxyAddress,
): ProxyHeader {
  return { version, command: 'proxy', family, transport, source, destination, tlvs: [] };
}

/** Headers, and headers with a few bytes or bits changed, cut out or put in. */
const inputs: fc.Arbitrary<Uint8Array> = fc
  .tuple(
    fc.oneof(
      headers.map((drawn) => bytesOf(drawn, false)),
      headers.map((drawn) => bytesOf(drawn, drawn.version === 2)),
      fc.constantFrom(...Object.values(vectors).map(({ bytes }) => bytes)),
    ),
    fc.array(
      fc.tuple(
        fc.constantFrom('set', 'flip', 'cut', 'add'),
        fc.nat(250),
        fc.oneof(fc.nat(255), fc.constantFrom(0x0d, 0x0a, 0x20, 0x30, 0x2e, 0x3a)),
      ),
      {
        maxLength: 3,
      },
    ),
    fc.uint8Array({ maxLength: 8 }),
  )
  .map(([bytes, changes, rest]) => changes.reduce(changed, concatBytes([bytes, rest])));

function changed(bytes: Uint8Array, [kind, where, value]: readonly [string, number, number]): Uint8Array {
  const at = where % (bytes.length + 1);
  const before = bytes.slice(0, at);
  if (kind === 'cut') return concatBytes([before, bytes.slice(at + 1)]);
  if (kind === 'add') return concatBytes([before, Uint8Array.of(value), bytes.slice(at)]);
  const next = bytes.slice();
  if (at < next.length) next[at] = kind === 'set' ? value : (next[at] as number) ^ (1 << (value & 7));
  return next;
}

function bytesOf(drawn: ProxyHeader, checksum: boolean): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, drawn, { checksum });
  return writer.take();
}

interface Reading {
  readonly header: ProxyHeader | null;
  readonly remaining: string;
  readonly reason: string | null;
}

/** Reads chunks and the end, and checks what holds at every step. */
function readingOf(chunks: readonly Uint8Array[]): Reading {
  const decoder = new ProxyHeaderDecoder();
  let fed = 0;
  let completions = 0;
  const read = (): void => {
    for (let calls = 0; decoder.next(); calls++) {
      completions++;
      assert.equal(calls, 0, 'there is one header');
    }
    assert.equal(decoder.bufferedBytes + decoder.consumedBytes, fed, 'conservation');
  };
  try {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      fed += chunk.length;
      read();
    }
    decoder.end();
    read();
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    assert.notEqual(error.type, 'internal');
    assert.throws(
      () => decoder.next(),
      (again) => again === error,
      'the first error is final',
    );
    assert.equal(decoder.bufferedBytes, 0);
    return { header: null, remaining: '', reason: error.reason };
  }
  assert.equal(completions, decoder.isComplete ? 1 : 0);
  return { header: decoder.header, remaining: toHex(decoder.remaining), reason: null };
}

function summaryOf({ command, family, transport, source, destination, tlvs: read }: ProxyHeader): string {
  if (command === 'local') return 'local';
  const text = read.map(({ type, value }) => ` ${type}:${toHex(value)}`).join('');
  if (family === 'unspecified') return `unspecified${text}`;
  return `${family} ${transport} ${textOf(source)} ${textOf(destination)} ${text}`;
}

function textOf(address: ProxyAddress | null): string {
  if (address === null) return '';
  if (address.kind === 'unix') return JSON.stringify(address.path);
  // The naive reader has mapped addresses as a URL writes them.
  const host = address.host.startsWith('::ffff:') ? new URL(`http://[${address.host}]/`).hostname.slice(1, -1) : address.host;
  return `${host} ${address.port}`;
}

test('round trip: what was meant is what is read, with and without a checksum', () => {
  fc.assert(
    fc.property(headers, fc.boolean(), (drawn, checksum) => {
      const reading = readingOf([bytesOf(drawn, checksum)]);
      assert.equal(reading.reason, null);
      const read = reading.header as ProxyHeader;
      assert.deepEqual({ ...read, tlvs: read.tlvs.filter(({ type }) => type !== TlvType.crc32c) }, drawn);
    }),
    parameters,
  );
});

test('split, total, conservation: any cut of any input gives the same header and rest, or the same refusal', () => {
  fc.assert(
    fc.property(
      fc.oneof(inputs, fc.uint8Array({ maxLength: 300 })),
      fc.array(fc.nat(40), { minLength: 1, maxLength: 60 }),
      (bytes, sizes) => {
        const chunks: Uint8Array[] = [];
        for (let at = 0, i = 0; at < bytes.length; i++) {
          const size = (sizes[i % sizes.length] as number) + 1;
          chunks.push(bytes.slice(at, at + size));
          at += size;
        }
        assert.deepEqual(readingOf(chunks), readingOf([bytes.slice()]));
      },
    ),
    parameters,
  );
});

test('oracle: a naive reader accepts the same inputs, and reads the same', () => {
  fc.assert(
    fc.property(inputs, (bytes) => {
      const { header: read, remaining, reason } = readingOf([bytes.slice()]);
      const naive = naiveProxyHeader(bytes);
      const verdict = reason === null ? 'accepted' : reason === 'PROXY_TRUNCATED' || reason === 'PROXY_MISSING' ? 'incomplete' : 'refused';
      assert.equal(verdict, naive.verdict, reason ?? 'accepted');
      if (naive.verdict !== 'accepted' || read === null) return;
      assert.equal(summaryOf(read), naive.summary);
      assert.equal(remaining.length / 2, bytes.length - naive.headerBytes);
    }),
    { ...parameters, numRuns: 4000 },
  );
});
