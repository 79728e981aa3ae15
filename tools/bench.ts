/**
 * `pnpm bench NAME`: `proxy` compares proxies on this machine, `slow-reader`, `idle-connections` and `origin-restart` look at one of them;
 * `structures` compares the structures with their peers, and the name of one measures that one alone; any other NAME runs
 * packages/NAME/bench/*.bench.ts, one file after the other.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runOnTerminal } from './process.ts';
import { findPackage, readPackages, root } from './workspace.ts';

const [name, ...args] = process.argv.slice(2);
const packages = readPackages();
const comparisons = join(root, 'packages', 'bench');
const comparisonFiles: Readonly<Record<string, string>> = {
  proxy: 'proxy/run.ts',
  'slow-reader': 'proxy/slow-reader.ts',
  'idle-connections': 'proxy/idle-connections.ts',
  'origin-restart': 'proxy/origin-restart.ts',
  structures: 'structures/run.ts',
};
const structures = ['hash', 'timeout', 'ketama', 'lru', 'tinyufo', 'memory-cache', 'limits', 'pool', 'metrics'];
const files = name === undefined ? [] : benchFiles(name);

if (files.length === 0) {
  const names = packages.filter((entry) => benchFiles(entry.id).length > 0).map((entry) => entry.id);
  const known = [...new Set([...Object.keys(comparisonFiles), ...structures, ...names])];
  console.error(name === undefined ? 'usage: pnpm bench NAME [ARGUMENT…]' : `there is nothing to measure under the name "${name}"`);
  console.error(`NAME is one of: ${known.join(', ')}`);
  process.exitCode = 2;
}
const chosen = name !== undefined && structures.includes(name) ? [name] : [];
for (const file of files) {
  const code = await runOnTerminal(process.execPath, ['--expose-gc', file, ...chosen, ...args]);
  if (code === 0) continue;
  process.exitCode = code;
  break;
}

function benchFiles(wanted: string): readonly string[] {
  const comparison = structures.includes(wanted) ? 'structures' : wanted;
  if (Object.hasOwn(comparisonFiles, comparison)) return [join(comparisons, comparisonFiles[comparison] as string)];
  const entry = findPackage(packages, wanted);
  const folder = join(entry?.folder ?? root, 'bench');
  if (entry === undefined || !existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.bench.ts'));
  return files.toSorted().map((file) => join(folder, file));
}
