/**
 * A protocol of one's own, a tiny store: `SET name value`, `GET name`, `QUIT`, a line each: `node examples/line-protocol.ts 127.0.0.1:7000`.
 *
 * The same `serve` runs over TCP, a Unix socket (`unix:./store.sock`) or a pair in memory: it knows nothing but the stream.
 */
import { once } from 'node:events';
import { latin1Decode, latin1Encode } from '@ferrata/bytes';
import { listen } from '@ferrata/net';
import { formatAddress, type L4Stream, StreamReader } from '@ferrata/stream';

const [at = '127.0.0.1:7000'] = process.argv.slice(2);
const store = new Map<string, string>();

/** Answers lines until the peer ends, says QUIT, or sends a line that is too long. */
async function serve(stream: L4Stream): Promise<void> {
  const reader = new StreamReader(stream);
  try {
    for (;;) {
      const line = await reader.readUntil(0x0a, { maxBytes: 1_024 });
      if (line === null) break;
      const [command = '', name = '', ...value] = latin1Decode(line, 0, line.length).trim().split(' ');
      if (command === 'QUIT') break;
      stream.write(latin1Encode(`${answer(command, name, value.join(' '))}\n`));
    }
    stream.end();
  } catch (error) {
    // A line without end, or a connection that failed: nobody is left to be told.
    console.log(`dropped: ${error instanceof Error ? error.message : String(error)}`);
    stream.abort();
  }
}

function answer(command: string, name: string, value: string): string {
  switch (command) {
    case 'SET':
      if (!store.has(name) && store.size >= 10_000) return 'ERROR full';
      store.set(name, value);
      return 'OK';
    case 'GET':
      return store.get(name) ?? 'NONE';
    default:
      return 'ERROR write SET name value, GET name or QUIT';
  }
}

const listener = await listen(at, (stream) => void serve(stream));
console.log(`ready ${formatAddress(listener.address)}`);

await Promise.race([once(process, 'SIGTERM'), once(process, 'SIGINT')]);
await listener.close();
process.exit();
