/** Certificates that change while they are served: files replaced, swapped by links, half written, expired; and callbacks that misbehave. */
import assert from 'node:assert/strict';
import { mkdirSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { before, describe, test } from 'node:test';
import { runInNewContext } from 'node:vm';
import { ManualClock } from '@ferrata/clock';
import { type CertificateAuthority, createAuthority, type IssuedCertificate } from '@ferrata/dev-certificates';
import { loadCertificate } from '../../src/tls/certificate-load.ts';
import { CertificateStore, type CertificateStoreOptions, type ReloadReport } from '../../src/tls/certificate-store.ts';
import { ocspConcern } from '../../src/tls/ocsp-response.ts';
import { CertificateFolder, ReloadRecord } from './certificate-files.ts';
import { der, ocspResponseDer, text } from './der-writer.ts';

let authority: CertificateAuthority;
let old: IssuedCertificate;
let fresh: IssuedCertificate;
let newest: IssuedCertificate;

before(async () => {
  authority = await createAuthority();
  old = await authority.issue({ names: ['a.test'] });
  fresh = await authority.issue({ names: ['a.test', 'b.test'] });
  newest = await authority.issue({ names: ['a.test'] });
});

const serving = (store: CertificateStore): string => store.find('a.test').certificate.serialNumber;
const watched = (record: ReloadRecord): CertificateStoreOptions => ({ onReload: record.onReload, settleMs: 20, recheckMs: Infinity });
const still = (record: ReloadRecord): CertificateStoreOptions => ({ onReload: record.onReload, watch: false, recheckMs: Infinity });

describe('files that are watched', () => {
  test('a new pair is served as soon as it is there, under its new names, and the old object stays as it was', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], watched(record));
    const before = store.find('b.test');
    const replaced = record.nextReplaced();
    folder.write('a', fresh);
    const reload = await replaced;
    assert.equal(reload.error, null);
    assert.equal(serving(store), fresh.serialNumber);
    assert.notEqual(store.find('b.test'), before);
    assert.equal(before.certificate.serialNumber, old.serialNumber);
    assert.equal(reload.certificate, store.find('a.test'));
  });

  test('a file replaced by renaming another one over it', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], watched(record));
    for (const next of [fresh, newest]) {
      const replaced = record.nextReplaced();
      const { certificateFile, keyFile } = folder.write('next', next);
      renameSync(keyFile, folder.file('a.key'));
      renameSync(certificateFile, folder.file('a.crt'));
      await replaced;
      assert.equal(serving(store), next.serialNumber);
    }
  });

  test('certificate and key replaced in two steps, however far apart: the old pair until both are there, then the new one', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], watched(record));
    const mismatch = record.next('the mismatch', ({ error }) => error?.reason === 'TLS_KEY_MISMATCH');
    writeFileSync(folder.file('a.crt'), fresh.chain);
    await mismatch;
    assert.equal(serving(store), old.serialNumber);
    const replaced = record.nextReplaced();
    writeFileSync(folder.file('a.key'), fresh.key);
    await replaced;
    assert.equal(serving(store), fresh.serialNumber);
    assert.equal(record.summary().at(-1), 'replaced');
  });

  test('files that are removed, and come back', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], watched(record));
    const gone = record.next('the failure', ({ error }) => error?.reason === 'TLS_CERTIFICATE_UNREADABLE');
    unlinkSync(folder.file('a.crt'));
    await gone;
    assert.equal(serving(store), old.serialNumber);
    const replaced = record.nextReplaced();
    folder.write('a', fresh);
    await replaced;
    assert.equal(serving(store), fresh.serialNumber);
  });

  test('the swap of a link, as Kubernetes does it: three times, the last folders removed', async () => {
    using folder = new CertificateFolder();
    const place = (version: string, issued: IssuedCertificate): void => {
      mkdirSync(folder.file(version));
      writeFileSync(folder.file(`${version}/tls.crt`), issued.chain);
      writeFileSync(folder.file(`${version}/tls.key`), issued.key);
    };
    place('..1', old);
    symlinkSync('..1', folder.file('..data'));
    symlinkSync('..data/tls.crt', folder.file('tls.crt'));
    symlinkSync('..data/tls.key', folder.file('tls.key'));
    const record = new ReloadRecord();
    using store = new CertificateStore([{ certificateFile: folder.file('tls.crt'), keyFile: folder.file('tls.key') }], watched(record));
    for (const [version, issued] of [
      ['..2', fresh],
      ['..3', newest],
      ['..4', old],
    ] as const) {
      const replaced = record.nextReplaced();
      place(version, issued);
      symlinkSync(version, folder.file('..data_tmp'));
      renameSync(folder.file('..data_tmp'), folder.file('..data'));
      rmSync(folder.file(`..${Number(version.slice(2)) - 1}`), { recursive: true });
      await replaced;
      assert.equal(serving(store), issued.serialNumber);
    }
    assert.deepEqual([...new Set(record.summary())], ['replaced'], 'no reading saw half a pair');
  });

  test('a file behind a link, written where it lies, and one behind a link further up', async () => {
    using folder = new CertificateFolder();
    mkdirSync(folder.file('archive/v1'), { recursive: true });
    mkdirSync(folder.file('archive/v2'));
    folder.write('archive/v1/a', old);
    folder.write('archive/v2/a', newest);
    symlinkSync('archive/v1', folder.file('live'));
    const record = new ReloadRecord();
    using store = new CertificateStore(
      [{ certificateFile: folder.file('live/a.crt'), keyFile: folder.file('live/a.key') }],
      watched(record),
    );
    let replaced = record.nextReplaced();
    folder.write('archive/v1/a', fresh);
    await replaced;
    assert.equal(serving(store), fresh.serialNumber);
    replaced = record.nextReplaced();
    symlinkSync('archive/v2', folder.file('live.new'));
    renameSync(folder.file('live.new'), folder.file('live'));
    await replaced;
    assert.equal(serving(store), newest.serialNumber);
  });

  test('the whole folder removed, and made again', async () => {
    using folder = new CertificateFolder();
    mkdirSync(folder.file('tls'));
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('tls/a', old)], watched(record));
    for (const issued of [fresh, newest]) {
      const gone = record.next('the failure', ({ error }) => error !== null);
      rmSync(folder.file('tls'), { recursive: true });
      await gone;
      const replaced = record.nextReplaced();
      mkdirSync(folder.file('tls'));
      folder.write('tls/a', issued);
      await replaced;
      assert.equal(serving(store), issued.serialNumber);
    }
  });

  test('after close() nothing is told any more', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const store = new CertificateStore([folder.write('a', old)], watched(record));
    store.close();
    folder.write('a', fresh);
    // A store that watches the same folder has heard of it: the closed one would have, too.
    const other = new ReloadRecord();
    using witness = new CertificateStore([folder.write('a', fresh)], watched(other));
    const replaced = other.nextReplaced();
    folder.write('a', newest);
    await replaced;
    assert.equal(serving(witness), newest.serialNumber);
    assert.deepEqual(record.all, []);
    assert.equal(serving(store), old.serialNumber);
    assert.equal((await store.reload()).replacedCount, 1, 'but it can be asked to');
  });
});

