/** `npm start`: the demo of package `ferrata`, an origin and the proxy in front of it. `npm start -- --smoke` makes one round trip and ends. */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { root } from './workspace.ts';

interface Demo {
  runDemo(args: readonly string[]): Promise<number>;
}

const demo = (await import(pathToFileURL(join(root, 'packages', 'ferrata', 'src', 'demo.ts')).href)) as Demo;
process.exitCode = await demo.runDemo(process.argv.slice(2));
