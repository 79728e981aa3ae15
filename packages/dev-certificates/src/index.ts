/** @ferrata/dev-certificates: certificate authorities and certificates for development and tests. Never for the public. */
export { type NameKind, nameKind } from './alternative-name.ts';
export {
  type AuthorityOptions,
  CertificateAuthority,
  createAuthority,
  type IssuedCertificate,
  loadAuthority,
} from './certificate-authority.ts';
export type { KeyKind } from './key-kind.ts';
export type { CertificateUse, LeafOptions } from './leaf-options.ts';
