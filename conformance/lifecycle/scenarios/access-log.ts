/** One line of the access log for each request (I12), whatever becomes of the process or the worker that serves it. */
import { freshConnections, keptConnections } from '../clients/http1.ts';
import { openSocket } from '../http1-connection.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { upgrade } from './upgrades.ts';

interface Line {
  readonly target: string;
  readonly status: number;
  readonly outcome: string;
}

async function run(stage: Stage): Promise<void> {
  const target = await stage.start({ threads: 2, hasAccessLog: true });
  const load = stage.load(target, [
    keptConnections({ pauseMs: 20 }),
    keptConnections({ pauseMs: 20, door: 'https' }),
    freshConnections({ pauseMs: 20 }),
    freshConnections({ pauseMs: 20, door: 'unix' }),
  ]);
  await load.hasBegun();
  target.configureNumber(2);
  const { status, value } = await target.server.admin('POST', '/reload');
  stage.must('a reload', status === 200 && value['outcome'] === 'reloaded', `${status} ${JSON.stringify(value)}`);
  await load.goesOn(20);
  stage.check('an upgrade', await upgrade(target));
  await load.goesOn(20);
  // A client that leaves before its answer is a line, too.
  const impatient = await openSocket(target.load.http);
  impatient.write('GET /slow?ms=60000 HTTP/1.1\r\nHost: a\r\n\r\n');
  await load.goesOn(20);
  impatient.destroy();
  const isTold = await target.server.until(() => linesOf(target.server.output).some((line) => line.target.startsWith('/slow')), 30_000);
  stage.must('a client that leaves is told of', isTold, 'there is no such line');
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  stage.check('it stops in order', await target.stop());
  // What it has written is read behind its end.
  const echoes = (): readonly Line[] => linesOf(target.server.output).filter((line) => line.target === '/echo');
  await target.server.until(() => echoes().length >= load.tally.answered, 30_000);
  stage.must('a line for each request', echoes().length === load.tally.answered, `${echoes().length} for ${load.tally.answered}`);
  const left = linesOf(target.server.output).filter((line) => line.target.startsWith('/slow'));
  stage.must('one for the client that left', left.length === 1 && left[0]?.status !== 200, JSON.stringify(left));
  const wrong = echoes().find((line) => line.status !== 200 || line.outcome !== 'completed');
  stage.must('each says what became of it', wrong === undefined, JSON.stringify(wrong));
}

function linesOf(output: string): readonly Line[] {
  return output
    .split('\n')
    .filter((line) => line.startsWith('{') && line.endsWith('}'))
    .map((line) => JSON.parse(line) as Line);
}

/** The access log. */
export const accessLog: Scenario = { id: 'access-log', targets: ['reverse'], isHeavy: false, run };
