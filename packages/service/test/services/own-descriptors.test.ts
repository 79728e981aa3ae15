/** Descriptors of a service that does not come up. Those here are of /dev/null: nobody comes so far as to listen on them. */
import assert from 'node:assert/strict';
import { closeSync, fstatSync, openSync } from 'node:fs';
import { devNull } from 'node:os';
import { test } from 'node:test';
import type { Service, ServiceSocket } from '../../src/service.ts';
import { HttpService } from '../../src/services/http-service.ts';
import { onOwnDescriptors } from '../../src/services/own-descriptors.ts';
import { TcpService } from '../../src/services/tcp-service.ts';
import { UdpService } from '../../src/services/udp-service.ts';
import { loopback, TestHost } from './service-harness.ts';

const bug = (): never => {
  throw new Error('a bug');
};

function given(): { readonly sockets: readonly ServiceSocket[]; readonly open: () => boolean[] } {
  const fds = [openSync(devNull, 'r'), openSync(devNull, 'r')];
  const inodes = fds.map((fd) => fstatSync(fd).ino);
  return {
    sockets: fds.map((fd) => ({ listen: loopback[0], fd, address: { kind: 'unset' } })),
    open: () => fds.map((fd, index) => isOpen(fd, inodes[index] as number)),
  };
}

function isOpen(fd: number, inode: number): boolean {
  try {
    return fstatSync(fd).ino === inode;
  } catch {
    return false;
  }
}

const udp = [{ address: '127.0.0.1:0', transport: 'udp' }] as const;
const services: readonly (readonly [when: string, Service<undefined>])[] = [
  ['no application can be made', new HttpService({ name: 's', listen: loopback, application: bug })],
  ['its options are wrong', new HttpService({ name: 's', listen: loopback, application: () => ({ onRequest: bug }), http: bug })],
  ['it cannot be said how to accept', new TcpService({ name: 's', listen: loopback, handle: () => {}, accept: bug })],
  [
    'there is no certificate',
    new TcpService({ name: 's', listen: loopback, handle: () => {}, accept: () => ({ tls: { certificates: [] } }) }),
  ],
  ['it cannot be said how to receive', new UdpService({ name: 's', listen: udp, flows: () => {}, udp: bug })],
  ['its delay fails', new TcpService({ name: 's', listen: loopback, handle: () => {}, onStartupDelay: bug })],
];

for (const [when, service] of services) {
  test(`a service that does not come up since ${when} closes its descriptors: the kernel would take connections for nobody`, async () => {
    await using host = TestHost.idle([service], undefined);
    const { sockets, open } = given();
    await assert.rejects(host.host.start('s', 0, sockets));
    assert.deepEqual(open(), [false, false]);
  });
}

test('so does one that is asked to start when the thread has begun to stop', async () => {
  const service = new TcpService({ name: 's', listen: loopback, handle: () => {}, onStartupDelay: bug });
  await using host = TestHost.idle([service], undefined);
  await host.host.drain(0);
  const { sockets, open } = given();
  await assert.rejects(host.host.start('s', 0, sockets), /SERVICE_STOPPED/);
  assert.deepEqual(open(), [false, false]);
});

test('a number that has been closed, and belongs to another descriptor since, is left alone', async () => {
  const fd = openSync(devNull, 'r');
  let others = -1;
  await assert.rejects(
    onOwnDescriptors([{ listen: loopback[0], fd, address: { kind: 'unset' } }], () => {
      closeSync(fd);
      others = openSync(import.meta.filename, 'r');
      throw new Error('a bug');
    }),
    /a bug/,
  );
  assert.equal(others, fd, 'the kernel gives out the lowest number that is free');
  fstatSync(others);
  closeSync(others);
});

test('a service that comes up keeps them', async () => {
  const { sockets, open } = given();
  assert.equal(await onOwnDescriptors(sockets, () => 7), 7);
  assert.deepEqual(open(), [true, true]);
  for (const { fd } of sockets) closeSync(fd as number);
});
