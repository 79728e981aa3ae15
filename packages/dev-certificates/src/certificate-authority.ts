/**
 * A certificate authority for development and tests (RFC 5280), by @peculiar/x509 and WebCrypto.
 *
 * Keys are made where they are used, and live as long as their program, unless it writes them down. What an authority issues is trusted by those
 * who were given its certificate, and by nobody else.
 */
import 'reflect-metadata';
import { type webcrypto, X509Certificate } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import { alternativeName } from './alternative-name.ts';
import { type KeyAlgorithms, type KeyKind, keyAlgorithms } from './key-kind.ts';
import type { CertificateUse, LeafOptions } from './leaf-options.ts';

/** What an authority is to say of itself. */
export interface AuthorityOptions {
  /** Its common name. Default `Ferrata development CA`. */
  readonly name?: string;
  /** Default `ecdsa-p256`. */
  readonly key?: KeyKind;
  /** Default: an hour ago. */
  readonly validFrom?: Date;
  /** Default: ten years from now; of an intermediate one, not beyond the end of the one above it. */
  readonly validTo?: Date;
}

/** A certificate with its key, as PEM. */
export interface IssuedCertificate {
  /** The certificate alone. */
  readonly certificate: string;
  /** The certificate, and those of the intermediate authorities above it: what a server is given. Ends before the root. */
  readonly chain: string;
  /** PKCS #8. */
  readonly key: string;
  /** Hexadecimal, lower case. */
  readonly serialNumber: string;
}

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const AUTHORITY_DAYS = 3_653;
const LEAF_DAYS = 397;
/** RFC 5280, appendix A: ub-common-name. */
const MAX_COMMON_NAME = 64;

/** Makes an authority that stands for itself. */
export async function createAuthority(options: AuthorityOptions = {}): Promise<CertificateAuthority> {
  const algorithms = keyAlgorithms(options.key ?? 'ecdsa-p256');
  const keys = await generateKeys(algorithms);
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    serialNumber: newSerialNumber(),
    name: nameOf({ CN: options.name ?? 'Ferrata development CA' }),
    notBefore: options.validFrom ?? new Date(Date.now() - HOUR_MS),
    notAfter: options.validTo ?? new Date(Date.now() + AUTHORITY_DAYS * DAY_MS),
    keys,
    signingAlgorithm: algorithms.signing,
    extensions: await authorityExtensions(keys.publicKey),
  });
  return new CertificateAuthority(certificate, keys.privateKey, algorithms, '');
}

/**
 * An authority from what `certificate` and `key` of another one said, to go on with it later.
 *
 * @param certificatePem its certificate; of an intermediate one, those of the intermediate ones above it may follow, as in `IssuedCertificate.chain`: they are in
 *   the chains that it issues. Whatever else the text holds, keys and lists and certificates of others, is passed over
 * @param keyPem its private key (PKCS #8); other blocks are passed over
 * @throws {Error} when they are no PEM, don't belong together, or are not those of an authority (RFC 5280 §4.2.1.9), or of one that has expired: what it
 *   issued would be trusted by nobody, and nobody would say why
 */
export async function loadAuthority(certificatePem: string, keyPem: string): Promise<CertificateAuthority> {
  const certificates = blocksOf(certificatePem, /^CERTIFICATE$/).map((der) => new x509.X509Certificate(der));
  const [certificate, ...others] = certificates;
  if (certificate === undefined) throw new Error('the certificate is no PEM');
  checkIsAuthority(certificate);
  const algorithms = algorithmsOf(certificate);
  const [der] = blocksOf(keyPem, /PRIVATE KEY$/);
  if (der === undefined) throw new Error('the key is no PEM');
  const key = await crypto.subtle.importKey('pkcs8', der, algorithms.generation, true, ['sign']);
  const text = new TextEncoder().encode('one pair?');
  const publicKey = (await certificate.publicKey.export(algorithms.generation, ['verify'])) as webcrypto.CryptoKey;
  const isPair = await crypto.subtle.verify(algorithms.signing, publicKey, await crypto.subtle.sign(algorithms.signing, key, text), text);
  if (!isPair) throw new Error('the key does not belong to the certificate');
  return new CertificateAuthority(certificate, key, algorithms, chainOf(certificate, others));
}

function blocksOf(text: string, label: RegExp): ArrayBuffer[] {
  return x509.PemConverter.decodeWithHeaders(text)
    .filter(({ type }) => label.test(type))
    .map(({ rawData }) => rawData);
}

