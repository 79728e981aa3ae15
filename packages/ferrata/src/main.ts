#!/usr/bin/env node
/** The `ferrata` command. */
import { run } from './run.ts';

process.exitCode = await run(process.argv.slice(2));
// Whatever still lives (a slow flush of a log, a connection being closed) is not waited for.
process.exit();
