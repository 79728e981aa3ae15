/** What the clients are let loose on: origins over TLS, and proxies in front of them. */
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createAuthority } from '@ferrata/dev-certificates';
import { type StartedProxy, startFerrata } from '../rig/ferrata-command.ts';
import { startTlsOrigin } from './origin.ts';

/** Of the file that is uploaded. */
export const UPLOAD_BYTES = 4_194_304;

/** One way through. */
export interface Route {
  readonly name: string;
  readonly port: number;
  /** The version of HTTP by which the origin must be asked; null: the proxy must answer 502 itself. */
  readonly originVersion: '2.0' | '1.1' | null;
}

/** All of it. */
export interface Rig {
  readonly routes: readonly Route[];
  /** The certificate of the authority that the clients trust: PEM, and the file of it. */
  readonly authority: string;
  readonly authorityFile: string;
  /** Of an authority that signed nothing here. */
  readonly otherAuthorityFile: string;
  /** Base64 of the SHA-256 of the public key for a.test. */
  readonly keyHash: string;
  readonly uploadFile: string;
  /** A folder for whatever a client writes. */
  readonly folder: string;
  /** @returns what went wrong with the proxies */
  close(): Promise<readonly string[]>;
}

/** Makes certificates, starts origins and proxies. */
export async function startRig(): Promise<Rig> {
  const folder = mkdtempSync(join(tmpdir(), 'ferrata-tls-clients-'));
  const write = (name: string, text: string): string => {
    const file = join(folder, name);
    writeFileSync(file, text, { mode: 0o600 });
    return file;
  };
  const authority = await createAuthority();
  const stranger = await createAuthority({ name: 'A stranger' });
  const first = await authority.issue({ names: ['a.test'] });
  const second = await authority.issue({ names: ['*.b.test'] });
  const trusted = await authority.issue({ names: ['127.0.0.1'] });
  const untrusted = await stranger.issue({ names: ['127.0.0.1'] });
  const authorityFile = write('ca.pem', authority.certificate);
  const pairs = [
    '--cert',
    write('a.pem', first.chain),
    '--key',
    write('a-key.pem', first.key),
    '--cert',
    write('b.pem', second.chain),
    '--key',
    write('b-key.pem', second.key),
  ];
  const both = await startTlsOrigin(trusted, true);
  const old = await startTlsOrigin(trusted, false);
  const unknown = await startTlsOrigin(untrusted, true);
  const proxies: StartedProxy[] = [];
  const route = async (
    name: string,
    originPort: number,
    originVersion: Route['originVersion'],
    args: readonly string[],
  ): Promise<Route> => {
    const proxy = await startFerrata(`https://127.0.0.1:${originPort}`, false, {
      listen: 'https://127.0.0.1:0',
      args: [...pairs, ...args],
    });
    proxies.push(proxy);
    return { name, port: proxy.port, originVersion };
  };
  const routes = [
    await route('h2-h2', both.port, '2.0', ['--ca', authorityFile]),
    await route('h2-h1', old.port, '1.1', ['--ca', authorityFile]),
    await route('h2-noverify', unknown.port, '2.0', ['--no-verify']),
    await route('untrusted', unknown.port, null, ['--ca', authorityFile]),
  ];
  const publicKey = new X509Certificate(first.certificate).publicKey.export({ type: 'spki', format: 'der' });
  return {
    routes,
    authority: authority.certificate,
    authorityFile,
    otherAuthorityFile: write('stranger.pem', stranger.certificate),
    uploadFile: write('upload', 'u'.repeat(UPLOAD_BYTES)),
    keyHash: createHash('sha256').update(publicKey).digest('base64'),
    folder,
    async close() {
      const problems: string[] = [];
      for (const proxy of proxies) {
        const problem = await proxy.stop();
        if (problem !== null) problems.push(problem);
      }
      for (const origin of [both, old, unknown]) origin.close();
      rmSync(folder, { recursive: true, force: true });
      return problems;
    },
  };
}
