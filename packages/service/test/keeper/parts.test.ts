/** The smaller parts of the keeper, each by itself. */
import assert from 'node:assert/strict';
import fs, {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import type { HeldSocket, SocketToHold } from '@ferrata/net';
import type { StreamAddress } from '@ferrata/stream';
import fc from 'fast-check';
import { BackOff } from '../../src/back-off.ts';
import {
  describeEnd,
  generationEnvironment,
  type ProcessEnd,
  spawnGeneration,
  withoutDebugging,
} from '../../src/keeper/generation-process.ts';
import { HeldListeners } from '../../src/keeper/held-listeners.ts';
import { matchSockets, passedSockets } from '../../src/keeper/inherited-sockets.ts';
import { KeptConfig, MAX_KEPT_CONFIG_BYTES, packConfig, unpackConfig } from '../../src/keeper/kept-config.ts';
import { isGenerationMessage } from '../../src/keeper/message-check.ts';
import { PidFile, type ProcessTable } from '../../src/keeper/pid-file.ts';
import { dropPrivileges, type ProcessRights, tryPrivileges } from '../../src/keeper/privileges.ts';
import { type KeeperSignal, Signals } from '../../src/keeper/signals.ts';
import { serviceManager } from '../../src/keeper/systemd-notify.ts';
import type { SocketSpec } from '../../src/socket-spec.ts';
import { spec } from './keeper-world.ts';

function inFolder(act: (folder: string) => void): void {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-parts-'));
  try {
    act(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function fail(text: unknown): never {
  throw new Error(`nothing should have come: ${String(text)}`);
}

const nobody: ProcessTable = { isAlive: () => false, startedAt: () => null };
const everybody: ProcessTable = { isAlive: () => true, startedAt: () => null };

// ——— pid file

test('a pid file has the number and a line end, and is gone after its removal', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    const file = PidFile.write(path, 42, nobody);
    assert.equal(readFileSync(path, 'utf8'), '42\n');
    assert.equal(file.remove(), null);
    assert.equal(existsSync(path), false);
    assert.equal(file.remove(), null);
  });
});

test('a pid file of a living process is refused, whatever else is not the number of one is written over', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    writeFileSync(path, '17\n');
    assert.throws(() => PidFile.write(path, 42, everybody), { reason: 'PID_FILE_TAKEN', message: /process 17/ });
    assert.equal(readFileSync(path, 'utf8'), '17\n');
    for (const text of ['', 'x', '-1', '0', '17 18', '1e3', '42\n', '\0'.repeat(100_000)]) {
      writeFileSync(path, text);
      assert.equal(PidFile.write(path, 42, everybody).remove(), null);
    }
    writeFileSync(path, '17\n');
    assert.equal(PidFile.write(path, 42, nobody).remove(), null);
  });
});

test('a number that another process has got since does not keep the pid file taken', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    writeFileSync(path, '17\n');
    utimesSync(path, 1_000, 1_000);
    const later = { isAlive: () => true, startedAt: () => 1_010_000 };
    assert.throws(() => PidFile.write(path, 42, { ...later, startedAt: () => 1_001_000 }), { reason: 'PID_FILE_TAKEN' });
    assert.equal(PidFile.write(path, 42, later).remove(), null);
  });
});

test('of two that start at the same moment one has the pid file, and the other one says which', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    // Both find the file of one that is gone. At each of its looks the other one is a step further: it takes the place at the first, or at the second.
    for (const steps of [1, 2]) {
      writeFileSync(path, '17\n');
      let looks = 0;
      let other: PidFile | undefined;
      const table: ProcessTable = {
        startedAt: () => null,
        isAlive: (pid) => {
          if (pid === 17 && ++looks === steps) other = PidFile.write(path, 43, nobody);
          return pid === 43;
        },
      };
      assert.throws(() => PidFile.write(path, 42, table), { reason: 'PID_FILE_TAKEN', message: /process 43/ });
      assert.equal(readFileSync(path, 'utf8'), '43\n');
      assert.deepEqual(readdirSync(folder), ['a.pid']);
      assert.equal(other?.remove(), null);
      assert.equal(existsSync(path), false);
    }
  });
});

