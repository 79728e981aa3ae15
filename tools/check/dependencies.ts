/** What a published package makes its users install: only what its source imports. Benches, tests and README examples need devDependencies. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Package } from '../workspace.ts';

/** Finds the packages that a TypeScript text imports or re-exports, by name: `@scope/name/sub` is `@scope/name`. */
export function importedPackages(code: string): ReadonlySet<string> {
  const found = new Set<string>();
  // A comment may show an import that is none.
  const bare = code.replaceAll(/\/\*[^]*?\*\//g, '').replaceAll(/^\s*\/\/.*$/gm, '');
  for (const [, specifier = ''] of bare.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*['"]([^'"]+)['"]/g)) {
    if (/^(?:\.|node:)/.test(specifier)) continue;
    const [first = '', second = ''] = specifier.split('/');
    found.add(first.startsWith('@') ? `${first}/${second}` : first);
  }
  return found;
}

/** @returns the `dependencies` of a package that no file of its src imports */
export function unusedDependencies(entry: Package): readonly string[] {
  const imported = new Set<string>();
  for (const file of globSync('src/**/*.ts', { cwd: entry.folder })) {
    for (const name of importedPackages(readFileSync(join(entry.folder, file), 'utf8'))) imported.add(name);
  }
  return Object.keys(entry.manifest.dependencies ?? {}).filter((name) => !imported.has(name));
}
