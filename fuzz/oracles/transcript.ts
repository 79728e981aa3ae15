/**
 * What a decoder makes of an input, written down so that two readings can be compared; and how an input is cut into chunks.
 *
 * While it writes, it checks what holds for every reading: bytes consumed and bytes kept are the bytes fed (conservation), nothing beyond
 * the limits is kept, the first error is final, and nothing is read after the last message.
 */
import { isWireError } from '@ferrata/error';
import type { HeaderMap } from '@ferrata/headers';
import { MessageEvent, type RequestDecoder, type ResponseDecoder } from '@ferrata/http1';
import { invariant } from '../src/target.ts';

/** A message as far as it was decoded. */
export interface DecodedMessage {
  /** Method, or status code. */
  readonly start: string;
  /** Request target, or reason phrase. */
  readonly rest: string;
  readonly version: number;
  readonly headers: HeaderMap;
  /** What the decoder says of the message beyond its head: framing, persistence and the like. */
  readonly traits: string;
  readonly bodyLength: number;
  readonly keepAlive: boolean;
  /** After it the connection speaks another protocol; of responses only, as a request can be declined. */
  readonly isTunnel: boolean;
  body: string;
  /** The pieces of the body by their chunk extensions: equal neighbours are one. */
  readonly extensions: string[];
  trailers: HeaderMap | null;
  isComplete: boolean;
}

/** What became of an input. */
export interface Transcript {
  readonly messages: readonly DecodedMessage[];
  /** Reason of the error that ended it, or null. */
  readonly reason: string | null;
  /** Bytes that were consumed when it ended; means nothing after an error. */
  readonly consumedBytes: number;
}

/** How a decoder is driven. */
export interface Reading<Decoder extends RequestDecoder | ResponseDecoder> {
  readonly decoder: Decoder;
  /** Called on each head. */
  readonly readHead: (decoder: Decoder) => DecodedMessage;
  /** Whether `end` is called after the last byte. */
  readonly isEnded: boolean;
  /** The most bytes that may stay unconsumed when the decoder asks for more. */
  readonly maxKeptBytes: number;
}

/** Decodes `data` in chunks of the sizes that `chunkSizeAt` gives. */
export function transcribe<Decoder extends RequestDecoder | ResponseDecoder>(
  data: Uint8Array,
  { decoder, readHead, isEnded, maxKeptBytes }: Reading<Decoder>,
  chunkSizeAt: (at: number) => number,
): Transcript {
  const messages: DecodedMessage[] = [];
  let fed = 0;
  let reason: string | null = null;
  try {
    for (;;) {
      while (decoder.next()) takeEvent(decoder, messages, readHead);
      const consumed = decoder.consumedBytes;
      const kept = decoder.bufferedBytes;
      invariant(consumed + kept === fed, 'conservation', () => `${consumed} consumed and ${kept} kept of ${fed} fed`);
      invariant(kept <= maxKeptBytes || decoder.isFinished, 'bounded memory', () => `${kept} bytes kept, ${maxKeptBytes} allowed`);
      if (fed === data.length) {
        if (!isEnded) break;
        decoder.end();
        while (decoder.next()) takeEvent(decoder, messages, readHead);
        break;
      }
      const size = Math.min(chunkSizeAt(fed), data.length - fed);
      decoder.feed(data.subarray(fed, fed + size));
      fed += size;
    }
  } catch (error) {
    if (!isWireError(error) || error.type === 'internal') throw error;
    reason = error.reason;
    invariant(thrownBy(() => decoder.next()) === error, 'the first error is final', () => `after ${error.reason}`);
    invariant(
      error.fault === 'remote' && error.status >= 400 && error.status < 600,
      'an error of the peer has a status',
      () => error.message,
    );
  }
  return { messages, reason, consumedBytes: decoder.consumedBytes };
}

