/** Certificates whose files cannot be used when a thread begins: what was good last is served until they can. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { tlsError } from '@ferrata/error';
import { type CertificateReload, listen, TlsServer } from '@ferrata/net';
import { parseCommand } from '../src/arguments.ts';
import { ListenerTls } from '../src/listener-tls.ts';
import { loadReverseConfig, type ReverseConfig } from '../src/reverse-config.ts';
import { type FiledCertificate, file, replace, tlsClient } from './support/tls.ts';

const TWO_SECONDS = 2_000;

function configOf(...filed: readonly FiledCertificate[]): ReverseConfig {
  const args = ['reverse', '--listen', 'https://127.0.0.1:0', '--to', 'http://127.0.0.1:1', ...filed.flatMap((one) => one.args)];
  const command = parseCommand(args);
  assert.ok(command.kind === 'reverse');
  return loadReverseConfig(command.arguments);
}

/** The TLS of a listener on a free port, and what it tells. */
async function started({ certificates }: ReverseConfig) {
  const clock = new ManualClock({ wallNow: Date.now() });
  const told: string[] = [];
  const onReload = ({ label, error, isReplaced }: CertificateReload): void => {
    told.push(`${label.replace(/^.*\//, '')} ${error === null ? (isReplaced ? 'replaced' : 'good again') : error.reason}`);
  };
  const tls = new ListenerTls(certificates, { clock, onReload, serverFor: (from) => new TlsServer(from) });
  after(() => tls.close());
  const listener = await listen({ address: '127.0.0.1:0', tls: tls.server }, (stream) => stream.abort());
  after(() => listener.close());
  assert.ok(listener.address.kind === 'ip');
  const { port } = listener.address;
  const serialFor = async (servername: string): Promise<string> => {
    const socket = await tlsClient(port, { servername });
    return socket.getPeerX509Certificate()?.serialNumber.toLowerCase() ?? '';
  };
  return { clock, told, tls, serialFor };
}

const serialOf = ({ issued }: FiledCertificate): string => issued.serialNumber.toLowerCase();

test('M4: what the configuration has kept is served while the files of one certificate are broken; the other is served from its files', async () => {
  const broken = await file('broken', ['broken.test']);
  const config = configOf(broken, await file('sound', ['sound.test']));
  const sound = await file('sound', ['sound.test']);
  replace(broken.keyFile, 'nothing\n');
  const { clock, told, tls, serialFor } = await started(config);
  assert.equal(await serialFor('broken.test'), serialOf(broken));
  assert.equal(await serialFor('sound.test'), serialOf(sound), 'renewed since the configuration was read');
  assert.deepEqual(told, ['broken.pem TLS_KEY_UNREADABLE']);
  assert.equal((await tls.reload())?.reason, 'TLS_KEY_UNREADABLE');
  clock.advance(3 * TWO_SECONDS);
  assert.equal(await serialFor('broken.test'), serialOf(broken));

  const mended = await file('broken', ['broken.test']);
  clock.advance(TWO_SECONDS);
  assert.deepEqual(told, ['broken.pem TLS_KEY_UNREADABLE', 'broken.pem replaced']);
  assert.equal(await serialFor('broken.test'), serialOf(mended));
  assert.equal(await serialFor('sound.test'), serialOf(sound));

  // From now on as if nothing had been.
  const renewed = await file('broken', ['broken.test']);
  assert.equal(await tls.reload(), null);
  assert.equal(await serialFor('broken.test'), serialOf(renewed));
  assert.deepEqual(told.slice(2), ['broken.pem replaced']);
});

test('M4: files that come back as they were are told of, and a reload takes them at once', async () => {
  const files = await file('gone', ['gone.test']);
  const config = configOf(files);
  replace(files.certFile, '');
  const { told, tls, serialFor } = await started(config);
  assert.equal(await serialFor('gone.test'), serialOf(files));
  replace(files.certFile, files.issued.chain);
  assert.equal(await tls.reload(), null);
  assert.deepEqual(told, ['gone.pem TLS_CERTIFICATE_UNREADABLE', 'gone.pem good again']);
  assert.equal(await serialFor('gone.test'), serialOf(files));
});

test('what is no fault of the files is thrown as it is', async () => {
  const { certificates } = configOf(await file('fine', ['fine.test']));
  const refused = tlsError('TLS_SETTINGS_REFUSED', 'whatever the certificate');
  const serverFor = (): never => {
    throw refused;
  };
  assert.throws(
    () => new ListenerTls(certificates, { clock: new ManualClock(), onReload: () => {}, serverFor }),
    (error) => error === refused,
  );
});
