/** The judges can say no: faults are planted in what the proxy sends, logs and lets go, and each must be told by its breach. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { FrameType } from '@ferrata/http2-framing';
import type { ProxyHooks } from '@ferrata/proxy';
import { edit, LyingStream } from '../world/planted.ts';
import { clientBatches } from './client-plan.ts';
import { runClient } from './client-run.ts';
import { doorBatches, runDoor } from './door-run.ts';
import { CELLS, type Cell } from './ends.ts';
import { expectBatches, runExpect } from './expect-run.ts';
import type { Finding } from './findings.ts';
import { floodBatches, runFloods, runStalls, stallBatches } from './flood-run.ts';
import { flightOf, handshakeBatches, runHandshakes } from './handshake-run.ts';
import { hookBatches } from './hook-plan.ts';
import { runHooks } from './hook-run.ts';
import { idleBatches, runIdle } from './idle-run.ts';
import type { Plant } from './matrix-world.ts';
import { nameBatches, runNames } from './names-run.ts';
import { outageBatches, runOutages, runStorm, stormBatches } from './outage-run.ts';
import { crowdBatches, garbageBatches, runCrowd, runGarbage } from './pipeline-run.ts';
import { pressureBatches, runPressure } from './pressure-run.ts';
import { requiredBatches, runRequired } from './required-run.ts';
import { runTunnels, tunnelBatches } from './tunnel-run.ts';
import { upstreamBatches } from './upstream-plan.ts';
import { runUpstream } from './upstream-run.ts';

/** A fault, the cell and the cases it is planted in, and what the judge must say. */
interface PlantedFault {
  readonly cell: string;
  /** A part of the names of the cases. */
  readonly cases: string;
  readonly plant: Plant;
  readonly breach: RegExp;
}

function outgoing(change: (chunk: Uint8Array) => Uint8Array): Plant {
  return { clientSide: (stream) => new LyingStream(stream, { outgoing: change }) };
}

function hooking(change: (hooks: ProxyHooks<object>) => Partial<ProxyHooks<object>>): Plant {
  return { hooks: (hooks) => ({ ...hooks, ...change(hooks) }) };
}

/** Changes each frame of a type in what goes out. */
function editFrames(type: number, change: (frame: Uint8Array) => void): (chunk: Uint8Array) => Uint8Array {
  return (chunk) => {
    const edited = chunk.slice();
    for (let at = 0; at + 9 <= edited.length; ) {
      const length = ((edited[at] as number) << 16) | ((edited[at + 1] as number) << 8) | (edited[at + 2] as number);
      if (edited[at + 3] === type) change(edited.subarray(at, at + 9 + length));
      at += 9 + length;
    }
    return edited;
  };
}

const UPSTREAM: Readonly<Record<string, PlantedFault>> = {
  'logs twice': {
    cell: 'H1 × H1',
    cases: 'GET, 204: reset',
    plant: hooking((hooks) => ({
      logging: (...args) => {
        hooks.logging?.(...args);
        hooks.logging?.(...args);
      },
    })),
    breach: /logged 2 times/,
  },
  'does not log what has failed': {
    cell: 'H1 × h2c',
    cases: 'POST: reset',
    plant: hooking((hooks) => ({
      logging: (session, error, context) => (error === null ? hooks.logging?.(session, error, context) : undefined),
    })),
    breach: /logged 0 times/,
  },
  'calls an answer whole that was cut': {
    cell: 'h2c × H1',
    cases: 'a body of known length: reset',
    plant: hooking((hooks) => ({ logging: (session, _error, context) => hooks.logging?.(session, null, context) })),
    breach: /logged as completed \(\), not upstream_error/,
  },
  'makes cut chunks look whole': {
    cell: 'H1 × H1',
    cases: 'chunks and trailers: reset',
    plant: {
      clientSide: (stream) => new LyingStream(stream, { lastWords: () => Uint8Array.from(Buffer.from('0\r\n\r\n')) }),
    },
    breach: /the answer is whole, not cut/,
  },
  'ends a stream that was cut with END_STREAM': {
    cell: 'h2c × H1',
    cases: 'chunks and trailers: end',
    plant: outgoing(
      editFrames(FrameType.rstStream, (frame) => {
        frame[3] = 0x0;
        frame[4] = 0x1;
      }),
    ),
    breach: /the answer is whole, not cut/,
  },
  'resets a stream that was cut with CANCEL': {
    cell: 'h2c × h2c',
    cases: 'a body of known length: end',
    plant: outgoing(editFrames(FrameType.rstStream, (frame) => frame.set([8], 12))),
    breach: /reset with 8, not INTERNAL_ERROR/,
  },
  'changes a byte of a body': {
    cell: 'H1 × H1',
    cases: 'a body of known length: reset',
    plant: outgoing(edit((text) => text.replace('world!', 'world?'))),
    breach: /a whole body of "Hello world\?", not "Hello world!"/,
  },
  'sends half of the trailers': {
    cell: 'H1 × H1',
    cases: 'chunks and trailers: stall',
    plant: outgoing(edit((text) => text.replace('x-sum: 17', 'x-sum: 1'))),
    breach: /trailers "x-sum: 1\\r\\n"/,
  },
  'says 502 for 504': {
    cell: 'H1 × H1',
    cases: 'GET, 204: stall',
    plant: outgoing(edit((text) => text.replace('HTTP/1.1 504', 'HTTP/1.1 502'))),
    breach: /answered 502, not 504/,
  },
  'does not let go of a connection that has stalled': {
    cell: 'H1 × H1',
    cases: 'GET, 204: stall',
    plant: { originSide: (stream) => new LyingStream(stream, { ignoresAbort: true }) },
    breach: /the connection to the origin is still open/,
  },
  'sends a POST again': {
    cell: 'H1 × H1',
    cases: 'POST: reset at 0',
    plant: hooking(() => ({ errorWhileProxy: (_session, _peer, error) => void (error.retry = 'always') })),
    breach: /2 connections, not 1/,
  },
  'leaks a deadline': {
    cell: 'h2c × H1',
    cases: 'GET, 204: reset',
    plant: {
      hooks: (hooks, { deadlines }) => ({
        ...hooks,
        newContext: (session) => {
          deadlines.after(36_000_000, () => {});
          return hooks.newContext(session);
        },
      }),
    },
    breach: /deadlines are left/,
  },
};

