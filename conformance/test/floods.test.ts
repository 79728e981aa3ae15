import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo, Socket } from 'node:net';
import { after, describe, test } from 'node:test';
import { processTree } from '@ferrata/tools/process-tree';
import { type Attack, contextFor, flood, judgeEnding, pour, serves, streamViolation, violation } from '../h2-floods/attack.ts';
import { CONTROL_ATTACKS } from '../h2-floods/attacks/control-frames.ts';
import { HEADER_BLOCK_ATTACKS } from '../h2-floods/attacks/header-blocks.ts';
import { HOLDING_ATTACKS } from '../h2-floods/attacks/holding.ts';
import { RESET_ATTACKS } from '../h2-floods/attacks/resets.ts';
import { UPSTREAM_ATTACKS } from '../h2-floods/attacks/upstream.ts';
import { Probe } from '../h2-floods/probe.ts';
import { descriptorCount, MemoryWatch, residentBytes } from '../h2-floods/process-memory.ts';
import { groupsOf } from '../h2-floods/siege.ts';
import {
  Code,
  data,
  Flag,
  frame,
  goaway,
  headers,
  headersInFrames,
  hpackInteger,
  literal,
  namedLiteral,
  ping,
  requestBlock,
  rst,
  SETTINGS_ACK,
  settings,
  sizeUpdate,
  statusOf,
  Type,
  windowUpdate,
} from '../rig/http2-bytes.ts';
import { connectRawHttp2, listenRawHttp2, type RawHttp2Peer } from '../rig/raw-http2-client.ts';
import { readKnownFailures } from '../runner.ts';

const attacks = [...RESET_ATTACKS, ...HEADER_BLOCK_ATTACKS, ...CONTROL_ATTACKS, ...HOLDING_ATTACKS, ...UPSTREAM_ATTACKS];

describe('the attacks', () => {
  test('have an id each, a reason, and a known failure names one of them', () => {
    assert.ok(attacks.length > 200, String(attacks.length));
    assert.equal(new Set(attacks.map(({ id }) => id)).size, attacks.length);
    for (const { id, why } of attacks) assert.ok(why.length > 3, id);
    for (const id of readKnownFailures(new URL('../h2-floods/known-failures.txt', import.meta.url)).keys()) {
      assert.ok(
        attacks.some((attack) => id.endsWith(`/${attack.id}`)),
        id,
      );
    }
  });

  test('all run, each once, however they are grouped', () => {
    for (const isAlone of [true, false]) {
      const ran = groupsOf(attacks, isAlone)
        .flat()
        .map(({ id }) => id);
      assert.deepEqual(ran.toSorted(), attacks.map(({ id }) => id).toSorted());
    }
    assert.ok(groupsOf(attacks, false).every((group) => group.length === 1 || group.every(({ pace }) => pace !== 'alone')));
  });
});

describe('bytes made by hand', () => {
  test('have the header of RFC 9113 §4.1', () => {
    assert.equal(ping('12345678').toString('hex'), '0000080600000000003132333435363738');
    assert.equal(rst(5, Code.cancel).toString('hex'), '00000403000000000500000008');
    assert.equal(windowUpdate(1, 0x7f_ff_ff_ff).toString('hex'), '0000040800000000017fffffff');
    assert.equal(settings([4, 0x1_0000]).toString('hex'), '000006040000000000000400010000');
    assert.equal(data(3, Buffer.from('ab'), true).toString('hex'), '0000020001000000036162');
    assert.equal(goaway(1, 11, 'x').toString('hex'), '000009070000000000000000010000000b78');
    assert.equal(frame(0xee, 1, 2, Buffer.alloc(0), 0xff_ff_ff).toString('hex'), 'ffffffee0100000002');
  });

  test('have the integers of RFC 7541, Appendix C.1', () => {
    assert.equal(hpackInteger(0, 5, 10).toString('hex'), '0a');
    assert.equal(hpackInteger(0, 5, 1337).toString('hex'), '1f9a0a');
    assert.equal(hpackInteger(0, 8, 42).toString('hex'), '2a');
  });

  test('cut a block into HEADERS and CONTINUATION', () => {
    const frames = headersInFrames(1, Buffer.alloc(10, 1), true, 4);
    assert.deepEqual(
      [0, 13, 26].map((at) => [frames[at + 2], frames[at + 3], frames[at + 4]]),
      [
        [4, Type.headers, Flag.endStream],
        [4, Type.continuation, 0],
        [2, Type.continuation, Flag.endHeaders],
      ],
    );
  });

  test('tell a status from each form of it', () => {
    assert.equal(statusOf(Buffer.of(0x88)), 200);
    assert.equal(statusOf(Buffer.concat([sizeUpdate(0), Buffer.of(0x8d)])), 404);
    assert.equal(statusOf(Buffer.concat([sizeUpdate(0), sizeUpdate(4_096), namedLiteral(8, '431')])), 431);
    // RFC 7541, Appendix C.6.1: 302 in Huffman, with indexing.
    assert.equal(statusOf(Buffer.from('48826402', 'hex')), 302);
    assert.equal(statusOf(literal('a', 'b')), 0);
  });
});

