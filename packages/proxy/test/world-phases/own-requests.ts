/** What the proxy of a world sends and asks by itself. */
import { latin1, type Token } from '../world/messages.ts';
import { PLAIN_ANSWER, PLAIN_REQUEST, type RequestPlan } from '../world/plan.ts';

/** What trailers become. Not to be found in any body: those are random. */
export const LAST_BYTES: Uint8Array = latin1('<in the place of trailers>');

/** Those of clients end long before. A multiple of five: the same origin. */
const FIRST_OWN_TOKEN = 1_000;

/** The token of the request that is made beside another one. */
export const ownTokenOf = (token: Token): Token => FIRST_OWN_TOKEN + token;

/** The plans of all such requests. */
export function ownPlansOf(tokens: Iterable<Token>): ReadonlyMap<Token, RequestPlan> {
  return new Map([...tokens].map((token) => [ownTokenOf(token), { ...PLAIN_REQUEST, answers: [{ ...PLAIN_ANSWER, bodyLength: 700 }] }]));
}
