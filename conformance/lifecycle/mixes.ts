/** Mixes of clients, sized so that two cores are busy with them and not overwhelmed. */
import { downloads } from './clients/downloads.ts';
import { freshConnections, keptConnections } from './clients/http1.ts';
import { nodeHttp2Streams, ourHttp2Streams } from './clients/http2.ts';
import { datagrams, tcpEchoes } from './clients/streams.ts';
import { webSockets } from './clients/websockets.ts';
import type { LoadClient } from './load.ts';
import type { Tally } from './tally.ts';

const MIB = 1_048_576;

/** Options of a mix. */
export interface MixOptions {
  /** When a datagram is given up, in ms. Default: later than whatever delays it; less where some are to be lost, as its client waits for it. */
  readonly lostAfterMs?: number | undefined;
}

/** Clients of all kinds, by all doors. */
export function everything(options: MixOptions = {}): readonly LoadClient[] {
  return [
    ...lightClients(options),
    freshConnections(),
    keptConnections(),
    ourHttp2Streams(4, 2),
    downloads({ bytes: 100 * MIB, pauseMs: 1_000 }),
    downloads({ bytes: 100 * MIB, lastsMs: 4_000 }),
    downloads({ bytes: 8 * MIB, lastsMs: 1_000, door: 'https', pauseMs: 500 }),
  ];
}

/** What `everything` sends, by the names that it counts under: what the proof is about. */
const KINDS = [
  'fresh http',
  'fresh https',
  'fresh unix',
  'kept http',
  'kept https',
  'http2 ours',
  'http2 node',
  'websocket',
  'fast download http',
  'slow download http',
  'slow download https',
];

/** Of those that only the echo server serves. */
const ECHO_KINDS = ['tcp', 'udp'];

/** @returns which clients of `everything` have had no answer, or null: a door that is not there would keep its clients from failing, too */
export function unanswered({ answeredByKind }: Tally, isEcho: boolean): string | null {
  const missing = [...KINDS, ...(isEcho ? ECHO_KINDS : [])].filter((kind) => !answeredByKind.has(kind));
  return missing.length === 0 ? null : `none was of ${missing.join(', ')}`;
}

/** The same kinds, but for long downloads, with pauses: what a server that is not loaded has to do. */
export function lightClients({ lostAfterMs }: MixOptions = {}): readonly LoadClient[] {
  return [
    freshConnections({ pauseMs: 10 }),
    freshConnections({ pauseMs: 20, door: 'https' }),
    freshConnections({ pauseMs: 20, door: 'unix' }),
    keptConnections({ pauseMs: 5 }),
    keptConnections({ pauseMs: 5, bodyBytes: 50_000 }),
    keptConnections({ pauseMs: 5, door: 'https' }),
    keptConnections({ pauseMs: 1_300 }),
    ourHttp2Streams(4, 20),
    nodeHttp2Streams(8, 40),
    webSockets(5),
    tcpEchoes(5),
    datagrams({ pauseMs: 10, lostAfterMs }),
    datagrams({ pauseMs: 20, isOnePeer: false, lostAfterMs }),
  ];
}
