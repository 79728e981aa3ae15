/** Drives a connection with bytes, and writes down what it says. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { ByteWriter, concatBytes, utf8Encode } from '@ferrata/bytes';
import { seededRandom } from '@ferrata/clock';
import { isWireError } from '@ferrata/error';
import {
  FrameDecoder,
  FrameEvent,
  type FrameHeader,
  type Opcode,
  Role,
  WebSocketConnection,
  WebSocketEvent,
  type WebSocketOptions,
  writeFrame,
} from '@ferrata/websocket';

export const KEY = 0x37fa213d;

setFlagsFromString('--expose-gc');
export const collectGarbage = runInNewContext('gc') as () => void;

/** A frame as a client sends it, unless `key` is null. */
export function frame(opcode: number, payload: string | Uint8Array = '', header: Partial<FrameHeader> = {}): Uint8Array {
  const writer = new ByteWriter();
  const bytes = typeof payload === 'string' ? utf8Encode(payload) : payload;
  writeFrame(writer, { opcode: opcode as Opcode, key: KEY, ...header }, bytes);
  return writer.take().slice();
}

export function closePayload(code: number, reason: string | Uint8Array = ''): Uint8Array {
  const text = typeof reason === 'string' ? utf8Encode(reason) : reason;
  return concatBytes([Uint8Array.of(code >>> 8, code & 0xff), text]);
}

/** What came of it. */
export interface Driven {
  /** `text:…`, `binary:…`, `ping:…`, `pong:…`, `close:code:reason`, `error:REASON`; pieces of a message are joined. */
  readonly events: readonly string[];
  /** The frames that it sent: `opcode:payload`, a Close as `8:code`. */
  readonly sent: readonly string[];
  readonly connection: WebSocketConnection;
}

export function latin(bytes: Uint8Array): string {
  let text = '';
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}

/** Events of the connection as far as they are known. */
export class Script {
  readonly connection: WebSocketConnection;
  readonly events: string[] = [];
  #open: string | null = null;

  constructor(role: Role, options: WebSocketOptions = {}) {
    this.connection = new WebSocketConnection(role, 0, { random: seededRandom(1), ...options });
  }

  receive(chunk: Uint8Array, now = 0): void {
    // The machine unmasks where bytes lie.
    this.connection.receive(chunk.slice(), now);
    this.pump(now);
  }

  /** Reads what there is, `most` events at most. */
  pump(now = 0, most = Number.POSITIVE_INFINITY): void {
    const { connection } = this;
    try {
      for (let left = most; left > 0 && connection.nextEvent(now); left--) this.#note();
    } catch (error) {
      if (!isWireError(error)) throw error;
      this.events.push(`error:${error.reason}`);
    }
  }

  #note(): void {
    const { connection, events } = this;
    switch (connection.event) {
      case WebSocketEvent.messageStart:
        this.#open = connection.messageKind === 1 ? 'text:' : 'binary:';
        break;
      case WebSocketEvent.data:
        this.#open += latin(connection.data);
        break;
      case WebSocketEvent.messageEnd:
        events.push(this.#open ?? 'end of nothing');
        this.#open = null;
        break;
      case WebSocketEvent.ping:
        events.push(`ping:${latin(connection.data)}`);
        break;
      case WebSocketEvent.pong:
        events.push(`pong:${latin(connection.data)}`);
        break;
      case WebSocketEvent.close:
        events.push(`close:${connection.closeCode}:${connection.closeReason}`);
        break;
      default:
        events.push(`unknown:${connection.event}`);
    }
  }

  /** Frames that wait to be taken. */
  takeFrames(): string[] {
    return framesOf(concatBytes(this.connection.takeOutput()), this.connection.role === Role.server ? Role.client : Role.server);
  }
}

/** Reads frames. @param reader the role of who reads them */
export function framesOf(bytes: Uint8Array, reader: Role): string[] {
  const decoder = new FrameDecoder(reader, { isDeflateAllowed: true });
  decoder.feed(bytes.slice());
  const frames: string[] = [];
  let payload = '';
  while (decoder.next()) {
    if (decoder.event === FrameEvent.header) payload = '';
    else if (decoder.event === FrameEvent.payload) payload += latin(decoder.payload);
    else if (decoder.opcode === 8) frames.push(`8:${payload === '' ? '' : (payload.charCodeAt(0) << 8) | payload.charCodeAt(1)}`);
    else frames.push(`${decoder.opcode}${decoder.isFinal ? '' : '-'}${decoder.isCompressed ? 'z' : ''}:${payload}`);
  }
  decoder.end();
  return frames;
}

/** Feeds bytes in pieces of `size`. */
export function drive(
  role: Role,
  bytes: Uint8Array,
  { size = Number.POSITIVE_INFINITY, ...options }: WebSocketOptions & { size?: number } = {},
): Driven {
  const script = new Script(role, options);
  for (let at = 0; at < bytes.length && script.connection.error === null; at += size)
    script.receive(bytes.subarray(at, at + Math.min(size, bytes.length)));
  return { events: script.events, sent: script.takeFrames(), connection: script.connection };
}
