/** When a request reached this process: tells two at the same time from one after the other. */
import type { IncomingMessage } from 'node:http';

const arrivals = new WeakMap<object, number>();

export const noteArrival = (request: IncomingMessage, at = Date.now()): void => void arrivals.set(request, at);

/** Milliseconds since the epoch. */
export const arrivedAt = (request: object | undefined): number => (request && arrivals.get(request)) ?? Date.now();
