/**
 * The end of a connection in order: GOAWAY in two steps (server) or one (client). The picture is in `going-away.ts`.
 *
 * @see RFC 9113 §6.8
 */
import { Http2ErrorCode, writeGoaway } from '@ferrata/http2-framing';
import { ANY_STREAM } from '../going-away.ts';
import type { Core } from './core.ts';

export class Drain {
  readonly #core: Core;

  constructor(core: Core) {
    this.#core = core;
  }

  /** No new stream, in a moment. */
  begin(): void {
    const { goingAway, isServer, isOver, writer, pings, now } = this.#core;
    if (isOver || goingAway.sentLastId >= 0) return;
    goingAway.isDraining = true;
    if (!isServer) {
      // Pushes are refused anyway: there is nothing to wait for.
      this.#core.goodbye(Http2ErrorCode.noError, '');
      return;
    }
    goingAway.sentLastId = ANY_STREAM;
    goingAway.announcedAt = now;
    writeGoaway(writer, ANY_STREAM, Http2ErrorCode.noError, '');
    pings.send(writer, now);
  }

  /** The peer has read the first GOAWAY, or had its time: what it has sent since is on its own account. */
  finish(): void {
    const { goingAway } = this.#core;
    if (goingAway.announcedAt < 0) return;
    this.#core.goodbye(Http2ErrorCode.noError, '');
  }

  /** When the second step is due at the latest. */
  deadline(): number {
    const { goingAway, options } = this.#core;
    return goingAway.announcedAt < 0 ? Number.POSITIVE_INFINITY : goingAway.announcedAt + options.drainTimeoutMs;
  }
}
