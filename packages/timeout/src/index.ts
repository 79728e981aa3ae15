/** @ferrata/timeout: any number of coarse deadlines on a shared wake-up of a clock; one that never fires costs almost nothing. */

export { type Deadline } from './deadline.ts';
export { DeadlineQueue, type DeadlineQueueOptions } from './deadline-queue.ts';
export { scheduleDeadline } from './schedule-deadline.ts';
