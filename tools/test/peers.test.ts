import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { describe, test } from 'node:test';
import { hasCommand, installCommand, provideGoProgram, providePrograms, versionOf } from '../peers.ts';

const node = { command: 'node', debianPackage: 'nodejs', purpose: 'this' };

test('what is on PATH is there, and asks for no installation', () => {
  assert.ok(hasCommand('node'));
  assert.ok(!hasCommand('no-such-program-of-ours'));
  const said: string[] = [];
  assert.deepEqual(
    providePrograms([node], (line) => said.push(line)),
    [],
  );
  assert.deepEqual(said, []);
});

test('a version is found in what the program says', () => {
  assert.match(versionOf('node', '--version'), /^\d+\.\d+\.\d+/);
  assert.equal(versionOf('no-such-program-of-ours', '-v'), 'not installed');
});

test('the command for a user names each package once', () => {
  assert.equal(installCommand([node, { ...node, command: 'npm' }]), 'sudo apt-get install --no-install-recommends nodejs');
});

test('a program that says itself whether it is there is not looked for on PATH', () => {
  const library = { command: 'no-such-program-of-ours', debianPackage: 'nodejs', purpose: 'this', isThere: () => true };
  assert.deepEqual(
    providePrograms([library], () => undefined),
    [],
  );
});

describe('a Go program', () => {
  /** A module, and a compiler that says how it was called and makes a program of it, or fails. */
  function withCompiler(compiler: string, check: (folder: string) => void): void {
    const folder = mkdtempSync(join(tmpdir(), 'ferrata-go-'));
    const before = process.env['PATH'];
    try {
      writeFileSync(join(folder, 'go.mod'), `module ${folder}\n`);
      writeFileSync(join(folder, 'go.sum'), '');
      writeFileSync(join(folder, 'go'), `#!/bin/sh\n${compiler}\n`, { mode: 0o755 });
      process.env['PATH'] = `${folder}${delimiter}${before ?? ''}`;
      check(folder);
    } finally {
      process.env['PATH'] = before;
      rmSync(folder, { recursive: true, force: true });
    }
  }

  const goPackage = 'example.com/module/cmd/program';

  test('is built once from what pins it, in its folder, with nothing but that', () => {
    withCompiler('echo "$PWD $GOFLAGS $GOTOOLCHAIN $@" >> calls; printf "#!/bin/sh" > "$5"; chmod +x "$5"', (folder) => {
      const said: string[] = [];
      const provided = provideGoProgram({ folder, goPackage }, (line) => said.push(line));
      assert.ok('path' in provided);
      try {
        assert.match(provided.path, /\.cache\/go-programs\/[\da-f]{16}\/program$/);
        assert.deepEqual(
          provideGoProgram({ folder, goPackage }, (line) => said.push(line)),
          provided,
        );
        assert.deepEqual(said, [`building ${goPackage} …`]);
        const calls = readFileSync(join(folder, 'calls'), 'utf8').trim().split('\n');
        assert.deepEqual(calls, [`${folder} -mod=readonly local build -trimpath -buildvcs=false -o ${provided.path} ${goPackage}`]);
        // Another pin is another program.
        writeFileSync(join(folder, 'go.sum'), 'other');
        const other = provideGoProgram({ folder, goPackage }, () => undefined);
        assert.ok('path' in other && other.path !== provided.path && existsSync(other.path));
        rmSync(dirname(other.path), { recursive: true });
      } finally {
        rmSync(dirname(provided.path), { recursive: true });
      }
    });
  });

  test('that cannot be built says why', () => {
    withCompiler('echo "no such module" >&2; exit 1', (folder) => {
      assert.deepEqual(
        provideGoProgram({ folder, goPackage }, () => undefined),
        { problem: `${goPackage} cannot be built: no such module` },
      );
    });
  });
});
