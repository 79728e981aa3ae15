/**
 * Invariant: any bytes are read as a PROXY header or refused with a reason (total), in the same way however they are cut (split), with every byte
 * accounted for (conservation); what is read and written again is read the same, also with a checksum; a checksum that is there is of these bytes;
 * and an SSL TLV is read or refused, and read the same when it is written again.
 */
import assert from 'node:assert/strict';
import { ByteWriter, latin1Decode, toHex } from '@ferrata/bytes';
import {
  decodeSslTlv,
  encodeSslTlv,
  findTlv,
  type ProxyHeader,
  ProxyHeaderDecoder,
  resolveProxyHeaderDecoderOptions,
  TlvType,
  writeProxyHeader,
} from '@ferrata/proxy-protocol';
import { type CodecUnderTest, codecLawChecks, cut, transcribe } from '@ferrata/testkit';
import fc from 'fast-check';
import { hashOf, sizesOf } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['proxy-header'], maxLength: 600 };

type HeaderCodec = CodecUnderTest<ProxyHeader, ProxyHeader>;

const usual = codecOf({});
/** Limits that short inputs reach. */
const tight = codecOf({ maxHeaderBytes: 107, maxTlvs: 3, versions: [2] });

export function fuzz(data: Uint8Array): void {
  const codec = (hashOf(data) & 0x70) === 0 ? tight : usual;
  const chunks = cut(data, sizesOf(data));
  codecLawChecks.split(codec, data, chunks);
  codecLawChecks.total(codec, data, chunks);
  codecLawChecks.conservation(codec, data, chunks);
  const { events, error, consumedBytes } = transcribe(codec, chunks);
  const [header] = events;
  invariant((header === undefined) === (error !== null), 'a header or a refusal', () => error ?? 'neither');
  if (header === undefined) return;
  invariant(consumedBytes <= (header.version === 1 ? 107 : 536), 'bounded length', () => `${consumedBytes} bytes`);
  if (header.version === 1) {
    const line = latin1Decode(data, 0, consumedBytes);
    invariant(/^PROXY [^\r\n]*\r\n$/.test(line), 'a line has one end, CRLF', () => line);
  }
  const sum = findTlv(header, TlvType.crc32c);
  if (sum !== null) checkSum(data.slice(0, consumedBytes), sum);
  const again = written(header, false);
  assert.deepEqual(withoutSum(readOne(again)), withoutSum(header));
  if (header.version === 2 && header.command === 'proxy' && again.length <= 529) {
    const summed = readOne(written(header, true));
    invariant(findTlv(summed, TlvType.crc32c) !== null, 'a checksum that is asked for is there', () => JSON.stringify(summed));
  }
  const ssl = findTlv(header, TlvType.ssl);
  if (ssl !== null) checkSsl(ssl);
}

/** Values are views of a copy of the header: their offset is where they stand in it. A bit at a time, by big integers. */
function checkSum(header: Uint8Array, sum: Uint8Array): void {
  header.fill(0, sum.byteOffset, sum.byteOffset + 4);
  let crc = 0xffff_ffffn;
  for (const byte of header) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x82f6_3b78n : crc >> 1n;
  }
  const expected = (crc ^ 0xffff_ffffn).toString(16).padStart(8, '0');
  invariant(toHex(sum) === expected, 'a checksum is of these bytes', () => `${toHex(sum)} for ${expected}`);
}

/** A header that was not written as we write it gets another checksum. */
function withoutSum(header: ProxyHeader): ProxyHeader {
  return { ...header, tlvs: header.tlvs.filter(({ type }) => type !== TlvType.crc32c) };
}

function checkSsl(value: Uint8Array): void {
  // `tlvs` is all that came, in its order; what is written again are the names.
  const { tlvs: _tlvs, ...first } = decodeSslTlv(value);
  const { tlvs: _again, ...second } = decodeSslTlv(encodeSslTlv(first).value);
  assert.deepEqual(second, first);
}

function written(header: ProxyHeader, checksum: boolean): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, header, { checksum });
  return writer.take();
}

function readOne(bytes: Uint8Array): ProxyHeader {
  const decoder = new ProxyHeaderDecoder({ maxTlvs: 33 });
  decoder.feed(bytes);
  invariant(decoder.next() && decoder.remaining.length === 0, 'what was written is one header', () => `${bytes.length} bytes`);
  return decoder.header;
}

function codecOf(limits: Parameters<typeof resolveProxyHeaderDecoderOptions>[0]): HeaderCodec {
  const resolved = resolveProxyHeaderDecoderOptions(limits);
  return {
    makeDecoder: () => {
      const decoder = new ProxyHeaderDecoder(resolved);
      return {
        feed: (chunk) => decoder.feed(chunk),
        end: () => decoder.end(),
        next: () => (decoder.next() ? decoder.header : null),
        get bufferedBytes() {
          return decoder.bufferedBytes;
        },
        get consumedBytes() {
          return decoder.consumedBytes;
        },
      };
    },
    join: () => null,
    mayBeFedAhead: true,
    valid: fc.constant({ bytes: new Uint8Array(0), meaning: {} as ProxyHeader }),
    check: () => {},
  };
}
