/**
 * Invariant: any bytes are read as requests or refused with a reason (total), in the same way however they are cut (split), with every byte
 * accounted for (conservation); a request that is accepted obeys the rules that keep requests apart, survives being written and read again, and
 * is framed by two builds of llhttp as by us, exceptions listed in `oracles/agreement.ts`.
 */
import { type HeaderMap, KnownHeader } from '@ferrata/headers';
import { BodyLength, resolveRequestDecoderOptions } from '@ferrata/http1';
import { checkAgreement } from '../oracles/agreement.ts';
import { readRequests, readWrittenRequest, writeReadRequest } from '../oracles/reading.ts';
import { checkRoundTrip } from '../oracles/reencode.ts';
import { chunkingOf, compareTranscripts, type DecodedMessage, hashOf } from '../oracles/transcript.ts';
import { invariant, type TargetOptions } from '../src/target.ts';

export const options: TargetOptions = { dictionaries: ['http1', 'chunked'], maxLength: 1024 };

const usual = resolveRequestDecoderOptions();
/** Limits that short inputs reach: the split law holds for them too. */
const tight = resolveRequestDecoderOptions({
  maxHeadBytes: 160,
  maxTargetBytes: 16,
  maxMethodBytes: 8,
  maxFieldBytes: 48,
  maxFieldNameBytes: 20,
  maxFields: 4,
  maxChunkLineBytes: 32,
  maxChunkExtensionBytes: 40,
  maxTinyChunks: 3,
  maxTrailerBytes: 64,
  maxTrailerFields: 2,
  maxEmptyLines: 1,
});
export function fuzz(data: Uint8Array): void {
  const hash = hashOf(data);
  const isTight = (hash & 0x30) === 0;
  const limits = isTight ? tight : usual;
  const reading = { limits, isEnded: (hash & 0x40) !== 0 };
  const whole = readRequests(data, reading);
  const split = readRequests(data, { ...reading, chunkSizeAt: chunkingOf(data) });
  compareTranscripts(whole, split, 'split');
  if (whole.messages.length === 0) return;
  for (const message of whole.messages) checkRules(message);
  for (const message of whole.messages.slice(0, 2))
    if (message.isComplete && isWritable(message)) checkRoundTrip(message, writeReadRequest, readWrittenRequest);
  if (data.length <= 65_536) checkAgreement(data, whole, { kind: 'request' });
}

/** What must be true of every accepted request, checked with nothing of the decoder's. */
function checkRules({ start, rest, version, headers, bodyLength }: DecodedMessage): void {
  const hosts = valuesOf(headers, 'host');
  const lengths = valuesOf(headers, 'content-length');
  const codings = valuesOf(headers, 'transfer-encoding');
  const show = (): string => JSON.stringify([start, rest, version, ...headers]);
  invariant(/^[!#$%&'*+.^_`|~\w-]+$/.test(start), 'a method is a token', show);
  invariant(/^(\/[!"$-~]*|https?:\/\/[^/?#@\s]+[!"$-~]*|\*|[^/\s@]+:\d+)$/i.test(rest), 'a target has one of four forms', show);
  invariant(hosts.length === 1 || (hosts.length === 0 && version === 10), 'exactly one Host (RFC 9112 §3.2)', show);
  invariant(lengths.length + codings.length <= 1, 'one framing field at most (RFC 9112 §6.3)', show);
  invariant(
    lengths.every((value) => /^\d+$/.test(value) && Number(value) === bodyLength),
    'the length is what Content-Length says',
    show,
  );
  invariant(codings.length === 0 || version === 11, 'Transfer-Encoding only in HTTP/1.1 (RFC 9112 §6.1)', show);
  invariant(
    codings.every((value) => value.toLowerCase() === 'chunked'),
    'chunked is the only coding',
    show,
  );
  invariant((bodyLength === BodyLength.chunked) === (codings.length === 1), 'chunked is what Transfer-Encoding says', show);
  invariant(lengths.length + codings.length > 0 || bodyLength === 0, 'no framing field, no body (RFC 9112 §6.3)', show);
  for (const [name, value] of headers) {
    invariant(/^[!#$%&'*+.^_`|~\w-]+$/.test(name), 'a field name is a token', show);
    invariant(/^(?![\t ])[\t\x20-\x7e\x80-\xff]*(?<![\t ])$/.test(value), 'a field value has no controls and no blanks around it', show);
  }
}

function valuesOf(headers: HeaderMap, name: string): string[] {
  return [...headers].filter(([other]) => other.toLowerCase() === name).map(([, value]) => value);
}

/** The encoder writes HTTP/1.1, in which a Host is a must; who forwards a request of 1.0 without one has to add it. */
function isWritable({ headers }: DecodedMessage): boolean {
  return headers.hasKnown(KnownHeader.host);
}