test('a pid file that is a link to nothing is put away', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    symlinkSync(join(folder, 'nowhere'), path);
    const file = PidFile.write(path, 42, nobody);
    assert.deepEqual(readdirSync(folder), ['a.pid']);
    assert.equal(file.remove(), null);
  });
});

test('where the file system has no links the pid file is moved to its place', (t) => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    t.mock.method(fs, 'linkSync', () => {
      throw Object.assign(new Error('no links here'), { code: 'EPERM' });
    });
    syncBuiltinESMExports();
    try {
      writeFileSync(path, '17\n');
      const file = PidFile.write(path, 42, nobody);
      assert.equal(readFileSync(path, 'utf8'), '42\n');
      assert.throws(() => PidFile.write(path, 43, everybody), { reason: 'PID_FILE_TAKEN' });
      assert.equal(file.remove(), null);
      assert.deepEqual(readdirSync(folder), []);
    } finally {
      t.mock.restoreAll();
      syncBuiltinESMExports();
    }
  });
});

test('of the processes of this machine this one lives, and began before now', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    writeFileSync(path, `${process.pid}\n`);
    assert.throws(() => PidFile.write(path, 1), { reason: 'PID_FILE_TAKEN' });
    utimesSync(path, 1, 1);
    if (process.platform === 'linux') assert.equal(PidFile.write(path, 1).remove(), null);
  });
});

test('a pid file that cannot be written says why, and leaves nothing behind', () => {
  inFolder((folder) => {
    assert.throws(() => PidFile.write(join(folder, 'no', 'a.pid'), 42), { reason: 'PID_FILE_FAILED', message: /ENOENT/ });
    mkdirSync(join(folder, 'a.pid'));
    assert.throws(() => PidFile.write(join(folder, 'a.pid'), 42), { reason: 'PID_FILE_FAILED' });
    assert.equal(existsSync(join(folder, 'a.pid.42.new')), false);
  });
});

test('a link that lies in wait where the pid file is drafted is not followed', () => {
  inFolder((folder) => {
    const precious = join(folder, 'precious');
    writeFileSync(precious, 'x');
    symlinkSync(precious, join(folder, 'a.pid.42.new'));
    assert.equal(PidFile.write(join(folder, 'a.pid'), 42).remove(), null);
    assert.equal(readFileSync(precious, 'utf8'), 'x');
  });
});

test('a device is neither read nor put away', { skip: !existsSync('/dev/zero') && 'needs /dev/zero' }, () => {
  inFolder((folder) => {
    const path = join(folder, 'zero.pid');
    symlinkSync('/dev/zero', path);
    assert.throws(() => PidFile.write(path, 42), { reason: 'PID_FILE_FAILED', message: /is no file/ });
    assert.ok(statSync(path).isCharacterDevice());
  });
});

test('a pid file that is somebody else’s by now is left', () => {
  inFolder((folder) => {
    const path = join(folder, 'a.pid');
    const file = PidFile.write(path, 42, nobody);
    const other = PidFile.write(path, 43, nobody);
    assert.equal(file.remove(), null);
    assert.equal(readFileSync(path, 'utf8'), '43\n');
    // Also if it was written into, and not put away.
    const third = PidFile.write(path, 44, nobody);
    writeFileSync(path, '17\n');
    assert.equal(third.remove(), null);
    assert.equal(readFileSync(path, 'utf8'), '17\n');
    rmSync(folder, { recursive: true });
    assert.equal(other.remove(), null);
  });
});

// ——— privileges

