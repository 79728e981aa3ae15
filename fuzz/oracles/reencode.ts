/** The round-trip law: a message that was decoded whole, written by our encoder, is read as the same message. */
import { ByteWriter } from '@ferrata/bytes';
import { type HeaderMap, KnownHeader } from '@ferrata/headers';
import { BodyLength, writeChunk, writeLastChunk } from '@ferrata/http1';
import { invariant } from '../src/target.ts';
import { type DecodedMessage, fieldsOf, type Transcript } from './transcript.ts';

/** The decoders' limits of fields: of requests, and of responses. */
const FIELD_LIMITS: ReadonlySet<number> = new Set([100, 200]);

/**
 * Writes a message, reads it and compares; writes what was read and compares the bytes.
 *
 * @param writeHead writes the head as it should go out
 * @param read decodes bytes that hold exactly one message
 */
export function checkRoundTrip(
  message: DecodedMessage,
  writeHead: (writer: ByteWriter, message: DecodedMessage) => void,
  read: (bytes: Uint8Array) => Transcript,
): void {
  const bytes = write(message, writeHead);
  const again = read(bytes);
  const [copy] = again.messages;
  // A message with as many fields as may be: the encoder's own field that says how long the body is can be the one too many.
  if (again.reason === 'H1_FIELDS_TOO_MANY' && FIELD_LIMITS.has(message.headers.size)) return;
  const show = (): string => `${again.reason ?? ''} ${Buffer.from(bytes).toString('latin1')}`;
  invariant(
    copy !== undefined && again.reason === null && again.messages.length === 1 && copy.isComplete,
    'what is written is accepted',
    show,
  );
  invariant(copy.start === message.start && copy.rest === message.rest, 'the start line survives writing', show);
  invariant(unframed(copy.headers) === unframed(message.headers), 'the fields survive writing', show);
  invariant(copy.bodyLength === message.bodyLength && copy.body === message.body, 'the body survives writing', show);
  const isChunked = message.bodyLength === BodyLength.chunked;
  invariant(!isChunked || trailersOf(copy) === trailersOf(message), 'the trailers survive writing', show);
  invariant(again.consumedBytes === bytes.length, 'all that is written is read', show);
  const twice = write(copy, writeHead);
  invariant(
    Buffer.compare(bytes, twice) === 0,
    'writing what was read changes nothing',
    () => `${show()} then ${Buffer.from(twice).toString('latin1')}`,
  );
}

function write(message: DecodedMessage, writeHead: (writer: ByteWriter, message: DecodedMessage) => void): Uint8Array {
  const writer = new ByteWriter();
  writeHead(writer, message);
  const body = Buffer.from(message.body, 'latin1');
  if (message.bodyLength === BodyLength.chunked) {
    const [extension = ''] = message.extensions;
    writeChunk(writer, body, extension);
    writeLastChunk(writer, message.trailers);
  } else {
    writer.writeBytes(body);
  }
  return writer.take();
}

/** The fields without those that say how long the body is: the encoder writes its own. */
function unframed(headers: HeaderMap): string {
  const copy = headers.clone();
  copy.deleteKnown(KnownHeader.contentLength);
  copy.deleteKnown(KnownHeader.transferEncoding);
  return fieldsOf(copy);
}

function trailersOf(message: DecodedMessage): string {
  return message.trailers === null ? '' : fieldsOf(message.trailers);
}
