/**
 * What decoding and encoding cost, beside Node's own parser (llhttp in C++, through its binding) on the same bytes in the same run.
 *
 * Prints CPU nanoseconds an operation, the least and the median of the rounds, and the ratio of the least ones. The least is what the code
 * costs; the median is what it costs on this machine just now.
 */
import { ByteWriter } from '@ferrata/bytes';
import {
  BodyLength,
  MessageEvent,
  RequestDecoder,
  ResponseDecoder,
  writeChunk,
  writeRequestHead,
  writeResponseHead,
} from '../src/index.ts';
import { HTTPParser } from '../test/llhttp.ts';
import { BROWSER_HEAD, chunkedRequest, LARGE_HEAD, RESPONSE } from './inputs.ts';

const ROUNDS = 40;
const ROUND_MS = 4;
const WARM_UP_ROUNDS = 60;

/** Results go here, so that no work can be left out. */
let sink = 0;

interface Case {
  readonly name: string;
  readonly ours: () => void;
  /** The same work by Node's parser; null if it has none of the kind. */
  readonly node: (() => void) | null;
}

function decodingRequests(name: string, bytes: Uint8Array): Case {
  return { name, ours: requestDecoding([bytes]), node: nodeParsing(HTTPParser.REQUEST, [bytes]) };
}

function requestDecoding(chunks: readonly Uint8Array[]): () => void {
  const decoder = new RequestDecoder();
  return () => {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      while (decoder.next()) sink ^= decoder.event === MessageEvent.data ? decoder.data.length : decoder.event;
    }
  };
}

function responseDecoding(bytes: Uint8Array): () => void {
  const decoder = new ResponseDecoder();
  return () => {
    decoder.expect('GET');
    decoder.feed(bytes);
    while (decoder.next()) sink ^= decoder.event;
  };
}

function nodeParsing(kind: number, chunks: readonly Uint8Array[]): () => void {
  const parser = new HTTPParser();
  parser.initialize(kind, {});
  parser[HTTPParser.kOnHeaders] = (): void => {};
  parser[HTTPParser.kOnHeadersComplete] = (): number => {
    sink ^= 1;
    return 0;
  };
  parser[HTTPParser.kOnBody] = (data: Uint8Array): void => {
    sink ^= data.length;
  };
  parser[HTTPParser.kOnMessageComplete] = (): void => {
    sink ^= 3;
  };
  const buffers = chunks.map((chunk) => Buffer.from(chunk));
  return () => {
    for (const buffer of buffers) parser.execute(buffer);
  };
}

function requestEncoding(bytes: Uint8Array): () => void {
  const decoder = new RequestDecoder();
  decoder.feed(bytes);
  decoder.next();
  const { head } = decoder;
  const writer = new ByteWriter({ initialCapacity: 65_536 });
  return () => {
    writeRequestHead(writer, head, 0);
    sink ^= writer.take().length;
  };
}

function responseEncoding(): () => void {
  const decoder = new ResponseDecoder();
  decoder.expect('GET');
  decoder.feed(RESPONSE);
  decoder.next();
  const { head } = decoder;
  const writer = new ByteWriter({ initialCapacity: 65_536 });
  return () => {
    writeResponseHead(writer, head, { bodyLength: BodyLength.chunked, connection: '' });
    sink ^= writer.take().length;
  };
}

function chunkEncoding(size: number): () => void {
  const data = new Uint8Array(size);
  const writer = new ByteWriter({ initialCapacity: 65_536 });
  return () => {
    writeChunk(writer, data);
    sink ^= writer.take().length;
  };
}

function everyByte(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte) => Uint8Array.of(byte));
}

const dripped = everyByte(BROWSER_HEAD);

const cases: readonly Case[] = [
  decodingRequests(`request, browser, ${BROWSER_HEAD.length} B, 10 fields`, BROWSER_HEAD),
  decodingRequests(`request, ${LARGE_HEAD.length} B, 40 fields`, LARGE_HEAD),
  { name: 'response with 13 B of body', ours: responseDecoding(RESPONSE), node: nodeParsing(HTTPParser.RESPONSE, [RESPONSE]) },
  { name: 'request, browser, a byte at a time', ours: requestDecoding(dripped), node: nodeParsing(HTTPParser.REQUEST, dripped) },
  decodingRequests('body, 64 chunks of 16 B', chunkedRequest(16, 64)),
  decodingRequests('body, 64 chunks of 1 KiB', chunkedRequest(1024, 64)),
  decodingRequests('body, 16 chunks of 64 KiB', chunkedRequest(65_536, 16)),
  { name: 'write request, browser', ours: requestEncoding(BROWSER_HEAD), node: null },
  { name: 'write request, 40 fields', ours: requestEncoding(LARGE_HEAD), node: null },
  { name: 'write response', ours: responseEncoding(), node: null },
  { name: 'write a chunk of 16 B', ours: chunkEncoding(16), node: null },
  { name: 'write a chunk of 1 KiB', ours: chunkEncoding(1024), node: null },
];

function cpuNs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) * 1000;
}

function time(work: () => void, calls: number): number {
  const from = cpuNs();
  for (let i = 0; i < calls; i++) work();
  return (cpuNs() - from) / calls;
}

/** Warms up, and finds how many calls fill a round. */
function callsFor(work: () => void): number {
  let calls = 16;
  while (time(work, calls) * calls < ROUND_MS * 1e6) calls *= 2;
  for (let i = 0; i < WARM_UP_ROUNDS; i++) time(work, calls);
  return calls;
}

function measure({ name, ours, node }: Case): void {
  const works = node === null ? [ours] : [ours, node];
  const calls = works.map(callsFor);
  const samples: number[][] = works.map(() => []);
  for (let round = 0; round < ROUNDS; round++) works.forEach((work, i) => samples[i]?.push(time(work, calls[i] as number)));
  const [our = [], other = []] = samples.map((all) => all.toSorted((a, b) => a - b));
  const [least = 0] = our;
  const [otherLeast = 0] = other;
  const figures = [least.toFixed(0), (our[ROUNDS / 2] ?? 0).toFixed(0)];
  if (node !== null) figures.push(otherLeast.toFixed(0), (least / otherLeast).toFixed(2));
  console.log(name.padEnd(40) + figures.map((figure) => figure.padStart(9)).join(''));
}

console.log(`${''.padEnd(40)}    least   median     node    ratio   (CPU ns an operation)`);
for (const one of cases) measure(one);
if (sink === 0.5) console.log(sink);
