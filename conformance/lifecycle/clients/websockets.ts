/** Clients of WebSocket: messages that must come back in order, none lost, on connections that live for a while and end with a goodbye. */
import { systemClock } from '@ferrata/clock';
import { type ClientSession, HttpEnvironment } from '@ferrata/http';
import { connectWebSocket } from '@ferrata/tunnel';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import type { LoadClient, LoadContext } from '../load.ts';
import { monotonicMs } from '../monotonic.ts';
import { type ClientEnd, LoadFailure } from '../tally.ts';

/** How long a connection lives. */
const LIFE_MS = 1_000;

/** Messages that are under way at once. */
const WINDOW = 4;

/** Longer than a worker may be blocked, or a server paused. */
const TIMEOUT_MS = 60_000;

/** One connection after the other; each counts as one that was sent, and as answered if every message came back and the other side said goodbye too. */
export function webSockets(pauseMs = 5): LoadClient {
  return async (context) => {
    const environment = new HttpEnvironment();
    const connector = new UpstreamConnector({ environment });
    const { http } = context.target;
    const there = peer('path' in http ? `unix:${http.path}` : `127.0.0.1:${http.port}`);
    while (!context.isStopping) {
      context.tally.send('websocket');
      let end: ClientEnd | null = null;
      try {
        const session = await connector.connect(there);
        end = clientEndOf(session);
        await converse({ session, environment }, context, pauseMs);
        context.tally.answer('websocket');
      } catch (error) {
        context.tally.fail('websocket', error, end === null ? null : { servedBy: null, ...end });
        await context.pause(20);
      }
    }
    connector.close();
  };
}

/** @returns our end of a connection */
export function clientEndOf({ stream }: ClientSession): ClientEnd {
  const { localAddress: here, remoteAddress: there, timing } = stream.info;
  const ports = here.kind === 'ip' && there.kind === 'ip' ? `${here.port}>${there.port}` : null;
  return { ports, openedAt: monotonicMs() - (systemClock.now() - timing.startedAt) };
}

interface Connected {
  readonly session: ClientSession;
  readonly environment: HttpEnvironment;
}

async function converse({ session, environment }: Connected, context: LoadContext, pauseMs: number): Promise<void> {
  const token = context.token();
  context.tally.connections++;
  let sent = 0;
  let received = 0;
  let problem: string | null = null;
  let end: { readonly code: number } | null = null;
  let wake: (() => void) | null = null;
  const webSocket = await connectWebSocket(
    session,
    {
      onText: (text) => {
        if (text !== `${token} ${received}`) problem ??= `message ${received} came back as another one`;
        received++;
        wake?.();
      },
      onClose: (close) => {
        end = close;
        wake?.();
      },
    },
    { environment, authority: 'localhost', target: '/echo', timeoutMs: TIMEOUT_MS },
  );
  webSocket.start();
  const timer = setTimeout(() => webSocket.abort(), TIMEOUT_MS);
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo() && end === null) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const since = performance.now();
  try {
    while (!context.isStopping && end === null && problem === null && performance.now() - since < LIFE_MS) {
      webSocket.sendText(`${token} ${sent++}`);
      await until(() => sent - received < WINDOW);
      await context.pause(pauseMs);
    }
    await until(() => received === sent);
    const endedBy: { readonly code: number } | null = end;
    if (problem !== null) throw new LoadFailure(problem);
    if (endedBy !== null) throw new LoadFailure(`ended by the other side with ${(endedBy as { code: number }).code}`, true);
    webSocket.close();
    await until(() => false);
    const goodbye = end as { readonly code: number } | null;
    if (goodbye?.code !== 1000) throw new LoadFailure(`no goodbye, but ${goodbye?.code ?? 'silence'}`, true);
  } finally {
    clearTimeout(timer);
    webSocket.abort();
  }
}