function rights(changed: Partial<ProcessRights> = {}): { readonly rights: ProcessRights; readonly calls: string[] } {
  const calls: string[] = [];
  let uid = changed.uid ?? 0;
  return {
    calls,
    rights: {
      gid: 0,
      userNumbers: (user) => (user === 'www' || user === 33 ? { uid: 33, gid: 34 } : null),
      groupNumber: (group) => (group === 'www-data' ? 34 : null),
      initgroups: (user, group) => void calls.push(`initgroups ${user} ${group}`),
      setgroups: (groups) => void calls.push(`setgroups ${groups.join()}`),
      setgid: (group) => void calls.push(`setgid ${group}`),
      setuid: (user) => {
        calls.push(`setuid ${user}`);
        uid = 33;
      },
      ...changed,
      get uid() {
        return uid;
      },
    },
  };
}

test('privileges are given up groups first, the user last', () => {
  const cases: [user: string | number | null, group: string | number | null, calls: string[]][] = [
    [null, null, []],
    ['www', null, ['initgroups www 34', 'setgid 34', 'setuid www']],
    [33, 'adm', ['initgroups 33 adm', 'setgid adm', 'setuid 33']],
    [4_242, 5, ['setgroups 5', 'setgid 5', 'setuid 4242']],
    [null, 'adm', ['setgroups ', 'setgid adm']],
  ];
  for (const [user, group, expected] of cases) {
    const { rights: process, calls } = rights();
    dropPrivileges({ user, group }, process);
    assert.deepEqual(calls, expected);
  }
});

test('privileges that cannot be given up fail the start', () => {
  const fails = (account: { user: string | number | null; group: null }, changed: Partial<ProcessRights>, message: RegExp): void =>
    assert.throws(() => dropPrivileges(account, rights(changed).rights), { reason: 'PRIVILEGES_NOT_DROPPED', message });
  fails({ user: 'nobody-such', group: null }, {}, /there is no user nobody-such/);
  fails({ user: 4_242, group: null }, {}, /its group must be named/);
  fails({ user: 'www', group: null }, { setuid: () => {} }, /the process is still root/);
  fails(
    { user: 'www', group: null },
    {
      initgroups: () => {
        throw new Error('EPERM');
      },
    },
    /cannot become user www: EPERM/,
  );
  assert.throws(() => dropPrivileges({ user: 'www', group: null }, null), { reason: 'PRIVILEGES_NOT_SUPPORTED' });
});

test('who is that user already has nothing to give up', () => {
  const { rights: process, calls } = rights({ uid: 33, gid: 34 });
  for (const group of [null, 'www-data']) dropPrivileges({ user: 'www', group }, process);
  dropPrivileges({ user: null, group: 'www-data' }, process);
  assert.deepEqual(calls, []);
  // Of root's groups there is always something to give up.
  const root = rights({ gid: 34 });
  dropPrivileges({ user: null, group: 'www-data' }, root.rights);
  assert.deepEqual(root.calls, ['setgroups ', 'setgid www-data']);
});

test('a look before a start gives privileges up as root, and looks for the user as anybody else', () => {
  const root = rights();
  tryPrivileges({ user: 'www', group: null }, root.rights);
  assert.deepEqual(root.calls, ['initgroups www 34', 'setgid 34', 'setuid www']);
  const other = rights({ uid: 1_000, gid: 1_000 });
  tryPrivileges({ user: 'www', group: null }, other.rights);
  tryPrivileges({ user: null, group: 'www-data' }, other.rights);
  assert.deepEqual(other.calls, []);
  for (const { rights: process } of [root, other])
    assert.throws(() => tryPrivileges({ user: 'nobody-such', group: null }, process), {
      reason: 'PRIVILEGES_NOT_DROPPED',
      message: /there is no user nobody-such/,
    });
});

// ——— socket activation

test('sockets are taken only if they were passed to this very process', () => {
  const env = { LISTEN_PID: '7', LISTEN_FDS: '2', LISTEN_FDNAMES: 'web:' };
  assert.deepEqual(passedSockets(env, 7), [
    { descriptor: 3, name: 'web' },
    { descriptor: 4, name: '' },
  ]);
  assert.deepEqual(passedSockets(env, 8), []);
  assert.deepEqual(
    passedSockets({ ...env, LISTEN_FDNAMES: undefined }, 7).map(({ name }) => name),
    ['', ''],
  );
  for (const count of ['', '0', '-1', 'x', '1.5', '1e9', undefined]) assert.deepEqual(passedSockets({ ...env, LISTEN_FDS: count }, 7), []);
});

