/**
 * Invariant: whatever a peer sends, a WebSocket connection of either role tells events or one final error, never of type `internal` (total), the same for any
 * cuts of the same bytes, read at once or fed ahead of what is read (split); the frames that it sends are read by a machine of the other role, no data follows its Close, and what it keeps is bounded
 * by its limits. Text that it tells is UTF-8. The lists of extensions and subprotocols are read to their end, or refused.
 *
 * The input is a byte of options and then the bytes of the peer. Bit 2 takes them for the payloads of well-formed frames instead: a byte of opcode, FIN and
 * RSV1, one of length, and so on. Bit 3 takes them for a field value.
 */
import { ByteWriter, concatBytes, latin1Decode } from '@ferrata/bytes';
import { isWireError } from '@ferrata/error';
import {
  acceptDeflate,
  type MessageCompression,
  type Opcode,
  parseSubprotocols,
  Role,
  readDeflateAnswer,
  WebSocketConnection,
  WebSocketEvent,
  writeFrame,
} from '@ferrata/websocket';
import { chunkingOf, wholeChunk } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['websocket'], maxLength: 512 };

const MAX_MESSAGE_BYTES = 300;
const KEY = 0x0102_0304;
const windows = { serverNoContextTakeover: true, clientNoContextTakeover: true, serverMaxWindowBits: 15, clientMaxWindowBits: 15 };
/** Limits that short inputs reach; a compression that doubles each byte, and refuses some. */
const limits = {
  maxMessageBytes: MAX_MESSAGE_BYTES,
  maxFragments: 5,
  maxControlFrameBurst: 12,
  maxQueuedPongBytes: 60,
  compression: (): MessageCompression => ({ deflate: (message) => message, inflate: doubled }),
};
const strict = new TextDecoder('utf-8', { fatal: true });

export function fuzz(input: Uint8Array): void {
  const bits = input[0] ?? 0;
  const rest = input.slice(1);
  if ((bits & 8) !== 0) {
    readFields(latin1Decode(rest, 0, rest.length));
    return;
  }
  const bytes = (bits & 4) === 0 ? rest : framesOf(rest, (bits & 1) === 0);
  const whole = read(bytes, bits, wholeChunk);
  const cut = read(bytes, bits, chunkingOf(input));
  invariant(whole === cut, 'split', () => `${cut} instead of ${whole}`);
  const ahead = read(bytes, bits, chunkingOf(input), 1);
  invariant(whole === ahead, 'split, fed ahead', () => `${ahead} instead of ${whole}`);
}

/** Everything that a connection says and sends, as text. @param most events that are read behind each chunk; those that are left, at the end */
function read(bytes: Uint8Array, bits: number, sizeAt: (at: number) => number, most = Number.POSITIVE_INFINITY): string {
  const role = (bits & 1) === 0 ? Role.server : Role.client;
  const connection = new WebSocketConnection(role, 0, {
    ...limits,
    deflate: (bits & 2) === 0 ? null : windows,
    isCloseAnswered: (bits & 16) === 0,
    random: { next: () => 0, uint32: () => KEY, below: () => 0 },
  });
  const story: string[] = [];
  let message: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = Math.min(bytes.length, at + sizeAt(at));
    connection.receive(bytes.slice(at, end), 0);
    at = end;
    message = tell(connection, story, message, most);
    const kept = connection.bufferedBytes;
    invariant(kept <= MAX_MESSAGE_BYTES || most === 1, 'bounded memory', () => `${kept} bytes kept`);
  }
  // To whom has ended no Close is sent, so what was fed ahead is read first.
  message = tell(connection, story, message, Number.POSITIVE_INFINITY);
  connection.receiveEnd();
  tell(connection, story, message, Number.POSITIVE_INFINITY);
  const sent = concatBytes(connection.takeOutput());
  invariant(sent.length <= 12 * 133 + 200, 'bounded answers', () => `${sent.length} bytes sent`);
  checkSent(sent, role === Role.server ? Role.client : Role.server, connection.hasSentClose);
  return `${story.join('|')}; ${sent.join()}`;
}

