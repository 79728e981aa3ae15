/**
 * `pnpm bench NAME`: `proxy` compares proxies on this machine, `reuse` and `threads` what several workers of one are worth, `slow-reader`, `idle-connections` and
 * `origin-restart` look at one of them;
 * `structures` compares the structures with their peers, and the name of one measures that one alone; `http1` compares the HTTP/1 codec with
 * other parsers, `http2` HTTP/2 servers and proxies with theirs, `net` TLS, relays and WebSockets with theirs; any other NAME runs
 * packages/NAME/bench/*.bench.ts, one file after the other; `packages/NAME` says that these are meant where a comparison has the same name. `--help` and a name that nothing has are answered with the names that there are.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
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
  reuse: 'proxy/reuse.ts',
  threads: 'proxy/threads.ts',
  structures: 'structures/run.ts',
  http1: 'http1/run.ts',
  http2: 'http2/run.ts',
  'http2-memory': 'http2/memory.ts',
  net: 'net/run.ts',
};
// By its path: the tools depend on no package.
const { structureNames } = (await import(pathToFileURL(join(comparisons, 'structures/names.ts')).href)) as {
  readonly structureNames: readonly string[];
};
const files = name === undefined ? [] : benchFiles(name);

if (files.length === 0) {
  const names = packages
    .map((entry) => (Object.hasOwn(comparisonFiles, entry.id) ? `packages/${entry.id}` : entry.id))
    .filter((id) => benchFiles(id).length > 0);
  const known = [...new Set([...Object.keys(comparisonFiles), ...structureNames, ...names])];
  const isAsked = name === undefined || name === '--help';
  const lines = [
    isAsked ? 'usage: pnpm bench NAME [ARGUMENT…]' : `there is nothing to measure under the name "${name}"`,
    `NAME is one of: ${known.join(', ')}`,
  ];
  if (name === '--help') {
    console.log(lines.join('\n'));
  } else {
    console.error(lines.join('\n'));
    process.exitCode = 2;
  }
}
const chosen = name !== undefined && structureNames.includes(name) ? [name] : [];
for (const file of files) {
  const code = await runOnTerminal(process.execPath, ['--expose-gc', file, ...chosen, ...args]);
  if (code === 0) continue;
  process.exitCode = code;
  break;
}

function benchFiles(wanted: string): readonly string[] {
  const comparison = structureNames.includes(wanted) ? 'structures' : wanted;
  if (Object.hasOwn(comparisonFiles, comparison)) return [join(comparisons, comparisonFiles[comparison] as string)];
  const entry = findPackage(packages, wanted.replace(/^packages\//, ''));
  const folder = join(entry?.folder ?? root, 'bench');
  if (entry === undefined || !existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith('.bench.ts'));
  return files.toSorted().map((file) => join(folder, file));
}
