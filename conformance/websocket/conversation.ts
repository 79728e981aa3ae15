/** One conversation with `ws`: drawn messages each way, pings, and a Close from one side; what arrives must be what was sent. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { type Random, seededRandom } from '@ferrata/clock';
import { Http1ClientSession, HttpEnvironment, HttpServer, resolveHttp1ClientOptions } from '@ferrata/http';
import { connect, listen } from '@ferrata/net';
import { acceptWebSocket, connectWebSocket, type WebSocketClose, type WebSocketHandler, type WebSocketSession } from '@ferrata/tunnel';
import type { DeflateOptions } from '@ferrata/websocket';
import { type PerMessageDeflateOptions, WebSocket, WebSocketServer } from 'ws';

export const ROLES = ['server', 'client'] as const;

/** How both ends compress. */
export interface Variant {
  readonly name: string;
  readonly ours: DeflateOptions | null;
  readonly theirs: PerMessageDeflateOptions | false;
}

export const VARIANTS: readonly Variant[] = [
  { name: 'plain', ours: null, theirs: false },
  { name: 'only we offer or accept', ours: {}, theirs: false },
  { name: 'windows kept', ours: {}, theirs: { threshold: 0 } },
  { name: 'windows forgotten', ours: { serverNoContextTakeover: true, clientNoContextTakeover: true }, theirs: { threshold: 0 } },
  {
    name: 'small windows',
    ours: { serverMaxWindowBits: 12, clientMaxWindowBits: 10 },
    theirs: { threshold: 0, serverMaxWindowBits: 11, clientMaxWindowBits: 9 },
  },
];

export type Message = string | Uint8Array;

/** What a test changes, to see that a conversation notices. */
export interface Interference {
  /** What becomes of a message that ws has sent before we note it; null for none. */
  readonly change?: (message: Message) => Message | null;
  /** The code with which ws hears us close; default: the one that is expected. */
  readonly closeCode?: number;
  /** Default 10 000. */
  readonly timeLimitMs?: number;
}

const SIZES = [0, 1, 5, 125, 126, 127, 1_000, 1_024, 32_768, 65_535, 65_536, 200_000] as const;
const TIME_LIMIT_MS = 10_000;

/** @returns what is wrong, or null */
export async function converse(
  role: (typeof ROLES)[number],
  variant: Variant,
  seed: number,
  { change = (message) => message, closeCode, timeLimitMs = TIME_LIMIT_MS }: Interference = {},
): Promise<string | null> {
  const random = seededRandom(seed);
  const [fromUs, fromThem] = [drawMessages(random), drawMessages(random)];
  const heardByUs: string[] = [];
  const heardByThem: string[] = [];
  const hear = (message: Message): void => {
    const changed = change(message);
    if (changed !== null) heardByUs.push(show(changed));
  };
  const { promise: closed, resolve: tellClosed } = Promise.withResolvers<WebSocketClose>();
  const handler: WebSocketHandler = {
    onText: (text) => hear(text),
    onBinary: (bytes) => hear(bytes),
    onClose: tellClosed,
  };
  await using pair = role === 'server' ? await ourServer(variant, handler) : await ourClient(variant, handler);
  const { session, socket } = pair;
  const theyHaveAll = new Promise<void>((resolve) => {
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      heardByThem.push(show(isBinary ? new Uint8Array(data) : data.toString()));
      if (heardByThem.length === fromUs.length) resolve();
    });
  });
  for (const message of fromUs) send(session, message, random);
  for (const message of fromThem) socket.send(message);
  const signal = AbortSignal.timeout(timeLimitMs);
  const tooLate = once(signal, 'abort').then(() => 'too late' as const);
  if ((await Promise.race([theyHaveAll, tooLate])) === 'too late') return `ws heard ${heardByThem.length} of ${fromUs.length} messages`;
  const code = 3_000 + random.below(2_000);
  // ws answers behind all that it had to send, so what it sent arrives before its Close.
  session.close(closeCode ?? code, 'enough');
  const close = await Promise.race([closed, tooLate]);
  if (close === 'too late') return 'no end';
  if (close.error !== null) return `ended with ${close.error.message}`;
  if (close.code !== code) return `closed with ${close.code}, not ${code}`;
  return difference('ws heard', heardByThem, fromUs.map(show)) ?? difference('we heard', heardByUs, fromThem.map(show));
}

