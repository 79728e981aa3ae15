/**
 * Trailers as the last frame of a gRPC-Web body.
 *
 * ```text
 *   80 │ length (4, big-endian) │ name: value CR LF …
 * ```
 *
 * Names are in lower case, lines in the order of the trailers; a name that comes twice stays two lines.
 *
 * @see grpc PROTOCOL-WEB.md, "Message framing"
 */
import { latin1EncodeInto } from '@ferrata/bytes';
import type { HeaderMap } from '@ferrata/headers';

const TRAILER_FLAG = 0x80;
const PREFIX_BYTES = 5;

/** Packs trailers. The values have been checked when they came into the map, so none of them can begin a line of its own. */
export function trailerFrame(trailers: HeaderMap): Uint8Array {
  let text = '';
  for (const [name, value] of trailers) text += `${name.toLowerCase()}: ${value}\r\n`;
  const frame = new Uint8Array(PREFIX_BYTES + text.length);
  frame[0] = TRAILER_FLAG;
  new DataView(frame.buffer).setUint32(1, text.length);
  latin1EncodeInto(text, frame, PREFIX_BYTES);
  return frame;
}
