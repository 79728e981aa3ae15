/** The demonstration: a small origin and the proxy in front of it, in one process, with a line for each request. */
import { parseArgs, styleText } from 'node:util';
import { isWireError, type WireError } from '@ferrata/error';
import { HeaderMap, type ResponseHead, requestHead, responseHead } from '@ferrata/headers';
import {
  type ClientExchangeHandler,
  type HttpApplication,
  HttpEnvironment,
  HttpServer,
  type Refusal,
  respond,
  type ServerExchange,
  type ServerExchangeHandler,
} from '@ferrata/http';
import { type Listener, listen, parseAddress } from '@ferrata/net';
import type { ProxySession } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { peer, UpstreamConnector } from '@ferrata/upstream';
import { ExitCode, endSignal } from './end-signal.ts';
import { Output } from './output.ts';
import { type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';
import { formatUrl } from './urls.ts';

/** The demonstration's origin: greets, tells what it received, and sends bodies back. */
const origin: HttpApplication = {
  onRequest(exchange) {
    const { method, target, headers } = exchange.request;
    switch (target.split('?')[0]) {
      case '/':
        respond(exchange, 200, { body: 'Hello from the origin, through Ferrata.\n' });
        break;
      case '/headers':
        respond(exchange, 200, { body: [...headers].map(([name, value]) => `${name}: ${value}\n`).join('') });
        break;
      case '/echo':
        return new Echo(exchange);
      default:
        respond(exchange, 404, { body: `nothing at ${method} ${target}; try /, /headers or /echo\n` });
    }
    return answered;
  },
};

/** Follows an exchange that is answered already; what the client still sends is dropped. */
const answered: ServerExchangeHandler = {
  onRequestData() {},
  onRequestEnd() {},
  onResponseDrain() {},
  onExchangeClose() {},
};

/** Sends each piece of the body back as it comes, at the pace at which the client takes it. */
class Echo implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
    const type = exchange.request.headers.get('content-type') ?? 'application/octet-stream';
    exchange.sendHead(responseHead(200, { headers: HeaderMap.from({ 'Content-Type': type }) }), exchange.requestBodyLength);
  }

  onRequestData(chunk: Uint8Array): void {
    if (!this.#exchange.sendData(chunk)) this.#exchange.pauseRequest();
  }

  onRequestEnd(): void {
    this.#exchange.sendEnd();
  }

  onResponseDrain(): void {
    this.#exchange.resumeRequest();
  }

  onExchangeClose(): void {}
}

/** Options of the demonstration. */
interface DemoOptions {
  readonly isSmoke: boolean;
  readonly port: number;
}

/** Runs the demonstration until a signal, or with `--smoke` for one verified round trip by each version of HTTP. @returns the exit code */
export async function runDemo(argv: readonly string[]): Promise<number> {
  const notices = new Output(process.stderr);
  const output = new Output(process.stdout);
  let options: DemoOptions;
  try {
    options = parseOptions(argv);
  } catch (error) {
    notices.write(`${(error as Error).message}\n`);
    return ExitCode.usage;
  }
  // A package manager hands a Ctrl-C on that the terminal has sent already.
  const hasToEnd = endSignal({ sameWithinMs: 300 });
  const server = new HttpServer(origin);
  const originListener = await listen('tcp://127.0.0.1:0', (stream) => server.accept(stream));
  const code = await runProxy(options, originListener, hasToEnd, output, notices);
  await originListener.close();
  server.close();
  await Promise.all([output.flush(1_000), notices.flush(1_000)]);
  return code;
}

async function runProxy(
  options: DemoOptions,
  originListener: Listener,
  hasToEnd: Promise<void>,
  output: Output,
  notices: Output,
): Promise<number> {
  const { isSmoke, port } = options;
  const print = (line: string): void => void (output.hasRoom && output.write(`${line}\n`));
  let proxy: ReverseProxy;
  try {
    proxy = await startReverseProxy({
      listen: [parseAddress(`127.0.0.1:${port}`)],
      to: [parseAddress(formatAddress(originListener.address))],
      ...(isSmoke
        ? {}
        : { onSession: (session, error) => print(sessionLine(session, error)), onRefused: (refusal) => print(refusalLine(refusal)) }),
    });
  } catch (error) {
    if (!isWireError(error)) throw error;
    notices.write(
      error.reason === 'ADDRESS_IN_USE'
        ? `Port ${port} on 127.0.0.1 is in use. Stop the program that has it, or choose another: npm start -- --port ${port === 65_535 ? 8080 : port + 1}\n`
        : `The demonstration cannot listen on 127.0.0.1:${port}: ${error.message}\n`,
    );
    return ExitCode.failed;
  }
  const url = formatUrl((proxy.listeners[0] as Listener).address);
  if (isSmoke) {
    const { isRight, text } = await smoke(url);
    await proxy.stop(100);
    print(text);
    return isRight ? ExitCode.ok : ExitCode.failed;
  }
  output.write(welcome(url, formatUrl(originListener.address)));
  await hasToEnd;
  print('\nending; what is running is finished first, and a second Ctrl-C ends at once');
  await proxy.stop(5_000);
  print('ended');
  return ExitCode.ok;
}

