/** Callbacks of the user that go wrong (M5): each costs its own exchange, and nobody else's. */
import { Http1Connection } from '../http1-connection.ts';
import { lightClients } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { reasonOf } from '../tally.ts';

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2 });
  const load = stage.load(target, lightClients());
  await load.hasBegun();
  const before = await workersOf(target.server);
  for (const path of ['/throw', '/throw-later', '/reject', '/garbage']) {
    for (let index = 0; index < 5; index++) {
      const connection = await Http1Connection.open(target.load.http);
      try {
        const { status } = await connection.exchange({ bytes: Buffer.from(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`), timeoutMs: 20_000 });
        stage.must(`${path} ${index} is answered by 500`, status === 500, `status ${status}`);
      } catch (error) {
        stage.check(`${path} ${index} is answered by 500`, reasonOf(error));
      } finally {
        connection.close();
      }
    }
  }
  // One that never answers, whose client loses patience.
  const patient = await Http1Connection.open(target.load.http);
  const hangs = await patient.exchange({ bytes: Buffer.from('GET /hang HTTP/1.1\r\nHost: a\r\n\r\n'), timeoutMs: 500 }).then(
    () => 'it was answered',
    () => null,
  );
  stage.check('one that never answers ends with its client', hangs);
  await load.stop();
  stage.nothingFailed('nobody else fails', load.tally);
  stage.must('no worker was replaced', (await workersOf(target.server)) === before, `${before}, then ${await workersOf(target.server)}`);
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

async function workersOf(server: {
  admin(method: 'GET', path: string): Promise<{ readonly value: Readonly<Record<string, unknown>> }>;
}): Promise<string> {
  const { value } = await server.admin('GET', '/workers');
  return (value['workers'] as readonly { readonly worker: number; readonly restarts: number }[])
    .map(({ worker, restarts }) => `worker ${worker} restarted ${restarts} times`)
    .join(', ');
}

/** Callbacks that go wrong. */
export const hooks: Scenario = { id: 'hooks', targets: ['echo-server'], isHeavy: false, run };
