/** A name server on loopback that says what the test wants: enough of RFC 1035 for A and AAAA. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

/** What it says to a question; null: nothing at all. `rcode` 3 is NXDOMAIN, 2 SERVFAIL. */
export interface DnsSaying {
  readonly addresses?: readonly string[];
  readonly ttl?: number;
  readonly rcode?: number;
}

export interface TestDnsServer extends AsyncDisposable {
  /** As `servers` of a resolver wants it. */
  readonly address: string;
  /** `A name`, `AAAA name`, in the order of arrival. */
  readonly asked: string[];
}

export async function startDnsServer(say: (name: string, type: 'A' | 'AAAA') => DnsSaying | null): Promise<TestDnsServer> {
  const socket = createSocket('udp4');
  const asked: string[] = [];
  socket.on('message', (query, from) => {
    const { name, type, end } = readQuestion(query);
    asked.push(`${type} ${name}`);
    const saying = say(name, type);
    if (saying !== null) socket.send(answerTo(query.subarray(0, end), type, saying), from.port, from.address);
  });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return {
    address: `127.0.0.1:${socket.address().port}`,
    asked,
    async [Symbol.asyncDispose]() {
      socket.close();
      await once(socket, 'close');
    },
  };
}

function readQuestion(query: Buffer): { name: string; type: 'A' | 'AAAA'; end: number } {
  const labels: string[] = [];
  let at = 12;
  while (query[at] !== 0) {
    const length = query.readUInt8(at);
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  return { name: labels.join('.').toLowerCase(), type: query.readUInt16BE(at + 1) === 28 ? 'AAAA' : 'A', end: at + 5 };
}

function answerTo(question: Buffer, type: 'A' | 'AAAA', { addresses = [], ttl = 60, rcode = 0 }: DnsSaying): Buffer {
  const header = Buffer.from(question.subarray(0, 12));
  header.writeUInt16BE(0x8180 | rcode, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(addresses.length, 6);
  header.writeUInt32BE(0, 8);
  const records = addresses.map((address) => {
    const bytes = type === 'A' ? Buffer.from(address.split('.').map(Number)) : ipv6Bytes(address);
    const record = Buffer.alloc(12);
    // A pointer to the name of the question, the type, the class IN, the TTL, the length.
    record.writeUInt16BE(0xc00c, 0);
    record.writeUInt16BE(type === 'A' ? 1 : 28, 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(ttl, 6);
    record.writeUInt16BE(bytes.length, 10);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([header, question.subarray(12), ...records]);
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::');
  const parts = (text: string): number[] => (text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16)));
  const [front, back] = [parts(head), parts(tail)];
  const all = [...front, ...new Array<number>(8 - front.length - back.length).fill(0), ...back];
  const bytes = Buffer.alloc(16);
  for (const [index, part] of all.entries()) bytes.writeUInt16BE(part, index * 2);
  return bytes;
}
