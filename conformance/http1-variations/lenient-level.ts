/**
 * The decoders with every leniency on: what is right without one must read the same, and what is accepted beyond that must show the very thing
 * that one of the leniencies is for. Nothing else may slip through with it.
 */
import { RequestDecoder, type RequestLeniency, ResponseDecoder, type ResponseLeniency } from '@ferrata/http1';
import { type Cutter, judgeRequests } from './decoder-level.ts';
import type { RequestCase } from './request-case.ts';
import type { ResponseCase } from './response-case.ts';
import { judgeResponses } from './response-decoder-level.ts';

/** What a message must have in it for a leniency to apply. */
type Traits<Leniency> = { readonly [name in keyof Leniency]-?: RegExp };

const BARE_LINE_FEED = /(?:^|[^\r])\n/;
const EQUAL_LENGTHS = /content-length:[^\r\n]*,|content-length:[^]*\ncontent-length:/i;

const REQUEST_TRAITS: Traits<RequestLeniency> = {
  bareLineFeed: BARE_LINE_FEED,
  missingHost: /HTTP\/1\.[1-9]\r?\n(?:(?!host:)[^\r\n]+\r?\n)*\r?\n/i,
  nonAsciiTarget: /^[^\r\n]*[\x80-\xff]/,
  repeatedEqualContentLength: EQUAL_LENGTHS,
};

const RESPONSE_TRAITS: Traits<ResponseLeniency> = {
  bareLineFeed: BARE_LINE_FEED,
  blankAfterChunkSize: /\n[0-9A-Fa-f]+[\t ]+\r/,
  blankBeforeColon: /\n[^:\r\n]+[\t ]:/,
  contentLengthWithTransferEncoding: /content-length:[^]*transfer-encoding:|transfer-encoding:[^]*content-length:/i,
  emptyLinesBeforeResponse: /^\r\n|\r\n\r\n\r\n/,
  foldedFields: /\r\n[\t ]/,
  invalidContentLength: /content-length:(?![\t ]*[0-9]+[\t ]*\r)[^,\n]*\r/i,
  repeatedEqualContentLength: EQUAL_LENGTHS,
};

/** @returns what is wrong, or null */
export function judgeLenientRequests(one: RequestCase, cut: Cutter): string | null {
  const problem = judgeRequests(one, cut, new RequestDecoder({ leniency: allOf(REQUEST_TRAITS) }));
  return problem === null || (one.ending === 'refused' && isExplained(one.raw, REQUEST_TRAITS)) ? null : problem;
}

/** @returns what is wrong, or null */
export function judgeLenientResponses(one: ResponseCase, cut: Cutter): string | null {
  const problem = judgeResponses(one, cut, new ResponseDecoder({ leniency: allOf(RESPONSE_TRAITS) }));
  const isRefusal = one.ending === 'refused' || one.ending === 'cut' || one.ending === 'lost';
  return problem === null || (isRefusal && isExplained(one.raw, RESPONSE_TRAITS)) ? null : problem;
}

function allOf<Name extends string>(traits: { readonly [name in Name]: RegExp }): Record<Name, boolean> {
  return Object.fromEntries(Object.keys(traits).map((name) => [name, true])) as Record<Name, boolean>;
}

function isExplained(raw: string, traits: Readonly<Record<string, RegExp>>): boolean {
  return Object.values(traits).some((trait) => trait.test(raw));
}