test('a passed socket goes to the listener of its name, of its service, or of its address', () => {
  const at = (host: string, port: number): { transport: 'tcp'; address: StreamAddress } => ({
    transport: 'tcp',
    address: { kind: 'ip', host, port },
  });
  const found = new Map<number, ReturnType<typeof at> | null>([
    [3, at('10.0.0.1', 443)],
    [4, at('127.0.0.1', 2)],
    [5, at('127.0.0.1', 1)],
    [6, at('127.0.0.1', 3)],
    [7, at('127.0.0.1', 9)],
    [8, null],
  ]);
  const services = new Map([
    ['web', [spec(1), spec(2)]],
    ['api', [spec(3), spec(4)]],
  ]);
  const names = ['', 'web', 'web', '', 'tcp 127.0.0.1:4', 'nobody'];
  const passed = names.map((name, index) => ({ descriptor: 3 + index, name }));
  const { matched, unmatched } = matchSockets(passed, services, (fd) => found.get(fd) ?? null);
  assert.deepEqual(
    new Map(matched.map(({ descriptor, spec: { key } }) => [descriptor, key])),
    new Map([
      [7, 'tcp 127.0.0.1:4'],
      [4, 'tcp 127.0.0.1:2'],
      [5, 'tcp 127.0.0.1:1'],
      [6, 'tcp 127.0.0.1:3'],
    ]),
  );
  assert.equal(unmatched.length, 2);
  assert.match(unmatched[1] ?? '', /inherited socket 8 named "nobody"/);
});

test('a socket is not given to a listener of another transport', () => {
  const udp: SocketSpec = { key: 'udp 127.0.0.1:1', transport: 'udp', host: '127.0.0.1', port: 1 };
  const { matched } = matchSockets([{ descriptor: 3, name: 'dns' }], new Map([['dns', [spec(1), udp]]]), () => ({
    transport: 'udp',
    address: { kind: 'ip', host: '127.0.0.1', port: 1 },
  }));
  assert.deepEqual(
    matched.map(({ spec: { key } }) => key),
    [udp.key],
  );
});

// ——— held sockets

interface FakeHold {
  readonly asked: SocketToHold[];
  readonly released: string[];
  readonly hold: (sockets: readonly SocketToHold[]) => Promise<HeldSocket[]>;
}

function fakeHold(): FakeHold {
  const asked: SocketToHold[] = [];
  const released: string[] = [];
  let next = 20;
  return {
    asked,
    released,
    hold: async (sockets) => {
      asked.push(...sockets);
      return sockets.map(({ port = 0, count = 1 }) => ({
        address: { kind: 'ip', host: '127.0.0.1', port },
        descriptors: Array.from({ length: count }, () => next++),
        release: async () => {
          released.push(String(port));
          if (port === 13) throw new Error('no');
        },
      }));
    },
  };
}

const udpSpec: SocketSpec = { key: 'udp 127.0.0.1:5', transport: 'udp', host: '127.0.0.1', port: 5, backlog: 3, mode: 0o600 };

test('a generation gets as many descriptors of a socket as it has threads, and spare ones; each UDP socket has its own', async () => {
  const { hold, asked } = fakeHold();
  const listeners = new HeldListeners({ hold, threads: 2, descriptorLimit: 96, onTrouble: () => {} });
  await listeners.open([spec(1), udpSpec]);
  assert.deepEqual(asked[1], { transport: 'udp', host: '127.0.0.1', port: 5, count: 2 });
  const { stdio, sockets } = listeners.inheritance(2);
  // 96 / 16 / 3 sockets: two spare ones each.
  assert.deepEqual(stdio, [20, 20, 20, 20, 21, 21, 21, 22, 22, 22]);
  assert.deepEqual(
    sockets.map(({ descriptors }) => descriptors),
    [
      [[3, 4, 5, 6]],
      [
        [7, 8, 9],
        [10, 11, 12],
      ],
    ],
  );
  assert.equal(new HeldListeners({ hold, threads: 2, descriptorLimit: 96, onTrouble: () => {} }).inheritance(2).stdio.length, 0);
});

