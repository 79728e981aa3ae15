/**
 * Headers read and written, against what costs a connection anyway: the same bytes by a regular expression (version 1) and `DataView` (version 2),
 * unchecked. Median of 7 rounds of user CPU time after two warm-up rounds.
 */
import { ByteWriter, latin1Decode, latin1Encode } from '@ferrata/bytes';
import { createProxyHeader, ProxyHeaderDecoder, resolveProxyHeaderDecoderOptions, TlvType, writeProxyHeader } from '../src/index.ts';

const rounds = 7;
const runs = 100_000;

const fields = {
  source: { kind: 'ip', host: '192.0.2.1', port: 56_324 },
  destination: { kind: 'ip', host: '198.51.100.7', port: 443 },
} as const;
const line = createProxyHeader({ ...fields, version: 1 });
const plain = createProxyHeader(fields);
const rich = createProxyHeader({ ...fields, tlvs: [{ type: TlvType.authority, value: latin1Encode('www.example.org') }] });
const options = resolveProxyHeaderDecoderOptions();

function bytesOf(header: typeof line, checksum = false): Uint8Array {
  const writer = new ByteWriter();
  writeProxyHeader(writer, header, { checksum });
  return writer.take();
}

function reading(bytes: Uint8Array): () => number {
  return () => {
    const decoder = new ProxyHeaderDecoder(options);
    decoder.feed(bytes);
    decoder.next();
    return decoder.consumedBytes;
  };
}

const lineBytes = bytesOf(line);
const plainBytes = bytesOf(plain);
const pattern = /^PROXY (TCP4) (\d+\.\d+\.\d+\.\d+) (\d+\.\d+\.\d+\.\d+) (\d+) (\d+)\r\n/;

const cases: Readonly<Record<string, () => number>> = {
  'version 1, by a regular expression': () => {
    const match = pattern.exec(latin1Decode(lineBytes));
    return match === null ? 0 : Number(match[4]) + Number(match[5]);
  },
  'version 1, read': reading(lineBytes),
  'version 2, by DataView': () => {
    const view = new DataView(plainBytes.buffer, plainBytes.byteOffset);
    const host = (at: number): string => `${view.getUint8(at)}.${view.getUint8(at + 1)}.${view.getUint8(at + 2)}.${view.getUint8(at + 3)}`;
    return host(16).length + host(20).length + view.getUint16(24) + view.getUint16(26);
  },
  'version 2, read': reading(plainBytes),
  'version 2 with a name and a checksum, read': reading(bytesOf(rich, true)),
  'version 1, written': () => bytesOf(line).length,
  'version 2, written': () => bytesOf(plain).length,
  'version 2 with a name and a checksum, written': () => bytesOf(rich, true).length,
};

const times = new Map(Object.keys(cases).map((name) => [name, [] as number[]]));
for (let round = -2; round < rounds; round++) {
  for (const [name, run] of Object.entries(cases)) {
    const before = process.cpuUsage();
    let sum = 0;
    for (let i = 0; i < runs; i++) sum += run();
    const { user } = process.cpuUsage(before);
    if (sum === 0) throw new Error(`${name} has read nothing`);
    if (round >= 0) times.get(name)?.push((user * 1000) / runs);
  }
}
const medianOf = (name: string): number => (times.get(name) ?? []).toSorted((a, b) => a - b)[rounds >> 1] ?? 0;
for (const name of times.keys()) {
  const baseline = medianOf(name.startsWith('version 1') ? 'version 1, by a regular expression' : 'version 2, by DataView');
  console.log(`${name}: ${medianOf(name).toFixed(0)} ns, ratio ${(medianOf(name) / baseline).toFixed(2)}`);
}
