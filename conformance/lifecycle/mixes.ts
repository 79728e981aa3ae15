/** Mixes of clients, sized so that two cores are busy with them and not overwhelmed. */
import { downloads } from './clients/downloads.ts';
import { freshConnections, keptConnections } from './clients/http1.ts';
import { nodeHttp2Streams, ourHttp2Streams } from './clients/http2.ts';
import { datagrams, tcpEchoes } from './clients/streams.ts';
import { webSockets } from './clients/websockets.ts';
import type { LoadClient } from './load.ts';

const MIB = 1_048_576;

/** Clients of all kinds, by all doors. */
export function everything(): readonly LoadClient[] {
  return [
    ...lightClients(),
    freshConnections(),
    keptConnections(),
    ourHttp2Streams(4, 2),
    downloads({ bytes: 100 * MIB, pauseMs: 1_000 }),
    downloads({ bytes: 100 * MIB, lastsMs: 4_000 }),
    downloads({ bytes: 8 * MIB, lastsMs: 1_000, door: 'https', pauseMs: 500 }),
  ];
}

/** The same kinds, but for long downloads, with pauses: what a server that is not loaded has to do. */
export function lightClients(): readonly LoadClient[] {
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
    datagrams(10),
    datagrams(20, false),
  ];
}
