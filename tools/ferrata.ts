/** `pnpm ferrata …`: the ferrata command from its sources, by the path that its manifest names, in this very process. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type Manifest, readJson, root } from './workspace.ts';

const folder = join(root, 'packages', 'ferrata');
const { bin } = readJson<Manifest>(join(folder, 'package.json'));
const path = bin?.['ferrata'];
if (path === undefined) throw new Error('packages/ferrata/package.json names no bin "ferrata"');
process.argv[1] = join(folder, path);
await import(pathToFileURL(join(folder, path)).href);
