import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { type ActClient, type Begun, NodeHttp2ActClient } from '../h2-peers/act-clients.ts';
import { startNodeHttp2Acts } from '../h2-peers/act-servers.ts';
import { actOf, type Endings, pathOf } from '../h2-peers/acts.ts';
import { compareRequest, compareResponse } from '../h2-peers/compare.ts';
import { pseudoOf, requestFieldLines, responseFieldLines, withoutPseudo } from '../h2-peers/field-lines.ts';
import { isGrouped } from '../h2-peers/node-client.ts';
import { startNodeHttp2Server } from '../h2-peers/node-server.ts';
import { runParallel } from '../h2-peers/parallel.ts';
import { asHttp2, drawnHttp2Plans, enumeratedHttp2Plans } from '../h2-peers/plans.ts';
import { loadProblem } from '../h2-peers/programs.ts';
import { runResets } from '../h2-peers/resets.ts';
import { nodeCarries, nodeClient, type Route } from '../h2-peers/routes.ts';
import { Suite } from '../h2-peers/suite.ts';
import type { PlanClient } from '../http1-peers/client.ts';
import type { SeenRequest, SeenResponse } from '../http1-peers/ledger.ts';
import type { PlanServer } from '../http1-peers/node-server.ts';
import { bodyBytes, type Plan, plan } from '../http1-peers/plan.ts';

const enumerated = enumeratedHttp2Plans();

describe('the plans', () => {
  test('have ids of their own, and nothing that HTTP/2 cannot say', () => {
    assert.equal(new Set(enumerated.map(({ id }) => id)).size, enumerated.length);
    for (const one of [...enumerated, ...drawnHttp2Plans(1, 50)]) {
      assert.notEqual(one.response.framing, 'untilClose', one.id);
      assert.equal(one.request.connection, 'none', one.id);
      assert.equal(one.response.reason, '', one.id);
    }
  });

  test('are drawn alike from the same seed, and differently from another', () => {
    assert.deepEqual(drawnHttp2Plans(1, 20), drawnHttp2Plans(1, 20));
    assert.notDeepEqual(drawnHttp2Plans(1, 20)[0]?.request, drawnHttp2Plans(2, 20)[0]?.request);
  });

  test('leave out what HTTP/2 cannot say (RFC 9113 §8.2.2, §8.3.1)', () => {
    assert.notEqual(asHttp2(plan('x', { fields: [['TE', 'trailers']] })), null);
    for (const one of [
      plan('x', { fields: [['TE', 'gzip']] }),
      plan('x', {}, { fields: [['Keep-Alive', 'timeout=5']] }),
      plan('x', {}, { interim: [{ status: 103, fields: [['Upgrade', 'h2c']] }] }),
      plan('x', {}, { framing: 'untilClose' }),
      plan('x', { target: 'http://a.example/' }),
      plan('x', { method: 'CONNECT' }),
      plan('x', { host: '' }),
    ]) {
      assert.equal(asHttp2(one), null);
    }
  });

  test('are spelled with pseudo-header fields first and names in lower case (RFC 9113 §8.2, §8.3)', () => {
    const one = plan('x', { method: 'POST', framing: 'length', body: 3, fields: [['X-A', 'B']] }, { status: 404, framing: 'chunked' });
    assert.deepEqual(requestFieldLines(one, 't1'), [
      [':method', 'POST'],
      [':scheme', 'http'],
      [':authority', 'plan.example:8080'],
      [':path', '/'],
      ['x-token', 't1'],
      ['x-a', 'B'],
      ['content-length', '3'],
    ]);
    assert.deepEqual(responseFieldLines(one, 't1'), [
      [':status', '404'],
      ['x-token', 't1'],
    ]);
    assert.deepEqual(withoutPseudo(requestFieldLines(one, 't1')).slice(0, 2), [
      ['host', 'plan.example:8080'],
      ['x-token', 't1'],
    ]);
  });

  test('whose lines of one name stand apart cannot be said by an object', () => {
    assert.ok(isGrouped([]));
    assert.ok(
      isGrouped([
        ['a', '1'],
        ['A', '2'],
        ['b', '3'],
      ]),
    );
    assert.ok(
      !isGrouped([
        ['a', '1'],
        ['b', '2'],
        ['a', '3'],
      ]),
    );
  });
});

