/** Clients that download: as fast as they can, or by so many bytes a second. Every byte is looked at. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Http1Connection } from '../http1-connection.ts';
import type { LoadClient } from '../load.ts';
import { isPattern } from '../pattern.ts';
import { LoadFailure } from '../tally.ts';
import { type Door, doorOf, openCounted } from './http1.ts';

/** Options of `downloads`. */
export interface DownloadOptions {
  readonly door?: Door;
  readonly bytes: number;
  /** How long one download takes at least; 0: as fast as it goes. */
  readonly lastsMs?: number;
  /** Between two of them. */
  readonly pauseMs?: number;
}

/** One download after the other, each on a connection of its own. */
export function downloads({ door = 'http', bytes, lastsMs = 0, pauseMs = 0 }: DownloadOptions): LoadClient {
  return async (context) => {
    const endpoint = doorOf(context.target, door);
    const kind = `${lastsMs > 0 ? 'slow' : 'fast'} download ${door}`;
    while (endpoint !== null && !context.isStopping) {
      context.tally.send(kind);
      let connection: Http1Connection | null = null;
      try {
        const since = performance.now();
        connection = await openCounted(endpoint, context);
        const token = context.token();
        let position = 0;
        const take = (chunk: Buffer): Promise<void> | undefined => {
          if (!isPattern(chunk, position)) throw new LoadFailure('wrong bytes', true);
          position += chunk.length;
          const ahead = since + (position / bytes) * lastsMs - performance.now();
          return ahead > 20 ? delay(ahead) : undefined;
        };
        const request = `GET /bytes?n=${bytes} HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ${token}\r\nConnection: close\r\n\r\n`;
        const answer = await connection.exchange({ bytes: Buffer.from(request, 'latin1'), timeoutMs: lastsMs + 60_000, onBody: take });
        if (answer.status !== 200) throw new LoadFailure(`status ${answer.status}`);
        if (answer.fields.get('x-request-id') !== token) throw new LoadFailure('the token of another request, or none');
        if (position !== bytes) throw new LoadFailure('another length than was asked for', true);
        context.tally.answer(kind);
      } catch (error) {
        context.tally.fail(kind, error, connection);
        await context.pause(50);
      }
      connection?.close();
      if (pauseMs > 0) await context.pause(pauseMs);
    }
  };
}
