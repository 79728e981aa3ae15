/**
 * Answers that go wrong on purpose, to see that the server lives: served only where the configuration says `"faults": true`.
 *
 * What goes wrong in a callback ends its own exchange: the client gets a 500, or sees its answer cut. What goes wrong outside of one (a timer, an event of
 * somebody else's) ends the worker: it is replaced, and the others serve on.
 */
import type { HeaderMap } from '@ferrata/headers';
import { respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import { handled } from './answers.ts';

/** Time for the answer to leave before the worker dies. */
const LAST_WORDS_MS = 20;

/** What `/heap` holds on to, for the rest of the worker's life. */
const kept: unknown[] = [];

/** @returns null if there is no such fault */
export function misbehave(
  path: string,
  parameters: URLSearchParams,
  exchange: ServerExchange,
  headers: HeaderMap,
): ServerExchangeHandler | null {
  switch (path) {
    case '/die':
      respond(exchange, 200, { headers, body: 'farewell\n' });
      setTimeout(() => {
        throw new Error('asked to die');
      }, LAST_WORDS_MS);
      return handled;
    case '/block': {
      const until = performance.now() + Number(parameters.get('ms'));
      while (performance.now() < until);
      respond(exchange, 200, { headers, body: 'back again\n' });
      return handled;
    }
    case '/heap':
      for (let index = 0; index < Number(parameters.get('mb')); index++) kept.push(Array.from({ length: 131_072 }, Math.random));
      respond(exchange, 200, { headers, body: 'kept\n' });
      return handled;
    case '/throw':
      throw new Error('asked to throw');
    case '/throw-later':
      return {
        ...handled,
        onRequestEnd: () => {
          throw new Error('asked to throw later');
        },
      };
    case '/reject':
      return Promise.reject(new Error('asked to reject')) as unknown as ServerExchangeHandler;
    case '/garbage':
      return 42 as unknown as ServerExchangeHandler;
    case '/hang':
      return handled;
    default:
      return null;
  }
}
