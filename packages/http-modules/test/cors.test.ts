import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type CorsOptions, cors, type HttpModuleKind } from '@ferrata/http-modules';
import fc from 'fast-check';
import { type Answer, kind, through } from './rig.ts';

const SITE = 'https://site.example';
const OTHER = 'https://other.example';

const get = (options: CorsOptions, origin: string | null, fields: Record<string, string> = {}): Promise<Answer> =>
  through([cors(options)], { fields: origin === null ? {} : { Origin: origin } }, { fields, body: 'data' });
const preflight = (
  options: CorsOptions,
  origin: string,
  fields: Record<string, string> = {},
  kinds: HttpModuleKind[] = [],
): Promise<Answer> =>
  through(
    [...kinds, cors(options)],
    { method: 'OPTIONS', fields: { Origin: origin, 'Access-Control-Request-Method': 'PUT', ...fields } },
    { body: 'not asked' },
  );
const named = ({ headers }: Answer, name: string): string | undefined => headers.combined(`access-control-${name}`);

describe('CORS', () => {
  it('names an origin that is allowed, and says that the answer depends on it', async () => {
    const answer = await get({ origins: [SITE], exposedHeaders: ['X-Total'] }, SITE);
    assert.deepEqual(
      [answer.status, answer.body, named(answer, 'allow-origin'), named(answer, 'expose-headers')],
      [200, 'data', SITE, 'X-Total'],
    );
    assert.equal(answer.headers.get('vary'), 'Origin');
    assert.equal(named(answer, 'allow-credentials'), undefined);
  });
  it('takes no expression for a leave of `null`, which anybody can be: it must be named', async () => {
    for (const origins of [[/.*/], [/null|https:.*/]]) {
      assert.equal(named(await get({ origins, credentials: true }, 'null'), 'allow-origin'), undefined);
      assert.equal(named(await get({ origins }, SITE), 'allow-origin'), SITE);
    }
    assert.equal(named(await get({ origins: [/.*/, 'null'] }, 'null'), 'allow-origin'), 'null');
  });
  it('refuses stars that would be mere names beside credentials', () => {
    for (const option of ['methods', 'requestHeaders', 'exposedHeaders'] as const)
      assert.throws(() => cors({ origins: [SITE], credentials: true, [option]: ['*'] }), TypeError);
    cors({ origins: '*', methods: ['*'], requestHeaders: ['*'], exposedHeaders: ['*'] });
  });
  it('says so to others too, lest a cache give them what it has for one', async () => {
    for (const origin of [OTHER, null]) {
      const answer = await get({ origins: [SITE], credentials: true }, origin, { Vary: 'Accept' });
      assert.deepEqual(
        [answer.headers.get('vary'), named(answer, 'allow-origin'), named(answer, 'allow-credentials')],
        ['Accept, Origin', undefined, undefined],
      );
    }
    assert.equal((await get({ origins: [SITE] }, SITE, { Vary: '*' })).headers.combined('vary'), '*');
    assert.equal((await get({ origins: [SITE] }, SITE, { Vary: 'origin' })).headers.combined('vary'), 'origin');
  });
  it('grants everybody the same, without Vary, also to those who name no origin', async () => {
    for (const origin of [SITE, null]) {
      const answer = await get({ origins: '*' }, origin);
      assert.deepEqual([named(answer, 'allow-origin'), answer.headers.has('vary')], ['*', false]);
    }
  });
  it('replaces what an application says by itself', async () => {
    const careless = {
      'Access-Control-Allow-Origin': OTHER,
      'Access-Control-Allow-Credentials': 'true',
      'Access-Control-Expose-Headers': '*',
    };
    const answer = await get({ origins: [SITE] }, OTHER, careless);
    assert.deepEqual(
      [named(answer, 'allow-origin'), named(answer, 'allow-credentials'), named(answer, 'expose-headers')],
      [undefined, undefined, undefined],
    );
    assert.equal(named(await get({ origins: [SITE] }, SITE, careless), 'allow-origin'), SITE);
  });
  it('answers a preflight, and the application hears nothing', async () => {
    const options = { origins: [SITE], methods: ['PUT', 'GET'], requestHeaders: ['X-Token'], credentials: true, maxAgeSeconds: 600 };
    const answer = await preflight(options, SITE, { 'Access-Control-Request-Headers': 'x-token' });
    assert.deepEqual([answer.status, answer.body], [204, '']);
    assert.deepEqual(
      ['allow-origin', 'allow-methods', 'allow-headers', 'allow-credentials', 'max-age', 'allow-private-network'].map((name) =>
        named(answer, name),
      ),
      [SITE, 'GET, HEAD, POST, PUT', 'X-Token', 'true', '600', undefined],
    );
    assert.equal(answer.headers.get('vary'), 'Origin');
  });
  it('refuses the preflight of others, and names nobody', async () => {
    const answer = await preflight({ origins: [SITE], requestHeaders: 'requested' }, OTHER, {
      'Access-Control-Request-Headers': 'x-token',
    });
    assert.equal(answer.status, 403);
    for (const [name] of answer.headers) assert.doesNotMatch(name, /^access-control/i);
    assert.equal(answer.headers.get('vary'), 'Origin, Access-Control-Request-Headers');
  });
  it('gives back the fields that are asked for, if they are names', async () => {
    const options: CorsOptions = { origins: '*', requestHeaders: 'requested' };
    const asked = (value: string): Promise<Answer> => preflight(options, SITE, { 'Access-Control-Request-Headers': value });
    assert.equal(named(await asked('x-a,x-b'), 'allow-headers'), 'x-a, x-b');
    assert.equal(named(await asked('x-a, <script>'), 'allow-headers'), undefined);
    assert.equal(named(await preflight(options, SITE), 'allow-headers'), undefined);
    assert.equal((await asked('a,'.repeat(101))).status, 431);
  });
  it('lets sites into a private network only where that is wanted', async () => {
    const asked = { 'Access-Control-Request-Private-Network': 'true' };
    assert.equal(named(await preflight({ origins: [SITE], privateNetwork: true }, SITE, asked), 'allow-private-network'), 'true');
    assert.equal(named(await preflight({ origins: [SITE], privateNetwork: true }, SITE), 'allow-private-network'), undefined);
    assert.equal(named(await preflight({ origins: [SITE] }, SITE, asked), 'allow-private-network'), undefined);
  });
  it('stands in front of what asks for credentials, and names the origin in its answer', async () => {
    const guard = kind('guard', { requestFilter: (_, exchange) => exchange.respond(401) });
    assert.equal((await preflight({ origins: [SITE] }, SITE, {}, [guard])).status, 204);
    const refused = await through([guard, cors({ origins: [SITE] })], { fields: { Origin: SITE } }, {});
    assert.deepEqual([refused.status, named(refused, 'allow-origin')], [401, SITE]);
  });
  it('leaves an OPTIONS alone that is no preflight', async () => {
    assert.equal(
      (await through([cors({ origins: [SITE] })], { method: 'OPTIONS', fields: { Origin: SITE } }, { body: 'own' })).body,
      'own',
    );
  });
  it('asks a function, which may take its time; only true counts', async () => {
    for (const [said, allowed] of [
      [true, SITE],
      [false, undefined],
      ['yes', undefined],
    ] as const) {
      for (const origins of [() => said as boolean, () => Promise.resolve(said as boolean)]) {
        assert.equal(named(await get({ origins }, SITE), 'allow-origin'), allowed);
        assert.equal((await preflight({ origins }, SITE)).status, allowed === undefined ? 403 : 204);
      }
    }
  });
  it('takes expressions for the whole of an origin', async () => {
    const origins = [/https:\/\/(a|b)\.example/g, /https:\/\/[a-z]+\.c\.example/i];
    const cases: readonly (readonly [string, boolean])[] = [
      ['https://a.example', true],
      ['https://x.c.example', true],
      ['https://a.example.attacker.test', false],
      ['https://attacker.test/https://a.example', false],
      ['null', false],
    ];
    const kinds = [cors({ origins })];
    // Twice: a global expression has a memory.
    for (const [origin, allowed] of cases.flatMap((one) => [one, one])) {
      const answer = await through(kinds, { fields: { Origin: origin } }, {});
      assert.equal(named(answer, 'allow-origin'), allowed ? origin : undefined, origin);
    }
  });
  it('never names an origin that is not allowed', async () => {
    const origin = fc.string({
      unit: fc.constantFrom('https://', 'site', '.example', ':443', '/', 'null', '*', 'evil'),
      minLength: 1,
      maxLength: 5,
    });
    await fc.assert(
      fc.asyncProperty(origin, fc.boolean(), async (sent, credentials) => {
        for (const answer of [await get({ origins: [SITE], credentials }, sent), await preflight({ origins: [SITE], credentials }, sent)]) {
          assert.equal(named(answer, 'allow-origin'), sent === SITE ? SITE : undefined);
        }
      }),
      { numRuns: 40 },
    );
  });
  it('refuses options that would open a door, or none', () => {
    assert.throws(() => cors({ origins: '*', credentials: true }), TypeError);
    for (const origin of [
      'https://site.example/',
      'https://Site.example',
      'https://site.example:443',
      'site.example',
      'https://*.site.example',
      '*',
      '',
    ])
      assert.throws(() => cors({ origins: [origin] }), TypeError, origin);
    for (const origin of ['null', 'https://site.example:8443', 'chrome-extension://abc']) cors({ origins: [origin] });
    assert.throws(() => cors({ origins: [SITE], methods: ['A B'] }), TypeError);
    assert.throws(() => cors({ origins: [SITE], exposedHeaders: ['x\r\ny'] }), TypeError);
    assert.throws(() => cors({ origins: [SITE], maxAgeSeconds: -1 }), RangeError);
  });
});
