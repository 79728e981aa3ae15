/**
 * Single requests by an own client, for what wrk cannot tell: is this the right body, what is the answer right now.
 */

import { type Agent, type ClientRequest, get, type IncomingMessage } from 'node:http';
import { get as getByTls } from 'node:https';

/** What came back. */
export interface ProbeResult {
  readonly status: number;
  readonly bodyBytes: number;
}

/**
 * Sends one GET and reads the response to its end; over TLS whatever the certificate, as who answers is known.
 *
 * @throws {Error} when the connection fails, the body is cut short, or nothing comes within `timeoutMs`.
 */
export function probe(url: string, options: { agent?: Agent; timeoutMs?: number } = {}): Promise<ProbeResult> {
  const { agent, timeoutMs = 10_000 } = options;
  return new Promise((resolve, reject) => {
    // Without an agent the connection is a fresh one and closes after the answer.
    const options = { agent: agent ?? false, signal: AbortSignal.timeout(timeoutMs) };
    const onResponse = (response: IncomingMessage): void => {
      let bodyBytes = 0;
      response.on('data', (chunk: Buffer) => {
        bodyBytes += chunk.length;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, bodyBytes }));
      response.on('error', reject);
    };
    const request: ClientRequest = url.startsWith('https:')
      ? getByTls(url, { ...options, rejectUnauthorized: false }, onResponse)
      : get(url, options, onResponse);
    request.on('error', reject);
  });
}

/**
 * Checks that a proxy passes a body of exactly that size on.
 *
 * @throws {Error} that says what came instead.
 */
export async function expectBody(url: string, bytes: number): Promise<void> {
  const { status, bodyBytes } = await probe(url);
  if (status !== 200 || bodyBytes !== bytes)
    throw new Error(`${url} answered ${status} with ${bodyBytes} bytes instead of 200 with ${bytes}`);
}
