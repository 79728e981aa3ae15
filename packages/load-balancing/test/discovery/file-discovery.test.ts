/** Discovery by a file: how it is read, when it is seen to change, and what a bad one does. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { ManualClock } from '@ferrata/clock';
import { HttpEnvironment } from '@ferrata/http';
import fc from 'fast-check';
import { BackendFileError, type BackendFileFormat, readBackendFile } from '../../src/discovery/backend-file.ts';
import type { DiscoveryWatch } from '../../src/discovery/discovery.ts';
import { type FileDiscoveryOptions, fileDiscovery } from '../../src/discovery/file-discovery.ts';
import { addressesOf, Heard } from './heard.ts';

const root = mkdtempSync(join(tmpdir(), 'ferrata-file-discovery-'));
after(() => rmSync(root, { recursive: true, force: true }));
let folders = 0;

function newFolder(): string {
  const folder = join(root, `${folders++}`);
  mkdirSync(folder);
  return folder;
}

function read(text: string, format: BackendFileFormat | null = null, maxBackends = 100): ReturnType<typeof readBackendFile> {
  return readBackendFile(Buffer.from(text), format, maxBackends);
}

function jsonOf(...addresses: readonly string[]): string {
  return JSON.stringify({ backends: addresses });
}

describe('the content', () => {
  test('is JSON with addresses and objects', () => {
    const entry = {
      address: '[2001:db8::1]:80',
      name: 'b',
      weight: 2,
      priority: 1,
      zone: 'a',
      metadata: { rack: '4' },
      isEnabled: false,
      healthPort: 81,
    };
    assert.deepEqual(read(JSON.stringify({ backends: ['10.0.0.1:80', entry] })), [
      { address: 'tcp://10.0.0.1:80' },
      { ...entry, address: 'tcp://[2001:db8::1]:80' },
    ]);
    assert.deepEqual(read(' \r\n{ "backends": [] }'), []);
    assert.deepEqual(read('\ufeff{ "backends": [] }'), []);
  });

  test('is lines with comments', () => {
    const text = '# all of them\n\n10.0.0.1:80\r\n  [::1]:81 # this one\nunix:/run/a.sock\nname.example:82';
    assert.equal(addressesOf(read(text)), '10.0.0.1:80 [::1]:81 unix:/run/a.sock name.example:82');
  });

  test('has no comment within a word: the path of a socket may have such a sign', () => {
    const backends = readBackendFile(Buffer.from('unix:/run/a#b.sock\nunix:/run/c #d\n\t#e\n#f'), null, 9);
    assert.deepEqual(
      backends.map(({ address }) => address),
      ['unix:/run/a#b.sock', 'unix:/run/c'],
    );
    assert.throws(() => readBackendFile(Buffer.from('10.0.0.1:80#g'), null, 9), BackendFileError);
  });

  test('of a hundred thousand lines, of lines without end, with a byte order mark or NUL, is read or refused in few words', () => {
    const many = Array.from({ length: 100_000 }, (_, index) => `10.${index >> 16}.${(index >> 8) & 0xff}.${index & 0xff}:80`);
    assert.equal(readBackendFile(Buffer.from(many.join('\r\n')), null, 100_000).length, 100_000);
    assert.throws(() => readBackendFile(Buffer.from(many.join('\n')), null, 65_536), /^Error: there are more than 65536 backends/);
    assert.deepEqual(readBackendFile(Buffer.from('\uFEFF10.0.0.1:80\r\n'), null, 9), [{ address: 'tcp://10.0.0.1:80' }]);
    assert.deepEqual(readBackendFile(Buffer.from('\uFEFF{"backends":[]}'), null, 9), []);
    for (const text of ['10.0.0.1:80\0', '\0'.repeat(100_000), 'x'.repeat(1_000_000), `{"backends":${'['.repeat(100_000)}`])
      assert.throws(
        () => readBackendFile(Buffer.from(text), null, 9),
        (error) => error instanceof BackendFileError && error.message.length < 500,
        text.slice(0, 20),
      );
  });

  test('is what a function of the program makes of it', () => {
    const csv = (text: string): readonly { address: string; weight: number }[] =>
      text.split('\n').map((line) => ({ address: line.split(',')[0] ?? '', weight: Number(line.split(',')[1]) }));
    assert.deepEqual(read('10.0.0.1:80,5\n10.0.0.2:80,6', csv), [
      { address: 'tcp://10.0.0.1:80', weight: 5 },
      { address: 'tcp://10.0.0.2:80', weight: 6 },
    ]);
    assert.throws(() => read('10.0.0.1:80,-5', csv), /backend 0: weight/);
    assert.throws(
      () =>
        read('x', () => {
          throw new Error('what is this');
        }),
      /what is this/,
    );
  });

  const wrong: readonly (readonly [text: string, message: RegExp])[] = [
    ['{ "backends": [', /no JSON/],
    ['{ "backend": [] }', /the file cannot have "backend"; it knows backends/],
    ['{ "backends": [], "version": 1 }', /the file cannot have "version"/],
    ['{ }', /"backends" must be a list, not missing/],
    ['{ "backends": {} }', /"backends" must be a list/],
    ['{ "backends": ["a:80", { "address": "b:80", "wieght": 2 }] }', /backends\[1\] cannot have "wieght"; it knows address, name, weight/],
    ['{ "backends": [{ "address": "b:80", "__proto__": 2 }] }', /backends\[0\] cannot have "__proto__"/],
    ['{ "backends": [{ "weight": 2 }] }', /backends\[0\]: "address" must be text, not missing/],
    ['{ "backends": [{ "address": { "host": "a", "port": 1 } }] }', /backends\[0\]: "address" must be text/],
    ['{ "backends": [null] }', /backends\[0\] must be an address or an object, not null/],
    ['{ "backends": [["a:80"]] }', /not a list/],
    ['{ "backends": ["a"] }', /backends\[0\]: .*port is missing/],
    ['{ "backends": [{ "address": "a:80", "weight": 65536 }] }', /backends\[0\]: weight of a:80/],
    ['{ "backends": [{ "address": "a:80", "metadata": { "a": 1 } }] }', /backends\[0\]: metadata a/],
    ['{ "backends": [{ "address": "a:80", "metadata": null }] }', /backends\[0\]: metadata/],
    ['{ "backends": ["a:80", "b:80", "a:80"] }', /backends\[2\] goes by the name of backends\[0\]: a:80/],
    ['', /no backend in it/],
    ['# nothing\n', /no backend in it/],
    ['a:80\nb 80\n', /line 2/],
    ['[1, 2]', /line 1/],
  ];
  for (const [text, message] of wrong) {
    test(`is refused with its place: ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => read(text),
        (error) => error instanceof BackendFileError && message.test(error.message),
      );
    });
  }

  test('is refused if it has too many backends, or is no UTF-8', () => {
    assert.throws(() => read(jsonOf('a:1', 'a:2', 'a:3'), null, 2), /more than 2/);
    assert.throws(() => readBackendFile(Uint8Array.of(0xff, 0xfe), null, 10), /no text in UTF-8/);
    assert.throws(() => read('10.0.0.1:80', 'json'), /no JSON/);
    assert.throws(() => read('{ "backends": [] }', 'lines'), /line 1/);
  });

  test('whatever it is, gives backends or an error of ours', () => {
    const value = fc.oneof(
      fc.json(),
      fc.string(),
      fc.json().map((json) => `{"backends":${json}}`),
      fc.json().map((json) => `{"backends":[${json}]}`),
    );
    fc.assert(
      fc.property(value, fc.constantFrom(null, 'json' as const, 'lines' as const), (text, format) => {
        try {
          assert.ok(Array.isArray(read(text, format)));
        } catch (error) {
          assert.ok(error instanceof BackendFileError, String(error));
        }
      }),
    );
  });

  test('cut off anywhere, JSON is refused', () => {
    const text = JSON.stringify({ backends: ['10.0.0.1:80', { address: '10.0.0.2:80', weight: 2 }] });
    for (let length = 0; length < text.length; length++) assert.throws(() => read(text.slice(0, length)), BackendFileError);
  });
});

describe('changes that the directory tells of', () => {
  const environment = new HttpEnvironment();

  async function follow(path: string, act: (heard: Heard) => Promise<void>, options: Partial<FileDiscoveryOptions> = {}): Promise<Heard> {
    const heard = new Heard();
    // Never looked at without a hint: what is seen has been told.
    const discovery = fileDiscovery({ path, debounceMs: 10, recheckMs: Infinity, ...options });
    const watch = discovery.watch(heard, environment);
    assert.deepEqual(heard.all, [], 'nothing is said inside of the call');
    try {
      await heard.count(1);
      await act(heard);
    } finally {
      watch.close();
    }
    return heard;
  }

  test('another file renamed over it', async () => {
    const path = join(newFolder(), 'backends.json');
    writeFileSync(path, jsonOf('10.0.0.1:80'));
    const heard = await follow(path, async (sofar) => {
      for (const last of [2, 3]) {
        writeFileSync(`${path}.new`, jsonOf(`10.0.0.${last}:80`));
        renameSync(`${path}.new`, path);
        await sofar.count(last);
      }
    });
    assert.deepEqual(heard.all, ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
  });

  test('the file written in place', async () => {
    const path = join(newFolder(), 'backends.txt');
    writeFileSync(path, '10.0.0.1:80\n');
    const heard = await follow(path, async (sofar) => {
      // As long as before, and perhaps within the same step of the file system's time.
      writeFileSync(path, '10.0.0.2:80\n');
      await sofar.count(2);
    });
    assert.deepEqual(heard.all, ['10.0.0.1:80', '10.0.0.2:80']);
  });

  test('the link ..data swapped, as Kubernetes does it', async () => {
    const folder = newFolder();
    for (const last of [1, 2]) {
      mkdirSync(join(folder, `..v${last}`));
      writeFileSync(join(folder, `..v${last}`, 'backends.json'), jsonOf(`10.0.0.${last}:80`));
    }
    symlinkSync('..v1', join(folder, '..data'));
    symlinkSync('..data/backends.json', join(folder, 'backends.json'));
    const heard = await follow(join(folder, 'backends.json'), async (sofar) => {
      symlinkSync('..v2', join(folder, '..data_tmp'));
      renameSync(join(folder, '..data_tmp'), join(folder, '..data'));
      rmSync(join(folder, '..v1'), { recursive: true });
      await sofar.count(2);
      // Where the link leads to now is watched, too.
      writeFileSync(join(folder, '..v2', 'backends.json'), jsonOf('10.0.0.3:80'));
      await sofar.count(3);
    });
    assert.deepEqual(heard.all, ['10.0.0.1:80', '10.0.0.2:80', '10.0.0.3:80']);
  });

  test('a file that goes and comes back', async () => {
    const path = join(newFolder(), 'backends.json');
    writeFileSync(path, jsonOf('10.0.0.1:80'));
    const heard = await follow(path, async (sofar) => {
      unlinkSync(path);
      await sofar.count(2);
      writeFileSync(`${path}.new`, jsonOf('10.0.0.1:80'));
      renameSync(`${path}.new`, path);
      await sofar.count(3);
    });
    assert.deepEqual(heard.all, ['10.0.0.1:80', 'DISCOVERY_FILE_MISSING', '10.0.0.1:80']);
  });

  test('a file that is not there yet', async () => {
    const path = join(newFolder(), 'backends.json');
    const heard = await follow(path, async (sofar) => {
      writeFileSync(`${path}.new`, jsonOf('10.0.0.1:80'));
      renameSync(`${path}.new`, path);
      await sofar.count(2);
    });
    assert.deepEqual(heard.all, ['DISCOVERY_FILE_MISSING', '10.0.0.1:80']);
  });

  test('a bad file changes nothing, is told, and the next good one is taken', async () => {
    const path = join(newFolder(), 'backends.json');
    writeFileSync(path, jsonOf('10.0.0.1:80'));
    const heard = await follow(path, async (sofar) => {
      writeFileSync(path, '{ "backends": ["10.0.0.2:80"');
      await sofar.count(2);
      writeFileSync(path, jsonOf('10.0.0.3:80'));
      await sofar.count(3);
    });
    assert.deepEqual(heard.all, ['10.0.0.1:80', 'DISCOVERY_FILE_INVALID', '10.0.0.3:80']);
    assert.match(heard.errors[0]?.message ?? '', /backends\.json: it is no JSON/);
  });

  test('what is no plain file, or too great, is not read', async () => {
    const folder = newFolder();
    mkdirSync(join(folder, 'folder'));
    execFileSync('mkfifo', [join(folder, 'fifo')]);
    writeFileSync(join(folder, 'great'), jsonOf('10.0.0.1:80'));
    for (const [name, message] of [
      ['folder', /no plain file/],
      ['fifo', /no plain file/],
      ['great', /at most 5 are read/],
    ] as const) {
      const heard = await follow(join(folder, name), async () => {}, { maxBytes: 5 });
      assert.deepEqual(heard.all, ['DISCOVERY_FILE_UNREADABLE']);
      assert.match(heard.errors[0]?.message ?? '', message);
    }
  });
});

describe('looks without a hint', () => {
  interface Looking {
    readonly clock: ManualClock;
    readonly heard: Heard;
    readonly watch: DiscoveryWatch;
    /** Moves the time to the next look, and waits for its end. */
    look(): Promise<void>;
  }

  async function start(path: string): Promise<Looking> {
    // A clock that is far ahead: what was written looks long settled.
    const clock = new ManualClock({ wallNow: Date.now() + 1e9 });
    const heard = new Heard();
    const watch = fileDiscovery({ path, recheckMs: 1_000 }).watch(heard, new HttpEnvironment({ clock }));
    const ended = async (): Promise<void> => {
      while (clock.pendingCount === 0) await setImmediate();
    };
    await ended();
    const look = async (): Promise<void> => {
      clock.advance(1_000);
      await ended();
    };
    return { clock, heard, watch, look };
  }

  /** A folder behind a link whose swapping nobody tells of: it is in the folder above. */
  function behindLink(): { path: string; swap: (to: string) => void } {
    const folder = newFolder();
    const swap = (to: string): void => {
      symlinkSync(to, join(folder, 'new'));
      renameSync(join(folder, 'new'), join(folder, 'link'));
    };
    for (const last of [1, 2]) {
      mkdirSync(join(folder, `v${last}`));
      writeFileSync(join(folder, `v${last}`, 'backends.json'), jsonOf(`10.0.0.${last}:80`));
    }
    mkdirSync(join(folder, 'bad'));
    writeFileSync(join(folder, 'bad', 'backends.json'), '{');
    swap('v1');
    return { path: join(folder, 'link', 'backends.json'), swap };
  }

  test('see what nobody tells of', async () => {
    const { path, swap } = behindLink();
    const { heard, watch, look } = await start(path);
    swap('v2');
    await look();
    assert.deepEqual(heard.all, ['10.0.0.1:80', '10.0.0.2:80']);
    await look();
    assert.equal(heard.all.length, 2);
    watch.close();
  });

  test('tell of the same bad content once, though the file was touched', async () => {
    const { path, swap } = behindLink();
    const { heard, watch, look } = await start(path);
    swap('bad');
    await look();
    assert.deepEqual(heard.all, ['10.0.0.1:80', 'DISCOVERY_FILE_INVALID']);
    utimesSync(path, 1, 1);
    await look();
    await look();
    assert.equal(heard.all.length, 2);
    writeFileSync(path, '{ ');
    await look();
    assert.equal(heard.all.length, 3, 'another content is told again');
    watch.close();
  });

  test('tell of a file that is missing once', async () => {
    const { path, swap } = behindLink();
    const { heard, watch, look } = await start(path);
    swap('nowhere');
    for (let time = 0; time < 3; time++) await look();
    swap('v1');
    await look();
    assert.deepEqual(heard.all, ['10.0.0.1:80', 'DISCOVERY_FILE_MISSING', '10.0.0.1:80']);
    watch.close();
  });

  test('read a file again that was written a moment ago, as it may look the same and be another', async () => {
    const path = join(newFolder(), 'backends.txt');
    writeFileSync(path, '10.0.0.1:80\n');
    const clock = new ManualClock({ wallNow: Date.now() });
    const heard = new Heard();
    const watch = fileDiscovery({ path, recheckMs: 1_000, debounceMs: 60_000 }).watch(heard, new HttpEnvironment({ clock }));
    await heard.count(1);
    while (clock.pendingCount === 0) await setImmediate();
    writeFileSync(path, '10.0.0.2:80\n');
    clock.advance(1_000);
    await heard.count(2);
    assert.deepEqual(heard.all, ['10.0.0.1:80', '10.0.0.2:80']);
    watch.close();
  });

  test('end with close, also in the middle of one', async () => {
    const { path } = behindLink();
    const { clock, heard, watch } = await start(path);
    clock.advance(1_000);
    watch.close();
    watch.close();
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    assert.equal(clock.pendingCount, 0);
    assert.equal(heard.all.length, 1);
    const second = new Heard();
    fileDiscovery({ path }).watch(second, new HttpEnvironment({ clock })).close();
    for (let turn = 0; turn < 50; turn++) await setImmediate();
    assert.deepEqual(second.all, []);
    assert.equal(clock.pendingCount, 0);
  });
});

test('options are checked at once', () => {
  const make = (options: object): void => void fileDiscovery({ path: 'a', ...options });
  for (const wrong of [{ path: '' }, { path: 'a\0' }, { path: 1 }, { format: 'xml' }, { watch: true }])
    assert.throws(() => make(wrong), TypeError, JSON.stringify(wrong));
  for (const wrong of [{ debounceMs: -1 }, { debounceMs: 60_001 }, { recheckMs: 99 }, { maxBytes: 0 }, { maxBackends: 0 }])
    assert.throws(() => make(wrong), RangeError, JSON.stringify(wrong));
  assert.equal(fileDiscovery({ path: 'a/b.json' }).name, 'file:a/b.json');
});
