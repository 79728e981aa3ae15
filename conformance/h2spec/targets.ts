/** What h2spec is pointed at: our server in a process of its own, the same where only HTTP/2 is spoken, and the command `ferrata reverse` in front of a small origin. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inTime } from '../http1-peers/deadline.ts';
import { killOnExit } from '../rig/clean-up.ts';
import { startFerrata } from '../rig/ferrata-command.ts';
import { endProcess } from '../rig/peer-process.ts';
import { RecordingOrigin } from '../rig/recording-origin.ts';

/** Somewhere to send requests. */
export interface Target {
  readonly port: number;
  /** Ends it. @returns how it ended before its time, or failed to stop; null if all is well */
  stop(): Promise<string | null>;
}

/** Enough to have something left to send when a window is small: h2spec skips tests where there is not. */
export const BODY = 'a body of some bytes, so that windows can be too small for it\n';

/** `HttpServer` of @ferrata/http, which tells HTTP/2 from HTTP/1.1 by the first bytes. */
export function startServer(): Promise<Target> {
  return startProcess([BODY]);
}

/** The same behind a handshake that has settled on HTTP/2: nothing is looked at to tell the version. */
export function startAlpnServer(): Promise<Target> {
  return startProcess([BODY, 'alpn']);
}

async function startProcess(args: readonly string[]): Promise<Target> {
  const child = fork(fileURLToPath(new URL('server.ts', import.meta.url)), args, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] });
  killOnExit(child);
  const ended = once(child, 'exit').then(([code, signal]) => {
    throw new Error(`the server ended with ${String(signal ?? code)}`);
  });
  ended.catch(() => undefined);
  const [port] = (await inTime('the port of the server', Promise.race([once(child, 'message'), ended]))) as unknown[];
  return {
    port: Number(port),
    stop: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return `it had ended before, with ${child.signalCode ?? child.exitCode}`;
      await endProcess(child);
      return null;
    },
  };
}

/** `ferrata reverse`, in front of an origin that speaks HTTP/1.1. */
export async function startReverse(): Promise<Target> {
  const origin = await RecordingOrigin.listen(0, ({ method }) => ({
    text: `HTTP/1.1 200 OK\r\nContent-Length: ${BODY.length}\r\n\r\n${method === 'HEAD' ? '' : BODY}`,
    isLast: false,
  }));
  const proxy = await startFerrata(origin.port).catch(async (error: unknown) => {
    await origin.close();
    throw error;
  });
  return {
    port: proxy.port,
    stop: async () => {
      const stopped = await proxy.stop();
      const { malformed } = origin.take();
      await origin.close();
      return stopped ?? (malformed.length === 0 ? null : `the origin was sent ${malformed.join('; ')}`);
    },
  };
}
