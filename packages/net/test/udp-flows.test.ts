import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import type { WireError } from '@ferrata/error';
import type { StreamAddress, StreamInfo } from '@ferrata/stream';
import { DeadlineQueue } from '@ferrata/timeout';
import {
  bindUdp,
  connectUdp,
  listenUdp,
  type UdpAddress,
  type UdpEndpoint,
  type UdpFlow,
  type UdpFlowSink,
  type UdpFlows,
  type UdpFlowsOptions,
} from '../src/index.ts';
import { until } from './pairs.ts';

/** A flow with everything that it was told. */
class KeptFlow implements UdpFlowSink {
  readonly flow: UdpFlow;
  readonly sizes: number[] = [];
  readonly closes: (WireError | null)[] = [];
  answers = false;

  constructor(flow: UdpFlow) {
    this.flow = flow;
  }

  onDatagram(bytes: Uint8Array): void {
    this.sizes.push(bytes.length);
    if (this.answers) this.flow.send(bytes);
  }

  onClose(error: WireError | null): void {
    this.closes.push(error);
  }
}

interface Rig {
  readonly flows: UdpFlows;
  readonly opened: KeptFlow[];
  readonly errors: WireError[];
}

async function rig(options: UdpFlowsOptions = {}, answers = true): Promise<Rig> {
  const opened: KeptFlow[] = [];
  const errors: WireError[] = [];
  const flows = await listenUdp({ address: 'udp://127.0.0.1:0', onError: (error) => errors.push(error), ...options }, (flow) => {
    const kept = new KeptFlow(flow);
    kept.answers = answers;
    opened.push(kept);
    flow.attach(kept);
  });
  return { flows, opened, errors };
}

interface Client {
  readonly endpoint: UdpEndpoint;
  readonly sizes: number[];
  send(size: number): void;
}

async function clientOf(flows: UdpFlows): Promise<Client> {
  const sizes: number[] = [];
  const endpoint = await connectUdp(flows.address, { onDatagram: (bytes) => sizes.push(bytes.length), onClose: () => {} });
  return { endpoint, sizes, send: (size) => void endpoint.send(new Uint8Array(size)) };
}

async function closeAll(flows: UdpFlows, ...clients: readonly Client[]): Promise<void> {
  await Promise.all([flows.close(), ...clients.map(({ endpoint }) => endpoint.close())]);
}

describe('flows', () => {
  test('each peer is one object, which hears its own datagrams and answers to it', async () => {
    const { flows, opened } = await rig();
    const [a, b] = [await clientOf(flows), await clientOf(flows)];
    a.send(1);
    await until(() => a.sizes.length === 1);
    b.send(0);
    await until(() => b.sizes.length === 1);
    a.send(3);
    await until(() => a.sizes.length === 2);
    assert.equal(flows.flowCount, 2);
    assert.deepEqual(
      opened.map(({ sizes }) => sizes),
      [[1, 3], [0]],
    );
    assert.deepEqual([a.sizes, b.sizes], [[1, 3], [0]]);
    const { flow } = opened[0] as KeptFlow;
    assert.deepEqual(flow.peer, a.endpoint.address);
    assert.deepEqual([flow.info.kind, flow.info.remoteAddress, flow.info.localAddress], ['udp', a.endpoint.address, flows.address]);
    assert.deepEqual([flow.received, flow.receivedBytes, flow.sent, flow.sentBytes], [2, 4, 2, 4]);
    assert.notEqual(flow.id, opened[1]?.flow.id);
    assert.equal(flows.counts.opened, 2);
    await closeAll(flows, a, b);
    assert.deepEqual(
      opened.map(({ closes }) => closes),
      [[null], [null]],
    );
    assert.equal(flows.flowCount, 0);
    assert.equal(flows.isClosed, true);
    assert.equal(flow.send(new Uint8Array(1)), false);
  });

  test('a flow that was closed is begun anew by the next datagram; onClose comes once, and not from inside close', async () => {
    const { flows, opened } = await rig();
    const client = await clientOf(flows);
    client.send(1);
    await until(() => opened.length === 1);
    const first = opened[0] as KeptFlow;
    first.flow.close();
    first.flow.close();
    assert.deepEqual([first.closes, first.flow.isClosed, flows.flowCount], [[], true, 0]);
    client.send(2);
    await until(() => opened.length === 2);
    assert.deepEqual(first.closes, [null]);
    assert.deepEqual([first.sizes, opened[1]?.sizes], [[1], [2]]);
    await closeAll(flows, client);
  });

  test('what comes before a sink does is kept in order, up to the limits in count and in bytes, of which each has 256 for itself', async () => {
    const held: UdpFlow[] = [];
    const flows = await listenUdp({ address: '127.0.0.1:0', maxEarlyDatagrams: 3, maxEarlyBytes: 1_200 }, (flow) => held.push(flow));
    const [a, b] = [await clientOf(flows), await clientOf(flows)];
    for (const size of [1, 2, 3, 4, 5]) a.send(size);
    await until(() => flows.counts.earlyDropped === 2);
    b.send(94);
    await until(() => held.length === 2);
    b.send(1);
    await until(() => flows.counts.earlyDropped === 3);
    const kept = new KeptFlow(held[0] as UdpFlow);
    kept.flow.attach(kept);
    assert.deepEqual(kept.sizes, [], 'not from inside attach');
    await until(() => kept.sizes.length === 3);
    assert.deepEqual(kept.sizes, [1, 2, 3]);
    // Room is given back.
    b.send(6);
    await until(() => held[1]?.received === 3);
    assert.equal(flows.counts.earlyDropped, 3);
    held[1]?.close();
    const late = new KeptFlow(held[1] as UdpFlow);
    late.flow.attach(late);
    await until(() => late.closes.length === 1);
    assert.deepEqual([late.sizes, late.closes], [[], [null]], 'a sink attached after the close hears of it, and of nothing else');
    await closeAll(flows, a, b);
  });
});

