/** Origins that tell what they have read: node:http itself, and nginx and haproxy in front of an origin that records. */
import { createServer, METHODS } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ReaderFolder, type ReaderName, startReader } from '../http1-readers/reader-program.ts';
import { type FieldPair, RecordingOrigin } from '../rig/recording-origin.ts';
import type { Meaning, Tastes } from './drawn-requests.ts';

/** Who reads. */
export type OriginName = 'node' | ReaderName;

/** An origin under way. */
export interface ForwardingOrigin extends AsyncDisposable {
  /** As a peer's address. */
  readonly address: string;
  readonly tastes: Tastes;
  /** It drops trailers, as each hop may (RFC 9110 §6.5.1). */
  readonly dropsTrailers: boolean;
  /** All that it has read since the last call. */
  take(): { readonly requests: readonly Meaning[]; readonly malformed: readonly string[] };
}

/** Fields between two neighbours, and of the framing: each hop writes its own. */
const OF_HOP: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'transfer-encoding',
  'keep-alive',
  'te',
  'upgrade',
  'expect',
  'host',
]);

const METHODS_OF_ALL = ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND', 'REPORT', 'M-SEARCH', 'PURGE'];

/** Starts one. */
export async function startForwardingOrigin(name: OriginName): Promise<ForwardingOrigin> {
  return name === 'node' ? await startNode() : await startRecorded(name);
}

async function startNode(): Promise<ForwardingOrigin> {
  let requests: Meaning[] = [];
  let malformed: string[] = [];
  const server = createServer({ maxHeaderSize: 65_536 }, (request, response) => {
    const pieces: Buffer[] = [];
    request.on('data', (piece: Buffer) => pieces.push(piece));
    request.on('error', (error) => malformed.push(error.message));
    request.on('end', () => {
      const { method = '', url: target = '', rawHeaders, rawTrailers } = request;
      requests.push(
        meaningOf({
          method,
          target,
          fields: pairsOf(rawHeaders),
          body: Buffer.concat(pieces).toString('latin1'),
          trailers: pairsOf(rawTrailers),
        }),
      );
      response.end('ok');
    });
  });
  server.on('clientError', (error, socket) => {
    malformed.push(error.message);
    socket.destroy();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    tastes: { methods: METHODS_OF_ALL.filter((method) => METHODS.includes(method)), takesAsterisk: true },
    dropsTrailers: false,
    take: () => {
      const taken = { requests, malformed };
      [requests, malformed] = [[], []];
      return taken;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

async function startRecorded(name: ReaderName): Promise<ForwardingOrigin> {
  const origin = await RecordingOrigin.listen(0);
  const folder = new ReaderFolder(name);
  const close = async (): Promise<void> => {
    await origin.close();
    folder.remove();
  };
  try {
    const reader = await startReader(name, folder, { origins: [origin.port], proxies: [] });
    return {
      address: `unix:${reader.forward[0] ?? ''}`,
      tastes: { methods: METHODS_OF_ALL, takesAsterisk: name === 'haproxy' },
      dropsTrailers: name === 'nginx',
      take: () => {
        const { requests, malformed } = origin.take();
        return { requests: requests.map(meaningOf), malformed };
      },
      [Symbol.asyncDispose]: async () => {
        await reader[Symbol.asyncDispose]();
        await close();
      },
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function meaningOf(seen: Omit<Meaning, 'host'>): Meaning {
  return {
    method: seen.method,
    target: seen.target,
    host: seen.fields
      .filter(([name]) => name === 'host')
      .map(([, value]) => value)
      .join(' and '),
    fields: seen.fields.filter(([name]) => !OF_HOP.has(name)),
    body: seen.body,
    trailers: seen.trailers,
  };
}

/** From Node's lists of names and values in turn. */
function pairsOf(raw: readonly string[]): readonly FieldPair[] {
  return Array.from({ length: raw.length / 2 }, (_, index) => [(raw[2 * index] ?? '').toLowerCase(), raw[2 * index + 1] ?? ''] as const);
}
