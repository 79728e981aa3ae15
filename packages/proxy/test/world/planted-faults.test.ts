/** Each invariant can fail: a fault is planted between the proxy and the world, and the properties must find it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { breachesOf, kindBreachesOf } from './invariants.ts';
import { latin1 } from './messages.ts';
import { kindWorlds, PLAIN_ANSWER, PLAIN_CLIENT, PLAIN_REQUEST, PLAIN_WORLD, rudeWorlds, slowWorlds, type WorldPlan } from './plan.ts';
import { edit, LyingStream } from './planted.ts';
import { bookFaults, hooking, type PlantedFaults, testFaults } from './planted-faults.ts';
import type { Planted } from './proxy-under-test.ts';
import { type ExchangeRecord, runWorld } from './proxy-world.ts';

type Worlds = 'kind' | 'rude' | 'slow' | 'upgrade' | 'lossy';

const REQUEST_LINE = /^([A-Z]+ \S+ HTTP\/1\.1\r\n)/;

const FAULTS: PlantedFaults<Worlds, ExchangeRecord> = {
  ...bookFaults<ExchangeRecord>(),
  'changes the last byte of what comes from an origin': {
    invariants: ['I1', 'I7'],
    worlds: 'rude',
    plant: () => ({
      originSide: (stream) =>
        new LyingStream(stream, {
          incoming: (chunk) => (chunk.length < 100 ? chunk : chunk.map((byte, i) => (i === chunk.length - 1 ? byte ^ 1 : byte))),
        }),
    }),
  },
  'swaps two bytes of an upload': {
    invariants: ['I1'],
    worlds: 'kind',
    plant: () => ({
      originSide: (stream) =>
        new LyingStream(stream, {
          outgoing: (chunk) => {
            const swapped = chunk.slice();
            const end = chunk.length - 1;
            if (chunk.length > 300) [swapped[end], swapped[end - 1]] = [chunk[end - 1] as number, chunk[end] as number];
            return swapped;
          },
        }),
    }),
  },
  'makes a cut chunked answer look whole': {
    invariants: ['I1'],
    worlds: 'rude',
    plant: () => ({
      clientSide: (stream) => {
        let said = '';
        const listen = edit((text) => (said = `${said}${text}`) && text);
        return new LyingStream(stream, {
          outgoing: listen,
          lastWords: () =>
            /chunked\r\n(?:.+\r\n)*\r\n/.test(said) && !said.endsWith('0\r\n\r\n') && !said.includes('\r\n0\r\n')
              ? latin1('0\r\n\r\n')
              : null,
        });
      },
    }),
  },
  'forgets that a stream has room again': {
    invariants: ['I1'],
    worlds: 'kind',
    plant: () => ({ clientSide: (stream) => new LyingStream(stream, { hidesDrain: true }) }),
  },
  'keeps the last byte of an answer until the next one': {
    invariants: ['I4'],
    worlds: 'rude',
    plant: () => ({
      clientSide: (stream) => {
        let kept = '';
        return new LyingStream(stream, {
          outgoing: edit((text) => {
            const out = kept + text;
            kept = out.slice(-1);
            return out.slice(0, -1);
          }),
        });
      },
    }),
  },
  'adds a field to a request': {
    invariants: ['I5'],
    worlds: 'kind',
    plant: () => ({
      originSide: (stream) => new LyingStream(stream, { outgoing: edit((text) => text.replace(REQUEST_LINE, '$1X-More: 1\r\n')) }),
    }),
  },
  'writes a second length': {
    invariants: ['I5'],
    worlds: 'kind',
    plant: () => ({
      originSide: (stream) =>
        new LyingStream(stream, { outgoing: edit((text) => text.replace('Content-Length: 0', 'Content-Length: +0')) }),
    }),
  },
  'lets a second request slip out behind the first': {
    invariants: ['I5', 'I7', 'I8'],
    worlds: 'kind',
    plant: () => ({
      originSide: (stream) =>
        new LyingStream(stream, {
          outgoing: edit((text) => (text.startsWith('GET ') ? `${text}GET /way/9 HTTP/1.1\r\nHost: first.example\r\n\r\n` : text)),
        }),
    }),
  },
  'gives answers to the wrong requests': {
    invariants: ['I7'],
    worlds: 'kind',
    plant: () => ({
      clientSide: (stream) =>
        new LyingStream(stream, {
          outgoing: edit((text) => text.replace(/X-Token: t(\d+)/, (_, token) => `X-Token: t${Number(token) + 1}`)),
        }),
    }),
  },
  'pools a connection whose peer has ended it': {
    invariants: ['I8'],
    worlds: 'rude',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { hidesEnd: true }) }),
  },
  'pools a connection with unread bytes': {
    invariants: ['I8'],
    worlds: 'rude',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { incoming: edit((text) => (text === '\r\n' ? '' : text)) }) }),
  },
  'pools a connection that says close': {
    invariants: ['I8'],
    worlds: 'kind',
    plant: () => ({
      originSide: (stream) =>
        new LyingStream(stream, { incoming: edit((text) => text.replace('Connection: close', 'Connection: clove')), hidesEnd: true }),
    }),
  },
  'pools an upgraded connection': {
    invariants: ['I9'],
    worlds: 'upgrade',
    // Requests that ask for a switch share no connection, so the wish is hidden from the proxy, and the switch with it.
    plant: () => ({
      clientSide: (stream) =>
        new LyingStream(stream, { incoming: edit((text) => text.replace('\r\nUpgrade: echo\r\n', '\r\nX-Wish: echo\r\n')) }),
      originSide: (stream) =>
        new LyingStream(stream, {
          outgoing: edit((text) => text.replace('\r\nX-Wish: echo\r\n', '\r\nConnection: upgrade\r\nUpgrade: echo\r\n')),
          incoming: edit((text) =>
            text.replace(
              /^HTTP\/1\.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo/,
              'HTTP/1.1 200 OK\r\nContent-Length: 0',
            ),
          ),
        }),
    }),
  },
  'calls a failed request whole': {
    invariants: ['I12'],
    worlds: 'rude',
    plant: () => hooking((hooks) => ({ logging: (session, _error, record) => hooks.logging?.(session, null, record) })),
  },
  'does not let go of a connection': {
    invariants: ['I12', 'I13'],
    worlds: 'rude',
    plant: () => ({ originSide: (stream) => new LyingStream(stream, { ignoresAbort: true }) }),
  },
  'tries more often than it may': {
    invariants: ['I14'],
    worlds: 'lossy',
    plant: () => ({ options: (options) => ({ ...options, maxRetries: 6 }) }),
  },
  'says of what an origin has had that it was never sent': {
    invariants: ['I14'],
    worlds: 'lossy',
    plant: () => ({
      options: (options) => ({ ...options, maxRetries: 6 }),
      ...hooking((hooks) => ({
        logging: (session, error, record) => {
          hooks.logging?.(session, error, record);
          record.refusals = Math.max(0, record.attempts - 2);
        },
      })),
    }),
  },
  'says of places that were never there that it has lost them': {
    invariants: ['I14'],
    worlds: 'rude',
    plant: () =>
      hooking((hooks) => ({
        logging: (session, error, record) => {
          hooks.logging?.(session, error, record);
          record.refusals += 9;
        },
      })),
  },
  'does not heed back-pressure': {
    invariants: ['I16'],
    worlds: 'slow',
    plant: () => ({
      clientSide: (stream) => new LyingStream(stream, { alwaysHasRoom: true }),
      originSide: (stream) => new LyingStream(stream, { alwaysHasRoom: true }),
    }),
  },
  'lets a hop-by-hop field cross': {
    invariants: ['I22'],
    worlds: 'kind',
    plant: () => ({
      originSide: (stream) =>
        new LyingStream(stream, { outgoing: edit((text) => text.replace(REQUEST_LINE, '$1Keep-Alive: timeout=9\r\n')) }),
    }),
  },
  'lets a NUL out': {
    invariants: ['I22'],
    worlds: 'kind',
    plant: () => ({
      clientSide: (stream) => new LyingStream(stream, { outgoing: edit((text) => text.replace('X-Attempt: ', 'X-Attempt: \0')) }),
    }),
  },
  'splits a response in two': {
    invariants: ['I7', 'I22', 'I1'],
    worlds: 'kind',
    plant: () => ({
      clientSide: (stream) => new LyingStream(stream, { outgoing: edit((text) => text.replace('X-Attempt: ', 'X-Attempt: \r\n\r\n')) }),
    }),
  },
};

/** An upgrade, and another request for the same origin after it. */
const upgradeWorlds: fc.Arbitrary<WorldPlan> = fc.nat().map((seed) => ({
  ...PLAIN_WORLD,
  seed,
  clients: [
    { ...PLAIN_CLIENT, requests: [{ ...PLAIN_REQUEST, asksUpgrade: true }] },
    { ...PLAIN_CLIENT, startMs: 1_000 },
  ],
}));