describe('idle flows', () => {
  test('are closed after the time-out, which any datagram in either direction renews', async () => {
    const clock = new ManualClock();
    const { flows, opened } = await rig({ clock, idleTimeoutMs: 1000 }, false);
    const [quiet, busy] = [await clientOf(flows), await clientOf(flows)];
    quiet.send(1);
    busy.send(1);
    await until(() => opened.length === 2);
    const flowOf = (client: Client): KeptFlow =>
      opened.find(({ flow }) => flow.peer.port === (client.endpoint.address as UdpAddress).port) as KeptFlow;
    clock.advance(600);
    busy.send(5);
    await until(() => flowOf(busy).sizes.length === 2);
    clock.advance(600);
    await until(() => flowOf(quiet).closes.length === 1);
    assert.deepEqual([flowOf(quiet).closes[0]?.reason, flowOf(quiet).closes[0]?.type], ['UDP_FLOW_IDLE', 'timeout']);
    assert.equal(flowOf(busy).flow.isClosed, false);
    assert.equal(flowOf(busy).flow.send(new Uint8Array(1)), true);
    clock.advance(900);
    assert.equal(flowOf(busy).flow.isClosed, false, 'what we send counts as use');
    clock.advance(200);
    assert.equal(flowOf(busy).flow.isClosed, true);
    assert.deepEqual([flows.counts.idle, flows.flowCount], [2, 0]);
    await closeAll(flows, quiet, busy);
  });

  test('Infinity: never; a queue of deadlines that is shared stays open', async () => {
    const clock = new ManualClock();
    const deadlines = new DeadlineQueue({ clock });
    const { flows, opened } = await rig({ deadlines, idleTimeoutMs: Infinity });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => opened.length === 1);
    clock.advance(10 ** 9);
    assert.equal(flows.flowCount, 1);
    await closeAll(flows, client);
    let isDue = false;
    deadlines.after(10, () => {
      isDue = true;
    });
    clock.advance(100);
    assert.equal(isDue, true);
    deadlines.close();
  });
});

