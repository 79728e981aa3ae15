/**
 * The packages as npm would get them: built, packed, and the tarballs looked at.
 *
 * For each published package: publint (is the manifest right?), attw (do its types resolve for those who import it?), a
 * list of what may be inside, and whether its source uses what it depends on. Then all tarballs are unpacked side by side, as an installation would, and every entry point is
 * imported by name, every command started, and `ferrata reverse` run once: what only works from the sources fails here.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { run } from '../process.ts';
import { type Package, readJson, root } from '../workspace.ts';
import { unusedDependencies } from './dependencies.ts';
import type { StepResult } from './steps.ts';
import { counted } from './totals.ts';

/** What a tarball may hold, besides its manifest. */
const ALLOWED = /^package\/(?:package\.json|README\.md|LICENSE|CHANGELOG\.md|dist\/.+\.(?:js|js\.map|d\.ts))$/;
/** What a tarball has to hold. */
const REQUIRED = ['package/package.json', 'package/README.md', 'package/LICENSE', 'package/dist/index.js', 'package/dist/index.d.ts'];

interface PackedManifest {
  readonly name: string;
  readonly exports: Readonly<Record<string, unknown>>;
  readonly bin?: Readonly<Record<string, string>>;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
}

/** Builds, packs and checks every published package. */
export async function checkPacked(packages: readonly Package[], onProgress: (text: string) => void): Promise<StepResult> {
  const published = packages.filter((entry) => entry.isPublished);
  const folder = join(root, '.cache', 'packed');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });

  onProgress('build');
  const build = await run('turbo', [
    'run',
    'build',
    '--output-logs=errors-only',
    '--concurrency=2',
    ...published.map(({ name }) => `--filter=${name}`),
  ]);
  if (build.code !== 0) return { passed: 0, failed: 1, note: 'the build failed', output: build.output };

  const problems: string[] = [];
  let passed = 0;
  const note = (problem: string): void => {
    if (problem === '') passed += 1;
    else problems.push(problem);
  };
  const queue = [...published];
  const worker = async (): Promise<void> => {
    for (let entry = queue.shift(); entry !== undefined; entry = queue.shift()) {
      onProgress(entry.id);
      note(await checkPackage(entry, folder));
    }
  };
  await Promise.all([worker(), worker()]);
  onProgress('import');
  if (problems.length === 0) note(await importAll(published, folder));
  return {
    passed,
    failed: problems.length,
    note: `${counted(published.length, 'tarball')}: publint, attw, contents, import, one run`,
    output: problems.join('\n\n'),
  };
}

/** @returns what is wrong with one package; empty if nothing is */
async function checkPackage(entry: Package, folder: string): Promise<string> {
  const target = join(folder, entry.id);
  mkdirSync(target, { recursive: true });
  const pack = await run('pnpm', ['pack', '--pack-destination', target], { cwd: entry.folder });
  const tarball = readdirSync(target).find((file) => file.endsWith('.tgz'));
  if (pack.code !== 0 || tarball === undefined) return `pnpm pack ${entry.id}\n${pack.output}`;
  const file = join(target, tarball);
  const problems = unusedDependencies(entry).map((name) => `${entry.name}: src imports nothing of ${name}, which its dependencies name`);

  const list = await run('tar', ['-tzf', file]);
  const inside = list.output.split('\n').filter((line) => line !== '');
  for (const path of inside) if (!ALLOWED.test(path)) problems.push(`${entry.name}: ${path} has no business in the tarball`);
  for (const path of REQUIRED) if (!inside.includes(path)) problems.push(`${entry.name}: the tarball lacks ${path}`);

  const publint = await run('publint', ['run', file, '--strict']);
  if (publint.code !== 0) problems.push(`publint ${entry.name}\n${publint.output}`);
  const attw = await run('attw', [file, '--profile', 'esm-only', '--no-color', '--no-emoji']);
  if (attw.code !== 0) problems.push(`attw ${entry.name}\n${attw.output}`);

  // pnpm has put the manifest of publishConfig into the tarball; unpack it where an installation would.
  const installed = join(folder, 'node_modules', entry.name);
  mkdirSync(installed, { recursive: true });
  const unpack = await run('tar', ['-xzf', file, '--strip-components=1', '-C', installed]);
  if (unpack.code !== 0) problems.push(unpack.output);
  const text = readFileSync(join(installed, 'package.json'), 'utf8');
  if (text.includes('workspace:')) problems.push(`${entry.name}: a workspace: range is left in the packed manifest`);
  if (text.includes('TO DESCRIBE')) problems.push(`${entry.name}: package.json still lacks its description`);
  return problems.join('\n');
}

/** Imports every entry point of every unpacked package by name, asks every command for its version, and runs the server once. */
async function importAll(published: readonly Package[], folder: string): Promise<string> {
  const specifiers: string[] = [];
  const commands: string[] = [];
  const servers: string[] = [];
  for (const entry of published) {
    const manifest = readJson<PackedManifest>(join(folder, 'node_modules', entry.name, 'package.json'));
    for (const path of Object.keys(manifest.exports)) if (!path.endsWith('.json')) specifiers.push(`${manifest.name}${path.slice(1)}`);
    for (const path of Object.values(manifest.bin ?? {})) commands.push(join(folder, 'node_modules', entry.name, path));
    if (manifest.bin?.['ferrata'] !== undefined) servers.push(join(folder, 'node_modules', entry.name, manifest.bin['ferrata']));
    linkOthers(entry, manifest, folder);
  }
  const script = join(folder, 'import.mjs');
  const lines = specifiers.map(
    (specifier) => `if (Object.keys(await import('${specifier}')).length === 0) throw new Error('${specifier} exports nothing');`,
  );
  writeFileSync(script, `${lines.join('\n')}\n`);
  const problems: string[] = [];
  const runs = [
    [script],
    ...commands.map((command) => [command, '--version']),
    ...servers.map((command) => [join(import.meta.dirname, 'packed-reverse.ts'), command]),
  ];
  for (const args of runs) {
    const ran = await run(process.execPath, args, { cwd: folder, timeoutMs: 60_000 });
    if (ran.code !== 0) problems.push(`${args.join(' ')} of the packed packages\n${ran.output}`);
  }
  return problems.join('\n');
}

/** Dependencies from outside this repository, peers included, come from where pnpm put them. */
function linkOthers(entry: Package, manifest: PackedManifest, folder: string): void {
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })) {
    const link = join(folder, 'node_modules', name);
    try {
      readdirSync(link);
    } catch {
      mkdirSync(dirname(link), { recursive: true });
      symlinkSync(join(entry.folder, 'node_modules', name), link, 'junction');
    }
  }
}