describe('reload()', () => {
  test('says for each source what became of it, and one bad file leaves the others alone', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const sources = [folder.write('a', old), folder.write('b', old), folder.write('c', old), { certificate: old.chain, key: old.key }];
    using store = new CertificateStore(sources, still(record));
    const [, , unchanged] = store.certificates;
    folder.write('a', fresh);
    writeFileSync(folder.file('b.crt'), 'garbage');
    const report = await store.reload();
    assert.deepEqual(
      report.outcomes.map(({ error, isReplaced }) => [error?.reason ?? null, isReplaced]),
      [
        [null, true],
        ['TLS_CERTIFICATE_UNREADABLE', false],
        [null, false],
        [null, false],
      ],
    );
    assert.equal(report.replacedCount, 1);
    assert.equal(report.failedCount, 1);
    assert.deepEqual(
      report.outcomes.map(({ source }) => source),
      sources,
    );
    assert.equal(store.certificates[2], unchanged, 'the same object for the same content');
    assert.deepEqual(record.summary(), ['replaced', 'TLS_CERTIFICATE_UNREADABLE']);
    assert.equal(record.all[1]?.certificate.certificate.serialNumber, old.serialNumber);
  });

  test('a failure is told once while it is the same one, and its end is told, too', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const source = folder.write('a', old);
    using store = new CertificateStore([source], still(record));
    writeFileSync(source.keyFile, 'garbage');
    await store.reload();
    await store.reload();
    unlinkSync(source.keyFile);
    await store.reload();
    writeFileSync(source.keyFile, old.key);
    await store.reload();
    await store.reload();
    assert.deepEqual(record.summary(), ['TLS_KEY_UNREADABLE', 'TLS_CERTIFICATE_UNREADABLE', 'good again']);
  });

  test('asked for while one is running, it reads again after that, once for all who asked', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], still(record));
    const running = store.reload();
    folder.write('a', fresh);
    const [second, third] = [store.reload(), store.reload()];
    assert.equal(second, third);
    assert.notEqual(second, running);
    await Promise.all([running, second]);
    assert.equal(serving(store), fresh.serialNumber);
    assert.equal(record.all.length, 1);
  });

  test('an OCSP response that comes, changes and goes is taken without a new certificate', async () => {
    using folder = new CertificateFolder();
    const source = { ...folder.write('a', old), ocspFile: folder.file('a.ocsp') };
    using store = new CertificateStore([source], still(new ReloadRecord()));
    const loaded = store.find('a.test');
    for (const serials of [[old.serialNumber], [fresh.serialNumber, old.serialNumber]]) {
      const response = ocspResponseDer({ serials });
      writeFileSync(source.ocspFile, response);
      assert.equal((await store.reload()).replacedCount, 0);
      assert.deepEqual(new Uint8Array(loaded.ocspResponse ?? []), response);
    }
    unlinkSync(source.ocspFile);
    await store.reload();
    assert.equal(loaded.ocspResponse, null);
    assert.equal(store.find('a.test'), loaded);
  });

  test('an OCSP response for the certificate before this one is not stapled, and told; nor one that has run out (RFC 6960 §4.2.2.1)', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const clock = new ManualClock({ wallNow: Date.now() });
    const nextUpdate = clock.wallNow() + 86_400_000;
    const source = { ...folder.write('a', old), ocspFile: folder.file('a.ocsp') };
    const response = ocspResponseDer({ serials: [old.serialNumber], nextUpdate });
    writeFileSync(source.ocspFile, response);
    using store = new CertificateStore([source], { ...still(record), clock });
    assert.deepEqual(new Uint8Array(store.find(null).ocspResponse ?? []), response);
    folder.write('a', fresh);
    await store.reload();
    assert.equal(serving(store), fresh.serialNumber);
    assert.equal(store.find(null).ocspResponse, null);
    assert.equal(record.all.at(-1)?.concern?.reason, 'TLS_OCSP_MISMATCH');
    writeFileSync(source.ocspFile, ocspResponseDer({ serials: [fresh.serialNumber], nextUpdate }));
    assert.equal((await store.reload()).outcomes[0]?.concern, null);
    assert.notEqual(store.find(null).ocspResponse, null);
    clock.setWallNow(nextUpdate + 1000);
    const [outcome] = (await store.reload()).outcomes;
    assert.equal(outcome?.concern?.reason, 'TLS_OCSP_EXPIRED');
    assert.match(outcome.concern.message, /a\.crt: the OCSP response has run out at 20/);
    assert.equal(store.find(null).ocspResponse, null);
    assert.deepEqual(record.summary(), ['TLS_OCSP_MISMATCH', 'TLS_OCSP_EXPIRED']);
  });

  test('an OCSP response with any bit changed, or cut anywhere, is stapled or not, and nothing else happens', () => {
    const loaded = loadCertificate({ certificate: old.chain, key: old.key });
    const whole = ocspResponseDer({ serials: [old.serialNumber], nextUpdate: Date.now() });
    const now = Date.now();
    assert.equal(ocspConcern(loaded, whole, now - 1000), null);
    for (let at = 0; at < whole.length; at++) {
      assert.equal(ocspConcern(loaded, whole.subarray(0, at), now)?.reason, 'TLS_OCSP_UNREADABLE');
      for (let bit = 1; bit < 0x100; bit *= 2) {
        const changed = whole.slice();
        changed[at] = (changed[at] as number) ^ bit;
        const concern = ocspConcern(loaded, changed, now);
        assert.ok(concern === null || concern.type === 'tls');
      }
    }
  });

  test('an OCSP response that is yet to come, or does not know the certificate, is not stapled; one that says it is revoked is, and told', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const clock = new ManualClock({ wallNow: Date.now() });
    const source = { ...folder.write('a', old), ocspFile: folder.file('a.ocsp') };
    using store = new CertificateStore([source], { ...still(record), clock });
    const serials = [old.serialNumber];
    const thisUpdate = clock.wallNow();
    const cases = [
      [ocspResponseDer({ serials, thisUpdate: thisUpdate + 300_000 }), null, true],
      [ocspResponseDer({ serials, thisUpdate: thisUpdate + 301_000 }), 'TLS_OCSP_NOT_YET_VALID', false],
      [ocspResponseDer({ serials, status: der(0x82) }), 'TLS_OCSP_MISMATCH', false],
      [ocspResponseDer({ serials, status: der(0xa1, der(0x18, text('20260101000000Z'))) }), 'TLS_OCSP_REVOKED', true],
    ] as const;
    for (const [response, reason, isStapled] of cases) {
      writeFileSync(source.ocspFile, response);
      const [outcome] = (await store.reload()).outcomes;
      assert.equal(outcome?.concern?.reason ?? null, reason);
      assert.equal(store.find(null).ocspResponse !== null, isStapled);
    }
  });

  test('a file that is no OCSP response is told at the start, and the certificate is served without', async () => {
    using folder = new CertificateFolder();
    const whole = ocspResponseDer({ serials: [old.serialNumber] });
    const broken: readonly Uint8Array[] = [
      new Uint8Array(0),
      Uint8Array.of(1, 2, 3),
      Uint8Array.of(0x30, 0x03, 0x0a, 0x01, 0x06),
      whole.subarray(0, -1),
      ocspResponseDer({ serials: [old.serialNumber], type: '1.2.3' }),
      ocspResponseDer({ serials: [old.serialNumber], responder: new Uint8Array(0) }),
      ocspResponseDer({ serials: [old.serialNumber], status: new Uint8Array(0) }),
    ];
    const source = { ...folder.write('a', old), ocspFile: folder.file('a.ocsp') };
    for (const content of broken) {
      const record = new ReloadRecord();
      const told = record.next('the concern', ({ concern }) => concern?.reason === 'TLS_OCSP_UNREADABLE');
      writeFileSync(source.ocspFile, content);
      using store = new CertificateStore([source], still(record));
      await told;
      assert.equal(store.find(null).ocspResponse, null);
      assert.equal(serving(store), old.serialNumber);
    }
  });
});