describe('a full table', () => {
  test('forgets the flow that was used least recently, and says so', async () => {
    const { flows, opened } = await rig({ maxFlows: 2 });
    const clients = [await clientOf(flows), await clientOf(flows), await clientOf(flows)] as const;
    const say = async (client: Client): Promise<void> => {
      const before = client.sizes.length;
      client.send(1);
      await until(() => client.sizes.length > before);
    };
    await say(clients[0]);
    await say(clients[1]);
    await say(clients[1]);
    await say(clients[0]);
    await say(clients[2]);
    assert.equal(flows.flowCount, 2);
    assert.deepEqual(
      opened.map(({ flow }) => flow.isClosed),
      [false, true, false],
    );
    assert.deepEqual([opened[1]?.closes[0]?.reason, opened[1]?.closes[0]?.type], ['UDP_FLOW_SHED', 'limit']);
    assert.equal(flows.counts.shed, 1);
    await closeAll(flows, ...clients);
  });

  test('a flood of forged addresses, two datagrams of each, pushes out its own, not the flows that are proven', async () => {
    const { flows, opened } = await rig({ maxFlows: 8 });
    const honest = await clientOf(flows);
    honest.send(1);
    await until(() => honest.sizes.length === 1);
    honest.send(1);
    await until(() => honest.sizes.length === 2);
    assert.equal(opened[0]?.flow.isProven, false, 'that it has answered proves nothing');
    opened[0]?.flow.prove();
    const to = flows.address as UdpAddress;
    for (let round = 0; round < 5; round++) {
      const flood = await Promise.all(
        Array.from({ length: 10 }, () => bindUdp('127.0.0.1:0', { onDatagram: () => {}, onClose: () => {} })),
      );
      for (const forged of flood) for (let i = 0; i < 2; i++) forged.send(new Uint8Array(1), to);
      const expected = 2 + (round + 1) * 20;
      await until(() => flows.socketCounts.received === expected);
      await Promise.all(flood.map((forged) => forged.close()));
    }
    assert.deepEqual([flows.flowCount, flows.counts.shed, opened[0]?.flow.isClosed], [8, 43, false]);
    honest.send(4);
    await until(() => honest.sizes.length === 3);
    assert.equal(flows.counts.opened, 51, 'it is still the same flow');
    await closeAll(flows, honest);
  });
});

describe('amplification (RFC 9000 §8.1 in general)', () => {
  test('until a flow is proven its peer gets no more bytes than it sent, whatever it answers', async () => {
    const { flows, opened } = await rig({}, false);
    const client = await clientOf(flows);
    client.send(10);
    await until(() => opened.length === 1);
    const { flow } = opened[0] as KeptFlow;
    assert.equal(flow.send(new Uint8Array(6)), true);
    assert.equal(flow.send(new Uint8Array(5)), false);
    assert.equal(flow.send(new Uint8Array(4)), true);
    assert.equal(flow.send(new Uint8Array(1)), false);
    assert.deepEqual([flows.counts.amplificationDropped, flow.sentBytes, flow.isProven], [2, 10, false]);
    await until(() => client.sizes.length === 2);
    client.send(1);
    await until(() => flow.received === 2);
    assert.deepEqual([flow.isProven, flow.send(new Uint8Array(2)), flow.send(new Uint8Array(1))], [false, false, true]);
    flow.prove();
    assert.equal(flow.send(new Uint8Array(1000)), true);
    await until(() => client.sizes.length === 4);
    await closeAll(flows, client);
  });

  test('blind datagrams prove nothing: the victim of a forged source gets as much as the forger sent', async () => {
    const flows = await listenUdp('127.0.0.1:0', (flow) => {
      flow.attach({ onDatagram: (bytes) => void flow.send(new Uint8Array(bytes.length === 1 ? 1 : 1400)), onClose: () => {} });
    });
    const victim = await clientOf(flows);
    victim.send(1);
    for (let i = 0; i < 10; i++) victim.send(2);
    await until(() => flows.counts.amplificationDropped === 10);
    await until(() => victim.sizes.length === 1);
    assert.deepEqual(victim.sizes, [1]);
    await closeAll(flows, victim);
  });

  test('provesByAnswer takes a datagram after one of ours for proof', async () => {
    const { flows, opened } = await rig({ provesByAnswer: true });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => client.sizes.length === 1);
    assert.equal(opened[0]?.flow.isProven, false);
    client.send(1);
    await until(() => client.sizes.length === 2);
    assert.deepEqual([opened[0]?.flow.isProven, opened[0]?.flow.send(new Uint8Array(1000))], [true, true]);
    await closeAll(flows, client);
  });

  test('the datagram that makes a flow may be answered from inside onFlow', async () => {
    const answers: boolean[] = [];
    const flows = await listenUdp('127.0.0.1:0', (flow) => {
      answers.push(flow.send(new Uint8Array(3)), flow.send(new Uint8Array(3)));
      assert.deepEqual([flow.received, flow.receivedBytes], [1, 5]);
    });
    const client = await clientOf(flows);
    client.send(5);
    await until(() => client.sizes.length === 1);
    assert.deepEqual(answers, [true, false]);
    await closeAll(flows, client);
  });

  test('many datagrams prove nothing as long as nothing was sent', async () => {
    const { flows, opened } = await rig({}, false);
    const client = await clientOf(flows);
    for (let i = 0; i < 3; i++) client.send(1);
    await until(() => opened[0]?.sizes.length === 3);
    assert.equal(opened[0]?.flow.isProven, false);
    opened[0]?.flow.prove();
    opened[0]?.flow.prove();
    assert.equal(opened[0]?.flow.send(new Uint8Array(100)), true);
    await until(() => client.sizes.length === 1);
    await closeAll(flows, client);
  });

  test('a ratio of 3 as in QUIC, or none', async () => {
    for (const [maxAmplification, size, isSent] of [
      [3, 30, true],
      [3, 31, false],
      [Infinity, 60_000, true],
    ] as const) {
      const { flows, opened } = await rig({ maxAmplification }, false);
      const client = await clientOf(flows);
      client.send(10);
      await until(() => opened.length === 1);
      assert.equal(opened[0]?.flow.send(new Uint8Array(size)), isSent);
      await closeAll(flows, client);
    }
  });
});

