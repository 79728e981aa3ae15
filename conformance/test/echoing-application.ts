/** The least that answers the clients of the suite `lifecycle`: echo of bodies and of WebSocket messages, and downloads. */
import { HeaderMap, responseHead } from '@ferrata/headers';
import { type HttpApplication, respond, type ServerExchange, type ServerExchangeHandler } from '@ferrata/http';
import type { L4Stream } from '@ferrata/stream';
import { acceptWebSocket, isWebSocketRequest } from '@ferrata/tunnel';

const handled: ServerExchangeHandler = { onRequestData() {}, onRequestEnd() {}, onResponseDrain() {}, onExchangeClose() {} };

/** The bytes of a download, by their position; see `lifecycle/pattern.ts`. */
export function patternOf(bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => ((at % 65_521) * 31 + ((at % 65_521) >> 8)) & 0xff);
}

/** Answers as a server of the suite does. */
export const echoing: HttpApplication = {
  onRequest(exchange) {
    const headers = HeaderMap.from({ 'X-Request-Id': exchange.request.headers.get('x-request-id') ?? '', 'X-Served-By': '1.1.1' });
    if (isWebSocketRequest(exchange)) return echoMessages(exchange);
    const length = /^\/bytes\?n=(\d+)$/.exec(exchange.request.target)?.[1];
    if (length !== undefined) {
      respond(exchange, 200, { headers, body: patternOf(Number(length)) });
      return handled;
    }
    exchange.sendHead(responseHead(200, { headers }), exchange.requestBodyLength);
    return {
      onRequestData: (chunk) => void exchange.sendData(chunk),
      onRequestEnd: () => exchange.sendEnd(),
      onResponseDrain() {},
      onExchangeClose() {},
    };
  },
};

function echoMessages(exchange: ServerExchange): ServerExchangeHandler {
  const session = acceptWebSocket(exchange, { onText: (text) => void session?.sendText(text), onClose() {} });
  session?.start();
  return handled;
}

/** The same for a stream of bytes. */
export function echoBytes(stream: L4Stream): void {
  stream.attach({ onData: (chunk) => void stream.write(chunk), onDrain() {}, onEnd: () => stream.end(), onClose() {} });
}
