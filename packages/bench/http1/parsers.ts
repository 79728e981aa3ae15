/** The three that are compared: each reads chunks whole, as often as it is asked to, and makes strings of target, names and values. */
import { MessageEvent, RequestDecoder, type RequestDecoderOptions, ResponseDecoder } from '@ferrata/http1';
import { loadNodeHttpParser } from '@ferrata/testkit';
import { LlhttpType, llhttpWasm } from './llhttp-wasm.ts';

/** Results go here, so that no work can be left out. */
let sink = 0;

/** What is read. */
export type Kind = 'request' | 'response';

/** @returns a function that reads all chunks with one decoder of ours, every event asked for */
export function ours(kind: Kind, chunks: readonly Uint8Array[], options: RequestDecoderOptions = {}): () => number {
  return kind === 'request' ? requestReading(chunks, options) : responseReading(chunks);
}

function requestReading(chunks: readonly Uint8Array[], options: RequestDecoderOptions): () => number {
  const decoder = new RequestDecoder(options);
  return () => {
    for (const chunk of chunks) {
      decoder.feed(chunk);
      while (decoder.next()) sink ^= decoder.event === MessageEvent.data ? decoder.data.length : decoder.event;
    }
    return sink;
  };
}

function responseReading(chunks: readonly Uint8Array[]): () => number {
  const decoder = new ResponseDecoder();
  return () => {
    decoder.expect('GET');
    for (const chunk of chunks) {
      decoder.feed(chunk);
      while (decoder.next()) sink ^= decoder.event === MessageEvent.data ? decoder.data.length : decoder.event;
    }
    return sink;
  };
}

/** @returns a function that reads all chunks with Node's own parser, llhttp in C++, as `node:http` drives it */
export function nodeParser(kind: Kind, chunks: readonly Uint8Array[]): () => number {
  const { HTTPParser } = loadNodeHttpParser();
  const parser = new HTTPParser();
  parser.initialize(kind === 'request' ? HTTPParser.REQUEST : HTTPParser.RESPONSE, {});
  parser[HTTPParser.kOnHeaders] = (fields: readonly string[]): void => {
    sink ^= fields.length;
  };
  parser[HTTPParser.kOnHeadersComplete] = (_major: number, _minor: number, fields: readonly string[] | undefined): number => {
    sink ^= fields?.length ?? 0;
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
    for (const buffer of buffers) {
      const result = parser.execute(buffer);
      if (typeof result !== 'number') throw result;
    }
    return sink;
  };
}

/** @returns a function that reads all chunks with llhttp in WebAssembly */
export function wasmParser(kind: Kind, chunks: readonly Uint8Array[]): () => number {
  const onMessage = (text: string, fields: readonly string[]): void => {
    sink ^= text.length ^ fields.length;
  };
  const onBody = (data: Uint8Array): void => {
    sink ^= data.length;
  };
  const read = llhttpWasm(LlhttpType[kind], onMessage, onBody);
  const buffers = chunks.map((chunk) => Buffer.from(chunk));
  return () => {
    for (const buffer of buffers) read(buffer);
    return sink;
  };
}
