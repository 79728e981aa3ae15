/** Sessions that a function of the user makes: looked at before they are believed. */
import { applicationError, textOf, type WireError } from '@ferrata/error';
import type { ClientSession, ClientSessionOwner, HttpEnvironment } from '@ferrata/http';
import { type L4Stream, watchAnswer } from '@ferrata/stream';
import { dropStream } from './open-stream.ts';
import type { OpenSession } from './peer-tls.ts';

/**
 * Calls the user's function; its bugs end the connection, and are told to whoever wanted it.
 *
 * @throws {WireError} `application CUSTOM_SESSION_THREW`; the stream is gone then
 */
export function openOwnSession(
  open: OpenSession,
  stream: L4Stream,
  environment: HttpEnvironment,
  owner: ClientSessionOwner,
): ClientSession {
  try {
    const session: unknown = open(stream, environment, owner);
    // A promise is no session, be it that it rejects.
    watchAnswer(session, () => {});
    if (!isSession(session)) throw new TypeError('the function of a custom protocol gave something that is no session');
    if (session.isShared) throw new TypeError('a session of a custom protocol must not be shared');
    return session;
  } catch (thrown) {
    const error = ownSessionFailed(thrown);
    dropStream(stream, error);
    throw error;
  }
}

/** What the user's session, or its maker, threw. */
export function ownSessionFailed(thrown: unknown): WireError {
  return applicationError('CUSTOM_SESSION_THREW', textOf(thrown), { cause: thrown, source: 'internal' });
}

/** It has what is called here. A promise of a session is none. */
function isSession(made: unknown): made is ClientSession {
  return (
    typeof made === 'object' &&
    made !== null &&
    (['start', 'request', 'close'] as const).every((name) => name in made && typeof made[name as keyof typeof made] === 'function') &&
    'stream' in made &&
    typeof made.stream === 'object' &&
    made.stream !== null
  );
}
