/** @ferrata/headers: field names and values, message heads that keep case and order, list grammar, hop-by-hop rules. No I/O. */
export { HeaderMap, type HeaderInit } from './header-map.ts';
export {
  KnownHeader,
  canonicalName,
  idOfNameCode,
  knownName,
  nameCodeOfBytes,
  nameOfNameCode,
  wellKnownId,
  wellKnownIdOfBytes,
  wellKnownIdWithin,
} from './known-header.ts';
export { isInKnownHeaderSet, knownHeaderSet, type KnownHeaderSet } from './known-header-set.ts';
export {
  FIELD_VALUE_BYTES,
  MAX_FIELD_NAME_BYTES,
  TARGET_BYTES,
  TOKEN_BYTES,
  isFieldName,
  isFieldValue,
  isReasonPhrase,
  isRequestTarget,
  isToken,
} from './byte-classes.ts';
export { isStatus, requestHead, responseHead, type HeadInit, type RequestHead, type ResponseHead, type ResponseHeadInit } from './message-head.ts';
export { HttpVersion, httpVersionName } from './http-version.ts';
export { reasonPhrase } from './reason-phrase.ts';
export {
  listHas,
  parseList,
  parseParameters,
  parseQualityList,
  qualityOf,
  quoteIfNeeded,
  unquote,
  type ListOptions,
  type ParameterisedValue,
  type WeightedItem,
} from './list-grammar.ts';
export { HOP_BY_HOP, acceptsTrailers, mayBeTrailer, removeForbiddenTrailers, removeHopByHop, type HopByHopOptions } from './hop-by-hop.ts';
export { formatAuthority, isValidHost, parseAuthority, type Authority } from './authority.ts';
