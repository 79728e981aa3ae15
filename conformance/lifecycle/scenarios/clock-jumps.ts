/** The clock of the wall jumps (M10), as libfaketime makes it: an hour and ten years, both ways. No request may fail, no connection may be timed out, no limit overflow. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { installCommand, type PeerProgram } from '@ferrata/tools/peers';
import { Http1Connection } from '../http1-connection.ts';
import { lightClients } from '../mixes.ts';
import type { Scenario, Stage } from '../scenario.ts';
import type { Target } from '../targets.ts';
import { HeldWebSocket } from './held-websocket.ts';

const FAKETIME: PeerProgram = {
  command: 'libfaketime',
  debianPackage: 'libfaketime',
  purpose: 'to have the clock jump',
  isThere: () => libraryPath() !== null,
};

const HOUR_S = 3_600;
const TEN_YEARS_S = 10 * 365 * 86_400;

/** Of a Date field: it has whole seconds, and is made once for some time. */
const TOLERANCE_S = 120;

async function run(stage: Stage): Promise<void> {
  const library = libraryPath();
  if (library === null) {
    stage.skip('clock', `libfaketime is missing; install it with: ${installCommand([FAKETIME])}`);
    return;
  }
  const file = join(stage.rig.folder, `clock-${stage.targetName}`);
  writeFileSync(file, '+0');
  const faked = { FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1', FAKETIME_DONT_FAKE_MONOTONIC: '1', DONT_FAKE_MONOTONIC: '1' };
  const target = await stage.start({
    threads: 2,
    config: { maxRequestsPerSecond: 50_000 },
    process: { env: { LD_PRELOAD: library, ...faked } },
  });
  const load = stage.load(target, lightClients());
  const webSockets = await Promise.all(Array.from({ length: 4 }, () => HeldWebSocket.open(target.load.http)));
  for (const seconds of [HOUR_S, -HOUR_S, TEN_YEARS_S, -TEN_YEARS_S, 0]) {
    const name = `${seconds} s`;
    writeFileSync(file, seconds < 0 ? String(seconds) : `+${seconds}`);
    const hasJumped = await target.server.until(async () => Math.abs((await aheadBySeconds(target)) - seconds) < TOLERANCE_S, 30_000);
    stage.must(`${name}: the clock has jumped`, hasJumped, `it is ahead by ${await aheadBySeconds(target)} s`);
    // Whatever is due by the wall would come now.
    await delay(stage.isLong ? 5_000 : 1_000);
    for (const [index, webSocket] of webSockets.entries()) {
      stage.check(`${name}: connection ${index} lives on`, await webSocket.echo(`${name} ${index}`));
    }
  }
  for (const [index, webSocket] of webSockets.entries()) stage.check(`connection ${index} ends with a goodbye`, await webSocket.close());
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  stage.must('no worker stood still, or was replaced', !/event loop|worker \d+ ended/.test(target.server.output), target.server.output);
  if (stage.targetName === 'echo-server') await limits(stage, target, file);
  await stage.settles(target);
  stage.check('it stops in order', await target.stop());
}

/** A limit limits, whatever the clock does: it is neither lifted by a jump nor stuck. */
async function limits(stage: Stage, target: Target, file: string): Promise<void> {
  for (const [seconds, most] of [
    [TEN_YEARS_S, 1],
    [-TEN_YEARS_S, 1],
    [HOUR_S, 50_000],
  ] as const) {
    target.configure({ maxRequestsPerSecond: most });
    const { status } = await target.server.admin('POST', '/reload', 60_000);
    stage.must(`a limit of ${most}, ${seconds} s: in force`, status === 200, `status ${status}`);
    writeFileSync(file, seconds < 0 ? String(seconds) : `+${seconds}`);
    const wanted = most === 1 ? 429 : 200;
    const isSeen = await target.server.until(
      async () => (await Promise.all([ask(target), ask(target), ask(target)])).includes(wanted),
      30_000,
    );
    stage.must(`a limit of ${most}, ${seconds} s: answers are ${wanted}`, isSeen, 'none was');
  }
}

/** @returns the status of the answer */
async function ask(target: Target): Promise<number> {
  const connection = await Http1Connection.open(target.load.http);
  try {
    const bytes = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    return (await connection.exchange({ bytes, timeoutMs: 20_000 })).status;
  } finally {
    connection.close();
  }
}

/** By the Date field of an answer that the server makes itself, that of its admin endpoint. */
async function aheadBySeconds(target: Target): Promise<number> {
  const connection = await Http1Connection.open({ path: join(target.folder, 'admin.sock') });
  try {
    const bytes = Buffer.from('GET /phase HTTP/1.1\r\nHost: localhost\r\n\r\n');
    const { fields } = await connection.exchange({ bytes, timeoutMs: 20_000 });
    return Math.round((Date.parse(fields.get('date') ?? '') - Date.now()) / 1_000);
  } finally {
    connection.close();
  }
}

/** Where Debian has it: a folder of the machine's architecture. */
function libraryPath(): string | null {
  for (const folder of readdirSync('/usr/lib')) {
    const path = join('/usr/lib', folder, 'faketime/libfaketimeMT.so.1');
    if (existsSync(path)) return path;
  }
  return null;
}

/** A clock that jumps. */
export const clockJumps: Scenario = { id: 'clock-jumps', targets: ['echo-server', 'reverse'], isHeavy: false, programs: [FAKETIME], run };
