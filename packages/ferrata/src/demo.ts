/** The demonstration: a small origin and the proxy in front of it, in one process, with a line for each request. */
import { isWireError, type WireError } from '@ferrata/error';
import { type HttpApplication, HttpServer, type Refusal, type ServerExchange, type ServerExchangeHandler, respond } from '@ferrata/http';
import { type Listener, listen, parseAddress } from '@ferrata/net';
import type { ProxySession } from '@ferrata/proxy';
import { formatAddress } from '@ferrata/stream';
import { parseArgs, styleText } from 'node:util';
import { formatUrl } from './arguments.ts';
import { type ReverseProxy, startReverseProxy } from './reverse-proxy.ts';
import { ExitCode, endSignal } from './run.ts';

/** The demonstration's origin: greets, echoes bodies, and tells what it received. */
const origin: HttpApplication = {
  onRequest(exchange) {
    return new DemoExchange(exchange);
  },
};

/** Answers one request of the demonstration once its body is read. */
class DemoExchange implements ServerExchangeHandler {
  readonly #exchange: ServerExchange;
  readonly #chunks: Uint8Array[] = [];

  constructor(exchange: ServerExchange) {
    this.#exchange = exchange;
  }

  onRequestData(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
  }

  onRequestEnd(): void {
    const exchange = this.#exchange;
    const { method, target, headers } = exchange.request;
    switch (target.split('?')[0]) {
      case '/':
        respond(exchange, 200, { body: 'Hello from the origin, through Ferrata.\n' });
        return;
      case '/headers':
        respond(exchange, 200, { body: [...headers].map(([name, value]) => `${name}: ${value}\n`).join('') });
        return;
      case '/echo':
        respond(exchange, 200, { headers: { 'Content-Type': headers.get('content-type') ?? 'application/octet-stream' }, body: Buffer.concat(this.#chunks) });
        return;
      default:
        respond(exchange, 404, { body: `nothing at ${method} ${target}; try /, /headers or /echo\n` });
    }
  }

  onResponseDrain(): void {}
  onExchangeClose(): void {}
}

/** Runs the demonstration until a signal, or with `--smoke` for one verified round trip. @returns the exit code */
export async function runDemo(argv: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv.filter((argument) => argument !== '--'),
    options: { smoke: { type: 'boolean' }, port: { type: 'string' } },
  });
  const port = values.port === undefined ? (values.smoke === true ? 0 : 8080) : Number(values.port);
  if (!Number.isInteger(port) || port < 0 || port > 65_535) {
    process.stderr.write(`--port ${values.port}: write a port from 0 to 65535\n`);
    return ExitCode.usage;
  }
  const server = new HttpServer(origin);
  const originListener = await listen('tcp://127.0.0.1:0', (stream) => server.accept(stream));
  let proxy: ReverseProxy;
  try {
    proxy = await startReverseProxy({
      listen: [parseAddress(`127.0.0.1:${port}`)],
      to: [parseAddress(formatAddress(originListener.address))],
      onSession: printSession,
      onRefused: printRefusal,
    });
  } catch (error) {
    await originListener.close();
    if (!isWireError(error)) throw error;
    process.stderr.write(
      error.reason === 'ADDRESS_IN_USE'
        ? `Port ${port} on 127.0.0.1 is in use. Stop the program that has it, or choose another: npm start -- --port ${port + 1}\n`
        : `Cannot listen on 127.0.0.1:${port}: ${error.message}\n`,
    );
    return ExitCode.failed;
  }
  const url = formatUrl((proxy.listeners[0] as Listener).address);
  if (values.smoke === true) {
    const code = await smoke(url);
    await originListener.close();
    await proxy.stop(100);
    server.close();
    return code;
  }
  process.stdout.write(welcome(url, formatUrl(originListener.address)));
  await endSignal();
  process.stdout.write('\nending: running requests are finished first\n');
  await originListener.close();
  await proxy.stop(5_000);
  server.close();
  return ExitCode.ok;
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

function printSession(session: ProxySession, error: WireError | null): void {
  const { method, target } = session.request;
  const milliseconds = (session.timing.endedAt - session.timing.startedAt).toFixed(1);
  const reuse = session.isUpstreamReused ? 'reused connection' : 'new connection';
  const status = styleText(session.status < 400 && error === null ? 'green' : 'red', String(session.status));
  process.stdout.write(`${status} ${method} ${target}  ${session.responseBytes} bytes  ${milliseconds} ms  ${error === null ? reuse : error.reason}\n`);
}

function printRefusal(refusal: Refusal): void {
  process.stdout.write(`${styleText('red', String(refusal.status))} refused: ${refusal.error.reason}\n`);
}

/** One round trip whose answer is checked. */
async function smoke(url: string): Promise<number> {
  const body = `smoke ${url}`;
  const answer = await fetch(`${url}/echo`, { method: 'POST', body, headers: { 'Content-Type': 'text/x-smoke', Connection: 'close' } });
  const text = await answer.text();
  const isRight = answer.status === 200 && text === body && answer.headers.get('content-type') === 'text/x-smoke';
  process.stdout.write(isRight ? `ok: POST ${url}/echo came back through the proxy as it was sent\n` : `not ok: ${answer.status} ${text}\n`);
  return isRight ? ExitCode.ok : ExitCode.failed;
}
