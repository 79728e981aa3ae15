/**
 * nginx's smooth weighted round robin: turns in proportion to the weights, with the turns of one member as far apart as they can be.
 *
 * What each member has in credit stays while it is not ready, and goes over to the next list if its name is there too, so that neither a health check nor an update begins the round anew.
 * A member that is ready but not open when its turn comes loses the turn: nobody comes back from being full with a row of turns saved up.
 * Requests that come again after a failure have turns of their own, so that they take nothing from the shares of the first ones.
 *
 * Source: nginx, `ngx_http_upstream_round_robin.c`. Turns are counted in `smooth-turns.ts`.
 */
import type { Candidates, Members, Picker, PickerTools, SelectionAlgorithm, SelectionKey } from './algorithm.ts';
import { matchMembers } from './member-lists.ts';
import { SmoothTurns } from './smooth-turns.ts';

/** Takes turns by weight as nginx does. */
export function smoothWeighted(): SelectionAlgorithm {
  return Object.freeze({
    name: 'smooth-weighted',
    *build(members: Members, { previous }: PickerTools): Generator<void, Picker, void> {
      const picker = new SmoothWeightedPicker(members);
      if (previous instanceof SmoothWeightedPicker) {
        const places = yield* matchMembers(members, previous.members);
        picker.turns.inherit(previous.turns, places);
      }
      return picker;
    },
  });
}

class SmoothWeightedPicker implements Picker {
  readonly members: Members;
  readonly turns: SmoothTurns;

  constructor(members: Members) {
    this.members = members;
    this.turns = new SmoothTurns(members.count);
  }

  refresh(): void {
    this.turns.settle();
  }

  pick(_key: SelectionKey | null, candidates: Candidates): number {
    return this.turns.nextOpen(candidates);
  }
}
