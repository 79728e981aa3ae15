/** WebSocket: client and server of npm's `ws` with our proxy between them, over TCP and TLS. */
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { seededRandom } from '@ferrata/clock';
import { type ClientOptions, WebSocket } from 'ws';
import { booksProblem, type ProxyFigures, ProxyProcess, type ProxyRoute } from '../rig/proxy-process.ts';
import { type Certificates, differs, firstOf, type Part, type Stage, within } from './stage.ts';
import { GLUED_TEXT, REFUSAL_BODY, type SocketEnd, WebSocketOrigin } from './websocket-origin.ts';

const WAYS = [
  { name: 'tcp-tcp', front: false, back: false },
  { name: 'tls-tcp', front: true, back: false },
  { name: 'tcp-tls', front: false, back: true },
  { name: 'tls-tls', front: true, back: true },
] as const;

const SIZES = [0, 1, 125, 126, 127, 1_000, 4_096, 16_384, 65_535, 65_536] as const;
const MIB = 1_048_576;

export const webSocketPart: Part = {
  name: 'websocket',
  async run(stage) {
    const ways = await Promise.all(
      WAYS.map(async ({ name, front, back }) => {
        const originTls = back ? stage.certificates : null;
        return new Way(stage, name, {
          ca: front ? stage.certificates.ca : null,
          originTls,
          origin: await WebSocketOrigin.start(originTls),
        });
      }),
    );
    try {
      await using proxy = await ProxyProcess.start({ routes: ways.flatMap((way) => way.routes) });
      for (const way of ways) await way.run(proxy);
      await stage.check('websocket/all-over', async () => {
        const now = await proxy.settled((figures) => figures.clientConnections === 0 && figures.begun === figures.logged);
        return firstOf(booksProblem(now), differs('connections of clients', now.clientConnections, 0), await proxy.close());
      });
    } finally {
      for (const way of ways) way.close();
    }
  },
};

/** Echoed messages as both sides must have them. */
export interface Message {
  readonly data: Buffer;
  readonly isBinary: boolean;
}

/** One way through. */
class Way {
  readonly #stage: Stage;
  readonly #name: string;
  readonly #ca: string | null;
  readonly #originTls: Certificates | null;
  readonly #origin: WebSocketOrigin;
  #tokens = 0;
  #port = 0;

  constructor(
    stage: Stage,
    name: string,
    { ca, originTls, origin }: { ca: string | null; originTls: Certificates | null; origin: WebSocketOrigin },
  ) {
    this.#stage = stage;
    this.#name = name;
    this.#ca = ca;
    this.#originTls = originTls;
    this.#origin = origin;
  }

