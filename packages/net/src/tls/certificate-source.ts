/** Where a certificate, its key and its OCSP response come from. */
import type { Pem } from './pem.ts';

/** An OCSP response (RFC 6960 §4.2.1, DER), or whatever knows the newest one; null: there is none now. */
export type OcspResponseSource = Uint8Array | (() => Uint8Array | null | Promise<Uint8Array | null>);

/** A certificate that the program has in memory. */
export interface CertificateInMemory {
  /** The certificate as PEM; those of the intermediate authorities behind it, in their order. Other blocks are skipped. */
  readonly certificate: Pem;
  /** Its private key, as PEM: PKCS #8 (encrypted or not), PKCS #1 or SEC 1. */
  readonly key: Pem;
  /** Of an encrypted key. */
  readonly passphrase?: string;
  /** Stapled to the handshake (RFC 6066 §8) for clients that ask. A function is asked when the certificate is loaded, and at each reload. */
  readonly ocspResponse?: OcspResponseSource;
  /**
   * The names to choose it by: `example.test`, `*.example.test` (which stands for one label), an IP address; what it is good for is for the client to say.
   * Default: its alternative names of the kinds DNS and IP, or its CN if it has none of these.
   */
  readonly names?: readonly string[];
}

/** A certificate in files, which are read again when they change. */
export interface CertificateInFiles {
  /** As `CertificateInMemory.certificate`. */
  readonly certificateFile: string;
  /** As `CertificateInMemory.key`. May be the same file. */
  readonly keyFile: string;
  /** Of an encrypted key. */
  readonly passphrase?: string;
  /**
   * DER, as `openssl ocsp -respout` writes it. May be missing: then nothing is stapled until it is there. Nor is a response for another certificate, or one that has
   * run out; `onReload` is told.
   */
  readonly ocspFile?: string;
  /** As `CertificateInMemory.names`. */
  readonly names?: readonly string[];
}

/** One certificate with its key. */
export type CertificateSource = CertificateInMemory | CertificateInFiles;

/** Whether a certificate comes from files. */
export function isInFiles(source: CertificateSource): source is CertificateInFiles {
  return 'certificateFile' in source;
}

/** What messages call a source: its file, or the names given to it. */
export function labelOf(source: CertificateSource): string {
  if (isInFiles(source)) return source.certificateFile;
  return source.names === undefined || source.names.length === 0
    ? 'the certificate in memory'
    : `the certificate for ${source.names.join(', ')}`;
}

const COMMON = ['passphrase', 'names'] as const;
const IN_MEMORY: ReadonlySet<string> = new Set(['certificate', 'key', 'ocspResponse', ...COMMON]);
const IN_FILES: ReadonlySet<string> = new Set(['certificateFile', 'keyFile', 'ocspFile', ...COMMON]);

/**
 * Checks the form of a source, not what is in it.
 *
 * @throws {TypeError} when a field is missing, of a wrong type, or unknown
 */
export function checkCertificateSource(source: CertificateSource): void {
  if (typeof source !== 'object' || source === null) {
    throw new TypeError('a certificate is given as { certificate, key } or as { certificateFile, keyFile }');
  }
  const inFiles = isInFiles(source);
  const known = inFiles ? IN_FILES : IN_MEMORY;
  for (const field of Object.keys(source)) {
    if (!known.has(field)) throw new TypeError(`a certificate ${inFiles ? 'in files' : 'in memory'} has no option ${field}`);
  }
  if (inFiles) {
    checkPath('certificateFile', source.certificateFile);
    checkPath('keyFile', source.keyFile);
    if (source.ocspFile !== undefined) checkPath('ocspFile', source.ocspFile);
  } else {
    checkPem('certificate', source.certificate);
    checkPem('key', source.key);
    const { ocspResponse } = source;
    if (ocspResponse !== undefined && typeof ocspResponse !== 'function' && !(ocspResponse instanceof Uint8Array)) {
      throw new TypeError('ocspResponse must be bytes (DER), or a function that gives them');
    }
  }
  if (source.passphrase !== undefined && typeof source.passphrase !== 'string') throw new TypeError('passphrase must be a string');
  if (source.names !== undefined && !Array.isArray(source.names)) throw new TypeError('names must be a list of names');
}

function checkPath(option: string, path: unknown): void {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) throw new TypeError(`${option} must be the path of a file`);
}

function checkPem(option: string, pem: unknown): void {
  if (typeof pem !== 'string' && !(pem instanceof Uint8Array)) throw new TypeError(`${option} must be PEM, as a string or as bytes`);
}
