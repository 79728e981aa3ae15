/** Server-sent events: each must have come to the client before the origin is told to send the next, so a proxy that holds one back stops all. */
import type { Readable } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { booksProblem, ProxyProcess, type ProxyRoute } from '../rig/proxy-process.ts';
import { endOf, HttpClient, type HttpOrigin, type HttpWay, nameOfWay, type OriginResponse, routeFor, type Version } from './http-peers.ts';
import { differs, firstOf, type Part, type Stage, within } from './stage.ts';

const VERSIONS: readonly Version[] = ['h1', 'h2'];
const WAYS: readonly HttpWay[] = [false, true].flatMap((isTls) =>
  VERSIONS.flatMap((client) => VERSIONS.map((origin) => ({ client, origin, isTls }))),
);

/** Events that an origin may send to a client that has gone before it is told, and the pause between two of them. */
const FEW_EVENTS = 10;
const EVENT_PAUSE_MS = 100;

export const eventsPart: Part = {
  name: 'events',
  async run(stage) {
    const ways = await Promise.all(WAYS.map(async (way) => await prepare(stage, way)));
    try {
      await using proxy = await ProxyProcess.start({ routes: ways.map(({ route }) => route) });
      // Most of it is waiting.
      await Promise.all(ways.map(async (way) => await runWay(stage, way, proxy)));
      await stage.check('events/all-over', async () => {
        const now = await proxy.settled((figures) => figures.begun === figures.logged && figures.clientConnections === 0);
        return firstOf(booksProblem(now), differs('connections of clients', now.clientConnections, 0), await proxy.close());
      });
    } finally {
      for (const { origin } of ways) origin.close();
    }
  },
};

/** A stream of events at the origin. */
interface Source {
  readonly response: OriginResponse;
  /** Resolves when Node says that the client has gone, or that all is sent. */
  readonly closed: Promise<void>;
}

/** A way with its origin. */
interface PreparedWay {
  readonly way: HttpWay;
  readonly origin: HttpOrigin;
  readonly route: ProxyRoute;
  /** Who is told of the source of a path. */
  readonly sources: Map<string, (source: Source) => void>;
}

async function prepare(stage: Stage, way: HttpWay): Promise<PreparedWay> {
  const sources = new Map<string, (source: Source) => void>();
  const prepared = await routeFor(stage, way, (request, response) => {
    const closed = new Promise<void>((resolve) => (response as { on(event: 'close', listener: () => void): void }).on('close', resolve));
    response.setHeader('content-type', 'text/event-stream');
    (response as { flushHeaders(): void }).flushHeaders();
    sources.get(request.url ?? '')?.({ response, closed });
  });
  return { way, sources, ...prepared };
}

async function runWay(stage: Stage, { way, route, sources }: PreparedWay, proxy: ProxyProcess): Promise<void> {
  const client = new HttpClient(way.client, proxy.port(route.name), way.isTls ? stage.certificates.ca : null);
  let number = 0;
  const open = async (): Promise<{ source: Source; body: Readable; cancel: () => void }> => {
    const path = `/events/${++number}`;
    const source = new Promise<Source>((resolve) => sources.set(path, resolve));
    const asking = client.ask({ path, fields: { accept: 'text/event-stream' } });
    asking.body.end();
    // The head must come before any event is sent.
    const { status, body } = await within('the head', asking.answer);
    if (status !== 200) throw new Error(`status ${status}`);
    return { source: await source, body, cancel: asking.cancel };
  };
  const check = async (name: string, run: () => Promise<string | null>): Promise<void> => {
    await stage.check(`events/${nameOfWay(way)}/${name}`, run);
  };
  try {
    await check('lock-step', async () => {
      const { source, body } = await open();
      const reader = new EventReader(body);
      const count = stage.isLong ? 5_000 : 300;
      for (let index = 0; index < count; index++) {
        const event = `id: ${index}\ndata: ${'x'.repeat((index * 37) % 3_000)}\n\n`;
        send(source, event);
        const came = await within(`event ${index}`, reader.next());
        if (came !== event) return differs(`event ${index}`, came, event);
      }
      source.response.end();
      return differs('the end', await within('the end', endOf(body)), 'whole');
    });
    await check('client-cancels', async () => {
      const { source, body, cancel } = await open();
      const reader = new EventReader(body);
      send(source, 'data: 1\n\n');
      await within('the event', reader.next());
      cancel();
      await within('the end at the origin', isNoticed(source, way));
      return null;
    });
    await check('client-cancels-before-any-event', async () => {
      const { source, cancel } = await open();
      cancel();
      await within('the end at the origin', isNoticed(source, way));
      return null;
    });
    await check('origin-ends', async () => {
      const { source, body } = await open();
      const ended = endOf(body);
      source.response.end('data: last\n\n');
      return differs('the end', await within('the end', ended), 'whole');
    });
    await check('origin-aborts', async () => {
      const { source, body } = await open();
      const reader = new EventReader(body);
      send(source, 'data: 1\n\n');
      await within('the event', reader.next());
      const ended = endOf(body);
      if ('stream' in source.response) source.response.stream.close(2);
      else source.response.destroy();
      return differs('the end', await within('the end', ended), 'cut');
    });
  } finally {
    client.close();
  }
}

/**
 * Waits until the origin knows that its client has gone. A reset of a stream says so by itself. The end of a connection of HTTP/1.1 may be that of its one side,
 * whose response is still wanted (docs/decisions/half-close.md), until a byte more meets nobody: so the origin sends events on, and a few must do.
 */
async function isNoticed(source: Source, { client }: HttpWay): Promise<void> {
  if (client === 'h2') return await source.closed;
  let isOver = false;
  const over = source.closed.then(() => (isOver = true));
  for (let count = 0; count < FEW_EVENTS && !isOver; count++) {
    send(source, 'data: is anybody there?\n\n');
    await Promise.race([over, delay(EVENT_PAUSE_MS)]);
  }
  if (!isOver) throw new Error(`${FEW_EVENTS} events later the origin does not know that its client has gone`);
}

function send({ response }: Source, event: string): void {
  (response as { write(text: string): boolean }).write(event);
}

/** Hands out events one by one, as they come. */
export class EventReader {
  #text = '';
  #wake: (() => void) | null = null;

  constructor(body: Readable) {
    body.on('data', (piece: Buffer) => {
      this.#text += piece.toString();
      this.#wake?.();
    });
  }

  async next(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf('\n\n');
      if (end >= 0) {
        const event = this.#text.slice(0, end + 2);
        this.#text = this.#text.slice(end + 2);
        return event;
      }
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}
