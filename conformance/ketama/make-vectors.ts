/** `node conformance/ketama/make-vectors.ts`: asks a real nginx about the rings and keys of `rings.ts`, and writes `fixtures/vectors.json`. */
import { writeFileSync } from 'node:fs';
import { installCommand, providePrograms } from '@ferrata/tools/peers';
import { NGINX, startNginx } from './nginx.ts';
import { vectorKeys, vectorRings } from './rings.ts';
import { type AnsweredRing, vectorsUrl } from './vectors.ts';

const missing = providePrograms([NGINX], (line) => console.error(line));
if (missing.length > 0) throw new Error(`nginx is missing; install it with: ${installCommand(missing)}`);

const keys = vectorKeys();
const rings = vectorRings();
const nginx = await startNginx(rings);
const lines: string[] = [];
try {
  for (const ring of rings) {
    const places = new Map(ring.servers.map(({ address }, place) => [address, place]));
    const answers = (await nginx.ask(ring, keys)).map((addresses) => addresses.map((address) => placeOf(places, address)));
    const answered: AnsweredRing = { ...ring, answers };
    lines.push(JSON.stringify(answered));
  }
} finally {
  await nginx.stop();
}
writeFileSync(
  vectorsUrl,
  `{"nginx":${JSON.stringify(nginx.version)},\n"keys":${JSON.stringify(keys)},\n"rings":[\n${lines.join(',\n')}\n]}\n`,
);
console.log(`nginx ${nginx.version} answered for ${rings.length} rings and ${keys.length} keys`);

function placeOf(places: ReadonlyMap<string, number>, address: string): number {
  const place = places.get(address);
  if (place === undefined) throw new Error(`nginx tried ${address}`);
  return place;
}
