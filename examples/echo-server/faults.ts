/**
 * Answers that go wrong on purpose, to see that the server lives: served only where the configuration says `"faults": true`.
 *
 * What goes wrong in a callback ends its own exchange: the client gets a 500, or sees its answer cut. Nobody else notices.
 */
import type { ServerExchangeHandler } from '@ferrata/http';
import { handled } from './answers.ts';

/** @returns null if there is no such fault */
export function misbehave(path: string): ServerExchangeHandler | null {
  switch (path) {
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
