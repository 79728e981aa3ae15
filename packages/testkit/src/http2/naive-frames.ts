/**
 * HTTP/2 frames read in the most obvious way: the oracle.
 *
 * It is told the whole input at once, and makes an object of each frame. No speed, no state but the open field block, no code in
 * common with `@ferrata/http2-framing`. Where a frame breaks several rules, the first of these counts: size limit, stream, length, sequence, content.
 *
 * @see RFC 9113 §4, §6 · RFC 7838 §4 · RFC 8336 §2 · RFC 8441 §3 · RFC 9218 §2.1, §7.1
 */
import { concatBytes, latin1Decode } from '@ferrata/bytes';
import { numberBytes } from '../arbitrary/frames.ts';

/** A frame as the oracle reads it. */
export interface NaiveFrame {
  readonly type: number;
  /** As they came, bits without a meaning included. */
  readonly flags: number;
  /** Without the reserved bit. */
  readonly streamId: number;
  /** Of the payload on the wire. */
  readonly length: number;
  /** Without padding and without the fields that are in `details`. */
  readonly payload: Uint8Array;
  /** The fields of its type; empty for those that have none. */
  readonly details: NaiveFrameDetails;
  /** An error code if the frame is an error of its stream, else 0. */
  readonly streamError: number;
  /** Whether a recipient has to act as if the frame had not come. */
  readonly isIgnorable: boolean;
}

/** The fields of a frame. */
export interface NaiveFrameDetails {
  /** RST_STREAM, GOAWAY. */
  readonly errorCode?: number;
  /** GOAWAY. */
  readonly lastStreamId?: number;
  /** WINDOW_UPDATE. */
  readonly increment?: number;
  /** HEADERS with the PRIORITY flag, PRIORITY. */
  readonly priority?: { readonly dependsOn: number; readonly weight: number; readonly isExclusive: boolean };
  /** PUSH_PROMISE. */
  readonly promisedStreamId?: number;
  /** PRIORITY_UPDATE. */
  readonly prioritizedStreamId?: number;
  /** SETTINGS. */
  readonly settings?: readonly (readonly [id: number, value: number])[];
  /** ORIGIN. */
  readonly origins?: readonly string[];
  /** ALTSVC. */
  readonly origin?: string;
}

/** What the oracle makes of an input. */
export interface NaiveFrames {
  /** The whole frames, up to the first that is not. */
  readonly frames: readonly NaiveFrame[];
  /** `whole`: nothing is wrong; `incomplete`: the input stops inside a frame or a field block; `refused`: a rule was broken. */
  readonly verdict: 'whole' | 'incomplete' | 'refused';
  /** The error code of the refusal, else 0. */
  readonly errorCode: number;
}

/** The limits of the reading; defaults as those of `FrameDecoder`. */
export interface NaiveFrameLimits {
  /** Default 16 384. */
  readonly maxFrameBytes?: number;
  /** Default 8. */
  readonly maxContinuations?: number;
  /** Default 32 768. */
  readonly maxHeaderBlockBytes?: number;
  /** Default 32. */
  readonly maxSettings?: number;
}

/** Reads frames until the input is over. */
export function naiveHttp2Frames(bytes: Uint8Array, limits: NaiveFrameLimits = {}): NaiveFrames {
  const frames: NaiveFrame[] = [];
  const block = { streamId: 0, bytes: 0, continuations: 0 };
  const finish = (verdict: NaiveFrames['verdict'], errorCode = 0): NaiveFrames => ({ frames, verdict, errorCode });
  try {
    let rest = bytes;
    while (rest.length >= 9) {
      const length = numberAt(rest, 0, 3);
      const [type, flags] = [numberAt(rest, 3, 1), numberAt(rest, 4, 1)];
      const streamId = numberAt(rest, 5, 4) % 2 ** 31;
      checkHeader({ type, flags, streamId, length }, limits);
      checkBlock(block, { type, flags, streamId, length }, limits);
      const payload = rest.subarray(9, 9 + length);
      // The padding of DATA is known to be wrong before all of it is there, as DATA is handed out as it comes.
      if (type === 0 && payload.length > 0) unpadded(payload, flags, length);
      if (payload.length < length) return finish('incomplete');
      frames.push({ type, flags, streamId, length, ...contentOf(type, flags, streamId, payload) });
      rest = rest.subarray(9 + length);
    }
    return finish(rest.length > 0 || block.streamId !== 0 ? 'incomplete' : 'whole');
  } catch (refusal) {
    if (!(refusal instanceof Refusal)) throw refusal;
    return finish('refused', refusal.errorCode);
  }
}

