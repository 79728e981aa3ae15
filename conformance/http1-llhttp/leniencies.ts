/** Where a leniency of ours is one of llhttp's: with our option alone we must read these cases as llhttp does with its own. */
import type { RequestLeniency, ResponseLeniency } from '@ferrata/http1';
import type { DecodeOptions } from './decode.ts';

const BARE_LINE_FEED: DecodeOptions = { response: { leniency: { bareLineFeed: true } } };
const EMPTY_LINES: DecodeOptions = { response: { leniency: { emptyLinesBeforeResponse: true } } };

/** By case id. Among them are strict cases of llhttp that we refuse by default: empty lines before a response are no leniency there. */
export const AGREEING_LENIENCIES: ReadonlyMap<string, DecodeOptions> = new Map([
  ['response.sample:354', BARE_LINE_FEED],
  ['response.invalid:307', BARE_LINE_FEED],
  ['response.invalid:351', BARE_LINE_FEED],
  ['response.sample:698', EMPTY_LINES],
  ['response.connection:495', EMPTY_LINES],
  ['response.connection:589', EMPTY_LINES],
  ['response.pipelining:7', EMPTY_LINES],
]);

const ALL_OF_REQUESTS: Required<RequestLeniency> = {
  bareLineFeed: true,
  missingHost: true,
  nonAsciiTarget: true,
  repeatedEqualContentLength: true,
};
const ALL_OF_RESPONSES: Required<ResponseLeniency> = {
  bareLineFeed: true,
  blankAfterChunkSize: true,
  blankBeforeColon: true,
  contentLengthWithTransferEncoding: true,
  emptyLinesBeforeResponse: true,
  foldedFields: true,
  invalidContentLength: true,
  repeatedEqualContentLength: true,
};

/** Everything that our decoders can be made to accept. */
export const ALL_LENIENCIES: Required<DecodeOptions> = { request: { leniency: ALL_OF_REQUESTS }, response: { leniency: ALL_OF_RESPONSES } };
