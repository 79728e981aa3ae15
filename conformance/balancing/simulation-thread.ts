/** A thread that lives through simulated worlds for `runJobs`: it is sent a job, and sends the result back. */
import { parentPort } from 'node:worker_threads';
import { type SimulationJob, simulate } from './simulation.ts';

parentPort?.on('message', (job: SimulationJob) => void simulate(job).then((result) => parentPort?.postMessage(result)));