describe('the raw peer', () => {
  const closing: (() => Promise<void>)[] = [];
  after(async () => {
    for (const close of closing) await close();
  });

  /** A server that answers nothing but what the test says. */
  async function serverThat(does: (peer: RawHttp2Peer) => void): Promise<number> {
    const server = await listenRawHttp2(does);
    closing.push(server.close);
    return server.port;
  }

  async function nodeServer(answer: (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => void): Promise<number> {
    const server = createServer();
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => sockets.add(socket));
    server.on('stream', answer);
    server.on('sessionError', () => undefined);
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    closing.push(async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => void server.close(resolve));
    });
    return (server.address() as AddressInfo).port;
  }

  const okServer = async (): Promise<number> =>
    await nodeServer((stream) => {
      stream.on('error', () => undefined);
      stream.respond({ ':status': 200 });
      stream.end('ok');
    });

  test('speaks to a server of node:http2, and counts what comes back', async () => {
    const peer = await connectRawHttp2({ port: await okServer() });
    peer.write(headers(1, requestBlock('GET', '/')), ping(), SETTINGS_ACK);
    assert.ok(await peer.until(() => peer.stream(1).isEnded && peer.pingAckCount === 1, 5_000));
    assert.deepEqual([peer.stream(1).status, peer.stream(1).text, peer.settingsCount, peer.settingsAckCount], [200, 'ok', 1, 1]);
    assert.equal(await serves(peer, 3), null);
    peer.destroy();
  });

  test('does not read while it holds', async () => {
    const peer = await connectRawHttp2({ port: await okServer() });
    assert.ok(await peer.until(() => peer.settingsCount === 1, 5_000));
    peer.hold();
    peer.write(headers(1, requestBlock('GET', '/')));
    assert.equal(await peer.until(() => peer.stream(1).isEnded, 50), false);
    peer.release();
    assert.ok(await peer.until(() => peer.stream(1).isEnded, 5_000));
    peer.destroy();
  });

  test('reads frames however they are cut', async () => {
    const bytes = Buffer.concat([
      settings([1, 2]),
      headers(1, Buffer.of(0x88), Flag.endHeaders),
      data(1, Buffer.from('hello'), true),
      goaway(1, 0),
    ]);
    const port = await serverThat((peer) => {
      void pour(peer, { batch: (n) => bytes.subarray(n, n + 1), count: bytes.length });
    });
    const peer = await connectRawHttp2({ port });
    assert.ok(await peer.until(() => peer.goaways.length === 1, 5_000));
    assert.deepEqual([peer.stream(1).status, peer.stream(1).text, peer.stream(1).isEnded, peer.frameCount], [200, 'hello', true, 4]);
    peer.destroy();
  });

  function assertProblem(problem: string | null, expected: RegExp | null): void {
    if (expected === null) assert.equal(problem, null);
    else assert.match(problem ?? 'passes', expected);
  }

  async function assertFinds(port: number, attack: Attack, expected: RegExp | null): Promise<void> {
    const { context, end } = contextFor(port, 'http', 1);
    assertProblem(await attack.run(context), expected);
    await end();
  }

  const calm = { codes: [Code.calm], closeMs: 300 };

  test('judges how a connection ends: GOAWAY, its code, its reason, the close', async () => {
    const endings: readonly (readonly [bytes: Uint8Array, isClosed: boolean, expected: RegExp | null])[] = [
      [goaway(1, Code.calm, 'H2_FLOOD'), true, null],
      [goaway(1, Code.calm, 'H2_FLOOD'), false, /stayed open/],
      [goaway(1, Code.calm), true, /without a reason/],
      [goaway(1, Code.protocol, 'x'), true, /GOAWAY says protocol \(x\) where calm is due/],
      [goaway(0x7f_ff_ff_ff, Code.calm, 'x'), true, /streams were begun; 100 would do/],
      [settings(), true, /closed without a GOAWAY/],
      [settings(), false, /was not ended/],
    ];
    for (const [bytes, isClosed, expected] of endings) {
      const port = await serverThat((peer) => {
        peer.write(bytes);
        if (isClosed) peer.socket.end();
      });
      const peer = await connectRawHttp2({ port });
      assertProblem(await judgeEnding(peer, { ...calm, maxStreams: 100 }), expected);
      peer.destroy();
    }
  });

  test('finds a server that bears a flood, one that ends it in the wrong way, and one that does it right', async () => {
    const attack = flood({ id: 'x', why: 'test', batch: () => ping(), count: 50, closeMs: 300 });
    for (const [limit, bytes, expected] of [
      [Number.POSITIVE_INFINITY, goaway(0, 0), /was not ended/],
      [10, goaway(0, Code.internal, 'oh'), /GOAWAY says internal/],
      [10, goaway(0, Code.calm, 'H2_FLOOD_PING'), null],
    ] as const) {
      const port = await serverThat((peer) => {
        peer.write(settings());
        peer.onFrame = () => {
          if (peer.pingCount < limit || peer.socket.writableEnded) return;
          peer.write(bytes);
          peer.socket.end();
        };
      });
      await assertFinds(port, attack, expected);
    }
  });

  test('finds violations that are passed over, and streams whose fault ends the connection', async () => {
    const silent = await serverThat((peer) => void peer.write(settings()));
    const stern = await serverThat((peer) => {
      peer.write(goaway(0, Code.protocol, 'no'));
      peer.socket.end();
    });
    const whole = violation({ id: 'x', why: 'test', bytes: windowUpdate(0, 0), codes: [Code.protocol], closeMs: 300 });
    const stream = streamViolation({ id: 'x', why: 'test', bytes: headers(1, Buffer.alloc(0)), codes: [Code.protocol], closeMs: 300 });
    for (const [port, attack, expected] of [
      [silent, whole, /was not ended/],
      [stern, whole, null],
      [silent, stream, /was not refused/],
      [stern, stream, /ended the connection .* for the fault of one stream/],
    ] as const) {
      await assertFinds(port, attack, expected);
    }
  });

  test('probes: a server that answers has no failures, one that does not has only those', async () => {
    const good = new Probe(await okServer());
    const bad = new Probe(await serverThat((peer) => peer.destroy()));
    const seen = { good: await good.take(), bad: await bad.take() };
    for (let i = 0; i < 100 && (seen.good.count === 0 || seen.bad.failures.length === 0); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      seen.good = await good.take();
      seen.bad = await bad.take();
    }
    assert.deepEqual(seen.good.failures, []);
    assert.ok(seen.good.count > 0);
    assert.ok(seen.bad.failures.length > 0);
    await good.stop();
    await bad.stop();
  });
});

