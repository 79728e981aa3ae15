/** What standard error says of origins that cannot be reached. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ManualClock } from '@ferrata/clock';
import { connectError, tlsError } from '@ferrata/error';
import { OriginNotices } from '../src/origin-notices.ts';
import { ToldMemory } from '../src/told-memory.ts';

test('each origin and reason at once, and then once a minute, with how often it was', () => {
  const clock = new ManualClock();
  const told: string[] = [];
  const notices = new OriginNotices(
    (sentence) => told.push(sentence),
    () => clock.now(),
  );
  const expired = tlsError('TLS_CERT_EXPIRED', 'expired');
  notices.tell('https://a', expired);
  notices.tell('https://a', expired);
  notices.tell('https://a', expired);
  notices.tell('https://b', expired);
  notices.tell('https://a', connectError('CONNECT_REFUSED', 'refused'));
  assert.deepEqual(told.splice(0), [
    '--to https://a: no connection: tls TLS_CERT_EXPIRED: expired',
    '--to https://b: no connection: tls TLS_CERT_EXPIRED: expired',
    '--to https://a: no connection: connect CONNECT_REFUSED: refused',
  ]);
  clock.advance(59_999);
  notices.tell('https://a', expired);
  assert.deepEqual(told, []);
  clock.advance(1);
  notices.tell('https://a', expired);
  notices.tell('https://b', expired);
  assert.deepEqual(told, [
    '--to https://a: no connection: tls TLS_CERT_EXPIRED: expired (and 3 times more since that was told last)',
    '--to https://b: no connection: tls TLS_CERT_EXPIRED: expired',
  ]);
});

test('what one thread has told is known to the others', () => {
  const told: string[] = [];
  const memory = new ToldMemory();
  const [one, other] = [1, 2].map(
    (thread) =>
      new OriginNotices(
        (sentence) => told.push(`${thread} ${sentence}`),
        () => 0,
        new ToldMemory(memory.buffer),
      ),
  );
  const refused = connectError('CONNECT_REFUSED', 'refused');
  one?.tell('http://a', refused);
  other?.tell('http://a', refused);
  other?.tell('http://b', refused);
  assert.deepEqual(told, [
    '1 --to http://a: no connection: connect CONNECT_REFUSED: refused',
    '2 --to http://b: no connection: connect CONNECT_REFUSED: refused',
  ]);
});
