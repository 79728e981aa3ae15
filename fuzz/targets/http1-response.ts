/**
 * Invariant: any bytes are read as responses or refused with a reason (total), in the same way however they are cut (split), with every byte
 * accounted for (conservation); a response that is accepted survives being written and read again, and is framed by two builds of llhttp as by us, exceptions
 * listed in `oracles/agreement.ts`.
 *
 * The first byte says to which requests the responses belong: two bits each for the first four (GET, HEAD, CONNECT, POST), then again.
 */
import { BodyLength, resolveResponseDecoderOptions } from '@ferrata/http1';
import { checkAgreement } from '../oracles/agreement.ts';
import { isWithoutBody, readResponses, readWrittenResponse, writeReadResponse } from '../oracles/reading.ts';
import { checkRoundTrip } from '../oracles/reencode.ts';
import { chunkingOf, compareTranscripts, type DecodedMessage, hashOf, type Transcript } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http1', 'chunked'], maxLength: 1024 };

const METHODS = ['GET', 'HEAD', 'CONNECT', 'POST'] as const;
const EXPECTED = 8;

const usual = resolveResponseDecoderOptions();
/** Limits that short inputs reach: the split law holds for them too. */
const tight = resolveResponseDecoderOptions({
  maxHeadBytes: 160,
  maxStatusLineBytes: 32,
  maxFieldBytes: 48,
  maxFieldNameBytes: 20,
  maxFields: 4,
  maxChunkLineBytes: 32,
  maxChunkExtensionBytes: 40,
  maxTinyChunks: 3,
  maxTrailerBytes: 64,
  maxTrailerFields: 2,
});
export function fuzz(input: Uint8Array): void {
  const plan = input[0] ?? 0;
  const data = input.subarray(1);
  const hash = hashOf(input);
  const limits = (hash & 0x30) === 0 ? tight : usual;
  const isEnded = (hash & 0x40) !== 0;
  const expected = (hash & 0x180) === 0 ? 1 : EXPECTED;
  const methods = Array.from({ length: expected }, (_, index) => methodOf(plan, index));
  const whole = readResponses(data, { methods, limits, isEnded });
  compareTranscripts(whole, readResponses(data, { methods, limits, isEnded, chunkSizeAt: chunkingOf(input) }), 'split');
  if (whole.messages.length === 0) return;
  checkMessages(whole, plan);
  const isBodyless = (index: number): boolean => methodOf(plan, index) === 'HEAD';
  if (data.length <= 65_536) checkAgreement(data, whole, { kind: 'response', isBodyless, isEnded });
}

function methodOf(plan: number, index: number): string {
  return METHODS[(plan >>> (2 * (index & 3))) & 3] as string;
}

function checkMessages({ messages }: Transcript, plan: number): void {
  let finals = 0;
  for (const message of messages) {
    const method = methodOf(plan, finals);
    const status = Number(message.start);
    const show = (): string => JSON.stringify([method, message.start, message.rest, ...message.headers, message.bodyLength]);
    if (method === 'HEAD' || status < 200 || status === 204 || status === 304) {
      invariant(message.bodyLength === 0, 'no body to HEAD, in 1xx, 204 and 304 (RFC 9112 §6.3)', show);
    }
    const isTunnel = status === 101 || (method === 'CONNECT' && status >= 200 && status < 300);
    invariant(message.isTunnel === isTunnel, 'a tunnel begins after 101 and 2xx to CONNECT', show);
    invariant(message.bodyLength !== BodyLength.untilClose || !message.keepAlive, 'a body up to the close is the last', show);
    if (status >= 200) finals++;
    if (finals <= 2 && message.isComplete) checkWriting(message, method);
  }
}

function checkWriting(message: DecodedMessage, method: string): void {
  const isEnded = message.bodyLength === BodyLength.untilClose;
  checkRoundTrip(
    message,
    (writer, written) => writeReadResponse(writer, written, method),
    (bytes) => {
      const transcript = readWrittenResponse(bytes, method, isEnded);
      if (isWithoutBody(Number(message.start), method)) checkKeptLength(message, transcript);
      return transcript;
    },
  );
}

/** RFC 9110 §8.6: the Content-Length of an answer without a body is that of another message, and stays the number it is, in its plainest digits. */
function checkKeptLength({ headers }: DecodedMessage, { messages }: Transcript): void {
  const kept = messages[0]?.headers.get('content-length');
  const given = headers.get('content-length');
  invariant(
    kept === given?.replace(/^0+(?=\d)/, ''),
    'a length of no body survives writing',
    () => `${given ?? 'none'} became ${kept ?? 'none'}`,
  );
}
