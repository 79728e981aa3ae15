/** The judges can say no: faults are planted in what the proxy sends, logs and lets go, and each must be told by its breach. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { ProxyHooks } from '@ferrata/proxy';
import { edit, LyingStream } from '../world/planted.ts';
import { clientBatches } from './client-plan.ts';
import { runClient } from './client-run.ts';
import { CELLS, type Cell } from './ends.ts';
import type { Plant } from './matrix-world.ts';
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

/** Changes each RST_STREAM frame (RFC 9113 §6.4) in what goes out. */
function editResets(change: (frame: Uint8Array) => void): (chunk: Uint8Array) => Uint8Array {
  return (chunk) => {
    const edited = chunk.slice();
    for (let at = 0; at + 9 <= edited.length; ) {
      const length = ((edited[at] as number) << 16) | ((edited[at + 1] as number) << 8) | (edited[at + 2] as number);
      if (edited[at + 3] === 0x3) change(edited.subarray(at, at + 9 + length));
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
      editResets((frame) => {
        frame[3] = 0x0;
        frame[4] = 0x1;
      }),
    ),
    breach: /the answer is whole, not cut/,
  },
  'resets a stream that was cut with CANCEL': {
    cell: 'h2c × h2c',
    cases: 'a body of known length: end',
    plant: outgoing(editResets((frame) => frame.set([8], 12))),
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

function cellNamed(name: string): Cell {
  const found = CELLS.find((cell) => cell.name === name);
  assert.ok(found, `no cell ${name}`);
  return found;
}

/** The cases of a planted fault; without the fault nothing may be found among them, as the tests of the matrix itself say. */
function casesOf<Case extends { readonly name: string }>(batches: readonly (readonly Case[])[], { cases }: PlantedFault): Case[] {
  const found = batches.flat().filter(({ name }) => name.includes(cases));
  assert.ok(found.length > 0, `no case of ${cases}`);
  return found;
}

const EACH = { stride: 1, seed: 0 };

describe('a proxy that', () => {
  for (const [name, fault] of Object.entries(UPSTREAM)) {
    test(`${name} is found`, async () => {
      const findings = await runUpstream(casesOf(upstreamBatches(cellNamed(fault.cell), EACH), fault), fault.plant);
      assert.match(findings.flatMap(({ breaches }) => breaches).join('\n'), fault.breach);
    });
  }
  for (const [name, fault] of Object.entries(CLIENT)) {
    test(`${name} is found`, async () => {
      const findings = await runClient(casesOf(clientBatches(cellNamed(fault.cell), EACH), fault), fault.plant);
      assert.match(findings.flatMap(({ breaches }) => breaches).join('\n'), fault.breach);
    });
  }
});