  get routes(): readonly ProxyRoute[] {
    const front = this.#stage.front(this.#ca !== null);
    // Over TLS either version may be spoken, but an upgrade is asked for by HTTP/1.1.
    const protocol = this.#originTls === null ? 'http1' : 'auto';
    return [
      { name: this.#name, front, peer: { address: `127.0.0.1:${this.#origin.port}`, protocol, ca: this.#originTls?.ca ?? null } },
      { name: `${this.#name}/nobody`, front, peer: { address: '127.0.0.1:1', protocol: 'http1', ca: null } },
    ];
  }

  close(): void {
    this.#origin.close();
  }

  async run(proxy: ProxyProcess): Promise<void> {
    const origin = this.#origin;
    this.#port = proxy.port(this.#name);
    // The first one has the process open what it keeps for ever.
    await this.#roundTrips(1);
    // Those of idle connections are looked at apart, then as later.
    const held = ({ descriptors, idleUpstream }: ProxyFigures): number => descriptors - idleUpstream;
    const before = held(await proxy.settled((now) => now.clientConnections === 0));
    await this.#check('many-sockets', async () => await this.#roundTrips(this.#socketCount()), 120_000);
    await this.#ends(origin);
    await this.#check('ping-pong', async () => await this.#pings(origin));
    await this.#check('deflate', async () => await this.#deflate());
    await this.#check('subprotocol', async () => {
      const { socket, closed } = await this.#open('/echo', ['first', 'second']);
      const problem = differs('protocol', socket.protocol, 'second');
      socket.close();
      await closed;
      return problem;
    });
    await this.#check('messages-of-a-mebibyte', async () => await this.#big());
    await this.#check('glued-by-origin', async () => await this.#gluedByOrigin());
    await this.#check('glued-by-client', async () => await this.#gluedByClient());
    for (const status of [401, 403, 404, 426, 503])
      await this.#check(`refused-${status}`, async () => await this.#refused(this.#port, status, REFUSAL_BODY));
    await this.#check('no-origin', async () => await this.#refused(proxy.port(`${this.#name}/nobody`), 502, null));
    await this.#check('all-over', async () => {
      const now = await proxy.settled((figures) => figures.clientConnections === 0 && held(figures) <= before);
      return firstOf(
        differs('connections of clients', now.clientConnections, 0),
        held(now) <= before ? null : `${held(now)} descriptors, and ${before} at the beginning`,
      );
    });
  }

  #socketCount(): number {
    if (this.#name !== 'tcp-tcp') return this.#stage.isLong ? 500 : 100;
    return this.#stage.isLong ? 4_000 : 1_000;
  }

  /** All sockets are open before any of them says a word; each message has its socket's token in it. */
  async #roundTrips(count: number): Promise<string | null> {
    const began = performance.now();
    const random = seededRandom(this.#stage.seed);
    const opened: OpenSocket[] = [];
    // A queue of listen of the origin's own has its limit.
    for (let at = 0; at < count; at += 200) {
      opened.push(...(await Promise.all(Array.from({ length: Math.min(200, count - at) }, () => this.#open('/echo')))));
    }
    const problems = await Promise.all(
      opened.map(async ({ socket, token, closed }) => {
        const sent = Array.from({ length: 5 }, (_, index) =>
          drawMessage(`${token}/${index}:`, random.below(SIZES.length), random.below(2) === 0),
        );
        const heard = await echoed(socket, sent);
        socket.close(1_000, token);
        const end = await closed;
        return firstOf(sameMessages(sent, heard), differs('end', end, { code: 1_000, reason: token }));
      }),
    );
    const wrong = problems.filter((problem) => problem !== null);
    if (count > 1)
      this.#stage.figure(
        `websocket/${this.#name}: ${count} sockets at once, 5 messages each, in ${((performance.now() - began) / 1000).toFixed(1)} s`,
      );
    return wrong.length === 0 ? null : `${wrong.length} sockets of ${count}: ${wrong[0]}`;
  }

  async #ends(origin: WebSocketOrigin): Promise<void> {
    await this.#check('client-closes', async () => {
      const { socket, token, closed } = await this.#open('/echo');
      socket.close(4_321, 'my own end');
      const expected = { code: 4_321, reason: 'my own end' };
      return firstOf(differs('the origin saw', await origin.endOf(token), expected), differs('the client saw', await closed, expected));
    });
    await this.#check('origin-closes', async () => {
      const { socket, token, closed } = await this.#open('/close');
      socket.send('go');
      const expected = { code: 4_001, reason: 'enough of this' };
      return firstOf(differs('the client saw', await closed, expected), differs('the origin saw', await origin.endOf(token), expected));
    });
    await this.#check('client-aborts', async () => {
      const { socket, token, closed } = await this.#open('/echo');
      await echoed(socket, [drawMessage('x', 3, true)]);
      socket.terminate();
      return firstOf(
        differs('the origin saw', await within('the end at the origin', origin.endOf(token)), { code: 1_006, reason: '' }),
        differs('the client saw', (await closed).code, 1_006),
      );
    });
    await this.#check('origin-aborts', async () => {
      const { socket, token, closed } = await this.#open('/abort');
      socket.send('go');
      return firstOf(
        differs('the client saw', await within('the end at the client', closed), { code: 1_006, reason: '' }),
        differs('the origin saw', (await origin.endOf(token)).code, 1_006),
      );
    });
  }

  async #pings(origin: WebSocketOrigin): Promise<string | null> {
    const { socket, token, closed } = await this.#open('/ping');
    const pinged = once(socket, 'ping');
    const answered = once(socket, 'message');
    socket.send('from the origin');
    const [payload] = (await within('the ping of the origin', pinged)) as [Buffer];
    await answered;
    const ponged = once(socket, 'pong');
    socket.ping('from the client');
    const [answer] = (await within('the pong of the origin', ponged)) as [Buffer];
    socket.close();
    await closed;
    await origin.endOf(token);
    return firstOf(
      differs('payload of the ping', payload.toString(), 'from the origin'),
      differs('pongs at the origin', origin.pongsOf(token), ['from the origin']),
      differs('payload of the pong', answer.toString(), 'from the client'),
    );
  }

  async #deflate(): Promise<string | null> {
    const { socket, closed } = await this.#open('/deflate', [], { perMessageDeflate: { threshold: 0 } });
    const sent = SIZES.map((_, index) => drawMessage('deflate:', index, index % 2 === 0));
    const extensions = socket.extensions;
    const heard = await echoed(socket, sent);
    socket.close();
    await closed;
    return firstOf(
      extensions.startsWith('permessage-deflate') ? null : `extensions ${JSON.stringify(extensions)}`,
      sameMessages(sent, heard),
    );
  }

  async #big(): Promise<string | null> {
    const { socket, closed } = await this.#open('/echo');
    const sent: Message[] = [
      { data: Buffer.alloc(MIB, 'one mebibyte of text '), isBinary: false },
      { data: Buffer.alloc(MIB, 0xa5), isBinary: true },
      { data: Buffer.alloc(4 * MIB, 'four of bytes'), isBinary: true },
    ];
    const heard = await echoed(socket, sent);
    socket.close();
    await closed;
    return sameMessages(sent, heard);
  }

  /** The head of the 101, the first frame and the Close are one write of the origin's. */
  async #gluedByOrigin(): Promise<string | null> {
    const socket = new WebSocket(this.#url('/glued'), this.#options());
    const heard: string[] = [];
    socket.on('message', (data: Buffer) => heard.push(data.toString())).on('error', () => undefined);
    await within('the end', once(socket, 'close'));
    return differs('messages', heard, [GLUED_TEXT]);
  }

  /** The request and the first frame are one write of the client's. */
  async #gluedByClient(): Promise<string | null> {
    const socket = await this.#connect();
    const key = Buffer.alloc(16, 7).toString('base64');
    const head = `GET /echo?token=glued HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`;
    // A masked text frame, its mask zeros.
    const frame = Buffer.concat([Buffer.from([0x81, 0x80 | GLUED_TEXT.length, 0, 0, 0, 0]), Buffer.from(GLUED_TEXT)]);
    const expected = Buffer.concat([Buffer.from([0x81, GLUED_TEXT.length]), Buffer.from(GLUED_TEXT)]);
    let came = Buffer.alloc(0);
    const all = new Promise<void>((resolve) => {
      socket.on('data', (piece: Buffer) => {
        came = Buffer.concat([came, piece]);
        if (came.includes(expected)) resolve();
      });
      socket.on('close', resolve);
    });
    socket.write(Buffer.concat([Buffer.from(head), frame]));
    try {
      await within('the echo', all);
    } finally {
      socket.destroy();
    }
    const at = came.indexOf('\r\n\r\n') + 4;
    return firstOf(
      differs('status', came.subarray(0, 12).toString('latin1'), 'HTTP/1.1 101'),
      differs('what came behind the head', came.subarray(at).toString('latin1'), expected.toString('latin1')),
    );
  }

  /** An answer that is no 101 is an answer as any other. */
  async #refused(port: number, status: number, body: string | null): Promise<string | null> {
    const socket = new WebSocket(this.#url(`/refuse/${status}`, port), this.#options());
    socket.on('error', () => undefined);
    const [request, response] = (await within('the refusal', once(socket, 'unexpected-response'))) as [
      { destroy(): void },
      IncomingMessage,
    ];
    const pieces: Buffer[] = [];
    const { socket: connection } = response;
    for await (const piece of response) pieces.push(piece as Buffer);
    // The proxy would take another request by it, but Node's client has let go of it.
    connection.destroy();
    request.destroy();
    return firstOf(
      differs('status', response.statusCode, status),
      body === null ? null : differs('body', Buffer.concat(pieces).toString(), body),
      body === null ? null : differs('field', response.headers['x-why'], 'because'),
    );
  }

  async #open(path: string, protocols: string[] = [], options: ClientOptions = {}): Promise<OpenSocket> {
    const token = `socket-${++this.#tokens}`;
    const socket = new WebSocket(this.#url(`${path}?token=${token}`), protocols, { ...this.#options(), ...options });
    const closed = new Promise<SocketEnd>((resolve) => {
      socket.on('close', (code, reason) => resolve({ code, reason: reason.toString() }));
    });
    // Of an abrupt end `close` tells.
    socket.on('error', () => undefined);
    await within(
      '101',
      Promise.race([
        once(socket, 'open'),
        closed.then(({ code }) => {
          throw new Error(`ended with ${code} before 101`);
        }),
      ]),
    );
    return { socket, token, closed };
  }

  #url(path: string, port = this.#port): string {
    return `${this.#ca === null ? 'ws' : 'wss'}://localhost:${port}${path}`;
  }

  #options(): ClientOptions {
    return { perMessageDeflate: false, maxPayload: 64 << 20, family: 4, ...(this.#ca === null ? {} : { ca: this.#ca }) };
  }

  async #connect(): Promise<Socket> {
    const where = { port: this.#port, host: '127.0.0.1' };
    const socket = this.#ca === null ? connect(where) : connectTls({ ...where, ca: this.#ca, servername: 'localhost' });
    socket.on('error', () => undefined);
    await once(socket, this.#ca === null ? 'connect' : 'secureConnect');
    return socket;
  }

  async #check(name: string, check: () => Promise<string | null>, limitMs?: number): Promise<void> {
    await this.#stage.check(`websocket/${this.#name}/${name}`, check, limitMs);
  }
}