describe('time', () => {
  test('an expired certificate is served, and reported: at the start, or when it expires; once', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const start = Date.now();
    const brief = await authority.issue({ names: ['a.test'], validTo: new Date(start + 3_600_000) });
    const clock = new ManualClock({ wallNow: start });
    const source = folder.write('a', brief);
    using store = new CertificateStore([source], { ...still(record), clock });
    await store.reload();
    assert.deepEqual(record.summary(), []);
    clock.setWallNow(start + 3_602_000);
    for (let i = 0; i < 2; i++) assert.equal((await store.reload()).outcomes[0]?.concern?.reason, 'TLS_CERTIFICATE_EXPIRED');
    assert.deepEqual(record.summary(), ['TLS_CERTIFICATE_EXPIRED']);
    assert.equal(serving(store), brief.serialNumber);

    const later = new ReloadRecord();
    const told = later.next('the expiry', ({ concern }) => concern !== null);
    using second = new CertificateStore([source], { ...still(later), clock });
    assert.deepEqual(later.summary(), [], 'never from inside the constructor');
    await told;
    await second.reload();
    assert.deepEqual(later.summary(), ['TLS_CERTIFICATE_EXPIRED']);
    assert.equal(second.find(null).certificate.serialNumber, brief.serialNumber);
  });

  test('an expired file in place of a good one is taken, and said to be expired', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    using store = new CertificateStore([folder.write('a', old)], still(record));
    const expired = await authority.issue({ names: ['a.test'], validFrom: new Date(1e12), validTo: new Date(1.1e12) });
    folder.write('a', expired);
    const { outcomes } = await store.reload();
    assert.equal(outcomes[0]?.isReplaced, true);
    assert.equal(outcomes[0].concern?.reason, 'TLS_CERTIFICATE_EXPIRED');
    assert.equal(serving(store), expired.serialNumber);
  });

  test('without any event, all sources are looked at again in time', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const clock = new ManualClock();
    const source = folder.write('a', old);
    using store = new CertificateStore([source], { onReload: record.onReload, watch: false, recheckMs: 60_000, clock });
    for (const issued of [fresh, newest]) {
      folder.write('a', issued);
      clock.advance(59_999);
      assert.notEqual(serving(store), issued.serialNumber);
      const replaced = record.nextReplaced();
      clock.advance(1);
      await replaced;
      assert.equal(serving(store), issued.serialNumber);
      // The next look is armed when this one is over.
      await store.reload();
    }
    store.close();
    assert.equal(clock.pendingCount, 0);
  });
});

