/**
 * `ferrata cert dev NAME…`: a certificate authority for development, and a certificate by it.
 *
 * ```text
 *   DIR/ca/ca.crt   DIR/ca/ca.key      the authority: made once and kept, so that a browser or a `curl --cacert` that was told to trust it
 *                                      goes on trusting the certificates made later
 *   DIR/NAME.crt    DIR/NAME.key       a certificate with its chain, and its key: written anew by each run for that name
 * ```
 * Keys can be read by their owner only. Runs at the same time end up with one authority: its folder is made aside and moved into place, which
 * only one of them can do; and those for one name with a key and a certificate that belong together.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type CertificateAuthority, createAuthority, type IssuedCertificate, loadAuthority, nameKind } from '@ferrata/dev-certificates';
import type { CertArguments } from './cert-arguments.ts';
import { UsageError } from './usage-error.ts';

/** The files that a run has written, or has found there. */
export interface WrittenCertificate {
  readonly authorityFile: string;
  /** The authority was made by this run. */
  readonly isAuthorityNew: boolean;
  readonly certificateFile: string;
  readonly keyFile: string;
}

const DAY_MS = 86_400_000;
/** Each time another run for the same name must come between the two files of this one. */
const MAX_ATTEMPTS = 100;

/**
 * Makes the certificate, and the authority if the folder has none.
 *
 * @throws {UsageError} when a name is none that a certificate can have, or the authority in the folder cannot be used
 */
export async function writeCertificate(args: CertArguments): Promise<WrittenCertificate> {
  for (const name of args.names) checkName(name);
  await makeFolder(args.directory);
  const isAuthorityNew = await ensureAuthority(join(args.directory, 'ca'));
  const authorityFile = join(args.directory, 'ca', 'ca.crt');
  const authority = await readAuthority(authorityFile, join(args.directory, 'ca', 'ca.key'));
  const issued = await authority.issue({
    names: args.names,
    use: args.use,
    key: args.key,
    validTo: new Date(Date.now() + args.days * DAY_MS),
    ...(args.organisation === null ? {} : { organisation: args.organisation }),
  });
  const stem = fileStem(args.names[0] as string);
  const certificateFile = join(args.directory, `${stem}.crt`);
  const keyFile = join(args.directory, `${stem}.key`);
  await replacePair(certificateFile, keyFile, issued);
  return { authorityFile, isAuthorityNew, certificateFile, keyFile };
}

/** Names come from people: what is none is told before anything is made. URIs are for programs, which have `@ferrata/dev-certificates`. */
function checkName(name: string): void {
  const advice = 'write a host name, *.domain, an IP address or an e-mail address';
  try {
    if (nameKind(name) !== 'url') return;
  } catch (error) {
    throw new UsageError(`${(error as Error).message}; ${advice}`, { cause: error });
  }
  throw new UsageError(`${JSON.stringify(name)} is a URI; ${advice}`);
}

/**
 * The key first: who watches the certificate finds a pair that belongs together. Another run may do the same between the two; whichever renames last looks at what
 * is there then, so in the end it is one pair, of either.
 */
async function replacePair(certificateFile: string, keyFile: string, issued: IssuedCertificate): Promise<void> {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    await replaceFile(keyFile, issued.key, 0o600);
    await replaceFile(certificateFile, issued.chain, 0o644);
    const [certificate, key] = await Promise.all([readFile(certificateFile), readFile(keyFile)]);
    if (new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) return;
  }
  throw new UsageError(`${certificateFile} and ${keyFile} are written by others all the time`);
}

/**
 * The folder, and those above it that are missing. Not by Node's `recursive`: where a file system says ENOENT for a folder that it will not make in one that is there,
 * as `/proc` does, that goes on for ever.
 */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
  } catch (error) {
    if (await isFolder(folder)) return;
    const parent = dirname(folder);
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || parent === folder) throw error;
    await makeFolder(parent);
    await mkdir(folder).catch(async (again: unknown) => {
      // Another run may have made it meanwhile.
      if (!(await isFolder(folder))) throw again;
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** @returns true if this run has made it */
async function ensureAuthority(folder: string): Promise<boolean> {
  if ((await readIfThere(join(folder, 'ca.crt'))) !== null) return false;
  const authority = await createAuthority();
  const aside = await mkdtemp(`${folder}-`);
  try {
    await writeFile(join(aside, 'ca.key'), await authority.exportKey(), { mode: 0o600, flag: 'wx' });
    await writeFile(join(aside, 'ca.crt'), authority.certificate, { mode: 0o644, flag: 'wx' });
    await rename(aside, folder);
    return true;
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    // Another run was faster, or the folder holds something else, which reading it will tell.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    throw error;
  }
}

async function readAuthority(certificateFile: string, keyFile: string): Promise<CertificateAuthority> {
  const certificate = await readIfThere(certificateFile);
  const key = await readIfThere(keyFile);
  if (certificate === null || key === null)
    throw new UsageError(
      `${certificateFile} and ${keyFile} belong together, and one of them is missing; restore it, or remove their folder`,
    );
  try {
    return await loadAuthority(certificate, key);
  } catch (error) {
    throw new UsageError(`${certificateFile} and ${keyFile} cannot be used: ${(error as Error).message}`, { cause: error });
  }
}

async function readIfThere(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** A server that watches the file never sees half of it, and no file that lay there before lends it its permissions. */
async function replaceFile(file: string, text: string, mode: number): Promise<void> {
  const aside = await mkdtemp(`${file}-`);
  try {
    await writeFile(join(aside, 'new'), text, { mode, flag: 'wx' });
    await rename(join(aside, 'new'), file);
  } finally {
    await rm(aside, { recursive: true, force: true });
  }
}

/** The first name as part of a file's name. */
function fileStem(name: string): string {
  return name.replace(/^\*/, '_wildcard').replaceAll(/[^A-Za-z0-9._-]/g, '_');
}