interface Pair extends AsyncDisposable {
  readonly session: WebSocketSession;
  readonly socket: WebSocket;
}

const options = { compressFromBytes: 0 };

async function ourServer({ ours, theirs }: Variant, handler: WebSocketHandler): Promise<Pair> {
  const environment = new HttpEnvironment();
  const { promise, resolve } = Promise.withResolvers<WebSocketSession>();
  const server = new HttpServer(
    {
      onRequest(exchange) {
        const session = acceptWebSocket(exchange, handler, { deflate: ours, session: { ...options, environment } });
        session?.start();
        if (session !== null) resolve(session);
        return { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };
      },
    },
    { environment },
  );
  const listener = await listen({ host: '127.0.0.1', port: 0 }, (stream) => server.accept(stream));
  const port = listener.address.kind === 'ip' ? listener.address.port : 0;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/`, { perMessageDeflate: theirs });
  await once(socket, 'open');
  return {
    session: await promise,
    socket,
    async [Symbol.asyncDispose]() {
      socket.terminate();
      await listener.close();
      server.close();
    },
  };
}

async function ourClient({ ours, theirs }: Variant, handler: WebSocketHandler): Promise<Pair> {
  const environment = new HttpEnvironment();
  const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: theirs });
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const accepted = once(server, 'connection') as Promise<[WebSocket]>;
  const stream = await connect({ host: '127.0.0.1', port });
  const http = new Http1ClientSession(stream, environment, resolveHttp1ClientOptions(), { onSessionIdle() {}, onSessionClose() {} });
  http.start();
  const session = await connectWebSocket(http, handler, { environment, authority: `127.0.0.1:${port}`, deflate: ours, session: options });
  session.start();
  const [socket] = await accepted;
  return {
    session,
    socket,
    async [Symbol.asyncDispose]() {
      socket.terminate();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Whole, or in fragments with a ping between them. */
function send(session: WebSocketSession, message: Message, random: Random): void {
  if (typeof message === 'string' && random.below(2) === 0) {
    session.sendText(message);
    return;
  }
  const [kind, bytes] = typeof message === 'string' ? ([1, new TextEncoder().encode(message)] as const) : ([2, message] as const);
  if (kind === 2 && random.below(2) === 0) {
    session.sendBinary(bytes);
    return;
  }
  const middle = random.below(bytes.length + 1);
  session.sendFragment(kind, bytes.subarray(0, middle), 'more');
  session.ping(new Uint8Array(random.below(126)));
  session.sendFragment(kind, bytes.subarray(middle), 'last');
}

function drawMessages(random: Random): Message[] {
  return Array.from({ length: 1 + random.below(10) }, () => {
    const size = SIZES[random.below(SIZES.length)] ?? 0;
    const alphabet = 1 + random.below(256);
    const bytes = new Uint8Array(size).map(() => random.below(alphabet));
    return random.below(2) === 0 ? bytes : Array.from(bytes, (byte) => String.fromCodePoint(0x20 + byte * 40)).join('');
  });
}

function show(message: Message): string {
  const bytes = Buffer.from(message as string);
  return `${typeof message === 'string' ? 'text' : 'binary'} ${bytes.length} ${bytes.toString('base64')}`;
}

function difference(who: string, heard: readonly string[], said: readonly string[]): string | null {
  const at = said.findIndex((message, i) => heard[i] !== message);
  if (at < 0 && heard.length === said.length) return null;
  return `${who} ${heard.length} messages of ${said.length}; number ${at} is ${heard[at]?.slice(0, 80) ?? 'missing'}, not ${said[at]?.slice(0, 80) ?? 'nothing'}`;
}
