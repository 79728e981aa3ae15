/** The certificate of every server with TLS in the benches. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAuthority } from '@ferrata/dev-certificates';

/**
 * Makes an authority and a certificate for `localhost` and 127.0.0.1, and writes them into a folder: `ca.pem`, `server.pem` (with its chain),
 * `server-key.pem`, and `server-all.pem`, which is both of these as haproxy wants them.
 */
export async function writeCertificates(folder: string): Promise<void> {
  const authority = await createAuthority();
  const { chain, key } = await authority.issue({ names: ['localhost', '127.0.0.1'] });
  writeFileSync(join(folder, 'ca.pem'), authority.certificate);
  writeFileSync(join(folder, 'server.pem'), chain);
  writeFileSync(join(folder, 'server-key.pem'), key, { mode: 0o600 });
  writeFileSync(join(folder, 'server-all.pem'), `${chain.trimEnd()}\n${key}`, { mode: 0o600 });
}
