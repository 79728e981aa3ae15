/** What the tests of a connector share: the least request, nobody who follows it, and waiting for what is deferred. */
import assert from 'node:assert/strict';
import { isWireError, type WireError } from '@ferrata/error';
import { requestHead } from '@ferrata/headers';
import type { ClientExchange, ClientExchangeHandler, ClientSession } from '@ferrata/http';

/** Lets everything that is deferred happen, what waits for the end of a turn too. */
export async function settle(): Promise<void> {
  for (let round = 0; round < 4; round++) await new Promise<void>((resolve) => void setImmediate(resolve));
}

/** Follows an exchange and does nothing. */
const nobody: ClientExchangeHandler = {
  onInterim: () => {},
  onResponse: () => {},
  onTunnel: () => {},
  onResponseData: () => {},
  onResponseEnd: () => {},
  onRequestDrain: () => {},
  onClientClose: () => {},
};

/** Sends a request that nobody follows. */
export function send(session: ClientSession): ClientExchange {
  return session.request(requestHead('GET', '/', { headers: { Host: 'h' } }), { bodyLength: 0, upgrade: null }, nobody);
}

/** The WireError that a promise rejects with. */
export async function rejection(promise: Promise<unknown>): Promise<WireError> {
  try {
    await promise;
  } catch (thrown) {
    assert.ok(isWireError(thrown), String(thrown));
    return thrown;
  }
  assert.fail('it was fulfilled');
}
