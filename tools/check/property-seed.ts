/**
 * Loaded before each test file: property tests that name no seed draw from the same one in every run, so that a change is judged by what was there
 * before it. `FERRATA_SEED=random` draws a new one, which a failure prints; a number is taken as it is.
 */
import fc from 'fast-check';

const { FERRATA_SEED: wanted = '20260901' } = process.env;

if (wanted !== 'random') fc.configureGlobal({ ...fc.readConfigureGlobal(), seed: Number(wanted) });