/** A frame as bytes: header and payload, whatever they are. */
export function naiveHttp2Frame(type: number, flags: number, streamId: number, payload: Uint8Array): Uint8Array {
  const header = [numberBytes(payload.length, { byteLength: 3 }), Uint8Array.of(type, flags), numberBytes(streamId, { byteLength: 4 })];
  return concatBytes([...header, payload]);
}

const PROTOCOL_ERROR = 1;
const FLOW_CONTROL_ERROR = 3;
const FRAME_SIZE_ERROR = 6;
const ENHANCE_YOUR_CALM = 11;

interface Header {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  readonly length: number;
}

type Content = Pick<NaiveFrame, 'payload' | 'details' | 'streamError' | 'isIgnorable'>;

class Refusal extends Error {
  readonly errorCode: number;

  constructor(errorCode: number) {
    super(`refused with ${errorCode}`);
    this.errorCode = errorCode;
  }
}

function refuseIf(isWrong: boolean, errorCode: number): void {
  if (isWrong) throw new Refusal(errorCode);
}

function checkHeader({ type, flags, streamId, length }: Header, { maxFrameBytes = 16_384, maxSettings = 32 }: NaiveFrameLimits): void {
  refuseIf(length > maxFrameBytes, FRAME_SIZE_ERROR);
  refuseIf([0, 1, 2, 3, 5, 9].includes(type) && streamId === 0, PROTOCOL_ERROR);
  refuseIf([4, 6, 7, 16].includes(type) && streamId !== 0, PROTOCOL_ERROR);
  const isPadded = (flags & 8) !== 0 ? 1 : 0;
  const hasPriority = (flags & 32) !== 0 ? 5 : 0;
  const isAck = (flags & 1) !== 0;
  const isLong: Readonly<Record<number, boolean>> = {
    0: length >= isPadded,
    1: length >= isPadded + hasPriority,
    3: length === 4,
    4: isAck ? length === 0 : length % 6 === 0,
    5: length >= isPadded + 4,
    6: length === 8,
    7: length >= 8,
    8: length === 4,
    16: length >= 4,
  };
  refuseIf(isLong[type] === false, FRAME_SIZE_ERROR);
  refuseIf(type === 4 && length > 6 * maxSettings, ENHANCE_YOUR_CALM);
}

function checkBlock(
  block: { streamId: number; bytes: number; continuations: number },
  { type, flags, streamId, length }: Header,
  { maxContinuations = 8, maxHeaderBlockBytes = 32_768 }: NaiveFrameLimits,
): void {
  refuseIf(block.streamId === 0 && type === 9, PROTOCOL_ERROR);
  refuseIf(block.streamId !== 0 && (type !== 9 || streamId !== block.streamId), PROTOCOL_ERROR);
  if (![1, 5, 9].includes(type)) return;
  block.continuations = type === 9 ? block.continuations + 1 : 0;
  block.bytes = length + (type === 9 ? block.bytes : 0);
  refuseIf(block.continuations > maxContinuations || block.bytes > maxHeaderBlockBytes, ENHANCE_YOUR_CALM);
  block.streamId = (flags & 4) === 0 ? streamId : 0;
}

