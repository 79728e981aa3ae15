/** The entry point for other extensions. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createAuthority } from '@ferrata/dev-certificates';
import { isWireError } from '@ferrata/error';
import { readExtension, readX509 } from '@ferrata/net/x509';
import { BasicConstraintsExtension, ExtendedKeyUsage, type ExtendedKeyUsageExtension } from '@peculiar/x509';
import { createPeerCertificate } from '../../src/tls/peer-certificate.ts';
import { parsePem } from '../../src/tls/pem.ts';
import { certificateDer, extension } from './der-writer.ts';

describe('@ferrata/net/x509', () => {
  test('reads the extensions of a certificate that a digest has', async () => {
    const issued = await (await createAuthority()).issue({ names: ['a.test'], use: 'client' });
    const [block] = parsePem(issued.chain, 'CERTIFICATE', 'it');
    assert.ok(block !== undefined);
    const certificate = createPeerCertificate(block.der);
    const { usages = [] } = readExtension<ExtendedKeyUsageExtension>(certificate, '2.5.29.37') ?? {};
    assert.deepEqual([...usages], [ExtendedKeyUsage.clientAuth]);
    assert.equal(readExtension(certificate, '1.2.3.4'), null);
    assert.equal(readX509(block.der).getExtension(BasicConstraintsExtension)?.ca, false);
    assert.equal(readX509(certificate).serialNumber, certificate.serialNumber);
  });

  test('an extension that can not be read is a typed error, whichever is asked for, with the cause', () => {
    for (const value of [Uint8Array.of(1, 2, 3), new Uint8Array(0)]) {
      const der = certificateDer({ extensions: [extension('2.5.29.37', value)] });
      for (const oid of ['2.5.29.37', '1.2.3.4']) {
        assert.throws(
          () => readExtension(der, oid),
          (error) => isWireError(error) && error.reason === 'TLS_CERTIFICATE_MALFORMED' && error.cause instanceof Error,
        );
      }
    }
  });

  test('a certificate that can not be read is a typed error', () => {
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0x30, 0x80), certificateDer({}).subarray(0, 50)]) {
      assert.throws(() => readX509(createPeerCertificate(bytes)), { reason: 'TLS_CERTIFICATE_MALFORMED', type: 'tls' });
      assert.throws(() => readExtension(bytes, '2.5.29.37'), { reason: 'TLS_CERTIFICATE_MALFORMED' });
    }
  });
});
