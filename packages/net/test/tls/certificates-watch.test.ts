/** How files of certificates are watched: which names on which way, what is read after an event, and what is said when nothing can be watched. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs, { appendFileSync, mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { before, describe, test } from 'node:test';
import { ManualClock, systemClock } from '@ferrata/clock';
import { createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { CertificateStore, type CertificateStoreOptions } from '../../src/tls/certificate-store.ts';
import { FileWatcher } from '../../src/tls/file-watcher.ts';
import { wayTo } from '../../src/tls/file-way.ts';
import { CertificateFolder, ReloadRecord } from './certificate-files.ts';

let old: IssuedCertificate;
let fresh: IssuedCertificate;

before(async () => {
  const authority = await createAuthority();
  old = await authority.issue({ names: ['a.test'] });
  fresh = await authority.issue({ names: ['a.test', 'b.test'] });
});

const serving = (store: CertificateStore): string => store.find('a.test').certificate.serialNumber;
const watched = (record: ReloadRecord): CertificateStoreOptions => ({ onReload: record.onReload, settleMs: 20, recheckMs: Infinity });
const still = (record: ReloadRecord): CertificateStoreOptions => ({ onReload: record.onReload, watch: false, recheckMs: Infinity });
const nothing = (): void => {};

/** Resolves when a watch of these paths has told of a change. Fails after ten seconds. */
function firstChange(paths: readonly string[]): Promise<ReadonlySet<string>> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no change of ${paths.join(', ')} was told`)), 10_000);
    const watcher = new FileWatcher(paths, {
      settleMs: 20,
      clock: systemClock,
      onFailure: nothing,
      onChange: (changed) => {
        clearTimeout(timer);
        watcher.close();
        resolve(changed);
      },
    });
  });
}

describe('the way to a file', () => {
  /** The names that are looked up, from the folder on. */
  const way = (folder: CertificateFolder, path: string): string[] =>
    wayTo(`${folder.path}/${path}`)
      .map(({ directory, name }) => `${directory}/${name}`)
      .filter((step) => step.startsWith(`${folder.path}/`))
      .map((step) => step.slice(folder.path.length + 1));

  test('is each name that is looked up, in the directory where it is looked up; it ends where something is missing', () => {
    using folder = new CertificateFolder();
    mkdirSync(folder.file('real/deep'), { recursive: true });
    writeFileSync(folder.file('real/deep/file'), '');
    symlinkSync('real', folder.file('link'));
    symlinkSync(folder.file('link/deep/file'), folder.file('absolute'));
    symlinkSync('loop', folder.file('loop'));
    assert.deepEqual(way(folder, 'real/deep/file'), ['real', 'real/deep', 'real/deep/file']);
    assert.deepEqual(way(folder, 'link/deep/file'), ['link', 'real', 'real/deep', 'real/deep/file']);
    assert.deepEqual(way(folder, 'absolute').slice(0, 1), ['absolute']);
    assert.deepEqual(way(folder, 'absolute').slice(-4), ['link', 'real', 'real/deep', 'real/deep/file']);
    assert.deepEqual(way(folder, 'real/none/file'), ['real', 'real/none']);
    assert.deepEqual([...new Set(way(folder, 'loop'))], ['loop'], 'a link to itself ends');
    const essential = wayTo(folder.file('link/deep/file')).filter(({ isEssential }) => isEssential);
    assert.deepEqual(
      essential.map(({ name }) => name),
      ['link', 'file'],
    );
  });

  test('goes up from where a link leads, as the kernel does (path_resolution(7))', () => {
    using folder = new CertificateFolder();
    mkdirSync(folder.file('y/z'), { recursive: true });
    mkdirSync(folder.file('x'));
    symlinkSync(folder.file('y/z'), folder.file('x/link'));
    writeFileSync(folder.file('y/file'), '');
    assert.equal(way(folder, './x/link/../file').at(-1), 'y/file');
  });
});

describe('a watch', () => {
  test('tells which file has changed, and hears nothing of others beside it, such as a log', async () => {
    using folder = new CertificateFolder();
    for (const name of ['a', 'b', 'access.log']) writeFileSync(folder.file(name), '');
    const clock = new ManualClock();
    const watcher = new FileWatcher([folder.file('a'), folder.file('b')], {
      settleMs: 100,
      clock,
      onFailure: nothing,
      onChange: nothing,
    });
    // Who watches the log hears of it through the same inotify watch, hence not before the other could have.
    const log = firstChange([folder.file('access.log')]);
    appendFileSync(folder.file('access.log'), 'GET /\n');
    await log;
    assert.equal(clock.pendingCount, 0);
    watcher.close();
    const both = firstChange([folder.file('a'), folder.file('b')]);
    appendFileSync(folder.file('access.log'), 'GET /\n');
    appendFileSync(folder.file('b'), 'new');
    assert.deepEqual([...(await both)], [folder.file('b')]);
  });

  test('waits as long as it is told to after an event, also above two seconds, and no longer than twice that while events go on', async () => {
    using folder = new CertificateFolder();
    writeFileSync(folder.file('a'), '');
    const clock = new ManualClock();
    let calls = 0;
    const watcher = new FileWatcher([folder.file('a')], { settleMs: 10_000, clock, onFailure: nothing, onChange: () => calls++ });
    for (let at = 0; at < 20_000; at += 4000) {
      const heard = firstChange([folder.file('a')]);
      appendFileSync(folder.file('a'), 'x');
      await heard;
      assert.equal(clock.nextWakeAt, Math.min(at + 10_000, 20_000));
      clock.advance(4000);
    }
    assert.equal(calls, 1);
    watcher.close();
  });

  test('reads the source concerned only', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const sources = [folder.write('a', old), folder.write('b', old)];
    using store = new CertificateStore(sources, watched(record));
    const { open } = promises;
    const opened: string[] = [];
    promises.open = (path, ...rest): ReturnType<typeof open> => {
      opened.push(String(path));
      return open(path, ...rest);
    };
    syncBuiltinESMExports();
    try {
      const replaced = record.nextReplaced();
      folder.write('a', fresh);
      assert.equal((await replaced).source, sources[0]);
    } finally {
      promises.open = open;
      syncBuiltinESMExports();
    }
    assert.equal(serving(store), fresh.serialNumber);
    assert.deepEqual([...new Set(opened)].toSorted(), [folder.file('a.crt'), folder.file('a.key')]);
  });

  test('follows `..` behind a link to where the kernel finds the file', async () => {
    using folder = new CertificateFolder();
    mkdirSync(folder.file('y/z'), { recursive: true });
    mkdirSync(folder.file('x'));
    symlinkSync(folder.file('y/z'), folder.file('x/link'));
    folder.write('y/a', old);
    const place = `${folder.path}/x/link/../a`;
    const record = new ReloadRecord();
    using store = new CertificateStore([{ certificateFile: `${place}.crt`, keyFile: `${place}.key` }], watched(record));
    const replaced = record.nextReplaced();
    folder.write('y/a', fresh);
    await replaced;
    assert.equal(serving(store), fresh.serialNumber);
  });

  test('keeps to the working directory that a relative path was given in', async () => {
    using folder = new CertificateFolder();
    folder.write('a', old);
    const record = new ReloadRecord();
    const home = process.cwd();
    process.chdir(folder.path);
    try {
      using store = new CertificateStore([{ certificateFile: 'a.crt', keyFile: './a.key' }], watched(record));
      process.chdir('/');
      const replaced = record.nextReplaced();
      folder.write('a', fresh);
      await replaced;
      assert.equal(serving(store), fresh.serialNumber);
      assert.equal((await store.reload()).failedCount, 0);
    } finally {
      process.chdir(home);
    }
  });

  test('notices that a folder further up was replaced by another one', async () => {
    using folder = new CertificateFolder();
    mkdirSync(folder.file('live/tls'), { recursive: true });
    mkdirSync(folder.file('next/tls'), { recursive: true });
    const source = folder.write('live/tls/a', old);
    folder.write('next/tls/a', fresh);
    const record = new ReloadRecord();
    using store = new CertificateStore([source], watched(record));
    let replaced = record.nextReplaced();
    renameSync(folder.file('live'), folder.file('former'));
    renameSync(folder.file('next'), folder.file('live'));
    await replaced;
    assert.equal(serving(store), fresh.serialNumber);
    replaced = record.nextReplaced();
    folder.write('live/tls/a', old);
    await replaced;
    assert.equal(serving(store), old.serialNumber);
  });

  test('that can not be set up is told once, and taken up again when it can; changes are seen by the recheck', async () => {
    using folder = new CertificateFolder();
    const source = folder.write('a', old);
    const record = new ReloadRecord();
    const clock = new ManualClock({ wallNow: Date.now() });
    const { watch } = fs;
    fs.watch = (): never => {
      throw Object.assign(new Error('ENOSPC: no space left'), { code: 'ENOSPC' });
    };
    syncBuiltinESMExports();
    let store: CertificateStore;
    try {
      const told = record.next('the concern', ({ concern }) => concern?.reason === 'TLS_CERTIFICATE_UNWATCHED');
      store = new CertificateStore([source], { onReload: record.onReload, recheckMs: 1000, clock });
      assert.match((await told).concern?.message ?? '', /a\.crt: changes of its files are seen every 1000 ms only: ENOSPC/);
    } finally {
      fs.watch = watch;
      syncBuiltinESMExports();
    }
    assert.equal((await store.reload()).outcomes[0]?.concern?.reason, 'TLS_CERTIFICATE_UNWATCHED');
    assert.deepEqual(record.summary(), ['TLS_CERTIFICATE_UNWATCHED']);
    const replaced = record.nextReplaced();
    folder.write('a', fresh);
    clock.advance(1000);
    assert.equal((await replaced).concern, null);
    store.close();
  });
});

describe('what is no plain file of a sensible size is not read', () => {
  test('a FIFO, which would be waited for without end: the others are replaced all the same', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const sources = [folder.write('a', old), folder.write('b', old)];
    using store = new CertificateStore(sources, still(record));
    unlinkSync(folder.file('a.crt'));
    execFileSync('mkfifo', [folder.file('a.crt')]);
    folder.write('b', fresh);
    const { outcomes } = await store.reload();
    assert.equal(outcomes[0]?.error?.reason, 'TLS_CERTIFICATE_UNREADABLE');
    assert.match(outcomes[0].error.message, /no plain file/);
    assert.equal(outcomes[1]?.isReplaced, true);
    assert.throws(() => new CertificateStore(sources, still(record)), { reason: 'TLS_CERTIFICATE_UNREADABLE', message: /no plain file/ });
  });

  test('a folder, and a file of more than 1 MiB', async () => {
    using folder = new CertificateFolder();
    const source = folder.write('a', old);
    using store = new CertificateStore([source], still(new ReloadRecord()));
    writeFileSync(source.keyFile, Buffer.alloc(1_048_577));
    assert.match((await store.reload()).outcomes[0]?.error?.message ?? '', /a\.key can't be read: it has 1048577 bytes/);
    rmSync(source.keyFile);
    mkdirSync(source.keyFile);
    assert.match((await store.reload()).outcomes[0]?.error?.message ?? '', /a\.key can't be read/);
    assert.equal(serving(store), old.serialNumber);
  });
});
