/** The suite `discovery`: see `README.md` beside this file. */
import { etcdDiscovery } from '@ferrata/load-balancing';
import { installCommand, providePrograms, versionOf } from '@ferrata/tools/peers';
import { type Outcome, outcomeOf, report, summarise } from '../runner.ts';
import { ETCD, RealEtcd } from './etcd.ts';
import { Follower } from './follower.ts';

const PREFIX = '/backends/app/';
const QUICK = { minRetryMs: 20, maxRetryMs: 500, minIntervalMs: 0 } as const;

/** @returns null: it was skipped */
async function runEtcd(): Promise<readonly Outcome[] | null> {
  const missing = providePrograms([ETCD], (line) => console.log(`discovery: ${line}`));
  if (missing.length > 0) {
    const problem = `etcd is missing and could not be installed, so no real registry was asked; install it with: ${installCommand(missing)}`;
    if ((process.env['CI'] ?? '') !== '') return [{ id: 'etcd', problem }];
    console.log(`discovery: SKIPPED everything: ${problem}`);
    return null;
  }
  console.log(`discovery: etcd ${versionOf('etcd', '--version')}`);
  let etcd: RealEtcd;
  try {
    etcd = await RealEtcd.start();
  } catch (error) {
    return [{ id: 'etcd', problem: error instanceof Error ? error.message : String(error) }];
  }
  const outcomes: Outcome[] = [];
  for (const [name, check] of CHECKS) outcomes.push(await outcomeOf(`etcd/${name}`, () => check(etcd)));
  await etcd.close();
  return outcomes;
}

/** Each begins with what the one before has left: an etcd that runs, with whatever keys. */
type Check = (etcd: RealEtcd) => Promise<string | null>;