describe('callbacks that misbehave', () => {
  test('an onReload that throws, rejects or never settles changes nothing', async () => {
    using folder = new CertificateFolder();
    const source = folder.write('a', old);
    const answers: readonly (() => unknown)[] = [
      () => {
        throw new Error('from onReload');
      },
      () => Promise.reject(new Error('from onReload')),
      // A promise of another making: its rejection is told to nobody else.
      (): unknown => runInNewContext("Promise.reject(new Error('from onReload'))"),
      () => {
        throw Object.create(null);
      },
      () => new Promise(() => {}),
      () => ({ garbage: true }),
    ];
    for (const [index, onReload] of answers.entries()) {
      using store = new CertificateStore([source], { onReload, watch: false, recheckMs: Infinity });
      const next = index % 2 === 0 ? fresh : old;
      folder.write('a', next);
      assert.equal((await store.reload()).replacedCount, 1);
      assert.equal(serving(store), next.serialNumber);
    }
  });

  test('an OCSP response from a function: at the start, at each reload; the last good one is kept when it fails', async () => {
    const record = new ReloadRecord();
    const clock = new ManualClock();
    let answer: () => unknown = () => Uint8Array.of(1);
    const source = { certificate: old.chain, key: old.key, ocspResponse: (): never => answer() as never };
    using store = new CertificateStore([source], { onReload: record.onReload, clock, recheckMs: Infinity });
    const loaded = store.find(null);
    await store.reload();
    assert.deepEqual(loaded.ocspResponse, Uint8Array.of(1));
    answer = () => Promise.resolve(Uint8Array.of(2));
    await store.reload();
    assert.deepEqual(loaded.ocspResponse, Uint8Array.of(2));
    const failing: readonly (() => unknown)[] = [
      () => {
        throw new Error('one');
      },
      () => Promise.reject(new Error('two')),
      () => 'three',
      () => undefined,
    ];
    for (answer of failing) {
      const report = await store.reload();
      assert.equal(report.outcomes[0]?.error?.reason, 'TLS_OCSP_UNREADABLE');
      assert.deepEqual(loaded.ocspResponse, Uint8Array.of(2));
    }
    answer = () => new Promise(() => {});
    const hanging = store.reload();
    const later = store.reload();
    while (clock.pendingCount === 0) await Promise.resolve();
    answer = () => null;
    clock.advance(5000);
    assert.match((await hanging).outcomes[0]?.error?.message ?? '', /no answer within 5000 ms/);
    assert.equal((await later).failedCount, 0);
    assert.equal(loaded.ocspResponse, null);
    assert.equal(store.find(null), loaded);
  });

  test('a function that throws what has no text form ends nothing', async () => {
    for (const ocspResponse of [
      (): never => {
        throw Object.create(null);
      },
      async (): Promise<never> => {
        throw Object.create(null);
      },
    ]) {
      const record = new ReloadRecord();
      const failed = record.next('the failure', ({ error }) => error !== null);
      using store = new CertificateStore([{ certificate: old.chain, key: old.key, ocspResponse }], still(record));
      assert.match((await failed).error?.message ?? '', /a value without a text form/);
      assert.equal((await store.reload()).outcomes[0]?.error?.reason, 'TLS_OCSP_UNREADABLE');
      assert.equal(record.all.length, 1, 'told once');
    }
  });

  test('functions that never answer hold up no new certificate, and time out together', async () => {
    using folder = new CertificateFolder();
    const record = new ReloadRecord();
    const clock = new ManualClock({ wallNow: Date.now() });
    const hanging = [(): Promise<null> => new Promise(() => {}), (): never => ({ [['th', 'en'].join('')]() {} }) as never].map(
      (ocspResponse) => ({
        certificate: old.chain,
        key: old.key,
        ocspResponse,
      }),
    );
    using store = new CertificateStore([...hanging, folder.write('a', old), ...hanging], { ...still(record), clock });
    folder.write('a', fresh);
    const replaced = record.nextReplaced();
    const reload = store.reload();
    await replaced;
    assert.equal(store.find('b.test').certificate.serialNumber, fresh.serialNumber, 'the index is that of the certificates');
    assert.equal(store.certificates[2]?.certificate.serialNumber, fresh.serialNumber);
    folder.write('a', newest);
    // A second reload does not wait for the answers of the first.
    const again = record.nextReplaced();
    const second = store.reload();
    await again;
    assert.equal(store.certificates[2]?.certificate.serialNumber, newest.serialNumber);
    while (clock.pendingCount < 12) await Promise.resolve();
    clock.advance(5000);
    const reports = await Promise.all([reload, second]);
    assert.deepEqual(
      reports.map(({ failedCount, replacedCount }) => [failedCount, replacedCount]),
      [
        [4, 1],
        [4, 1],
      ],
    );
  });

  test('an answer that comes late does not overwrite a newer one', async () => {
    const answers: ((response: Uint8Array) => void)[] = [];
    const ocspResponse = (): Promise<Uint8Array> => new Promise((resolve) => void answers.push(resolve));
    using store = new CertificateStore([{ certificate: old.chain, key: old.key, ocspResponse }], still(new ReloadRecord()));
    const reload = store.reload();
    while (answers.length < 2) await Promise.resolve();
    answers[1]?.(Uint8Array.of(2));
    await reload;
    answers[0]?.(Uint8Array.of(1));
    await new Promise(setImmediate);
    assert.deepEqual(store.find(null).ocspResponse, Uint8Array.of(2));
  });

  test('a certificate in memory that was written over is loaded anew, and its function is asked again', async () => {
    const room = (pem: string): Buffer => Buffer.from(pem.padEnd(4000, '\n'));
    const [certificate, key] = [room(old.chain), room(old.key)];
    let asked = 0;
    using store = new CertificateStore([{ certificate, key, ocspResponse: () => Uint8Array.of(++asked) }], still(new ReloadRecord()));
    certificate.set(room(fresh.chain));
    key.set(room(fresh.key));
    assert.equal((await store.reload()).replacedCount, 1);
    assert.equal(serving(store), fresh.serialNumber);
    assert.deepEqual(store.find(null).ocspResponse, Uint8Array.of(2));
  });

  test('close() ends the waiting for answers, and nothing is told after it', async () => {
    const record = new ReloadRecord();
    const clock = new ManualClock({ wallNow: Date.now() });
    const ocspResponse = (): Promise<null> => new Promise(() => {});
    const store = new CertificateStore([{ certificate: old.chain, key: old.key, ocspResponse }], { ...still(record), clock });
    const reload = store.reload();
    while (clock.pendingCount < 2) await Promise.resolve();
    store.close();
    assert.equal(clock.pendingCount, 0);
    assert.match((await reload).outcomes[0]?.error?.message ?? '', /was closed/);
    assert.deepEqual(record.all, []);
  });

  test('a function that fails at the start is told of, and the certificate is served', async () => {
    const record = new ReloadRecord();
    const failed = record.next('the failure', ({ error }) => error !== null);
    const ocspResponse = (): Promise<null> => Promise.reject(new Error('no network'));
    using store = new CertificateStore([{ certificate: old.chain, key: old.key, ocspResponse }], still(record));
    const { error } = await failed;
    assert.equal(error?.reason, 'TLS_OCSP_UNREADABLE');
    assert.match(error.message, /no network/);
    assert.equal(serving(store), old.serialNumber);
  });

  test('nothing is told, and no function asked, from inside the constructor', async () => {
    let isInside = true;
    const seen: string[] = [];
    const told = Promise.withResolvers<void>();
    const ocspResponse = (): never => {
      seen.push(`asked ${isInside}`);
      throw new Error('at once');
    };
    const onReload = (): void => {
      seen.push(`told ${isInside}`);
      told.resolve();
    };
    using store = new CertificateStore([{ certificate: old.chain, key: old.key, ocspResponse }], {
      onReload,
      watch: false,
      recheckMs: Infinity,
    });
    isInside = false;
    await told.promise;
    assert.deepEqual(seen, ['asked false', 'told false']);
    assert.equal(serving(store), old.serialNumber);
  });

  test('a function that reloads begins no second reading beside one that waits', async () => {
    using folder = new CertificateFolder();
    const nested: Promise<unknown>[] = [];
    let isAsking = false;
    const ocspResponse = (): null => {
      if (isAsking && nested.length === 0) nested.push(store.reload());
      return null;
    };
    const sources = [{ certificate: old.chain, key: old.key, ocspResponse }, folder.write('a', old)];
    using store = new CertificateStore(sources, still(new ReloadRecord()));
    await store.reload();
    isAsking = true;
    const reports = await Promise.all([store.reload(), store.reload()]);
    assert.equal(nested.length, 1);
    assert.deepEqual(
      [...reports, await (nested[0] as Promise<ReloadReport>)].map(({ failedCount }) => failedCount),
      [0, 0, 0],
    );
  });

  test('options that are none, or of the wrong kind, are refused', () => {
    const source = { certificate: old.chain, key: old.key };
    for (const [options, message] of [
      [{ onreload: () => undefined }, /CertificateStore has no option "onreload"/],
      [{ onReload: 'x' }, /onReload must be a function/],
      [{ watch: 'no' }, /watch must be true or false/],
      [{ clock: { now: () => 0 } }, /clock must be a Clock/],
    ] as const) {
      assert.throws(() => new CertificateStore([source], options as never), { name: 'TypeError', message });
    }
  });

  test('a source that can not be loaded at the start ends the constructor, and its watch', () => {
    using folder = new CertificateFolder();
    const good = folder.write('a', old);
    const bad = folder.write('b', { ...old, key: fresh.key });
    assert.throws(() => new CertificateStore([good, bad]), { reason: 'TLS_KEY_MISMATCH', message: /b\.crt/ });
  });
});