test('a socket that is being let go of is handed to nobody, though its turn has not come', async () => {
  const { hold } = fakeHold();
  const listeners = new HeldListeners({ hold, threads: 1, descriptorLimit: 32, onTrouble: fail });
  await listeners.open([spec(1), spec(2)]);
  const releasing = listeners.release([spec(1).key]);
  assert.deepEqual(
    listeners.inheritance(1).sockets.map((socket) => socket.spec.key),
    [spec(2).key],
  );
  // Asked for again, it is opened anew.
  await Promise.all([releasing, listeners.open([spec(1)])]);
  assert.deepEqual(listeners.keys, [spec(2).key, spec(1).key]);
});

test('what a socket got at its birth and is to be otherwise is said', async () => {
  const { hold } = fakeHold();
  const listeners = new HeldListeners({ hold, threads: 1, descriptorLimit: 32, onTrouble: fail });
  const unix: SocketSpec = { key: 'unix /a', transport: 'unix', path: '/a', mode: 0o600 };
  await listeners.open([spec(1), unix]);
  // A backlog is set anew by whoever listens.
  assert.deepEqual(listeners.mismatches([{ ...spec(1), backlog: 5, ipv6Only: false }, unix, { ...spec(7), ipv6Only: true }]), []);
  assert.deepEqual(
    listeners.mismatches([
      { ...spec(1), ipv6Only: true },
      { ...unix, mode: 0o666 },
    ]),
    [
      'tcp 127.0.0.1:1 is open already, and keeps ipv6Only false instead of true until the server is started anew',
      'unix /a is open already, and keeps mode 0600 instead of 0666 until the server is started anew',
    ],
  );
});

test('sockets are opened once, released once, and what cannot be closed is told', async () => {
  const { hold, asked, released } = fakeHold();
  const troubles: string[] = [];
  const listeners = new HeldListeners({ hold, threads: 1, descriptorLimit: Infinity, onTrouble: (text) => troubles.push(text) });
  await Promise.all([listeners.open([spec(1), spec(2)]), listeners.open([spec(2), spec(13)])]);
  assert.deepEqual(
    asked.map(({ port }) => port),
    [1, 2, 13],
  );
  assert.deepEqual(listeners.addressOf(spec(2).key), { kind: 'ip', host: '127.0.0.1', port: 2 });
  await listeners.release([spec(1).key, 'unknown']);
  assert.equal(listeners.addressOf(spec(1).key), null);
  const opening = listeners.open([spec(3)]);
  await Promise.all([listeners.releaseAll(), opening]);
  assert.deepEqual(released, ['1', '2', '13', '3']);
  assert.deepEqual(troubles, ['tcp 127.0.0.1:13 could not be closed: no']);
  assert.deepEqual(listeners.keys, []);
});

test('a socket that was passed is open to the end: its address could not be opened again while whoever passed it holds it', async () => {
  const { hold, asked, released } = fakeHold();
  const listeners = new HeldListeners({ hold, threads: 1, descriptorLimit: 32, onTrouble: fail });
  const descriptor = fs.openSync(import.meta.filename, 'r');
  listeners.adopt([{ spec: spec(1), descriptor, address: { kind: 'ip', host: '10.0.0.1', port: 1 } }]);
  await listeners.release([spec(1).key]);
  assert.deepEqual([listeners.keys, listeners.inheritance(1).stdio, listeners.addressOf(spec(1).key)], [[], [], null]);
  await listeners.open([spec(2), spec(1)]);
  assert.deepEqual(
    asked.map(({ port }) => port),
    [2],
  );
  assert.deepEqual(listeners.addressOf(spec(1).key), { kind: 'ip', host: '10.0.0.1', port: 1 });
  assert.deepEqual(listeners.inheritance(1).sockets.at(-1)?.spec, spec(1));
  await listeners.release([spec(1).key]);
  await listeners.releaseAll();
  assert.throws(() => fs.fstatSync(descriptor), { code: 'EBADF' });
  assert.deepEqual(released, ['2']);
});