function takeEvent<Decoder extends RequestDecoder | ResponseDecoder>(
  decoder: Decoder,
  messages: DecodedMessage[],
  readHead: (decoder: Decoder) => DecodedMessage,
): void {
  const { event } = decoder;
  const last = messages.at(-1);
  if (event === MessageEvent.head) {
    invariant(last === undefined || last.isComplete, 'a head comes after an end', () => last?.start ?? '');
    invariant(last === undefined || last.keepAlive, 'nothing is read after the last message', () => `after ${last?.rest ?? ''}`);
    messages.push(readHead(decoder));
    return;
  }
  invariant(last !== undefined && !last.isComplete, 'a body comes after its head', () => `event ${event}`);
  if (event === MessageEvent.data) {
    const { data, chunkExtension } = decoder;
    invariant(data.length > 0, 'data is never empty', () => last.rest);
    last.body += latin1(data);
    if (last.extensions.at(-1) !== chunkExtension) last.extensions.push(chunkExtension);
  } else {
    invariant(event === MessageEvent.end, 'an event is head, data or end', () => `event ${event}`);
    last.isComplete = true;
    last.trailers = decoder.trailers;
    const { bodyLength, body } = last;
    invariant(bodyLength < 0 || body.length === bodyLength, 'a body has the length it was given', () => `${body.length} of ${bodyLength}`);
  }
}

/** Compares two readings of one input. @throws {InvariantBroken} under the name of `law` */
export function compareTranscripts(one: Transcript, other: Transcript, law: string): void {
  const a = describe(one);
  const b = describe(other);
  invariant(a === b, law, () => `${a}\n  and\n${b}`);
}

/** One text for all that a reading says. */
export function describe({ messages, reason, consumedBytes }: Transcript): string {
  let text = '';
  for (const message of messages) {
    text += `${message.start} ${message.rest} ${message.version} ${message.traits}\n${fieldsOf(message.headers)}\n`;
    text += `${message.body.length}:${message.body}\n${message.extensions.join('|')}\n`;
    text += `${message.trailers === null ? '' : fieldsOf(message.trailers)}\n${message.isComplete ? 'complete' : 'open'}\n`;
  }
  return `${text}${reason ?? `${consumedBytes} consumed`}`;
}

/** `name: value` lines. */
export function fieldsOf(headers: HeaderMap): string {
  let text = '';
  for (let line = 0; line < headers.size; line++) text += `${headers.nameAt(line)}: ${headers.valueAt(line)}\n`;
  return text;
}

/**
 * A way to cut an input that depends on its bytes alone: all one-byte chunks for a quarter of the inputs, sizes of 1 to 16 for a half, larger
 * ones for the rest. No corpus file needs a header to say how it was cut.
 */
export function chunkingOf(data: Uint8Array): (at: number) => number {
  const hash = hashOf(data);
  switch (hash & 3) {
    case 0:
      return () => 1;
    case 3:
      return (at) => 1 + (mix(hash + at) & 0xff);
    default:
      return (at) => 1 + (mix(hash + at) & 0xf);
  }
}

/** The same as sizes of chunks, in their order. */
export function sizesOf(data: Uint8Array): number[] {
  const sizeAt = chunkingOf(data);
  const sizes: number[] = [];
  for (let at = 0; at < data.length; at += sizes.at(-1) as number) sizes.push(sizeAt(at));
  return sizes;
}

/** Everything at once. */
export const wholeChunk = (): number => Number.POSITIVE_INFINITY;

/** FNV-1a, 32 bits. */
export function hashOf(data: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of data) hash = Math.imul(hash ^ byte, 0x01000193);
  return mix(hash);
}

function mix(value: number): number {
  let mixed = Math.imul(value ^ (value >>> 16), 0x45d9f3b);
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

export function latin1(data: Uint8Array): string {
  return Buffer.from(data.buffer, data.byteOffset, data.length).toString('latin1');
}

function thrownBy(action: () => void): unknown {
  try {
    action();
    return null;
  } catch (error) {
    return error;
  }
}
