/** Shows what the laws say of the decoders in planted.ts: `node examples/fuzz-your-protocol/find-bugs.ts [SEED]`. */
import { findLawBreach, showBytes } from '@ferrata/testkit';
import { parcelCodec } from './parcel-codec.ts';
import { ParcelDecoder } from './parcels.ts';
import { ForgetfulDecoder, GenerousDecoder } from './planted.ts';

const [argument] = process.argv.slice(2);
const seed = argument === undefined ? Date.now() & 0x7fff_ffff : Number(argument);

for (const Decoder of [ParcelDecoder, ForgetfulDecoder, GenerousDecoder]) {
  const breach = findLawBreach(
    parcelCodec(() => new Decoder()),
    { seed },
  );
  if (breach === null) {
    console.log(`${Decoder.name}: all laws hold`);
    continue;
  }
  const { title, bytes, chunks, runs } = breach;
  console.log(`${Decoder.name}: broken, by input ${runs} of seed ${seed}`);
  console.log(`  ${title}`);
  console.log(`  ${showBytes(bytes)} in pieces of ${chunks.map(({ byteLength }) => byteLength).join(', ')} bytes`);
}
