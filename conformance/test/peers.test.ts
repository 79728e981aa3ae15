import assert from 'node:assert/strict';
import { connect, createServer, type Socket } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { latin1Encode } from '@ferrata/bytes';
import { type Circumstances, compareRequest, compareResponse } from '../http1-peers/compare.ts';
import { drawnPlans } from '../http1-peers/drawn-plans.ts';
import { Ledger, type SeenRequest, type SeenResponse } from '../http1-peers/ledger.ts';
import { runRawPipelines } from '../http1-peers/pipelines.ts';
import { bodyBytes, markedBytes, type Plan, plan, requestLines, responseLines } from '../http1-peers/plan.ts';
import { wireOf } from '../http1-peers/raw-client.ts';
import type { Route } from '../http1-peers/routes.ts';
import { enumeratedPlans } from '../http1-peers/shapes.ts';
import { Suite } from '../http1-peers/suite.ts';

const direct: Circumstances = { isProxied: false, hasUtf8Reasons: false };
const enumerated = enumeratedPlans();

function planCalled(id: string): Plan {
  const found = enumerated.find((one) => one.id === id);
  assert.ok(found !== undefined, id);
  return found;
}

describe('the plans', () => {
  test('have ids of their own', () => {
    assert.equal(new Set(enumerated.map(({ id }) => id)).size, enumerated.length);
  });

  test('have every framing, both ways, with and without trailers', () => {
    for (const framing of ['none', 'length', 'chunked'])
      assert.ok(
        enumerated.some(({ request }) => request.framing === framing),
        framing,
      );
    for (const framing of ['length', 'chunked', 'untilClose'])
      assert.ok(
        enumerated.some(({ response }) => response.framing === framing),
        framing,
      );
    assert.ok(enumerated.some(({ request }) => request.trailers.length > 0));
    assert.ok(enumerated.some(({ response }) => response.trailers.length > 0));
  });

  test('are drawn alike from the same seed, and differently from another', () => {
    assert.deepEqual(drawnPlans(1, 20), drawnPlans(1, 20));
    assert.notDeepEqual(drawnPlans(1, 20)[0]?.request, drawnPlans(2, 20)[0]?.request);
  });

  test('have bodies that belong to one token, one side and one place only', () => {
    const bytes = bodyBytes(5_000, 't1', 'request');
    assert.notDeepEqual(bytes, bodyBytes(5_000, 't2', 'request'));
    assert.notDeepEqual(bytes, bodyBytes(5_000, 't1', 'response'));
    for (const shift of [1, 256, 1_021, 1_024, 4_096]) {
      assert.notDeepEqual(bytes.slice(shift, shift + 100), bytes.slice(0, 100), `shifted by ${shift}`);
    }
    assert.equal(markedBytes('a mark', 3).length, 3);
  });

  test('are spelled as bytes with their token, drawn ones as they were drawn', () => {
    const chunked = plan('x', { method: 'POST', framing: 'chunked', body: latin1Encode('abc'), pieceBytes: 2, trailers: [['T', 'u']] });
    assert.equal(
      Buffer.from(wireOf(chunked, 't9')).toString('latin1'),
      'POST / HTTP/1.1\r\nHost: plan.example:8080\r\nX-Token: t9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\nT: u\r\n\r\n',
    );
    const drawn = plan('y', { wire: latin1Encode('GET /  HTTP/1.1\r\nhOST:  a\r\n\r\n') });
    assert.equal(Buffer.from(wireOf(drawn, 't9')).toString('latin1'), 'GET /  HTTP/1.1\r\nX-Token: t9\r\nhOST:  a\r\n\r\n');
  });
});

describe('the comparison', () => {
  const one = planCalled('fields/duplicates/chunked');
  const token = 't1';
  const request: SeenRequest = {
    method: one.request.method,
    target: one.request.target,
    minorVersion: 1,
    fields: requestLines(one, token),
    body: bodyBytes(one.request.body, token, 'request'),
    trailers: [],
  };
  const response: SeenResponse = {
    interim: [],
    status: 200,
    reason: 'OK',
    fields: responseLines(one, token),
    body: bodyBytes(one.response.body, token, 'response'),
    trailers: [],
    connection: 1,
  };

  test('finds nothing in what came as planned', () => {
    assert.deepEqual(compareRequest(one, token, request, direct), []);
    assert.deepEqual(compareResponse(one, token, response, direct), []);
  });

  const changedRequests: Readonly<Record<string, Partial<SeenRequest>>> = {
    method: { method: 'PUT' },
    target: { target: '/other' },
    version: { minorVersion: 0 },
    'request body': { body: bodyBytes(one.request.body, 't2', 'request') },
    'request trailers': { trailers: [['X-Sum', '1']] },
    'request token': { fields: requestLines(one, 't2') },
    'request framing': { fields: [...request.fields, ['Content-Length', '50']] },
    'request fields': { fields: [...request.fields, ['X-More', '']] },
    'request fields in order': { fields: request.fields.toReversed() },
    'request fields by case': { fields: request.fields.map(([name, value]) => [name.toLowerCase(), value]) },
    Host: { fields: request.fields.map(([name, value]) => [name, name === 'Host' ? 'evil.example' : value]) },
  };
  for (const [what, change] of Object.entries(changedRequests)) {
    test(`finds another ${what}`, () => {
      assert.match(compareRequest(one, token, { ...request, ...change }, direct).join(), new RegExp(what.replace(/ (?:in|by) .*/, '')));
    });
  }

  const changedResponses: Readonly<Record<string, Partial<SeenResponse>>> = {
    status: { status: 201 },
    reason: { reason: 'ok' },
    'response body': { body: new Uint8Array(50) },
    'response token': { fields: responseLines(one, 't2') },
    'response trailers': { trailers: [['X-Sum', '1']] },
    'interim responses': { interim: [{ status: 103, fields: [] }] },
    'response framing': { fields: responseLines(one, token).filter(([name]) => name !== 'Transfer-Encoding') },
  };
  for (const [what, change] of Object.entries(changedResponses)) {
    test(`finds another ${what}`, () => {
      assert.match(compareResponse(one, token, { ...response, ...change }, direct).join(), new RegExp(what));
    });
  }

  test('wants an absolute target to be a path and a Host behind a proxy (RFC 9112 §3.2.2)', () => {
    const absolute = planCalled('target/absolute');
    const seen: SeenRequest = {
      ...request,
      method: 'GET',
      fields: requestLines(absolute, token),
      target: absolute.request.target,
      body: new Uint8Array(0),
    };
    assert.deepEqual(compareRequest(absolute, token, seen, direct), []);
    assert.match(compareRequest(absolute, token, seen, { ...direct, isProxied: true }).join(), /target: .*Host: /);
    const path: SeenRequest = {
      ...seen,
      target: '/path?q=1',
      fields: [
        ['Host', 'other.example:81'],
        ['X-Token', token],
      ],
    };
    assert.deepEqual(compareRequest(absolute, token, path, { ...direct, isProxied: true }), []);
  });
});