/** The certificates from `own` up to the root, without it: of the others those only that have issued the one before. */
function chainOf(own: x509.X509Certificate, others: readonly x509.X509Certificate[]): string {
  let chain = '';
  let last = new X509Certificate(own.toString('pem'));
  if (isIssuedBy(last, last)) return chain;
  chain = pem(own);
  for (const other of others) {
    const next = new X509Certificate(other.toString('pem'));
    if (!isIssuedBy(last, next)) continue;
    if (isIssuedBy(next, next)) break;
    chain += pem(other);
    last = next;
  }
  return chain;
}

function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

/** Issues certificates, other authorities, and lists of what it has revoked. */
export class CertificateAuthority {
  /** Its own certificate, as PEM: what those who shall trust it are given. */
  readonly certificate: string;
  readonly #certificate: x509.X509Certificate;
  readonly #privateKey: webcrypto.CryptoKey;
  readonly #algorithms: KeyAlgorithms;
  /** The certificates between the root and what is issued here, the nearest first. */
  readonly #chain: string;

  /** @param chain the certificates of this and other intermediate authorities; empty for a root */
  constructor(certificate: x509.X509Certificate, privateKey: webcrypto.CryptoKey, algorithms: KeyAlgorithms, chain: string) {
    this.certificate = pem(certificate);
    this.#certificate = certificate;
    this.#privateKey = privateKey;
    this.#algorithms = algorithms;
    this.#chain = chain;
  }

  /** The private key, as PEM (PKCS #8): whoever has it can name anybody. */
  async exportKey(): Promise<string> {
    return exportKey(this.#privateKey);
  }

  /**
   * Issues a certificate for a server or a client.
   *
   * @throws {TypeError} when a name is no text @throws {RangeError} when it has none of the forms of `LeafOptions.names`, or the certificate would end before it begins, as
   *   from an authority that has ended
   */
  async issue(options: LeafOptions): Promise<IssuedCertificate> {
    const algorithms = keyAlgorithms(options.key ?? 'ecdsa-p256');
    const keys = await generateKeys(algorithms);
    const serialNumber = options.serialNumber ?? newSerialNumber();
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber,
      subject: subjectOf(options),
      issuer: this.#certificate.subjectName,
      ...this.#validity(options, LEAF_DAYS),
      publicKey: keys.publicKey,
      signingKey: this.#privateKey,
      signingAlgorithm: this.#algorithms.signing,
      extensions: await leafExtensions(options, keys.publicKey, this.#certificate),
    });
    const text = pem(certificate);
    return {
      certificate: text,
      chain: text + this.#chain,
      key: await exportKey(keys.privateKey),
      serialNumber: certificate.serialNumber,
    };
  }

  /** Makes an authority whose certificate this one has signed. @throws {RangeError} when that would end before it begins */
  async createIntermediate(options: AuthorityOptions = {}): Promise<CertificateAuthority> {
    const algorithms = keyAlgorithms(options.key ?? 'ecdsa-p256');
    const keys = await generateKeys(algorithms);
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: newSerialNumber(),
      subject: nameOf({ CN: options.name ?? 'Ferrata development intermediate CA' }),
      issuer: this.#certificate.subjectName,
      ...this.#validity(options, AUTHORITY_DAYS),
      publicKey: keys.publicKey,
      signingKey: this.#privateKey,
      signingAlgorithm: this.#algorithms.signing,
      extensions: await authorityExtensions(keys.publicKey, this.#certificate),
    });
    return new CertificateAuthority(certificate, keys.privateKey, algorithms, pem(certificate) + this.#chain);
  }

  /** A list of revoked certificates (RFC 5280 §5), as PEM, valid for a day. @param serialNumbers hexadecimal */
  async revocationList(serialNumbers: readonly string[]): Promise<string> {
    const now = new Date();
    const list = await x509.X509CrlGenerator.create({
      issuer: this.#certificate.subjectName,
      thisUpdate: new Date(now.getTime() - HOUR_MS),
      nextUpdate: new Date(now.getTime() + DAY_MS),
      entries: serialNumbers.map((serialNumber) => ({ serialNumber, revocationDate: now })),
      signingAlgorithm: this.#algorithms.signing,
      signingKey: this.#privateKey,
    });
    // OpenSSL reads it under this label only (RFC 7468 §6).
    return `${x509.PemConverter.encode(list.rawData, 'X509 CRL')}\n`;
  }