describe('the comparison', () => {
  const one = plan(
    'x',
    {
      method: 'POST',
      framing: 'length',
      body: 50,
      fields: [
        ['Cookie', 'a=1'],
        ['X-A', '1'],
        ['Cookie', 'b=2'],
        ['x-a', '2'],
      ],
    },
    { framing: 'chunked', body: 60, trailers: [['X-Sum', '1']], interim: [{ status: 103, fields: [['Link', '<a>']] }] },
  );
  const request: SeenRequest = {
    method: 'POST',
    target: '/',
    minorVersion: 1,
    fields: withoutPseudo(requestFieldLines(one, 't1')),
    body: bodyBytes(50, 't1', 'request'),
    trailers: [],
  };
  const response: SeenResponse = {
    interim: [{ status: 103, fields: [['link', '<a>']] }],
    status: 200,
    reason: '',
    fields: withoutPseudo(responseFieldLines(one, 't1')),
    body: bodyBytes(60, 't1', 'response'),
    trailers: [['x-sum', '1']],
    connection: 1,
  };

  test('finds nothing in what came as planned, names in whatever case, crumbs of cookies together or not (RFC 9113 §8.2.3)', () => {
    assert.deepEqual(compareRequest(one, 't1', request), []);
    assert.deepEqual(compareResponse(one, 't1', response), []);
    const joined = [...request.fields.filter(([name]) => name !== 'cookie'), ['Cookie', 'a=1; b=2'] as const];
    assert.deepEqual(compareRequest(one, 't1', { ...request, fields: joined }), []);
  });

  const withoutLength = request.fields.filter(([name]) => name !== 'content-length');
  const changedRequests: Readonly<Record<string, Partial<SeenRequest>>> = {
    method: { method: 'PUT' },
    target: { target: '/other' },
    'request body': { body: bodyBytes(50, 't2', 'request') },
    'request trailers': { trailers: [['x-sum', '1']] },
    'request token': { fields: request.fields.map(([name, value]) => [name, name === 'x-token' ? 't2' : value]) },
    'request Content-Length': { fields: withoutLength },
    'request Content-Length of two values': { fields: [...request.fields, ['content-length', '50']] },
    'request fields': { fields: [...request.fields, ['x-more', '']] },
    'request fields in order': { fields: request.fields.toReversed() },
    'request fields of cookies': { fields: request.fields.filter(([, value]) => value !== 'a=1') },
    Host: { fields: request.fields.map(([name, value]) => [name, name === 'host' ? 'evil.example' : value]) },
  };
  for (const [what, change] of Object.entries(changedRequests)) {
    test(`finds another ${what}`, () => {
      assert.match(compareRequest(one, 't1', { ...request, ...change }).join(), new RegExp(what.replace(/ (?:in|of) .*/, '')));
    });
  }

  const changedResponses: Readonly<Record<string, Partial<SeenResponse>>> = {
    status: { status: 201 },
    'response body': { body: new Uint8Array(60) },
    'response body that is cut': { body: response.body.subarray(0, 59) },
    'response token': { fields: [] },
    'response trailers': { trailers: [] },
    'interim responses': { interim: [] },
    'fields of interim response 1': { interim: [{ status: 103, fields: [] }] },
    'response Content-Length': { fields: [...response.fields, ['content-length', '60']] },
  };
  for (const [what, change] of Object.entries(changedResponses)) {
    test(`finds another ${what}`, () => {
      assert.match(compareResponse(one, 't1', { ...response, ...change }).join(), new RegExp(what.replace(/ that .*/, '')));
    });
  }
});

