/** Certificates as clients of a listener see them: by name, and after their files have changed. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { type CertificateAuthority, createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import type { L4Stream } from '@ferrata/stream';
import { listen } from '../../src/accept/listener.ts';
import { TlsServer } from '../../src/tls/tls-server.ts';
import { CertificateFolder, ReloadRecord } from './certificate-files.ts';

let authority: CertificateAuthority;
let one: IssuedCertificate;
let wild: IssuedCertificate;
let renewed: IssuedCertificate;

before(async () => {
  authority = await createAuthority();
  one = await authority.issue({ names: ['one.test'] });
  wild = await authority.issue({ names: ['*.wild.test'], key: 'rsa-2048' });
  renewed = await authority.issue({ names: ['one.test'] });
});

describe('a listener with TLS', () => {
  test('shows the certificate for the name that is asked for, else the default one', async () => {
    await using tls = new TlsServer({ certificates: [one, wild].map(({ chain, key }) => ({ certificate: chain, key })) });
    await using listener = await listen({ address: 'tcp://127.0.0.1:0', tls }, echo);
    const { port } = listener.address as { readonly port: number };
    for (const [servername, expected] of [
      ['one.test', one],
      ['WILD.wild.test', wild],
      ['a.b.wild.test', one],
      ['nobody.test', one],
      [null, one],
    ] as const) {
      using client = new Client(port, servername);
      assert.equal(await client.serialNumber(), expected.serialNumber, String(servername));
    }
  });

  test('a renewed pair of files is for new connections; those that are open go on; a bad pair changes nothing', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const source = folder.write('one', one);
    await using tls = new TlsServer({ certificates: [source], onReload: record.onReload });
    await using listener = await listen({ address: 'tcp://127.0.0.1:0', tls }, echo);
    const { port } = listener.address as { readonly port: number };
    using early = new Client(port, 'one.test');
    assert.equal(await early.serialNumber(), one.serialNumber);

    const replaced = record.nextReplaced();
    folder.write('one', renewed);
    await replaced;
    using late = new Client(port, 'one.test');
    assert.equal(await late.serialNumber(), renewed.serialNumber);
    assert.equal(await early.exchange('still here'), 'still here');

    const failed = record.next('the failure', ({ error }) => error?.reason === 'TLS_KEY_MISMATCH');
    writeFileSync(source.keyFile, wild.key);
    await failed;
    assert.equal((await tls.reload()).failedCount, 1);
    using last = new Client(port, 'one.test');
    assert.equal(await last.serialNumber(), renewed.serialNumber);
    assert.equal(await early.exchange('and still'), 'and still');
  });
});

/** A client of Node's. */
class Client implements Disposable {
  readonly #socket: TLSSocket;
  readonly #secure: Promise<unknown>;

  constructor(port: number, servername: string | null) {
    const name = servername === null ? {} : { servername };
    this.#socket = connect({ port, host: '127.0.0.1', ca: authority.certificate, checkServerIdentity: () => undefined, ...name });
    this.#secure = once(this.#socket, 'secureConnect');
  }

  async serialNumber(): Promise<string> {
    await this.#secure;
    return this.#socket.getPeerCertificate().serialNumber.toLowerCase();
  }

  async exchange(text: string): Promise<string> {
    this.#socket.write(text);
    const [answer] = (await once(this.#socket, 'data')) as [Buffer];
    return answer.toString();
  }

  [Symbol.dispose](): void {
    this.#socket.on('error', () => {}).destroy();
  }
}

function echo(stream: L4Stream): void {
  stream.attach({
    onData: (chunk) => stream.write(chunk),
    onDrain: () => {},
    onEnd: () => stream.end(),
    onClose: () => {},
  });
}
