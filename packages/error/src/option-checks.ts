/**
 * Checks of numeric options: misuse by the programmer, so a `RangeError` at once, which names the option, its range and the value given.
 */

/** The numbers that an option may have; both ends belong to it. */
export interface WholeNumberRange {
  /** Default 0. */
  readonly min?: number;
  /** Default `Number.MAX_SAFE_INTEGER`; `Infinity` admits `Infinity` too, for "no limit". */
  readonly max?: number;
}

/** The numbers that an option may have. */
export interface NumberRange {
  /** The number must be greater than this one; default: `min` decides. */
  readonly above?: number;
  /** Default: no lower end. */
  readonly min?: number;
  /** Default: no upper end, and `Infinity` is admitted. */
  readonly max?: number;
}

/**
 * Checks that an option is a whole number within a range.
 *
 * @returns the value
 * @throws {RangeError} when it isn't: `capacity must be a whole number from 1 to 65536, not 0`
 */
export function checkWholeNumber(name: string, value: number, range: WholeNumberRange = {}): number {
  const { min = 0, max = Number.MAX_SAFE_INTEGER } = range;
  if (Number.isSafeInteger(value) ? value >= min && value <= max : value === Infinity && max === Infinity) return value;
  const end =
    max === Number.MAX_SAFE_INTEGER ? `, ${min} or more` : max === Infinity ? `, ${min} or more, or Infinity` : ` from ${min} to ${max}`;
  throw new RangeError(`${name} must be a whole number${end}, not ${String(value)}`);
}

/**
 * Checks that an option is a number within a range; NaN never is.
 *
 * @returns the value
 * @throws {RangeError} when it isn't: `intervalMs must be above 0, not NaN`
 */
export function checkNumber(name: string, value: number, range: NumberRange = {}): number {
  const { above = -Infinity, min = -Infinity, max = Infinity } = range;
  const isNumber = typeof value === 'number' && !Number.isNaN(value);
  if (isNumber && value >= min && value <= max && (value > above || above === -Infinity)) return value;
  throw new RangeError(`${name} must be ${describeRange(above, min, max)}, not ${String(value)}`);
}

function describeRange(above: number, min: number, max: number): string {
  const isOpen = max === Infinity;
  if (above > -Infinity) return isOpen ? `above ${above}` : `above ${above} and at most ${max}`;
  if (min > -Infinity) return isOpen ? `at least ${min}` : `${min} to ${max}`;
  return isOpen ? 'a number' : `at most ${max}`;
}
