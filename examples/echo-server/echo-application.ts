/**
 * What the echo server answers by HTTP. One application is made for each configuration and each worker, so that a request sees one configuration from its first
 * byte to its last, whatever is reloaded meanwhile.
 *
 * | path | answer |
 * |---|---|
 * | `/` | the message of the configuration |
 * | `/who` | which process, worker and configuration |
 * | `/echo` | the body that was sent, as it comes; or a WebSocket that sends each message back |
 * | `/bytes?n=1000` | so many bytes, up to 100 MiB, at the pace of the reader |
 * | `/slow?ms=100` | the message, later |
 */
import { threadId } from 'node:worker_threads';
import { HeaderMap } from '@ferrata/headers';
import { type HttpApplication, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import type { Snapshot } from '@ferrata/service';
import { acceptWebSocket, isWebSocketRequest } from '@ferrata/tunnel';
import { Download, Echo, handled, Later } from './answers.ts';
import type { EchoConfig } from './configuration.ts';
import { misbehave } from './faults.ts';

const MAX_DOWNLOAD_BYTES = 100 * 1_048_576;
const MAX_DELAY_MS = 60_000;

/** Counts requests of all workers. */
export interface RequestCounter {
  /** @returns requests of all workers in this second, this one included */
  count(): number;
  /** Requests a second. */
  perSecond(): number;
}

/** The application of one worker, for one configuration. */
export class EchoApplication implements HttpApplication {
  readonly #snapshot: Snapshot<EchoConfig>;
  readonly #counter: RequestCounter;
  readonly #worker: number;
  readonly #servedBy: string;
  readonly #configText: string;

  /** @param worker its number, 1 and up */
  constructor(worker: number, snapshot: Snapshot<EchoConfig>, counter: RequestCounter) {
    this.#snapshot = snapshot;
    this.#counter = counter;
    this.#worker = worker;
    // A replaced worker keeps its number; the thread is another one.
    this.#servedBy = `${process.pid}.${worker}.${threadId}`;
    this.#configText = `${snapshot.version} ${snapshot.config.message}`;
  }

  onRequest(exchange: ServerExchange): ServerExchangeHandler {
    const { config } = this.#snapshot;
    const { method, target } = exchange.request;
    const [path = '/', query = ''] = target.split('?', 2);
    const parameters = new URLSearchParams(query);
    const headers = this.#headers(exchange);
    if (this.#counter.count() > config.maxRequestsPerSecond) return answer(exchange, 429, headers, 'too many requests\n');
    if (isWebSocketRequest(exchange)) return echoMessages(exchange);
    switch (path) {
      case '/':
        return answer(exchange, 200, headers, `${config.message}\n`);
      case '/who':
        return answer(exchange, 200, headers, this.#whoText());
      case '/echo':
        if (method !== 'GET') return new Echo(exchange, headers);
        return answer(exchange, 405, headers, 'POST something\n');
      case '/bytes':
        return new Download(exchange, headers, numberOf(parameters.get('n'), MAX_DOWNLOAD_BYTES));
      case '/slow':
        return new Later(numberOf(parameters.get('ms'), MAX_DELAY_MS), () => {
          respond(exchange, 200, { headers, body: `${config.message}\n` });
        });
      default:
        return (config.faults ? misbehave(path) : null) ?? answer(exchange, 404, headers, `nothing at ${path}\n`);
    }
  }

  #headers(exchange: ServerExchange): HeaderMap {
    const headers = HeaderMap.from({ 'X-Served-By': this.#servedBy, 'X-Config': this.#configText });
    // Whoever asks can tell that the answer is to this question.
    const id = exchange.request.headers.get('x-request-id');
    if (id !== undefined) headers.set('X-Request-Id', id);
    return headers;
  }

  #whoText(): string {
    const { version, config } = this.#snapshot;
    const who = { pid: process.pid, worker: this.#worker, thread: threadId, version, message: config.message };
    return `${JSON.stringify({ ...who, requestsPerSecond: this.#counter.perSecond() })}\n`;
  }
}

function answer(exchange: ServerExchange, status: number, headers: HeaderMap, body: string): ServerExchangeHandler {
  respond(exchange, status, { headers, body });
  return handled;
}

/** Sends each message back. A client that reads slowly is not read from until it has caught up. */
function echoMessages(exchange: ServerExchange): ServerExchangeHandler {
  const session = acceptWebSocket(exchange, {
    onText: (text) => {
      if (session?.sendText(text) === false) session.pause();
    },
    onBinary: (bytes) => {
      if (session?.sendBinary(bytes) === false) session.pause();
    },
    onDrain: () => session?.resume(),
    onClose: () => {},
  });
  session?.start();
  return handled;
}

/** A whole number from 0 to `most`. */
function numberOf(text: string | null, most: number): number {
  const value = Number(text ?? 0);
  return Number.isSafeInteger(value) && value >= 0 ? Math.min(value, most) : 0;
}