/** @throws {TypeError} when the arguments make no sense */
function parseOptions(argv: readonly string[]): DemoOptions {
  const { values } = parseArgs({
    args: argv.filter((argument) => argument !== '--'),
    options: { smoke: { type: 'boolean' }, port: { type: 'string' } },
  });
  const isSmoke = values.smoke ?? false;
  // The round trip is no use to anybody else, and must not fail because something runs on 8080.
  const text = values.port ?? (isSmoke ? '0' : '8080');
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new TypeError(`--port ${text}: write a port from 0 to 65535`);
  return { isSmoke, port: Number(text) };
}

function welcome(url: string, originUrl: string): string {
  return `
${styleText('bold', 'Ferrata')} is running.

  proxy    ${styleText('green', url)}
  origin   ${originUrl}   (a small demonstration server)

Try, in another terminal:

  curl -i ${url}/
  curl ${url}/headers
  curl --data 'a body of your own' ${url}/echo

Ctrl-C ends it. Each request shows here:

`;
}

/** `200  GET   /headers                            137 B     0.9 ms  reused connection` */
function sessionLine(session: ProxySession, error: WireError | null): string {
  const { method, target } = session.request;
  const { startedAt, endedAt } = session.timing;
  const reuse = session.isUpstreamReused ? 'reused connection' : 'new connection';
  return line({
    status: session.status,
    isGood: error === null && session.status < 400,
    what: `${method.padEnd(5)} ${shortened(target)}`,
    figures: `${String(session.responseBytes).padStart(9)} B ${(endedAt - startedAt).toFixed(1).padStart(8)} ms`,
    note: error === null ? reuse : error.reason,
  });
}

function refusalLine({ status, error }: Refusal): string {
  return line({ status, isGood: false, what: '(refused)', figures: '', note: error.reason });
}

function line(parts: {
  readonly status: number;
  readonly isGood: boolean;
  readonly what: string;
  readonly figures: string;
  readonly note: string;
}): string {
  const status = styleText(parts.isGood ? 'green' : 'red', parts.status === 0 ? '---' : String(parts.status));
  return `${status}  ${parts.what.padEnd(38)} ${parts.figures.padEnd(23)}  ${styleText('dim', parts.note)}`;
}

function shortened(target: string): string {
  return target.length <= 32 ? target : `${target.slice(0, 31)}…`;
}

/** What came back of a round trip. */
interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
}

const SMOKE_TYPE = 'text/x-smoke';

/** One round trip by each version, whose answer is checked. */
async function smoke(url: string): Promise<{ readonly isRight: boolean; readonly text: string }> {
  const body = `smoke ${url}`;
  try {
    for (const [version, post] of [
      ['HTTP/1.1', postByHttp1],
      ['HTTP/2', postByHttp2],
    ] as const) {
      const { status, type, text } = await post(url, body);
      if (status !== 200 || type !== SMOKE_TYPE || text !== body) return { isRight: false, text: `not ok: ${version}: ${status} ${text}` };
    }
    return { isRight: true, text: `ok: POST ${url}/echo came back through the proxy as it was sent, over HTTP/1.1 and over HTTP/2` };
  } catch (error) {
    return { isRight: false, text: `not ok: ${String(error)}` };
  }
}

async function postByHttp1(url: string, body: string): Promise<Answer> {
  const answer = await fetch(`${url}/echo`, { method: 'POST', body, headers: { 'Content-Type': SMOKE_TYPE, Connection: 'close' } });
  return { status: answer.status, type: answer.headers.get('content-type'), text: await answer.text() };
}

/** With prior knowledge, as there is no TLS to agree on it (RFC 9113 §3.3). */
async function postByHttp2(url: string, body: string): Promise<Answer> {
  const { host } = new URL(url);
  const connector = new UpstreamConnector({ environment: new HttpEnvironment() });
  try {
    const session = await connector.connect(peer(host, { protocol: 'http2' }));
    return await new Promise((resolve, reject) => {
      const bytes = new TextEncoder().encode(body);
      const head = requestHead('POST', '/echo', { headers: { Host: host, 'Content-Type': SMOKE_TYPE } });
      const exchange = session.request(head, { bodyLength: bytes.length, upgrade: null }, new Posting(resolve, reject));
      exchange.sendData(bytes);
      exchange.sendEnd();
    });
  } finally {
    connector.close();
  }
}

/** Gathers one answer. */
class Posting implements ClientExchangeHandler {
  readonly #resolve: (answer: Answer) => void;
  readonly #reject: (error: WireError) => void;
  readonly #decoder = new TextDecoder();
  #head: ResponseHead | null = null;
  #text = '';

  constructor(resolve: (answer: Answer) => void, reject: (error: WireError) => void) {
    this.#resolve = resolve;
    this.#reject = reject;
  }

  onInterim(): void {}
  onTunnel(): void {}
  onResponse(head: ResponseHead): void {
    this.#head = head;
  }
  onResponseData(chunk: Uint8Array): void {
    this.#text += this.#decoder.decode(chunk, { stream: true });
  }
  onResponseEnd(): void {
    this.#resolve({ status: this.#head?.status ?? 0, type: this.#head?.headers.get('content-type') ?? null, text: this.#text });
  }
  onRequestDrain(): void {}
  onClientClose(error: WireError | null): void {
    // Behind a whole answer it comes too late to change anything.
    if (error !== null) this.#reject(error);
  }
}