interface OpenSocket {
  readonly socket: WebSocket;
  readonly token: string;
  readonly closed: Promise<SocketEnd>;
}

/** @param size which of the sizes, the prefix not counted */
function drawMessage(prefix: string, size: number, isBinary: boolean): Message {
  return { data: Buffer.concat([Buffer.from(prefix), Buffer.alloc(SIZES[size] ?? 0, prefix)]), isBinary };
}

/** Sends all at once, and waits for as many. */
async function echoed(socket: WebSocket, sent: readonly Message[]): Promise<readonly Message[]> {
  const heard: Message[] = [];
  const all = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer, isBinary) => {
      if (heard.push({ data, isBinary }) === sent.length) resolve();
    });
    socket.once('close', () => resolve());
  });
  for (const { data, isBinary } of sent) socket.send(data, { binary: isBinary });
  await within('the echoes', all, 60_000);
  return heard;
}

/** @returns in what way messages are others than were sent, or null */
export function sameMessages(sent: readonly Message[], heard: readonly Message[]): string | null {
  if (sent.length !== heard.length) return `${heard.length} messages of ${sent.length}`;
  for (const [index, { data, isBinary }] of sent.entries()) {
    const other = heard[index] as Message;
    if (other.isBinary !== isBinary) return `message ${index} is of the other kind`;
    if (!other.data.equals(data))
      return `message ${index} is another: ${JSON.stringify(other.data.toString('latin1', 0, 40))}, ${other.data.length} bytes, not ${JSON.stringify(data.toString('latin1', 0, 40))}, ${data.length} bytes`;
  }
  return null;
}