function contentOf(type: number, flags: number, streamId: number, whole: Uint8Array): Content {
  const content = (payload: Uint8Array, details: NaiveFrameDetails = {}, streamError = 0, isIgnorable = false): Content => ({
    payload: payload.slice(),
    details,
    streamError,
    isIgnorable,
  });
  switch (type) {
    case 0:
      return content(unpadded(whole, flags, whole.length));
    case 1: {
      const inner = unpadded(whole, flags, whole.length);
      if ((flags & 32) === 0) return content(inner);
      refuseIf(inner.length < 5, PROTOCOL_ERROR);
      const priority = priorityOf(inner);
      return content(inner.subarray(5), { priority }, priority.dependsOn === streamId ? PROTOCOL_ERROR : 0);
    }
    case 2: {
      if (whole.length !== 5) return content(whole, {}, FRAME_SIZE_ERROR);
      const priority = priorityOf(whole);
      return content(whole.subarray(5), { priority }, priority.dependsOn === streamId ? PROTOCOL_ERROR : 0);
    }
    case 3:
      return content(whole, { errorCode: numberAt(whole, 0, 4) });
    case 4:
      return content(whole, { settings: settingsOf(whole) });
    case 5: {
      const inner = unpadded(whole, flags, whole.length);
      refuseIf(inner.length < 4, PROTOCOL_ERROR);
      return content(inner.subarray(4), { promisedStreamId: streamIdAt(inner) });
    }
    case 7:
      return content(whole.subarray(8), { lastStreamId: numberAt(whole, 0, 4) % 2 ** 31, errorCode: numberAt(whole, 4, 4) });
    case 8: {
      const increment = numberAt(whole, 0, 4) % 2 ** 31;
      refuseIf(increment === 0 && streamId === 0, PROTOCOL_ERROR);
      return content(whole, { increment }, increment === 0 ? PROTOCOL_ERROR : 0);
    }
    case 10: {
      const isTooLong = whole.length < 2 || whole.length < 2 + numberAt(whole, 0, 2);
      refuseIf(isTooLong && streamId === 0, FRAME_SIZE_ERROR);
      if (isTooLong) return content(whole, {}, FRAME_SIZE_ERROR, true);
      const end = 2 + numberAt(whole, 0, 2);
      if ((streamId === 0) === (end === 2)) return content(whole.subarray(end), {}, 0, true);
      return content(whole.subarray(end), { origin: latin1Decode(whole, 2, end) });
    }
    case 12: {
      if (streamId !== 0 || flags % 16 !== 0) return content(whole, {}, 0, true);
      return content(whole, { origins: originsOf(whole) });
    }
    case 16:
      return content(whole.subarray(4), { prioritizedStreamId: streamIdAt(whole) });
    default:
      return content(whole, {}, 0, type !== 6 && type !== 9);
  }
}

/** @param length the announced one, of which `payload` may be the beginning */
function unpadded(payload: Uint8Array, flags: number, length: number): Uint8Array {
  if ((flags & 8) === 0) return payload;
  const padding = numberAt(payload, 0, 1);
  refuseIf(padding >= length, PROTOCOL_ERROR);
  return payload.subarray(1, length - padding);
}

function priorityOf(bytes: Uint8Array): NonNullable<NaiveFrameDetails['priority']> {
  const first = numberAt(bytes, 0, 4);
  return { dependsOn: first % 2 ** 31, weight: numberAt(bytes, 4, 1) + 1, isExclusive: first >= 2 ** 31 };
}

function settingsOf(bytes: Uint8Array): [number, number][] {
  const settings: [number, number][] = [];
  for (let at = 0; at < bytes.length; at += 6) {
    const [id, value] = [numberAt(bytes, at, 2), numberAt(bytes, at + 2, 4)];
    refuseIf([2, 8, 9].includes(id) && value > 1, PROTOCOL_ERROR);
    refuseIf(id === 4 && value >= 2 ** 31, FLOW_CONTROL_ERROR);
    refuseIf(id === 5 && (value < 2 ** 14 || value >= 2 ** 24), PROTOCOL_ERROR);
    settings.push([id, value]);
  }
  return settings;
}

function originsOf(bytes: Uint8Array): string[] {
  if (bytes.length === 0) return [];
  refuseIf(bytes.length < 2 || bytes.length < 2 + numberAt(bytes, 0, 2), FRAME_SIZE_ERROR);
  const end = 2 + numberAt(bytes, 0, 2);
  return [latin1Decode(bytes, 2, end), ...originsOf(bytes.subarray(end))];
}

function streamIdAt(bytes: Uint8Array): number {
  const streamId = numberAt(bytes, 0, 4) % 2 ** 31;
  refuseIf(streamId === 0, PROTOCOL_ERROR);
  return streamId;
}

function numberAt(bytes: Uint8Array, at: number, byteLength: number): number {
  let value = 0;
  for (const byte of bytes.subarray(at, at + byteLength)) value = value * 0x100 + byte;
  return value;
}
