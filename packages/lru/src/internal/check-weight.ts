/** Checks of weights, on paths where a call for each check would be felt. */
import { checkWholeNumber } from '@ferrata/error';

/** @throws {RangeError} when it is no whole number of 1 or more */
export function checkWeight(weight: number): void {
  if (weight >= 1 && Number.isSafeInteger(weight)) return;
  checkWholeNumber('weight', weight, { min: 1 });
}

/** @throws {RangeError} when the sum is beyond the safe integers, where adding and taking off again would no longer give the same */
export function checkTotalWeight(weight: number): void {
  if (weight <= Number.MAX_SAFE_INTEGER) return;
  throw new RangeError(`weight must leave that of all entries at ${Number.MAX_SAFE_INTEGER} or less`);
}