// ——— the configuration in force

test('a configuration comes back as it went, and each time as another copy', () => {
  const config = { hosts: new Map([['a', new Set([1n])]]), key: new Uint8Array([1, 2]), at: new Date(5), not: undefined };
  const { bytes } = packConfig(config);
  assert.ok(bytes !== null);
  assert.deepEqual(unpackConfig(bytes), config);
  assert.notEqual(unpackConfig(bytes), unpackConfig(bytes));
});

test('a configuration that is too large, or cannot be packed, is not kept, and the one before is forgotten', () => {
  const large = packConfig('x'.repeat(MAX_KEPT_CONFIG_BYTES));
  assert.match(large.why ?? '', /has 4194\d{3} bytes, and 4194304 are kept at most/);
  assert.match(packConfig({ act: () => {} }).why ?? '', /could not be cloned/);
  for (const none of [null, undefined, new Uint8Array(MAX_KEPT_CONFIG_BYTES + 1)]) {
    const kept = new KeptConfig(() => 0);
    kept.keep(new Uint8Array(1), 'first');
    assert.notEqual(kept.offer(), null);
    kept.keep(none, 'reload');
    assert.equal(kept.offer(), null);
  }
});

// ——— spawning

test('options that belong to one process alone are not handed on', () => {
  const cases: [string[], string[]][] = [
    [['--inspect', '--no-warnings'], ['--no-warnings']],
    [
      ['--inspect=0', '--inspect-brk', '--inspect-port', '9', '-r', './a.cjs'],
      ['-r', './a.cjs'],
    ],
    [
      ['--test', '--test-timeout=9', '--test-reporter', 'spec', '--import', './a.mjs'],
      ['--import', './a.mjs'],
    ],
    [['--watch', '--watch-path', 'src', '--watch-preserve-output', '--env-file=.env'], ['--env-file=.env']],
    [
      ['--inspectish', '--testing', '--max-old-space-size=9'],
      ['--inspectish', '--testing', '--max-old-space-size=9'],
    ],
  ];
  for (const [given, kept] of cases) assert.deepEqual(withoutDebugging(given), kept);
});

test('the environment of a generation has nothing in it that is its keeper’s', () => {
  const env = {
    PATH: '/bin',
    NOTIFY_SOCKET: 'x',
    WATCHDOG_USEC: '1',
    WATCHDOG_PID: '1',
    LISTEN_PID: '1',
    LISTEN_FDS: '1',
    LISTEN_FDNAMES: 'a',
  };
  assert.deepEqual(generationEnvironment({ ...env, NODE_CHANNEL_FD: '3' }), { PATH: '/bin' });
  assert.deepEqual(generationEnvironment({ NODE_OPTIONS: '--inspect=1 --no-warnings' }), { NODE_OPTIONS: '--no-warnings' });
});

test('a process that has ended leaves no timer behind that would keep this one', async () => {
  const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
  const before = timers();
  const program = { execPath: process.execPath, execArgv: ['-e', ''], argv: [], env: {}, directory: '/' };
  const end = await new Promise((onEnd) =>
    spawnGeneration(program, { generation: 1, keptOptions: null, stdio: [] }, { onMessage: fail, onEnd }),
  );
  assert.deepEqual(end, { code: 0, signal: null, why: null });
  assert.equal(timers(), before);
});

