/**
 * The one build recipe of every published package: ESM and its declarations, nothing else.
 *
 * What is built follows from the manifest: each `./dist/NAME.js` under publishConfig (its exports, its bin) is made from
 * `src/NAME.ts`, so a new entry point is written down once.
 */
import { readFileSync } from 'node:fs';
import type { Options } from 'tsup';

const recipe: Options = {
  entry: entryPoints(),
  format: ['esm'],
  target: 'es2024',
  platform: 'neutral',
  dts: true,
  clean: true,
  sourcemap: true,
  treeshake: true,
  // Some modules of Node have no other name: `node:test`.
  removeNodeProtocol: false,
  external: [/^node:/],
};

export default recipe;

/** tsup runs in the folder of the package. */
function entryPoints(): string[] {
  const { publishConfig = {} } = JSON.parse(readFileSync('package.json', 'utf8')) as { publishConfig?: object };
  const built = JSON.stringify(publishConfig).matchAll(/"\.\/dist\/([^"]+)\.js"/g);
  const names = new Set([...built].map(([, name = 'index']) => name));
  return names.size === 0 ? ['src/index.ts'] : [...names].map((name) => `src/${name}.ts`);
}