const CHECKS: readonly (readonly [name: string, check: Check])[] = [
  [
    'puts-and-deletions',
    async (etcd) =>
      await followed(etcd, {}, async (follower) => {
        await etcd.put('/elsewhere', '10.9.9.9:80');
        return (
          (await follower.until()) ??
          (await after(etcd.put(`${PREFIX}1`, '10.0.0.1:80'), follower.until('10.0.0.1:80'))) ??
          (await after(etcd.put(`${PREFIX}2`, '{"address":"10.0.0.2:80","weight":3}'), follower.until('10.0.0.1:80', '10.0.0.2:80'))) ??
          (await after(etcd.put(`${PREFIX}1`, '10.0.0.3:80'), follower.until('10.0.0.2:80', '10.0.0.3:80'))) ??
          (await after(etcd.delete(`${PREFIX}2`), follower.until('10.0.0.3:80'))) ??
          none(follower)
        );
      }),
  ],
  [
    'one-bad-value',
    async (etcd) =>
      await followed(etcd, {}, async (follower) => {
        const problem =
          (await follower.until('10.0.0.3:80')) ??
          (await after(etcd.put(`${PREFIX}bad`, 'nonsense'), follower.untilFailure(/^DISCOVERY_ENTRY_INVALID$/)));
        await etcd.delete(`${PREFIX}bad`);
        return problem ?? (await after(etcd.put(`${PREFIX}4`, '10.0.0.4:80'), follower.until('10.0.0.3:80', '10.0.0.4:80')));
      }),
  ],
  [
    'pages',
    async (etcd) => {
      const addresses = Array.from({ length: 25 }, (_, index) => `10.1.0.${index + 10}:80`);
      for (const [index, address] of addresses.entries()) await etcd.put(`/pages/${index}`, address);
      return await followed(
        etcd,
        { prefix: '/pages/', pageSize: 10 },
        async (follower) => (await follower.until(...addresses)) ?? none(follower),
      );
    },
  ],
  [
    'killed-and-started-again',
    async (etcd) =>
      await followed(etcd, {}, async (follower) => {
        const before = await follower.until('10.0.0.3:80', '10.0.0.4:80');
        await etcd.kill();
        const away = before ?? (await follower.untilFailure(/^CONNECT_REFUSED$/));
        await etcd.start();
        await etcd.put(`${PREFIX}5`, '10.0.0.5:80');
        return away ?? (await follower.until('10.0.0.3:80', '10.0.0.4:80', '10.0.0.5:80'));
      }),
  ],
  [
    'compacted-while-away',
    async (etcd) =>
      await followed(etcd, {}, async (follower) => {
        const before = await follower.until('10.0.0.3:80', '10.0.0.4:80', '10.0.0.5:80');
        await etcd.terminate();
        const away = before ?? (await follower.untilFailure(/./));
        await etcd.start();
        await etcd.delete(`${PREFIX}5`);
        await etcd.put('/elsewhere', '1');
        await etcd.compact();
        return away ?? (await follower.until('10.0.0.3:80', '10.0.0.4:80'));
      }),
  ],
  [
    'compacted-before-the-watch',
    async (etcd) => {
      // Many changes, each compacted at once: whoever resumes finds his revision gone.
      return await followed(etcd, {}, async (follower) => {
        let problem = await follower.until('10.0.0.3:80', '10.0.0.4:80');
        for (let round = 0; round < 3 && problem === null; round++) {
          await etcd.put(`${PREFIX}6`, `10.0.6.${round}:80`);
          await etcd.compact();
          problem = await follower.until('10.0.0.3:80', '10.0.0.4:80', `10.0.6.${round}:80`);
        }
        await etcd.delete(`${PREFIX}6`);
        return problem ?? (await follower.until('10.0.0.3:80', '10.0.0.4:80'));
      });
    },
  ],
  [
    'history-lost',
    async (etcd) =>
      await followed(etcd, {}, async (follower) => {
        const before = await follower.until('10.0.0.3:80', '10.0.0.4:80');
        await etcd.kill();
        etcd.forgetEverything();
        await etcd.start();
        await etcd.put(`${PREFIX}new`, '10.0.0.7:80');
        return before ?? (await follower.until('10.0.0.7:80'));
      }),
  ],
  [
    'authentication',
    async (etcd) => {
      await etcd.must('/v3/auth/user/add', { name: 'root', password: 'top secret' });
      await etcd.must('/v3/auth/role/add', { name: 'root' });
      await etcd.must('/v3/auth/user/grant', { user: 'root', role: 'root' });
      await etcd.must('/v3/auth/enable', {});
      const nobody = await followed(etcd, {}, async (follower) => await follower.untilFailure(/^DISCOVERY_STATUS$/));
      const wrong = await followed(
        etcd,
        { user: 'root', password: 'x' },
        async (follower) => await follower.untilFailure(/^DISCOVERY_STATUS$/),
      );
      const { token } = (await etcd.must('/v3/auth/authenticate', { name: 'root', password: 'top secret' })) as { token: string };
      etcd.token = token;
      const right = await followed(etcd, { user: 'root', password: 'top secret' }, async (follower) => {
        const before =
          (await follower.until('10.0.0.7:80')) ??
          (await after(etcd.put(`${PREFIX}8`, '10.0.0.8:80'), follower.until('10.0.0.7:80', '10.0.0.8:80')));
        // Its tokens are in memory: those of before are no longer good.
        await etcd.kill();
        etcd.token = null;
        await etcd.start();
        const again = (await etcd.must('/v3/auth/authenticate', { name: 'root', password: 'top secret' })) as { token: string };
        etcd.token = again.token;
        await etcd.delete(`${PREFIX}8`);
        return before ?? (await follower.until('10.0.0.7:80'));
      });
      return nobody ?? wrong ?? right;
    },
  ],
];

async function followed(
  etcd: RealEtcd,
  options: Partial<Parameters<typeof etcdDiscovery>[0]>,
  check: (follower: Follower) => Promise<string | null>,
): Promise<string | null> {
  const follower = new Follower(etcdDiscovery({ address: etcd.address, prefix: PREFIX, ...QUICK, ...options }));
  try {
    return await check(follower);
  } finally {
    follower.close();
  }
}

/** The second is asked while the first is done, so that nothing is missed. */
async function after(done: Promise<unknown>, awaited: Promise<string | null>): Promise<string | null> {
  await done;
  return await awaited;
}

/** @returns a problem if anything has failed */
function none({ failures: [first] }: Follower): string | null {
  return first === undefined ? null : `failed: ${first.message}`;
}

const outcomes = await runEtcd();
// There is no other peer: without it nothing was found out, and the sum says so.
if (outcomes === null) console.log('0 passed, 0 failed');
else process.exitCode = report('discovery', summarise(outcomes, new Map()));
