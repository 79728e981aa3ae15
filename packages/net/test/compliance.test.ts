/** Every kind of stream of this package under the tests of the stream contract. */
import { duplexPair } from 'node:stream';
import { memoryPair } from '@ferrata/stream';
import { type CompliancePair, streamCompliance } from '@ferrata/testkit';
import { fromDuplex, toDuplex } from '../src/index.ts';
import { connectedPair, temporaryDirectory } from './pairs.ts';

// A real socket needs more turns of the event loop than a pair in memory for what is going to happen.
async function settle(): Promise<void> {
  for (let turn = 0; turn < 30; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

async function tcpPair(side: 'client' | 'server'): Promise<CompliancePair> {
  const { client, server, close } = await connectedPair();
  return side === 'client' ? { a: client, b: server, close } : { a: server, b: client, close };
}

async function unixPair(): Promise<CompliancePair> {
  const directory = temporaryDirectory();
  const { client, server, close } = await connectedPair({ path: directory.file('s') });
  return {
    a: client,
    b: server,
    close: async () => {
      await close();
      directory[Symbol.dispose]();
    },
  };
}

streamCompliance('TCP, connected', () => tcpPair('client'), { settle, runs: 10 });
streamCompliance('TCP, accepted', () => tcpPair('server'), { settle, runs: 10 });
streamCompliance('Unix', unixPair, { settle, runs: 10, abortIsVisible: false });
streamCompliance(
  'fromDuplex of duplexPair',
  () => {
    const [left, right] = duplexPair();
    return { a: fromDuplex(left), b: fromDuplex(right) };
  },
  { abortIsVisible: false, skip: { '5e': 'one side of duplexPair learns nothing of the destruction of the other, not even by writing' } },
);
streamCompliance('fromDuplex of toDuplex of a memory pair', () => {
  const { a, b } = memoryPair();
  return { a: fromDuplex(toDuplex(a)), b };
});
streamCompliance(
  'fromDuplex of toDuplex of TCP',
  async () => {
    const { client, server, close } = await connectedPair();
    return { a: fromDuplex(toDuplex(client)), b: fromDuplex(toDuplex(server)), close };
  },
  { settle, runs: 5 },
);
