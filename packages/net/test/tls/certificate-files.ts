/** Certificates in a folder of its own, and a record of what a store says of them that can be waited for. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { IssuedCertificate } from '@ferrata/dev-certificates';
import type { CertificateReload } from '../../src/tls/certificate-store.ts';

/** A folder that is removed when it goes out of scope. */
export class CertificateFolder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'ferrata-certificates-'));

  file(name: string): string {
    return join(this.path, name);
  }

  /** Writes NAME.crt and NAME.key. @returns them as a source */
  write(name: string, issued: IssuedCertificate): { readonly certificateFile: string; readonly keyFile: string } {
    const source = { certificateFile: this.file(`${name}.crt`), keyFile: this.file(`${name}.key`) };
    writeFileSync(source.keyFile, issued.key);
    writeFileSync(source.certificateFile, issued.chain);
    return source;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** What `onReload` was called with. */
export class ReloadRecord {
  readonly all: CertificateReload[] = [];
  readonly #waiting: {
    readonly isWanted: (reload: CertificateReload) => boolean;
    readonly resolve: (reload: CertificateReload) => void;
  }[] = [];

  readonly onReload = (reload: CertificateReload): void => {
    this.all.push(reload);
    for (const waiting of this.#waiting.splice(0)) {
      if (waiting.isWanted(reload)) waiting.resolve(reload);
      else this.#waiting.push(waiting);
    }
  };

  /** The first one, from now on, that is wanted. Fails after ten seconds. */
  next(what: string, isWanted: (reload: CertificateReload) => boolean): Promise<CertificateReload> {
    return new Promise((resolve, reject) => {
      // It also keeps the program alive, which a watch does not.
      const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}; told: ${this.summary().join('; ')}`)), 10_000);
      this.#waiting.push({
        isWanted,
        resolve: (reload) => {
          clearTimeout(timer);
          resolve(reload);
        },
      });
    });
  }

  /** The next one that replaced a certificate. */
  nextReplaced(): Promise<CertificateReload> {
    return this.next('a certificate to be replaced', ({ isReplaced }) => isReplaced);
  }

  /** One line each: what has happened. */
  summary(): string[] {
    return this.all.map(({ error, concern, isReplaced }) => error?.reason ?? concern?.reason ?? (isReplaced ? 'replaced' : 'good again'));
  }
}
