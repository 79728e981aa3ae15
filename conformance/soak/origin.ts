/** The origin of the soak: does what the path says, well or badly, at the byte that it says. */
import type { Writable } from 'node:stream';
import { isPattern, patternAt } from '../lifecycle/pattern.ts';
import type { OriginRequest, OriginResponse } from '../proxy-peers/http-peers.ts';

const PIECE_BYTES = 32_768;

/** Answers `/small`, `/down`, `/up` and `/stall`; `abort=N` ends all at byte N, `stall=N` stops there. */
export function answer(request: OriginRequest, response: OriginResponse): void {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://origin');
  const number = (name: string): number => Number(searchParams.get(name) ?? Number.POSITIVE_INFINITY);
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  response.setHeader('x-token', searchParams.get('token') ?? '');
  if (pathname === '/up') receive(request, response, number('abort'));
  else if (pathname === '/down') {
    request.resume();
    response.setHeader('content-length', number('bytes'));
    if (number('abort') === 0) abort(request, response);
    else send(response, number('bytes'), { abortAt: number('abort'), stallAt: number('stall'), abort: () => abort(request, response) });
  } else if (pathname === '/small') {
    request.resume();
    (response as Writable).end(searchParams.get('token') ?? '');
  }
  // `/stall` is never answered.
}

interface Fate {
  readonly abortAt: number;
  readonly stallAt: number;
  readonly abort: () => void;
}

function send(to: OriginResponse, bytes: number, { abortAt, stallAt, abort: end }: Fate): void {
  const response = to as Writable;
  let at = 0;
  const go = (): void => {
    while (at < bytes && !response.destroyed) {
      if (at >= abortAt) {
        end();
        return;
      }
      if (at >= stallAt) return;
      const piece = patternAt(at, Math.min(PIECE_BYTES, bytes - at, abortAt - at, stallAt - at));
      at += piece.length;
      if (!response.write(piece)) {
        response.once('drain', go);
        return;
      }
    }
    response.end();
  };
  go();
}

function receive(request: OriginRequest, response: OriginResponse, abortAt: number): void {
  let at = 0;
  let isRight = true;
  request.on('data', (piece: Buffer) => {
    isRight &&= isPattern(piece, at);
    at += piece.length;
    if (at >= abortAt) abort(request, response);
  });
  request.on('end', () => (response as Writable).end(`${isRight ? 'right' : 'wrong'} ${at}`));
}

/** The connection over HTTP/1.1, the stream over HTTP/2. */
function abort(request: OriginRequest, response: OriginResponse): void {
  // 2: INTERNAL_ERROR.
  if ('stream' in response) response.stream.close(2);
  else request.socket.destroy();
}
