/**
 * What others do who start servers: sockets that are passed (systemd's socket activation), a notify socket, and being the first process of a container.
 *
 * None of them is systemd itself: the protocols are a few lines each, and stand here.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { hasCommand } from '@ferrata/tools/peers';
import { killOnExit } from '../../rig/clean-up.ts';
import { endProcess } from '../../rig/peer-process.ts';
import { freshConnections, keptConnections } from '../clients/http1.ts';
import type { Scenario, Stage } from '../scenario.ts';
import { upgrade } from './upgrades.ts';

/** Opens a TCP socket and a Unix one, as systemd would, and becomes the server: sd_listen_fds(3). */
const ACTIVATOR = `
import fcntl, os, socket, sys
tcp = socket.create_server(('127.0.0.1', 0))
unix = socket.socket(socket.AF_UNIX)
unix.bind(sys.argv[1])
unix.listen(128)
high = [fcntl.fcntl(s.fileno(), fcntl.F_DUPFD, 20) for s in (tcp, unix)]
for number, descriptor in enumerate(high):
    os.dup2(descriptor, 3 + number)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='2', LISTEN_FDNAMES='http:http')
os.execvp(sys.argv[2], sys.argv[2:])
`;

async function runActivation(stage: Stage): Promise<void> {
  if (spawnSync('python3', ['--version']).status !== 0) {
    stage.skip('socket activation', 'python3 must be there');
    return;
  }
  const path = join(stage.rig.folder, 'activated.sock');
  const target = await stage.start({
    threads: 2,
    graceMs: 10_000,
    config: { http: ['127.0.0.1:0', `unix:${path}`], https: [] },
    wrapper: ['python3', '-c', ACTIVATOR, path],
  });
  const load = stage.load({ load: { ...target.load, unix: { path } } }, [
    freshConnections({ pauseMs: 5 }),
    freshConnections({ pauseMs: 5, door: 'unix' }),
    keptConnections({ pauseMs: 5 }),
  ]);
  await load.hasBegun();
  stage.check('an upgrade hands them on', await upgrade(target));
  stage.check('another upgrade, too', await upgrade(target));
  await load.goesOn(50);
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  for (const door of ['http', 'unix'])
    stage.must(`clients of ${door}`, (load.tally.sentByKind.get(`fresh ${door}`) ?? 0) > 0, 'there were none');
  stage.check('it stops in order', await target.stop());
  // Nobody but systemd may take away what systemd has made.
  stage.must('the file of the Unix socket is left alone', existsSync(path), 'it is gone');
}

/** Prints each datagram of a Unix socket as a line: Node has none of these. */
const RECEIVER = `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print('bound', flush=True)
while True:
    print(s.recv(65536).decode().replace('\\n', ' '), flush=True)
`;

async function runNotify(stage: Stage): Promise<void> {
  const missing = ['python3', 'systemd-notify'].filter((command) => !hasCommand(command) && spawnSync(command, ['--version']).status !== 0);
  if (missing.length > 0) {
    stage.skip('notify', `${missing.join(' and ')} must be there`);
    return;
  }
  const path = join(stage.rig.folder, 'notify.sock');
  const receiver = spawn('python3', ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  killOnExit(receiver);
  let told = '';
  receiver.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
  try {
    for (const end = performance.now() + 30_000; !told.includes('bound') && performance.now() < end; ) await delay(20);
    const target = await stage.start({
      threads: 1,
      graceMs: 5_000,
      process: { env: { NOTIFY_SOCKET: path, WATCHDOG_USEC: '2000000', WATCHDOG_PID: undefined } },
    });
    const hears = async (what: RegExp, ms = 30_000, from = 0): Promise<boolean> =>
      await target.server.until(() => what.test(told.slice(from)), ms);
    stage.must('READY=1', await hears(/READY=1/), told);
    stage.must('MAINPID is the process that was started', await hears(new RegExp(`MAINPID=${target.server.pid}\\b`)), told);
    stage.must('WATCHDOG=1', await hears(/WATCHDOG=1/), told);
    let from = told.length;
    target.configure({ message: 'm2' });
    target.server.signal('SIGHUP');
    stage.must('RELOADING=1, then READY=1', await hears(/RELOADING=1[^]*READY=1/, 30_000, from), told.slice(from));
    from = told.length;
    stage.check('an upgrade', await upgrade(target));
    from = told.length;
    stage.check('it stops in order', await target.stop());
    stage.must('STOPPING=1', await hears(/STOPPING=1/, 30_000, from), told.slice(from));
    const pids = [...told.matchAll(/MAINPID=(\d+)/g)].map(([, pid]) => Number(pid));
    stage.must(
      'the main process stays the same',
      pids.every((pid) => pid === target.server.pid),
      pids.join(', '),
    );
  } finally {
    await endProcess(receiver);
  }
}

/** The first process of a pid namespace, as in a container: nobody else reaps, and no signal has a default. */
async function runContainer(stage: Stage): Promise<void> {
  if (spawnSync('unshare', ['--pid', '--fork', '--mount-proc', 'true']).status !== 0) {
    stage.skip('pid 1', '`unshare --pid --fork --mount-proc` is not permitted');
    return;
  }
  const target = await stage.start({ threads: 2, graceMs: 5_000, wrapper: ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child'] });
  const load = stage.load(target, [freshConnections({ pauseMs: 2 }), keptConnections({ pauseMs: 2 })]);
  await load.hasBegun();
  // `unshare` waits outside; its child is the first process inside.
  const [first] = target.server.children();
  if (first === undefined) throw new Error('nobody runs in the namespace');
  process.kill(first, 'SIGHUP');
  const { status } = await target.server.admin('POST', '/upgrade', 60_000);
  stage.must('it upgrades', status === 200, `status ${status}`);
  await load.stop();
  stage.nothingFailed('nothing failed', load.tally);
  await target.server.until(() => target.server.descendants().length === 2, 60_000);
  stage.must(
    'nothing is left over',
    target.server.descendants().length === 2,
    `${target.server.descendants().length} processes, not the keeper and the one that serves`,
  );
  process.kill(first, 'SIGTERM');
  const ending = await target.server.exit(60_000);
  stage.must('SIGTERM ends it in order', ending?.code === 0, `${ending?.code ?? ending?.signal}: ${target.server.output.slice(-400)}`);
}

/** Whoever starts servers. */
export const supervisors: readonly Scenario[] = [
  { id: 'socket-activation', targets: ['echo-server'], isHeavy: false, run: runActivation },
  { id: 'notify-socket', targets: ['echo-server'], isHeavy: false, run: runNotify },
  { id: 'first-process', targets: ['echo-server'], isHeavy: false, run: runContainer },
];
