/**
 * Writing: heads into a buffer that is there, heads and chunks into a `ByteWriter`, whose bytes are taken each time.
 *
 * Nobody else in Node writes heads alone, so the peer is the least that any writer has to do: `latin1Write` of the finished text into a buffer,
 * which is also the measure of the machine. The bar of encoding a response head is 250 ns. A `ByteWriter` adds the memory: bytes that were taken
 * are never written again, so it makes a new slab now and then, and a view for each take.
 */
import { ByteWriter, latin1Decode, latin1EncodeInto } from '@ferrata/bytes';
import { type RequestHead, type ResponseHead, responseHead } from '@ferrata/headers';
import { formatResponseHead, RequestDecoder, ResponseDecoder, writeChunk, writeRequestHead, writeResponseHead } from '@ferrata/http1';
import { type BenchRow, compareTimes, type RowBench, type RunOptions } from '../src/rows.ts';
import { BROWSER_HEAD, LARGE_HEAD, RESPONSE } from './inputs.ts';
import { FINE } from './rounds.ts';

const PLAIN = 'latin1Write of the text';

/** What a program answers. */
const MADE: ResponseHead = responseHead(200, {
  headers: {
    Date: 'Sun, 06 Nov 1994 08:49:37 GMT',
    Server: 'ferrata',
    'Content-Type': 'application/json',
    'Content-Length': '13',
    'Cache-Control': 'no-store',
  },
});

export const encoding: RowBench = {
  name: 'write',
  run(options) {
    const response = decodedResponse();
    return [
      ...responseRows('response head of 5 fields, made by a program', MADE, options),
      ...responseRows('response head of 7 fields, as decoded', response, options),
      ...rows("request head of a browser's 10 fields", requestWriting(BROWSER_HEAD), options),
      ...rows('request head of 40 fields', requestWriting(LARGE_HEAD), options),
      ...rows('chunk of 16 B', chunkWriting(16), options),
      ...rows('chunk of 1 KiB', chunkWriting(1024), options),
    ];
  },
};

/** Into a buffer, which is what the bar is for, and into a writer. */
function responseRows(operation: string, head: ResponseHead, options: RunOptions): readonly BenchRow[] {
  const target = new Uint8Array(4096);
  const encode = (): number => latin1EncodeInto(formatResponseHead(head, { bodyLength: 13 }), target, 0);
  const text = latin1Decode(target, 0, encode());
  return [
    ...compareTimes(
      { operation, ours: encode, peers: { [PLAIN]: plainWriting(text) }, bars: { [PLAIN]: { maxOurs: 250 } }, measure: FINE },
      options,
    ),
    ...rows(`${operation}, into a writer`, (writer) => writeResponseHead(writer, head, { bodyLength: 13 }), options),
  ];
}

function rows(operation: string, write: (writer: ByteWriter) => void, options: RunOptions): readonly BenchRow[] {
  const writer = new ByteWriter({ initialCapacity: 65_536 });
  write(writer);
  const text = latin1Decode(writer.take());
  const ours = (): number => {
    write(writer);
    return writer.take().length;
  };
  return compareTimes({ operation, ours, peers: { [PLAIN]: plainWriting(text) }, measure: FINE }, options);
}

function plainWriting(text: string): () => number {
  const target = Buffer.alloc(text.length) as Buffer & { latin1Write(text: string, at: number): number };
  return () => target.latin1Write(text, 0);
}

function decodedResponse(): ResponseHead {
  const decoder = new ResponseDecoder();
  decoder.expect('GET');
  decoder.feed(RESPONSE);
  decoder.next();
  return decoder.head;
}

function requestWriting(bytes: Uint8Array): (writer: ByteWriter) => void {
  const decoder = new RequestDecoder();
  decoder.feed(bytes);
  decoder.next();
  const head: RequestHead = decoder.head;
  return (writer) => writeRequestHead(writer, head, 0);
}

function chunkWriting(size: number): (writer: ByteWriter) => void {
  const data = new Uint8Array(size);
  return (writer) => writeChunk(writer, data);
}
