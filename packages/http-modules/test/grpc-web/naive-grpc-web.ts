/** gRPC-Web bodies, read and written as simply as can be: what the bridge is held against. */
import { concatBytes } from '@ferrata/bytes';

export interface NaiveFrame {
  readonly flags: number;
  readonly text: string;
}

export function frameOf(flags: number, payload: Uint8Array): Uint8Array {
  const prefix = Buffer.alloc(5);
  prefix[0] = flags;
  prefix.writeUInt32BE(payload.length, 1);
  return concatBytes([prefix, payload]);
}

/** All whole frames. */
export function readFrames(body: Uint8Array): NaiveFrame[] {
  const bytes = Buffer.from(body);
  const frames: NaiveFrame[] = [];
  for (let at = 0; at + 5 <= bytes.length; ) {
    const end = at + 5 + bytes.readUInt32BE(at + 1);
    if (end > bytes.length) break;
    frames.push({ flags: bytes.readUInt8(at), text: bytes.toString('latin1', at + 5, end) });
    at = end;
  }
  return frames;
}

/** Base64 whose pieces may have padding of their own, by Node's decoder, four characters at a time. */
export function readText(body: Uint8Array): Uint8Array {
  const groups =
    Buffer.from(body)
      .toString('latin1')
      .match(/.{1,4}/gs) ?? [];
  return new Uint8Array(Buffer.concat(groups.map((group) => Buffer.from(group, 'base64'))));
}
