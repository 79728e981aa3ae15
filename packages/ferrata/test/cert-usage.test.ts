/** The commands that `ferrata cert dev` prints: a shell has to read them as they are meant. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, test } from 'node:test';
import { parseCertArguments } from '../src/cert-arguments.ts';
import { shellFile, usageLines } from '../src/cert-usage.ts';

const written = (folder: string) => ({
  authorityFile: `${folder}/ca/ca.crt`,
  isAuthorityNew: true,
  certificateFile: `${folder}/a.crt`,
  keyFile: `${folder}/a.key`,
});

/** The words of a line, as a shell passes them on. */
function words(line: string): readonly string[] {
  return execFileSync('/bin/sh', ['-c', `printf '%s\\0' ${line}`], { encoding: 'utf8' })
    .split('\0')
    .slice(0, -1);
}

describe('usageLines', () => {
  for (const folder of ['certificates', 'with blanks', "it's; rm -rf $HOME `x` \\ *", '-d', 'line\nbreak', 'ä'])
    test(`${JSON.stringify(folder)}: every file is one word`, () => {
      const [serve = '', ask = ''] = usageLines(parseCertArguments(['dev', 'localhost']), written(folder)).split(/\n(?=curl|$)/);
      const file = folder.startsWith('-') ? `./${folder}` : folder;
      assert.deepEqual(words(serve).slice(4, 8), ['--cert', `${file}/a.crt`, '--key', `${file}/a.key`]);
      assert.deepEqual(words(ask), ['curl', '--cacert', `${file}/ca/ca.crt`, 'https://localhost:8443/']);
      assert.deepEqual(words(shellFile(`${folder}/x`)), [`${file}/x`]);
    });

  test('an IPv6 address is quoted, as shells read brackets', () => {
    const [, ask = ''] = usageLines(parseCertArguments(['dev', '::1']), written('c')).split('\n');
    assert.match(ask, /'https:\/\/\[::1\]:8443\/'$/);
  });

  test('a certificate for mail gets no server; one for mail and a host is for the host', () => {
    assert.equal(usageLines(parseCertArguments(['dev', 'a@example.test']), written('c')), '');
    assert.match(usageLines(parseCertArguments(['dev', 'a@example.test', 'b.test']), written('c')), /https:\/\/b\.test:8443\//);
    assert.match(
      usageLines(parseCertArguments(['dev', 'a@example.test', '--client']), written('c')),
      /^curl --cacert c\/ca\/ca\.crt --cert c\/a\.crt --key c\/a\.key /,
    );
  });
});