describe('filters', () => {
  test('are asked before anybody sees the peer, and told when an accepted one is over', async () => {
    const told: string[] = [];
    const infos: StreamInfo[] = [];
    let isOpen = false;
    const filter = {
      shouldAccept: (_peer: unknown, info: StreamInfo) => {
        infos.push(info);
        info.extension = 'kept';
        return isOpen;
      },
      onClosed: (_peer: unknown, info: StreamInfo) => told.push(info === infos.at(-1) ? 'same info' : 'other info'),
    };
    const { flows, opened } = await rig({ filter });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => flows.counts.refused === 1);
    assert.deepEqual([opened.length, flows.flowCount, told.length], [0, 0, 0]);
    isOpen = true;
    client.send(1);
    await until(() => opened.length === 1);
    assert.equal(opened[0]?.flow.info.extension, 'kept');
    opened[0]?.flow.close();
    assert.deepEqual(told, ['same info']);
    await closeAll(flows, client);
    assert.equal(told.length, 1);
  });

  test('a promise is waited for, with what comes meanwhile kept; a yes delivers it, a no drops it', async () => {
    const answers = [Promise.withResolvers<boolean>(), Promise.withResolvers<boolean>()] as const;
    let asked = 0;
    const { flows, opened } = await rig({ filter: { shouldAccept: () => answers[asked++ as 0 | 1].promise } });
    const [a, b] = [await clientOf(flows), await clientOf(flows)];
    a.send(1);
    await until(() => asked === 1);
    a.send(2);
    b.send(3);
    await until(() => flows.flowCount === 2 && flows.socketCounts.received === 3);
    assert.equal(opened.length, 0);
    answers[0].resolve(true);
    answers[1].resolve(false);
    await until(() => opened[0]?.sizes.length === 2 && flows.counts.refused === 1);
    assert.deepEqual([opened[0]?.sizes, opened.length, flows.flowCount], [[1, 2], 1, 1]);
    await closeAll(flows, a, b);
  });

  test('a throw, a rejection, garbage and silence refuse; the filter hears of a yes that came too late', async () => {
    const clock = new ManualClock();
    let late = (_answer: boolean): void => {};
    const outcomes: (() => unknown)[] = [
      () => {
        throw new Error('boom');
      },
      () => Promise.reject(new Error('boom')),
      () => 'yes',
      () =>
        new Promise<boolean>((resolve) => {
          late = resolve;
        }),
    ];
    let closed = 0;
    const filter = { shouldAccept: () => outcomes.shift()?.() as boolean, onClosed: () => closed++ };
    const { flows, opened, errors } = await rig({ filter, clock, filterTimeoutMs: 100 });
    const client = await clientOf(flows);
    for (const refusals of [1, 2, 3]) {
      client.send(1);
      await until(() => flows.counts.refused === refusals);
    }
    client.send(1);
    await until(() => flows.flowCount === 1);
    clock.advance(200);
    assert.deepEqual([flows.counts.refused, flows.flowCount, opened.length, closed], [4, 0, 0, 0]);
    assert.deepEqual(
      errors.map(({ reason }) => reason),
      ['FILTER_THREW', 'FILTER_THREW', 'FILTER_TIMEOUT'],
    );
    late(true);
    await until(() => closed === 1);
    assert.equal(opened.length, 0);
    await closeAll(flows, client);
  });

  test('while maxPendingFilters promises have not settled, new peers are refused without asking; each gives its place back once', async () => {
    const clock = new ManualClock();
    const answers: ((answer: boolean) => void)[] = [];
    let closed = 0;
    const filter = {
      shouldAccept: () => new Promise<boolean>((resolve) => void answers.push(resolve)),
      onClosed: () => closed++,
    };
    const { flows, opened } = await rig({ filter, clock, filterTimeoutMs: 100, maxPendingFilters: 2, maxFlows: 1 });
    const [a, b, c] = [await clientOf(flows), await clientOf(flows), await clientOf(flows)];
    a.send(1);
    await until(() => answers.length === 1);
    // Sheds the first one, whose promise keeps its place all the same.
    b.send(1);
    await until(() => answers.length === 2);
    assert.deepEqual([flows.counts.shed, flows.flowCount], [1, 1]);
    c.send(1);
    await until(() => flows.counts.filtersPending === 1);
    assert.deepEqual([answers.length, flows.counts.refused], [2, 1]);
    // A yes for a flow that is gone: the filter hears that it is over, and there is a place.
    answers[0]?.(true);
    await until(() => closed === 1);
    c.send(1);
    await until(() => answers.length === 3);
    clock.advance(200);
    assert.deepEqual([flows.flowCount, opened.length], [0, 0]);
    // Their time is over, but what they have begun goes on.
    a.send(1);
    await until(() => flows.counts.filtersPending === 2);
    for (const answer of answers) answer(true);
    await until(() => closed === 3);
    a.send(1);
    b.send(1);
    await until(() => answers.length === 5);
    c.send(1);
    await until(() => flows.counts.filtersPending === 3);
    answers[4]?.(true);
    await until(() => opened.length === 1);
    await closeAll(flows, a, b, c);
  });

  test('a promise that has not settled in ten times filterTimeoutMs is taken for one that never will', async () => {
    const clock = new ManualClock();
    let asked = 0;
    const filter = {
      shouldAccept: () => {
        asked++;
        return new Promise<boolean>(() => {});
      },
    };
    const { flows } = await rig({ filter, clock, filterTimeoutMs: 100, maxPendingFilters: 1 });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => asked === 1);
    clock.advance(200);
    await until(() => flows.flowCount === 0);
    clock.advance(700);
    client.send(1);
    await until(() => flows.counts.filtersPending === 1);
    clock.advance(200);
    client.send(1);
    await until(() => asked === 2);
    await closeAll(flows, client);
  });

  test('no deadline is left behind by a flow that ends, is shed, or was decided about', async () => {
    const deadlines = new DeadlineQueue({ clock: new ManualClock() });
    const answers: ((answer: boolean) => void)[] = [];
    const filter = { shouldAccept: () => new Promise<boolean>((resolve) => void answers.push(resolve)) };
    const { flows, opened } = await rig({ filter, deadlines, maxFlows: 1 });
    const [a, b] = [await clientOf(flows), await clientOf(flows)];
    a.send(1);
    await until(() => answers.length === 1);
    assert.equal(deadlines.size, 2, 'for the flow and for its filter');
    b.send(1);
    await until(() => answers.length === 2);
    assert.equal(deadlines.size, 2, 'after one was shed');
    answers[1]?.(true);
    await until(() => opened.length === 1);
    assert.equal(deadlines.size, 1, 'after the decision');
    opened[0]?.flow.close();
    assert.equal(deadlines.size, 0);
    a.send(1);
    await until(() => answers.length === 3);
    await closeAll(flows, a, b);
    assert.equal(deadlines.size, 0);
    deadlines.close();
  });

  test('a queue of deadlines of its own is closed with the socket', async (t) => {
    const close = t.mock.method(DeadlineQueue.prototype, 'close');
    const { flows } = await rig();
    assert.equal(close.mock.callCount(), 0);
    await closeAll(flows);
    assert.equal(close.mock.callCount(), 1);
  });

  test('a filter hears once that nobody waits for its promise any more: its time is up, or the flow is gone', async () => {
    const clock = new ManualClock();
    const givenUp: number[] = [];
    const filter = {
      shouldAccept: () => new Promise<boolean>(() => {}),
      onGivenUp: (peer: StreamAddress) => void (peer.kind === 'ip' && givenUp.push(peer.port)),
    };
    const { flows } = await rig({ filter, clock, filterTimeoutMs: 100, maxFlows: 1 });
    const [a, b] = [await clientOf(flows), await clientOf(flows)];
    a.send(1);
    await until(() => flows.flowCount === 1);
    // Shed for the next one.
    b.send(1);
    await until(() => givenUp.length === 1);
    clock.advance(200);
    assert.equal(givenUp.length, 2);
    assert.equal(new Set(givenUp).size, 2);
    await closeAll(flows, a, b);
    assert.equal(givenUp.length, 2);
  });

  test('options that an address was spread together with are kept', async () => {
    const asked: string[] = [];
    const filter = {
      shouldAccept: (peer: StreamAddress) => {
        asked.push(peer.kind);
        return false;
      },
    };
    const where = { kind: 'ip', host: '127.0.0.1', port: 0, filter } as const;
    const flows = await listenUdp(where, () => assert.fail('the filter refuses everybody'));
    const client = await clientOf(flows);
    client.send(1);
    await until(() => flows.counts.refused === 1);
    assert.deepEqual(asked, ['ip']);
    await closeAll(flows, client);
    await assert.rejects(
      listenUdp({ ...where, nonsense: 1 } as UdpFlowsOptions, () => {}),
      TypeError,
    );
  });

  test('a rejection of onClosed is reported as a throw is', async () => {
    const filter = {
      shouldAccept: () => true,
      onClosed: (async () => {
        throw new Error('later');
      }) as () => void,
    };
    const { flows, opened, errors } = await rig({ filter });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => opened.length === 1);
    opened[0]?.flow.close();
    await until(() => errors.length === 1);
    assert.equal(errors[0]?.reason, 'FILTER_THREW');
    await closeAll(flows, client);
  });

  test('one that throws when told of an end is reported, and nobody else notices', async () => {
    const filter = {
      shouldAccept: () => true,
      onClosed: () => {
        throw new Error('boom');
      },
    };
    const { flows, opened, errors } = await rig({ filter });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => opened.length === 1);
    await closeAll(flows, client);
    assert.deepEqual([errors[0]?.reason, opened[0]?.closes], ['FILTER_THREW', [null]]);
  });
});

