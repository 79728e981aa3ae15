/** curl as a client that acts plans out: a process for each exchange. */
import { spawn } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import type { FieldLine } from '@ferrata/testkit';
import type { PeerProgram } from '@ferrata/tools/peers';
import { killOnExit, TemporaryFolder } from '../rig/clean-up.ts';
import type { PlanClient } from './client.ts';
import type { SeenResponse } from './ledger.ts';
import { bodyBytes, type Plan, requestLines } from './plan.ts';

/** What has to be installed. */
export const CURL: PeerProgram = { command: 'curl', debianPackage: 'curl', purpose: 'a client beside those of Node' };

/** What curl adds of its own accord, unless it is told not to. */
const UNWANTED = ['User-Agent', 'Accept', 'Content-Type', 'Expect'];

/** A process for each shape is dear, and curl treats most methods and statuses alike. */
const CURL_SHAPES =
  /^(?:request\/(?:GET|HEAD|POST|DELETE|Custom!)\/|size\/|fields\/[a-z-]+\/(?:plain|chunked)|target\/|host\/|interim\/|expect\/|http10\/keep-alive\/|http10\/none\/chunked|response\/GET\/(?:200|204|304)\/)/;

/** How long one process may run. */
const MAX_RUN_MS = 9_000;

let processes = 0;

/** A client made of the command. */
export class CurlClient implements PlanClient {
  readonly #port: number;
  readonly #isHttp2: boolean;
  /** What curl is given and gives back beside its standard streams. */
  readonly #folder = new TemporaryFolder('ferrata-curl-');

  /** @param how `isHttp2`: with prior knowledge that the server speaks it, whatever minor version a plan has */
  constructor(port: number, { isHttp2 = false }: { readonly isHttp2?: boolean } = {}) {
    this.#port = port;
    this.#isHttp2 = isHttp2;
  }

  /**
   * curl has no trailers and no pieces to send, no body for HEAD, no token for a method that its own options do not take; it repeats by itself a
   * request that was refused with 417, and one process is enough for the shapes that do not differ for it.
   */
  static canSend({ id, request, response }: Plan): boolean {
    const { method, framing, trailers, expectation, minorVersion, target } = request;
    return (
      CURL_SHAPES.test(id) &&
      trailers.length === 0 &&
      expectation !== 'sends' &&
      response.when === 'whole' &&
      (method !== 'HEAD' || framing === 'none') &&
      (minorVersion === 1 || framing !== 'chunked') &&
      target !== '*'
    );
  }

  async send(one: Plan, token: string): Promise<SeenResponse> {
    const { method, target, minorVersion, framing, body } = one.request;
    const [fieldFile, headFile] = [join(this.#folder.path, 'fields'), join(this.#folder.path, 'heads')];
    await writeFile(fieldFile, fieldLines(one, token, this.#isHttp2), 'latin1');
    const version = this.#isHttp2 ? '--http2-prior-knowledge' : minorVersion === 0 ? '--http1.0' : '--http1.1';
    const args = ['-sS', version, '--request-target', target, '-D', headFile, '-H', `@${fieldFile}`];
    args.push(...(method === 'HEAD' ? ['--head'] : ['-X', method]));
    // Of what it uploads from its standard input curl does not tell the length; HTTP/1 asks for chunks by their field.
    if (framing === 'chunked' && this.#isHttp2) args.push('-T', '-');
    else if (framing !== 'none') args.push('--data-binary', '@-');
    args.push(`http://127.0.0.1:${this.#port}/`);
    const child = spawn('curl', args, { stdio: 'pipe', timeout: MAX_RUN_MS });
    killOnExit(child);
    // curl ends without reading all that it is given when the server answers early.
    child.stdin.on('error', () => undefined);
    child.stdin.end(framing === 'none' ? undefined : bodyBytes(body, token, 'request'));
    const ended = new Promise<number | null>((resolve, reject) => {
      child.on('close', resolve);
      child.on('error', reject);
    });
    const [content, complaint, code] = await Promise.all([readAll(child.stdout), readAll(child.stderr), ended]);
    if (code !== 0) throw new Error(`curl ended with ${String(code)}: ${complaint.toString().trim()}`);
    const heads = readHeads(await readFile(headFile, 'latin1'));
    // With --head the head is also the output.
    return { ...heads, body: method === 'HEAD' ? new Uint8Array(0) : content, connection: ++processes };
  }

  close(): void {
    this.#folder.remove();
  }
}

/** The field lines for curl's `-H @file`: a name and a semicolon is an empty value, a name and a colon takes a line away. */
function fieldLines(one: Plan, token: string, isHttp2: boolean): string {
  const lines = requestLines(one, token).filter(([name]) => name !== 'Content-Length' && !(isHttp2 && name === 'Transfer-Encoding'));
  const given = new Set(lines.map(([name]) => name.toLowerCase()));
  const removed = UNWANTED.filter((name) => !given.has(name.toLowerCase())).map((name) => `${name}:`);
  return [...lines.map(([name, value]) => (value === '' ? `${name};` : `${name}: ${value}`)), ...removed].join('\n');
}

/** The heads curl has written down, interim ones first, and the trailers behind the last. */
function readHeads(text: string): Omit<SeenResponse, 'body' | 'connection'> {
  const heads: { status: number; reason: string; fields: FieldLine[] }[] = [];
  let trailers: FieldLine[] | null = null;
  let isInHead = false;
  for (const line of text.split('\r\n')) {
    const start = isInHead ? null : /^HTTP\/(?:1\.[01]|2) (\d{3}) ?(.*)$/.exec(line);
    if (start !== null) {
      heads.push({ status: Number(start[1]), reason: start[2] ?? '', fields: [] });
      isInHead = true;
    } else if (line === '') {
      isInHead = false;
    } else {
      const colon = line.indexOf(':');
      const pair: FieldLine = [line.slice(0, colon), line.slice(colon + 1).trim()];
      if (isInHead) heads.at(-1)?.fields.push(pair);
      else (trailers ??= []).push(pair);
    }
  }
  const last = heads.pop();
  if (last === undefined) throw new Error('curl wrote no head');
  return { ...last, interim: heads, trailers: trailers ?? [] };
}

async function readAll(stream: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
