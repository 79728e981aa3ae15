/**
 * Byte queue, writer and Latin-1 against what Node programs use in their place, on the sizes of a small HTTP exchange.
 * Median of 5 rounds of user CPU time, all cases in turns after two warm-up rounds; each case has its baseline.
 */
import { ByteQueue, ByteWriter, concatBytes, hexValue, latin1Decode, latin1Encode, parseDecimal, toHex } from '../src/index.ts';

const calls = 50_000;
const rounds = 5;

const names = ['host', 'user-agent', 'accept', 'accept-encoding', 'cookie'];
const values = ['example.org', 'Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101', 'text/html,*/*;q=0.8', 'gzip, br', 'id=0123456789abcdef'];
const lines = names.map((name, i) => `${name}: ${values[i] ?? ''}\r\n`);
const head = latin1Encode(lines.join(''));
const chunk = new Uint8Array(1024).fill(0x61);
const body = [chunk, chunk, chunk, chunk];
const writer = new ByteWriter();
const queue = new ByteQueue();
const listed: Uint8Array[] = [];
const digits = Array.from({ length: 64 }, (_, i) => String(1000 + i));
const decoder = new TextDecoder('latin1');
const digest = Buffer.alloc(16, 0xa5);
let kept: unknown;

interface Case {
  readonly name: string;
  readonly baseline: string;
  run(call: number): void;
}

const cases: readonly Case[] = [
  {
    name: 'Buffer.concat, a head of 10 strings',
    baseline: 'Buffer.concat, a head of 10 strings',
    run() {
      const parts: Buffer[] = [];
      for (let i = 0; i < names.length; i++)
        parts.push(Buffer.from(`${names[i] ?? ''}: `, 'latin1'), Buffer.from(`${values[i] ?? ''}\r\n`, 'latin1'));
      kept = Buffer.concat(parts);
    },
  },
  {
    name: 'ByteWriter, a head of 10 strings',
    baseline: 'Buffer.concat, a head of 10 strings',
    run() {
      for (let i = 0; i < names.length; i++) {
        writer.writeLatin1(`${names[i] ?? ''}: `);
        writer.writeLatin1(`${values[i] ?? ''}\r\n`);
      }
      kept = writer.take();
    },
  },
  {
    name: 'ByteWriter, a head as one string',
    baseline: 'Buffer.concat, a head of 10 strings',
    run: () => {
      writer.writeLatin1(lines.join(''));
      kept = writer.take();
    },
  },
  { name: 'Buffer.concat, 4 chunks of 1 KiB', baseline: 'Buffer.concat, 4 chunks of 1 KiB', run: () => void (kept = Buffer.concat(body)) },
  { name: 'concatBytes, 4 chunks of 1 KiB', baseline: 'Buffer.concat, 4 chunks of 1 KiB', run: () => void (kept = concatBytes(body)) },
  {
    name: 'array push and shift, a chunk, 64 waiting',
    baseline: 'array push and shift, a chunk, 64 waiting',
    run() {
      listed.push(chunk);
      if (listed.length > 64) kept = listed.shift();
    },
  },
  {
    name: 'ByteQueue push and takeChunk, 64 waiting',
    baseline: 'array push and shift, a chunk, 64 waiting',
    run() {
      queue.push(chunk);
      if (queue.chunkCount > 64) kept = queue.takeChunk();
    },
  },
  {
    name: 'subarray, 128 bytes',
    baseline: 'subarray, 128 bytes',
    run: (call) => void (kept = chunk.subarray(call & 63, (call & 63) + 128)),
  },
  {
    name: 'ByteQueue.take, 128 bytes of a chunk',
    baseline: 'subarray, 128 bytes',
    run() {
      if (queue.byteLength < 4096) queue.push(chunk);
      kept = queue.take(128);
    },
  },
  { name: 'TextDecoder latin1, a head', baseline: 'TextDecoder latin1, a head', run: () => void (kept = decoder.decode(head)) },
  { name: 'latin1Decode, a head', baseline: 'TextDecoder latin1, a head', run: () => void (kept = latin1Decode(head)) },
  { name: 'Number, 4 digits', baseline: 'Number, 4 digits', run: (call) => void (kept = Number(digits[call & 63])) },
  { name: 'parseDecimal, 4 digits', baseline: 'Number, 4 digits', run: (call) => void (kept = parseDecimal(digits[call & 63] ?? '')) },
  { name: 'Buffer toString hex, 16 bytes', baseline: 'Buffer toString hex, 16 bytes', run: () => void (kept = digest.toString('hex')) },
  { name: 'toHex, 16 bytes', baseline: 'Buffer toString hex, 16 bytes', run: () => void (kept = toHex(digest)) },
  {
    name: 'parseInt, a hex digit',
    baseline: 'parseInt, a hex digit',
    run: (call) => void (kept = Number.parseInt(String.fromCharCode(0x30 + (call & 7)), 16)),
  },
  { name: 'hexValue, a hex digit', baseline: 'parseInt, a hex digit', run: (call) => void (kept = hexValue(0x30 + (call & 7))) },
];

const samples = cases.map((): number[] => []);
for (let round = -2; round < rounds; round++) {
  for (const [index, one] of cases.entries()) {
    const start = process.cpuUsage().user;
    for (let call = 0; call < calls; call++) one.run(call);
    const ns = ((process.cpuUsage().user - start) * 1000) / calls;
    if (round >= 0) samples[index]?.push(ns);
  }
}

const medians = samples.map((one) => one.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN);
for (const [index, { name, baseline }] of cases.entries()) {
  const ns = medians[index] ?? Number.NaN;
  const ratio = ns / (medians[cases.findIndex((one) => one.name === baseline)] ?? Number.NaN);
  console.log(`${name.padEnd(44)} ${ns.toFixed(1).padStart(9)} ns ${ratio.toFixed(2).padStart(7)} x ${baseline}`);
}
if (kept === calls) console.log(kept);