function tell(connection: WebSocketConnection, story: string[], open: Uint8Array[], most: number): Uint8Array[] {
  let message = open;
  try {
    for (let told = 0; told < most && connection.nextEvent(0); told++) {
      if (connection.event === WebSocketEvent.messageStart) {
        message = [];
      } else if (connection.event === WebSocketEvent.data) {
        invariant(connection.data.length > 0, 'no empty piece', () => story.join('|'));
        message.push(connection.data);
      } else if (connection.event === WebSocketEvent.messageEnd) {
        const whole = concatBytes(message);
        invariant(whole.length <= MAX_MESSAGE_BYTES, 'messages within the limit', () => `${whole.length} bytes`);
        if (connection.messageKind === 1) invariant(isText(whole), 'text is UTF-8 (RFC 6455 §8.1)', () => whole.join());
        story.push(`${connection.messageKind} ${whole.join()}`);
      } else {
        story.push(`${connection.event} ${connection.data.join()} ${connection.closeCode} ${connection.closeReason}`);
      }
    }
  } catch (error) {
    if (!isWireError(error) || error.type === 'internal') throw error;
    invariant(connection.shouldClose && !connection.isOpen, 'an error ends the connection', () => error.reason);
    if (story.at(-1) !== error.reason) story.push(error.reason);
  }
  return message;
}

/** What we send is a connection like any other. */
function checkSent(sent: Uint8Array, role: Role, hasClosed: boolean): void {
  const peer = new WebSocketConnection(role, 0);
  peer.receive(sent.slice(), 0);
  try {
    while (peer.nextEvent(0));
  } catch (error) {
    invariant(false, 'what is sent is read', () => String(error));
  }
  invariant(peer.hasReceivedClose === hasClosed, 'a Close that was sent is the last frame', () => sent.join());
}

/** Well-formed frames with the input for opcodes and payloads: such inputs get further. */
function framesOf(bytes: Uint8Array, isMasked: boolean): Uint8Array {
  const writer = new ByteWriter();
  for (let at = 0; at + 1 < bytes.length; ) {
    const head = bytes[at] ?? 0;
    const length = (bytes[at + 1] ?? 0) % 200;
    const payload = bytes.subarray(at + 2, at + 2 + length);
    at += 2 + length;
    const header = {
      opcode: (head & 0x0f) as Opcode,
      isFinal: (head & 0x80) !== 0,
      isCompressed: (head & 0x40) !== 0,
      key: isMasked ? KEY : null,
    };
    writeFrame(writer, header, payload);
  }
  return writer.take();
}

function readFields(value: string): void {
  for (const reader of [acceptDeflate, (text: string) => readDeflateAnswer(text, {}), parseSubprotocols]) {
    if (isRefused(reader, value)) continue;
    invariant(isRefused(reader, `${value},@`), 'a list is read to its end', () => value);
  }
  let offered: ReturnType<typeof acceptDeflate> = null;
  try {
    offered = acceptDeflate(value);
  } catch {
    return;
  }
  if (offered === null) return;
  const { value: answer } = offered;
  const again = acceptDeflate(answer);
  invariant(again !== null, 'an answer of ours can be read', () => answer);
}

function isRefused(reader: (value: string) => unknown, value: string): boolean {
  try {
    reader(value);
    return false;
  } catch (error) {
    if (!isWireError(error) || error.type === 'internal') throw error;
    return true;
  }
}

function doubled(payload: Uint8Array, maxBytes: number): Uint8Array | null {
  if (payload[0] === 0xff) throw new RangeError('no DEFLATE data');
  return payload.length * 2 > maxBytes ? null : Uint8Array.from({ length: payload.length * 2 }, (_, i) => payload[i >>> 1] ?? 0);
}

function isText(bytes: Uint8Array): boolean {
  try {
    strict.decode(bytes);
    return true;
  } catch {
    return false;
  }
}
