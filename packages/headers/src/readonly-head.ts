/** Heads, and their fields, in the hands of whoever may look at them but not change them: they have been sent. */
import type { HeaderMap } from './header-map.ts';
import type { RequestHead, ResponseHead } from './message-head.ts';

/** A `HeaderMap` to look at: in the hands of whoever may not change it any more, as it has been sent. */
export type ReadonlyHeaderMap = Omit<
  HeaderMap,
  'append' | 'appendKnown' | 'appendTrusted' | 'set' | 'setKnown' | 'delete' | 'deleteKnown' | 'deleteAnyOf' | 'deleteWhere' | 'clear'
>;

/** The head of a request that may not be changed any more. */
export interface ReadonlyRequestHead extends Readonly<Omit<RequestHead, 'headers'>> {
  readonly headers: ReadonlyHeaderMap;
}

/** The head of a response that may not be changed any more. */
export interface ReadonlyResponseHead extends Readonly<Omit<ResponseHead, 'headers'>> {
  readonly headers: ReadonlyHeaderMap;
}