/** An origin that has each request, and answers none. */
const lossyWorlds: fc.Arbitrary<WorldPlan> = fc.nat().map((seed) => ({
  ...PLAIN_WORLD,
  seed,
  clients: [{ ...PLAIN_CLIENT, requests: [{ ...PLAIN_REQUEST, answers: [{ ...PLAIN_ANSWER, fault: { kind: 'reset', at: 0 } }] }] }],
}));

const WORLDS: Readonly<Record<Worlds, fc.Arbitrary<WorldPlan>>> = {
  kind: kindWorlds,
  rude: rudeWorlds,
  slow: slowWorlds,
  upgrade: upgradeWorlds,
  lossy: lossyWorlds,
};

describe('a proxy that', () => {
  testFaults(FAULTS, {
    worlds: WORLDS,
    mostWorlds: 150,
    breachesOf: async (plan, planted, worlds) => {
      const report = await runWorld(plan, planted);
      return worlds === 'kind' ? kindBreachesOf(report) : breachesOf(report);
    },
  });

  test('draws from a chance of its own breaks I23', async () => {
    let draws = 0;
    const planted: Planted<ExchangeRecord> = {
      hooks: (hooks, world) => ({
        ...hooks,
        requestFilter: () => new Promise((resolve) => void world.clock.schedule(++draws, () => resolve(false))),
      }),
    };
    const [plan] = fc.sample(kindWorlds, { numRuns: 1, seed: 11 });
    const first = await runWorld(plan as WorldPlan, planted);
    const second = await runWorld(plan as WorldPlan, planted);
    assert.notEqual(first.hash, second.hash);
  });
});
