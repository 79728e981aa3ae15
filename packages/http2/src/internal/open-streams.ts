/**
 * The open streams of a connection, by number: a hash table with open addressing and linear probing.
 *
 * Not a `Map`: V8 gives that a new table after every few changes, and the table before goes on pointing to it, for iterators that stand there. Once
 * one of these tables has come into the old generation, all that follow it, and the streams that stood in one when it was replaced, outlive the
 * collections of the young generation, though nobody can reach them.
 *
 * Numbers of a side rise by two, so that streams opened one after the other stand in neighbouring places, and those of a long life are passed over.
 *
 * @see D. E. Knuth, The Art of Computer Programming, volume 3, §6.4, algorithms L and R
 */
import type { Http2Stream } from '../stream.ts';

/** Places at first: a power of two, as always. */
const FIRST_PLACES = 8;

export class OpenStreams {
  /** Never more than half full, so that a search ends. */
  #places: (Http2Stream | null)[] = emptyPlaces(FIRST_PLACES);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  find(id: number): Http2Stream | null {
    const places = this.#places;
    const mask = places.length - 1;
    for (let at = (id >>> 1) & mask; ; at = (at + 1) & mask) {
      const stream = places[at] as Http2Stream | null;
      if (stream === null || stream.id === id) return stream;
    }
  }

  /** @param stream whose number is not in here */
  add(stream: Http2Stream): void {
    if (2 * (this.#size + 1) > this.#places.length) this.#grow();
    this.#size++;
    put(this.#places, stream);
  }

  /** Does nothing if it is not in here. */
  delete(stream: Http2Stream): void {
    const places = this.#places;
    const mask = places.length - 1;
    let hole = (stream.id >>> 1) & mask;
    for (; places[hole] !== stream; hole = (hole + 1) & mask) if (places[hole] === null) return;
    this.#size--;
    // What stands behind the hole is found only if no place between its own and where it stands is empty.
    for (let at = (hole + 1) & mask; ; at = (at + 1) & mask) {
      const next = places[at] as Http2Stream | null;
      if (next === null) break;
      const fromHome = (at - (next.id >>> 1)) & mask;
      if (fromHome < ((at - hole) & mask)) continue;
      places[hole] = next;
      hole = at;
    }
    places[hole] = null;
  }

  /** By number. */
  toArray(): Http2Stream[] {
    return this.#places.filter((stream) => stream !== null).toSorted((a, b) => a.id - b.id);
  }

  /** Gives back the memory of a time with more streams, if none is open. */
  trim(): void {
    if (this.#size === 0 && this.#places.length > FIRST_PLACES) this.#places = emptyPlaces(FIRST_PLACES);
  }

  #grow(): void {
    const before = this.#places;
    this.#places = emptyPlaces(2 * before.length);
    for (const stream of before) if (stream !== null) put(this.#places, stream);
  }
}

function emptyPlaces(count: number): (Http2Stream | null)[] {
  return new Array<Http2Stream | null>(count).fill(null);
}

function put(places: (Http2Stream | null)[], stream: Http2Stream): void {
  const mask = places.length - 1;
  let at = (stream.id >>> 1) & mask;
  while (places[at] !== null) at = (at + 1) & mask;
  places[at] = stream;
}
