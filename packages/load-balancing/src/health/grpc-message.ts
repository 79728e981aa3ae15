/**
 * The two messages of the gRPC health checking protocol, in bytes.
 *
 * ```text
 *   frame     compressed (1, 0 or 1) · length (4, big endian) · message
 *   request   message HealthCheckRequest  { string service = 1; }
 *   response  message HealthCheckResponse { ServingStatus status = 1; }
 * ```
 *
 * Sources: grpc.health.v1 (health.proto), the gRPC over HTTP/2 protocol (length-prefixed messages), the encoding of protocol buffers (varints, tags, unknown fields).
 */
import { utf8Encode } from '@ferrata/bytes';

/** What a service says of itself. */
export const ServingStatus = { unknown: 0, serving: 1, notServing: 2, serviceUnknown: 3 } as const;

const FRAME_HEAD_BYTES = 5;
/** Ten groups of seven bits: the longest varint. */
const MAX_VARINT_BYTES = 10;

/** The framed question after a service; empty: after the server as a whole. */
export function encodeHealthRequest(service: string): Uint8Array {
  const name = utf8Encode(service);
  // A field with its default is not written.
  const message = name.length === 0 ? new Uint8Array(0) : new Uint8Array([0x0a, ...varint(name.length), ...name]);
  const frame = new Uint8Array(FRAME_HEAD_BYTES + message.length);
  new DataView(frame.buffer).setUint32(1, message.length);
  frame.set(message, FRAME_HEAD_BYTES);
  return frame;
}

/**
 * Reads the framed answer.
 *
 * @returns the number of the status, which may be one that nobody has named yet; a text: what is wrong with the bytes
 */
export function decodeHealthResponse(body: Uint8Array): number | string {
  if (body.length < FRAME_HEAD_BYTES) return `${body.length} bytes are no frame`;
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
  if (view.getUint8(0) !== 0) return 'its message is compressed, and nobody had said that it may be';
  if (view.getUint32(1) !== body.length - FRAME_HEAD_BYTES) return 'it is not one whole message';
  return decodeStatus(body.subarray(FRAME_HEAD_BYTES));
}

function decodeStatus(message: Uint8Array): number | string {
  let status: number = ServingStatus.unknown;
  for (let at = 0; at < message.length; ) {
    const tag = readVarint(message, at);
    if (tag === null) return 'a tag is cut off';
    const field = Math.floor(tag.value / 8);
    const kind = tag.value % 8;
    if (field === 0) return 'a field has the number 0';
    if (field === 1 && kind === 0) {
      const value = readVarint(message, tag.end);
      if (value === null) return 'the status is cut off';
      status = value.value;
      at = value.end;
      continue;
    }
    // Fields of a later version of the protocol.
    const end = endOfField(message, tag.end, kind);
    if (end === null || end > message.length) return `field ${field} is cut off, or of no kind that there is`;
    at = end;
  }
  return status;
}

function endOfField(message: Uint8Array, at: number, kind: number): number | null {
  switch (kind) {
    case 0:
      return readVarint(message, at)?.end ?? null;
    case 1:
      return at + 8;
    case 2: {
      const length = readVarint(message, at);
      return length === null ? null : length.end + length.value;
    }
    case 5:
      return at + 4;
    default:
      return null;
  }
}

/** Values beyond 2⁵³ lose their last digits, which nothing here depends on. */
function readVarint(bytes: Uint8Array, at: number): { readonly value: number; readonly end: number } | null {
  let value = 0;
  for (let index = 0; index < MAX_VARINT_BYTES; index++) {
    const byte = bytes[at + index];
    if (byte === undefined) return null;
    value += (byte & 0x7f) * 2 ** (7 * index);
    if (byte < 0x80) return { value, end: at + index + 1 };
  }
  return null;
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes.push((rest % 0x80) | 0x80);
  bytes.push(rest);
  return bytes;
}