test('the ledger calls a request that comes twice, or that nobody sent, a fault', () => {
  const ledger = new Ledger();
  void ledger.expect(plan('x'), 't1');
  assert.notEqual(ledger.take('GET', '/', [['X-Token', 't1']]), null);
  assert.deepEqual(ledger.takeFaults(), []);
  assert.equal(ledger.take('GET', '/', [['X-Token', 't1']]), null);
  assert.equal(ledger.take('GET', '/smuggled', []), null);
  assert.equal(ledger.takeFaults().length, 2);
  assert.deepEqual(ledger.takeFaults(), []);
});

/** A relay that replaces text on its way to the server, or back. */
async function startRelay(
  port: number,
  toServer: (text: string) => string,
  toClient: (text: string) => string,
): Promise<{ port: number; close: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((client) => {
    const origin = connect({ port, host: '127.0.0.1' });
    for (const socket of [client, origin]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        client.destroy();
        origin.destroy();
      });
    }
    client.on('data', (chunk) => origin.write(toServer(chunk.toString('latin1')), 'latin1'));
    origin.on('data', (chunk) => client.write(toClient(chunk.toString('latin1')), 'latin1'));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  return { port: address.port, close };
}

describe('a route', () => {
  let suite: Suite;
  before(async () => {
    suite = await Suite.start(false);
  });
  after(() => suite.close());

  const same = (text: string): string => text;
  const few = ['fields/duplicates/chunked', 'interim/103/get', 'response/GET/200/trailers', 'connection/none/server-keeps/length'];

  async function failures(name: string, toServer: (text: string) => string, toClient: (text: string) => string): Promise<string> {
    const route = suite.routes.find((candidate) => candidate.name === name);
    assert.ok(route !== undefined, name);
    const relay = await startRelay(route.port, toServer, toClient);
    const changed: Route = { ...route, port: relay.port };
    const outcomes = await suite.runRoute(changed, few.map(planCalled), () => true);
    relay.close();
    assert.equal(outcomes.length, few.length);
    return outcomes.flatMap(({ problem }) => problem ?? []).join('\n');
  }

  for (const name of ['node-ferrata', 'node-proxy-node', 'undici-ferrata', 'raw-proxy-node', 'ferrata-node']) {
    test(`${name}: a relay that changes nothing passes`, async () => {
      assert.equal(await failures(name, same, same), '');
    });
  }

  const changes: Readonly<
    Record<string, readonly [toServer: (text: string) => string, toClient: (text: string) => string, found: RegExp]>
  > = {
    'the case of a request field': [(text) => text.replace('x-twice', 'X-twice'), same, /request fields: /],
    'a byte of a request body': [(text) => text.replace(' request ', ' requesT '), same, /request body: differs from byte \d+ on/],
    'a status': [same, (text) => text.replace(' 200 ', ' 201 '), /status: 201, 200 planned/],
    'an interim status': [same, (text) => text.replace('HTTP/1.1 103', 'HTTP/1.1 102'), /interim responses: "102"/],
    'a trailer': [same, (text) => text.replace('abc==', 'abd=='), /response trailers/],
    'a token': [same, (text) => text.replace(/X-Token: t\d+/i, 'X-Token: t0'), /response token/],
    'whether the connection stays': [
      same,
      (text) => text.replace('\r\n', '\r\nConnection: close\r\n'),
      /was not used again|socket hang up|closed/,
    ],
  };
  for (const [what, [toServer, toClient, found]] of Object.entries(changes)) {
    test(`a relay that changes ${what} is found`, async () => {
      assert.match(await failures('node-ferrata', toServer, toClient), found);
    });
  }

  test('pipelined requests whose answers change places are found', async () => {
    const route = suite.routes.find(({ name }) => name === 'raw-ferrata');
    assert.ok(route !== undefined);
    const swap = (text: string): string => text.replace(/(X-Token: t\d+)([^]*?)(X-Token: t\d+)/i, '$3$2$1');
    const relay = await startRelay(route.port, same, swap);
    const [outcome] = await runRawPipelines(suite, { ...route, port: relay.port }, enumerated.slice(0, 30), (id) =>
      id.endsWith('pipeline/whole/0'),
    );
    relay.close();
    assert.match(outcome?.problem ?? '', /response token: "t\d+", "t\d+" planned/);
  });
});