const CLIENT: Readonly<Record<string, PlantedFault>> = {
  'makes the part of an upload look whole': {
    cell: 'H1 × H1',
    cases: 'PUT in chunks, with trailers: reset',
    plant: {
      originSide: (stream) => new LyingStream(stream, { lastWords: () => Uint8Array.from(Buffer.from('0\r\n\r\n')) }),
    },
    breach: /a part looks whole to the origin/,
  },
  'does not cancel what a client has given up': {
    cell: 'h2c × H1',
    cases: 'PUT of known length: reset',
    plant: { originSide: (stream) => new LyingStream(stream, { ignoresAbort: true }) },
    breach: /the request to the origin goes on/,
  },
  'says 400 for 408': {
    cell: 'H1 × h2c',
    cases: 'GET: stall',
    plant: outgoing(edit((text) => text.replace('HTTP/1.1 408', 'HTTP/1.1 400'))),
    breach: /answered 400, not 408/,
  },
};

/** The same of the other judges, each with what runs it. */
interface OtherFault {
  readonly run: () => Promise<readonly Finding[]>;
  readonly breach: RegExp;
}

const OTHERS: Readonly<Record<string, OtherFault>> = {
  'calls failToProxy twice': {
    run: () =>
      runHooks(
        some(hookBatches(cellNamed('H1 × H1')), 'requestFilter throws'),
        hooking((hooks) => ({
          failToProxy: (...args) => {
            void hooks.failToProxy?.(...args);
            return hooks.failToProxy?.(...args);
          },
        })),
      ),
    breach: /failToProxy was called 2 times, not 1/,
  },
  'answers though adjustUpstreamModules has failed': {
    run: () =>
      runHooks(
        some(hookBatches(cellNamed('h2c × H1')), 'adjustUpstreamModules rejects'),
        hooking(() => ({ adjustUpstreamModules: () => {} })),
      ),
    breach: /answered 200, not 500/,
  },
  'leaves to the next request what persistConnectionContext has failed to give': {
    run: () =>
      runHooks(
        some(hookBatches(cellNamed('H1 × h2c')), 'persistConnectionContext throws'),
        hooking(() => ({ persistConnectionContext: () => 'something' })),
      ),
    breach: /what failed to leave anything has left something/,
  },
  'forgets what was left on a connection': {
    run: () =>
      runHooks(
        some(hookBatches(cellNamed('H1 × H1')), 'onConnectionReuse throws'),
        hooking(() => ({ persistConnectionContext: () => undefined })),
      ),
    breach: /onConnectionReuse was given undefined/,
  },
  'does not ask by HTTP/1.1 who wants that': {
    run: () =>
      runRequired(
        some(requiredBatches(cellNamed('H1 × H2/TLS'), EACH), 'POST on'),
        hooking(() => ({ errorWhileProxy: (_session, _peer, error) => void (error.retry = 'never') })),
      ),
    breach: /tried by http2, not http2,http1/,
  },
  'reads on though its origin is full': {
    run: () =>
      runPressure(some(pressureBatches(cellNamed('H1 × H1'), EACH), 'stops at 0'), {
        originSide: (stream) => new LyingStream(stream, { alwaysHasRoom: true }),
      }),
    breach: /bytes were held, more than/,
  },
  'does not ask the next peer': {
    run: () =>
      runOutages(
        some(outageBatches(cellNamed('h2c × h2c'), EACH), 'GET, refuses, up'),
        hooking(() => ({ failToConnect: (_session, _peer, error) => void (error.retry = 'never') })),
      ),
    breach: /answered 502, whole, not 200/,
  },
  'sends all again that is lost': {
    run: () => runStorm(some(stormBatches(cellNamed('H1 × H1')), 'all lost'), 1),
    breach: /80 tries for 40 requests/,
  },
  'forgets the addresses that it had': {
    run: () => runNames(some(nameBatches(cellNamed('H1 × H1'), EACH), 'SERVFAIL behind a good answer'), true),
    breach: /answered \{"status":502/,
  },
  'gives one request the answer of another': {
    run: () => runCrowd(some(crowdBatches(cellNamed('H1 × H1')), 'requests'), outgoing(edit((text) => text.replace('/0007', '/0008')))),
    breach: /answer 7 of 1000 is "\/0008"/,
  },
  'reads on behind Connection: close': {
    run: () =>
      runGarbage(some(garbageBatches(cellNamed('H1 × H1'), EACH), 'another one behind Connection: close'), {
        clientSide: (stream) =>
          new LyingStream(stream, { incoming: edit((text) => text.replace('Connection: close', 'X-Nothing: close')) }),
      }),
    breach: /requests that are none have come to an origin/,
  },
  'ends a connection of broken frames as if all were well': {
    run: () =>
      runGarbage(
        some(garbageBatches(cellNamed('h2c × H1'), EACH), 'PING on a stream'),
        outgoing(editFrames(FrameType.goaway, (frame) => frame.fill(0, 13, 17))),
      ),
    breach: /GOAWAY says 0/,
  },
  'lets a handshake take its time': {
    run: async () => {
      const cell = cellNamed('H1/TLS × H1');
      const stalled = some(handshakeBatches(cell, await flightOf(cell), EACH), 'stall at');
      return runHandshakes(stalled.map((it) => ({ ...it, line: (stream) => stream })));
    },
    breach: /the connection is still open/,
  },
  'bears any flood': {
    run: () => runFloods(some(floodBatches(cellNamed('h2c × H1')), 'PING'), {}, false),
    breach: /the connection goes on/,
  },
  'blames itself for answers that nobody takes': {
    run: () =>
      runStalls(
        some(stallBatches(cellNamed('h2c × H1'), EACH), 'windows of 0'),
        outgoing(editFrames(FrameType.rstStream, (frame) => frame.set([2], 12))),
      ),
    breach: /streams are reset with 2, not CANCEL/,
  },
  'keeps a 100 to itself': {
    run: () =>
      runExpect(
        some(expectBatches(cellNamed('H1 × H1'), EACH), 'a body held back; the origin continues'),
        outgoing((chunk) => (Buffer.from(chunk).includes('100 Continue') ? new Uint8Array(0) : chunk)),
      ),
    breach: /0 interim responses, not 1/,
  },
  'changes a byte in a tunnel': {
    run: () =>
      runTunnels(
        some(tunnelBatches(cellNamed('H1 × H1'), EACH), 'client ends at 58'),
        outgoing(edit((text) => text.replace('hello', 'hallo'))),
      ),
    breach: /the client has .*hallo/,
  },
  'does not close an idle connection for a new one': {
    run: () =>
      runIdle(some(idleBatches(cellNamed('H1 × H1'), EACH), 'idle, idle, idle, idle'), {
        clientSide: (stream) => new LyingStream(stream, { ignoresAbort: true }),
      }),
    breach: /connection 0 is open/,
  },
  'believes a stranger': {
    run: () => runDoor(some(doorBatches(cellNamed('H1 × H1'), EACH), 'from a stranger'), 'all'),
    breach: /it was told "HTTP/,
  },
};

/** Cases by a part of their names; without a fault nothing may be found among them, as the tests of the matrix itself say. */
function some<Case extends { readonly name: string }>(batches: readonly (readonly Case[])[], part: string): Case[] {
  const found = batches.flat().filter(({ name }) => name.includes(part));
  assert.ok(found.length > 0, `no case of ${part}`);
  return found;
}

function cellNamed(name: string): Cell {
  const found = CELLS.find((cell) => cell.name === name);
  assert.ok(found, `no cell ${name}`);
  return found;
}

const EACH = { stride: 1, seed: 0 };

describe('a proxy that', () => {
  for (const [name, fault] of Object.entries(UPSTREAM)) {
    test(`${name} is found`, async () => {
      const findings = await runUpstream(some(upstreamBatches(cellNamed(fault.cell), EACH), fault.cases), fault.plant);
      assert.match(findings.flatMap(({ breaches }) => breaches).join('\n'), fault.breach);
    });
  }
  for (const [name, fault] of Object.entries(CLIENT)) {
    test(`${name} is found`, async () => {
      const findings = await runClient(some(clientBatches(cellNamed(fault.cell), EACH), fault.cases), fault.plant);
      assert.match(findings.flatMap(({ breaches }) => breaches).join('\n'), fault.breach);
    });
  }
  for (const [name, { run, breach }] of Object.entries(OTHERS)) {
    test(`${name} is found`, async () => {
      const findings = await run();
      assert.match(findings.flatMap(({ breaches }) => breaches).join('\n'), breach);
    });
  }
});