test('that the binary is gone is said, however many descriptors were to be handed on', async () => {
  const program = { execPath: '/no/such/node', execArgv: [], argv: [], env: {}, directory: '/' };
  const end = await new Promise<ProcessEnd>((onEnd) =>
    spawnGeneration(program, { generation: 1, keptOptions: null, stdio: Array.from({ length: 70 }, () => 2) }, { onMessage: fail, onEnd }),
  );
  assert.match(describeEnd(end), /^could not be spawned \(ENOENT: .*\/no\/such\/node/);
});

test('the end of a process is the end of a sentence', () => {
  assert.equal(describeEnd({ code: 3, signal: null, why: null }), 'ended with code 3');
  assert.equal(describeEnd({ code: null, signal: 'SIGSEGV', why: null }), 'was ended by SIGSEGV');
  assert.equal(describeEnd({ code: null, signal: null, why: 'ENOENT' }), 'could not be spawned (ENOENT)');
});

test('of what comes over the channel only messages of the right shape are heard, and nothing makes the check throw', () => {
  const good = [
    { kind: 'hello', protocol: 1 },
    { kind: 'need', sockets: [spec(1)] },
    { kind: 'ready', threads: 2, sockets: [] },
    { kind: 'failed', why: 'so', exitCode: 1 },
    { kind: 'reloaded', id: 1, outcome: { kind: 'reloaded', version: 1, changes: ['a'] } },
    { kind: 'reloaded', id: 1, outcome: { kind: 'needsGeneration', sockets: [], changes: [] } },
    { kind: 'reloaded', id: 1, outcome: { kind: 'refused', why: 'so' } },
    { kind: 'reloaded', id: 1, outcome: { kind: 'unchanged', version: 1 } },
    { kind: 'pong', id: 1 },
    { kind: 'phase', phase: 'running' },
    { kind: 'notice', notice: { severity: 'info', text: 'a' } },
    { kind: 'ask', what: 'drain', id: 1 },
    { kind: 'stopped', cut: 0 },
  ];
  for (const config of [undefined, null, new Uint8Array(2)]) assert.ok(isGenerationMessage({ ...good[2], config }));
  assert.equal(isGenerationMessage({ ...good[2], config: 'text' }), false);
  for (const fileOptions of [undefined, null, '{}']) assert.ok(isGenerationMessage({ ...good[2], fileOptions }));
  assert.equal(isGenerationMessage({ ...good[2], fileOptions: {} }), false);
  for (const message of good) {
    assert.ok(isGenerationMessage(message), message.kind);
    for (const name of Object.keys(message))
      assert.equal(isGenerationMessage({ ...message, [name]: undefined }), false, `${message.kind} without ${name}`);
  }
  for (const bad of [null, 1, 'ready', [], { kind: 'toString' }, { kind: 'reloaded', id: 1, outcome: { kind: 'x' } }])
    assert.equal(isGenerationMessage(bad), false);
  fc.assert(
    fc.property(fc.constantFrom(...good), fc.string(), fc.anything(), (message, name, value) => {
      isGenerationMessage({ ...message, [name]: value });
      isGenerationMessage(value);
    }),
  );
});

// ——— signals

test('signals are kept until somebody hears them, in order', () => {
  const listeners = new Map<string, () => void>();
  const source = {
    on: (signal: KeeperSignal, listener: () => void) => listeners.set(signal, listener),
    removeListener: (signal: KeeperSignal) => listeners.delete(signal),
  };
  const signals = new Signals(source);
  const raise = (signal: KeeperSignal): void => listeners.get(signal)?.();
  for (const signal of ['SIGHUP', 'SIGHUP', 'SIGINT', 'SIGINT'] as const) raise(signal);
  for (let count = 0; count < 100; count++) raise('SIGTERM');
  const heard: string[] = [];
  signals.hear((signal) => heard.push(signal));
  assert.deepEqual(heard.slice(0, 4), ['SIGHUP', 'SIGINT', 'SIGINT', 'SIGTERM']);
  assert.equal(heard.length, 16);
  raise('SIGUSR2');
  assert.equal(heard.at(-1), 'SIGUSR2');
  signals[Symbol.dispose]();
  assert.equal(listeners.size, 0);
});

// ——— systemd

test('without a socket of systemd nothing is told, and nothing is run', () => {
  const manager = serviceManager({ env: { WATCHDOG_USEC: '1000' }, pid: 1, onTrouble: fail, run: fail });
  manager.ready('a');
  assert.equal(manager.watchdogMs, null);
});

test('systemd is told one thing after the other, and of what waits the last of each kind', async () => {
  const told: (readonly string[])[] = [];
  const done: (() => void)[] = [];
  const manager = serviceManager({
    env: { NOTIFY_SOCKET: '/x', WATCHDOG_USEC: '3000000', WATCHDOG_PID: '7' },
    pid: 7,
    onTrouble: fail,
    monotonicUsec: () => 99n,
    run: (socket, args) => {
      assert.equal(socket, '/x');
      told.push(args);
      return new Promise((resolve) => done.push(() => resolve(null)));
    },
  });
  assert.equal(manager.watchdogMs, 3_000);
  manager.ready('it\nserv\0\0es');
  manager.feedWatchdog();
  manager.reloading('a');
  manager.ready('a');
  manager.reloading('b');
  manager.ready('b');
  manager.feedWatchdog();
  manager.status('b');
  manager.stopping('c');
  while (done.length > 0) {
    done.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(told, [
    ['READY=1', 'MAINPID=7', 'STATUS=it serv es'],
    ['RELOADING=1', 'MONOTONIC_USEC=99', 'STATUS=b'],
    ['READY=1', 'MAINPID=7', 'STATUS=b'],
    ['WATCHDOG=1'],
    ['STATUS=b'],
    ['STOPPING=1', 'STATUS=c'],
  ]);
});

test('a watchdog that is another process’s is not fed', () => {
  const watchdog = (env: Record<string, string>): number | null =>
    serviceManager({ env: { NOTIFY_SOCKET: '/x', ...env }, pid: 7, onTrouble: fail }).watchdogMs;
  assert.equal(watchdog({ WATCHDOG_USEC: '500', WATCHDOG_PID: '8' }), null);
  assert.equal(watchdog({ WATCHDOG_USEC: '500' }), 0.5);
  for (const usec of ['0', '-5', 'x', '']) assert.equal(watchdog({ WATCHDOG_USEC: usec }), null);
});

test('that systemd cannot be told is told once, and tried again', async () => {
  const troubles: string[] = [];
  let runs = 0;
  const manager = serviceManager({
    env: { NOTIFY_SOCKET: '/x' },
    pid: 7,
    onTrouble: (text) => troubles.push(text),
    run: async (_socket, args) => {
      runs += 1;
      // An argument has an end.
      assert.ok(args.join('').length < 2_000);
      throw new Error('no such program');
    },
  });
  for (let count = 0; count < 3; count++) {
    manager.ready('a'.repeat(300_000));
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.equal(runs, 3);
  assert.deepEqual(troubles, ['systemd cannot be told how the server is: no such program']);
});

// ——— back-off

test('delays double from the first to the longest, and begin again after a quiet time', () => {
  const clock = new ManualClock();
  const backOff = new BackOff({ firstMs: 50, maxMs: 300, quietMs: 1_000, clock });
  const delays = Array.from({ length: 5 }, () => {
    const delayMs = backOff.nextDelayMs();
    clock.advance(delayMs + 999);
    return delayMs;
  });
  assert.deepEqual(delays, [50, 100, 200, 300, 300]);
  clock.advance(1);
  assert.equal(backOff.nextDelayMs(), 50);
});

test('from no delay it goes to one of a millisecond, and nonsense is refused', () => {
  const backOff = new BackOff({ firstMs: 0, maxMs: 2, clock: new ManualClock() });
  assert.deepEqual(
    Array.from({ length: 4 }, () => backOff.nextDelayMs()),
    [0, 1, 2, 2],
  );
  assert.throws(() => new BackOff({ firstMs: -1, maxMs: 2 }), RangeError);
  assert.throws(() => new BackOff({ firstMs: 3, maxMs: 2 }), RangeError);
  assert.throws(() => new BackOff({ firstMs: 1, maxMs: 2, quietMs: Number.NaN }), RangeError);
});
