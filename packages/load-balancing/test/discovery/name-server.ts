/** A name server on loopback, over UDP and TCP, that says what the test wants: A, AAAA and SRV of RFC 1035 and 2782, cut with TC where it is too long for UDP. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

export type RecordType = 'A' | 'AAAA' | 'SRV';

export interface Srv {
  readonly target: string;
  readonly port: number;
  readonly priority?: number;
  readonly weight?: number;
}

/** What it says to a question; null: nothing at all. `rcode` 3 is NXDOMAIN, 2 SERVFAIL. */
export interface Saying {
  readonly addresses?: readonly string[];
  readonly services?: readonly Srv[];
  readonly ttl?: number;
  readonly rcode?: number;
}

export type Say = (name: string, type: RecordType) => Saying | null;

export interface NameServer extends AsyncDisposable {
  /** As `servers` wants it. */
  readonly address: string;
  /** `A name`, `AAAA name over TCP`, in the order of arrival. */
  readonly asked: string[];
  say: Say;
}

const TYPES: Readonly<Record<number, RecordType>> = { 1: 'A', 28: 'AAAA', 33: 'SRV' };
const CODES: Readonly<Record<RecordType, number>> = { A: 1, AAAA: 28, SRV: 33 };
/** RFC 1035 §2.3.4, as if nobody had said more by EDNS. */
const MAX_UDP_BYTES = 512;

export async function startNameServer(say: Say): Promise<NameServer> {
  const tcp = createServer();
  const open = new Set<Socket>();
  tcp.listen(0, '127.0.0.1');
  await once(tcp, 'listening');
  const { port } = tcp.address() as { port: number };
  const udp = createSocket('udp4');
  udp.bind(port, '127.0.0.1');
  await once(udp, 'listening');
  const server: NameServer = {
    address: `127.0.0.1:${port}`,
    asked: [],
    say,
    async [Symbol.asyncDispose]() {
      udp.close();
      tcp.close();
      for (const socket of open) socket.destroy();
      await once(tcp, 'close');
    },
  };
  udp.on('message', (query, from) => {
    const { name, type, end } = readQuestion(query);
    server.asked.push(`${type} ${name}`);
    const saying = server.say(name, type);
    if (saying === null) return;
    const whole = answerTo(query.subarray(0, end), type, saying);
    udp.send(whole.length > MAX_UDP_BYTES ? cut(query.subarray(0, end)) : whole, from.port, from.address);
  });
  tcp.on('connection', (socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket)).on('error', () => undefined);
    let received = Buffer.alloc(0);
    socket.on('data', (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        const query = received.subarray(2, 2 + received.readUInt16BE(0));
        received = received.subarray(2 + query.length);
        const { name, type, end } = readQuestion(query);
        server.asked.push(`${type} ${name} over TCP`);
        const saying = server.say(name, type);
        if (saying === null) continue;
        const answer = answerTo(query.subarray(0, end), type, saying);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  });
  return server;
}

function readQuestion(query: Buffer): { name: string; type: RecordType; end: number } {
  const labels: string[] = [];
  let at = 12;
  while (query[at] !== 0) {
    const length = query.readUInt8(at);
    labels.push(query.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = TYPES[query.readUInt16BE(at + 1)];
  if (type === undefined) throw new Error('nobody asks for that here');
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

function headerOf(question: Buffer, flags: number, count: number): Buffer {
  const header = Buffer.from(question.subarray(0, 12));
  header.writeUInt16BE(0x8180 | flags, 2);
  header.writeUInt16BE(1, 4);
  header.writeUInt16BE(count, 6);
  header.writeUInt32BE(0, 8);
  return header;
}

function cut(question: Buffer): Buffer {
  return Buffer.concat([headerOf(question, 0x0200, 0), question.subarray(12)]);
}

function answerTo(question: Buffer, type: RecordType, { addresses = [], services = [], ttl = 60, rcode = 0 }: Saying): Buffer {
  const data = type === 'SRV' ? services.map(srvBytes) : addresses.map(type === 'A' ? ipv4Bytes : ipv6Bytes);
  const records = data.map((bytes) => {
    const record = Buffer.alloc(12);
    // A pointer to the name of the question, the type, the class IN, the TTL, the length.
    record.writeUInt16BE(0xc00c, 0);
    record.writeUInt16BE(CODES[type], 2);
    record.writeUInt16BE(1, 4);
    record.writeUInt32BE(ttl, 6);
    record.writeUInt16BE(bytes.length, 10);
    return Buffer.concat([record, bytes]);
  });
  return Buffer.concat([headerOf(question, rcode, records.length), question.subarray(12), ...records]);
}

function srvBytes({ target, port, priority = 0, weight = 0 }: Srv): Buffer {
  const numbers = Buffer.alloc(6);
  numbers.writeUInt16BE(priority, 0);
  numbers.writeUInt16BE(weight, 2);
  numbers.writeUInt16BE(port, 4);
  const labels = target.split('.').filter((label) => label !== '');
  return Buffer.concat([numbers, ...labels.map((label) => Buffer.from([label.length, ...Buffer.from(label)])), Buffer.from([0])]);
}

function ipv4Bytes(address: string): Buffer {
  return Buffer.from(address.split('.').map(Number));
}

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail = ''] = address.split('::');
  const parts = (text: string): number[] => (text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16)));
  const [front, back] = [parts(head), parts(tail)];
  const bytes = Buffer.alloc(16);
  for (const [index, part] of front.entries()) bytes.writeUInt16BE(part, index * 2);
  for (const [index, part] of back.entries()) bytes.writeUInt16BE(part, 16 - (back.length - index) * 2);
  return bytes;
}
