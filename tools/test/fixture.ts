/** Small copies of this repository in a temporary folder, to see what the tools say of a violation without committing one. */
import { cpSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readPackages, root } from '../workspace.ts';

/** A copy of the repository without the sources of its packages; each package holds an empty entry point. */
export class Fixture implements Disposable {
  readonly folder: string;

  constructor() {
    this.folder = realpathSync(mkdtempSync(join(tmpdir(), 'ferrata-tools-')));
    for (const file of [
      'package.json',
      'pnpm-workspace.yaml',
      'pnpm-lock.yaml',
      'turbo.json',
      'tsconfig.base.json',
      '.oxlintrc.json',
      'biome.json',
      '.gitignore',
    ]) {
      cpSync(join(root, file), join(this.folder, file));
    }
    for (const { id } of readPackages()) {
      for (const file of ['package.json', 'turbo.json', 'tsconfig.json']) this.copy(`packages/${id}/${file}`);
      this.write(`packages/${id}/src/index.ts`, 'export const nothing = 0;\n');
    }
    symlinkSync(join(root, 'node_modules'), join(this.folder, 'node_modules'), 'junction');
  }

  /** Writes a file, given by its path in the repository. */
  write(path: string, text: string): void {
    const file = join(this.folder, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }

  /** Copies a file of the repository, given by its path. */
  copy(path: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    cpSync(join(root, path), join(this.folder, path));
  }
}