describe('a route', () => {
  const few = [
    'fields/duplicates/chunked',
    'fields/traps/plain',
    'interim/103/get',
    'response/GET/200/trailers',
    'early/length/20/413',
    'crumbs/apart',
  ];
  const suite = new Suite();
  let server: PlanServer;
  before(async () => {
    server = await startNodeHttp2Server(suite.ledger);
  });
  after(() => server.close());

  /** Node's client, with a hand in what it gives back. */
  function routeWith(change: (seen: SeenResponse, one: Plan) => SeenResponse): Route {
    const open = (): PlanClient => {
      const client = nodeClient.open(server);
      return { send: async (one, token) => change(await client.send(one, token), one), close: () => client.close() };
    };
    return { name: 'changed', client: { ...nodeClient, open }, where: server, canCarry: nodeCarries, isSteady: true };
  }

  async function failures(change: (seen: SeenResponse, one: Plan) => SeenResponse): Promise<string> {
    const plans = enumerated.filter(({ id }) => few.includes(id));
    const outcomes = await suite.runRoute(routeWith(change), plans, () => true);
    assert.equal(outcomes.length, few.length);
    return outcomes.flatMap(({ problem }) => problem ?? []).join('\n');
  }

  test('between peers that are both of Node passes', async () => {
    assert.equal(await failures((seen) => seen), '');
  });

  test('whose answers lose a line, a byte, a trailer or the connection fails', async () => {
    assert.match(
      await failures((seen) => ({ ...seen, fields: seen.fields.filter(([name]) => !name.startsWith('x-tw')) })),
      /response fields/,
    );
    assert.match(await failures((seen) => ({ ...seen, body: seen.body.toReversed() })), /response body: differs from byte \d+ on/);
    assert.match(await failures((seen) => ({ ...seen, trailers: [] })), /response trailers/);
    let count = 0;
    assert.match(await failures((seen) => ({ ...seen, connection: ++count })), /the connection was given up/);
  });

  test('whose answers change places among many at once fails', async () => {
    const plans = enumerated.filter(({ id }) => id.startsWith('size/'));
    assert.equal(
      await runParallel(
        suite,
        routeWith((seen) => seen),
        plans,
        1,
      ),
      null,
    );
    const open = (): PlanClient => {
      const client = nodeClient.open(server);
      let last: SeenResponse | null = null;
      const swapped = (seen: SeenResponse): SeenResponse => {
        const other = last ?? seen;
        last = seen;
        return other;
      };
      return { send: async (one, token) => swapped(await client.send(one, token)), close: () => client.close() };
    };
    const route: Route = { ...routeWith((seen) => seen), client: { ...nodeClient, open } };
    assert.match((await runParallel(suite, route, plans, 1)) ?? '', /response token: "t\d+", "t\d+" planned/);
  });
});

describe('giving up', () => {
  let server: PlanServer & { readonly endings: Endings };
  let tokens = 0;
  before(async () => {
    server = await startNodeHttp2Acts();
  });
  after(() => server.close());

  async function problems(open: () => ActClient): Promise<string> {
    const route = { name: 'x', open, where: server, endings: server.endings, asksAgain: false };
    const outcomes = await runResets(
      route,
      () => `t${++tokens}`,
      (id) => !id.endsWith('/at-once'),
    );
    return outcomes.flatMap(({ id, problem }) => (problem === null ? [] : [`${id}: ${problem}`])).join('\n');
  }

  test('passes where both sides are told and nobody else notices', async () => {
    assert.equal(await problems(() => new NodeHttp2ActClient(server)), '');
  });

  test('fails where an answer that was cut short looks whole, or another is lost', async () => {
    class Trusting extends NodeHttp2ActClient {
      override async begin(path: string, sends: 'nothing' | 'part'): Promise<Begun> {
        const begun = await super.begin(path, sends);
        return { ...begun, whole: begun.whole.catch(() => new Uint8Array(0)) };
      }
    }
    assert.match(await problems(() => new Trusting(server)), /an answer that was cut short looks whole/);
    class Losing extends NodeHttp2ActClient {
      override async begin(path: string, sends: 'nothing' | 'part'): Promise<Begun> {
        const begun = await super.begin(path, sends);
        return { ...begun, whole: begun.whole.then((bytes) => bytes.slice(1)) };
      }
    }
    assert.match(await problems(() => new Losing(server)), /another answer has 149999 bytes/);
  });
});

test('a path says what is to be done', () => {
  assert.deepEqual(actOf(pathOf('bytes', 't1', 500)), { kind: 'bytes', token: 't1', byteCount: 500 });
  assert.equal(actOf('/probe'), null);
  assert.equal(pseudoOf([[':path', '/x']], ':path'), '/x');
});

test('the sums of h2load must be whole', () => {
  const right = `requests: 20 total, 20 started, 20 done, 20 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 20 2xx, 0 3xx, 0 4xx, 0 5xx
`;
  assert.equal(loadProblem(right, 20), null);
  assert.match(loadProblem(right, 21) ?? '', /20 total/);
  assert.match(loadProblem(right.replace('0 errored', '1 errored'), 20) ?? '', /1 errored/);
  assert.match(loadProblem(right.replace('20 2xx, 0 3xx', '19 2xx, 1 3xx'), 20) ?? '', /19 2xx/);
  assert.match(loadProblem('', 20) ?? '', /no line/);
});
