/** The parts that the main thread of a generation is made of, each alone. */
import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { openSync } from 'node:fs';
import { suite, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { ManualClock, systemClock } from '@ferrata/clock';
import fc from 'fast-check';
import type { InheritedSocket, ReloadOutcome } from '../../src/keeper/generation-messages.ts';
import { PhaseFeed } from '../../src/phase.ts';
import { resolveServerOptions } from '../../src/server-options.ts';
import type { ServerPlan } from '../../src/server-plan.ts';
import type { Service } from '../../src/service.ts';
import { diffConfigs } from '../../src/supervisor/config-diff.ts';
import { readConfig } from '../../src/supervisor/config-reading.ts';
import { deepFreeze } from '../../src/supervisor/freeze.ts';
import { reportHang } from '../../src/supervisor/hang-report.ts';
import { HeartbeatMonitor, heartbeatMemory, startBeating } from '../../src/supervisor/heartbeats.ts';
import { KeeperAsks } from '../../src/supervisor/keeper-asks.ts';
import { processDescriptors } from '../../src/supervisor/process-descriptors.ts';
import { type ReloadParticipant, ReloadQueue, twoPhases } from '../../src/supervisor/reload.ts';
import { sortServices } from '../../src/supervisor/service-graph.ts';
import { SharedRegistry } from '../../src/supervisor/shared-registry.ts';
import { type PlacedListener, SocketAllotment } from '../../src/supervisor/socket-allotment.ts';
import { StartSequence } from '../../src/supervisor/start-sequence.ts';
import { isWorkerMessage } from '../../src/supervisor/worker-message-check.ts';

suite('deepFreeze', () => {
  test('freezes in depth, and gives the same value back', () => {
    const value = { list: [{ name: 'a' }], when: new Date(0), bytes: new Uint8Array(2) };
    assert.equal(deepFreeze(value), value);
    assert.ok(Object.isFrozen(value.list[0]));
    assert.throws(() => value.list.push({ name: 'b' }), TypeError);
    value.bytes[0] = 1;
  });

  test('does not run round in a circle, nor out of stack', () => {
    const circle: { self?: unknown; deep?: unknown } = {};
    circle.self = circle;
    let deep: unknown = null;
    for (let depth = 0; depth < 50_000; depth++) deep = [deep];
    circle.deep = deep;
    assert.ok(Object.isFrozen(deepFreeze(circle).deep));
  });

  test('takes any value', () => {
    for (const value of [undefined, null, 1, 'a', Symbol('a'), () => {}]) assert.equal(deepFreeze(value), value);
  });
});

suite('SharedRegistry', () => {
  const spec = { create: () => new SharedArrayBuffer(8), open: (memory: SharedArrayBuffer) => new Int32Array(memory) };

  test('makes a memory once, and gives the same thing each time', () => {
    const registry = new SharedRegistry(null);
    const counter = registry.use('counter', spec);
    assert.equal(registry.use('counter', spec), counter);
    assert.deepEqual(Object.keys(registry.memories), ['counter']);
  });

  test('a worker opens what the main thread has made', () => {
    const main = new SharedRegistry(null);
    const worker = new SharedRegistry(main.memories);
    main.use('counter', spec);
    const born = new SharedRegistry(main.memories);
    Atomics.add(born.use('counter', spec), 0, 5);
    assert.equal(main.use('counter', spec)[0], 5);
    assert.throws(() => worker.use('counter', spec), { reason: 'SHARED_NAME_UNKNOWN' });
  });

  test('names such as __proto__ are names as any other', () => {
    const main = new SharedRegistry(null);
    main.use('__proto__', spec);
    assert.ok(new SharedRegistry(main.memories).use('__proto__', spec) instanceof Int32Array);
  });

  test('names without end are refused, and those that are known stay', () => {
    const registry = new SharedRegistry(null);
    const first = registry.use('0', spec);
    for (let name = 1; name < 1_000; name++) registry.use(`${name}`, spec);
    assert.throws(() => registry.use('1000', spec), RangeError);
    assert.equal(Object.keys(registry.memories).length, 1_000);
    assert.equal(registry.use('0', spec), first);
  });

  test('nonsense is refused at once', () => {
    const registry = new SharedRegistry(null);
    assert.throws(() => registry.use('', spec), TypeError);
    assert.throws(
      () => registry.use('a', { create: () => new ArrayBuffer(8) as unknown as SharedArrayBuffer, open: (memory) => memory }),
      TypeError,
    );
  });
});

suite('sortServices', () => {
  const graph = (edges: Readonly<Record<string, readonly string[]>>): ReadonlyMap<string, readonly string[]> =>
    new Map(Object.entries(edges));

  test('without dependencies the order of adding stays', () => {
    assert.deepEqual(sortServices(['c', 'a', 'b'], graph({})), ['c', 'a', 'b']);
  });

  test('a chain, and a diamond with its point last', () => {
    assert.deepEqual(sortServices(['c', 'b', 'a'], graph({ c: ['b'], b: ['a'] })), ['a', 'b', 'c']);
    assert.deepEqual(sortServices(['d', 'b', 'c', 'a'], graph({ d: ['b', 'c'], b: ['a'], c: ['a'] })), ['a', 'b', 'c', 'd']);
  });

  test('circles of one, two and three are told by their names', () => {
    assert.throws(() => sortServices(['a'], graph({ a: ['a'] })), { name: 'TypeError', message: 'Circular dependency of services: a → a' });
    assert.throws(() => sortServices(['a', 'b'], graph({ a: ['b'], b: ['a'] })), /Circular.*a → b → a/);
    assert.throws(() => sortServices(['x', 'a', 'b', 'c'], graph({ x: ['a'], a: ['b'], b: ['c'], c: ['a'] })), /: a → b → c → a$/);
  });

  test('a name that no service has is refused', () => {
    assert.throws(() => sortServices(['a'], graph({ a: ['b'] })), /no service is named "b", which "a" depends on/);
  });

  test('any graph without circles is put into a legal order', () => {
    const graphs = fc.array(fc.array(fc.nat(20), { maxLength: 4 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(graphs, fc.array(fc.nat(), { minLength: 20, maxLength: 20 }), (needs, places) => {
        const names = needs.map((_, index) => `s${index}`);
        // Only on earlier ones, so that there is no circle.
        const edges = new Map(needs.map((all, index) => [`s${index}`, all.filter((other) => other < index).map((other) => `s${other}`)]));
        const added = names.map((name, index) => ({ name, at: places[index] ?? 0 })).toSorted((a, b) => a.at - b.at);
        const order = sortServices(
          added.map(({ name }) => name),
          edges,
        );
        assert.deepEqual(order.toSorted(), names.toSorted());
        for (const [name, all] of edges) for (const other of all) assert.ok(order.indexOf(other) < order.indexOf(name));
      }),
    );
  });
});

suite('StartSequence', () => {
  test('begins each service when the last one that it waits for is ready, and says how long it has waited', () => {
    const clock = new ManualClock();
    const begun: [string, number][] = [];
    const needs = new Map([['c', ['a', 'b']]]);
    const sequence = new StartSequence(['a', 'b', 'c'], needs, clock, (name, waitedMs) => begun.push([name, waitedMs]));
    sequence.start();
    clock.advance(10);
    sequence.handleReady('a');
    clock.advance(10);
    sequence.handleReady('a');
    assert.deepEqual(begun, [
      ['a', 0],
      ['b', 0],
    ]);
    sequence.handleReady('b');
    assert.deepEqual(begun.at(-1), ['c', 20]);
    assert.equal(sequence.isComplete, false);
    sequence.handleReady('c');
    assert.equal(sequence.isComplete, true);
  });

  test('services that are ready at once, from within their beginning, are begun once', () => {
    const begun: string[] = [];
    const needs = new Map([
      ['b', ['a']],
      ['c', ['b']],
    ]);
    const sequence: StartSequence = new StartSequence(['a', 'b', 'c'], needs, new ManualClock(), (name) => {
      begun.push(name);
      sequence.handleReady(name);
    });
    sequence.start();
    assert.deepEqual(begun, ['a', 'b', 'c']);
    assert.equal(sequence.isComplete, true);
  });
});

suite('heart-beats', () => {
  test('a worker that beats is never told of, whatever the time', () => {
    const clock = new ManualClock();
    const memory = heartbeatMemory(2);
    const told: string[] = [];
    const monitor = new HeartbeatMonitor(
      memory,
      clock,
      { warningMs: 600, limitMs: 2_000 },
      {
        onBlocked: (worker) => told.push(`blocked ${worker}`),
        onUnblocked: (worker) => told.push(`unblocked ${worker}`),
        onLimit: (worker) => told.push(`limit ${worker}`),
      },
    );
    monitor.watch(1);
    monitor.watch(2);
    const beats = new Int32Array(memory);
    // One that turns round.
    beats[0] = 2 ** 31 - 2;
    for (let time = 0; time < 20; time++) {
      Atomics.add(beats, 0, 1);
      clock.advance(250);
    }
    assert.deepEqual(told, ['blocked 2', 'limit 2']);
    assert.equal(monitor.blockedMs(1), 0);
    monitor.close();
    assert.equal(clock.pendingCount, 0);
  });

  test('beating keeps no thread alive, and ends when it is told to', async () => {
    const memory = heartbeatMemory(1);
    const stop = startBeating(memory, 1);
    assert.equal(new Int32Array(memory)[0], 1);
    stop();
    const worker = new Worker(
      `import { startBeating } from ${JSON.stringify(new URL('../../src/supervisor/heartbeats.ts', import.meta.url).href)};
       import { workerData } from 'node:worker_threads'; startBeating(workerData, 1);`,
      { eval: true, workerData: memory },
    );
    const code = await new Promise((resolve, reject) => {
      worker.on('exit', resolve);
      worker.on('error', reject);
    });
    assert.equal(code, 0);
    assert.equal(new Int32Array(memory)[0], 2);
  });
});

suite('SocketAllotment', () => {
  const tcp = (key: string, count: number, first = 10): InheritedSocket => ({
    spec: { key, transport: 'tcp', host: '127.0.0.1', port: 80 },
    address: { kind: 'ip', host: '127.0.0.1', port: 80 },
    descriptors: [Array.from({ length: count }, (_, index) => first + index)],
  });
  const placed = ({ spec }: InheritedSocket): PlacedListener => ({ listen: { address: 'x:1' }, spec });
  const closed: number[] = [];
  const table = { identityOf: (fd: number) => `${fd}`, close: (fd: number) => void closed.push(fd) };
  const fds = (sockets: readonly { readonly fd: number | null }[] | null): unknown => sockets?.map(({ fd }) => fd) ?? null;

  test('takes all or nothing', () => {
    const [a, b] = [tcp('a', 3), tcp('b', 1, 20)];
    const allotment = new SocketAllotment([a, b], 2, table);
    assert.deepEqual(fds(allotment.take([placed(a), placed(b)], 1)), [10, 20]);
    assert.equal(allotment.take([placed(a), placed(b)], 2), null);
    allotment.close();
    assert.deepEqual(closed, [11, 12]);
  });

  test('takes back of a dead thread what still is the same socket, and touches no number that is anything else by now', () => {
    const a = tcp('a', 5, 30);
    const behind = new Map([30, 31, 32, 33, 34].map((fd) => [fd, 'socket a']));
    const shut: number[] = [];
    const allotment = new SocketAllotment([a], 2, { identityOf: (fd) => behind.get(fd) ?? null, close: (fd) => void shut.push(fd) });
    const ofDead = [1, 1, 1].map((worker) => allotment.take([placed(a)], worker) ?? []);
    behind.delete(30);
    behind.set(31, 'a connection of another thread');
    for (const sockets of ofDead) allotment.recover(sockets);
    for (const sockets of ofDead) allotment.recover(sockets);
    assert.deepEqual([fds(allotment.take([placed(a)], 1)), fds(allotment.take([placed(a)], 2))], [[32], [33]]);
    allotment.close();
    assert.deepEqual(shut, [34]);
    allotment.recover([{ listen: { address: 'x:1' }, fd: 33, address: a.address }]);
    assert.deepEqual(shut, [34, 33], 'what comes back when nothing is accepted any more is closed');
  });

  test('where it cannot be known what is behind a number, nothing is taken back', () => {
    const a = tcp('a', 2, 40);
    const shut: number[] = [];
    const allotment = new SocketAllotment([a], 1, { identityOf: () => null, close: (fd) => void shut.push(fd) });
    allotment.recover(allotment.take([placed(a)], 1) ?? []);
    allotment.close();
    assert.deepEqual(shut, [41]);
  });

  test('a descriptor of this process is known by what is behind its number', () => {
    const [one, same, other] = [openSync('/dev/null', 'r'), openSync('/dev/null', 'r'), openSync(fileURLToPath(import.meta.url), 'r')];
    const [first, second, third] = [one, same, other].map((fd) => processDescriptors.identityOf(fd));
    assert.equal(first, second);
    assert.notEqual(first, third);
    for (const fd of [one, same, other]) processDescriptors.close(fd);
    assert.equal(processDescriptors.identityOf(-1), null);
    processDescriptors.close(-1);
  });

  test('each UDP socket belongs to one worker, through all its threads; a service alone gets all of them', () => {
    const udp: InheritedSocket = {
      spec: { key: 'u', transport: 'udp', host: '127.0.0.1', port: 53 },
      address: { kind: 'ip', host: '127.0.0.1', port: 53 },
      descriptors: [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
      ],
    };
    const allotment = new SocketAllotment([udp], 2, table);
    assert.deepEqual(fds(allotment.take([placed(udp)], 1)), [1, 7]);
    assert.deepEqual(fds(allotment.take([placed(udp)], 2)), [4]);
    assert.deepEqual(fds(allotment.take([placed(udp)], 1)), [2, 8]);
    assert.deepEqual(fds(allotment.take([placed(udp)], 0)), [3, 5, 9]);
  });

  test('with more workers than UDP sockets, some have none', () => {
    const udp: InheritedSocket = { spec: { key: 'u', transport: 'udp' }, address: { kind: 'unset' }, descriptors: [[1, 2]] };
    const allotment = new SocketAllotment([udp], 3, table);
    assert.deepEqual(
      [1, 2, 3].map((worker) => fds(allotment.take([placed(udp)], worker))),
      [[1], [], []],
    );
  });

  test('without descriptors at all, a thread is told to listen at the address itself', () => {
    const bare: InheritedSocket = { ...tcp('a', 0), descriptors: [] };
    const allotment = new SocketAllotment([bare], 2, table);
    assert.deepEqual(fds(allotment.take([placed(bare)], 1)), [null]);
    assert.equal(allotment.isLow, false);
  });

  /** Takes for all workers in turn until few are left. @returns how many descriptors of the socket are left then */
  const leftWhenLow = (socket: InheritedSocket, threads: number): number => {
    const allotment = new SocketAllotment([tcp('other', 1_000, 2_000), socket], threads, table);
    const { length } = socket.descriptors.flat();
    for (let taken = 1; taken <= length; taken++) {
      assert.equal(allotment.take([placed(socket)], 1)?.length, 1);
      if (allotment.isLow) return length - taken;
    }
    throw new Error('it was never low');
  };

  test('is low when each worker can be replaced less than four times more', () => {
    assert.equal(leftWhenLow(tcp('a', 66), 2), 7);
  });

  test('with spare ones for a few replacements only, it is low when half of them are used up, and not from the beginning', () => {
    assert.equal(leftWhenLow(tcp('a', 32 + 64), 32), 31);
    assert.equal(leftWhenLow(tcp('a', 8 + 1), 8), 0);
  });

  test('what comes back counts again', () => {
    const a = tcp('a', 66);
    const allotment = new SocketAllotment([a], 2, table);
    const taken = Array.from({ length: 59 }, () => allotment.take([placed(a)], 1) ?? []);
    assert.equal(allotment.isLow, true);
    allotment.giveBack(taken[0] ?? []);
    assert.equal(allotment.isLow, false);
  });
});

suite('KeeperAsks', () => {
  const asked = (): { asks: KeeperAsks; upgrade: Promise<unknown>; settled: () => unknown } => {
    const asks = new KeeperAsks(() => {});
    let settled: unknown = null;
    const upgrade = asks.ask('upgrade').then((outcome) => (settled = outcome));
    asks.handleAnswer(1, null);
    return { asks, upgrade, settled: () => settled };
  };

  test('an upgrade that waits for another one to end does not fail with that: the next one is its own', async () => {
    const { asks, upgrade, settled } = asked();
    asks.handleUpgradeFailed('a port of the reload before it is in use');
    await new Promise(setImmediate);
    assert.equal(settled(), null);
    asks.handleUpgrading();
    asks.handleUpgradeFailed('it crashed');
    assert.deepEqual(await upgrade, { outcome: 'failed', why: 'it crashed' });
  });

  test('when the keeper is gone, whatever was asked for has failed, and whatever will be', async () => {
    const { asks, upgrade } = asked();
    asks.handleLost();
    const failed = { outcome: 'failed', why: 'the process that was started is gone' };
    assert.deepEqual(await upgrade, failed);
    assert.deepEqual(await asks.ask('drain'), failed);
  });

  test('a successor that comes while it waits is one, too', async () => {
    const { asks, upgrade } = asked();
    asks.handleStop(true);
    assert.deepEqual(await upgrade, { outcome: 'replaced' });
  });

  test('a reload that needs a generation is refused when that does not come', async () => {
    const asks = new KeeperAsks(() => {});
    const reload = asks.ask('reload');
    asks.handleReload(7);
    asks.handleReloaded(7, { kind: 'needsGeneration', sockets: [], changes: ['port: 1 → 2'] });
    asks.handleUpgrading();
    asks.handleUpgradeFailed('the port is in use');
    assert.deepEqual(await reload, { outcome: 'refused', why: 'the port is in use' });
  });
});

suite('ReloadQueue', () => {
  test('one runs and one waits, however many ask, and whoever asks while one runs gets the one after it', async () => {
    const runs: PromiseWithResolvers<ReloadOutcome>[] = [];
    const queue = new ReloadQueue(() => {
      const run = Promise.withResolvers<ReloadOutcome>();
      runs.push(run);
      return run.promise;
    });
    const first = queue.request();
    await Promise.resolve();
    const later = [queue.request(), queue.request(), queue.request()];
    assert.equal(runs.length, 1);
    runs[0]?.resolve({ kind: 'unchanged', version: 1 });
    assert.deepEqual(await first, { kind: 'unchanged', version: 1 });
    await new Promise(setImmediate);
    assert.equal(runs.length, 2);
    runs[1]?.reject(new Error('line 3 is wrong'));
    for (const outcome of await Promise.all(later)) assert.deepEqual(outcome, { kind: 'refused', why: 'line 3 is wrong' });
  });

  test('a closed queue refuses those who ask and the one who waits', async () => {
    const run = Promise.withResolvers<ReloadOutcome>();
    const queue = new ReloadQueue(() => run.promise);
    const first = queue.request();
    const waiting = queue.request();
    queue.close('the server is stopping');
    run.resolve({ kind: 'unchanged', version: 1 });
    assert.equal((await first).kind, 'unchanged');
    for (const outcome of [await waiting, await queue.request()])
      assert.deepEqual(outcome, { kind: 'refused', why: 'the server is stopping' });
  });

  test('a run that throws at once refuses its reload, and the next one runs', async () => {
    let count = 0;
    const queue = new ReloadQueue(() => {
      count += 1;
      throw new Error('at once');
    });
    assert.deepEqual(await queue.request(), { kind: 'refused', why: 'at once' });
    assert.deepEqual(await queue.request(), { kind: 'refused', why: 'at once' });
    assert.equal(count, 2);
  });
});

suite('twoPhases', () => {
  const yes: ReloadParticipant = {
    label: 'worker 1',
    prepare: async () => null,
    commit: async () => {},
    discard: () => {},
    replace: () => {},
  };
  const run = (giveUp: AbortController, participant: ReloadParticipant): ReturnType<typeof twoPhases> =>
    twoPhases({ version: 2, config: {} }, [participant], {
      clock: new ManualClock(),
      limitMs: 10,
      decide: () => {},
      givenUp: giveUp.signal,
    });

  test('leaves nothing behind on what tells of the end of the server', async () => {
    const giveUp = new AbortController();
    for (let round = 0; round < 3; round++) assert.deepEqual(await run(giveUp, yes), { refused: null, isOpen: false });
    assert.equal(getEventListeners(giveUp.signal, 'abort').length, 0);
  });

  test('is given up before the decision, also when it was to be before it began', async () => {
    const giveUp = new AbortController();
    const running = run(giveUp, { ...yes, prepare: () => new Promise(() => {}) });
    giveUp.abort('the server is stopping');
    assert.deepEqual(await running, { refused: 'the server is stopping', isOpen: true });
    assert.equal((await run(giveUp, yes)).refused, 'the server is stopping');
  });
});

suite('readConfig', () => {
  const plan = (load: () => unknown): ServerPlan => ({
    options: resolveServerOptions({ config: { load } }),
    services: [],
    dependencies: new Map(),
    shared: new SharedRegistry(null),
    phases: new PhaseFeed(),
    moduleUrl: 'file:///nowhere.ts',
  });

  test('leaves no timer and no listener behind, whatever came of it', async () => {
    const clock = new ManualClock();
    const giveUp = new AbortController();
    const options = { clock, limitMs: 1_000, givenUp: giveUp.signal };
    const { config } = await readConfig(
      plan(() => ({ a: [1] })),
      options,
    );
    assert.deepEqual(config, { a: [1] });
    await assert.rejects(
      readConfig(
        plan(() => Promise.reject(new Error('no such file'))),
        options,
      ),
      /no such file/,
    );
    assert.equal(getEventListeners(giveUp.signal, 'abort').length, 0);
    assert.equal(clock.pendingCount, 0);
    const waiting = readConfig(
      plan(() => new Promise(() => {})),
      options,
    );
    giveUp.abort('the server is stopping');
    await assert.rejects(waiting, { message: 'the server is stopping' });
    assert.equal(clock.pendingCount, 0);
  });

  test('what the source has used up of the time, the services have no more', async () => {
    const clock = new ManualClock();
    const loading = Promise.withResolvers<unknown>();
    const checking = Promise.withResolvers<void>();
    const service: Service<unknown> = {
      name: 'web',
      placement: 'workers',
      listeners: () => [],
      check: () => {
        checking.resolve();
        return new Promise(() => {});
      },
      start: () => Promise.reject(new Error('not here')),
    };
    const reading = readConfig(
      { ...plan(() => loading.promise), services: [service] },
      { clock, limitMs: 1_000, givenUp: new AbortController().signal },
    );
    const refused = assert.rejects(reading, { message: 'loading and checking the configuration took longer than 1000 ms' });
    clock.advance(600);
    loading.resolve({});
    await checking.promise;
    clock.advance(400);
    await refused;
  });
});

suite('isWorkerMessage', () => {
  test('takes what workers say', () => {
    const counts = { web: { connections: 1, accepted: 2, shed: 0 } };
    for (const message of [
      { kind: 'up', services: ['web'] },
      { kind: 'started', name: 'web' },
      { kind: 'startFailed', name: 'web', why: 'no' },
      { kind: 'prepared', version: 2, why: null },
      { kind: 'prepared', version: 2, why: 'no' },
      { kind: 'committed', version: 2 },
      { kind: 'counts', id: 1, counts, heapUsedBytes: 1 },
      { kind: 'notice', notice: { severity: 'info', text: 'hear', service: 'web' } },
      { kind: 'drained', cut: 0 },
    ]) {
      assert.ok(isWorkerMessage(message), JSON.stringify(message));
      // Each field matters.
      for (const field of Object.keys(message))
        assert.ok(!isWorkerMessage({ ...message, [field]: Symbol('other') }), `${message.kind}: ${field}`);
    }
  });

  test('a notice has nothing that could not leave the process', () => {
    const notice = { severity: 'info', text: 'hear', worker: 1 };
    assert.ok(isWorkerMessage({ kind: 'notice', notice }));
    for (const more of [new SharedArrayBuffer(8), {}, null, Symbol('a')])
      assert.ok(!isWorkerMessage({ kind: 'notice', notice: { ...notice, more } }));
  });

  test('has an answer to whatever a program or a library posts', () => {
    for (const message of [null, undefined, 'up', 7, [], {}, { kind: 'constructor' }, { kind: '__proto__' }])
      assert.equal(isWorkerMessage(message), false);
    const kinds = fc.constantFrom('up', 'started', 'startFailed', 'prepared', 'committed', 'counts', 'notice', 'drained');
    fc.assert(
      fc.property(fc.record({ kind: kinds, name: fc.anything(), notice: fc.anything(), counts: fc.anything() }), (message) => {
        isWorkerMessage(message);
      }),
    );
  });
});

suite('diffConfigs', () => {
  test('tells each value that is another one, by its path', () => {
    const before = { upstream: { hosts: ['a', 'b'], retries: 1 }, gone: true, 'odd name!': 1 };
    const after = { upstream: { hosts: ['a', 'c', 'd'], retries: 1 }, come: { x: [1] }, 'odd name!': 2 };
    assert.deepEqual(diffConfigs(before, after), [
      'upstream.hosts[1]: "b" → "c"',
      'upstream.hosts[2]: (none) → "d"',
      'gone: true → (none)',
      '["odd name!"]: 1 → 2',
      'come: (none) → {"x":[1]}',
    ]);
  });

  test('shows no secret, at whatever depth, and no password of a URL', () => {
    const before = {
      db: { password: 'one', API_KEY: 'k1', clientSecret: 's1', user: 'ann' },
      tokens: ['t1'],
      url: 'redis://ann:pw@host/1',
      keepAlive: 1,
    };
    const after = {
      db: { password: 'two', API_KEY: 'k2', clientSecret: 's2', user: 'bob' },
      tokens: ['t2'],
      url: 'redis://ann:pw2@host/2',
      keepAlive: 2,
      tls: { key: 'PRIVATE', names: ['x'], nested: { passphrase: 'p' } },
    };
    assert.deepEqual(diffConfigs(before, after), [
      'db.password: *** → ***',
      'db.API_KEY: *** → ***',
      'db.clientSecret: *** → ***',
      'db.user: "ann" → "bob"',
      'tokens[0]: *** → ***',
      'url: "redis://ann:***@host/1" → "redis://ann:***@host/2"',
      'keepAlive: 1 → 2',
      'tls: (none) → {"key":***,"names":["x"],"nested":{"passphrase":***}}',
    ]);
  });

  test('is bounded, whatever changes', () => {
    const lines = diffConfigs({}, Object.fromEntries(Array.from({ length: 5_000 }, (_, index) => [`k${index}`, 'x'.repeat(10_000)])));
    assert.equal(lines.length, 101);
    assert.equal(lines.at(-1), 'and more');
    for (const line of lines) assert.ok(line.length < 120);
  });

  test('any two values are compared, the same ones without a line, and others with one', () => {
    const value = fc.anything({ withDate: true, withMap: true, withBigInt: true, withNullPrototype: true });
    fc.assert(
      fc.property(value, value, (a, b) => {
        // A clone of a clone: the first one may lose what no configuration has, prototypes for one.
        const cloned = structuredClone(a);
        assert.deepEqual(diffConfigs(cloned, structuredClone(cloned)), []);
        for (const line of diffConfigs(a, b)) assert.ok(line.includes(' → '));
      }),
    );
  });

  test('circles end, with two ways round, too', () => {
    const circle = (name: string): unknown => {
      const made: Record<string, unknown> = {};
      made['self'] = made;
      made['again'] = [made, made];
      made['name'] = name;
      return made;
    };
    assert.deepEqual(diffConfigs(circle('a'), circle('b')), ['name: "a" → "b"']);
    assert.deepEqual(diffConfigs(circle('a'), circle('a')), []);
  });

  /** A file of a few hundred bytes, with anchors. */
  const nested = (leaf: unknown): unknown => {
    let value = leaf;
    for (let depth = 0; depth < 100; depth++) value = { left: value, right: [value, value] };
    return value;
  };

  test('what stands in many places is compared once while nothing has changed, however it is nested', () => {
    assert.deepEqual(diffConfigs(nested('a'), nested('a')), []);
    const lines = diffConfigs({ nested: nested('a'), after: 1 }, { nested: nested('b'), after: 2 });
    assert.equal(lines.length, 101);
    assert.deepEqual(diffConfigs({ kept: new Map([['a', nested('a')]]) }, { kept: new Map([['a', nested('b')]]) }), [
      'kept: (Map) → (Map)',
    ]);
  });

  test('what stands in several places and has changed is told of in each of them', () => {
    const site = (port: number): unknown => {
      const shared = { limits: { connections: 1 }, port };
      return { a: shared, b: [shared] };
    };
    assert.deepEqual(diffConfigs(site(1), site(2)), ['a.port: 1 → 2', 'b[0].port: 1 → 2']);
  });

  test('of a large value no more is looked at than is shown', () => {
    let reads = 0;
    const wide = (depth: number): unknown =>
      Object.defineProperties(
        {},
        Object.fromEntries(
          Array.from({ length: 32 }, (_, index) => {
            const get = (): unknown => {
              reads++;
              return depth === 0 ? 1 : wide(depth - 1);
            };
            return [`m${index}`, { enumerable: true, get }];
          }),
        ),
      );
    const [line = ''] = diffConfigs({}, { wide: wide(3) });
    assert.ok(line.startsWith('wide: (none) → {"m0":{"m0":{"m0":{"m0":1,"m1":1'), line);
    assert.ok(reads < 100, `${reads} members were read`);
  });

  test('what is not there is not undefined, and values that cannot be written are compared all the same', () => {
    assert.deepEqual(diffConfigs({ a: undefined }, {}), ['a: undefined → (none)']);
    assert.deepEqual(diffConfigs({ a: 1 }, [1]), ['configuration: {"a":1} → [1]']);
    const secret = (text: string): unknown => ({ signer: createSecretKey(Buffer.from(text)) });
    assert.deepEqual(diffConfigs(secret('one'), secret('one')), []);
    assert.equal(diffConfigs(secret('one'), secret('two')).length, 1);
  });
});

suite('reportHang', () => {
  const threads = {
    spins: `const { parentPort } = require('node:worker_threads');
      function spinHere() { for (;;) { const end = Date.now() + 20; while (Date.now() < end); parentPort.postMessage(1); } } spinHere();`,
    waits: `function waitHere() { require('node:worker_threads').parentPort.postMessage(1); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0); } waitHere();`,
  };

  for (const [name, code] of Object.entries(threads)) {
    test(`says where a thread stands that ${name}; it runs on, and can be ended`, async () => {
      const other = new Worker('setInterval(() => {}, 10)', { eval: true });
      const worker = new Worker(code, { eval: true });
      const next = (): Promise<unknown> =>
        new Promise((resolve) => {
          worker.once('message', resolve);
        });
      try {
        await next();
        // A wake-up of the system's clock keeps nothing alive, but the threads do.
        const report = await reportHang(worker.threadId, systemClock, 20_000);
        assert.match(report ?? 'none', name === 'spins' ? /^spinHere \(/ : /^waitHere \(/);
        if (name === 'spins') await next();
      } finally {
        await Promise.all([worker.terminate(), other.terminate()]);
      }
    });
  }

  test('has no answer for a thread that there is not', async () => {
    const clock = new ManualClock();
    const report = reportHang(999_999, clock, 100);
    for (let turn = 0; turn < 200; turn++) {
      await new Promise(setImmediate);
      clock.advance(1);
    }
    assert.equal(await report, null);
  });
});
