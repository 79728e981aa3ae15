/** Dependencies that users would install for nothing. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { importedPackages, unusedDependencies } from '../check/dependencies.ts';
import { type Manifest, readJson, readPackages, root } from '../workspace.ts';
import { Fixture } from './fixture.ts';

test('imports, re-exports and dynamic imports are found by the name of the package', () => {
  const code = [
    "import { a } from '@ferrata/bytes';",
    "import type { B } from '@ferrata/error/sub';",
    'import {',
    '  c,',
    "} from 'left-pad/lib';",
    "import '@ferrata/clock';",
    "export { d } from '@ferrata/net';",
    "const e = await import('undici');",
    "import { f } from './here.ts';",
    "import { g } from 'node:fs';",
    "/** import { h } from '@ferrata/shown'; */",
    "// import '@ferrata/commented';",
  ];
  assert.deepEqual([...importedPackages(code.join('\n'))].toSorted(), [
    '@ferrata/bytes',
    '@ferrata/clock',
    '@ferrata/error',
    '@ferrata/net',
    'left-pad',
    'undici',
  ]);
});

test('a dependency that no source imports is named', () => {
  using fixture = new Fixture();
  const manifest = readJson<Manifest>(`${root}/packages/headers/package.json`);
  const dependencies = { '@ferrata/bytes': 'workspace:*', '@ferrata/clock': 'workspace:*', '@ferrata/error': 'workspace:*' };
  fixture.write('packages/headers/package.json', JSON.stringify({ ...manifest, dependencies }));
  fixture.write('packages/headers/src/index.ts', "export { latin1Decode } from '@ferrata/bytes';\n");
  fixture.write('packages/headers/src/internal/part.ts', "import { isWireError } from '@ferrata/error';\n");
  fixture.write('packages/headers/test/part.test.ts', "import '@ferrata/clock';\n");
  const entry = readPackages(fixture.folder).find(({ id }) => id === 'headers');
  assert.ok(entry !== undefined);
  assert.deepEqual(unusedDependencies(entry), ['@ferrata/clock']);
});