describe('faults', () => {
  test('a throw of onFlow closes that flow alone, a throw of a sink its own', async () => {
    const errors: WireError[] = [];
    const closes: (WireError | null)[] = [];
    let opened = 0;
    const flows = await listenUdp({ address: '127.0.0.1:0', onError: (error) => errors.push(error) }, (flow) => {
      if (++opened === 1) throw new Error('boom');
      flow.attach({
        onDatagram: () => {
          throw new Error('boom');
        },
        onClose: (error) => {
          closes.push(error);
          throw new Error('again');
        },
      });
    });
    const client = await clientOf(flows);
    client.send(1);
    await until(() => errors.length === 1);
    assert.deepEqual([errors[0]?.reason, flows.flowCount, flows.isClosed], ['ON_FLOW_THREW', 0, false]);
    client.send(1);
    await until(() => closes.length === 1);
    assert.deepEqual([closes[0]?.reason, flows.flowCount, flows.isClosed], ['SINK_THREW', 0, false]);
    await closeAll(flows, client);
  });

  test('async callbacks that reject are callbacks that throw: the flow ends, the process lives', async () => {
    const errors: WireError[] = [];
    const closes: (WireError | null)[] = [];
    let opened = 0;
    const later = (async () => {
      throw new Error('later');
    }) as () => void;
    const onFlow = (async (flow: UdpFlow) => {
      if (++opened === 1) throw new Error('of onFlow');
      const onClose = (async (error: WireError | null) => {
        closes.push(error);
        throw new Error('again');
      }) as UdpFlowSink['onClose'];
      flow.attach({ onDatagram: later, onClose });
    }) as (flow: UdpFlow) => void;
    const onError = (error: WireError): void => void errors.push(error);
    const flows = await listenUdp({ address: '127.0.0.1:0', onError }, onFlow);
    const client = await clientOf(flows);
    client.send(1);
    await until(() => errors.length === 1);
    assert.deepEqual([errors[0]?.reason, flows.flowCount, flows.isClosed], ['ON_FLOW_THREW', 0, false]);
    client.send(1);
    await until(() => closes.length === 1);
    assert.deepEqual([closes[0]?.reason, flows.flowCount, flows.isClosed], ['SINK_THREW', 0, false]);
    await closeAll(flows, client);
  });

  test('a rejection of onError is a warning of the process', async () => {
    const warned = once(process, 'warning');
    const onError = (async () => {
      throw new Error('a bug of onError');
    }) as () => void;
    const flows = await listenUdp({ address: '127.0.0.1:0', onError }, () => {
      throw new Error('of onFlow');
    });
    const client = await clientOf(flows);
    client.send(1);
    assert.match(String((await warned)[0]), /a bug of onError/);
    await closeAll(flows, client);
  });

  test('no datagram vanishes without a count: kept ones of a flow that ends, one that onFlow has no use for, one for a closed flow', async () => {
    const held: UdpFlow[] = [];
    const flows = await listenUdp('127.0.0.1:0', (flow) => {
      if (held.push(flow) > 1) flow.close();
    });
    const client = await clientOf(flows);
    for (let i = 0; i < 3; i++) client.send(1);
    await until(() => held[0]?.received === 3);
    held[0]?.close();
    assert.equal(flows.counts.closedDropped, 3);
    assert.equal(held[0]?.send(new Uint8Array(1)), false);
    assert.equal(flows.counts.closedDropped, 4);
    client.send(1);
    await until(() => held.length === 2);
    await until(() => flows.counts.closedDropped === 5);
    await closeAll(flows, client);
  });

  test('empty datagrams that are kept cost as much as they hold', async () => {
    const flows = await listenUdp({ address: '127.0.0.1:0', maxEarlyBytes: 4 * 256 }, () => {});
    const client = await clientOf(flows);
    for (let i = 0; i < 10; i++) client.send(0);
    await until(() => flows.socketCounts.received === 10);
    assert.equal(flows.counts.earlyDropped, 6);
    await closeAll(flows, client);
  });

  test('a datagram that the kernel refuses is reported, and the flow lives on', async () => {
    const { flows, opened, errors } = await rig({ maxAmplification: Infinity }, false);
    const client = await clientOf(flows);
    client.send(1);
    await until(() => opened.length === 1);
    opened[0]?.flow.send(new Uint8Array(70_000));
    await until(() => errors.length === 1);
    assert.deepEqual([errors[0]?.reason, opened[0]?.flow.isClosed], ['UDP_TOO_LARGE', false]);
    await closeAll(flows, client);
  });

  test('an address that is taken fails as for an endpoint; options that make no sense are named', async () => {
    const { flows } = await rig();
    await assert.rejects(
      listenUdp(flows.address, () => {}),
      { reason: 'ADDRESS_IN_USE' },
    );
    for (const [options, expected] of [
      [{ idleTimeoutMs: 0 }, /RangeError: idleTimeoutMs/],
      [{ maxFlows: 0 }, /RangeError: maxFlows/],
      [{ maxAmplification: -1 }, /RangeError: maxAmplification/],
      [{ maxEarlyDatagrams: 0.5 }, /RangeError: maxEarlyDatagrams/],
      [{ maxEarlyBytes: -1 }, /RangeError: maxEarlyBytes/],
      [{ filterTimeoutMs: 0 }, /RangeError: filterTimeoutMs/],
      [{ maxPendingFilters: 0 }, /RangeError: maxPendingFilters/],
      [{ provesByAnswer: 1 as never }, /TypeError: provesByAnswer/],
      [{ maxFlow: 1 }, /TypeError: listenUdp has no option "maxFlow"/],
    ] as const) {
      await assert.rejects(
        listenUdp({ address: '127.0.0.1:0', ...options }, () => {}),
        (error) => expected.test(String(error)),
      );
    }
    await flows[Symbol.asyncDispose]();
  });
});