describe('the memory watch', () => {
  test('sees what a process takes for itself and gives back', { skip: process.platform !== 'linux' && '/proc is needed' }, () => {
    const watch = new MemoryWatch(process.pid);
    const held = new Array<Buffer>();
    for (let i = 0; i < 64; i++) held.push(Buffer.alloc(1_048_576, 1));
    assert.ok(watch.stop() > 48 * 1_048_576);
    assert.equal(held.length, 64);
    assert.ok(descriptorCount(process.pid) > 2);
    assert.equal(residentBytes(0x7f_ff_ff_ff), 0);
  });

  test('counts what a server that is several processes has, whichever of them holds it', {
    skip: process.platform !== 'linux' && '/proc is needed',
    timeout: 20_000,
  }, async () => {
    // A process whose child holds 64 MiB; both end with their channel.
    const stdio = "{ stdio: ['ignore', 'ignore', 'inherit', 'ipc'] }";
    const end = "process.on('disconnect', () => process.exit())";
    const inner = `globalThis.held = Buffer.alloc(64 * 1048576, 1); process.send('held'); ${end}`;
    const outer = `require('node:child_process').spawn(process.execPath, ['-e', ${JSON.stringify(inner)}], ${stdio}).on('message', (held) => process.send(held)); ${end}`;
    const child = spawn(process.execPath, ['-e', outer], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] });
    await once(child, 'message');
    const pid = child.pid ?? 0;
    assert.equal(processTree(pid).length, 2);
    const [, own] = processTree(pid);
    assert.ok(processTree(process.pid).some((one) => one.pid === own?.pid));
    assert.ok(residentBytes(pid) > 64 * 1_048_576);
    // Each has its own standard streams, its channel and its event loop.
    assert.ok(descriptorCount(pid) > 2 * 8);
    const ended = once(child, 'exit');
    child.disconnect();
    await ended;
    assert.deepEqual(processTree(pid), []);
  });
});
