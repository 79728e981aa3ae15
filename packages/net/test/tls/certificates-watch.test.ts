/** How files of certificates are watched: which names on which way, what is read after an event, and what is said when nothing can be watched. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import fs, {
  appendFileSync,
  type FSWatcher,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
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

/** Puts a function in place of the one that opens files, until it goes out of scope. */
function replaceOpen(make: (open: typeof promises.open) => (path: string) => ReturnType<typeof promises.open>): Disposable {
  const { open } = promises;
  const other = make(open);
  promises.open = (path, ...rest): ReturnType<typeof open> => (String(path).startsWith('/') ? other(String(path)) : open(path, ...rest));
  syncBuiltinESMExports();
  const restore = (): void => {
    promises.open = open;
    syncBuiltinESMExports();
  };
  return { [Symbol.dispose]: restore };
}

/** The same for the one that watches. */
function replaceWatch(make: (watch: typeof fs.watch) => (path: string, ...rest: never[]) => FSWatcher): Disposable {
  const { watch } = fs;
  fs.watch = make(watch) as typeof fs.watch;
  syncBuiltinESMExports();
  const restore = (): void => {
    fs.watch = watch;
    syncBuiltinESMExports();
  };
  return { [Symbol.dispose]: restore };
}

function failing(code: string): never {
  throw Object.assign(new Error(`${code}: it does not want to`), { code });
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
    const opened: string[] = [];
    using _ = replaceOpen((open) => (path) => {
      opened.push(path);
      return open(path);
    });
    const replaced = record.nextReplaced();
    folder.write('a', fresh);
    assert.equal((await replaced).source, sources[0]);
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
    let store: CertificateStore;
    {
      using _ = replaceWatch(() => () => failing('ENOSPC'));
      const told = record.next('the concern', ({ concern }) => concern?.reason === 'TLS_CERTIFICATE_UNWATCHED');
      store = new CertificateStore([source], { onReload: record.onReload, recheckMs: 1000, clock });
      assert.match((await told).concern?.message ?? '', /a\.crt: changes of its files are seen every 1000 ms only: ENOSPC/);
    }
    assert.equal((await store.reload()).outcomes[0]?.concern?.reason, 'TLS_CERTIFICATE_UNWATCHED');
    assert.deepEqual(record.summary(), ['TLS_CERTIFICATE_UNWATCHED']);
    const replaced = record.nextReplaced();
    folder.write('a', fresh);
    clock.advance(1000);
    await replaced;
    // The next recheck is waited for when this one is over.
    while (clock.pendingCount === 0) await new Promise(setImmediate);
    assert.equal((await store.reload()).outcomes[0]?.concern, null);
    store.close();
  });

  test('that ends by itself is told of at once', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const watchers: FSWatcher[] = [];
    using _ = replaceWatch((watch) => (...given) => {
      const watcher = watch(...given);
      watchers.push(watcher);
      return watcher;
    });
    using store = new CertificateStore([folder.write('a', old)], watched(record));
    await new Promise(setImmediate);
    assert.deepEqual(record.all, []);
    const told = record.next('the concern', ({ concern }) => concern?.reason === 'TLS_CERTIFICATE_UNWATCHED');
    for (const watcher of watchers) watcher.emit('error', new Error('EIO: the disk is gone'));
    assert.match((await told).concern?.message ?? '', /a\.crt: changes of its files go unseen: EIO/);
    assert.equal(serving(store), old.serialNumber);
  });

  test('is put on a folder that was removed and made anew, whose inode may be the same', async () => {
    using folder = new CertificateFolder();
    const file = folder.file('tls/a');
    mkdirSync(folder.file('tls'));
    const clock = new ManualClock();
    let calls = 0;
    const watcher = new FileWatcher([file], { settleMs: 20, clock, onFailure: nothing, onChange: () => calls++ });
    let heard = firstChange([file]);
    rmSync(folder.file('tls'), { recursive: true });
    mkdirSync(folder.file('tls'));
    await heard;
    clock.advance(20);
    assert.equal(calls, 1);
    heard = firstChange([file]);
    writeFileSync(file, 'new');
    await heard;
    clock.advance(20);
    assert.equal(calls, 2);
    watcher.close();
  });

  test('does not need a folder further up that only others may list; one that can not be watched for another reason it does', () => {
    using folder = new CertificateFolder();
    const top = realpathSync(folder.path);
    mkdirSync(`${top}/up/tls`, { recursive: true });
    const file = `${top}/up/tls/a`;
    for (const [place, code, isFailure] of [
      [`${top}/up`, 'EACCES', false],
      [`${top}/up`, 'EPERM', false],
      [`${top}/up`, 'ENOSPC', true],
      [`${top}/up/tls`, 'EACCES', true],
    ] as const) {
      using _ = replaceWatch(
        (watch) =>
          (path, ...rest) =>
            path === place ? failing(code) : watch(path, ...rest),
      );
      const watcher = new FileWatcher([file], { settleMs: 20, clock: systemClock, onFailure: nothing, onChange: nothing });
      assert.equal(watcher.failureOf(file) !== null, isFailure, `${place} ${code}`);
      watcher.close();
    }
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

describe('a reading', () => {
  test('that fails is made once more: files swapped between certificate and key are no failure', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], still(record));
    writeFileSync(folder.file('a.crt'), fresh.chain);
    writeFileSync(folder.file('next.key'), fresh.key);
    let swaps = 0;
    using _ = replaceOpen((open) => async (path) => {
      const handle = await open(path);
      // The old key is open, and will be read.
      if (path.endsWith('.key') && swaps++ === 0) renameSync(folder.file('next.key'), folder.file('a.key'));
      return handle;
    });
    assert.equal((await store.reload()).replacedCount, 1);
    assert.equal(serving(store), fresh.serialNumber);
    assert.deepEqual(record.summary(), ['replaced']);
  });

  test('that hangs ends after 5 s and holds up no other; the files are not opened again until it is over', async () => {
    using folder = new CertificateFolder();
    const clock = new ManualClock({ wallNow: Date.now() });
    using store = new CertificateStore([folder.write('a', old), folder.write('b', old)], { ...still(new ReloadRecord()), clock });
    folder.write('a', fresh);
    folder.write('b', fresh);
    const gate = Promise.withResolvers<void>();
    let opened = 0;
    using _ = replaceOpen((open) => async (path) => {
      if (!path.endsWith('a.crt')) return open(path);
      opened++;
      await gate.promise;
      return open(path);
    });
    const first = store.reload();
    while (clock.pendingCount === 0) await new Promise(setImmediate);
    clock.advance(5000);
    const { outcomes, replacedCount } = await first;
    assert.match(outcomes[0]?.error?.message ?? '', /a\.crt: no answer within 5000 ms from the files/);
    assert.equal(replacedCount, 1);
    const again = await store.reload();
    assert.match(again.outcomes[0]?.error?.message ?? '', /could not be read in time, and still are not/);
    assert.deepEqual([opened, clock.pendingCount], [1, 0]);
    gate.resolve();
    let last = await store.reload();
    // Until the file system has answered, a reload says that it has not.
    while (last.failedCount > 0) {
      await new Promise(setImmediate);
      last = await store.reload();
    }
    assert.deepEqual([last.failedCount, last.replacedCount], [0, 1]);
    assert.equal(serving(store), fresh.serialNumber);
  });

  test('that hangs spares its directories, too: looking at them would hang the thread', async () => {
    using folder = new CertificateFolder();
    const clock = new ManualClock({ wallNow: Date.now() });
    mkdirSync(folder.file('slow'));
    const sources = [folder.write('slow/a', old), folder.write('b', old)];
    using _store = new CertificateStore(sources, { settleMs: 20, recheckMs: 60_000, clock });
    const gate = Promise.withResolvers<void>();
    using _open = replaceOpen((open) => async (path) => {
      if (path.includes('/slow/')) await gate.promise;
      return open(path);
    });
    const { lstatSync } = fs;
    const looked: string[] = [];
    const followed = Promise.withResolvers<void>();
    const noting = (path: string): fs.Stats => {
      looked.push(path);
      if (path === folder.file('b.crt')) followed.resolve();
      return lstatSync(path);
    };
    Object.assign(fs, { lstatSync: noting });
    syncBuiltinESMExports();
    try {
      clock.advance(60_000);
      await new Promise(setImmediate);
      assert.equal(looked.length, 0);
      clock.advance(5000);
      await followed.promise;
      assert.equal(looked.includes(folder.file('slow')), false);
    } finally {
      Object.assign(fs, { lstatSync });
      syncBuiltinESMExports();
      gate.resolve();
    }
  });

  test('is followed by another one of what has changed meanwhile', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const clock = new ManualClock({ wallNow: Date.now() });
    const sources = [folder.write('a', old), folder.write('b', old)];
    using store = new CertificateStore(sources, { ...watched(record), clock });
    const gate = Promise.withResolvers<void>();
    const reading = Promise.withResolvers<void>();
    using _ = replaceOpen((open) => async (path) => {
      reading.resolve();
      await gate.promise;
      return open(path);
    });
    for (const name of ['a', 'b']) {
      const heard = firstChange([folder.file(`${name}.crt`)]);
      folder.write(name, fresh);
      await heard;
      clock.advance(20);
      await reading.promise;
    }
    const replaced = record.next('the second one', ({ source, isReplaced }) => isReplaced && source === sources[1]);
    gate.resolve();
    await replaced;
    assert.deepEqual(
      store.certificates.map(({ certificate }) => certificate.serialNumber),
      [fresh.serialNumber, fresh.serialNumber],
    );
  });

  test('of a file that grows meanwhile fails', async () => {
    using folder = new CertificateFolder();
    using store = new CertificateStore([folder.write('a', old)], still(new ReloadRecord()));
    using _ = replaceOpen((open) => async (path) => {
      const handle = await open(path);
      const stats = await handle.stat();
      appendFileSync(path, '\n');
      handle.stat = async (): Promise<never> => stats as never;
      return handle;
    });
    assert.match((await store.reload()).outcomes[0]?.error?.message ?? '', /a\.crt can't be read: it grows while it is read/);
  });
});
