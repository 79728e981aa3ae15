/** `pnpm bench NAME`: `proxy` compares proxies on this machine; any other NAME runs packages/NAME/bench/*.bench.ts, one file after the other. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { runOnTerminal } from './process.ts';
import { findPackage, readPackages, root } from './workspace.ts';

const [name, ...args] = process.argv.slice(2);
const packages = readPackages();
const proxyBench = join(root, 'packages', 'bench', 'proxy', 'run.ts');
const files = name === undefined ? [] : benchFiles(name);

if (files.length === 0) {
  const names = packages.filter((entry) => benchFiles(entry.id).length > 0).map((entry) => entry.id);
  const known = [...new Set([...(existsSync(proxyBench) ? ['proxy'] : []), ...names])];
  console.error(name === undefined ? 'usage: pnpm bench NAME [ARGUMENT…]' : `there is nothing to measure under the name "${name}"`);
  console.error(`NAME is one of: ${known.join(', ')}`);
  process.exitCode = 2;
}
for (const file of files) {
  const code = await runOnTerminal(process.execPath, ['--expose-gc', file, ...args]);
  if (code === 0) continue;
  process.exitCode = code;
  break;
}

function benchFiles(wanted: string): readonly string[] {
  if (wanted === 'proxy' && existsSync(proxyBench)) return [proxyBench];
  const entry = findPackage(packages, wanted);
  const folder = join(entry?.folder ?? root, 'bench');
  if (entry === undefined || !existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.bench.ts'));
  return files.toSorted().map((file) => join(folder, file));
}
