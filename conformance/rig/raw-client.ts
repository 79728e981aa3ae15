/** A client of raw bytes: sends them as they are, reads the status of each response, and notices a close or that nothing more comes. */
import { connect } from 'node:net';

/** What came back. */
export interface Answer {
  /** Status codes of the final responses, in order; interim ones are left out. */
  readonly statuses: readonly number[];
  readonly isClosed: boolean;
  readonly isWaiting: boolean;
}

/** Options of `exchange`. */
export interface ExchangeOptions {
  readonly port: number;
  readonly raw: Uint8Array;
  /** Says how long the next piece is; each is written once the one before has been flushed. Default: all in one write. */
  readonly cut?: () => number;
  /** End our side after the last byte. */
  readonly halfClose: boolean;
  /** Stop once so many responses came. An error status, and with `untilClose` the last response too, is followed by a wait for the close. */
  readonly responses: number;
  readonly untilClose: boolean;
  /** Give up when nothing came for so long. */
  readonly quietMs: number;
  /** The same for the close that must follow an error status. */
  readonly closeMs: number;
}

/** Sends bytes and collects what comes back. Never rejects for what the peer does: a reset is a close. */
export async function exchange(options: ExchangeOptions): Promise<Answer> {
  return await new Promise((resolve) => {
    const { port, raw, cut = () => raw.length, halfClose, responses, untilClose, quietMs, closeMs } = options;
    const statuses: number[] = [];
    let text = '';
    let skip = 0;
    const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    let quiet = setTimeout(giveUp, quietMs);
    socket.setNoDelay(true);
    socket.on('error', () => finish({ isClosed: true, isWaiting: false }));
    socket.on('end', () => finish({ isClosed: true, isWaiting: false }));
    socket.on('close', () => finish({ isClosed: true, isWaiting: false }));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      readResponses();
      const isRefused = statuses.some((status) => status >= 400);
      clearTimeout(quiet);
      quiet = setTimeout(giveUp, isRefused ? closeMs : quietMs);
      if (statuses.length >= responses && !untilClose && !isRefused) finish({ isClosed: false, isWaiting: false });
    });
    writeFrom(0);

    function writeFrom(at: number): void {
      if (socket.destroyed) return;
      const end = at + cut();
      const piece = raw.subarray(at, end);
      if (end < raw.length) {
        // Behind the flush comes a turn of the loop, so that the other side has a chance to read what it has before there is more.
        socket.write(piece, () => setImmediate(writeFrom, end));
      } else if (halfClose) {
        socket.end(piece);
      } else {
        socket.write(piece);
      }
    }

    function giveUp(): void {
      finish({ isClosed: false, isWaiting: true });
    }

    function finish(end: { readonly isClosed: boolean; readonly isWaiting: boolean }): void {
      clearTimeout(quiet);
      readResponses();
      socket.destroy();
      resolve({ statuses, ...end });
    }

    function readResponses(): void {
      for (;;) {
        const skipped = Math.min(skip, text.length);
        text = text.slice(skipped);
        skip -= skipped;
        const end = text.indexOf('\r\n\r\n');
        if (skip > 0 || end < 0) return;
        const head = text.slice(0, end + 2);
        const status = Number(/^HTTP\/1\.[01] (\d{3})[ \r]/.exec(head)?.[1] ?? Number.NaN);
        const length = /^content-length:[ \t]*(\d+)[ \t]*\r$/im.exec(head)?.[1];
        if (/^transfer-encoding:[ \t]*chunked[ \t]*\r$/im.test(head)) {
          const last = text.indexOf('\r\n0\r\n\r\n', end);
          if (last < 0) return;
          text = text.slice(last + 7);
        } else {
          text = text.slice(end + 4);
          skip = length === undefined || status < 200 || status === 204 || status === 304 ? 0 : Number(length);
        }
        if (status >= 200 || Number.isNaN(status)) statuses.push(status);
      }
    }
  });
}

/** All that came back on a connection, one character a byte. */
export interface Collected {
  readonly text: string;
  /** `ended`: the peer closed in order; `reset`: it did not; `waiting`: it was silent for too long. */
  readonly ending: 'ended' | 'reset' | 'waiting';
}

/** Options of `collect`. */
export interface CollectOptions {
  /** A port on 127.0.0.1, or the path of a Unix socket. */
  readonly to: { readonly port: number; readonly host: string } | { readonly path: string };
  readonly raw: Uint8Array;
  /** End our side after the last byte. */
  readonly halfClose: boolean;
  /** Give up when nothing came for so long. */
  readonly quietMs: number;
}

/** Sends bytes and collects all that comes back until the peer closes. Never rejects for what the peer does. */
export async function collect({ to, raw, halfClose, quietMs }: CollectOptions): Promise<Collected> {
  return await new Promise((resolve) => {
    let text = '';
    const socket = connect({ ...to, allowHalfOpen: true });
    const finish = (ending: Collected['ending']): void => {
      clearTimeout(quiet);
      socket.destroy();
      resolve({ text, ending });
    };
    let quiet = setTimeout(finish, quietMs, 'waiting');
    socket.on('error', () => finish('reset'));
    socket.on('end', () => finish('ended'));
    socket.on('close', () => finish('reset'));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      clearTimeout(quiet);
      quiet = setTimeout(finish, quietMs, 'waiting');
    });
    if (halfClose) socket.end(raw);
    else socket.write(raw);
  });
}
