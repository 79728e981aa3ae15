/**
 * Invariant: any bytes are read as frames of HTTP/2 or refused with a reason (total), in the same way however they are cut (split), with every
 * byte accounted for (conservation) and no more kept than one frame; and a naive reader finds the same frames, fields and errors, with the same
 * HTTP/2 error code.
 */
import { resolveFrameDecoderOptions } from '@ferrata/http2-framing';
import { codecLawChecks, cut, http2FrameCodec, transcribe } from '@ferrata/testkit';
import { hashOf, sizesOf } from '../oracles/transcript.ts';
import type { TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http2-frames'], maxLength: 1024 };

const usual = http2FrameCodec(resolveFrameDecoderOptions());
/** Limits that short inputs reach. */
const tight = http2FrameCodec(resolveFrameDecoderOptions({ maxContinuations: 2, maxHeaderBlockBytes: 60, maxSettings: 6 }));

export function fuzz(data: Uint8Array): void {
  const codec = (hashOf(data) & 0x30) === 0 ? tight : usual;
  const chunks = cut(data, sizesOf(data));
  codecLawChecks.split(codec, data, chunks);
  codecLawChecks.total(codec, data, chunks);
  codecLawChecks.conservation(codec, data, chunks);
  codec.compareWithOracle?.(transcribe(codec, chunks), data);
}
