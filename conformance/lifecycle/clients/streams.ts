/** Clients of the TCP echo service and of the UDP one. */
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import type { Socket } from 'node:net';
import { openSocket, portsOf } from '../http1-connection.ts';
import type { LoadClient } from '../load.ts';
import { monotonicMs } from '../monotonic.ts';
import { LoadFailure } from '../tally.ts';

/** Longer than a worker may be blocked, or a server paused. */
const TIMEOUT_MS = 60_000;

/** How long a connection lives before its client ends it: a server that stops lets it, and nothing is cut. */
const LIFE_MS = 1_000;

/** Bytes over TCP that must come back, several times a connection; then the client ends its side, and the server must end the other. */
export function tcpEchoes(pauseMs = 5): LoadClient {
  return async (context) => {
    const { tcp } = context.target;
    while (tcp !== null && !context.isStopping) {
      context.tally.send('tcp');
      let socket: Socket | null = null;
      let ports: string | null = null;
      const openedAt = monotonicMs();
      try {
        socket = await openSocket({ port: tcp });
        ports = portsOf(socket);
        await converse(socket, context.token(), async () => {
          await context.pause(pauseMs);
          return !context.isStopping;
        });
        context.tally.answer('tcp');
        context.tally.connections++;
      } catch (error) {
        context.tally.fail('tcp', error, { servedBy: null, ports, openedAt });
        await context.pause(20);
      }
      socket?.destroy();
    }
  };
}

async function converse(socket: Socket, token: string, goesOn: () => Promise<boolean>): Promise<void> {
  const since = performance.now();
  let sent = '';
  let received = '';
  let isEnded = false;
  let wake: (() => void) | null = null;
  const notify = (): void => wake?.();
  socket.setEncoding('latin1').on('data', (text: string) => {
    received += text;
    notify();
  });
  socket.on('close', () => {
    isEnded = true;
    notify();
  });
  const timer = setTimeout(() => socket.destroy(), TIMEOUT_MS);
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo() && !isEnded) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  try {
    for (let number = 0; performance.now() - since < LIFE_MS; number++) {
      const text = `${token} ${number}\n`;
      sent += text;
      socket.write(text);
      await until(() => received.length >= sent.length);
      if (received !== sent) throw new LoadFailure(isEnded ? 'the connection ended under way' : 'other bytes than were sent', number > 0);
      if (!(await goesOn())) break;
    }
    socket.end();
    await until(() => false);
    if (received !== sent) throw new LoadFailure('bytes behind the last');
  } finally {
    clearTimeout(timer);
  }
}

/** Options of `datagrams`. */
export interface DatagramOptions {
  /** Between an answer and the next. Default 10. */
  readonly pauseMs?: number;
  /** One socket for all, or one for each. Default true. */
  readonly isOnePeer?: boolean;
  /** When one is given up. Default 60 000: a slow machine is no loss, nor is a worker that is blocked for 25 s, or a server that is paused for 10 s. */
  readonly lostAfterMs?: number | undefined;
}

/** One datagram a time that must come back. One that does not come back in time is counted as lost. */
export function datagrams({ pauseMs = 10, isOnePeer = true, lostAfterMs = 60_000 }: DatagramOptions = {}): LoadClient {
  return async (context) => {
    const { udp } = context.target;
    if (udp === null) return;
    const open = (): DatagramSocket => createSocket('udp4').on('error', () => undefined);
    let socket = open();
    const ask = async (token: string): Promise<boolean> =>
      await new Promise((resolve) => {
        const timer = setTimeout(() => done(false), lostAfterMs);
        const hear = (message: Buffer): void => {
          // An answer to one that was given up may still come.
          if (message.toString('latin1') === token) done(true);
        };
        const done = (is: boolean): void => {
          clearTimeout(timer);
          socket.off('message', hear);
          resolve(is);
        };
        socket.on('message', hear);
        socket.send(token, udp, '127.0.0.1');
      });
    while (!context.isStopping) {
      context.tally.send('udp');
      const since = performance.now();
      if (await ask(context.token())) {
        context.tally.answer('udp', performance.now() - since);
      } else {
        context.tally.lost++;
        context.tally.fail('udp', new LoadFailure('a datagram did not come back'), null);
      }
      if (!isOnePeer) {
        socket.close();
        socket = open();
      }
      await context.pause(pauseMs);
    }
    socket.close();
  };
}
