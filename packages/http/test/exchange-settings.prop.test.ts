/** Settings at any moment of an exchange, whatever its client does meanwhile: each exchange ends once, its figures only grow, and nothing is left behind. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { internalError } from '@ferrata/error';
import type { ExchangeSettings, ServerExchange } from '@ferrata/http';
import { BodyLength } from '@ferrata/http1';
import { writeData } from '@ferrata/http2-framing';
import fc from 'fast-check';
import { connectFrames } from './http2-rig.ts';
import { bytes, response, ServerRig, settle } from './rig.ts';

const times = fc.constantFrom(1, 300, 5_000, Number.POSITIVE_INFINITY);
const settings: fc.Arbitrary<ExchangeSettings> = fc.record(
  {
    keepAlive: fc.boolean(),
    idleTimeoutMs: times,
    bodyTimeoutMs: times,
    writeTimeoutMs: times,
    minSendBytesPerSecond: fc.constantFrom(0, 10, 100_000),
    maxDrainBytes: fc.constantFrom(0, 5, Number.POSITIVE_INFINITY),
    drainTimeoutMs: times,
    closeOnEarlyResponse: fc.boolean(),
    abortOnHalfClose: fc.boolean(),
    dropInterim: fc.boolean(),
  },
  { requiredKeys: [] },
);

const step = fc.oneof(
  settings.map((change) => ({ kind: 'adjust', change }) as const),
  fc.constantFrom(
    { kind: 'head' } as const,
    { kind: 'interim' } as const,
    { kind: 'end' } as const,
    { kind: 'abort' } as const,
    { kind: 'clientPauses' } as const,
    { kind: 'clientResumes' } as const,
    { kind: 'clientSends' } as const,
    { kind: 'clientEnds' } as const,
    { kind: 'requestPauses' } as const,
    { kind: 'requestResumes' } as const,
  ),
  fc.constantFrom(10, 50_000).map((length) => ({ kind: 'data', length }) as const),
  fc.constantFrom(10, 1_000, 4_000).map((ms) => ({ kind: 'time', ms }) as const),
);
type Step = typeof step extends fc.Arbitrary<infer Each> ? Each : never;

/** What the two protocols do differently: a client that can do the same things. */
interface Client {
  readonly stream: { pause(): void; resume(): void; end(): void; abort(): void };
  sendBody(): void;
}

async function http1Client(rig: ServerRig): Promise<Client> {
  const { stream } = rig.connect({ highWaterBytes: 1_000, hardLimitBytes: 100_000_000 });
  stream.write(bytes('POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 20\r\n\r\n'));
  await settle();
  return { stream, sendBody: () => void stream.write(bytes('0123456789')) };
}

async function http2Client(rig: ServerRig): Promise<Client> {
  const peer = await connectFrames(rig, { highWaterBytes: 1_000, hardLimitBytes: 100_000_000 }).hello();
  await peer.post(1, '/', { expect: '100-continue', 'content-length': '20' });
  let sent = 0;
  const sendBody = (): void => {
    if (sent++ < 2) peer.stream.write(peer.frames((writer) => writeData(writer, 1, bytes('0123456789'), { isEndStream: sent === 2 })));
  };
  return { stream: peer.stream, sendBody };
}

function apply(exchange: ServerExchange, client: Client, each: Step): void {
  const canSend = exchange.hasResponded && !exchange.isClosed;
  switch (each.kind) {
    case 'adjust':
      exchange.adjust(each.change);
      break;
    case 'head':
      if (!exchange.hasResponded) exchange.sendHead(response(200), BodyLength.chunked);
      break;
    case 'interim':
      if (!exchange.hasResponded) exchange.sendInterim(response(103));
      break;
    case 'data':
      if (canSend) exchange.sendData(new Uint8Array(each.length));
      break;
    case 'end':
      if (canSend) exchange.sendEnd();
      break;
    case 'abort':
      exchange.abort(internalError('TEST', ''));
      break;
    case 'clientPauses':
      client.stream.pause();
      break;
    case 'clientResumes':
      client.stream.resume();
      break;
    case 'clientSends':
      client.sendBody();
      break;
    case 'clientEnds':
      client.stream.end();
      break;
    case 'requestPauses':
      exchange.pauseRequest();
      break;
    case 'requestResumes':
      exchange.resumeRequest();
      break;
    default:
  }
}

for (const [protocol, connect] of [
  ['HTTP/1', http1Client],
  ['HTTP/2', http2Client],
] as const) {
  describe(`settings at any moment over ${protocol}`, () => {
    it('leave one end for each exchange, figures that only grow, and no connection and no deadline', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 25 }), async (steps) => {
          const rig = new ServerRig();
          const client = await connect(rig);
          const [follower] = rig.followers;
          assert.ok(follower !== undefined);
          const { exchange } = follower;
          const startedAt = rig.clock.now();
          let pendingMs = 0;
          for (const each of steps) {
            if (each.kind === 'time') await rig.advance(each.ms);
            else apply(exchange, client, each);
            await settle();
            const { writePendingMs } = exchange;
            assert.ok(writePendingMs >= pendingMs && writePendingMs <= rig.clock.now() - startedAt);
            pendingMs = writePendingMs;
            assert.ok(follower.closes.length <= 1);
            assert.equal(exchange.isClosed, follower.closes.length === 1);
            assert.equal(exchange.isConnectionReusable && follower.closes[0] !== null, false);
          }
          client.stream.abort();
          await settle();
          assert.equal(follower.closes.length, 1);
          const atEnd = exchange.writePendingMs;
          await rig.advance(100_000);
          assert.equal(exchange.writePendingMs, atEnd);
          rig.assertEmpty();
        }),
        { numRuns: 300 },
      );
    });
  });
}
