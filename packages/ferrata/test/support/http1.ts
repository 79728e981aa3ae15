/** A client of node:http. */
import { type Agent, type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from 'node:http';
import { within } from './command.ts';

/** What it got. */
export interface Http1Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly rawHeaders: readonly string[];
  readonly body: Buffer;
}

/** One request, to its end; the path goes out as it is. */
export async function ask1(
  port: number,
  path: string,
  {
    headers = {},
    method = 'GET',
    agent = false,
  }: { readonly headers?: OutgoingHttpHeaders; readonly method?: string; readonly agent?: Agent | false } = {},
): Promise<Http1Answer> {
  const answered = new Promise<Http1Answer>((resolve, reject) => {
    const sent = request({ port, host: '127.0.0.1', path, method, headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk)).on('error', reject);
      response.on('end', () => {
        const { statusCode = 0, headers: fields, rawHeaders } = response;
        resolve({ status: statusCode, headers: fields, rawHeaders, body: Buffer.concat(chunks) });
      });
    });
    sent.on('error', reject).end();
  });
  return await within('an answer', answered);
}
