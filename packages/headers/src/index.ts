/** @ferrata/headers: field names and values, message heads that keep case and order, list grammar, hop-by-hop rules. No I/O. */

export { type Authority, formatAuthority, isValidHost, parseAuthority } from './authority.ts';
export {
  FIELD_VALUE_BYTES,
  isFieldName,
  isFieldValue,
  isReasonPhrase,
  isRequestTarget,
  isToken,
  MAX_FIELD_NAME_BYTES,
  TARGET_BYTES,
  TOKEN_BYTES,
} from './byte-classes.ts';
export { asksToContinue } from './expectation.ts';
export { type HeaderInit, HeaderMap } from './header-map.ts';
export { acceptsTrailers, HOP_BY_HOP, type HopByHopOptions, mayBeTrailer, removeForbiddenTrailers, removeHopByHop } from './hop-by-hop.ts';
export { HttpVersion, httpVersionName } from './http-version.ts';
export {
  canonicalName,
  idOfNameCode,
  KnownHeader,
  knownName,
  nameCodeIn,
  nameOfNameCode,
  wellKnownId,
  wellKnownIdOfBytes,
  wellKnownIdWithin,
} from './known-header.ts';
export { isInKnownHeaderSet, type KnownHeaderSet, knownHeaderSet } from './known-header-set.ts';
export {
  type ListOptions,
  listHas,
  type ParameterisedValue,
  parseList,
  parseParameters,
  parseQualityList,
  qualityOf,
  quoteIfNeeded,
  tokenListHas,
  unquote,
  type WeightedItem,
} from './list-grammar.ts';
export {
  type HeadInit,
  isStatus,
  type RequestHead,
  type ResponseHead,
  type ResponseHeadInit,
  requestHead,
  responseHead,
} from './message-head.ts';
export type { ReadonlyHeaderMap, ReadonlyRequestHead, ReadonlyResponseHead } from './readonly-head.ts';
export { reasonPhrase } from './reason-phrase.ts';
