/**
 * The look-up of names that a program brings along, made safe to be given to Node, which believes whatever it is told: a look-up that throws, answers
 * twice or with nonsense would otherwise end the process, or leave a connection that never fails and holds its place under a cap.
 */

import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { connectError, textOf, type WireError } from '@ferrata/error';
import { callUser } from '@ferrata/stream';

type Answer = Parameters<LookupFunction>[2];

/**
 * Answers once, with addresses in the form that Node has asked for, or with an error. Answers in the other form (one address for a list, a list for one
 * address) are brought into the right one.
 *
 * A throw, a rejection or an answer without an address is the `WireError` `DNS_LOOKUP_FAILED`, or `DNS_NOT_FOUND` for an empty list.
 */
export function checkedLookup(lookup: LookupFunction): LookupFunction {
  return (name: string, options: LookupOptions, answer: Answer) => {
    let isAnswered = false;
    const fail = (error: NodeJS.ErrnoException): void => {
      if (isAnswered) return;
      isAnswered = true;
      answer(error, '', 0);
    };
    callUser(
      // A promise that rejects is heard of by this way only.
      () =>
        lookup(name, options, (error: unknown, addresses: unknown) => {
          if (isAnswered) return;
          if (error !== null && error !== undefined) return fail(error instanceof Error ? error : lookupFailed(textOf(error), error));
          const found = toAddresses(addresses);
          if (found === null) return fail(lookupFailed('the look-up answered with something that is no address'));
          const [first] = found;
          if (first === undefined) return fail(connectError('DNS_NOT_FOUND', 'the look-up found no address', { retry: 'always' }));
          isAnswered = true;
          if (options.all === true) answer(null, found);
          else answer(null, first.address, first.family);
        }),
      (thrown) => fail(lookupFailed(textOf(thrown), thrown)),
    );
  };
}

/** @returns null if one of them is no address */
function toAddresses(answer: unknown): LookupAddress[] | null {
  const list: readonly unknown[] = Array.isArray(answer) ? answer : [answer];
  const found: LookupAddress[] = [];
  for (const one of list) {
    const address: unknown = typeof one === 'object' && one !== null && 'address' in one ? one.address : one;
    const family = typeof address === 'string' ? isIP(address) : 0;
    if (family === 0) return null;
    found.push({ address: address as string, family });
  }
  return found;
}

function lookupFailed(message: string, cause?: unknown): WireError {
  return connectError('DNS_LOOKUP_FAILED', message, { retry: 'never', fault: 'local', cause });
}