  /** Who would outlive this authority's certificate would be refused from its end on, and its own dates would not say why. */
  #validity({ validFrom, validTo }: AuthorityOptions | LeafOptions, days: number): { notBefore: Date; notAfter: Date } {
    const end = this.#certificate.notAfter;
    const notBefore = validFrom ?? new Date(Date.now() - HOUR_MS);
    const wanted = validTo ?? new Date(Date.now() + days * DAY_MS);
    const notAfter = wanted.getTime() > end.getTime() ? end : wanted;
    if (notAfter.getTime() < notBefore.getTime()) {
      const dates = `it would begin at ${notBefore.toISOString()} and end at ${notAfter.toISOString()}`;
      throw new RangeError(notAfter === end ? `the certificate cannot outlive its authority: ${dates}` : `the certificate: ${dates}`);
    }
    return { notBefore, notAfter };
  }
}

function checkIsAuthority(certificate: x509.X509Certificate): void {
  const usages = certificate.getExtension(x509.KeyUsagesExtension)?.usages ?? x509.KeyUsageFlags.keyCertSign;
  const isAuthority = certificate.getExtension(x509.BasicConstraintsExtension)?.ca === true;
  if (!isAuthority || (usages & x509.KeyUsageFlags.keyCertSign) === 0) {
    throw new Error(`the certificate of ${certificate.subject || 'nobody'} is not that of an authority: nothing that it signs is trusted`);
  }
  if (certificate.notAfter.getTime() < Date.now()) {
    throw new Error(
      `the certificate of the authority has expired at ${certificate.notAfter.toISOString()}: nothing that it signs is trusted`,
    );
  }
}

async function generateKeys({ generation }: KeyAlgorithms): Promise<webcrypto.CryptoKeyPair> {
  return (await crypto.subtle.generateKey(generation, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
}

async function exportKey(key: webcrypto.CryptoKey): Promise<string> {
  return `${x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}

function pem(certificate: x509.X509Certificate): string {
  return `${certificate.toString('pem')}\n`;
}

/** Positive, and at most 20 bytes (RFC 5280 §4.1.2.2). */
function newSerialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = ((bytes[0] as number) & 0x3f) | 0x40;
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

function algorithmsOf(certificate: x509.X509Certificate): KeyAlgorithms {
  const { name, namedCurve } = certificate.publicKey.algorithm as { name: string; namedCurve?: string };
  if (name === 'Ed25519') return keyAlgorithms('ed25519');
  if (name === 'ECDSA') return keyAlgorithms(namedCurve === 'P-384' ? 'ecdsa-p384' : 'ecdsa-p256');
  return keyAlgorithms('rsa-2048');
}

async function authorityExtensions(publicKey: webcrypto.CryptoKey, issuer?: x509.X509Certificate): Promise<x509.Extension[]> {
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(true, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
  ];
  if (issuer !== undefined) extensions.push(await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey));
  return extensions;
}

async function leafExtensions(
  options: LeafOptions,
  publicKey: webcrypto.CryptoKey,
  issuer: x509.X509Certificate,
): Promise<x509.Extension[]> {
  const extensions: x509.Extension[] = [
    new x509.BasicConstraintsExtension(false, undefined, true),
    new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
    new x509.ExtendedKeyUsageExtension(extendedUses(options.use ?? 'server')),
    await x509.SubjectKeyIdentifierExtension.create(publicKey),
    await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
  ];
  if (options.names.length > 0) extensions.push(new x509.SubjectAlternativeNameExtension(options.names.map(alternativeName)));
  return extensions;
}

function extendedUses(use: CertificateUse): string[] {
  const uses: string[] = [];
  if (use !== 'client') uses.push(x509.ExtendedKeyUsage.serverAuth);
  if (use !== 'server') uses.push(x509.ExtendedKeyUsage.clientAuth);
  return uses;
}

function subjectOf({ names, commonName, organisation }: LeafOptions): x509.Name {
  const [first = ''] = names;
  const name = commonName ?? (first.length <= MAX_COMMON_NAME ? first : '');
  return nameOf({ ...(organisation === undefined ? {} : { O: organisation }), ...(name === '' ? {} : { CN: name }) });
}

/** Each text with its type: bare ones are read for quotes and hexadecimal, and would lose some of themselves. */
function nameOf(attributes: Readonly<Record<string, string>>): x509.Name {
  return new x509.Name(Object.entries(attributes).map(([attribute, text]) => ({ [attribute]: [{ utf8String: text }] })));
}
